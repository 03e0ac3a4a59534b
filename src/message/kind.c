#include "message/kind.h"

#include "message/kind_internal.h"
#include "message/schemas.h"

size_t ent_kind_count(void)
{
    return ENT_KIND_COUNT;
}

const ent_kind *ent_kind_at(size_t at)
{
    return at < ENT_KIND_COUNT ? &ent_kind_rows[at] : NULL;
}

size_t ent_kind_row(ent_text name)
{
    size_t low = 0;
    size_t high = ENT_KIND_COUNT;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ent_text_compare(name, ent_text_of(ent_kind_rows[middle].name));
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return ENT_KIND_COUNT;
}

const ent_kind *ent_kind_find(ent_text name)
{
    return ent_kind_at(ent_kind_row(name));
}

bool ent_kind_asks(const ent_kind *kind, const ent_entry *entry)
{
    return kind->wants_answer && !(kind->is_answer && kind->starts_thread && entry->has_reply_to);
}

ent_text ent_kind_schema(const ent_kind *kind)
{
    return ent_text_of(kind->schema);
}

const char *ent_kind_example(const ent_kind *kind)
{
    return kind->example;
}

ent_rc ent_kind_check_entry(const ent_entry *entry, ent_err *err)
{
    static const char rule[] = "design.md, section 4 \"What parties say\"";
    const ent_kind *kind = ent_kind_find(entry->kind);
    if (kind == NULL)
        return ENT_DONE;
    if (kind->by_neutral)
        return ent_fail(err, ENT_PEER_INVALID, rule, "field kind: %s stands in the log of the channel's neutral alone",
                        kind->name);
    if (kind->needs_reply_to && !entry->has_reply_to)
        return ent_fail(err, ENT_PEER_INVALID, rule, "field reply_to: %s answers a message and must name it",
                        kind->name);
    if (!entry->has_body)
        return ent_fail(err, ENT_PEER_INVALID, rule, "field body: %s without a body says nothing", kind->name);
    return ENT_DONE;
}

ent_rc ent_kinds_new(ent_kinds **ret, ent_err *err)
{
    ent_kinds *kinds = ent_alloc(sizeof *kinds);
    ent_rc rc = {ENT_NOMEM};
    if (kinds != NULL)
        kinds->fields = ent_alloc_array(ENT_KIND_COUNT, sizeof(ent_schema *));
    if (kinds == NULL || kinds->fields == NULL)
        rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory for the kinds of messages");
    else
        rc = ent_schema_compile(ent_text_of(ent_schema_envelope), &kinds->envelope, err);
    for (size_t i = 0; i < ENT_KIND_COUNT && rc.code == ENT_OK; i++) {
        rc = ent_schema_compile(ent_text_of(ent_kind_rows[i].schema), &kinds->fields[i], err);
        if (rc.code != ENT_OK)
            rc = ent_fail_in(err, rc, "schema of %s", ent_kind_rows[i].name);
    }
    if (rc.code != ENT_OK) {
        ent_kinds_free(kinds);
        return rc;
    }
    *ret = kinds;
    return ENT_DONE;
}

void ent_kinds_free(ent_kinds *kinds)
{
    if (kinds == NULL)
        return;
    for (size_t i = 0; kinds->fields != NULL && i < ENT_KIND_COUNT; i++)
        ent_schema_free(kinds->fields[i]);
    ent_free(kinds->fields);
    ent_schema_free(kinds->envelope);
    ent_free(kinds);
}
