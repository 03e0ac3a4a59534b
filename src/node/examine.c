#include "node/examine.h"

#include "node/opener.h"

void ent_examined_release(ent_examined *examined)
{
    ent_facts_release(&examined->facts);
    ent_body_release(&examined->body);
    ent_buf_wipe(&examined->plain);
    *examined = (ent_examined){0};
}

bool ent_examine_failed(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM || error_class == ENT_CLASS_BUG ||
           error_class == ENT_CLASS_RETRY;
}

static ent_rc examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_examined *work,
                      ent_err *err)
{
    ent_seal_verdict seal = ENT_SEAL_NOT_CHECKED;
    bool is_own = member == channel->self; /* sealed by this node */
    if (!entry->has_body)
        return ent_kind_check_entry(entry, err); /* an unknown kind may do without */
    ENT_TRY(ent_open_body(node, channel, member, entry->index, &work->plain, is_own ? NULL : &seal, err));
    if (!is_own && seal != ENT_SEAL_AS_AGREED)
        return ent_fail(err, ENT_PEER_INVALID, "design 2, Body",
                        "the body is not sealed as agreed: some member may be unable to open it");
    ENT_TRY(ent_body_parse(node->kinds, entry->kind, ent_buf_bytes(&work->plain), entry->attachment_count, &work->body,
                           err));
    return ent_facts_read(&work->body, entry->kind, &work->facts, err);
}

ent_rc ent_examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_examined *ret,
                   ent_err *err)
{
    ent_examined work = {0};
    ent_rc rc = examine(node, channel, member, entry, &work, err);
    if (rc.code != ENT_OK)
        ent_examined_release(&work);
    else
        *ret = work;
    return rc;
}
