#include "seal/age_internal.h"

typedef enum { OPENER_HEADER = 0, OPENER_NONCE, OPENER_PAYLOAD, OPENER_FINISHED, OPENER_FAILED } opener_state;

struct ent_age_opener {
    ent_age_unwrapper unwrapper;
    ent_age_sink sink;
    opener_state state;
    ent_buf header;
    size_t header_line; /* start of the header's line that is not complete */
    ent_file_key key;
    ent_age_stream stream;
    size_t held; /* bytes in sealed: of the nonce, then of a chunk */
    uint8_t sealed[ENT_AGE_SEALED_CHUNK_BYTES];
    uint8_t plaintext[ENT_AGE_CHUNK_BYTES];
};

enum { HEADER_STEP_BYTES = 4096 };

/* --- streaming --- */

ent_rc ent_age_opener_new(ent_age_unwrapper unwrapper, ent_age_sink sink, ent_age_opener **ret, ent_err *err)
{
    ent_age_opener *opener = ent_alloc(sizeof *opener);
    if (opener == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for opening a file");
    opener->unwrapper = unwrapper;
    opener->sink = sink;
    opener->header.limit = ENT_AGE_HEADER_MAX_BYTES;
    *ret = opener;
    return ENT_DONE;
}

void ent_age_opener_free(ent_age_opener *opener)
{
    if (opener == NULL)
        return;
    ent_buf_release(&opener->header);
    ent_wipe(opener, sizeof *opener);
    ent_free(opener);
}

void ent_age_opener_release(ent_age_opener **opener)
{
    ent_age_opener_free(*opener);
    *opener = NULL;
}

static ent_bytes skip(ent_bytes bytes, size_t size)
{
    return size == 0 ? bytes : ent_bytes_of(bytes.data + size, bytes.size - size);
}

/* Collects up to the header's end; what belongs to the payload is given back. */
static ent_rc take_header(ent_age_opener *opener, ent_bytes *bytes, ent_err *err)
{
    ent_buf *header = &opener->header;
    size_t before = header->size;
    size_t room = ENT_AGE_HEADER_MAX_BYTES - before;
    size_t taken = bytes->size < HEADER_STEP_BYTES ? bytes->size : HEADER_STEP_BYTES;
    if (room == 0)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "the age header is larger than %d bytes",
                        ENT_AGE_HEADER_MAX_BYTES);
    if (taken > room)
        taken = room;
    ent_buf_put(header, ent_bytes_of(bytes->data, taken));
    ENT_TRY(ent_buf_check(header, err));

    size_t size = 0;
    bool complete = ent_age_header_end(ent_buf_bytes(header), opener->header_line, &size, &opener->header_line);
    bool started = header->size >= ENT_AGE_VERSION_LINE.size;
    if (!complete && (!started || ent_text_starts(ent_buf_text(header), ENT_AGE_VERSION_LINE))) {
        *bytes = skip(*bytes, taken);
        return ENT_DONE;
    }
    /* Complete, or something that is no age file: the parser says what is wrong with it. */
    ENT_TRY(ent_age_header_open(ent_buf_bytes(header), opener->unwrapper, &opener->key, &size, err));
    *bytes = skip(*bytes, size - before);
    ent_buf_release(header);
    opener->state = OPENER_NONCE;
    return ENT_DONE;
}

static void hold(ent_age_opener *opener, ent_bytes *bytes, size_t up_to)
{
    size_t taken = up_to - opener->held;
    if (taken > bytes->size)
        taken = bytes->size;
    memcpy(opener->sealed + opener->held, bytes->data, taken);
    opener->held += taken;
    *bytes = skip(*bytes, taken);
}

static void take_nonce(ent_age_opener *opener, ent_bytes *bytes)
{
    hold(opener, bytes, ENT_AGE_NONCE_SIZE);
    if (opener->held < ENT_AGE_NONCE_SIZE)
        return;
    ent_age_stream_start(&opener->stream, &opener->key, opener->sealed);
    ent_wipe(&opener->key, sizeof opener->key);
    opener->held = 0;
    opener->state = OPENER_PAYLOAD;
}

/* What verifies goes to the sink, also when its place in the file then turns out to be wrong. */
static ent_rc open_chunk(ent_age_opener *opener, ent_bytes sealed, bool last, ent_err *err)
{
    ent_age_chunk found = ent_age_stream_open(&opener->stream, sealed, last, opener->plaintext);
    if (found != ENT_AGE_CHUNK_BAD && sealed.size > ENT_AEAD_TAG_SIZE)
        ENT_TRY(opener->sink.write(opener->sink.context,
                                   ent_bytes_of(opener->plaintext, sealed.size - ENT_AEAD_TAG_SIZE), err));
    return ent_age_chunk_check(found, &opener->stream, err);
}

static ent_rc take_payload(ent_age_opener *opener, ent_bytes *bytes, ent_err *err)
{
    /* A full chunk waits until more comes: only then is it known not to be the last. */
    if (opener->held == ENT_AGE_SEALED_CHUNK_BYTES) {
        ENT_TRY(open_chunk(opener, ent_bytes_of(opener->sealed, opener->held), false, err));
        opener->held = 0;
    }
    if (opener->held == 0 && bytes->size > ENT_AGE_SEALED_CHUNK_BYTES) {
        ENT_TRY(open_chunk(opener, ent_bytes_of(bytes->data, ENT_AGE_SEALED_CHUNK_BYTES), false, err));
        *bytes = skip(*bytes, ENT_AGE_SEALED_CHUNK_BYTES);
        return ENT_DONE;
    }
    hold(opener, bytes, ENT_AGE_SEALED_CHUNK_BYTES);
    return ENT_DONE;
}

static ent_rc take(ent_age_opener *opener, ent_bytes bytes, ent_err *err)
{
    while (bytes.size > 0) {
        if (opener->state == OPENER_HEADER)
            ENT_TRY(take_header(opener, &bytes, err));
        else if (opener->state == OPENER_NONCE)
            take_nonce(opener, &bytes);
        else
            ENT_TRY(take_payload(opener, &bytes, err));
    }
    return ENT_DONE;
}

static ent_rc check_open(const ent_age_opener *opener, ent_err *err)
{
    if (opener->state == OPENER_FAILED || opener->state == OPENER_FINISHED)
        return ent_fail(err, ENT_USAGE, NULL, "the opening of this file has already %s",
                        opener->state == OPENER_FAILED ? "failed" : "been finished");
    return ENT_DONE;
}

ent_rc ent_age_opener_push(ent_age_opener *opener, ent_bytes sealed, ent_err *err)
{
    ENT_TRY(check_open(opener, err));
    ent_rc rc = take(opener, sealed, err);
    if (rc.code != ENT_OK)
        opener->state = OPENER_FAILED;
    return rc;
}

static ent_rc finish(ent_age_opener *opener, ent_err *err)
{
    if (opener->state == OPENER_HEADER)
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Header", "the file ends in its header");
    if (opener->state == OPENER_NONCE)
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Payload", "the file ends in its payload nonce");
    ENT_TRY(ent_age_last_chunk_check(opener->stream.chunk, opener->held, err));
    return open_chunk(opener, ent_bytes_of(opener->sealed, opener->held), true, err);
}

ent_rc ent_age_opener_finish(ent_age_opener *opener, ent_err *err)
{
    ENT_TRY(check_open(opener, err));
    ent_rc rc = finish(opener, err);
    opener->state = rc.code == ENT_OK ? OPENER_FINISHED : OPENER_FAILED;
    return rc;
}

/* --- in memory --- */

/* out has room for payload.size minus the tags. */
static ent_rc open_payload(ent_age_stream *stream, ent_bytes payload, uint8_t *out, ent_err *err)
{
    while (payload.size > ENT_AGE_SEALED_CHUNK_BYTES) {
        ent_bytes sealed = ent_bytes_of(payload.data, ENT_AGE_SEALED_CHUNK_BYTES);
        ENT_TRY(ent_age_chunk_check(ent_age_stream_open(stream, sealed, false, out), stream, err));
        out += ENT_AGE_CHUNK_BYTES;
        payload = skip(payload, sealed.size);
    }
    ENT_TRY(ent_age_last_chunk_check(stream->chunk, payload.size, err));
    return ent_age_chunk_check(ent_age_stream_open(stream, payload, true, out), stream, err);
}

static ent_rc open_body(ent_bytes body, const ent_file_key *key, ent_buf *ret, ent_err *err)
{
    if (body.size < ENT_AGE_NONCE_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Payload", "the file ends in its payload nonce");
    ent_bytes payload = skip(body, ENT_AGE_NONCE_SIZE);
    size_t before = payload.size == 0 ? 0 : (payload.size - 1) / ENT_AGE_SEALED_CHUNK_BYTES;
    size_t last = payload.size - before * ENT_AGE_SEALED_CHUNK_BYTES;
    size_t size = before * ENT_AGE_CHUNK_BYTES + (last > ENT_AEAD_TAG_SIZE ? last - ENT_AEAD_TAG_SIZE : 0);
    uint8_t nothing[1];
    uint8_t *out = size == 0 ? nothing : ent_buf_reserve(ret, size);
    if (out == NULL)
        return ent_buf_check(ret, err);

    ent_age_stream stream;
    ent_age_stream_start(&stream, key, body.data);
    ent_rc rc = open_payload(&stream, payload, out, err);
    if (rc.code == ENT_OK)
        ret->size += size;
    else
        ent_wipe(out, size);
    ent_wipe(&stream, sizeof stream);
    return rc;
}

ent_rc ent_age_open(ent_bytes sealed, ent_age_unwrapper unwrapper, ent_buf *ret, ent_file_key *ret_key, ent_err *err)
{
    ent_file_key key;
    size_t header_size = 0;
    ENT_TRY(ent_age_header_open(sealed, unwrapper, &key, &header_size, err));
    ent_rc rc = open_body(skip(sealed, header_size), &key, ret, err);
    if (rc.code == ENT_OK && ret_key != NULL)
        *ret_key = key;
    ent_wipe(&key, sizeof key);
    return rc;
}
