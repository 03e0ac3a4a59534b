#include "node/account.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/message_row.h"

#include <stdio.h>

static ent_message_ref ref_of(const ent_channel *channel, ent_ledger_ref message)
{
    return (ent_message_ref){channel->genesis.members[message.member].name, message.index};
}

void ent_account_put_message(ent_channel *channel, ent_json_writer *writer, const char *key, ent_ledger_ref message)
{
    if (key != NULL) {
        ent_channel_member_message(channel, writer, key, ref_of(channel, message));
        return;
    }
    char alias[ENT_NAME_MAX_BYTES + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_message_ref ref = ref_of(channel, message);
    ent_channel_alias(channel, alias);
    ent_buf_put_format(&name, "%s/%.*s/%llu", alias[0] == 0 ? channel->id_text : alias, ENT_TEXT_ARG(ref.party),
                       (unsigned long long)ref.index);
    if (name.failed != ENT_OK)
        writer->buf->failed = name.failed;
    else
        ent_json_put_text(writer, ent_buf_text(&name));
}

void ent_account_put_time(ent_json_writer *writer, const char *key, bool has, int64_t unix_s)
{
    ent_api_time(writer, key, has && unix_s != INT64_MAX ? unix_s : 0);
}

static void put_signed(ent_json_writer *writer, const char *key, bool has, int64_t value)
{
    char text[32];
    ent_json_key(writer, key);
    if (!has) {
        ent_json_put_null(writer);
        return;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    ent_json_put_raw(writer, ent_text_of(text));
}

static void put_member(const ent_channel *channel, ent_json_writer *writer, const char *key, uint32_t member)
{
    ent_text none = {NULL, 0};
    ent_json_member_text(writer, key, member == ENT_LEDGER_NOBODY ? none : channel->genesis.members[member].name);
}

static void put_start(const ent_channel *channel, ent_json_writer *writer, const ent_duty *duty)
{
    ent_json_key(writer, "started");
    if (!duty->has_start) {
        ent_json_put_null(writer);
        return;
    }
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "event", duty->carried ? "carried over" : "receipt");
    put_member(channel, writer, "by", duty->start_by);
    ent_json_member_unsigned(writer, "size", duty->start_size);
    ent_api_time(writer, "time", duty->start_unix_s);
    ent_json_object_end(writer);
}

void ent_account_put_duty(ent_channel *channel, ent_json_writer *writer, const ent_account_duty *row, int64_t now,
                          ent_text subject)
{
    const ent_duty *duty = &row->duty;
    bool has_due = duty->has_due && duty->due_unix_s != INT64_MAX;
    ent_json_member_string(writer, "type", ent_duty_type_word(duty->type));
    put_member(channel, writer, "debtor", duty->debtor);
    put_member(channel, writer, "creditor", duty->creditor);
    ent_json_member_bool(writer, "mine", duty->debtor == channel->self);
    ent_account_put_message(channel, writer, "message", duty->message);
    ent_json_member_string(writer, "kind", duty->kind);
    ent_json_member_text(writer, "subject", subject);
    ent_account_put_message(channel, writer, "thread", row->thread);
    ent_json_member_string(writer, "urgency", ent_urgency_word(duty->urgency));
    ent_json_member_bool(writer, "exercise", duty->exercise);
    ent_json_member_string(writer, "state", ent_duty_state_word(duty->state));
    ent_json_member_bool(writer, "contested", duty->contested);
    ent_account_put_time(writer, "due", duty->has_due, duty->due_unix_s);
    put_signed(writer, "left_s", has_due, has_due ? duty->due_unix_s - now : 0);
    put_start(channel, writer, duty);
    if (duty->has_act) {
        ent_account_put_message(channel, writer, "answered_by", duty->act);
    } else {
        ent_json_key(writer, "answered_by");
        ent_json_put_null(writer);
    }
}

/* --- reciprocity --- */

static void put_why(const ent_account *account, ent_json_writer *writer, const ent_balance *row)
{
    const ent_account_class *classes = account->classes.rows;
    const ent_genesis *genesis = &account->channel->genesis;
    uint32_t least = classes[row->class_at].hold_back_at_balance;
    ENT_CLEANUP(ent_buf_release) ent_buf why = {0};
    ent_buf_put_format(&why, "%.*s gave %.*s %llu and received %llu; ", ENT_TEXT_ARG(genesis->members[row->from].name),
                       ENT_TEXT_ARG(genesis->members[row->to].name), (unsigned long long)row->given,
                       (unsigned long long)row->received);
    if (least == 0)
        ent_buf_put_string(&why, "in this class nobody may hold back");
    else
        ent_buf_put_format(&why, "the agreement lets it hold back from %lu more on", (unsigned long)least);
    if (why.failed != ENT_OK)
        writer->buf->failed = why.failed;
    else
        ent_json_member_text(writer, "why", ent_buf_text(&why));
}

static void put_cited(const ent_account *account, ent_json_writer *writer, const ent_balance *row,
                      const ent_account_filter *filter, size_t *at)
{
    const ent_account_cited *cited = account->cited.rows;
    ent_json_key(writer, "messages");
    ent_json_array_begin(writer);
    for (; *at < account->cited.count; (*at)++) { /* both are sorted by class and pair */
        const ent_account_cited *one = &cited[*at];
        if (one->class_at != row->class_at || one->from != row->from || one->to != row->to)
            break;
        if (filter == NULL || filter->may(filter->context, one->message))
            ent_account_put_message(account->channel, writer, NULL, one->message);
    }
    ent_json_array_end(writer);
}

void ent_account_put_balances(const ent_account *account, ent_json_writer *writer, const ent_account_filter *filter)
{
    const ent_account_class *classes = account->classes.rows;
    size_t at = 0;
    ent_json_key(writer, "balances");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->sums.balance_count; i++) {
        const ent_balance *row = &account->sums.balances[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "class", classes[row->class_at].name);
        put_member(account->channel, writer, "from", row->from);
        put_member(account->channel, writer, "to", row->to);
        ent_json_member_unsigned(writer, "asked", row->asked);
        ent_json_member_unsigned(writer, "acknowledged", row->acknowledged);
        ent_json_member_unsigned(writer, "answered", row->answered);
        ent_json_member_unsigned(writer, "answered_in_time", row->answered_in_time);
        ent_json_member_unsigned(writer, "granted", row->granted);
        ent_json_member_unsigned(writer, "refused", row->refused);
        ent_json_member_unsigned(writer, "overdue", row->overdue);
        ent_json_member_unsigned(writer, "given", row->given);
        ent_json_member_unsigned(writer, "received", row->received);
        put_signed(writer, "balance", true, (int64_t)row->given - (int64_t)row->received);
        ent_json_member_bool(writer, "may_hold_back", row->may_hold_back);
        put_why(account, writer, row);
        put_cited(account, writer, row, filter, &at);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

void ent_account_put_threat(const ent_account *account, ent_json_writer *writer, const ent_account_filter *filter)
{
    const ent_account_incident *rows = account->incidents.rows;
    ent_json_key(writer, "threat_level");
    if (!account->has_threat_level) {
        ent_json_put_null(writer);
        return;
    }
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "name", account->sums.threat_level);
    ent_json_member_unsigned(writer, "sum", account->sums.threat_sum);
    ent_json_member_unsigned(writer, "window_s", account->window_s);
    ent_json_key(writer, "incidents");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->incidents.count; i++) {
        if (filter != NULL && !filter->may(filter->context, rows[i].message))
            continue;
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "message", rows[i].message);
        ent_json_member_string(writer, "severity", ent_severity_word(rows[i].severity));
        ent_json_member_unsigned(writer, "weight", rows[i].weight);
        ent_api_time(writer, "time", rows[i].time_unix_s);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_object_end(writer);
}

void ent_account_subject(ent_node *node, ent_channel *channel, ent_ledger_ref message, ent_buf *ret)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    ent_rc rc = ent_channel_entry(node, channel, message.member, message.index, &arena, NULL, &entry, NULL);
    if (rc.code == ENT_OK)
        ent_message_subject(node, channel, message.member, &entry, ret);
}
