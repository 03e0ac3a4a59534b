/* Members of the terms that the schema does not name: a newer version may have put them there. They are listed, so that
 * nobody takes them for understood. */
#include "ledger/agreement_internal.h"

#include <stdio.h>

#include "crypto/crypto.h"

typedef struct {
    ent_agreement *agreement;
    ent_unknown_member *found; /* room for ENT_AGREEMENT_MAX_UNKNOWN */
    ent_buf path;              /* of the value being looked at */
    ent_buf text;              /* scratch */
    ent_err *err;
} walker;

static void put_key(ent_buf *path, ent_text key)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    if (path->size > 0)
        ent_buf_put_u8(path, '.');
    ent_buf_put_string(path, agreement_show(key, shown));
}

static ent_rc found(walker *w, ent_text key, ent_json_value value)
{
    size_t count = w->agreement->unknown_count;
    if (count == ENT_AGREEMENT_MAX_UNKNOWN)
        return agreement_refuse(w->err, "%.*s: more than %d members that this version does not know",
                                ENT_TEXT_ARG(ent_buf_text(&w->path)), ENT_AGREEMENT_MAX_UNKNOWN);
    ent_buf_clear(&w->text);
    ent_buf_put_text(&w->text, key);
    ent_buf_put_u8(&w->text, 0);
    ent_json_put_value(&w->text, value);
    ENT_TRY(ent_buf_check(&w->text, w->err));
    ent_text path = ent_arena_text(&w->agreement->arena, ent_buf_text(&w->path));
    if (path.data == NULL)
        return ent_fail(w->err, ENT_NOMEM, NULL, "out of memory for an agreement");
    w->found[count].path = path;
    ent_sha256(ent_buf_bytes(&w->text), &w->found[count].digest);
    w->agreement->unknown_count = count + 1;
    return ENT_DONE;
}

static ent_rc walk(walker *w, ent_json_value schema, ent_json_value value);

static ent_rc walk_member(walker *w, ent_json_value schema, ent_text key, ent_json_value value)
{
    ent_json_value properties = ent_json_get(schema, "properties");
    ent_json_value others = ent_json_get(schema, "additionalProperties");
    ent_json_value known = ent_json_get_text(properties, key);
    if (ent_json_present(known))
        return walk(w, known, value);
    if (ent_json_type_of(others) == ENT_JSON_OBJECT)
        return walk(w, others, value);
    return found(w, key, value);
}

/* Goes no deeper than the schema does. */
static ent_rc walk(walker *w, ent_json_value schema, ent_json_value value)
{
    size_t path_size = w->path.size;
    size_t index = 0;
    ent_json_type type = ent_json_type_of(value);
    if (type != ENT_JSON_OBJECT && type != ENT_JSON_ARRAY)
        return ENT_DONE;
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); index++) {
        if (type == ENT_JSON_OBJECT)
            put_key(&w->path, i.key);
        else
            ent_buf_put_format(&w->path, "[%zu]", index);
        ENT_TRY(ent_buf_check(&w->path, w->err));
        if (type == ENT_JSON_OBJECT)
            ENT_TRY(walk_member(w, schema, i.key, i.value));
        else
            ENT_TRY(walk(w, ent_json_get(schema, "items"), i.value));
        w->path.size = path_size;
    }
    return ENT_DONE;
}

static void release_walker(walker *w)
{
    ent_buf_release(&w->path);
    ent_buf_release(&w->text);
}

ent_rc agreement_list_unknown(ent_json_value terms, ent_agreement *ret, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    ENT_CLEANUP(release_walker) walker w = {.agreement = ret, .err = err};
    ENT_TRY(ent_json_parse(ent_text_bytes(ent_text_of(ent_schema_agreement)), &schema, err));
    w.found = agreement_array(ret, ENT_AGREEMENT_MAX_UNKNOWN, sizeof *w.found);
    if (w.found == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an agreement");
    ret->unknown = w.found;
    return walk(&w, ent_json_root(schema), terms);
}
