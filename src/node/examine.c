#include "node/examine.h"

#include "node/keys.h"
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

/* A writer may contest only what a cutoff of its revoked key leaves open. The cutoff is known: without it the head that
 * covers the entry could not be verified. Our own is checked as it is made. */
static ent_rc check_revocation(const ent_channel *channel, uint32_t member, const ent_facts *facts, ent_err *err)
{
    const ent_keys *keys = ent_channel_keys(channel, member);
    if (!facts->contests || member == channel->self)
        return ENT_DONE;
    for (size_t i = 1; i < keys->log_count; i++) {
        if (keys->log[i].revokes && keys->log[i].from == facts->contests_from)
            return ENT_DONE;
    }
    return ent_fail(err, ENT_PEER_INVALID, "design 2, Rotation",
                    "it contests entries from %llu on, and no cutoff says that a key was revoked there",
                    (unsigned long long)facts->contests_from);
}

static ent_rc examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_examined *work,
                      ent_err *err)
{
    ent_seal_verdict seal = ENT_SEAL_NOT_CHECKED;
    ent_store_revealed revealed = {.log = 0};
    if (!entry->has_body)
        return ent_kind_check_entry(entry, err); /* an unknown kind may do without */
    ent_rc rc =
        node->store->engine->reveal_get(node->store, channel->members[member].log.number, entry->index, &revealed, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    work->facts.proven_bad = revealed.state == ENT_REVEALED_BAD;
    if (work->facts.proven_bad)
        return ent_fail(
            err, ENT_PEER_INVALID, "design 3",
            "its writer has shown the file key with entry %llu: the body is not sealed as agreed, or is not "
            "valid",
            (unsigned long long)revealed.by);
    /* Our own was sealed by this node; what a key has shown to be well-formed stays so. */
    bool is_sure = member == channel->self || revealed.state == ENT_REVEALED_GOOD;
    ENT_TRY(ent_open_body(node, channel, member, entry->index, &work->plain, is_sure ? NULL : &seal, err));
    if (!is_sure && seal != ENT_SEAL_AS_AGREED)
        return ent_fail(err, ENT_PEER_INVALID, "design 2, Body",
                        "the body is not sealed as agreed: some member may be unable to open it");
    ENT_TRY(ent_body_parse(node->kinds, entry->kind, ent_buf_bytes(&work->plain), entry->attachment_count, &work->body,
                           err));
    ENT_TRY(ent_facts_read(&work->body, entry->kind, &work->facts, err));
    return check_revocation(channel, member, &work->facts, err);
}

ent_rc ent_examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_examined *ret,
                   ent_err *err)
{
    ent_examined work = {0};
    ent_rc rc = examine(node, channel, member, entry, &work, err);
    if (rc.code == ENT_OK) {
        *ret = work;
        return rc;
    }
    bool bad = work.facts.proven_bad;
    ent_examined_release(&work);
    *ret = (ent_examined){.facts.proven_bad = bad};
    return rc;
}
