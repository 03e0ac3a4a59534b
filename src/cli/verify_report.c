#include "cli/verify.h"

#include "cli/account.h"
#include "cli/api.h"
#include "cli/people.h"
#include "cli/proof.h"
#include "cli/verify_sums.h"

#include "base/clock.h"

#include <stdlib.h>

enum { KEYS_MOST = 256 };

static const char rule[] = "docs/api.md, report";

/* A receipt for a message, as a proof shows it. */
typedef struct receipt {
    ent_text by;
    int64_t time_unix_s;
    struct receipt *next;
} receipt;

/* A message that a proof of the report shows. */
typedef struct {
    ent_text ref; /* party/index */
    const ent_entry *entry;
    receipt *receipts;
} proven;

typedef struct {
    ent_text party;
    ent_cli_key which;
    ent_public_key key;
} used_key;

typedef struct {
    ent_arena arena;
    ent_json_value head;
    ent_hash channel;
    proven *messages; /* sorted by ref once all are there; one row a proof */
    size_t message_count;
    size_t capacity;
    used_key keys[KEYS_MOST];
    size_t key_count;
    ent_cli_tallies tallies;
    size_t lines;
    size_t answers;
    size_t times_on_word; /* times that no proof in the report shows */
} checking;

static void release_checking(checking *at)
{
    ent_arena_release(&at->arena);
    ent_cli_tallies_release(&at->tallies);
    ent_free(at->messages);
}

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

/* ---- proofs ---------------------------------------------------------------------- */

static ent_rc keep_key(checking *at, ent_text party, ent_cli_key which, const ent_public_key *key, ent_err *err)
{
    for (size_t i = 0; i < at->key_count; i++) {
        const used_key *known = &at->keys[i];
        if (known->which == which && ent_text_equal(known->party, party) && ent_public_key_equal(&known->key, key))
            return ENT_DONE;
    }
    if (at->key_count == KEYS_MOST)
        return ent_fail(err, ENT_PEER_INVALID, rule, "the proofs rest on more than %d keys", KEYS_MOST);
    used_key *row = &at->keys[at->key_count++];
    *row = (used_key){ent_arena_text(&at->arena, party), which, *key};
    return row->party.data != NULL ? ENT_DONE : no_memory(err);
}

static ent_rc keep_receipts(checking *at, const ent_cli_proof *proof, proven *row, ent_err *err)
{
    for (size_t i = 0; i < proof->result.cosigned_count; i++) {
        const ent_policy_cosigned *by = &proof->result.cosigned[i];
        ent_text party = ent_cli_receipt_party(by->witness->vkey.name);
        if (party.size == 0)
            continue;
        receipt *one = ent_arena_alloc(&at->arena, sizeof *one);
        if (one == NULL)
            return no_memory(err);
        *one = (receipt){ent_arena_text(&at->arena, party), (int64_t)by->cosignature.timestamp_unix_s, row->receipts};
        if (one->by.data == NULL)
            return no_memory(err);
        row->receipts = one;
        ENT_TRY(keep_key(at, party, ENT_CLI_RECEIPT_KEY, &by->witness->vkey.key, err));
    }
    return keep_key(at, proof->entry.writer, ENT_CLI_LOG_KEY, &proof->result.log->vkey.key, err);
}

/* The entry again, in memory that lasts as long as the report. */
static ent_rc keep_entry(checking *at, const ent_cli_proof *proof, ent_text ref, proven *row, ent_err *err)
{
    ent_entry *entry = ent_arena_alloc(&at->arena, sizeof *entry);
    row->ref = ent_arena_text(&at->arena, ref);
    if (entry == NULL || row->ref.data == NULL)
        return no_memory(err);
    ENT_TRY(ent_entry_decode(proof->entry_bytes, &at->arena, entry, err));
    row->entry = entry;
    return keep_receipts(at, proof, row, err);
}

static ent_rc check_named(const checking *at, const ent_cli_proof *proof, ent_text ref, ent_err *err)
{
    ent_message_ref named;
    const ent_entry *entry = &proof->entry;
    if (!ent_message_ref_parse(ref, &named) || !ent_text_equal(named.party, entry->writer) ||
        named.index != entry->index)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it is of %.*s/%" PRIu64 ", not of the message that it names",
                        ENT_TEXT_ARG(entry->writer), entry->index);
    if (memcmp(&entry->channel, &at->channel, sizeof at->channel) != 0)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it is of another channel");
    return ENT_DONE;
}

static ent_rc add_proof(void *context, size_t number, ent_json_value element, ent_err *err)
{
    checking *at = context;
    ENT_CLEANUP(ent_cli_proof_release) ent_cli_proof proof = {0};
    ent_text ref = ent_cli_account_ref(ent_cli_text(element, "message"));
    if (at->message_count == at->capacity) {
        size_t capacity = at->capacity == 0 ? 64 : at->capacity * 2;
        proven *messages = ent_realloc(at->messages, capacity * sizeof *messages);
        if (messages == NULL)
            return no_memory(err);
        at->messages = messages;
        at->capacity = capacity;
    }
    proven *row = &at->messages[at->message_count];
    *row = (proven){.receipts = NULL};
    ent_rc rc = ent_cli_proof_check(ent_text_bytes(ent_cli_text(element, "proof")),
                                    ent_text_bytes(ent_cli_text(element, "entry")),
                                    ent_text_bytes(ent_cli_text(element, "policy")), &proof, err);
    if (rc.code == ENT_OK)
        rc = check_named(at, &proof, ref, err);
    if (rc.code == ENT_OK)
        rc = keep_entry(at, &proof, ref, row, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "proof %zu, of %.*s", number + 1, ENT_TEXT_ARG(ref));
    at->message_count++;
    return ENT_DONE;
}

static int compare_proven(const void *a, const void *b)
{
    return ent_text_compare(((const proven *)a)->ref, ((const proven *)b)->ref);
}

/* First row of a message; the further ones follow it. */
static const proven *find_proven(const checking *at, ent_text ref)
{
    size_t low = 0;
    size_t high = at->message_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ent_text_compare(at->messages[middle].ref, ref) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = ref.size > 0 && low < at->message_count && ent_text_equal(at->messages[low].ref, ref);
    return found ? &at->messages[low] : NULL;
}

/* The earliest receipt of a message by a party that the proofs show; false when they show none. */
static bool find_receipt(const checking *at, const proven *message, ent_text by, int64_t *ret_unix_s)
{
    bool found = false;
    int64_t earliest = 0;
    const proven *end = at->messages + at->message_count;
    for (const proven *row = message; row < end && ent_text_equal(row->ref, message->ref); row++) {
        for (const receipt *one = row->receipts; one != NULL; one = one->next) {
            if (!ent_text_equal(one->by, by) || (found && one->time_unix_s >= earliest))
                continue;
            earliest = one->time_unix_s;
            found = true;
        }
    }
    *ret_unix_s = earliest;
    return found;
}

/* ---- lines ------------------------------------------------------------------------ */

static ent_rc differs(ent_err *err, const char *what, ent_text said, ent_text proven_text)
{
    return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that its %s is \"%.*s\"; its entry says \"%.*s\"", what,
                    ENT_TEXT_ARG(said), ENT_TEXT_ARG(proven_text));
}

static ent_rc check_text(ent_json_value line, const char *name, ent_text wanted, ent_err *err)
{
    ent_text said = ent_cli_text(line, name);
    return ent_text_equal(said, wanted) ? ENT_DONE : differs(err, name, said, wanted);
}

static bool is_ref(ent_text text, const ent_message_ref *ref)
{
    ent_message_ref said;
    return ent_message_ref_parse(ent_cli_account_ref(text), &said) && ent_text_equal(said.party, ref->party) &&
           said.index == ref->index;
}

static bool holds(ent_json_value names, ent_text name)
{
    for (ent_json_iter i = ent_json_iterate(names); ent_json_next(&i);) {
        if (ent_text_equal(ent_json_string(i.value), name))
            return true;
    }
    return false;
}

/* "to" of an entry: none = every other member. */
static ent_rc check_addressees(const checking *at, ent_json_value line, const ent_entry *entry, ent_err *err)
{
    ent_json_value said = ent_json_get(line, "to");
    ent_json_value members = ent_json_get(at->head, "members");
    size_t count = ent_json_count(said);
    bool good = entry->to_count > 0 ? count == entry->to_count : count == 0 || count + 1 == ent_json_count(members);
    for (size_t i = 0; good && i < entry->to_count; i++)
        good = holds(said, entry->to[i]);
    for (ent_json_iter i = ent_json_iterate(said); good && ent_json_next(&i);)
        good = holds(members, ent_json_string(i.value)) && !ent_text_equal(ent_json_string(i.value), entry->writer);
    ent_text asked = ent_cli_text(line, "asked_of");
    /* Its own writer owes a notification or a final report. */
    good = good && (asked.size == 0 || ent_text_equal(asked, entry->writer) ||
                    (holds(members, asked) && (count == 0 || holds(said, asked))));
    return good ? ENT_DONE : ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that it is to others than its entry says");
}

/* What follows from the body or the agreement can make a message graver than its entry, never less. */
static ent_rc check_gravity(ent_json_value line, const ent_entry *entry, ent_err *err)
{
    ent_urgency urgency = ENT_URGENCY_ROUTINE;
    ent_marking marking = ENT_MARKING_NONE;
    ent_text urgency_word = ent_cli_text(line, "urgency");
    ent_text marking_word = ent_cli_text(line, "marking");
    if ((urgency_word.size > 0 && !ent_urgency_from_text(urgency_word, &urgency)) || urgency < entry->urgency)
        return differs(err, "urgency", urgency_word, ent_text_of(ent_urgency_word(entry->urgency)));
    if (marking_word.size > 0 && !ent_marking_from_person(marking_word, &marking))
        return differs(err, "marking", marking_word, ENT_TEXT("a marking of TLP 2.0"));
    ent_marking floor = entry->marking == ENT_MARKING_NONE ? ENT_MARKING_AMBER : entry->marking;
    if (ent_marking_strictest(marking, floor) != (marking == ENT_MARKING_NONE ? ENT_MARKING_AMBER : marking))
        return differs(err, "marking", marking_word, ent_text_of(ent_marking_word(floor)));
    return ENT_DONE;
}

/* The mark of its thread counts, which is that of the message that began it. */
static ent_rc check_exercise(const checking *at, ent_json_value line, const ent_entry *entry, ent_err *err)
{
    bool said = ent_json_true(ent_json_get(line, "exercise"));
    const proven *first = find_proven(at, ent_cli_account_ref(ent_cli_text(line, "thread")));
    if (said == entry->exercise || (entry->has_thread && (first == NULL || first->entry->exercise == said)))
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that it is %s exercise; its entry says otherwise",
                    said ? "an" : "no");
}

static ent_rc check_receipts(checking *at, ent_json_value line, const proven *message, ent_err *err)
{
    ent_json_value receipts = ent_json_get(line, "receipted");
    for (ent_json_iter i = ent_json_iterate(receipts); ent_json_next(&i);) {
        ent_text by = ent_cli_text(i.value, "by");
        int64_t said = 0;
        int64_t shown = 0;
        if (!ent_time_parse(ent_cli_text(i.value, "time"), &said) || !find_receipt(at, message, by, &shown))
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that %.*s receipted it; no proof shows that",
                            ENT_TEXT_ARG(by));
        if (said > shown)
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that %.*s receipted it later than the proof shows",
                            ENT_TEXT_ARG(by));
        at->times_on_word += said < shown; /* an earlier head may have carried it */
    }
    if (!ent_text_is(ent_cli_text(line, "state"), "sent, not receipted"))
        return ENT_DONE;
    for (ent_json_iter i = ent_json_iterate(receipts); ent_json_next(&i);) {
        if (ent_text_equal(ent_cli_text(i.value, "by"), ent_cli_text(line, "asked_of")))
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that it was not receipted, and when it was");
    }
    return ENT_DONE;
}

/* Whether a proof shows this receipt: by who asked, or by anybody of what a writer owed himself. */
static bool is_receipt_time(const checking *at, const proven *answer, int64_t unix_s, ent_text debtor, ent_text asked)
{
    int64_t shown = 0;
    if (!ent_text_equal(debtor, asked))
        return find_receipt(at, answer, asked, &shown) && shown == unix_s;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(at->head, "members")); ent_json_next(&i);) {
        if (find_receipt(at, answer, ent_json_string(i.value), &shown) && shown == unix_s)
            return true;
    }
    return false;
}

static ent_rc check_answer(checking *at, ent_json_value line, const ent_entry *asked, ent_err *err)
{
    ent_text ref = ent_cli_account_ref(ent_cli_text(line, "answer"));
    const proven *answer = find_proven(at, ref);
    ent_message_ref message = {asked->writer, asked->index};
    ent_message_ref thread = asked->has_thread ? asked->thread : message;
    int64_t answered = 0;
    int64_t due = 0;
    if (answer == NULL)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it names the answer %.*s, and no proof of that is there",
                        ENT_TEXT_ARG(ent_cli_text(line, "answer")));
    const ent_entry *entry = answer->entry;
    ent_text by = ent_cli_text(line, "asked_of");
    if (!entry->has_thread || !ent_text_equal(entry->thread.party, thread.party) || entry->thread.index != thread.index)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the answer that it names is of another thread");
    if (by.size > 0 && !ent_text_equal(entry->writer, by))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the answer that it names is not by %.*s", ENT_TEXT_ARG(by));
    if (ent_time_parse(ent_cli_text(line, "answered"), &answered)) {
        at->times_on_word += !is_receipt_time(at, answer, answered, by, asked->writer);
        if (ent_json_type_of(ent_json_get(line, "in_time")) == ENT_JSON_BOOL &&
            ent_time_parse(ent_cli_text(line, "due"), &due) &&
            ent_json_true(ent_json_get(line, "in_time")) != (answered <= due))
            return ent_fail(err, ENT_PEER_MISMATCH, rule, "whether it was answered in time is not what its times say");
    }
    at->answers++;
    return ENT_DONE;
}

static ent_rc check_line(checking *at, ent_json_value line, ent_err *err)
{
    const proven *message = find_proven(at, ent_cli_account_ref(ent_cli_text(line, "message")));
    if (message == NULL)
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "there is no proof of it");
    const ent_entry *entry = message->entry;
    ent_message_ref own = {entry->writer, entry->index};
    ENT_TRY(check_text(line, "kind", entry->kind, err));
    ENT_TRY(check_text(line, "time", entry->time, err));
    ENT_TRY(check_text(line, "writer", entry->writer, err));
    bool is_hidden = ent_json_true(ent_json_get(at->head, "published")) &&
                     ent_json_type_of(ent_json_get(line, "thread")) == ENT_JSON_NULL;
    if (!is_hidden && !is_ref(ent_cli_text(line, "thread"), entry->has_thread ? &entry->thread : &own))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that it is of another thread than its entry says");
    ENT_TRY(check_addressees(at, line, entry, err));
    ENT_TRY(check_gravity(line, entry, err));
    ENT_TRY(check_exercise(at, line, entry, err));
    ENT_TRY(check_receipts(at, line, message, err));
    if (ent_cli_text(line, "answer").size > 0)
        ENT_TRY(check_answer(at, line, entry, err));
    else if (ent_json_true(ent_json_get(line, "in_time")) && !ent_json_true(ent_json_get(at->head, "published")))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it was answered in time, and no answer is named");
    at->lines++;
    return ent_cli_tallies_add(&at->tallies, line, err);
}

static ent_rc add_line(void *context, size_t number, ent_json_value element, ent_err *err)
{
    ent_text message = ent_cli_text(element, "message");
    ent_rc rc = check_line(context, element, err);
    return rc.code == ENT_OK ? rc : ent_fail_in(err, rc, "line %zu, %.*s", number + 1, ENT_TEXT_ARG(message));
}

/* What the figures name must be there. */
static ent_rc check_sums(checking *at, ent_err *err)
{
    ENT_TRY(ent_cli_tallies_check(&at->tallies, at->head, err));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(at->head, "sums")); ent_json_next(&i);) {
        for (ent_json_iter k = ent_json_iterate(ent_json_get(i.value, "unanswered")); ent_json_next(&k);) {
            ent_text ref = ent_cli_account_ref(ent_json_string(k.value));
            const proven *message = find_proven(at, ref);
            if (message == NULL || !ent_text_equal(message->entry->writer, ent_cli_text(i.value, "from")))
                return ent_fail(err, ENT_PEER_MISMATCH, rule,
                                "the figures name %.*s as unanswered, and no proof shows that %.*s said it",
                                ENT_TEXT_ARG(ref), ENT_TEXT_ARG(ent_cli_text(i.value, "from")));
        }
    }
    return ENT_DONE;
}

/* ---- saying what it proves ---------------------------------------------------------- */

static void put_checked(ent_buf *out, const checking *at)
{
    ent_json_value head = at->head;
    ent_buf_put_string(out, "  report on channel ");
    ent_cli_put_line(out, ent_cli_text(head, "channel"));
    ent_buf_put_string(out, "\n  made by ");
    ent_cli_put_line(out, ent_cli_text(head, "made_by"));
    ent_buf_put_string(out, " at ");
    ent_cli_put_time(out, ent_cli_text(head, "made"));
    ent_buf_put_string(out, ", from ");
    ent_cli_put_time(out, ent_cli_text(head, "from"));
    ent_buf_put_string(out, " to ");
    ent_cli_put_time(out, ent_cli_text(head, "to"));
    ent_buf_put_format(out,
                       "\n  proofs that hold, each entry in its writer's signed log: %zu\n"
                       "  lines that say what their entries say: %zu; answers that they name, proven too: %zu\n",
                       at->message_count, at->lines, at->answers);
    if (at->times_on_word > 0)
        ent_buf_put_format(
            out, "  times that rest on the word of who made it (an earlier head may have carried them): %zu\n",
            at->times_on_word);
    if (ent_cli_count(head, "withheld") > 0)
        ent_buf_put_format(out, "  %" PRIu64 " messages are in its figures and not named\n",
                           ent_cli_count(head, "withheld"));
    ent_buf_put_string(out, ent_json_true(ent_json_get(head, "published"))
                                ? "  Its figures count what it does not name: they rest on the word of who made it.\n"
                                : "  its figures are the sums of its lines, and each line stands once\n");
    ent_buf_put_string(out, "  Subjects, outcomes, due times and balances rest on sealed bodies and the agreement: who "
                            "holds them\n  computes them anew (`entente ledger --digest`). That something is missing "
                            "shows only who has it.\n");
}

static ent_rc tell_keys(ent_cli_verifier *verifier, const checking *at, ent_err *err)
{
    size_t compared = 0;
    ent_buf_put_string(&verifier->text, "\n  Keys\n");
    for (size_t i = 0; i < at->key_count; i++) {
        const used_key *row = &at->keys[i];
        ENT_TRY(ent_cli_tell_key(verifier, row->party, row->which, &row->key, err));
        compared += ent_cli_compare(verifier, row->party, row->which, &row->key, NULL) == ENT_CLI_AS_ON_CARD;
    }
    if (verifier->card_count == 0)
        ent_buf_put_string(&verifier->text,
                           "  No card was compared: this holds only if these keys are theirs. Give the parties' cards, "
                           "got\n  elsewhere, with --card, or compare the fingerprints with their owners.\n");
    else if (compared < at->key_count)
        ent_buf_put_string(&verifier->text,
                           "  Not every key was compared with a card: what rests on the others is not shown.\n");
    return ENT_DONE;
}

ent_rc ent_cli_verify_report(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err)
{
    ENT_CLEANUP(ent_cli_account_release) ent_cli_account account = {0};
    ENT_CLEANUP(release_checking) checking at = {.lines = 0};
    ENT_TRY(ent_cli_account_open(ent_buf_text(&subject->bytes), &account, err));
    at.head = account.head;
    ENT_TRY(ent_fail_in(
        err, ent_hex_decode(ent_cli_text(at.head, "channel"), at.channel.bytes, sizeof at.channel.bytes, err),
        "the report's channel"));
    if (!holds(ent_json_get(at.head, "members"), ent_cli_text(at.head, "made_by")))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "it says that it was made by \"%.*s\", who is no member",
                        ENT_TEXT_ARG(ent_cli_text(at.head, "made_by")));
    ENT_TRY(ent_cli_account_each(account.proofs, add_proof, &at, err));
    if (at.message_count > 0)
        qsort(at.messages, at.message_count, sizeof *at.messages, compare_proven);
    ENT_TRY(ent_cli_account_each(account.lines, add_line, &at, err));
    ENT_TRY(check_sums(&at, err));
    put_checked(&verifier->text, &at);
    if (verifier->writer == NULL)
        return tell_keys(verifier, &at, err);
    ent_json_member_unsigned(verifier->writer, "lines", at.lines);
    ent_json_member_unsigned(verifier->writer, "proofs", at.message_count);
    ent_json_member_unsigned(verifier->writer, "answers", at.answers);
    ent_json_member_unsigned(verifier->writer, "times_not_proven", at.times_on_word);
    ent_json_key(verifier->writer, "keys");
    ent_json_array_begin(verifier->writer);
    ent_rc rc = tell_keys(verifier, &at, err);
    ent_json_array_end(verifier->writer);
    ent_json_member_bool(verifier->writer, "card_compared", verifier->card_count > 0);
    return rc;
}
