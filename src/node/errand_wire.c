#include "node/errand_wire.h"

#include "base/cursor.h"

static ent_rc malformed(ent_err *err)
{
    return ent_fail(err, ENT_PEER_MALFORMED, "design 8, sandbox",
                    "a message between the node and its errands' process is malformed");
}

static bool is_word(ent_text word)
{
    for (size_t i = 0; i < word.size; i++) {
        if ((word.data[i] < 'a' || word.data[i] > 'z') && word.data[i] != '-')
            return false;
    }
    return word.size > 0 && word.size <= ENT_ERRAND_WORD_MAX_BYTES;
}

ent_rc ent_errand_request_put(const ent_errand_request *request, ent_buf *buf, ent_err *err)
{
    ent_buf_put_u8(buf, (uint8_t)request->errand);
    if (request->errand == ENT_ERRAND_EXECUTE) {
        if (!is_word(request->word))
            return ent_fail(err, ENT_USAGE, NULL, "\"%.*s\" is no word for an alert", ENT_TEXT_ARG(request->word));
        ent_buf_put_u8(buf, (uint8_t)request->word.size);
        ent_buf_put_text(buf, request->word);
        ent_buf_put(buf, request->bytes);
    } else if (request->errand == ENT_ERRAND_WRITE_CARD) {
        ent_buf_put(buf, request->bytes);
    } else if (request->errand == ENT_ERRAND_CERTIFICATE) {
        ent_buf_put_u64be(buf, request->serial);
    }
    return ent_buf_check(buf, err);
}

ent_rc ent_errand_request_parse(ent_bytes bytes, ent_errand_request *ret, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_errand_request request = {0};
    uint8_t errand = ent_cursor_u8(&cursor);
    if (errand < ENT_ERRAND_CONFIG || errand > ENT_ERRAND_CERTIFICATE)
        return malformed(err);
    request.errand = (ent_errand)errand;
    if (request.errand == ENT_ERRAND_EXECUTE) {
        request.word = ent_bytes_text(ent_cursor_take(&cursor, ent_cursor_u8(&cursor)));
        request.bytes = ent_cursor_take(&cursor, ent_cursor_left(&cursor));
        if (!is_word(request.word))
            return malformed(err);
    } else if (request.errand == ENT_ERRAND_WRITE_CARD) {
        request.bytes = ent_cursor_take(&cursor, ent_cursor_left(&cursor));
    } else if (request.errand == ENT_ERRAND_CERTIFICATE) {
        request.serial = ent_cursor_u64be(&cursor);
    }
    if (!ent_cursor_finished(&cursor))
        return malformed(err);
    *ret = request;
    return ENT_DONE;
}

ent_rc ent_errand_answer_put(const ent_err *outcome, ent_bytes content, ent_buf *buf, ent_err *err)
{
    ent_text rule = {outcome->rule, strnlen(outcome->rule, sizeof outcome->rule)};
    ent_text text = {outcome->text, strnlen(outcome->text, sizeof outcome->text)};
    ent_buf_put_u8(buf, (uint8_t)outcome->code);
    ent_buf_put_u8(buf, (uint8_t)rule.size);
    ent_buf_put_text(buf, rule);
    ent_buf_put_u16be(buf, (uint16_t)text.size);
    ent_buf_put_text(buf, text);
    ent_buf_put(buf, content);
    return ent_buf_check(buf, err);
}

static void take_string(ent_cursor *cursor, size_t size, char *ret, size_t room)
{
    ent_bytes bytes = ent_cursor_take(cursor, size);
    if (bytes.size >= room || (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL)) {
        ent_cursor_fail(cursor);
        return;
    }
    if (bytes.size > 0)
        memcpy(ret, bytes.data, bytes.size);
}

ent_rc ent_errand_answer_parse(ent_bytes bytes, ent_err *ret_outcome, ent_bytes *ret_content, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_err outcome = {.code = ent_cursor_u8(&cursor)};
    take_string(&cursor, ent_cursor_u8(&cursor), outcome.rule, sizeof outcome.rule);
    take_string(&cursor, ent_cursor_u16be(&cursor), outcome.text, sizeof outcome.text);
    ent_bytes content = ent_cursor_take(&cursor, ent_cursor_left(&cursor));
    if (!ent_cursor_finished(&cursor) || outcome.code >= ENT_CODE_COUNT)
        return malformed(err);
    *ret_outcome = outcome;
    *ret_content = content;
    return ENT_DONE;
}
