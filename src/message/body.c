/* Opened bodies: the envelope around every kind, and what a schema cannot say. */
#include "message/kind_internal.h"

#include "message/schema_node.h"
#include "message/stix.h"

static const char rule[] = "design.md, section 4 \"What parties say\"";

static ent_rc invalid(ent_err *err, const char *text)
{
    return ent_fail(err, ENT_PEER_INVALID, rule, "%s", text);
}

/* "text{lang:...}, authentic": the ruling language is one that is there. */
static ent_rc check_text(const ent_body *body, const ent_kind *kind, ent_err *err)
{
    size_t languages = ent_json_count(body->text);
    if (languages == 0 && kind != NULL && kind->needs_text)
        return ent_fail(err, ENT_PEER_INVALID, rule,
                        "text: a body of kind %s says it in words, in at least one language", kind->name);
    if (languages == 0 && body->authentic.size > 0)
        return invalid(err, "authentic: names a language, but there is no text");
    if (languages > 0 && body->authentic.size == 0)
        return invalid(err, "authentic: is required with text; it names the language whose text rules");
    if (languages > 0 && !ent_json_present(ent_json_get_text(body->text, body->authentic)))
        return ent_fail(err, ENT_PEER_INVALID, rule, "authentic: there is no text in \"%.*s\"",
                        ENT_TEXT_ARG(body->authentic));
    return ENT_DONE;
}

/* Readers save attachments under these names: no name may leave the folder or confuse a terminal. */
static bool file_name_valid(ent_text name)
{
    if (name.size == 0 || name.size > 255 || ent_text_is(name, ".") || ent_text_is(name, ".."))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = (uint8_t)name.data[i];
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            return false;
    }
    return true;
}

static ent_rc check_files(const ent_body *body, size_t attachments, ent_err *err)
{
    ent_text names[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t count = 0;
    if (ent_json_count(body->files) != attachments || attachments > ENT_ENTRY_MAX_ATTACHMENTS)
        return ent_fail(err, ENT_PEER_INVALID, rule, "files: %zu rows for %zu attachments", ent_json_count(body->files),
                        attachments);
    for (ent_json_iter i = ent_json_iterate(body->files); ent_json_next(&i);) {
        ent_text name = ent_json_string(ent_json_get(i.value, "name"));
        schema_words shown = {.used = 0};
        schema_put_shown(&shown, name);
        if (!file_name_valid(name))
            return ent_fail(err, ENT_PEER_INVALID, rule,
                            "files[%zu].name: \"%s\" given; a file name has at most 255 bytes, no slash and no control "
                            "character",
                            count, shown.text);
        for (size_t k = 0; k < count; k++) {
            if (ent_text_equal(names[k], name))
                return ent_fail(err, ENT_PEER_INVALID, rule, "files[%zu].name: \"%s\" stands twice", count, shown.text);
        }
        names[count++] = name;
    }
    return ENT_DONE;
}

static ent_rc check_kind(const ent_kinds *kinds, ent_text kind, const ent_body *body, ent_err *err)
{
    size_t row = ent_kind_row(kind);
    if (row == ent_kind_count())
        return ENT_DONE;
    ENT_TRY(ent_schema_check(kinds->fields[row], body->fields, "fields", err));
    return ent_body_check_further(kind, body, err);
}

static ent_rc fill(const ent_kinds *kinds, ent_text kind, size_t attachments, ent_body *body, ent_err *err)
{
    ent_json_value root = ent_json_root(body->document);
    ENT_TRY(ent_schema_check(kinds->envelope, root, "", err));
    body->fields = ent_json_get(root, "fields");
    body->text = ent_json_get(root, "text");
    body->authentic = ent_json_string(ent_json_get(root, "authentic"));
    body->stix = ent_json_get(root, "stix");
    body->files = ent_json_get(root, "files");
    ENT_TRY(check_text(body, ent_kind_find(kind), err));
    ENT_TRY(check_files(body, attachments, err));
    if (ent_json_present(body->stix))
        ENT_TRY(ent_stix_check(body->stix, "stix", &body->content_marking, err));
    return check_kind(kinds, kind, body, err);
}

ent_rc ent_body_parse(const ent_kinds *kinds, ent_text kind, ent_bytes json, size_t attachments, ent_body *ret,
                      ent_err *err)
{
    ent_body body = {0};
    ENT_TRY(ent_json_parse(json, &body.document, err));
    ent_rc rc = fill(kinds, kind, attachments, &body, err);
    if (rc.code != ENT_OK) {
        ent_body_release(&body);
        return rc;
    }
    *ret = body;
    return ENT_DONE;
}

void ent_body_release(ent_body *body)
{
    ent_json_free(body->document);
    *body = (ent_body){0};
}

ent_rc ent_body_terms(const ent_body *body, uint8_t ret_salt[ENT_TERMS_SALT_SIZE], ent_buf *ret_terms, ent_err *err)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    size_t start = ret_terms->size;
    ent_text terms = ent_json_string(ent_json_get(body->fields, "terms"));
    ent_rc rc = ent_hex_decode(ent_json_string(ent_json_get(body->fields, "salt")), salt, sizeof salt, err);
    if (rc.code != ENT_OK || terms.data == NULL)
        return invalid(err, "fields: salt and terms are missing or not well formed");
    rc = ent_base64_decode(terms, ret_terms, err);
    if (rc.code != ENT_OK) {
        ret_terms->size = start;
        return rc.code == ENT_PEER_MALFORMED ? invalid(err, "fields.terms: not padded base64") : rc;
    }
    memcpy(ret_salt, salt, sizeof salt);
    return ENT_DONE;
}
