#include "log/cosignature.h"

#include "base/cursor.h"
#include "crypto/crypto.h"

#include <stdio.h>

static const char format_rule[] = "tlog-cosignature, Format";

/* origin, size of at most 16 digits, root of 44 characters, three newlines */
enum { CHECKPOINT_TEXT_MAX_BYTES = ENT_ORIGIN_MAX_BYTES + 16 + 44 + 3 };
/* "cosignature/v1\n", "time ", at most 19 digits, newline */
enum { HEADER_MAX_BYTES = 15 + 5 + 19 + 1 };

typedef struct {
    char text[HEADER_MAX_BYTES + CHECKPOINT_TEXT_MAX_BYTES + 1];
    size_t size;
} signed_message;

/* "two newline (U+000A) terminated lines (one header line and one timestamp line) followed by the whole note body of
 * the cosigned checkpoint (including the final newline, but not including any signature lines)". Built without the
 * heap: a lack of memory must not read as a signature that does not verify. */
static bool build_message(ent_text checkpoint_text, uint64_t timestamp_unix_s, signed_message *ret)
{
    ent_checkpoint checkpoint;
    if (timestamp_unix_s > INT64_MAX || checkpoint_text.size > CHECKPOINT_TEXT_MAX_BYTES ||
        ent_checkpoint_parse(checkpoint_text, &checkpoint, NULL).code != ENT_OK)
        return false;
    int header_size =
        snprintf(ret->text, sizeof ret->text, "cosignature/v1\ntime %llu\n", (unsigned long long)timestamp_unix_s);
    memcpy(ret->text + header_size, checkpoint_text.data, checkpoint_text.size);
    ret->size = (size_t)header_size + checkpoint_text.size;
    return true;
}

ent_rc ent_cosignature_parse(ent_bytes bytes, ent_cosignature *ret, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    uint64_t timestamp = ent_cursor_u64be(&cursor);
    ent_bytes signature = ent_cursor_take(&cursor, ENT_SIGNATURE_SIZE);
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "a timestamped signature has %d bytes, not %zu",
                        ENT_COSIGNATURE_SIZE, bytes.size);
    if (timestamp > INT64_MAX)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the time exceeds 2^63 - 1");
    ret->timestamp_unix_s = timestamp;
    memcpy(ret->signature.bytes, signature.data, sizeof ret->signature.bytes);
    return ENT_DONE;
}

ent_rc ent_cosignature_sign(ent_text checkpoint_text, uint64_t timestamp_unix_s, const ent_secret_key *secret,
                            ent_cosignature *ret, ent_err *err)
{
    signed_message message;
    if (!build_message(checkpoint_text, timestamp_unix_s, &message))
        return ent_fail(err, ENT_USAGE, "tlog-cosignature, Ed25519 signed message",
                        "only a checkpoint and a time up to 2^63 - 1 can be cosigned");
    ret->timestamp_unix_s = timestamp_unix_s;
    ent_ed25519_sign(secret, ent_bytes_of(message.text, message.size), &ret->signature);
    return ENT_DONE;
}

bool ent_cosignature_verify(ent_text checkpoint_text, const ent_cosignature *cosignature, const ent_public_key *key)
{
    signed_message message;
    return build_message(checkpoint_text, cosignature->timestamp_unix_s, &message) &&
           ent_ed25519_verify(key, ent_bytes_of(message.text, message.size), &cosignature->signature);
}

ent_signature_verdict ent_note_verify_cosignature(const ent_note *note, const ent_vkey *vkey,
                                                  ent_cosignature *ret_cosignature)
{
    if (vkey->type != ENT_KEY_COSIGNATURE)
        return ENT_SIGNATURE_NOT_CHECKED;
    ent_signature_verdict verdict = ENT_SIGNATURE_ABSENT;
    ent_cosignature earliest = {0};
    for (size_t i = 0; i < note->signature_count; i++) {
        ent_cosignature cosignature;
        if (!ent_note_signature_is_by(&note->signatures[i], vkey))
            continue;
        if (ent_cosignature_parse(note->signatures[i].signature, &cosignature, NULL).code != ENT_OK ||
            !ent_cosignature_verify(note->text, &cosignature, &vkey->key))
            return ENT_SIGNATURE_INVALID;
        if (verdict != ENT_SIGNATURE_VALID || cosignature.timestamp_unix_s < earliest.timestamp_unix_s)
            earliest = cosignature;
        verdict = ENT_SIGNATURE_VALID;
    }
    if (verdict == ENT_SIGNATURE_VALID && ret_cosignature != NULL)
        *ret_cosignature = earliest;
    return verdict;
}

void ent_note_put_cosignature(ent_buf *buf, const ent_vkey *vkey, const ent_cosignature *cosignature)
{
    uint8_t bytes[ENT_COSIGNATURE_SIZE];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(cosignature->timestamp_unix_s >> (56 - 8 * i));
    memcpy(bytes + 8, cosignature->signature.bytes, sizeof cosignature->signature.bytes);
    ent_note_put_signature(buf, vkey, ent_bytes_of(bytes, sizeof bytes));
}
