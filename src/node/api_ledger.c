#include "node/account.h"

#include "base/cursor.h"
#include "node/channel.h"
#include "node/ledgers.h"

enum { DEFAULT_LIMIT = 1000, MAX_LIMIT = 100000 };

static void put_hash(ent_json_writer *writer, const char *key, const ent_hash *hash)
{
    ent_json_key(writer, key);
    ent_json_put_hex(writer, ent_hash_bytes(hash));
}

static const char *agreement_state(const ent_account *account)
{
    if (account->title.data == NULL)
        return "unreadable";
    if (account->moment.now_unix_s < account->from_unix_s)
        return "not-yet";
    return account->sums.in_force ? "in-force" : "expired";
}

static void put_agreement(const ent_account *account, ent_json_writer *writer)
{
    const ent_ledger_sums *sums = &account->sums;
    bool readable = account->title.data != NULL;
    ent_json_key(writer, "agreement");
    ent_json_object_begin(writer);
    put_hash(writer, "commitment", &sums->commitment);
    ent_json_member_text(writer, "title", account->title);
    ent_account_put_time(writer, "from", readable, account->from_unix_s);
    ent_account_put_time(writer, "until", readable, account->until_unix_s);
    ent_account_put_time(writer, "effective_until", readable, sums->end_unix_s);
    ent_json_member_string(writer, "state", agreement_state(account));
    ent_json_member_string(writer, "problem", readable ? NULL : sums->problem);
    ent_json_key(writer, "amendments");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < sums->amendment_count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "message", sums->amendments[i].message);
        put_hash(writer, "replaces", &sums->amendments[i].replaces);
        put_hash(writer, "commitment", &sums->amendments[i].commitment);
        ent_json_member_string(writer, "state", ent_state_word(sums->amendments[i].state));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_object_end(writer);
}

static void put_suspensions(const ent_account *account, ent_json_writer *writer)
{
    ent_json_key(writer, "suspended");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->sums.suspension_count; i++) {
        const ent_suspension *row = &account->sums.suspensions[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", account->channel->genesis.members[row->by].name);
        ent_api_time(writer, "since", row->since_unix_s);
        ent_account_put_message(account->channel, writer, "message", row->message);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* The most pressing ones; how many there are is told beside them. */
static void put_obligations(ent_node *node, const ent_account *account, uint64_t limit, ent_json_writer *writer)
{
    const ent_account_duty *rows = account->duties.rows;
    uint64_t mine = 0;
    for (size_t i = 0; i < account->duties.count; i++)
        mine += !rows[i].duty.exercise && rows[i].duty.debtor == account->channel->self;
    ent_json_member_unsigned(writer, "obligation_count", account->duties.count);
    ent_json_key(writer, "obligations");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->duties.count && i < limit; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
        ent_account_subject(node, account->channel, rows[i].duty.message, &subject);
        ent_json_object_begin(writer);
        ent_account_put_duty(account->channel, writer, &rows[i], account->moment.now_unix_s,
                             subject.size == 0 ? (ent_text){NULL, 0} : ent_buf_text(&subject));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "duties");
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "open", account->sums.duties_open);
    ent_json_member_unsigned(writer, "mine", mine);
    ent_json_member_unsigned(writer, "overdue", account->sums.duties_overdue);
    ent_json_member_unsigned(writer, "in_time", account->sums.duties_in_time);
    ent_json_member_unsigned(writer, "late", account->sums.duties_late);
    ent_json_object_end(writer);
    ent_json_key(writer, "done");
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "in_time", account->sums.duties_in_time);
    ent_json_member_unsigned(writer, "late", account->sums.duties_late);
    ent_json_object_end(writer);
}

static void put_times(const ent_account *account, ent_json_writer *writer)
{
    const ent_genesis *genesis = &account->channel->genesis;
    ent_json_key(writer, "answer_times");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->sums.member_count; i++) {
        const ent_answer_time *row = &account->sums.answer_times[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", genesis->members[row->by].name);
        ent_json_member_unsigned(writer, "count", row->count);
        ent_json_member_unsigned(writer, "median_s", row->median_s);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "checks");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->sums.member_count; i++) {
        const ent_check_record *row = &account->sums.checks[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", genesis->members[row->by].name);
        ent_json_member_unsigned(writer, "asked", row->asked);
        ent_json_member_unsigned(writer, "answered", row->answered);
        ent_json_member_unsigned(writer, "missed", row->missed);
        ent_json_member_unsigned(writer, "median_s", row->median_s);
        ent_api_time(writer, "last", row->last_unix_s);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_matters(const ent_account *account, ent_json_writer *writer)
{
    const ent_account_matter *claims = account->claims.rows;
    const ent_account_matter *pledges = account->pledges.rows;
    const ent_ledger_ref *evidence = account->evidence.rows;
    ent_json_key(writer, "claims");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->claims.count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "message", claims[i].message);
        ent_json_member_string(writer, "state", ent_state_word(claims[i].state));
        ent_json_member_bool(writer, "supported", claims[i].supported);
        ent_json_key(writer, "evidence");
        ent_json_array_begin(writer);
        for (size_t k = 0; k < claims[i].evidence_count; k++)
            ent_account_put_message(account->channel, writer, NULL, evidence[claims[i].evidence_first + k]);
        ent_json_array_end(writer);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "pledges");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->pledges.count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "message", pledges[i].message);
        ent_json_member_string(writer, "state", ent_state_word(pledges[i].state));
        ent_json_member_string(writer, "note", "without a neutral: the later side chooses");
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_bindings(const ent_account *account, ent_json_writer *writer)
{
    const ent_account_binding *rows = account->bindings.rows;
    ent_json_key(writer, "bindings");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->bindings.count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "thread", rows[i].thread);
        ent_account_put_message(account->channel, writer, "accepted", rows[i].accepted);
        put_hash(writer, "digest", &rows[i].digest);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_refs(const ent_account *account, ent_json_writer *writer, const char *key, const ent_account_list *list)
{
    const ent_ledger_ref *rows = list->rows;
    ent_json_key(writer, key);
    ent_json_array_begin(writer);
    for (size_t i = 0; i < list->count; i++)
        ent_account_put_message(account->channel, writer, NULL, rows[i]);
    ent_json_array_end(writer);
}

static void put_uncounted(const ent_account *account, ent_json_writer *writer)
{
    const ent_account_refusal *rows = account->refused.rows;
    ent_json_key(writer, "refused");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < account->refused.count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(account->channel, writer, "message", rows[i].message);
        ent_json_member_text(writer, "reason", rows[i].text);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    put_refs(account, writer, "contested", &account->contested);
    put_refs(account, writer, "unknown", &account->unknown);
    ent_json_key(writer, "exercises");
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "threads", account->sums.exercise_threads);
    ent_json_member_unsigned(writer, "obligations", account->sums.exercise_duties);
    ent_json_object_end(writer);
}

ent_rc ent_api_ledger(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_account_release) ent_account account = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ent_account_time time;
    char alias[ENT_NAME_MAX_BYTES + 1];
    uint64_t most = DEFAULT_LIMIT;
    ent_text limit = ent_http_query(call->request, "limit");
    if (limit.data != NULL && !ent_decimal_parse(limit, MAX_LIMIT, &most))
        return ent_fail(err, ENT_USAGE, "docs/api.md", "limit is a number up to %d", MAX_LIMIT);
    ENT_TRY(ent_account_asked(call, &channel, &time, err));
    ENT_TRY(ent_account_read(call->node, channel, time, &account, err));
    ent_channel_alias(channel, alias);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", channel->id_text);
    ent_json_member_string(&writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_api_time(&writer, "at", account.moment.now_unix_s);
    ent_api_time(&writer, "evidence_until", account.evidence_until);
    put_hash(&writer, "evidence_digest", &account.evidence_digest);
    put_hash(&writer, "state_digest", &account.state_digest);
    ent_json_member_unsigned(&writer, "rules", channel->genesis.rules);
    ent_account_put_members(channel, &writer);
    put_agreement(&account, &writer);
    put_suspensions(&account, &writer);
    put_obligations(call->node, &account, most, &writer);
    ent_account_put_balances(&account, &writer, NULL);
    ent_account_put_threat(&account, &writer, NULL);
    put_times(&account, &writer);
    put_matters(&account, &writer);
    put_bindings(&account, &writer);
    put_uncounted(&account, &writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

/* --- the lines of a digest --- */

static void put_piece(void *context, ent_text piece)
{
    ent_buf_put_text(context, piece);
}

ent_rc ent_api_ledger_lines(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf lines = {0};
    ent_text what = ent_http_query(call->request, "what");
    ent_ledger *ledger = NULL;
    ent_channel *channel = NULL;
    ent_account_time time;
    bool is_state = ent_text_is(what, "state");
    if (!is_state && !ent_text_is(what, "evidence"))
        return ent_fail(err, ENT_USAGE, "docs/api.md", "what=state or what=evidence");
    ENT_TRY(ent_account_asked(call, &channel, &time, err));
    ent_ledgers_roots roots = {call->node, channel};
    ENT_TRY(ent_ledgers_lock_evidence(call->node, channel, &ledger, err));
    int64_t until = time.has_at ? time.at_unix_s : ent_ledger_latest(ledger);
    ent_moment moment = {until, until};
    ent_rc rc = is_state ? ent_ledger_state_lines(ledger, moment, put_piece, &lines, err)
                         : ent_ledger_evidence_lines(ledger, moment, ent_ledgers_root, &roots, put_piece, &lines, err);
    ent_ledgers_unlock(channel);
    ENT_TRY(rc);
    ENT_TRY(ent_buf_check(&lines, err));
    call->response->status = 200;
    call->response->content_type = "text/plain; charset=utf-8";
    call->response->body = lines;
    lines = (ent_buf){0};
    return ENT_DONE;
}
