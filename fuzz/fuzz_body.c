/* A body is held to every kind in turn. What is taken is taken again when it is written anew, with the same marking;
 * what is refused leaves nothing behind. */
#include "message/kind.h"

#include <stdint.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_taken(const ent_kinds *kinds, ent_text kind, size_t attachments, const ent_body *body)
{
    ent_body again;
    ent_buf json = {0};
    ent_json_put_value(&json, ent_json_root(body->document));
    require(ent_buf_check(&json, NULL).code == ENT_OK);
    if (json.size <= ENT_JSON_MAX_BYTES) {
        require(ent_body_parse(kinds, kind, ent_buf_bytes(&json), attachments, &again, NULL).code == ENT_OK);
        require(again.content_marking == body->content_marking);
        require(ent_text_equal(again.authentic, body->authentic));
        ent_body_release(&again);
    }
    require(ent_json_type_of(body->fields) == ENT_JSON_OBJECT);
    require(ent_json_count(body->files) == attachments);
    require(ent_json_count(body->text) == 0 || ent_json_present(ent_json_get_text(body->text, body->authentic)));
    ent_buf_release(&json);
}

static void check_terms(const ent_body *body)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_buf terms = {0};
    require(ent_body_terms(body, salt, &terms, NULL).code == ENT_OK);
    ent_buf_release(&terms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ent_kinds *kinds;
    if (kinds == NULL)
        require(ent_kinds_new(&kinds, NULL).code == ENT_OK);
    for (size_t row = 0; row <= ent_kind_count(); row++) {
        const ent_kind *known = ent_kind_at(row);
        ent_text kind = known == NULL ? ENT_TEXT("unknown.kind") : ent_text_of(known->name);
        for (size_t attachments = 0; attachments <= 1; attachments++) {
            ent_body body;
            ent_err err = {0};
            ent_rc rc = ent_body_parse(kinds, kind, ent_bytes_of(data, size), attachments, &body, &err);
            if (rc.code == ENT_OK) {
                check_taken(kinds, kind, attachments, &body);
                if (ent_text_is(kind, "channel.genesis"))
                    check_terms(&body);
                ent_body_release(&body);
            } else {
                require(ent_code_class(rc.code) == ENT_CLASS_PEER && err.code == rc.code && err.text[0] != 0);
                if (rc.code != ENT_PEER_INVALID)
                    return 0; /* no JSON: the same for every kind */
            }
        }
    }
    return 0;
}
