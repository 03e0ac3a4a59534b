#include "node/account.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/ledgers.h"

#include <stdlib.h>
#include <time.h>

enum { RETRIES = 50, RETRY_MS = 20 };

void *ent_account_add(ent_account_list *list, size_t size, ent_err *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        void *rows = ent_realloc(list->rows, capacity * size);
        if (rows == NULL) {
            ent_err_set(err, ENT_NOMEM, NULL, "out of memory");
            return NULL;
        }
        list->rows = rows;
        list->capacity = capacity;
    }
    char *at = list->rows;
    at += list->count * size;
    memset(at, 0, size);
    list->count++;
    return at;
}

void ent_account_release(ent_account *account)
{
    ent_account_list *lists[] = {&account->classes,   &account->duties,   &account->incidents, &account->claims,
                                 &account->pledges,   &account->evidence, &account->bindings,  &account->refused,
                                 &account->contested, &account->unknown,  &account->cited};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        ent_free(lists[i]->rows);
    ent_ledger_sums_release(&account->sums);
    ent_arena_release(&account->arena);
    *account = (ent_account){0};
}

ent_rc ent_account_asked(const ent_api_call *call, ent_channel **ret_channel, ent_account_time *ret, ent_err *err)
{
    ent_text channel = ent_http_query(call->request, "channel");
    ent_text at = ent_http_query(call->request, "at");
    ent_account_time time = {.at_unix_s = INT64_MAX};
    if (channel.data == NULL)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "name the channel: ?channel=CHANNEL");
    ENT_TRY(ent_channel_named(call->node, channel, ret_channel, err));
    if (at.data != NULL) {
        time.has_at = true;
        if (!ent_time_parse(at, &time.at_unix_s))
            return ent_fail(err, ENT_USAGE, "RFC 3339", "--at %.*s: a time looks like 2026-01-31T23:59:59Z",
                            (int)(at.size > 40 ? 40 : at.size), at.data);
    }
    *ret = time;
    return ENT_DONE;
}

/* "Rows … are those at the clock of the node" (docs/ledger.md); another clock may be a little ahead of it. A receipt
 * that is dated further ahead must not make everything overdue. */
ent_moment ent_account_moment(const ent_channel *channel, const ent_ledger *ledger, ent_account_time time)
{
    if (time.has_at)
        return (ent_moment){time.at_unix_s, time.at_unix_s};
    int64_t latest = ent_ledger_latest(ledger);
    int64_t now = ent_clock_unix_s();
    bool ahead = latest > now && latest - now <= (int64_t)channel->genesis.delta_s;
    return (ent_moment){INT64_MAX, ahead ? latest : now};
}

/* --- digests --- */

static void hash_piece(void *context, ent_text piece)
{
    ent_sha256_update(context, ent_text_bytes(piece));
}

ent_rc ent_account_digests(ent_node *node, ent_channel *channel, const ent_ledger *ledger, int64_t until_unix_s,
                           ent_hash *ret_evidence, ent_hash *ret_state, ent_err *err)
{
    ent_moment moment = {until_unix_s, until_unix_s};
    ent_ledgers_roots roots = {node, channel};
    ent_sha256_state state;
    ent_sha256_start(&state);
    ENT_TRY(ent_ledger_evidence_lines(ledger, moment, ent_ledgers_root, &roots, hash_piece, &state, err));
    ent_sha256_finish(&state, ret_evidence);
    ent_sha256_start(&state);
    ENT_TRY(ent_ledger_state_lines(ledger, moment, hash_piece, &state, err));
    ent_sha256_finish(&state, ret_state);
    return ENT_DONE;
}

/* --- copying out --- */

static bool is_kind(const ent_thread_view *thread, const char *kind)
{
    return thread->kind != NULL && strcmp(thread->kind, kind) == 0;
}

static ent_rc copy_duties(ent_account *account, const ent_thread_view *thread, ent_err *err)
{
    for (size_t i = 0; i < thread->duty_count; i++) {
        if (!ent_duty_is_open(thread->duties[i].state))
            continue;
        ent_account_duty *row = ent_account_add(&account->duties, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        *row = (ent_account_duty){thread->duties[i], thread->first};
    }
    return ENT_DONE;
}

static ent_rc copy_matter(ent_account *account, ent_account_list *list, const ent_thread_view *thread, ent_err *err)
{
    ent_account_matter *row = ent_account_add(list, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    row->message = thread->first;
    row->state = thread->track_count == 0 ? ENT_STATE_NONE : thread->tracks[0].state;
    row->supported = thread->supported;
    row->evidence_first = account->evidence.count;
    row->evidence_count = thread->evidence_count;
    for (size_t i = 0; i < thread->evidence_count; i++) {
        ent_ledger_ref *item = ent_account_add(&account->evidence, sizeof *item, err);
        if (item == NULL)
            return ent_rc_of(ENT_NOMEM);
        *item = thread->evidence[i];
    }
    return ENT_DONE;
}

static ent_rc add_refusal(ent_account *account, const ent_thread_message *message, ent_err *err)
{
    ent_account_refusal *row = ent_account_add(&account->refused, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    row->message = message->message;
    row->text = ent_arena_text(&account->arena, ent_text_of(message->text));
    return row->text.data == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ENT_DONE;
}

static ent_rc copy_incident(ent_account *account, const ent_thread_view *thread, ent_err *err)
{
    uint64_t weight = ent_thread_weight(thread, account->sums.agreement, account->moment);
    if (weight == 0)
        return ENT_DONE;
    ent_account_incident *row = ent_account_add(&account->incidents, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = (ent_account_incident){thread->first, thread->severity, weight, thread->first_evidence_unix_s};
    return ENT_DONE;
}

/* "Every figure cites its messages" (design 5): each counts for the pair of who said it and whom it addressed. */
static ent_rc cite(ent_account *account, const ent_thread_view *thread, ent_err *err)
{
    int class_at = thread->kind == NULL ? -1 : ent_agreement_class(account->sums.agreement, ent_text_of(thread->kind));
    for (size_t i = 0; class_at >= 0 && !thread->exercise && i < thread->track_count; i++) {
        if (thread->tracks[i].state == ENT_STATE_NONE)
            continue;
        ent_account_cited *row = ent_account_add(&account->cited, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        *row = (ent_account_cited){(size_t)class_at, thread->opener, thread->tracks[i].member, thread->first};
    }
    return ENT_DONE;
}

typedef struct {
    ent_account *account;
    const ent_account_time *time;
} copying;

static ent_rc copy_thread(void *context, const ent_thread_view *thread, ent_err *err)
{
    const copying *work = context;
    ent_account *account = work->account;
    if (work->time->also != NULL)
        ENT_TRY(work->time->also(work->time->also_context, thread, err));
    ENT_TRY(copy_duties(account, thread, err));
    ENT_TRY(copy_incident(account, thread, err));
    ENT_TRY(cite(account, thread, err));
    if (is_kind(thread, "attribution.claim"))
        ENT_TRY(copy_matter(account, &account->claims, thread, err));
    if (is_kind(thread, "commitment.pledge"))
        ENT_TRY(copy_matter(account, &account->pledges, thread, err));
    for (size_t i = 0; i < thread->message_count; i++) {
        if (thread->messages[i].reason != ENT_ALLOWED)
            ENT_TRY(add_refusal(account, &thread->messages[i], err));
    }
    if (!thread->bound)
        return ENT_DONE;
    ent_account_binding *row = ent_account_add(&account->bindings, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = (ent_account_binding){thread->first, thread->accepted, thread->accepted_digest};
    return ENT_DONE;
}

static ent_rc add_ref(ent_account_list *list, ent_ledger_ref message, ent_err *err)
{
    ent_ledger_ref *row = ent_account_add(list, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = message;
    return ENT_DONE;
}

static ent_rc copy_apart(void *context, const ent_thread_message *message, bool readable, ent_err *err)
{
    ent_account *account = context;
    if (message->kind == NULL)
        ENT_TRY(add_ref(&account->unknown, message->message, err));
    else if (!readable && message->reason != ENT_REASON_PROVEN_BAD)
        ENT_TRY(add_ref(&account->contested, message->message, err));
    return message->reason == ENT_ALLOWED ? ENT_DONE : add_refusal(account, message, err);
}

/* What of the agreement the answers name, so that it outlives the lock. */
static ent_rc copy_agreement(ent_account *account, ent_err *err)
{
    const ent_agreement *terms = account->sums.agreement;
    if (terms == NULL)
        return ENT_DONE;
    account->title = ent_arena_text(&account->arena, terms->title);
    account->from_unix_s = terms->from_unix_s;
    account->until_unix_s = terms->until_unix_s;
    account->has_threat_level = terms->has_threat_level;
    account->window_s = terms->window_s;
    bool copied = account->title.data != NULL;
    for (size_t i = 0; i < terms->class_count && copied; i++) {
        ent_account_class *row = ent_account_add(&account->classes, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        row->name = ent_arena_text(&account->arena, terms->classes[i].name);
        row->hold_back_at_balance = terms->classes[i].hold_back_at_balance;
        copied = row->name.data != NULL;
    }
    if (account->sums.threat_level.data != NULL && copied) {
        account->sums.threat_level = ent_arena_text(&account->arena, account->sums.threat_level);
        copied = account->sums.threat_level.data != NULL;
    }
    return copied ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

static int by_pair(const void *a, const void *b)
{
    const ent_account_cited *left = a;
    const ent_account_cited *right = b;
    if (left->class_at != right->class_at)
        return left->class_at < right->class_at ? -1 : 1;
    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    if (left->to != right->to)
        return left->to < right->to ? -1 : 1;
    if (left->message.member != right->message.member)
        return left->message.member < right->message.member ? -1 : 1;
    return left->message.index < right->message.index ? -1 : left->message.index > right->message.index;
}

/* "open obligations with due times (mine, theirs), overdue ones first" */
static int by_urgency(const void *a, const void *b)
{
    const ent_duty *left = &((const ent_account_duty *)a)->duty;
    const ent_duty *right = &((const ent_account_duty *)b)->duty;
    bool left_overdue = left->state == ENT_DUTY_OVERDUE;
    bool right_overdue = right->state == ENT_DUTY_OVERDUE;
    int64_t left_due = left->has_due ? left->due_unix_s : INT64_MAX;
    int64_t right_due = right->has_due ? right->due_unix_s : INT64_MAX;
    if (left_overdue != right_overdue)
        return left_overdue ? -1 : 1;
    if (left_due != right_due)
        return left_due < right_due ? -1 : 1;
    if (left->message.member != right->message.member)
        return left->message.member < right->message.member ? -1 : 1;
    if (left->message.index != right->message.index)
        return left->message.index < right->message.index ? -1 : 1;
    return left->type != right->type ? (left->type < right->type ? -1 : 1)
                                     : (left->debtor < right->debtor ? -1 : left->debtor > right->debtor);
}

static void sort(ent_account_list *list, size_t size, int (*order)(const void *, const void *))
{
    if (list->count > 1)
        qsort(list->rows, list->count, size, order);
}

static ent_rc copy_out(ent_node *node, ent_ledger *ledger, ent_account_time time, ent_account *account, ent_err *err)
{
    account->moment = ent_account_moment(account->channel, ledger, time);
    int64_t latest = ent_ledger_latest(ledger);
    bool at_latest = !time.has_at || (time.digests_dated && latest < time.at_unix_s);
    account->evidence_until = at_latest ? latest : time.at_unix_s;
    ENT_TRY(ent_account_digests(node, account->channel, ledger, account->evidence_until, &account->evidence_digest,
                                &account->state_digest, err));
    ENT_TRY(ent_ledger_sum(ledger, account->moment, &account->sums, err));
    copying work = {account, &time};
    ENT_TRY(ent_ledger_walk(ledger, account->moment, copy_thread, &work, err));
    ENT_TRY(ent_ledger_walk_apart(ledger, account->moment, copy_apart, account, err));
    ENT_TRY(copy_agreement(account, err));
    sort(&account->duties, sizeof(ent_account_duty), by_urgency);
    sort(&account->cited, sizeof(ent_account_cited), by_pair);
    return ENT_DONE;
}

ent_rc ent_account_read(ent_node *node, ent_channel *channel, ent_account_time time, ent_account *ret, ent_err *err)
{
    static const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
    ent_rc rc = ENT_DONE;
    for (int i = 0; i < RETRIES; i++) {
        ent_account account = {.channel = channel};
        ent_ledger *ledger = NULL;
        ENT_TRY(ent_ledgers_lock_evidence(node, channel, &ledger, err));
        rc = copy_out(node, ledger, time, &account, err);
        account.sums.agreement = NULL; /* the ledger's: not ours beyond the lock */
        ent_ledgers_unlock(channel);
        if (rc.code == ENT_OK) {
            *ret = account;
            return rc;
        }
        ent_account_release(&account);
        if (rc.code != ENT_RETRY)
            return rc;
        (void)nanosleep(&pause, NULL); /* one of our entries is on its way to the disk */
    }
    return rc;
}

void ent_account_put_members(const ent_channel *channel, ent_json_writer *writer)
{
    ent_json_key(writer, "members");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        ent_json_put_text(writer, channel->genesis.members[i].name);
    ent_json_array_end(writer);
}
