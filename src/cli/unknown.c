/* Fields that a newer version may have put into a body. They are kept and shown, but nobody shall take them for
 * understood; and a name that was mistyped is one too. */
#include "cli/fields.h"

#include "cli/terminal.h"

enum { UNKNOWN_NAMED = 16 };

typedef struct {
    ent_buf *out;
    ent_buf path;
    size_t count;
} walker;

static void release_walker(walker *at)
{
    ent_buf_release(&at->path);
}

static void found(walker *at)
{
    at->count++;
    if (at->count <= UNKNOWN_NAMED) {
        ent_buf_put_string(at->out, at->count == 1 ? "" : ", ");
        ent_cli_put_line(at->out, ent_buf_text(&at->path));
    }
}

static void look(walker *at, ent_json_value schema, ent_json_value value);

static void look_at_member(walker *at, ent_json_value schema, ent_text key, ent_json_value value)
{
    ent_json_value known = ent_json_get_text(ent_json_get(schema, "properties"), key);
    if (!ent_json_present(known))
        known = ent_json_get(schema, "additionalProperties");
    if (ent_json_type_of(known) == ENT_JSON_OBJECT)
        look(at, known, value);
    else
        found(at);
}

/* No deeper than the schema goes. */
static void look(walker *at, ent_json_value schema, ent_json_value value)
{
    bool is_object = ent_json_type_of(value) == ENT_JSON_OBJECT;
    ent_json_value items = ent_json_get(schema, "items");
    size_t size = at->path.size;
    size_t index = 0;
    if (!is_object && (ent_json_type_of(value) != ENT_JSON_ARRAY || !ent_json_present(items)))
        return;
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); index++) {
        if (is_object) {
            ent_buf_put_string(&at->path, size == 0 ? "" : ".");
            ent_buf_put_text(&at->path, i.key);
            look_at_member(at, schema, i.key, i.value);
        } else {
            ent_buf_put_format(&at->path, "[%zu]", index);
            look(at, items, i.value);
        }
        if (at->path.failed != ENT_OK)
            return;
        at->path.size = size;
    }
}

ent_rc ent_cli_put_unknown_fields(ent_buf *buf, const ent_kind *kind, ent_json_value fields, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    ENT_CLEANUP(release_walker) walker at = {.out = buf};
    ENT_TRY(ent_json_parse(ent_text_bytes(ent_kind_schema(kind)), &schema, err));
    look(&at, ent_json_root(schema), fields);
    ENT_TRY(ent_buf_check(&at.path, err));
    if (at.count > UNKNOWN_NAMED)
        ent_buf_put_format(buf, " and %zu more", at.count - UNKNOWN_NAMED);
    return ent_buf_check(buf, err);
}
