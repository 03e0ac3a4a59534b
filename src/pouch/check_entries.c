#include "pouch/check_steps.h"

/* What a log begins with, and nothing else is. */
static const char genesis_kind[] = "channel.genesis";

static bool is_member(const ent_pouch_checking *checking, ent_text party)
{
    return ent_genesis_member(checking->known->genesis, party) >= 0;
}

/* A thread or reply is to a member's message. That one in the own log must be earlier is the entry's own rule
 * (ent_entry_decode). */
static ent_rc check_reference(const ent_pouch_checking *checking, const char *field, const ent_message_ref *reference,
                              ent_err *err)
{
    if (!is_member(checking, reference->party))
        return ent_fail(err, ENT_PEER_INVALID, ENT_STEP_ENTRIES, "%s: %.*s is no member of this channel", field,
                        ENT_TEXT_ARG(reference->party));
    return ENT_DONE;
}

static ent_rc check_fields(const ent_pouch_checking *checking, const ent_entry *entry, uint64_t index, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    if (!ent_hash_equal(&entry->channel, &known->channel))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "channel: it belongs to another channel");
    if (!ent_text_equal(entry->writer, ent_pouch_checking_name(checking, known->writer)))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "writer: %.*s in the log of %.*s",
                        ENT_TEXT_ARG(entry->writer), ENT_TEXT_ARG(ent_pouch_checking_name(checking, known->writer)));
    if (entry->index != index)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "index: it says %" PRIu64, entry->index);
    if (ent_text_is(entry->kind, genesis_kind) != (index == 0))
        return ent_fail(err, ENT_PEER_INVALID, ENT_STEP_ENTRIES, "kind: %s",
                        index == 0 ? "entry 0 of a log must be channel.genesis"
                                   : "only entry 0 may be channel.genesis");
    if (entry->has_thread)
        ENT_TRY(check_reference(checking, "thread", &entry->thread, err));
    if (entry->has_reply_to)
        ENT_TRY(check_reference(checking, "reply_to", &entry->reply_to, err));
    for (size_t i = 0; i < entry->to_count; i++) {
        if (!is_member(checking, entry->to[i]))
            return ent_fail(err, ENT_PEER_INVALID, ENT_STEP_ENTRIES, "to: %.*s is no member of this channel",
                            ENT_TEXT_ARG(entry->to[i]));
    }
    return ENT_DONE;
}

static bool is_shown(ent_checked_head *heads, size_t count, size_t member, const ent_tree_head *head)
{
    for (size_t i = 0; i < count; i++) {
        ent_checked_head *given = &heads[i];
        if (given->member == member && given->head.size == head->size &&
            ent_hash_equal(&given->head.root, &head->root)) {
            given->acked = true;
            return true;
        }
    }
    return false;
}

/* "an ack is accepted only if that head, signed by its own log, is in heads/ or held": what our copy of a log yields
 * was signed when it came. Whoever acks what a key signed beyond its cutoff did not know of the cutoff: no fault of
 * his, and it counts for nothing. */
static ent_rc ack_is_signed(const ent_pouch_checking *checking, size_t member, const ent_tree_head *head,
                            bool *ret_signed, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    const ent_pouch_checked *out = checking->out;
    /* Of a log that forked its writer may have seen another history, with any number of heads: that is no fault of his,
     * and says nothing about ours. */
    if (is_shown(out->heads, out->head_count, member, head) || is_shown(out->passed, out->passed_count, member, head) ||
        ent_pouch_checking_forked(checking, member)) {
        *ret_signed = true;
        return ENT_DONE;
    }
    bool is_known = false;
    ent_hash ours;
    ENT_TRY(known->root_at(known->context, member, head->size, &is_known, &ours, err));
    if (is_known && ent_hash_equal(&ours, &head->root)) {
        *ret_signed = true;
        return ENT_DONE;
    }
    /* Ours he acks without showing each head, for we signed it: unless our store has forgotten it, or another signed. A
     * larger head tells. */
    if (member == known->self &&
        ((!is_known && ent_pouch_checking_reaches(out->heads, out->head_count, member, head->size)) ||
         ent_pouch_checking_reaches(out->passed, out->passed_count, member, head->size))) {
        *ret_signed = true;
        return ENT_DONE;
    }
    return known->head_held(known->context, member, head, ret_signed, err);
}

static ent_rc check_ack(ent_pouch_checking *checking, const ent_ack *ack, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    ent_text party = {NULL, 0};
    ent_hash channel;
    if (ent_origin_parse(ack->origin, &party, &channel, NULL).code != ENT_OK ||
        !ent_hash_equal(&channel, &known->channel))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "%.*s is no log of this channel",
                        ENT_TEXT_ARG(ack->origin));
    const int found = ent_genesis_member(known->genesis, party);
    if (found < 0 || (size_t)found == known->writer)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "%.*s is no other member of this channel",
                        ENT_TEXT_ARG(party));
    const size_t member = (size_t)found;
    if (ack->head.size == 0)
        return ent_fail(err, ENT_PEER_INVALID, ENT_STEP_ENTRIES, "%.*s: no entries are acked", ENT_TEXT_ARG(party));
    if (ack->head.size < checking->out->acked[member])
        return ent_fail(err, ENT_PEER_INVALID, ENT_STEP_ENTRIES, "%.*s: size %" PRIu64 " after %" PRIu64 " was acked",
                        ENT_TEXT_ARG(party), ack->head.size, checking->out->acked[member]);
    bool is_signed = known->writer == known->self; /* we checked it when we said it, and may have lost it since */
    if (!is_signed)
        ENT_TRY(ack_is_signed(checking, member, &ack->head, &is_signed, err));
    if (!is_signed)
        return ent_fail(err, ENT_PEER_INCONSISTENT, ENT_STEP_ENTRIES,
                        "%.*s: no head of size %" PRIu64 " with this root, signed by that log, is in heads/ or held",
                        ENT_TEXT_ARG(party), ack->head.size);
    checking->out->acked[member] = ack->head.size;
    return ENT_DONE;
}

static ent_rc check_entry(ent_pouch_checking *checking, size_t at, ent_err *err)
{
    ent_pouch_checked *out = checking->out;
    ent_entry *entry = &out->entries[at];
    ENT_TRY(ent_entry_decode(out->entry_bytes[at], &out->arena, entry, err));
    ENT_TRY(check_fields(checking, entry, out->first_new + at, err));
    for (size_t i = 0; i < entry->ack_count; i++) {
        ent_rc rc = check_ack(checking, &entry->acks[i], err);
        if (rc.code != ENT_OK)
            return ent_fail_in(err, rc, "acks");
    }
    return ENT_DONE;
}

ent_rc ent_pouch_check_entries(ent_pouch_checking *checking, ent_err *err)
{
    ent_pouch_checked *out = checking->out;
    void *memory = NULL;
    ENT_TRY(ent_pouch_checking_alloc(checking, out->new_count, sizeof *out->entries, &memory, err));
    out->entries = memory;
    for (size_t i = 0; i < out->new_count; i++) {
        ent_rc rc = check_entry(checking, i, err);
        if (rc.code != ENT_OK)
            return ent_pouch_checking_fail_in(err, rc, ENT_STEP_ENTRIES, "entry %" PRIu64, out->first_new + i);
    }
    return ENT_DONE;
}
