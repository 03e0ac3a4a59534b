#include "message/kind.h"

#include "message/kind_internal.h"
#include "message/schemas.h"

/* design.md, section 4; sorted by name. */
static const ent_kind table[] = {
    {.name = "answer.acknowledgement",
     .title = "Acknowledgement (is not concurrence)",
     .schema = ent_schema_answer_acknowledgement,
     .is_answer = true,
     .needs_reply_to = true},
    {.name = "answer.response",
     .title = "Response",
     .schema = ent_schema_answer_response,
     .is_answer = true,
     .needs_reply_to = true,
     .needs_text = true},
    {.name = "channel.genesis",
     .title = "Genesis of the channel",
     .schema = ent_schema_channel_genesis,
     .before_open = true,
     .by_node = true},
    {.name = "channel.notice",
     .title = "Notice that a message is contested",
     .schema = ent_schema_channel_notice,
     .by_node = true},
    {.name = "contact.check",
     .title = "Communication check",
     .schema = ent_schema_contact_check,
     .before_open = true,
     .is_answer = true,
     .wants_answer = true},
    {.name = "evidence.held", .title = "Evidence held", .schema = ent_schema_evidence_held, .by_node = true},
    {.name = "evidence.item", .title = "Evidence", .schema = ent_schema_evidence_item},
    {.name = "incident.notification",
     .title = "Incident notification",
     .schema = ent_schema_incident_notification,
     .wants_answer = true,
     .needs_text = true},
};

enum { KIND_COUNT = sizeof table / sizeof table[0] };

size_t ent_kind_count(void)
{
    return KIND_COUNT;
}

const ent_kind *ent_kind_at(size_t at)
{
    return at < KIND_COUNT ? &table[at] : NULL;
}

size_t ent_kind_row(ent_text name)
{
    size_t row = 0;
    while (row < KIND_COUNT && !ent_text_is(name, table[row].name))
        row++;
    return row;
}

const ent_kind *ent_kind_find(ent_text name)
{
    return ent_kind_at(ent_kind_row(name));
}

ent_rc ent_kind_check_entry(const ent_entry *entry, ent_err *err)
{
    static const char rule[] = "design.md, section 4 \"What parties say\"";
    const ent_kind *kind = ent_kind_find(entry->kind);
    if (kind == NULL)
        return ENT_DONE;
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
        kinds->fields = ent_alloc_array(KIND_COUNT, sizeof(ent_schema *));
    if (kinds == NULL || kinds->fields == NULL)
        rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory for the kinds of messages");
    else
        rc = ent_schema_compile(ent_text_of(ent_schema_envelope), &kinds->envelope, err);
    for (size_t i = 0; i < KIND_COUNT && rc.code == ENT_OK; i++) {
        rc = ent_schema_compile(ent_text_of(table[i].schema), &kinds->fields[i], err);
        if (rc.code != ENT_OK)
            rc = ent_fail_in(err, rc, "schema of %s", table[i].name);
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
    for (size_t i = 0; kinds->fields != NULL && i < KIND_COUNT; i++)
        ent_schema_free(kinds->fields[i]);
    ent_free(kinds->fields);
    ent_schema_free(kinds->envelope);
    ent_free(kinds);
}
