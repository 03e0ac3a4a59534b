#include "cli/verify_sums.h"

#include "cli/account.h"
#include "cli/api.h"

#include <inttypes.h>
#include <stdlib.h>

static const char rule[] = "docs/api.md, report";

struct ent_cli_tally {
    ent_text message;
    ent_text from; /* its writer */
    ent_text to;   /* asked_of */
    ent_text duty;
    bool counted;
    bool answered, in_time, overdue, granted, refused, unanswered;
    bool summed; /* by a row of the figures */
};

void ent_cli_tallies_release(ent_cli_tallies *tallies)
{
    ent_free(tallies->rows);
    ent_arena_release(&tallies->arena);
}

static bool is_any(ent_text word, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (ent_text_is(word, words[i]))
            return true;
    }
    return false;
}

static bool is_true(ent_json_value line, const char *name)
{
    return ent_json_true(ent_json_get(line, name));
}

static bool is_receipted_by(ent_json_value line, ent_text by)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(line, "receipted")); ent_json_next(&i);) {
        if (ent_text_equal(ent_cli_text(i.value, "by"), by))
            return true;
    }
    return false;
}

/* "`sums` count what was receipted and is no exercise; comm checks are counted apart" (docs/api.md). */
static ent_rc check_counted(ent_json_value line, ent_err *err)
{
    ent_text asked = ent_cli_text(line, "asked_of");
    bool counted = is_true(line, "counted");
    bool could = ent_cli_text(line, "duty").size > 0 && asked.size > 0 && !is_true(line, "exercise") &&
                 !ent_text_equal(asked, ent_cli_text(line, "writer")) &&
                 !ent_text_is(ent_cli_text(line, "kind"), "contact.check") &&
                 !ent_text_is(ent_cli_text(line, "state"), "sent, not receipted");
    if (counted && !could)
        return ent_fail(err, ENT_PEER_MISMATCH, rule,
                        "it says that the figures count it, which is none of what they do");
    if (!counted && could && is_receipted_by(line, asked))
        return ent_fail(err, ENT_PEER_MISMATCH, rule,
                        "it says that the figures do not count it, and when it was receipted");
    if (is_true(line, "overdue") != ent_text_is(ent_cli_text(line, "state"), "overdue"))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "its state and whether it is overdue do not go together");
    ent_json_value in_time = ent_json_get(line, "in_time");
    if (ent_json_type_of(in_time) == ENT_JSON_BOOL &&
        !ent_text_is(ent_cli_text(line, "state"), ent_json_true(in_time) ? "done" : "done late"))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "its state and whether it was done in time do not go together");
    return ENT_DONE;
}

ent_rc ent_cli_tallies_add(ent_cli_tallies *tallies, ent_json_value line, ent_err *err)
{
    static const char *const good[] = {"granted", "partial", "accepted", NULL};
    static const char *const bad[] = {"refused", "impossible", "rejected", NULL};
    static const char *const open[] = {"open", "overdue", "stopped", "frozen", NULL};
    ENT_TRY(check_counted(line, err));
    if (tallies->count == tallies->capacity) {
        size_t capacity = tallies->capacity == 0 ? 64 : tallies->capacity * 2;
        ent_cli_tally *rows = ent_realloc(tallies->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        tallies->rows = rows;
        tallies->capacity = capacity;
    }
    ent_text outcome = ent_cli_text(line, "outcome");
    bool has_answer = ent_cli_text(line, "answer").size > 0;
    ent_cli_tally row = {
        .message = ent_arena_text(&tallies->arena, ent_cli_account_ref(ent_cli_text(line, "message"))),
        .from = ent_arena_text(&tallies->arena, ent_cli_text(line, "writer")),
        .to = ent_arena_text(&tallies->arena, ent_cli_text(line, "asked_of")),
        .duty = ent_arena_text(&tallies->arena, ent_cli_text(line, "duty")),
        .counted = is_true(line, "counted"),
        .answered = has_answer,
        .in_time = is_true(line, "in_time"),
        .overdue = is_true(line, "overdue"),
        .granted = is_any(outcome, good),
        .refused = is_any(outcome, bad),
        .unanswered = !has_answer && is_any(ent_cli_text(line, "state"), open),
    };
    if (row.message.data == NULL || row.from.data == NULL || row.to.data == NULL || row.duty.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    tallies->exercises += is_true(line, "exercise");
    tallies->rows[tallies->count++] = row;
    return ENT_DONE;
}

static int by_line(const void *a, const void *b)
{
    const ent_cli_tally *left = *(const ent_cli_tally *const *)a;
    const ent_cli_tally *right = *(const ent_cli_tally *const *)b;
    int order = ent_text_compare(left->message, right->message);
    order = order != 0 ? order : ent_text_compare(left->to, right->to);
    return order != 0 ? order : ent_text_compare(left->duty, right->duty);
}

/* A line is one message, who owes because of it, and what. */
static ent_rc check_once(const ent_cli_tallies *tallies, ent_err *err)
{
    ent_rc rc = ENT_DONE;
    const ent_cli_tally **sorted = ent_alloc_array(tallies->count + 1, sizeof(const ent_cli_tally *));
    if (sorted == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < tallies->count; i++)
        sorted[i] = &tallies->rows[i];
    if (tallies->count > 1)
        qsort(sorted, tallies->count, sizeof(const ent_cli_tally *), by_line);
    for (size_t i = 1; i < tallies->count && rc.code == ENT_OK; i++) {
        if (by_line(&sorted[i - 1], &sorted[i]) == 0)
            rc = ent_fail(err, ENT_PEER_MISMATCH, rule, "it has the line of %.*s twice",
                          ENT_TEXT_ARG(sorted[i]->message));
    }
    ent_free(sorted);
    return rc;
}

static ent_rc check_figure(ent_json_value row, const char *name, uint64_t sum, ent_err *err)
{
    uint64_t said = 0;
    if (ent_json_unsigned(ent_json_get(row, name), UINT64_MAX, &said) && said == sum)
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, rule,
                    "its figures of %.*s towards %.*s do not follow from its lines: %s is %" PRIu64 " there",
                    ENT_TEXT_ARG(ent_cli_text(row, "from")), ENT_TEXT_ARG(ent_cli_text(row, "to")), name, sum);
}

/* The messages that nobody has answered, as the lines name them and in their order. */
static ent_rc check_unanswered(const ent_cli_tallies *tallies, ent_json_value row, ent_err *err)
{
    ent_text from = ent_cli_text(row, "from");
    ent_text to = ent_cli_text(row, "to");
    ent_json_iter named = ent_json_iterate(ent_json_get(row, "unanswered"));
    bool same = true;
    for (size_t i = 0; i < tallies->count && same; i++) {
        const ent_cli_tally *line = &tallies->rows[i];
        if (line->counted && line->unanswered && ent_text_equal(line->from, from) && ent_text_equal(line->to, to))
            same = ent_json_next(&named) &&
                   ent_text_equal(ent_cli_account_ref(ent_json_string(named.value)), line->message);
    }
    if (same && !ent_json_next(&named))
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, rule,
                    "what its figures of %.*s towards %.*s name as unanswered is not what its lines say",
                    ENT_TEXT_ARG(from), ENT_TEXT_ARG(to));
}

static ent_rc check_pair(ent_cli_tallies *tallies, ent_json_value row, ent_err *err)
{
    uint64_t asked = 0, answered = 0, in_time = 0, overdue = 0, granted = 0, refused = 0, unanswered = 0;
    ent_text from = ent_cli_text(row, "from");
    ent_text to = ent_cli_text(row, "to");
    for (size_t i = 0; i < tallies->count; i++) {
        ent_cli_tally *line = &tallies->rows[i];
        if (!line->counted || !ent_text_equal(line->from, from) || !ent_text_equal(line->to, to))
            continue;
        if (line->summed)
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "it has figures of %.*s towards %.*s twice",
                            ENT_TEXT_ARG(from), ENT_TEXT_ARG(to));
        line->summed = true;
        asked++;
        answered += line->answered;
        in_time += line->in_time;
        overdue += line->overdue;
        granted += line->granted;
        refused += line->refused;
        unanswered += line->unanswered;
    }
    ENT_TRY(check_figure(row, "asked", asked, err));
    ENT_TRY(check_figure(row, "answered", answered, err));
    ENT_TRY(check_figure(row, "answered_in_time", in_time, err));
    ENT_TRY(check_figure(row, "overdue", overdue, err));
    ENT_TRY(check_figure(row, "granted", granted, err));
    ENT_TRY(check_figure(row, "refused", refused, err));
    ENT_TRY(check_figure(row, "not_answered", unanswered, err));
    return check_unanswered(tallies, row, err);
}

ent_rc ent_cli_tallies_check(ent_cli_tallies *tallies, ent_json_value head, ent_err *err)
{
    uint64_t exercises = 0;
    ENT_TRY(check_once(tallies, err));
    if (is_true(head, "published"))
        return ENT_DONE;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(head, "sums")); ent_json_next(&i);)
        ENT_TRY(check_pair(tallies, i.value, err));
    for (size_t i = 0; i < tallies->count; i++) {
        if (tallies->rows[i].counted && !tallies->rows[i].summed)
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "its figures leave out the line of %.*s",
                            ENT_TEXT_ARG(tallies->rows[i].message));
    }
    if (!ent_json_unsigned(ent_json_get(head, "exercises"), UINT64_MAX, &exercises) || exercises != tallies->exercises)
        return ent_fail(err, ENT_PEER_MISMATCH, rule,
                        "of its lines %" PRIu64 " are of exercises, and it says otherwise", tallies->exercises);
    return ENT_DONE;
}
