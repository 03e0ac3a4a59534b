/* age v1 files with X25519 recipients, whole or streaming.  Source: C2SP age; design.md section 2 "Body and
 * attachments". */
#ifndef ENT_SEAL_AGE_H
#define ENT_SEAL_AGE_H

#include "base/alloc.h"
#include "crypto/types.h"

enum {
    ENT_AGE_HEADER_MAX_BYTES = 64 * 1024,
    ENT_AGE_MAX_STANZAS = 64,
    ENT_AGE_MAX_RECIPIENTS = 33, /* 32 members and a neutral */
    ENT_AGE_NONCE_SIZE = 16,
    ENT_AGE_CHUNK_BYTES = 64 * 1024
};

typedef struct {
    ent_text type;
    ent_text *arguments; /* after the type */
    size_t argument_count;
    ent_bytes body; /* decoded */
} ent_age_stanza;

/** A parsed header. Texts borrow from the parsed bytes, bodies live in the arena. */
typedef struct {
    ent_age_stanza *stanzas;
    size_t stanza_count;
    ent_bytes mac_input; /* the header up to and including "---" */
    uint8_t mac[32];
    size_t size; /* bytes of the whole header, with its final newline */
    ent_arena arena;
} ent_age_header;

/** Parse the header at the start of bytes; what follows it is not looked at.
 *  @in   bytes   borrowed as long as the header lives
 *  Errors: PEER_MALFORMED (also when the header is not complete), PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_age_header_parse(ent_bytes bytes, ent_age_header *ret, ent_err *err);
void ent_age_header_release(ent_age_header *header);
/** Append the header as text: same bytes as parsed. */
void ent_age_header_put(ent_buf *buf, const ent_age_header *header);

/** Find the stanza for an identity, unwrap the file key and check the header's MAC.
 *  Errors: ABSENT when no stanza is for this identity, PEER_MALFORMED, PEER_SIGNATURE when the MAC is wrong. */
ENT_RC ent_age_unwrap(const ent_age_header *header, const ent_identity *identity, ent_file_key *ret, ent_err *err);
/** Whether the header's MAC verifies under this file key: what a revealed key must show. */
bool ent_age_header_verify(const ent_age_header *header, const ent_file_key *key);

/** Gives the file key of a header: the keeper, or a revealed key. */
typedef struct {
    ENT_RC (*unwrap)(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err);
    void *context;
} ent_age_unwrapper;

/** Takes bytes as they become ready. */
typedef struct {
    ENT_RC (*write)(void *context, ent_bytes bytes, ent_err *err);
    void *context;
} ent_age_sink;

/* --- sealing --- */

/** Streaming encryption. */
typedef struct ent_age_sealer ent_age_sealer;

/** Start a file to these recipients, one stanza each in this order, with a random file key and payload nonce and the
 *  ephemeral secrets HKDF-SHA256(ikm = file key, salt = payload nonce, info = "entente/eph" || recipient, 32).
 *  Writes the header and nonce to the sink.
 *  @in   sink   its context must live as long as the sealer
 *  Errors: USAGE (no recipients, too many, one twice, one that is not ent_recipient_valid), NOMEM, those of the sink.
 *  Owns: caller frees with ent_age_sealer_free. */
ENT_RC ent_age_sealer_new(const ent_recipient *recipients, size_t count, ent_age_sink sink, ent_age_sealer **ret,
                          ent_err *err);
ENT_RC ent_age_sealer_push(ent_age_sealer *sealer, ent_bytes plaintext, ent_err *err);
/** Write the final chunk. Without it the file is truncated and cannot be opened. */
ENT_RC ent_age_sealer_finish(ent_age_sealer *sealer, ent_err *err);
void ent_age_sealer_free(ent_age_sealer *sealer);
void ent_age_sealer_release(ent_age_sealer **sealer);

/** Seal in memory, appending to ret.  Errors: as above, and those of the buffer. */
ENT_RC ent_age_seal(ent_bytes plaintext, const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err);

/* --- opening --- */

/** Streaming decryption of any age file that the unwrapper can open. */
typedef struct ent_age_opener ent_age_opener;
ENT_RC ent_age_opener_new(ent_age_unwrapper unwrapper, ent_age_sink sink, ent_age_opener **ret, ent_err *err);
/** Feed sealed bytes in pieces of any size; every whole chunk that verifies goes to the sink. After a failure, what the
 *  sink has got must be thrown away.
 *  Errors: PEER_MALFORMED, PEER_TOO_LARGE (header), PEER_SIGNATURE (MAC or chunk), those of the unwrapper and sink. */
ENT_RC ent_age_opener_push(ent_age_opener *opener, ent_bytes sealed, ent_err *err);
/** The sealed bytes are over: open the last chunk and check that it was the final one.
 *  Errors: PEER_MALFORMED when the file is cut, PEER_SIGNATURE, those of the sink. */
ENT_RC ent_age_opener_finish(ent_age_opener *opener, ent_err *err);
void ent_age_opener_free(ent_age_opener *opener);
void ent_age_opener_release(ent_age_opener **opener);

/** Open in memory, appending the plaintext to ret (wiped by the caller with ent_buf_wipe).
 *  @out  ret_key   nullable; the file key
 *  Errors: those of ent_age_opener_push and _finish, of the unwrapper and of the buffer. */
ENT_RC ent_age_open(ent_bytes sealed, ent_age_unwrapper unwrapper, ent_buf *ret, ent_file_key *ret_key, ent_err *err);

/** An unwrapper that holds one identity (context: const ent_identity *) or one known file key (const
 *  ent_file_key *); it must live as long as the unwrapper is used. */
ent_age_unwrapper ent_age_identity_unwrapper(const ent_identity *identity);
ent_age_unwrapper ent_age_key_unwrapper(const ent_file_key *key);

/* --- reveal --- */

typedef enum {
    ENT_SEAL_NOT_CHECKED = 0,
    ENT_SEAL_AS_AGREED, /* header = what these recipients, this key and this nonce give, byte for byte */
    ENT_SEAL_OTHERWISE  /* some member may be unable to open it */
} ent_seal_verdict;

/** Recompute every stanza from the file key and compare the header byte for byte. A key under which the header's MAC
 *  does not verify is refused, not judged: anybody can show a wrong key.
 *  @in   sealed       at least the header and the 16-byte payload nonce
 *  @in   recipients   in genesis order
 *  Errors: PEER_MALFORMED, PEER_TOO_LARGE (header), PEER_SIGNATURE (not this file's key), USAGE (recipients), NOMEM. */
ENT_RC ent_seal_check(ent_bytes sealed, const ent_file_key *key, const ent_recipient *recipients, size_t count,
                      ent_seal_verdict *ret, ent_err *err);

#endif
