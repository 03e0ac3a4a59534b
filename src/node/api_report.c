#include "node/account.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/proof.h"
#include "node/report_lines.h"
#include "node/sequencer.h"

#include <stdlib.h>

/* One report while it is made. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    int64_t from;
    int64_t to;
    bool publish;
    ent_account account;
    ent_account_list lines; /* ent_report_line */
    ent_account_list named; /* ent_ledger_ref: every message that a line names */
    ent_publishing publishing;
    uint64_t withheld;
    struct {
        uint64_t asked, answered;
    } checks[ENT_ENTRY_MAX_MEMBERS]; /* comm checks of the period, by who was asked */
} reporting;

static void release(reporting *work)
{
    ent_account_release(&work->account);
    ent_free(work->lines.rows);
    ent_free(work->named.rows);
    ent_publishing_release(&work->publishing);
}

/* Those whose clock started in the period. */
static void note_checks(reporting *work, const ent_thread_view *thread)
{
    for (size_t i = 0; i < thread->duty_count && ent_report_is_check(thread->kind); i++) {
        const ent_duty *duty = &thread->duties[i];
        if (duty->type != ENT_DUTY_ANSWER || thread->exercise || !duty->has_start || duty->start_unix_s < work->from ||
            duty->start_unix_s > work->to)
            continue;
        work->checks[duty->debtor].asked++;
        work->checks[duty->debtor].answered += duty->has_act;
    }
}

static ent_rc see_thread(void *context, const ent_thread_view *thread, ent_err *err)
{
    reporting *work = context;
    ENT_TRY(ent_publishing_note(&work->publishing, thread, err));
    note_checks(work, thread);
    return ent_report_lines_collect(&work->lines, thread, err);
}

/* --- what was asked for --- */

static ent_rc read_time(const ent_api_call *call, const char *key, int64_t *ret, ent_err *err)
{
    ent_text text = ent_http_query(call->request, key);
    if (text.data != NULL && !ent_time_parse(text, ret))
        return ent_fail(err, ENT_USAGE, "RFC 3339", "--%s %.*s: a time looks like 2026-01-31T23:59:59Z", key,
                        (int)(text.size > 40 ? 40 : text.size), text.data);
    return ENT_DONE;
}

/* Our own entry 0: the channel is as old as that for us. */
static ent_rc first_time(ent_node *node, ent_channel *channel, int64_t *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    ent_rc rc = ent_channel_entry(node, channel, channel->self, 0, &arena, NULL, &entry, err);
    if (rc.code != ENT_OK)
        return rc.code == ENT_ABSENT
                   ? ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis",
                              "channel %.8s was not accepted here: there is nothing to report", channel->id_text)
                   : rc;
    if (!ent_time_parse(entry.time, ret))
        *ret = channel->added_unix_s;
    return ENT_DONE;
}

static ent_rc read_call(const ent_api_call *call, reporting *work, ent_err *err)
{
    ent_account_time unused;
    work->node = call->node;
    ENT_TRY(ent_account_asked(call, &work->channel, &unused, err));
    work->to = ent_clock_unix_s();
    ENT_TRY(first_time(call->node, work->channel, &work->from, err));
    ENT_TRY(read_time(call, "from", &work->from, err));
    ENT_TRY(read_time(call, "to", &work->to, err));
    if (work->to < work->from)
        return ent_fail(err, ENT_USAGE, NULL, "--from is later than --to");
    work->publish = ent_text_is(ent_http_query(call->request, "publish"), "1");
    ent_publishing_begin(call->node, work->channel, &work->publishing);
    return ENT_DONE;
}

/* --- lines --- */

/* "party/index": inside a report the channel is the same for all. */
static void put_ref(const reporting *work, ent_json_writer *writer, const char *key, bool has, ent_ledger_ref message)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    if (key != NULL)
        ent_json_key(writer, key);
    if (!has) {
        ent_json_put_null(writer);
        return;
    }
    ent_buf_put_text(&name, work->channel->genesis.members[message.member].name);
    ent_buf_put_format(&name, "/%llu", (unsigned long long)message.index);
    if (name.failed != ENT_OK)
        writer->buf->failed = name.failed;
    else
        ent_json_put_text(writer, ent_buf_text(&name));
}

/* As the ledger saw it: a receipt that comes while the report is written must not stand beside "not receipted". */
static bool is_later(const reporting *work, const ent_report_line *line, uint32_t by, const ent_store_receipt *receipt)
{
    return (int64_t)receipt->cosignature.timestamp_unix_s > work->to ||
           (line->has_duty && line->asked_of == by && !line->duty.has_start);
}

static ent_rc put_receipts(const reporting *work, ent_json_writer *writer, const ent_report_line *line, ent_err *err)
{
    ent_ledger_ref message = line->message;
    ent_store *store = work->node->store;
    ent_json_key(writer, "receipted");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < work->channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        if (m == message.member)
            continue;
        ent_rc rc = store->engine->receipt_covering(store, work->channel->members[message.member].log.number, m,
                                                    message.index + 1, &receipt, err);
        if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && is_later(work, line, m, &receipt)))
            continue;
        ENT_TRY(rc);
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", work->channel->genesis.members[m].name);
        ent_api_time(writer, "time", (int64_t)receipt.cosignature.timestamp_unix_s);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static void put_addressees(const reporting *work, ent_json_writer *writer, const ent_entry *entry)
{
    const ent_genesis *genesis = &work->channel->genesis;
    ent_json_key(writer, "to");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < entry->to_count; i++)
        ent_json_put_text(writer, entry->to[i]);
    for (size_t i = 0; entry->to_count == 0 && i < genesis->member_count; i++) {
        if (!ent_text_equal(genesis->members[i].name, entry->writer))
            ent_json_put_text(writer, genesis->members[i].name);
    }
    ent_json_array_end(writer);
}

/* What came of it, in one word: that which the figures count. */
static const char *outcome_of(const ent_report_line *line)
{
    if (line->has_duty && line->track.state == ENT_STATE_ACCEPTED)
        return "accepted";
    if (line->has_duty && line->track.state == ENT_STATE_REJECTED)
        return "rejected";
    const char *word = line->has_duty ? ent_outcome_word(line->duty.outcome) : NULL;
    return word != NULL ? word : ent_outcome_word(line->track.outcome);
}

/* Whether the figures count it. Exercises and comm checks are counted apart; what was not receipted was not asked yet;
 * what its own writer owes nobody asked. */
static bool is_counted(const ent_report_line *line)
{
    return line->has_duty && line->asked_of != ENT_LEDGER_NOBODY && line->asked_of != line->message.member &&
           !line->exercise && line->duty.has_start && !ent_report_is_check(line->kind);
}

static void put_standing(const reporting *work, ent_json_writer *writer, const ent_report_line *line)
{
    const ent_duty *duty = &line->duty;
    bool done = line->has_duty && (duty->state == ENT_DUTY_DONE || duty->state == ENT_DUTY_DONE_LATE);
    bool hidden = line->has_duty && duty->has_act && !line->answer_shown;
    ent_text nobody = {NULL, 0};
    ent_json_member_text(writer, "asked_of",
                         line->asked_of == ENT_LEDGER_NOBODY ? nobody
                                                             : work->channel->genesis.members[line->asked_of].name);
    ent_json_member_string(writer, "duty", line->has_duty ? ent_duty_type_word(duty->type) : NULL);
    ent_json_member_string(writer, "state",
                           line->has_duty ? ent_duty_state_word(duty->state) : ent_state_word(line->track.state));
    ent_json_member_string(writer, "outcome", hidden ? NULL : outcome_of(line));
    ent_account_put_time(writer, "due", line->has_duty && duty->has_due, duty->due_unix_s);
    put_ref(work, writer, "answer", line->answer_shown, duty->act);
    ent_account_put_time(writer, "answered", done, duty->done_unix_s);
    ent_json_member_bool(writer, "claimed", done && duty->claimed);
    ent_json_key(writer, "in_time");
    if (done)
        ent_json_put_bool(writer, duty->state == ENT_DUTY_DONE);
    else
        ent_json_put_null(writer);
    ent_json_member_bool(writer, "counted", is_counted(line));
    ent_json_member_bool(writer, "overdue", line->has_duty && duty->state == ENT_DUTY_OVERDUE);
    ent_json_member_bool(writer, "not_receipted",
                         line->has_duty && (duty->state == ENT_DUTY_SENT_NOT_RECEIPTED ||
                                            duty->state == ENT_DUTY_ANSWERED_NOT_RECEIPTED));
}

static ent_rc put_line(const reporting *work, ent_json_writer *writer, const ent_report_line *line, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
    const ent_kind *kind = line->kind == NULL ? NULL : ent_kind_find(ent_text_of(line->kind));
    ent_entry entry;
    ENT_TRY(ent_channel_entry(work->node, work->channel, line->message.member, line->message.index, &arena, NULL,
                              &entry, err));
    ent_account_subject(work->node, work->channel, line->message, &subject);
    ent_json_object_begin(writer);
    put_ref(work, writer, "message", true, line->message);
    ent_json_member_text(writer, "kind", entry.kind);
    ent_json_member_string(writer, "title", kind == NULL ? NULL : kind->title);
    ent_json_member_text(writer, "subject", subject.size == 0 ? (ent_text){NULL, 0} : ent_buf_text(&subject));
    ent_json_member_text(writer, "time", entry.time);
    ent_json_member_text(writer, "writer", entry.writer);
    put_addressees(work, writer, &entry);
    put_ref(work, writer, "thread", line->thread_shown, line->thread);
    ent_json_member_string(writer, "urgency", ent_urgency_word(line->urgency));
    ent_json_member_string(writer, "marking", ent_marking_word(line->published.marking));
    ent_json_member_bool(writer, "exercise", line->exercise);
    ENT_TRY(put_receipts(work, writer, line, err));
    put_standing(work, writer, line);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_lines(reporting *work, ent_json_writer *writer, ent_err *err)
{
    const ent_report_line *rows = work->lines.rows;
    ent_json_key(writer, "lines");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < work->lines.count; i++) {
        if (ent_report_line_shown(&rows[i], work->publish))
            ENT_TRY(put_line(work, writer, &rows[i], err));
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* --- sums --- */

typedef struct {
    uint64_t asked, answered, in_time, overdue, granted, refused, unanswered;
} pair_sum;

static bool is_unanswered(const ent_report_line *line)
{
    return !line->duty.has_act && ent_duty_is_open(line->duty.state);
}

static void add_to_sum(pair_sum *sum, const ent_report_line *line)
{
    const char *word = outcome_of(line);
    ent_text outcome = word == NULL ? ENT_TEXT("") : ent_text_of(word);
    sum->asked++;
    sum->answered += line->duty.has_act;
    sum->in_time += line->duty.state == ENT_DUTY_DONE;
    sum->overdue += line->duty.state == ENT_DUTY_OVERDUE;
    sum->unanswered += is_unanswered(line);
    sum->granted +=
        ent_text_is(outcome, "granted") || ent_text_is(outcome, "partial") || ent_text_is(outcome, "accepted");
    sum->refused +=
        ent_text_is(outcome, "refused") || ent_text_is(outcome, "impossible") || ent_text_is(outcome, "rejected");
}

static void put_pair(const reporting *work, ent_json_writer *writer, uint32_t from, uint32_t to)
{
    const ent_report_line *rows = work->lines.rows;
    const ent_genesis *genesis = &work->channel->genesis;
    pair_sum sum = {0};
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "from", genesis->members[from].name);
    ent_json_member_text(writer, "to", genesis->members[to].name);
    ent_json_key(writer, "unanswered");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < work->lines.count; i++) {
        if (!is_counted(&rows[i]) || rows[i].message.member != from || rows[i].asked_of != to)
            continue;
        add_to_sum(&sum, &rows[i]);
        if (is_unanswered(&rows[i]) && ent_report_line_shown(&rows[i], work->publish))
            put_ref(work, writer, NULL, true, rows[i].message);
    }
    ent_json_array_end(writer);
    ent_json_member_unsigned(writer, "asked", sum.asked);
    ent_json_member_unsigned(writer, "answered", sum.answered);
    ent_json_member_unsigned(writer, "answered_in_time", sum.in_time);
    ent_json_member_unsigned(writer, "overdue", sum.overdue);
    ent_json_member_unsigned(writer, "granted", sum.granted);
    ent_json_member_unsigned(writer, "refused", sum.refused);
    ent_json_member_unsigned(writer, "not_answered", sum.unanswered);
    ent_json_object_end(writer);
}

static void put_sums(const reporting *work, ent_json_writer *writer)
{
    const ent_report_line *rows = work->lines.rows;
    uint32_t members = (uint32_t)work->channel->genesis.member_count;
    uint64_t exercises = 0;
    ent_json_key(writer, "sums");
    ent_json_array_begin(writer);
    for (uint32_t from = 0; from < members; from++) {
        for (uint32_t to = 0; to < members; to++) {
            if (from != to)
                put_pair(work, writer, from, to);
        }
    }
    ent_json_array_end(writer);
    for (size_t i = 0; i < work->lines.count; i++)
        exercises += rows[i].exercise;
    ent_json_member_unsigned(writer, "exercises", exercises);
    ent_json_key(writer, "checks");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < members; m++) {
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", work->channel->genesis.members[m].name);
        ent_json_member_unsigned(writer, "asked", work->checks[m].asked);
        ent_json_member_unsigned(writer, "answered", work->checks[m].answered);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* --- proofs --- */

static ent_rc name_message(reporting *work, ent_ledger_ref message, ent_err *err)
{
    ent_ledger_ref *row = ent_account_add(&work->named, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = message;
    return ENT_DONE;
}

/* Every message that a line shows, and every answer, once each. */
static ent_rc name_messages(reporting *work, ent_err *err)
{
    const ent_report_line *rows = work->lines.rows;
    for (size_t i = 0; i < work->lines.count; i++) {
        if (!ent_report_line_shown(&rows[i], work->publish))
            continue;
        ENT_TRY(name_message(work, rows[i].message, err));
        if (rows[i].answer_shown)
            ENT_TRY(name_message(work, rows[i].duty.act, err));
    }
    ent_ledger_ref *named = work->named.rows;
    size_t kept = 0;
    if (work->named.count > 1)
        qsort(named, work->named.count, sizeof *named, ent_ledger_ref_order);
    for (size_t i = 0; i < work->named.count; i++) {
        if (kept == 0 || !ent_ledger_ref_equal(named[kept - 1], named[i]))
            named[kept++] = named[i];
    }
    work->named.count = kept;
    return ENT_DONE;
}

typedef struct {
    const reporting *work;
    ent_json_writer *writer;
    ent_ledger_ref message;
    ent_text entry;
} proving;

static ent_rc put_proof(void *context, const ent_message_proof *proof, ent_err *err)
{
    const proving *one = context;
    (void)err;
    ent_json_object_begin(one->writer);
    put_ref(one->work, one->writer, "message", true, one->message);
    ent_json_member_text(one->writer, "entry", one->entry);
    ent_json_member_text(one->writer, "proof", proof->proof);
    ent_json_member_text(one->writer, "policy", proof->policy);
    ent_json_object_end(one->writer);
    return ENT_DONE;
}

static ent_rc put_proofs(reporting *work, ent_json_writer *writer, ent_err *err)
{
    const ent_ledger_ref *named = work->named.rows;
    ent_json_key(writer, "proofs");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < work->named.count; i++) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        ent_entry entry;
        ENT_TRY(
            ent_channel_entry(work->node, work->channel, named[i].member, named[i].index, &arena, &bytes, &entry, err));
        proving one = {work, writer, named[i], ent_buf_text(&bytes)};
        ENT_TRY(ent_message_prove(work->node, work->channel, named[i].member, named[i].index, put_proof, &one, err));
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* --- the report --- */

static ent_marking strictest_marking(const reporting *work)
{
    const ent_report_line *rows = work->lines.rows;
    ent_marking marking = ENT_MARKING_CLEAR;
    for (size_t i = 0; i < work->lines.count; i++) {
        if (ent_report_line_shown(&rows[i], work->publish))
            marking = ent_marking_strictest(marking, rows[i].published.marking);
    }
    return marking;
}

static void put_heading(const reporting *work, ent_json_writer *writer)
{
    const ent_channel *channel = work->channel;
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_alias(work->channel, alias);
    ent_json_member_unsigned(writer, "report", 1);
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_account_put_members(channel, writer);
    ent_json_member_text(writer, "made_by", channel->genesis.members[channel->self].name);
    ent_api_time(writer, "made", ent_clock_unix_s());
    ent_api_time(writer, "from", work->from);
    ent_api_time(writer, "to", work->to);
    ent_json_member_string(writer, "marking", ent_marking_word(strictest_marking(work)));
    ent_json_member_bool(writer, "published", work->publish);
    ent_json_member_unsigned(writer, "withheld", work->withheld);
    ent_api_time(writer, "evidence_until", work->account.evidence_until);
    ent_json_key(writer, "evidence_digest");
    ent_json_put_hex(writer, ent_hash_bytes(&work->account.evidence_digest));
    ent_json_key(writer, "state_digest");
    ent_json_put_hex(writer, ent_hash_bytes(&work->account.state_digest));
}

static ent_rc read_all(reporting *work, ent_err *err)
{
    ent_account_time time = {.digests_dated = true, .also = see_thread, .also_context = work};
    time.has_at = work->to < ent_clock_unix_s();
    time.at_unix_s = work->to;
    ENT_TRY(ent_account_read(work->node, work->channel, time, &work->account, err));
    ENT_TRY(ent_publishing_open(&work->publishing, err));
    ENT_TRY(ent_report_lines_cut(&work->lines, work->from, work->to, work->publish, &work->publishing, &work->withheld,
                                 err));
    return name_messages(work, err);
}

ent_rc ent_api_report(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(release) reporting work = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ENT_TRY(read_call(call, &work, err));
    ENT_TRY(ent_sequencer_flush(call->node, err)); /* so that our newest receipts count, and proofs have them */
    ENT_TRY(read_all(&work, err));
    ent_account_filter filter = {ent_publishing_may, &work.publishing};
    ent_json_object_begin(&writer);
    put_heading(&work, &writer);
    ENT_TRY(put_lines(&work, &writer, err));
    put_sums(&work, &writer);
    ent_account_put_balances(&work.account, &writer, work.publish ? &filter : NULL);
    ent_account_put_threat(&work.account, &writer, work.publish ? &filter : NULL);
    ENT_TRY(put_proofs(&work, &writer, err));
    ent_json_object_end(&writer);
    if (work.publishing.failed != ENT_OK) { /* what could not be found out was left out: that is no report */
        if (err != NULL)
            *err = work.publishing.err;
        return ent_rc_of((ent_code)work.publishing.failed);
    }
    return ent_api_answer(call, &body, err);
}
