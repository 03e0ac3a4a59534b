#include "log/tlog_proof.h"

#include "base/cursor.h"

static const char format_rule[] = "tlog-proof, Format";

#define HEADER ENT_TEXT("c2sp.org/tlog-proof@v1\n")

enum { PIECE_BASE64_SIZE = 240, PIECE_BYTES = 180 };

/* Whether the text is canonical, padded base64 of 1..limit bytes; piece by piece, so that no memory is needed. */
static bool is_base64(ent_text text, size_t limit)
{
    uint8_t piece[PIECE_BYTES];
    if (text.size == 0 || text.size % 4 != 0)
        return false;
    size_t padding = text.data[text.size - 1] != '=' ? 0 : text.data[text.size - 2] != '=' ? 1 : 2;
    if (text.size / 4 * 3 - padding > limit)
        return false;
    while (text.size > PIECE_BASE64_SIZE) {
        ent_text first = {text.data, PIECE_BASE64_SIZE};
        if (ent_base64_decode_fixed(first, true, piece, PIECE_BYTES, NULL).code != ENT_OK)
            return false;
        text = (ent_text){text.data + PIECE_BASE64_SIZE, text.size - PIECE_BASE64_SIZE};
    }
    return ent_base64_decode_fixed(text, true, piece, text.size / 4 * 3 - padding, NULL).code == ENT_OK;
}

/* "The next zero or more non-empty lines are the base64-encoded Merkle inclusion proof [...], one SHA-256 hash per
 * line", then an empty line. */
static ent_rc parse_hashes(ent_cursor *cursor, ent_tree_proof *proof, ent_err *err)
{
    for (;;) {
        ent_text line = ent_cursor_line(cursor);
        if (cursor->failed)
            return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "no empty line after the inclusion proof");
        if (line.size == 0)
            return ENT_DONE;
        if (proof->count == ENT_PROOF_MAX_HASHES)
            return ent_fail(err, ENT_PEER_TOO_LARGE, format_rule, "an inclusion proof of more than %d hashes",
                            ENT_PROOF_MAX_HASHES);
        ent_rc rc = ent_base64_decode_fixed(line, true, proof->hashes[proof->count].bytes, ENT_HASH_SIZE, err);
        if (rc.code != ENT_OK)
            return ent_fail_in(err, rc, "hash %zu of the inclusion proof", proof->count + 1);
        proof->count++;
    }
}

ent_rc ent_tlog_proof_parse(ent_bytes bytes, ent_tlog_proof *ret, ent_err *err)
{
    if (bytes.size > ENT_TLOG_PROOF_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, format_rule, "a proof of %zu bytes; at most %d are accepted",
                        bytes.size, ENT_TLOG_PROOF_MAX_BYTES);
    ent_tlog_proof proof = {0};
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_cursor_literal(&cursor, HEADER);
    if (cursor.failed)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the first line is not c2sp.org/tlog-proof@v1");
    proof.has_extra = ent_cursor_accept(&cursor, ENT_TEXT("extra "));
    if (proof.has_extra) {
        /* "If no extra data is present, this line is omitted": it is never empty. */
        proof.extra_base64 = ent_cursor_line(&cursor);
        if (cursor.failed || !is_base64(proof.extra_base64, ENT_TLOG_PROOF_MAX_EXTRA))
            return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the extra line is not base64 of 1 to %d bytes",
                            ENT_TLOG_PROOF_MAX_EXTRA);
    }
    ent_cursor_literal(&cursor, ENT_TEXT("index "));
    ent_text index = ent_cursor_line(&cursor);
    if (cursor.failed || !ent_decimal_parse(index, ENT_LOG_MAX_SIZE - 1, &proof.index))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "no index line with a decimal number below 2^53");
    ENT_TRY(parse_hashes(&cursor, &proof.inclusion, err));
    proof.checkpoint = ent_cursor_take(&cursor, ent_cursor_left(&cursor));
    if (proof.checkpoint.size == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "no checkpoint after the inclusion proof");
    if (proof.checkpoint.size > ENT_NOTE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, format_rule, "a checkpoint of %zu bytes; at most %d are accepted",
                        proof.checkpoint.size, ENT_NOTE_MAX_BYTES);
    *ret = proof;
    return ENT_DONE;
}

void ent_tlog_proof_put(ent_buf *buf, const ent_tlog_proof *proof)
{
    ent_buf_put_text(buf, HEADER);
    if (proof->has_extra) {
        ent_buf_put_string(buf, "extra ");
        ent_buf_put_text(buf, proof->extra_base64);
        ent_buf_put_u8(buf, '\n');
    }
    ent_buf_put_string(buf, "index ");
    ent_buf_put_decimal(buf, proof->index);
    ent_buf_put_u8(buf, '\n');
    for (size_t i = 0; i < proof->inclusion.count; i++) {
        ent_buf_put_base64(buf, ent_hash_bytes(&proof->inclusion.hashes[i]));
        ent_buf_put_u8(buf, '\n');
    }
    ent_buf_put_u8(buf, '\n');
    ent_buf_put(buf, proof->checkpoint);
}
