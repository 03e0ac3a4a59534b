#include "pouch/check_steps.h"

#include "crypto/crypto.h"

/* A size that its entry gives is at most ENT_BODY_MAX_BYTES: ent_entry_decode takes no other. */
static ent_rc check_body(const ent_entry *entry, ent_bytes sealed, ent_err *err)
{
    if (!entry->has_body)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_BODIES, "its entry has no body");
    if (entry->body.size != sealed.size)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_BODIES, "%zu bytes, its entry says %" PRIu64, sealed.size,
                        entry->body.size);
    ent_hash digest;
    ent_sha256(sealed, &digest);
    if (!ent_hash_equal(&digest, &entry->body.digest))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_BODIES, "not the bytes whose digest its entry gives");
    return ENT_DONE;
}

/* A body that came with an entry we hold: decoded here alone, for it has been checked when it was new. */
static ent_rc check_held_body(const ent_pouch_checking *checking, const ent_pouch_body *body, ent_err *err)
{
    ent_arena arena ENT_CLEANUP(ent_arena_release) = {0};
    ent_entry entry;
    ENT_TRY(ent_entry_decode(checking->entry_bytes[body->index - checking->pouch->old_size], &arena, &entry, err));
    return check_body(&entry, body->sealed, err);
}

static ent_rc check_body_item(ent_pouch_checking *checking, const ent_pouch_body *body, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    ent_pouch_checked *out = checking->out;
    if (body->index < pouch->old_size || body->index >= pouch->size)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_BODIES, "its entry is not in the pouch");
    if (body->index < out->first_new)
        return check_held_body(checking, body, err);
    const size_t at = (size_t)(body->index - out->first_new);
    ENT_TRY(check_body(&out->entries[at], body->sealed, err));
    out->bodies[at] = body->sealed;
    return ENT_DONE;
}

ent_rc ent_pouch_check_bodies(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    ent_pouch_checked *out = checking->out;
    void *memory = NULL;
    ENT_TRY(ent_pouch_checking_alloc(checking, out->new_count, sizeof *out->bodies, &memory, err));
    out->bodies = memory;
    for (size_t i = 0; i < pouch->body_count; i++) {
        const ent_pouch_body *body = &pouch->bodies[i];
        /* Parsed bodies are sorted; without that a second one would go unseen. */
        if (i > 0 && body->index <= pouch->bodies[i - 1].index)
            return ent_fail(err, ENT_PEER_MALFORMED, ENT_STEP_BODIES,
                            "bodies/%" PRIu64 ".age comes twice or out of order", body->index);
        ent_rc rc = check_body_item(checking, body, err);
        if (rc.code != ENT_OK)
            return ent_pouch_checking_fail_in(err, rc, ENT_STEP_BODIES, "bodies/%" PRIu64 ".age", body->index);
    }
    for (size_t i = 0; i < out->new_count; i++) {
        if (out->entries[i].has_body && out->bodies[i].size == 0)
            return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_BODIES,
                            "bodies/%" PRIu64 ".age is missing: entry %" PRIu64 " has a body", out->first_new + i,
                            out->first_new + i);
    }
    return ENT_DONE;
}
