#include "node/report_lines.h"

#include "node/channel.h"

#include <stdlib.h>

static bool asks_answer(const ent_duty *duty)
{
    return duty->type == ENT_DUTY_ANSWER || duty->type == ENT_DUTY_FOLLOW_UP;
}

static ent_rc add(ent_account_list *lines, const ent_report_line *line, ent_err *err)
{
    /* lines outside the period are cut later, so a few times as many may be collected */
    ent_report_line *row = ent_account_add(lines, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = *line;
    return ENT_DONE;
}

static ent_report_line line_of(const ent_thread_view *thread, ent_ledger_ref message)
{
    return (ent_report_line){.message = message,
                             .thread = thread->first,
                             .begins = ent_ledger_ref_equal(message, thread->first),
                             .kind = thread->kind,
                             .urgency = thread->urgency,
                             .exercise = thread->exercise,
                             .asked_of = ENT_LEDGER_NOBODY};
}

static void set_duty(ent_report_line *line, const ent_duty *duty)
{
    line->has_duty = true;
    line->duty = *duty;
    line->urgency = duty->urgency;
    line->kind = duty->kind;
}

/* What began the thread, for each addressee, with what he owes because of it. */
static ent_rc collect_first(ent_account_list *lines, const ent_thread_view *thread, ent_err *err)
{
    for (size_t i = 0; i < thread->track_count; i++) {
        ent_report_line line = line_of(thread, thread->first);
        line.asked_of = thread->tracks[i].member;
        line.track = thread->tracks[i];
        for (size_t k = 0; k < thread->duty_count; k++) { /* a follow-up stands behind the answer that was put off */
            const ent_duty *duty = &thread->duties[k];
            if (asks_answer(duty) && duty->debtor == line.asked_of &&
                ent_ledger_ref_equal(duty->message, thread->first))
                set_duty(&line, duty);
        }
        ENT_TRY(add(lines, &line, err));
    }
    return ENT_DONE;
}

/* What else asks something in the thread: the last duty of a debtor because of a message tells how it stands. */
static ent_rc collect_others(ent_account_list *lines, const ent_thread_view *thread, ent_err *err)
{
    for (size_t i = 0; i < thread->duty_count; i++) {
        const ent_duty *duty = &thread->duties[i];
        bool by_writer = duty->debtor == duty->message.member;
        bool is_last = true;
        for (size_t k = i + 1; k < thread->duty_count && is_last && !by_writer; k++)
            is_last = !(asks_answer(&thread->duties[k]) && thread->duties[k].debtor == duty->debtor &&
                        ent_ledger_ref_equal(thread->duties[k].message, duty->message));
        if (!by_writer && (!asks_answer(duty) || ent_ledger_ref_equal(duty->message, thread->first) || !is_last))
            continue;
        ent_report_line line = line_of(thread, duty->message);
        line.asked_of = duty->debtor;
        set_duty(&line, duty);
        ENT_TRY(add(lines, &line, err));
    }
    return ENT_DONE;
}

bool ent_report_is_check(const char *kind)
{
    return kind != NULL && strcmp(kind, "contact.check") == 0;
}

/* Answered comm checks are figures: on a schedule they would be more lines than all the rest. */
static bool is_answered_check(const ent_thread_view *thread)
{
    bool is_open = false;
    for (size_t i = 0; i < thread->duty_count; i++)
        is_open |= ent_duty_is_open(thread->duties[i].state);
    return ent_report_is_check(thread->kind) && thread->duty_count > 0 && !is_open;
}

ent_rc ent_report_lines_collect(ent_account_list *lines, const ent_thread_view *thread, ent_err *err)
{
    if (thread->message_count == 0 || thread->messages[0].reason != ENT_ALLOWED || thread->kind == NULL)
        return ENT_DONE; /* nothing came of it */
    if (is_answered_check(thread))
        return ENT_DONE;
    ENT_TRY(collect_first(lines, thread, err));
    return collect_others(lines, thread, err);
}

bool ent_report_line_shown(const ent_report_line *line, bool publish)
{
    return !publish || line->published.may;
}

static int by_time(const void *a, const void *b)
{
    const ent_report_line *left = a;
    const ent_report_line *right = b;
    if (left->time_unix_s != right->time_unix_s)
        return left->time_unix_s < right->time_unix_s ? -1 : 1;
    if (left->message.member != right->message.member)
        return left->message.member < right->message.member ? -1 : 1;
    if (left->message.index != right->message.index)
        return left->message.index < right->message.index ? -1 : 1;
    if (left->asked_of != right->asked_of)
        return left->asked_of < right->asked_of ? -1 : 1;
    int left_type = left->has_duty ? (int)left->duty.type : 0;
    int right_type = right->has_duty ? (int)right->duty.type : 0;
    return left_type < right_type ? -1 : left_type > right_type;
}

/* When its writer says that it was said. */
static ent_rc time_of(ent_publishing *publishing, ent_report_line *line, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    int64_t time = 0;
    ENT_TRY(ent_channel_entry(publishing->node, publishing->channel, line->message.member, line->message.index, &arena,
                              NULL, &entry, err));
    line->time_unix_s = ent_time_parse(entry.time, &time) ? time : 0;
    return ENT_DONE;
}

static ent_rc judge(ent_publishing *publishing, ent_report_line *line, bool publish, ent_err *err)
{
    ent_published other = {0};
    ENT_TRY(ent_publishing_of(publishing, line->message, &line->published, err));
    line->answer_shown = line->has_duty && line->duty.has_act;
    line->thread_shown = true;
    if (!publish)
        return ENT_DONE;
    if (line->answer_shown) {
        ENT_TRY(ent_publishing_of(publishing, line->duty.act, &other, err));
        line->answer_shown = other.may;
    }
    ENT_TRY(ent_publishing_of(publishing, line->thread, &other, err));
    line->thread_shown = other.may;
    return ENT_DONE;
}

ent_rc ent_report_lines_cut(ent_account_list *lines, int64_t from, int64_t to, bool publish, ent_publishing *publishing,
                            uint64_t *ret_withheld, ent_err *err)
{
    ent_report_line *rows = lines->rows;
    size_t kept = 0;
    uint64_t withheld = 0;
    for (size_t i = 0; i < lines->count; i++) {
        bool seen = kept > 0 && ent_ledger_ref_equal(rows[kept - 1].message,
                                                     rows[i].message); /* of one message, one after another */
        if (seen)
            rows[i].time_unix_s = rows[kept - 1].time_unix_s;
        else
            ENT_TRY(time_of(publishing, &rows[i], err));
        if (rows[i].time_unix_s < from || rows[i].time_unix_s > to)
            continue;
        rows[kept++] = rows[i];
    }
    lines->count = kept;
    if (kept > ENT_REPORT_MAX_LINES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "docs/api.md",
                        "the report has %zu lines, and %d is the most; narrow the period with --from and --to", kept,
                        ENT_REPORT_MAX_LINES);
    for (size_t i = 0; i < kept; i++) {
        ENT_TRY(judge(publishing, &rows[i], publish, err));
        withheld += !ent_report_line_shown(&rows[i], publish);
    }
    if (kept > 1)
        qsort(rows, kept, sizeof *rows, by_time);
    *ret_withheld = withheld;
    return ENT_DONE;
}
