#include "log/checkpoint.h"

#include "base/cursor.h"
#include "crypto/crypto.h"
#include "log/tree.h"

static const char text_rule[] = "tlog-checkpoint, Note text";

static bool is_origin(ent_text text)
{
    if (text.size == 0 || text.size > ENT_ORIGIN_MAX_BYTES || !ent_utf8_valid(text))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if ((uint8_t)text.data[i] < 0x20)
            return false;
    }
    return true;
}

ent_rc ent_checkpoint_parse(ent_text text, ent_checkpoint *ret, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(text));
    ent_text origin = ent_cursor_line(&cursor);
    ent_text size = ent_cursor_line(&cursor);
    ent_text root = ent_cursor_line(&cursor);
    if (cursor.failed)
        return ent_fail(err, ENT_PEER_MALFORMED, text_rule, "a checkpoint has the lines origin, size and root");
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, text_rule, "extension lines are not accepted");
    if (!is_origin(origin))
        return ent_fail(err, ENT_PEER_MALFORMED, text_rule, "the origin is empty or longer than %d bytes",
                        ENT_ORIGIN_MAX_BYTES);

    ent_checkpoint checkpoint = {.origin = origin};
    if (!ent_decimal_parse(size, ENT_LOG_MAX_SIZE, &checkpoint.head.size))
        return ent_fail(err, ENT_PEER_MALFORMED, text_rule, "the tree size is not a decimal number up to 2^53");
    ent_rc rc = ent_base64_decode_fixed(root, true, checkpoint.head.root.bytes, sizeof checkpoint.head.root.bytes, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "root hash");
    ent_hash empty;
    ent_empty_root(&empty);
    if (checkpoint.head.size == 0 && !ent_hash_equal(&checkpoint.head.root, &empty))
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 6962, section 2.1",
                        "the root of no entries is the hash of nothing");
    *ret = checkpoint;
    return ENT_DONE;
}

void ent_checkpoint_put(ent_buf *buf, ent_text origin, const ent_tree_head *head)
{
    ent_buf_put_text(buf, origin);
    ent_buf_put_u8(buf, '\n');
    ent_buf_put_decimal(buf, head->size);
    ent_buf_put_u8(buf, '\n');
    ent_buf_put_base64(buf, ent_hash_bytes(&head->root));
    ent_buf_put_u8(buf, '\n');
}

ent_rc ent_checkpoint_open(ent_bytes bytes, ent_text origin, const ent_public_key *key, ent_note *ret_note,
                           ent_checkpoint *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    if (!ent_text_equal(checkpoint.origin, origin))
        return ent_fail(err, ENT_PEER_MISMATCH, text_rule, "the checkpoint is of another log than %.*s",
                        ENT_TEXT_ARG(origin));

    /* Equal to the wanted one, but possibly no key name: then no signature line can carry it. */
    ent_vkey vkey;
    if (ent_vkey_make(origin, ENT_KEY_ED25519, key, &vkey, NULL).code != ENT_OK)
        return ent_fail(err, ENT_PEER_SIGNATURE, "tlog-checkpoint, Signatures", "the origin is not a key name");
    if (ent_note_verify(&note, &vkey) != ENT_SIGNATURE_VALID)
        return ent_fail(err, ENT_PEER_SIGNATURE, "tlog-checkpoint, Signatures",
                        "the checkpoint has no valid signature by the key of %.*s", ENT_TEXT_ARG(origin));
    *ret_note = note;
    note = (ent_note){0};
    *ret = checkpoint;
    return ENT_DONE;
}

ent_rc ent_checkpoint_sign(ent_text origin, const ent_tree_head *head, const ent_secret_key *secret, ent_buf *ret,
                           ent_err *err)
{
    ent_public_key key;
    ent_vkey vkey;
    ent_checkpoint own;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_ed25519_public(secret, &key);
    ENT_TRY(ent_vkey_make(origin, ENT_KEY_ED25519, &key, &vkey, err));
    ent_checkpoint_put(&text, origin, head);
    ENT_TRY(ent_buf_check(&text, err));
    if (ent_checkpoint_parse(ent_buf_text(&text), &own, err).code != ENT_OK)
        return ent_fail(err, ENT_USAGE, text_rule, "a head of this size and root cannot be a checkpoint");
    return ent_note_sign(ent_buf_text(&text), &vkey, secret, ret, err);
}
