/* A body and the kind that it is held to: the first line names the kind, the rest is the body. The verdict is the same
 * every time, what is refused says why in words that a person can read, and what is taken can be written again. */
#include "check.h"

#include "message/kind.h"

#include <stdint.h>

typedef struct {
    int code;
    ent_err err;
    ent_body body;
} verdict;

static verdict judge(const ent_kinds *kinds, ent_text kind, ent_bytes json, size_t attachments)
{
    verdict ret = {.code = ENT_OK};
    ret.code = ent_body_parse(kinds, kind, json, attachments, &ret.body, &ret.err).code;
    return ret;
}

static void check_same(const ent_kinds *kinds, ent_text kind, ent_bytes json, size_t attachments, const verdict *first)
{
    verdict again = judge(kinds, kind, json, attachments);
    CHECK(again.code == first->code);
    CHECK(strcmp(again.err.text, first->err.text) == 0);
    CHECK(again.body.content_marking == first->body.content_marking);
    ent_body_release(&again.body);
}

/* Control characters of a peer must not reach a terminal through an error. */
static void check_refusal(const verdict *first)
{
    CHECK(ent_code_class(first->code) == ENT_CLASS_PEER);
    CHECK(first->err.code == first->code && first->err.text[0] != 0);
    for (const char *at = first->err.text; *at != 0; at++)
        CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
}

static void check_taken(const ent_kinds *kinds, ent_text kind, size_t attachments, const verdict *first)
{
    ent_buf printed = {0};
    ent_buf twice = {0};
    ent_json_put_value(&printed, ent_json_root(first->body.document));
    CHECK(ent_buf_check(&printed, NULL).code == ENT_OK);
    if (printed.size <= ENT_JSON_MAX_BYTES) {
        verdict again = judge(kinds, kind, ent_buf_bytes(&printed), attachments);
        CHECK(again.code == ENT_OK);
        ent_json_put_value(&twice, ent_json_root(again.body.document));
        CHECK(ent_bytes_equal(ent_buf_bytes(&printed), ent_buf_bytes(&twice)));
        ent_body_release(&again.body);
    }
    ent_buf_release(&printed);
    ent_buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ent_kinds *kinds;
    if (kinds == NULL)
        CHECK(ent_kinds_new(&kinds, NULL).code == ENT_OK);
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    if (end == NULL)
        return 0;
    ent_text kind = {(const char *)data, (size_t)(end - data)};
    const ent_kind *known = ent_kind_find(kind);
    CHECK(known == NULL || ent_text_is(kind, known->name));
    ent_bytes json = ent_bytes_of(end + 1, size - kind.size - 1);
    for (size_t attachments = 0; attachments <= 1; attachments++) {
        verdict first = judge(kinds, kind, json, attachments);
        check_same(kinds, kind, json, attachments, &first);
        if (first.code == ENT_OK)
            check_taken(kinds, kind, attachments, &first);
        else
            check_refusal(&first);
        ent_body_release(&first.body);
    }
    return 0;
}
