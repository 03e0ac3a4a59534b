#include "seal/age_internal.h"

static const char rule[] = "age, Payload";

void ent_age_stream_start(ent_age_stream *stream, const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE])
{
    /* "payload key = HKDF-SHA-256(ikm = file key, salt = nonce, info = "payload")" */
    ent_hkdf_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), ent_bytes_of(nonce, ENT_AGE_NONCE_SIZE),
                    ENT_TEXT("payload"), stream->key.bytes, sizeof stream->key.bytes);
    stream->chunk = 0;
}

/* "the first 11 bytes are a big endian chunk counter starting at zero and incrementing by one for each subsequent
 * chunk; the last byte is 0x01 for the final chunk and 0x00 for all preceding ones". */
static void make_nonce(uint64_t chunk, bool final, uint8_t nonce[ENT_AEAD_NONCE_SIZE])
{
    memset(nonce, 0, 3);
    for (unsigned i = 0; i < 8; i++)
        nonce[3 + i] = (uint8_t)(chunk >> (56 - 8 * i));
    nonce[11] = final ? 1 : 0;
}

void ent_age_stream_seal(ent_age_stream *stream, ent_bytes plaintext, bool final, uint8_t *out)
{
    uint8_t nonce[ENT_AEAD_NONCE_SIZE];
    make_nonce(stream->chunk, final, nonce);
    ent_aead_seal(&stream->key, nonce, plaintext, out);
    stream->chunk++;
}

static bool open_as(const ent_age_stream *stream, ent_bytes sealed, bool final, uint8_t *out)
{
    uint8_t nonce[ENT_AEAD_NONCE_SIZE];
    make_nonce(stream->chunk, final, nonce);
    return ent_aead_open(&stream->key, nonce, sealed, out);
}

ent_age_chunk ent_age_stream_open(ent_age_stream *stream, ent_bytes sealed, bool last, uint8_t *out)
{
    ent_age_chunk found = ENT_AGE_CHUNK_BAD;
    if (open_as(stream, sealed, last, out))
        found = ENT_AGE_CHUNK_OPENED;
    /* A file cut or continued at the border of a chunk is told from one that was changed. */
    else if (sealed.size == ENT_AGE_SEALED_CHUNK_BYTES && open_as(stream, sealed, !last, out))
        found = last ? ENT_AGE_CHUNK_CUT : ENT_AGE_CHUNK_EARLY_FINAL;
    stream->chunk += found != ENT_AGE_CHUNK_BAD;
    return found;
}

ent_rc ent_age_last_chunk_check(uint64_t chunk, size_t sealed_size, ent_err *err)
{
    if (sealed_size < ENT_AEAD_TAG_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the file is cut: %zu bytes are left for chunk %llu",
                        sealed_size, (unsigned long long)chunk);
    /* "The final chunk MAY be shorter than 64 KiB but MUST NOT be empty unless the whole payload is empty." */
    if (sealed_size == ENT_AEAD_TAG_SIZE && chunk > 0)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the final chunk is empty, but the payload is not");
    return ENT_DONE;
}

ent_rc ent_age_chunk_check(ent_age_chunk found, const ent_age_stream *stream, ent_err *err)
{
    unsigned long long number = stream->chunk;
    switch (found) {
    case ENT_AGE_CHUNK_OPENED:
        return ENT_DONE;
    case ENT_AGE_CHUNK_EARLY_FINAL:
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "bytes follow the final chunk (%llu)", number - 1);
    case ENT_AGE_CHUNK_CUT:
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the file is cut after chunk %llu, which is not the final one",
                        number - 1);
    case ENT_AGE_CHUNK_BAD:
        break;
    }
    return ent_fail(err, ENT_PEER_SIGNATURE, rule, "chunk %llu does not verify: the file was cut or changed", number);
}
