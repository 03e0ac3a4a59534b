#include "cli/report_view.h"

#include "cli/ledger_view.h"
#include "cli/markdown.h"
#include "cli/moment.h"
#include "cli/people.h"
#include "crypto/crypto.h"
#include "log/tree.h"
#include "message/entry.h"

#include <stdlib.h>

/* ---- numbers of the proofs -------------------------------------------------------- */

typedef struct {
    ent_text message; /* party/index, in the arena */
    size_t number;    /* counted from 1 */
    ent_hash leaf;
} numbered;

/* Which lines a table shows. */
typedef enum { UNANSWERED, OWED, ALL } selection;

typedef struct {
    ent_buf *out;
    ent_arena arena;
    numbered *proofs;
    size_t proof_count;
    size_t capacity;
    ent_json_value head;
    size_t lines; /* written */
    selection which;
} report;

static void release_report(report *at)
{
    ent_arena_release(&at->arena);
    ent_free(at->proofs);
}

static ent_rc add_proof(void *context, size_t number, ent_json_value element, ent_err *err)
{
    report *at = context;
    if (at->proof_count == at->capacity) {
        size_t capacity = at->capacity == 0 ? 64 : at->capacity * 2;
        numbered *proofs = ent_realloc(at->proofs, capacity * sizeof *proofs);
        if (proofs == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        at->proofs = proofs;
        at->capacity = capacity;
    }
    numbered *row = &at->proofs[at->proof_count++];
    ent_text message = ent_cli_account_ref(ent_cli_text(element, "message"));
    row->number = number + 1;
    row->message = ent_arena_text(&at->arena, message);
    if (message.size > 0 && row->message.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_leaf_hash(ent_text_bytes(ent_cli_text(element, "entry")), &row->leaf);
    return ENT_DONE;
}

static int compare_proofs(const void *a, const void *b)
{
    const numbered *first = a;
    const numbered *second = b;
    int order = ent_text_compare(first->message, second->message);
    return order != 0 ? order : (first->number > second->number) - (first->number < second->number);
}

static const numbered *find_proof(const report *at, ent_text message)
{
    size_t low = 0;
    size_t high = at->proof_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ent_text_compare(at->proofs[middle].message, message) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < at->proof_count && ent_text_equal(at->proofs[low].message, message) ? &at->proofs[low] : NULL;
}

/* "`boreal.example/3` (proof 4)" */
static void put_reference(report *at, ent_text message)
{
    ent_text ref = ent_cli_account_ref(message);
    const numbered *proof = ref.size == 0 ? NULL : find_proof(at, ref);
    ent_cli_put_markdown(at->out, ref.size > 0 ? ref : message);
    if (proof != NULL)
        ent_buf_put_format(at->out, " (proof %zu)", proof->number);
    else
        ent_buf_put_string(at->out, " (no proof)");
}

/* ---- heading ----------------------------------------------------------------------- */

static void put_names(ent_buf *buf, ent_json_value names)
{
    bool first = true;
    for (ent_json_iter i = ent_json_iterate(names); ent_json_next(&i); first = false) {
        ent_buf_put_string(buf, first ? "" : ", ");
        ent_cli_put_markdown(buf, ent_json_string(i.value));
    }
}

static void put_moment(ent_buf *buf, ent_text time)
{
    int64_t unix_s = 0;
    if (ent_time_parse(time, &unix_s))
        ent_cli_put_time(buf, time);
    else
        ent_cli_put_markdown(buf, time);
}

static void put_heading(report *at)
{
    ent_buf *out = at->out;
    ent_json_value head = at->head;
    ent_json_value level = ent_json_get(head, "threat_level");
    uint64_t withheld = ent_cli_count(head, "withheld");
    ent_marking marking = ENT_MARKING_NONE;
    ent_buf_put_string(out, "# Report on the channel ");
    ent_cli_put_markdown(out, ent_cli_channel_label(head));
    ent_buf_put_string(out, "\n\nAn account by ");
    ent_cli_put_markdown(out, ent_cli_text(head, "made_by"));
    ent_buf_put_string(out, ", made ");
    put_moment(out, ent_cli_text(head, "made"));
    ent_buf_put_string(out, ".\n\n- Channel: ");
    ent_cli_put_markdown(out, ent_cli_text(head, "channel"));
    ent_buf_put_string(out, "\n- Members: ");
    put_names(out, ent_json_get(head, "members"));
    ent_buf_put_string(out, "\n- From ");
    put_moment(out, ent_cli_text(head, "from"));
    ent_buf_put_string(out, " to ");
    put_moment(out, ent_cli_text(head, "to"));
    ent_buf_put_string(out, "\n- Marking: **");
    if (ent_marking_from_person(ent_cli_text(head, "marking"), &marking) && marking != ENT_MARKING_NONE)
        ent_buf_put_string(out, ent_marking_word(marking));
    else
        ent_cli_put_markdown(out, ent_cli_text(head, "marking"));
    ent_buf_put_string(out, "**\n");
    if (ent_json_type_of(level) == ENT_JSON_OBJECT) {
        ent_buf_put_string(out, "- Threat level: ");
        ent_cli_put_markdown(out, ent_cli_text(level, "name"));
        ent_buf_put_format(out, " (sum %" PRIu64 ")\n", ent_cli_count(level, "sum"));
    }
    if (ent_json_true(ent_json_get(head, "published")))
        ent_buf_put_format(
            out, "- Only what may be published is named. %" PRIu64 " further lines are in the figures and not named.\n",
            withheld);
    for (ent_json_iter i = ent_json_iterate(ent_json_get(head, "checks")); ent_json_next(&i);) {
        if (ent_cli_count(i.value, "asked") == 0)
            continue;
        ent_buf_put_string(out, "- Comm checks, counted apart: ");
        ent_cli_put_markdown(out, ent_cli_text(i.value, "by"));
        ent_buf_put_format(out, " answered %" PRIu64 " of %" PRIu64 "\n", ent_cli_count(i.value, "answered"),
                           ent_cli_count(i.value, "asked"));
    }
    if (ent_cli_count(head, "exercises") > 0)
        ent_buf_put_format(out, "- Exercises: %" PRIu64 " messages, counted apart\n", ent_cli_count(head, "exercises"));
}

/* ---- figures ------------------------------------------------------------------------- */

static void put_figure(ent_buf *buf, ent_json_value row, const char *name)
{
    ENT_CLEANUP(ent_buf_release) ent_buf value = {0};
    if (ent_json_present(ent_json_get(row, name)))
        ent_json_put_value(&value, ent_json_get(row, name));
    ent_buf_put_string(buf, " | ");
    ent_cli_put_markdown(buf, ent_buf_text(&value));
}

static void put_sums(report *at)
{
    static const char *const figures[] = {"asked",   "answered", "answered_in_time", "overdue",
                                          "granted", "refused",  "not_answered"};
    ent_buf *out = at->out;
    ent_json_value sums = ent_json_get(at->head, "sums");
    ent_buf_put_string(out, "\n## In figures\n\n");
    if (ent_json_count(sums) == 0) {
        ent_buf_put_string(out, "Nobody asked anything.\n");
        return;
    }
    ent_buf_put_string(out,
                       "| who | asked whom | asked | answered | in time | overdue | granted | refused | unanswered "
                       "|\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (ent_json_iter i = ent_json_iterate(sums); ent_json_next(&i);) {
        ent_buf_put_string(out, "| ");
        ent_cli_put_markdown(out, ent_cli_text(i.value, "from"));
        ent_buf_put_string(out, " | ");
        ent_cli_put_markdown(out, ent_cli_text(i.value, "to"));
        for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++)
            put_figure(out, i.value, figures[k]);
        ent_buf_put_string(out, " |\n");
    }
}

/* False when nothing was given either way. */
static bool put_balance(ent_buf *out, ent_json_value row)
{
    bool may = ent_json_true(ent_json_get(row, "may_hold_back"));
    if (!may && ent_cli_count(row, "given") == 0 && ent_cli_count(row, "received") == 0)
        return false;
    ent_buf_put_string(out, "| ");
    ent_cli_put_markdown(out, ent_cli_text(row, "class"));
    ent_buf_put_string(out, " | ");
    ent_cli_put_markdown(out, ent_cli_text(row, "from"));
    ent_buf_put_string(out, " | ");
    ent_cli_put_markdown(out, ent_cli_text(row, "to"));
    put_figure(out, row, "given");
    put_figure(out, row, "received");
    put_figure(out, row, "balance");
    ent_buf_put_string(out, may ? " | yes: " : " | no");
    if (may)
        ent_cli_put_markdown(out, ent_cli_text(row, "why"));
    ent_buf_put_string(out, " |\n");
    return true;
}

static void put_balances(report *at)
{
    ent_json_value rows = ent_json_get(at->head, "balances");
    bool any = false;
    if (ent_json_count(rows) == 0)
        return;
    ent_buf_put_string(at->out, "\n## Balances\n\n");
    size_t table = at->out->size;
    ent_buf_put_string(at->out, "| class | who | towards | given | received | balance | may hold back |\n"
                                "|---|---|---|---:|---:|---:|---|\n");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);)
        any |= put_balance(at->out, i.value);
    if (any || at->out->failed != ENT_OK)
        return;
    at->out->size = table;
    ent_buf_put_string(at->out, "Nothing was given on either side.\n");
}

/* ---- lines ---------------------------------------------------------------------------- */

static void put_what(report *at, ent_json_value line)
{
    ent_text title = ent_cli_text(line, "title");
    ent_text subject = ent_cli_text(line, "subject");
    ent_text urgency = ent_cli_text(line, "urgency");
    if (ent_json_true(ent_json_get(line, "exercise")))
        ent_buf_put_string(at->out, "EXERCISE: ");
    if (urgency.size > 0 && !ent_text_is(urgency, "routine")) {
        ent_cli_put_markdown(at->out, urgency);
        ent_buf_put_string(at->out, ": ");
    }
    ent_cli_put_markdown(at->out, title.size > 0 ? title : ent_cli_text(line, "kind"));
    if (subject.size > 0) {
        ent_buf_put_string(at->out, ", \"");
        ent_cli_put_markdown(at->out, subject);
        ent_buf_put_u8(at->out, '"');
    }
}

static void put_receipts(report *at, ent_json_value line)
{
    bool first = true;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(line, "receipted")); ent_json_next(&i); first = false) {
        ent_buf_put_string(at->out, first ? "" : "; ");
        ent_cli_put_markdown(at->out, ent_cli_text(i.value, "by"));
        ent_buf_put_u8(at->out, ' ');
        put_moment(at->out, ent_cli_text(i.value, "time"));
    }
    if (first)
        ent_buf_put_string(at->out, "not receipted");
}

static void put_outcome(report *at, ent_json_value line)
{
    ent_text answer = ent_cli_text(line, "answer");
    ent_text outcome = ent_cli_text(line, "outcome");
    bool overdue = ent_json_true(ent_json_get(line, "overdue"));
    ent_buf_put_string(at->out, overdue ? "**" : "");
    ent_cli_put_markdown(at->out, ent_cli_text(line, "state"));
    ent_buf_put_string(at->out, overdue ? "**" : "");
    if (outcome.size > 0 && !ent_text_equal(outcome, ent_cli_text(line, "state"))) {
        ent_buf_put_string(at->out, ", ");
        ent_cli_put_markdown(at->out, outcome);
    }
    if (answer.size == 0)
        return;
    ent_buf_put_string(at->out, "; answered ");
    put_moment(at->out, ent_cli_text(line, "answered"));
    if (ent_json_true(ent_json_get(line, "claimed")))
        ent_buf_put_string(at->out, " (claimed)");
    if (ent_json_type_of(ent_json_get(line, "in_time")) == ENT_JSON_BOOL)
        ent_buf_put_string(at->out, ent_json_true(ent_json_get(line, "in_time")) ? ", in time" : ", late");
    ent_buf_put_string(at->out, " by ");
    put_reference(at, answer);
}

/* As the sums count: what was receipted, is no exercise and no comm check, and has got no answer. */
static bool is_unanswered(ent_json_value line)
{
    static const char *const states[] = {"open", "overdue", "stopped", "frozen"};
    bool is_open = false;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        is_open |= ent_text_is(ent_cli_text(line, "state"), states[i]);
    return is_open && ent_cli_text(line, "duty").size > 0 && ent_cli_text(line, "answer").size == 0 &&
           !ent_json_true(ent_json_get(line, "exercise")) && !ent_text_is(ent_cli_text(line, "kind"), "contact.check");
}

static bool is_selected(selection which, ent_json_value line)
{
    bool own = ent_text_equal(ent_cli_text(line, "asked_of"), ent_cli_text(line, "writer"));
    switch (which) {
    case UNANSWERED:
        return !own && is_unanswered(line);
    case OWED:
        return own && is_unanswered(line);
    default:
        return true;
    }
}

static void put_owed(report *at, ent_json_value line)
{
    ent_text duty = ent_cli_text(line, "duty");
    if (ent_text_is(duty, "notification"))
        ent_buf_put_string(at->out, "owes the notification: ");
    else if (ent_text_is(duty, "final"))
        ent_buf_put_string(at->out, "owes the final report: ");
    else if (ent_text_is(duty, "follow-up"))
        ent_buf_put_string(at->out, "put off: ");
}

static ent_rc put_line(void *context, size_t number, ent_json_value line, ent_err *err)
{
    report *at = context;
    ent_text asked = ent_cli_text(line, "asked_of");
    ent_text due = ent_cli_text(line, "due");
    (void)number;
    if (!is_selected(at->which, line))
        return ENT_DONE;
    at->lines++;
    ent_buf_put_string(at->out, "| ");
    put_moment(at->out, ent_cli_text(line, "time"));
    ent_buf_put_string(at->out, " | ");
    ent_cli_put_markdown(at->out, ent_cli_text(line, "writer"));
    ent_buf_put_string(at->out, " | ");
    if (asked.size > 0 && !ent_text_equal(asked, ent_cli_text(line, "writer")))
        ent_cli_put_markdown(at->out, asked);
    else if (ent_json_count(ent_json_get(line, "to")) == 0)
        ent_buf_put_string(at->out, "every member");
    else
        put_names(at->out, ent_json_get(line, "to"));
    ent_buf_put_string(at->out, " | ");
    put_what(at, line);
    ent_buf_put_string(at->out, " | ");
    put_receipts(at, line);
    ent_buf_put_string(at->out, " | ");
    put_moment(at->out, due);
    ent_buf_put_string(at->out, " | ");
    put_owed(at, line);
    put_outcome(at, line);
    ent_buf_put_string(at->out, " | ");
    put_reference(at, ent_cli_text(line, "message"));
    ent_buf_put_string(at->out, " |\n");
    return ent_buf_check(at->out, err);
}

static ent_rc put_lines(report *at, const ent_cli_account *account, selection which, ent_err *err)
{
    static const char *const titles[] = {[UNANSWERED] = "\n## Not answered\n\n",
                                         [OWED] = "\n## Reports still owed\n\n",
                                         [ALL] = "\n## All, in order\n\n"};
    size_t start = at->out->size;
    at->which = which;
    at->lines = 0;
    ent_buf_put_string(at->out, titles[which]);
    size_t table = at->out->size;
    ent_buf_put_string(at->out, "| said at | by | to | what | receipted | due | what became of it | message |\n"
                                "|---|---|---|---|---|---|---|---|\n");
    ENT_TRY(ent_cli_account_each(account->lines, put_line, at, err));
    ENT_TRY(ent_buf_check(at->out, err));
    if (at->lines > 0)
        return ENT_DONE;
    at->out->size = which == OWED ? start : table;
    if (which != OWED)
        ent_buf_put_string(at->out, "Nothing that is named here.\n");
    return ENT_DONE;
}

/* ---- proofs ----------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const numbered *first = a;
    const numbered *second = b;
    return (first->number > second->number) - (first->number < second->number);
}

static void put_proofs(report *at, ent_text json, const char *name)
{
    ent_hash digest;
    ent_sha256(ent_text_bytes(json), &digest);
    ent_buf_put_string(at->out, "\n## Proofs\n\n");
    if (name != NULL) {
        ent_text base = ent_text_of(strrchr(name, '/') == NULL ? name : strrchr(name, '/') + 1);
        ent_buf_put_string(at->out, "They are in ");
        ent_cli_put_markdown(at->out, base);
        ent_buf_put_string(at->out, ".json, whose SHA-256 is `");
        ent_buf_put_hex(at->out, ent_hash_bytes(&digest));
        ent_buf_put_string(at->out,
                           "`. `entente verify` checks them all, without a node; any verifier of the C2SP tlog "
                           "formats checks one.\n\n");
    } else {
        ent_buf_put_string(at->out,
                           "They are in the JSON form of this report: `entente report -o NAME` writes both, and "
                           "`entente verify` checks them.\n\n");
    }
    ent_buf_put_string(
        at->out, "What the entries prove: who said what kind of thing at which place of its log, to whom, in "
                 "answer to what, and who signed for it. Subjects, outcomes and due times rest on the sealed "
                 "bodies and the agreement: whoever holds them computes the same digests.\n\n- evidence digest: ");
    ent_cli_put_markdown(at->out, ent_cli_text(at->head, "evidence_digest"));
    ent_buf_put_string(at->out, "\n- state digest: ");
    ent_cli_put_markdown(at->out, ent_cli_text(at->head, "state_digest"));
    ent_buf_put_string(at->out, "\n\n| proof | message | leaf hash of its entry |\n|---:|---|---|\n");
    if (at->proof_count > 0)
        qsort(at->proofs, at->proof_count, sizeof *at->proofs, compare_numbers);
    for (size_t i = 0; i < at->proof_count; i++) {
        ent_buf_put_format(at->out, "| %zu | ", at->proofs[i].number);
        ent_cli_put_markdown(at->out, at->proofs[i].message);
        ent_buf_put_string(at->out, " | `");
        ent_buf_put_hex(at->out, ent_hash_bytes(&at->proofs[i].leaf));
        ent_buf_put_string(at->out, "` |\n");
    }
}

ent_rc ent_cli_put_report(ent_buf *buf, ent_text json, const char *name, ent_err *err)
{
    ENT_CLEANUP(ent_cli_account_release) ent_cli_account account = {0};
    ENT_CLEANUP(release_report) report at = {.out = buf};
    ENT_TRY(ent_cli_account_open(json, &account, err));
    at.head = account.head;
    ENT_TRY(ent_cli_account_each(account.proofs, add_proof, &at, err));
    if (at.proof_count > 0)
        qsort(at.proofs, at.proof_count, sizeof *at.proofs, compare_proofs);
    put_heading(&at);
    put_sums(&at);
    ENT_TRY(put_lines(&at, &account, UNANSWERED, err));
    ENT_TRY(put_lines(&at, &account, OWED, err));
    put_balances(&at);
    ENT_TRY(put_lines(&at, &account, ALL, err));
    put_proofs(&at, json, name);
    return ent_buf_check(buf, err);
}
