#include "message/kind.h"

#include "message/kind_internal.h"
#include "message/schemas.h"

/* design.md, section 4; sorted by name. */
static const ent_kind kinds[] = {
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

enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

size_t ent_kind_count(void)
{
    return KIND_COUNT;
}

const ent_kind *ent_kind_at(size_t at)
{
    return at < KIND_COUNT ? &kinds[at] : NULL;
}

size_t ent_kind_row(ent_text name)
{
    size_t row = 0;
    while (row < KIND_COUNT && !ent_text_is(name, kinds[row].name))
        row++;
    return row;
}

const ent_kind *ent_kind_find(ent_text name)
{
    return ent_kind_at(ent_kind_row(name));
}

ent_rc ent_kinds_new(ent_kinds **ret, ent_err *err)
{
    ent_kinds *all = ent_alloc(sizeof *all);
    ent_rc rc = {ENT_NOMEM};
    if (all != NULL)
        all->fields = ent_alloc_array(KIND_COUNT, sizeof(ent_schema *));
    if (all == NULL || all->fields == NULL)
        rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory for the kinds of messages");
    else
        rc = ent_schema_compile(ent_text_of(ent_schema_envelope), &all->envelope, err);
    for (size_t i = 0; i < KIND_COUNT && rc.code == ENT_OK; i++) {
        rc = ent_schema_compile(ent_text_of(kinds[i].schema), &all->fields[i], err);
        if (rc.code != ENT_OK)
            rc = ent_fail_in(err, rc, "schema of %s", kinds[i].name);
    }
    if (rc.code != ENT_OK) {
        ent_kinds_free(all);
        return rc;
    }
    *ret = all;
    return ENT_DONE;
}

void ent_kinds_free(ent_kinds *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; all->fields != NULL && i < KIND_COUNT; i++)
        ent_schema_free(all->fields[i]);
    ent_free(all->fields);
    ent_schema_free(all->envelope);
    ent_free(all);
}
