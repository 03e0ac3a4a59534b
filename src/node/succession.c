#include "node/succession.h"

#include "base/clock.h"
#include "ledger/ledger.h"
#include "node/channel.h"
#include "node/examine.h"
#include "node/ledgers.h"
#include "node/message_row.h"
#include "node/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char rule[] = "design 3, Fork";

void ent_succession_release(ent_succession *succession)
{
    ent_free(succession->rows);
    *succession = (ent_succession){0};
}

/* --- the last heads that all hold alike --- */

static int by_origin(const void *a, const void *b)
{
    return ent_text_compare(((const ent_predecessor_head *)a)->origin, ((const ent_predecessor_head *)b)->origin);
}

static ent_rc name_heads(ent_node *node, ent_channel *channel, const ent_ledger *past, ent_succession *ret,
                         ent_err *err)
{
    ent_ledgers_roots roots = {node, channel};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_predecessor_head *head = &ret->heads[ret->head_count];
        head->origin = ent_text_of(channel->members[m].origin);
        head->head.size = ent_ledger_size(past, m);
        if (head->head.size == 0)
            continue;
        ENT_TRY(ent_ledgers_root(&roots, m, head->head.size, &head->head.root, err));
        ret->head_count++;
    }
    qsort(ret->heads, ret->head_count, sizeof *ret->heads, by_origin);
    return ENT_DONE;
}

/* --- the duties that were open there --- */

typedef struct {
    const ent_channel *channel;
    const ent_member *members; /* of the successor */
    size_t member_count;
    bool same_members; /* nobody among them who was not in the predecessor */
    ent_succession *ret;
} collecting;

static bool is_among(const collecting *work, ent_text name)
{
    for (size_t i = 0; i < work->member_count; i++) {
        if (ent_text_equal(work->members[i].name, name))
            return true;
    }
    return false;
}

/* A message that stands alone and whose fields name no other message but related ones. */
static bool can_be_said_again(const char *kind)
{
    static const char *const kinds[] = {"incident.early-warning", "incident.notification", "proposal.proposal"};
    if (strncmp(kind, "request.", 8) == 0)
        return true;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    }
    return false;
}

static ent_rc add_row(collecting *work, const ent_duty *duty, ent_err *err)
{
    ent_succession *ret = work->ret;
    const ent_member *members = work->channel->genesis.members;
    ent_text debtor = members[duty->debtor].name;
    bool both =
        is_among(work, debtor) && (duty->creditor == ENT_LEDGER_NOBODY || is_among(work, members[duty->creditor].name));
    if (!both)
        return ENT_DONE; /* who is not there owes nothing there, and is owed nothing */
    if (!work->same_members || !can_be_said_again(duty->kind)) {
        ret->left_out++;
        return ENT_DONE;
    }
    if (ret->row_count == ENT_FACTS_MAX_CARRIED)
        return ent_fail(err, ENT_REFUSED, rule,
                        "more than %d duties are open in channel %.8s: settle some of them first",
                        ENT_FACTS_MAX_CARRIED, work->channel->id_text);
    bool runs = duty->has_start && (!duty->has_due || duty->due_unix_s != INT64_MAX);
    ret->rows[ret->row_count++] = (ent_carried){
        .message = {members[duty->message.member].name, duty->message.index},
        .duty = duty->type,
        .debtor = debtor,
        .start_unix_s = runs ? duty->start_unix_s : 0,
        .due_unix_s = runs && duty->has_due ? duty->due_unix_s : 0,
    };
    return ENT_DONE;
}

static ent_rc collect(void *context, const ent_thread_view *thread, ent_err *err)
{
    collecting *work = context;
    for (size_t i = 0; i < thread->duty_count; i++) {
        if (ent_duty_is_open(thread->duties[i].state))
            ENT_TRY(add_row(work, &thread->duties[i], err));
    }
    return ENT_DONE;
}

static int by_message(const void *a, const void *b)
{
    const ent_carried *left = a;
    const ent_carried *right = b;
    int order = ent_text_compare(left->message.party, right->message.party);
    if (order == 0 && left->message.index != right->message.index)
        order = left->message.index < right->message.index ? -1 : 1;
    if (order == 0)
        order = ent_text_compare(left->debtor, right->debtor);
    return order != 0 ? order : (int)left->duty - (int)right->duty;
}

static ent_rc collect_rows(const ent_channel *channel, const ent_ledger *past, const ent_member *members,
                           size_t member_count, ent_succession *ret, ent_err *err)
{
    collecting work = {
        .channel = channel, .members = members, .member_count = member_count, .same_members = true, .ret = ret};
    ent_moment moment = {.until_unix_s = INT64_MAX, .now_unix_s = ent_ledger_latest(past)};
    for (size_t i = 0; i < member_count; i++)
        work.same_members = work.same_members && ent_genesis_member(&channel->genesis, members[i].name) >= 0;
    ret->rows = ent_alloc_array(ENT_FACTS_MAX_CARRIED, sizeof *ret->rows);
    if (ret->rows == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_ledger_walk(past, moment, collect, &work, err));
    qsort(ret->rows, ret->row_count, sizeof *ret->rows, by_message);
    return ENT_DONE;
}

static ent_rc plan(ent_node *node, ent_channel *channel, const uint64_t *ends, const ent_member *members,
                   size_t member_count, ent_succession *ret, ent_err *err)
{
    ENT_CLEANUP(ent_ledger_release) ent_ledger *past = NULL;
    ENT_TRY(ent_ledgers_past(node, channel, ends, &past, err));
    ENT_TRY(name_heads(node, channel, past, ret, err));
    return collect_rows(channel, past, members, member_count, ret, err);
}

ent_rc ent_succession_plan(ent_node *node, ent_channel *channel, const ent_member *members, size_t member_count,
                           ent_succession *ret, ent_err *err)
{
    ent_succession planned = {0};
    uint64_t ends[ENT_ENTRY_MAX_MEMBERS] = {0};
    if (ent_channel_state_now(channel) != ENT_CHANNEL_OPEN)
        return ent_fail(err, ENT_REFUSED, rule, "channel %.8s is %s: only an open channel has a successor",
                        channel->id_text, ent_channel_state_word(ent_channel_state_now(channel)));
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        ENT_TRY(ent_log_receipted(node, channel, m, &ends[m], err));
    ent_rc rc = plan(node, channel, ends, members, member_count, &planned, err);
    if (rc.code != ENT_OK)
        ent_succession_release(&planned);
    else
        *ret = planned;
    return rc;
}

static void put_time(ent_json_writer *writer, const char *key, int64_t time)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    if (time == 0)
        return;
    ent_time_format(time, text);
    ent_json_member_string(writer, key, text);
}

static void put_ref(ent_json_writer *writer, const char *key, const ent_message_ref *message)
{
    char text[ENT_NAME_MAX_BYTES + 24];
    (void)snprintf(text, sizeof text, "%.*s/%" PRIu64, ENT_TEXT_ARG(message->party), message->index);
    ent_json_member_string(writer, key, text);
}

void ent_succession_put(ent_json_writer *writer, const ent_succession *succession)
{
    if (succession->row_count == 0)
        return;
    ent_json_key(writer, "carried");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < succession->row_count; i++) {
        const ent_carried *row = &succession->rows[i];
        ent_json_object_begin(writer);
        put_ref(writer, "message", &row->message);
        ent_json_member_string(writer, "duty", ent_duty_type_word(row->duty));
        ent_json_member_text(writer, "debtor", row->debtor);
        put_time(writer, "started", row->start_unix_s);
        put_time(writer, "due", row->due_unix_s);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* --- before it is accepted --- */

static ent_rc cannot_check(const ent_channel *channel, const char *why, ent_err *err)
{
    return ent_fail(
        err, ENT_REFUSED, rule,
        "channel %.8s succeeds channel %02x%02x%02x%02x, which is %s: what it carries over cannot be checked. "
        "`entente channel show` lists it; accept with --unchecked if it is right",
        channel->id_text, channel->genesis.predecessor.bytes[0], channel->genesis.predecessor.bytes[1],
        channel->genesis.predecessor.bytes[2], channel->genesis.predecessor.bytes[3], why);
}

static ent_rc check_head(ent_node *node, ent_channel *before, const ent_predecessor_head *head, uint64_t *ends,
                         bool *ret_held, ent_err *err)
{
    ent_ledgers_roots roots = {node, before};
    ent_text party = {0};
    ent_hash id;
    ent_hash ours;
    ent_store_log log;
    ENT_TRY(ent_origin_parse(head->origin, &party, &id, err));
    int member = ent_genesis_member(&before->genesis, party);
    if (member < 0)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it names a head of %.*s, who was no member of channel %.8s",
                        ENT_TEXT_ARG(party), before->id_text);
    ent_channel_log(before, (uint32_t)member, &log);
    *ret_held = head->head.size <= log.tree.size;
    if (!*ret_held)
        return ENT_DONE;
    ENT_TRY(ent_ledgers_root(&roots, (uint32_t)member, head->head.size, &ours, err));
    if (!ent_hash_equal(&ours, &head->head.root))
        return ent_fail(err, ENT_PEER_MISMATCH, rule,
                        "it names a head of %.*s at size %" PRIu64 " that is not the one held here",
                        ENT_TEXT_ARG(party), head->head.size);
    ends[member] = head->head.size;
    return ENT_DONE;
}

static bool same_row(const ent_carried *a, const ent_carried *b)
{
    return by_message(a, b) == 0 && a->start_unix_s == b->start_unix_s && a->due_unix_s == b->due_unix_s;
}

static ent_rc differs(const ent_carried *row, bool is_theirs, ent_err *err)
{
    return ent_fail(err, ENT_PEER_MISMATCH, rule, "%s: %.*s owes the %s to %.*s/%" PRIu64 "%s",
                    is_theirs ? "it carries over what is not open here, or not by this clock"
                              : "it does not carry over what is open here",
                    ENT_TEXT_ARG(row->debtor), ent_duty_type_word(row->duty), ENT_TEXT_ARG(row->message.party),
                    row->message.index,
                    is_theirs ? "" : ". Its opener may lack receipts that are here; let it open another");
}

static ent_rc compare_rows(const ent_facts *facts, const ent_succession *ours, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) ent_carried *theirs = ent_alloc_array(facts->carried_count + 1, sizeof *theirs);
    if (theirs == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < facts->carried_count; i++)
        theirs[i] = facts->carried[i];
    qsort(theirs, facts->carried_count, sizeof *theirs, by_message);
    for (size_t i = 0; i < facts->carried_count || i < ours->row_count; i++) {
        if (i < facts->carried_count && i < ours->row_count && same_row(&theirs[i], &ours->rows[i]))
            continue;
        bool is_theirs =
            i < facts->carried_count && (i == ours->row_count || by_message(&theirs[i], &ours->rows[i]) <= 0);
        return differs(is_theirs ? &theirs[i] : &ours->rows[i], is_theirs, err);
    }
    return ENT_DONE;
}

ent_rc ent_succession_check(ent_node *node, const ent_channel *channel, const ent_facts *facts, bool unchecked,
                            ent_err *err)
{
    const ent_genesis *genesis = &channel->genesis;
    uint64_t ends[ENT_ENTRY_MAX_MEMBERS] = {0};
    bool all_held = true;
    ENT_CLEANUP(ent_succession_release) ent_succession ours = {0};
    if (!genesis->has_predecessor)
        return facts->carried_count == 0
                   ? ENT_DONE
                   : ent_fail(err, ENT_PEER_MISMATCH, rule, "it carries duties over, and succeeds no channel");
    ent_channel *before = ent_channel_find(node, &genesis->predecessor);
    if (before == NULL)
        return unchecked ? ENT_DONE : cannot_check(channel, "not held here", err);
    for (size_t i = 0; i < genesis->predecessor_head_count; i++) {
        bool held = false;
        ENT_TRY(check_head(node, before, &genesis->predecessor_heads[i], ends, &held, err));
        all_held = all_held && held;
    }
    if (!all_held)
        return unchecked ? ENT_DONE : cannot_check(channel, "not held as far here", err);
    ENT_TRY(plan(node, before, ends, genesis->members, genesis->member_count, &ours, err));
    return compare_rows(facts, &ours, err);
}

/* --- saying again --- */

/* The same body, but for what belongs to the channel before: its files, and messages it named. */
static void put_again(ent_buf *buf, const ent_body *body, const ent_message_ref *message)
{
    ent_json_writer writer = ent_json_writer_of(buf);
    ent_json_object_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(ent_json_root(body->document)); ent_json_next(&i);) {
        if (ent_text_is(i.key, "files") || ent_text_is(i.key, "continues"))
            continue;
        ent_json_key_text(&writer, i.key);
        if (!ent_text_is(i.key, "fields")) {
            ent_json_put_copy(&writer, i.value);
            continue;
        }
        ent_json_object_begin(&writer);
        for (ent_json_iter f = ent_json_iterate(i.value); ent_json_next(&f);) {
            if (ent_text_is(f.key, "related"))
                continue;
            ent_json_key_text(&writer, f.key);
            ent_json_put_copy(&writer, f.value);
        }
        ent_json_object_end(&writer);
    }
    put_ref(&writer, "continues", message);
    ent_json_object_end(&writer);
}

/* Those of the addressees who are members here too. */
static size_t addressees(const ent_channel *channel, const ent_entry *entry, ent_text ret[ENT_ENTRY_MAX_MEMBERS])
{
    size_t count = 0;
    for (size_t i = 0; i < entry->to_count; i++) {
        if (ent_genesis_member(&channel->genesis, entry->to[i]) >= 0)
            ret[count++] = entry->to[i];
    }
    return count;
}

static ent_rc say_again(ent_node *node, ent_channel *channel, ent_channel *before, const ent_message_ref *message,
                        ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ent_text to[ENT_ENTRY_MAX_MEMBERS];
    ent_entry entry;
    uint64_t index = 0;
    char kind[ENT_NAME_MAX_BYTES + 1];
    ENT_TRY(ent_channel_entry(node, before, before->self, message->index, &arena, NULL, &entry, err));
    ENT_TRY(ent_examine(node, before, before->self, &entry, &examined, err));
    put_again(&body, &examined.body, message);
    ENT_TRY(ent_buf_check(&body, err));
    (void)snprintf(kind, sizeof kind, "%.*s", ENT_TEXT_ARG(entry.kind));
    ent_saying saying = {
        .channel = channel,
        .kind = kind,
        .to = to,
        .to_count = addressees(channel, &entry, to),
        .marking = entry.marking,
        .urgency = entry.urgency,
        .exercise = entry.exercise,
    };
    return ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err);
}

static ent_rc was_said(ent_node *node, ent_channel *channel, const ent_message_ref *message, bool *ret, ent_err *err)
{
    ent_ledger *ledger = NULL;
    ENT_TRY(ent_ledgers_lock(node, channel, &ledger, err));
    *ret = ent_ledger_has_continued(ledger, channel->self, message);
    ent_ledgers_unlock(channel);
    return ENT_DONE;
}

ent_rc ent_succession_go_on(ent_node *node, ent_channel *channel, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined first = {0};
    ent_entry entry;
    if (!channel->genesis.has_predecessor || ent_channel_state_now(channel) != ENT_CHANNEL_OPEN)
        return ENT_DONE;
    ent_channel *before = ent_channel_find(node, &channel->genesis.predecessor);
    if (before == NULL)
        return ENT_DONE; /* what we had asked is not here to be said again */
    ENT_TRY(ent_channel_entry(node, channel, channel->self, 0, &arena, NULL, &entry, err));
    ENT_TRY(ent_examine(node, channel, channel->self, &entry, &first, err));
    for (size_t i = 0; i < first.facts.carried_count; i++) {
        const ent_message_ref *message = &first.facts.carried[i].message;
        bool said = false;
        if (!ent_text_equal(message->party, channel->genesis.members[channel->self].name))
            continue;
        ENT_TRY(was_said(node, channel, message, &said, err));
        if (!said)
            ENT_TRY(say_again(node, channel, before, message, err));
    }
    return ENT_DONE;
}
