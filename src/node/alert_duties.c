#include "node/alert.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/ledgers.h"
#include "node/message_row.h"

#include <stdio.h>

enum { MOST_OF_TIME = 20 }; /* going through the open duties takes at most one part in so many of the time */

/* ---- taking them out of the ledger ---- */

/* Duties that may be worth an alert, copied: nothing is written while the ledger is locked. */
typedef struct {
    ent_alert_round *round;
    uint32_t self;
    ent_duty *rows;
    size_t count;
    size_t capacity;
} gathering;

static void release_gathering(gathering *all)
{
    ent_free(all->rows);
}

static bool is_check(const ent_duty *duty)
{
    return strcmp(duty->kind, "contact.check") == 0;
}

/* Of ours, or owed to us; what others owe each other is theirs to watch. */
static bool concerns_us(const ent_duty *duty, uint32_t self)
{
    return duty->debtor == self || duty->creditor == self || duty->creditor == ENT_LEDGER_NOBODY;
}

static bool may_tell(const ent_duty *duty, uint32_t self)
{
    if (!concerns_us(duty, self) || (is_check(duty) && duty->type != ENT_DUTY_ANSWER))
        return false;
    if (duty->state == ENT_DUTY_SENT_NOT_RECEIPTED)
        return is_check(duty) && duty->creditor == self; /* an unreachable peer is what a check is to find */
    bool timed = duty->has_due && duty->due_unix_s < ENT_TIME_MAX_UNIX_S;
    return timed && (duty->state == ENT_DUTY_OPEN || duty->state == ENT_DUTY_OVERDUE);
}

static ent_rc gather(void *context, const ent_thread_view *thread, ent_err *err)
{
    gathering *all = context;
    for (size_t i = 0; i < thread->duty_count; i++) {
        if (!may_tell(&thread->duties[i], all->self))
            continue;
        if (all->count == all->capacity) {
            size_t capacity = all->capacity == 0 ? 64 : all->capacity * 2;
            ent_duty *rows = ent_realloc(all->rows, capacity * sizeof *rows);
            if (rows == NULL)
                return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
            all->rows = rows;
            all->capacity = capacity;
        }
        all->rows[all->count++] = thread->duties[i];
    }
    return ENT_DONE;
}

static ent_rc gather_all(gathering *all, ent_err *err)
{
    ent_ledger *ledger = NULL;
    ent_channel *channel = all->round->channel->channel;
    ent_moment moment = {.until_unix_s = INT64_MAX, .now_unix_s = all->round->now_unix_s};
    ENT_TRY(ent_ledgers_lock_evidence(all->round->node, channel, &ledger, err));
    ent_rc rc = ent_ledger_walk_open(ledger, moment, gather, all, err);
    ent_ledgers_unlock(channel);
    return rc;
}

/* ---- words ---- */

static const char *thing_owed(ent_duty_type type)
{
    switch (type) {
    case ENT_DUTY_ACKNOWLEDGE:
        return "acknowledgement";
    case ENT_DUTY_ANSWER:
        return "answer";
    case ENT_DUTY_FOLLOW_UP:
        return "postponed answer";
    case ENT_DUTY_NOTIFICATION:
        return "notification";
    case ENT_DUTY_FINAL:
        return "final report";
    }
    return "answer";
}

/* The kind that does what is owed; NULL where it depends. */
static const char *kind_owed(const ent_duty *duty)
{
    switch (duty->type) {
    case ENT_DUTY_ACKNOWLEDGE:
        return "answer.acknowledgement";
    case ENT_DUTY_FOLLOW_UP:
        return "answer.response";
    case ENT_DUTY_NOTIFICATION:
        return "incident.notification";
    case ENT_DUTY_FINAL:
        return "incident.final";
    case ENT_DUTY_ANSWER:
        break;
    }
    return strncmp(duty->kind, "request.", 8) == 0 ? "answer.response" : NULL;
}

static void put_title(ent_buf *text, const ent_alert_round *round, const ent_duty *duty, const ent_alert *alert)
{
    ent_channel *channel = round->channel->channel;
    ent_text debtor = channel->genesis.members[duty->debtor].name;
    if (duty->exercise)
        ent_buf_put_string(text, "EXERCISE: ");
    if (alert->what == ENT_ALERT_CHECK_FAILED) {
        ent_buf_put_string(text, "Comm check failed: no answer of ");
        ent_buf_put_text(text, debtor);
    } else {
        if (alert->what == ENT_ALERT_OVERDUE) {
            ent_buf_put_string(text, "OVERDUE: ");
        } else {
            ent_buf_put_string(text, "Due in ");
            ent_alert_put_span(text, duty->due_unix_s - round->now_unix_s);
            ent_buf_put_string(text, ": ");
        }
        bool ours = duty->debtor == channel->self;
        ent_buf_put_format(text, ours ? "our %s" : "%s", thing_owed(duty->type));
        if (!ours) {
            ent_buf_put_string(text, " of ");
            ent_buf_put_text(text, debtor);
        }
    }
    ent_buf_put_string(text, " to ");
    ent_alert_put_message(text, channel, duty->message.member, duty->message.index);
}

static void put_when(ent_buf *text, const ent_alert_round *round, const ent_duty *duty, int64_t due)
{
    ent_channel *channel = round->channel->channel;
    int64_t left = due - round->now_unix_s;
    ent_buf_put_format(text, "\nA message (%s, %s) from ", duty->kind, ent_urgency_word(duty->urgency));
    ent_buf_put_text(text, channel->genesis.members[duty->message.member].name);
    ent_buf_put_string(text, " in channel ");
    ent_alert_put_channel(text, channel);
    ent_buf_put_string(text, left >= 0 ? ".\nDue at " : ".\nIt was due at ");
    ent_alert_put_time(text, due);
    ent_buf_put_string(text, left >= 0 ? ", in " : ", ");
    ent_alert_put_span(text, left >= 0 ? left : -left);
    ent_buf_put_string(text, left >= 0 ? "." : " ago.");
    if (duty->has_start) {
        ent_buf_put_string(text, "\nThe time ran from the receipt of ");
        ent_buf_put_text(text, channel->genesis.members[duty->start_by].name);
        ent_buf_put_string(text, " at ");
        ent_alert_put_time(text, duty->start_unix_s);
        ent_buf_put_u8(text, '.');
    } else {
        ent_buf_put_string(text, "\nIt was never receipted: the other side cannot be reached, or will not be.");
    }
}

static void put_next(ent_buf *text, const ent_alert_round *round, const ent_duty *duty)
{
    ent_channel *channel = round->channel->channel;
    const char *kind = kind_owed(duty);
    if (duty->debtor != channel->self) {
        ent_buf_put_string(text, "\nNext: entente peer show ");
        ent_buf_put_text(text, channel->genesis.members[duty->debtor].name);
        ent_buf_put_string(text, " (whom to call); entente show ");
    } else if (kind != NULL) {
        ent_buf_put_format(text, "\nNext: entente send %s --edit --reply-to ", kind);
    } else {
        ent_buf_put_string(text, "\nNext: entente show ");
    }
    ent_alert_put_message(text, channel, duty->message.member, duty->message.index);
}

/* ---- telling ---- */

/* When a comm check of ours is failed; 0 when that cannot be told. Unreceipted under terms with a deadline of their own
 * the ledger knows no time: then it is what we asked for. */
static int64_t check_due(const ent_alert_round *round, const ent_duty *duty)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_channel *channel = round->channel->channel;
    ent_entry entry;
    int64_t due = 0;
    if (duty->has_due)
        return duty->due_unix_s;
    if (ent_channel_entry(round->node, channel, duty->message.member, duty->message.index, &arena, NULL, &entry, NULL)
            .code != ENT_OK)
        return 0;
    json = ent_message_document(round->node, channel, duty->message.member, &entry);
    if (json == NULL)
        return 0;
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    return ent_time_parse(ent_json_string(ent_json_get(fields, "reply_by")), &due) ? due : 0;
}

static ent_rc tell(ent_alert_round *round, const ent_duty *duty, ent_alert_what what, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    char detail[64];
    int size = 0;
    ent_channel *channel = round->channel->channel;
    ent_alert alert = {.what = what,
                       .channel = channel,
                       .has_message = true,
                       .member = duty->message.member,
                       .index = duty->message.index};
    /* A deadline that moved (a clarification, evidence that came late) is another one to be told of. */
    if (what == ENT_ALERT_CHECK_FAILED)
        size = snprintf(detail, sizeof detail, "%u", (unsigned)duty->debtor);
    else
        size = snprintf(detail, sizeof detail, "%s/%u/%lld", ent_duty_type_word(duty->type), (unsigned)duty->debtor,
                        (long long)duty->due_unix_s);
    alert.detail = (ent_text){detail, (size_t)size};
    if (ent_alert_is_told(round, &alert))
        return ENT_DONE;
    int64_t due = what == ENT_ALERT_CHECK_FAILED ? check_due(round, duty) : duty->due_unix_s;
    if (due == 0 || due < round->now_unix_s - ENT_ALERT_LOOK_BACK_S)
        return ENT_DONE;
    if (what == ENT_ALERT_CHECK_FAILED && due >= round->now_unix_s) {
        ent_alert_look_again(round, due + 1);
        return ENT_DONE;
    }
    put_title(&text, round, duty, &alert);
    put_when(&text, round, duty, due);
    ent_alert_put_subject(&text, round->node, round->config, channel, alert.member, alert.index);
    put_next(&text, round, duty);
    ENT_TRY(ent_buf_check(&text, err));
    alert.text = ent_buf_text(&text);
    alert.due_unix_s = due;
    return ent_alert_raise(round, &alert, err);
}

static ent_rc judge(ent_alert_round *round, const ent_duty *duty, ent_err *err)
{
    uint32_t self = round->channel->channel->self;
    int64_t now = round->now_unix_s;
    if (is_check(duty) && duty->creditor == self)
        return tell(round, duty, ENT_ALERT_CHECK_FAILED, err);
    if (duty->state == ENT_DUTY_OVERDUE)
        return tell(round, duty, ENT_ALERT_OVERDUE, err);
    ent_alert_look_again(round, duty->due_unix_s + 1);
    if (duty->debtor != self || round->config->due_soon_s == 0)
        return ENT_DONE;
    int64_t soon = duty->due_unix_s - round->config->due_soon_s;
    if (soon <= now)
        return tell(round, duty, ENT_ALERT_DUE_SOON, err);
    ent_alert_look_again(round, soon);
    return ENT_DONE;
}

ent_rc ent_alert_watch_duties(ent_alert_round *round, ent_err *err)
{
    ENT_CLEANUP(release_gathering) gathering all = {.round = round, .self = round->channel->channel->self};
    ent_alert_channel *watched = round->channel;
    int64_t begun_ms = ent_clock_monotonic_ms();
    if (begun_ms < watched->duties_after_ms) {
        ent_alert_look_again(round, round->now_unix_s + (watched->duties_after_ms - begun_ms) / 1000 + 1);
        return ENT_DONE;
    }
    ENT_TRY(gather_all(&all, err));
    for (size_t i = 0; i < all.count && !atomic_load(&round->node->stopping); i++)
        ENT_TRY(judge(round, &all.rows[i], err));
    int64_t ended_ms = ent_clock_monotonic_ms();
    watched->duties_after_ms = ended_ms + MOST_OF_TIME * (ended_ms - begun_ms);
    return ENT_DONE;
}

/* ---- the agreement's end ---- */

typedef struct {
    bool known;
    int64_t end_unix_s;
    int64_t extends_at_unix_s; /* 0 = it is not extended by itself */
} ending;

static ent_rc look_at_end(const ent_alert_round *round, const ent_ledger *ledger, ending *ret, ent_err *err)
{
    const ent_agreement *agreement = NULL;
    const ent_agreement *later = NULL;
    int64_t end_then = 0;
    ent_moment moment = {.until_unix_s = INT64_MAX, .now_unix_s = round->now_unix_s};
    ENT_TRY(ent_ledger_end(ledger, moment, &agreement, &ret->end_unix_s, err));
    ret->known = agreement != NULL && ret->end_unix_s > 0 && ret->end_unix_s < ENT_TIME_MAX_UNIX_S;
    if (!ret->known || !agreement->has_extension)
        return ENT_DONE;
    moment.now_unix_s = ret->end_unix_s - (int64_t)agreement->decline_days * 24 * 60 * 60;
    ENT_TRY(ent_ledger_end(ledger, moment, &later, &end_then, err));
    if (end_then > ret->end_unix_s)
        ret->extends_at_unix_s = moment.now_unix_s;
    return ENT_DONE;
}

static void put_ending(ent_buf *text, const ent_alert_round *round, const ending *at)
{
    ent_channel *channel = round->channel->channel;
    int64_t left = at->end_unix_s - round->now_unix_s;
    ent_buf_put_string(text, "The agreement of channel ");
    ent_alert_put_channel(text, channel);
    ent_buf_put_string(text, left > 0 ? " ends in " : " has ended");
    if (left > 0)
        ent_alert_put_span(text, left);
    ent_buf_put_string(text, left > 0 ? "\nIt ends at " : "\nIt ended at ");
    ent_alert_put_time(text, at->end_unix_s);
    ent_buf_put_format(text, ".\nWhat is begun %s has no deadlines.", left > 0 ? "after that" : "since");
    if (at->extends_at_unix_s > 0) {
        ent_buf_put_string(text, "\nIt is extended by itself unless a party declines before ");
        ent_alert_put_time(text, at->extends_at_unix_s);
        ent_buf_put_string(text, ".\nNext: nothing, or to decline: entente send channel.review --edit --channel ");
    } else {
        ent_buf_put_string(text, "\nNext: entente agreement show --channel ");
    }
    ent_alert_put_channel(text, channel);
}

ent_rc ent_alert_watch_agreement(ent_alert_round *round, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_channel *channel = round->channel->channel;
    ent_ledger *ledger = NULL;
    ending at = {0};
    char detail[64];
    if (round->config->expiring_days == 0)
        return ENT_DONE;
    ENT_TRY(ent_ledgers_lock(round->node, channel, &ledger, err));
    ent_rc rc = look_at_end(round, ledger, &at, err);
    ent_ledgers_unlock(channel);
    ENT_TRY(rc);
    int64_t from = at.end_unix_s - (int64_t)round->config->expiring_days * 24 * 60 * 60;
    if (!at.known || at.end_unix_s < round->now_unix_s - ENT_ALERT_LOOK_BACK_S)
        return ENT_DONE;
    if (from > round->now_unix_s) {
        ent_alert_look_again(round, from);
        return ENT_DONE;
    }
    bool ended = at.end_unix_s <= round->now_unix_s;
    if (!ended)
        ent_alert_look_again(round, at.end_unix_s);
    int size = snprintf(detail, sizeof detail, "%lld%s", (long long)at.end_unix_s, ended ? "/ended" : "");
    put_ending(&text, round, &at);
    ENT_TRY(ent_buf_check(&text, err));
    ent_alert alert = {.what = ENT_ALERT_EXPIRING,
                       .channel = channel,
                       .detail = {detail, (size_t)size},
                       .text = ent_buf_text(&text),
                       .due_unix_s = at.end_unix_s};
    return ent_alert_raise(round, &alert, err);
}
