/* What the files of the age implementation share; not for other stages. */
#ifndef ENT_SEAL_AGE_INTERNAL_H
#define ENT_SEAL_AGE_INTERNAL_H

#include "crypto/crypto.h"
#include "seal/age.h"

enum {
    ENT_AGE_SEALED_CHUNK_BYTES = ENT_AGE_CHUNK_BYTES + ENT_AEAD_TAG_SIZE,
    ENT_AGE_WRAPPED_KEY_SIZE = ENT_FILE_KEY_SIZE + ENT_AEAD_TAG_SIZE
};

#define ENT_AGE_VERSION_LINE ENT_TEXT("age-encryption.org/v1\n")

/* --- header --- */

/** Find the end of a header that may not be complete: the first line that starts with "---".
 *  @in   from   start of a line; pass what *ret_from gave to go on when more bytes are there
 *  @out  ret_size   size of the header   @out ret_from   start of the first line that is not complete
 *  Returns whether the end is there. */
bool ent_age_header_end(ent_bytes bytes, size_t from, size_t *ret_size, size_t *ret_from);

/** Whether recipients can be sealed to as a set.  Errors: USAGE (none, too many, one twice). */
ENT_RC ent_age_recipients_check(const ent_recipient *recipients, size_t count, ent_err *err);
/** Bytes of the header that ent_age_header_make appends. */
size_t ent_age_header_size(size_t recipient_count);
/** Append the one header that this file key, nonce and recipients give.
 *  Source: design.md section 2 "Body and attachments".
 *  Errors: USAGE (the recipients), NOMEM, PEER_TOO_LARGE (the buffer's limit). */
ENT_RC ent_age_header_make(const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE],
                           const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err);

/** Parse the header at the start of bytes, ask for its file key and verify the header's MAC with it.
 *  Errors: those of ent_age_header_parse and of the unwrapper, PEER_SIGNATURE. */
ENT_RC ent_age_header_open(ent_bytes bytes, ent_age_unwrapper unwrapper, ent_file_key *ret_key, size_t *ret_size,
                           ent_err *err);

/* --- payload --- */

/** Position in a payload; wiped by its owner. */
typedef struct {
    ent_aead_key key;
    uint64_t chunk; /* number of the next one */
} ent_age_stream;

void ent_age_stream_start(ent_age_stream *stream, const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE]);
/** Seal the next chunk; out has room for 16 bytes more and may be the same memory. */
void ent_age_stream_seal(ent_age_stream *stream, ent_bytes plaintext, bool final, uint8_t *out);

typedef enum {
    ENT_AGE_CHUNK_BAD = 0, /* does not verify; out is undefined */
    ENT_AGE_CHUNK_OPENED,
    ENT_AGE_CHUNK_EARLY_FINAL, /* opened, but is the final chunk while more bytes follow */
    ENT_AGE_CHUNK_CUT          /* opened, but is not the final chunk though nothing follows */
} ent_age_chunk;

/** Open the next chunk; out has room for sealed.size - 16.
 *  @in   last   whether nothing follows it in the file */
ent_age_chunk ent_age_stream_open(ent_age_stream *stream, ent_bytes sealed, bool last, uint8_t *out);
/** Whether the last chunk of a file, with this number, may have this sealed size.  Errors: PEER_MALFORMED. */
ENT_RC ent_age_last_chunk_check(uint64_t chunk, size_t sealed_size, ent_err *err);
/** The error for what ent_age_stream_open gave.  Errors: PEER_SIGNATURE, PEER_MALFORMED. */
ENT_RC ent_age_chunk_check(ent_age_chunk found, const ent_age_stream *stream, ent_err *err);

/* --- whole files --- */

/** ent_age_seal with a given file key and nonce: the same bytes each time. Never seal two contents with one key. */
ENT_RC ent_age_seal_with(const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE], ent_bytes plaintext,
                         const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err);

#endif
