#include "http/client.h"

#include <stdio.h>

enum { EXCERPT_BYTES = 200, TEXT_BYTES = 480, RULE_BYTES = 95 };

/* Copy what a peer wrote so that it can be shown on a terminal: nothing that moves the cursor, at most size - 1 bytes,
 * whole characters. */
static void show(ent_text text, char *out, size_t size)
{
    bool utf8 = ent_utf8_valid(text);
    size_t used = 0;
    size_t i = 0;
    while (i < text.size) {
        unsigned char c = (unsigned char)text.data[i];
        size_t wide = !utf8 || c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (used + wide >= size)
            break;
        /* U+0080 to U+009F are control characters too. */
        bool control = c < 0x20 || c == 0x7f || (!utf8 && c >= 0x80) ||
                       (utf8 && c == 0xc2 && (unsigned char)text.data[i + 1] < 0xa0);
        if (control) {
            out[used++] = c == '\n' || c == '\t' ? ' ' : '?';
        } else {
            memcpy(out + used, text.data + i, wide);
            used += wide;
        }
        i += wide;
    }
    out[used] = 0;
}

static ent_code code_of_status(int status)
{
    switch (status) {
    case 400:
        return ENT_USAGE;
    case 401:
    case 403:
        return ENT_PEER_FORBIDDEN;
    case 404:
        return ENT_ABSENT;
    case 405:
        return ENT_METHOD;
    case 409:
        return ENT_REFUSED;
    case 413:
        return ENT_PEER_TOO_LARGE;
    case 429:
        return ENT_PEER_QUOTA;
    case 503:
        return ENT_RETRY;
    default:
        return status >= 400 && status < 500 ? ENT_PEER_INVALID : ENT_UNREACHABLE;
    }
}

/* Read {"error":{"code":word,"rule":…,"text":…}}; false when the body is something else. */
static bool read_reason(const ent_http_reply *reply, ent_rc *ret, ent_err *err)
{
    ent_json *json = NULL;
    if (ent_json_parse(ent_buf_bytes(&reply->body), &json, NULL).code != ENT_OK)
        return false;
    ent_json_value error = ent_json_get(ent_json_root(json), "error");
    ent_text word = ent_json_string(ent_json_get(error, "code"));
    int code = word.data == NULL ? ENT_CODE_COUNT : ent_code_from_word(word.data, word.size);
    bool found = code != ENT_CODE_COUNT && code != ENT_OK;
    if (found) {
        char rule[RULE_BYTES + 1];
        char text[TEXT_BYTES + 1];
        show(ent_json_string(ent_json_get(error, "rule")), rule, sizeof rule);
        show(ent_json_string(ent_json_get(error, "text")), text, sizeof text);
        *ret = ent_fail(err, (ent_code)code, rule, "%s", text);
    }
    ent_json_free(json);
    return found;
}

ent_rc ent_http_reply_check(const ent_http_reply *reply, ent_err *err)
{
    ent_rc reason = ENT_DONE;
    bool good = reply->status >= 200 && reply->status < 300;
    if (good && reply->status != ent_code_http_status(ENT_WAITING))
        return ENT_DONE;
    /* The one error with a status of success: what was asked is not done yet. */
    bool told = read_reason(reply, &reason, err);
    if (!told && good)
        return ENT_DONE;
    if (!told) {
        char excerpt[EXCERPT_BYTES + 1];
        show(ent_buf_text(&reply->body), excerpt, sizeof excerpt);
        reason = ent_fail(err, code_of_status(reply->status), NULL, "answered %d%s%s", reply->status,
                          excerpt[0] == 0 ? "" : ": ", excerpt);
    }
    if (err != NULL)
        err->retry_after_s = reply->retry_after_s;
    return reason;
}
