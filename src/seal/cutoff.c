#include "seal/cutoff.h"

#include "base/cursor.h"
#include "crypto/crypto.h"
#include "log/tree.h"
#include "seal/card.h"

#include <inttypes.h>

static const char rule[] = "design.md section 2, Rotation";

#define FIRST_LINE_START ENT_TEXT("entente.cutoff/v1 ")

#define MAX_SERIAL ((1ULL << 53) - 1)

static ent_rc make_root_vkey(ent_text party, const ent_public_key *root, ent_buf *name, ent_vkey *ret, ent_err *err)
{
    ent_root_key_name_put(name, party);
    ENT_TRY(ent_buf_check(name, err));
    return ent_vkey_make(ent_buf_text(name), ENT_KEY_ED25519, root, ret, err);
}

/* What one cutoff may say after the one before it; NULL when it may. */
static const char *fault_of(const ent_cutoff *row, const ent_cutoff *before)
{
    ent_hash empty;
    ent_empty_root(&empty);
    if (row->head.size > ENT_LOG_MAX_SIZE)
        return "its size is larger than a log can be";
    if (row->head.size == 0 && !ent_hash_equal(&row->head.root, &empty))
        return "a log of no entries has the empty root";
    if (row->serial < 2 || row->serial > MAX_SERIAL)
        return "its serial is not that of a second or later card";
    if (before == NULL)
        return NULL;
    if (row->serial <= before->serial)
        return "its serial is not larger than that of the cutoff before";
    if (row->head.size < before->head.size)
        return "its size is smaller than that of the cutoff before";
    if (row->head.size == before->head.size && !ent_hash_equal(&row->head.root, &before->head.root))
        return "it gives another root for the size of the cutoff before";
    return NULL;
}

static ent_rc check(const ent_cutoffs *cutoffs, ent_code code, ent_err *err)
{
    if (cutoffs->count == 0 || cutoffs->count > ENT_CUTOFFS_MAX)
        return ent_fail(err, code, rule, "a cutoff note holds 1 to %d cutoffs", ENT_CUTOFFS_MAX);
    for (size_t i = 0; i < cutoffs->count; i++) {
        const char *fault = fault_of(&cutoffs->rows[i], i == 0 ? NULL : &cutoffs->rows[i - 1]);
        if (fault != NULL)
            return ent_fail(err, code, rule, "cutoff %zu: %s", i + 1, fault);
    }
    return ENT_DONE;
}

ent_rc ent_cutoffs_sign(const ent_cutoffs *cutoffs, ent_text party, const ent_secret_key *root, ent_buf *ret,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_public_key public_root;
    ent_vkey vkey;
    ENT_TRY(check(cutoffs, ENT_USAGE, err));
    if (cutoffs->origin.size == 0 || cutoffs->origin.size > ENT_ORIGIN_MAX_BYTES)
        return ent_fail(err, ENT_USAGE, rule, "an origin has 1 to %d bytes", ENT_ORIGIN_MAX_BYTES);
    ent_buf_put_text(&text, FIRST_LINE_START);
    ent_buf_put_text(&text, cutoffs->origin);
    ent_buf_put_u8(&text, '\n');
    for (size_t i = 0; i < cutoffs->count; i++) {
        const ent_cutoff *row = &cutoffs->rows[i];
        ent_buf_put_format(&text, "%" PRIu64 "\n", row->head.size);
        ent_buf_put_base64(&text, ent_hash_bytes(&row->head.root));
        ent_buf_put_format(&text, "\n%" PRIu64 "\n%s\n", row->serial, row->revoked ? "revoked" : "rotated");
    }
    ENT_TRY(ent_buf_check(&text, err));
    ent_ed25519_public(root, &public_root);
    ENT_TRY(make_root_vkey(party, &public_root, &name, &vkey, err));
    return ent_note_sign(ent_buf_text(&text), &vkey, root, ret, err);
}

static ent_rc malformed(ent_err *err, const char *why)
{
    return ent_fail(err, ENT_PEER_MALFORMED, rule, "not a cutoff note: %s", why);
}

static ent_rc read_cutoff(ent_cursor *lines, ent_cutoff *ret, ent_err *err)
{
    ent_text size = ent_cursor_line(lines);
    ent_text root = ent_cursor_line(lines);
    ent_text serial = ent_cursor_line(lines);
    ent_text word = ent_cursor_line(lines);
    *ret = (ent_cutoff){.revoked = ent_text_is(word, "revoked")};
    if (lines->failed || !ent_decimal_parse(size, ENT_LOG_MAX_SIZE, &ret->head.size) ||
        !ent_decimal_parse(serial, MAX_SERIAL, &ret->serial))
        return malformed(err, "after the first line each cutoff is a size, a root, a serial and a word, a line each");
    if (!ret->revoked && !ent_text_is(word, "rotated"))
        return malformed(err, "a cutoff ends with \"rotated\" or \"revoked\"");
    return ent_fail_in(err, ent_base64_decode_fixed(root, true, ret->head.root.bytes, sizeof ret->head.root.bytes, err),
                       "cutoff");
}

static ent_rc read_text(ent_text text, ent_cutoffs *ret, ent_err *err)
{
    ent_cursor lines = ent_cursor_of(ent_text_bytes(text));
    ent_cursor_literal(&lines, FIRST_LINE_START);
    ret->origin = ent_cursor_line(&lines);
    if (lines.failed || ret->origin.size == 0 || ret->origin.size > ENT_ORIGIN_MAX_BYTES)
        return malformed(err, "its first line is not \"entente.cutoff/v1 <origin>\"");
    while (ent_cursor_left(&lines) > 0) {
        if (ret->count == ENT_CUTOFFS_MAX)
            return malformed(err, "it holds more than 64 cutoffs");
        ENT_TRY(read_cutoff(&lines, &ret->rows[ret->count], err));
        ret->count++;
    }
    return check(ret, ENT_PEER_MALFORMED, err);
}

ent_rc ent_cutoffs_parse(ent_bytes bytes, ent_text party, const ent_public_key *root, ent_cutoffs *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_cutoffs cutoffs = {.count = 0};
    ent_vkey vkey;
    if (bytes.size > ENT_CUTOFF_NOTE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "a cutoff note has at most %d bytes, this has %zu",
                        ENT_CUTOFF_NOTE_MAX_BYTES, bytes.size);
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(make_root_vkey(party, root, &name, &vkey, err));
    if (ent_note_verify(&note, &vkey) != ENT_SIGNATURE_VALID)
        return ent_fail(err, ENT_PEER_SIGNATURE, rule, "the cutoff note is not signed by the root key of %.*s",
                        ENT_TEXT_ARG(party));
    ENT_TRY(read_text(note.text, &cutoffs, err));
    *ret = cutoffs;
    return ENT_DONE;
}

ent_rc ent_cutoffs_extend(const ent_cutoffs *known, const ent_cutoffs *next, ent_err *err)
{
    if (!ent_text_equal(known->origin, next->origin))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the cutoff note is of another log");
    if (next->count < known->count)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the cutoff note holds fewer cutoffs than are known");
    for (size_t i = 0; i < known->count; i++) {
        const ent_cutoff *a = &known->rows[i];
        const ent_cutoff *b = &next->rows[i];
        if (a->head.size != b->head.size || !ent_hash_equal(&a->head.root, &b->head.root) || a->serial != b->serial ||
            a->revoked != b->revoked)
            return ent_fail(err, ENT_PEER_MISMATCH, rule,
                            "cutoff %zu of %.*s is another than the one that is known: a cutoff is said once", i + 1,
                            ENT_TEXT_ARG(next->origin));
    }
    return ENT_DONE;
}
