#include "seal/age_internal.h"

typedef enum { SEALER_OPEN = 0, SEALER_FINISHED, SEALER_FAILED } sealer_state;

struct ent_age_sealer {
    ent_age_sink sink;
    ent_age_stream stream;
    sealer_state state;
    size_t held;                               /* plaintext bytes in chunk */
    uint8_t chunk[ENT_AGE_SEALED_CHUNK_BYTES]; /* sealed in place */
};

/* --- streaming --- */

static ent_rc start_file(ent_age_sealer *sealer, const ent_recipient *recipients, size_t count, ent_err *err)
{
    ent_file_key key;
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ENT_CLEANUP(ent_buf_release) ent_buf head = {0};
    ent_random(key.bytes, sizeof key.bytes);
    ent_random(nonce, sizeof nonce);
    ent_rc rc = ent_age_header_make(&key, nonce, recipients, count, &head, err);
    if (rc.code == ENT_OK) {
        ent_buf_put(&head, ent_bytes_of(nonce, sizeof nonce));
        rc = ent_buf_check(&head, err);
    }
    if (rc.code == ENT_OK) {
        ent_age_stream_start(&sealer->stream, &key, nonce);
        rc = sealer->sink.write(sealer->sink.context, ent_buf_bytes(&head), err);
    }
    ent_wipe(&key, sizeof key);
    return rc;
}

ent_rc ent_age_sealer_new(const ent_recipient *recipients, size_t count, ent_age_sink sink, ent_age_sealer **ret,
                          ent_err *err)
{
    ENT_CLEANUP(ent_age_sealer_release) ent_age_sealer *sealer = ent_alloc(sizeof *sealer);
    if (sealer == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for sealing a file");
    sealer->sink = sink;
    ENT_TRY(start_file(sealer, recipients, count, err));
    *ret = ent_take(sealer);
    return ENT_DONE;
}

/* The sink gets the chunk; from here on it is gone, so a failure ends the file. */
static ent_rc put_chunk(ent_age_sealer *sealer, ent_bytes plaintext, bool final, ent_err *err)
{
    ent_age_stream_seal(&sealer->stream, plaintext, final, sealer->chunk);
    sealer->held = 0;
    ent_rc rc =
        sealer->sink.write(sealer->sink.context, ent_bytes_of(sealer->chunk, plaintext.size + ENT_AEAD_TAG_SIZE), err);
    if (rc.code != ENT_OK)
        sealer->state = SEALER_FAILED;
    return rc;
}

static ent_rc check_open(const ent_age_sealer *sealer, ent_err *err)
{
    if (sealer->state != SEALER_OPEN)
        return ent_fail(err, ENT_USAGE, NULL, "the sealed file has already %s",
                        sealer->state == SEALER_FAILED ? "failed" : "been finished");
    return ENT_DONE;
}

ent_rc ent_age_sealer_push(ent_age_sealer *sealer, ent_bytes plaintext, ent_err *err)
{
    ENT_TRY(check_open(sealer, err));
    while (plaintext.size > 0) {
        /* A full chunk waits until more comes, since the final chunk is sealed otherwise. */
        if (sealer->held == ENT_AGE_CHUNK_BYTES)
            ENT_TRY(put_chunk(sealer, ent_bytes_of(sealer->chunk, sealer->held), false, err));
        size_t taken = ENT_AGE_CHUNK_BYTES - sealer->held;
        if (taken > plaintext.size)
            taken = plaintext.size;
        if (taken == ENT_AGE_CHUNK_BYTES && plaintext.size > taken) {
            ENT_TRY(put_chunk(sealer, ent_bytes_of(plaintext.data, taken), false, err));
        } else {
            memcpy(sealer->chunk + sealer->held, plaintext.data, taken);
            sealer->held += taken;
        }
        plaintext = ent_bytes_of(plaintext.data + taken, plaintext.size - taken);
    }
    return ENT_DONE;
}

ent_rc ent_age_sealer_finish(ent_age_sealer *sealer, ent_err *err)
{
    ENT_TRY(check_open(sealer, err));
    ENT_TRY(put_chunk(sealer, ent_bytes_of(sealer->chunk, sealer->held), true, err));
    sealer->state = SEALER_FINISHED;
    return ENT_DONE;
}

void ent_age_sealer_free(ent_age_sealer *sealer)
{
    if (sealer == NULL)
        return;
    ent_wipe(sealer, sizeof *sealer);
    ent_free(sealer);
}

void ent_age_sealer_release(ent_age_sealer **sealer)
{
    ent_age_sealer_free(*sealer);
    *sealer = NULL;
}

/* --- in memory --- */

ent_rc ent_age_seal_with(const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE], ent_bytes plaintext,
                         const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err)
{
    size_t chunks = plaintext.size == 0 ? 1 : (plaintext.size - 1) / ENT_AGE_CHUNK_BYTES + 1;
    size_t size = 0;
    ENT_TRY(ent_age_recipients_check(recipients, count, err));
    size_t more = ent_age_header_size(count) + ENT_AGE_NONCE_SIZE + chunks * ENT_AEAD_TAG_SIZE;
    if (__builtin_add_overflow(plaintext.size, more, &size))
        return ent_fail(err, ENT_USAGE, NULL, "%zu bytes cannot be sealed in memory", plaintext.size);
    /* The whole file at once, so that every chunk is sealed where it stays. */
    if (ent_buf_reserve(ret, size) == NULL)
        return ent_buf_check(ret, err);
    ENT_TRY(ent_age_header_make(key, nonce, recipients, count, ret, err));
    ent_buf_put(ret, ent_bytes_of(nonce, ENT_AGE_NONCE_SIZE));

    ent_age_stream stream;
    ent_age_stream_start(&stream, key, nonce);
    for (size_t i = 0; i < chunks; i++) {
        bool final = i + 1 == chunks;
        size_t start = i * ENT_AGE_CHUNK_BYTES;
        size_t taken = final ? plaintext.size - start : ENT_AGE_CHUNK_BYTES;
        const uint8_t *from = taken == 0 ? NULL : plaintext.data + start;
        ent_age_stream_seal(&stream, ent_bytes_of(from, taken), final, ret->data + ret->size);
        ret->size += taken + ENT_AEAD_TAG_SIZE;
    }
    ent_wipe(&stream, sizeof stream);
    return ENT_DONE;
}

ent_rc ent_age_seal(ent_bytes plaintext, const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err)
{
    ent_file_key key;
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ent_random(key.bytes, sizeof key.bytes);
    ent_random(nonce, sizeof nonce);
    ent_rc rc = ent_age_seal_with(&key, nonce, plaintext, recipients, count, ret, err);
    ent_wipe(&key, sizeof key);
    return rc;
}
