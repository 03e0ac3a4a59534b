#include "cli/verify.h"

#include "cli/files.h"
#include "cli/people.h"
#include "cli/verbs.h"
#include "pouch/pouch.h"

static const ent_cli_option options[] = {
    {"--policy", NULL, "FILE", false, "check proofs against this policy instead of the one beside them"},
    {"--card", NULL, "FILE", true, "a party's card, got elsewhere: its keys are compared"},
    {NULL, NULL, NULL, false, NULL},
};

enum { USTAR_MAGIC_AT = 257 };

/* ---- what a file is ------------------------------------------------------------ */

static bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path);
    size_t end_size = strlen(end);
    return size > end_size && strcmp(path + size - end_size, end) == 0;
}

/* {"report":..., however it is laid out. */
static bool is_report(ent_text text)
{
    static const char wanted[] = "{\"report\":";
    size_t matched = 0;
    for (size_t i = 0; i < text.size && matched < sizeof wanted - 1; i++) {
        if (text.data[i] == wanted[matched])
            matched++;
        else if (text.data[i] == 0 || strchr(" \t\r\n", text.data[i]) == NULL)
            return false;
    }
    return matched == sizeof wanted - 1;
}

ent_cli_file_kind ent_cli_file_kind_of(const char *path, ent_bytes bytes)
{
    ent_text text = ent_bytes_text(bytes);
    if (ent_text_starts(text, ENT_TEXT("c2sp.org/tlog-proof@")))
        return ENT_CLI_PROOF;
    if (ent_text_starts(text, ENT_TEXT("entente.card/")))
        return ENT_CLI_CARD;
    if (ent_text_starts(text, ENT_TEXT("entente.fork/")))
        return ENT_CLI_FORK;
    if (bytes.size > USTAR_MAGIC_AT + 5 && memcmp(bytes.data + USTAR_MAGIC_AT, "ustar", 5) == 0)
        return ENT_CLI_POUCH;
    if (is_report(text))
        return ENT_CLI_REPORT;
    if (ends_with(path, ".policy"))
        return ENT_CLI_POLICY;
    if (ends_with(path, ".entry"))
        return ENT_CLI_ENTRY;
    if (ends_with(path, ".tlog-proof"))
        return ENT_CLI_PROOF;
    if (ends_with(path, ".card"))
        return ENT_CLI_CARD;
    if (ends_with(path, ".pouch"))
        return ENT_CLI_POUCH;
    if (ent_text_starts(text, ENT_TEXT("{\"v\":")))
        return ENT_CLI_ENTRY;
    return ENT_CLI_UNKNOWN;
}

static const char *kind_word(ent_cli_file_kind kind)
{
    static const char *const words[] = {"unknown", "proof", "entry", "policy", "card", "pouch", "report", "fork"};
    return words[kind];
}

/* ---- cards ------------------------------------------------------------------------ */

bool ent_cli_card_has(const ent_card *card, ent_cli_key which, const ent_public_key *key)
{
    ent_key_role role = which == ENT_CLI_LOG_KEY ? ENT_KEY_ROLE_LOG : ENT_KEY_ROLE_RECEIPT;
    if (memcmp(ent_card_key(card, role), key->bytes, sizeof key->bytes) == 0)
        return true;
    for (size_t i = 0; i < card->former_count; i++) {
        const ent_card_former *row = &card->former[i];
        if (row->role == role && !row->revoked && memcmp(row->value, key->bytes, sizeof key->bytes) == 0)
            return true;
    }
    return false;
}

ent_cli_comparison ent_cli_compare(const ent_cli_verifier *verifier, ent_text party, ent_cli_key which,
                                   const ent_public_key *key, const ent_card **ret_card)
{
    ent_cli_comparison comparison = ENT_CLI_NOT_COMPARED;
    for (size_t i = 0; i < verifier->card_count; i++) {
        const ent_card *card = &verifier->cards[i].card;
        if (!ent_text_equal(card->name, party))
            continue;
        if (ent_cli_card_has(card, which, key)) {
            if (ret_card != NULL)
                *ret_card = card;
            return ENT_CLI_AS_ON_CARD;
        }
        comparison = ENT_CLI_NOT_ON_CARD;
    }
    return comparison;
}

static void put_key_json(ent_json_writer *writer, ent_text party, const char *what, const char *card_fingerprint,
                         ent_text fingerprint)
{
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "party", party);
    ent_json_member_string(writer, "key", what);
    ent_json_member_text(writer, "fingerprint", fingerprint);
    ent_json_member_bool(writer, "as_on_card", card_fingerprint != NULL);
    ent_json_member_string(writer, "card_fingerprint", card_fingerprint);
    ent_json_object_end(writer);
}

ent_rc ent_cli_tell_key(ent_cli_verifier *verifier, ent_text party, ent_cli_key which, const ent_public_key *key,
                        ent_err *err)
{
    const char *what = which == ENT_CLI_LOG_KEY ? "log" : "receipt";
    const ent_card *card = NULL;
    char card_fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_cli_comparison comparison = ent_cli_compare(verifier, party, which, key, &card);
    ENT_CLEANUP(ent_buf_release) ent_buf fingerprint = {0};
    ent_cli_put_key_fingerprint(&fingerprint, key);
    ENT_TRY(ent_buf_check(&fingerprint, err));
    if (comparison == ENT_CLI_NOT_ON_CARD)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Proof",
                        "the %s key of %.*s (fingerprint %.*s) is not the one on its card: the keys are forged, or the "
                        "card is of another "
                        "time than the proof; ask for the card that was in force",
                        what, ENT_TEXT_ARG(party), ENT_TEXT_ARG(ent_buf_text(&fingerprint)));
    ent_buf_put_format(&verifier->text, "    %s key of ", what);
    ent_cli_put_line(&verifier->text, party);
    if (comparison == ENT_CLI_AS_ON_CARD) {
        ENT_TRY(ent_card_fingerprint(card, card_fingerprint, err));
        ent_buf_put_format(&verifier->text, ": as on its card, whose fingerprint is\n      %s\n", card_fingerprint);
    } else {
        ent_buf_put_string(&verifier->text, ": compared with no card; its own fingerprint is\n      ");
        ent_buf_put(&verifier->text, ent_buf_bytes(&fingerprint));
        ent_buf_put_u8(&verifier->text, '\n');
    }
    if (verifier->writer != NULL)
        put_key_json(verifier->writer, party, what, comparison == ENT_CLI_AS_ON_CARD ? card_fingerprint : NULL,
                     ent_buf_text(&fingerprint));
    return ENT_DONE;
}

static ent_rc read_cards(ent_cli_verifier *verifier, ent_err *err)
{
    for (const char *path = NULL; (path = ent_cli_value_at(verifier->cli, "--card", verifier->card_count)) != NULL;) {
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        if (verifier->card_count == ENT_CLI_MAX_CARDS)
            return ent_fail(err, ENT_USAGE, NULL, "at most %d cards can be compared at a time", ENT_CLI_MAX_CARDS);
        ENT_TRY(ent_cli_read(path, ENT_CARD_MAX_BYTES, &bytes, err));
        ent_rc rc = ent_card_parse(ent_buf_bytes(&bytes), &verifier->cards[verifier->card_count], err);
        ENT_TRY(ent_fail_in(err, rc, "the card %s", path));
        verifier->card_count++;
    }
    return ENT_DONE;
}

static void put_card_text(ent_buf *out, const ent_card *card, const char *fingerprint)
{
    ent_buf_put_string(out, "  card of ");
    ent_cli_put_line(out, card->name);
    ent_buf_put_format(out, ", number %" PRIu64 ", issued ", card->serial);
    ent_cli_put_time(out, card->issued);
    ent_buf_put_format(out, "\n  fingerprint %s\n", fingerprint);
    ent_buf_put_string(out, "  log key     ");
    ent_cli_put_key_fingerprint(out, &card->log);
    ent_buf_put_string(out, "\n  receipt key ");
    ent_cli_put_key_fingerprint(out, &card->receipt);
    ent_buf_put_u8(out, '\n');
}

/* Whether a card given by --card is of the same line; none of that party leaves the question open. */
static ent_rc check_line(ent_cli_verifier *verifier, const ent_card_opened *card, bool *ret_compared, ent_err *err)
{
    ent_rc rc = ENT_DONE;
    for (size_t i = 0; i < verifier->card_count; i++) {
        const ent_card_opened *known = &verifier->cards[i];
        if (!ent_text_equal(known->card.name, card->card.name))
            continue;
        *ret_compared = true;
        if (ent_public_key_equal(&known->card.root, &card->card.root))
            return ENT_DONE;
        rc = ent_card_succeeds(known, card, err);
        if (rc.code == ENT_OK)
            return rc;
    }
    return ent_fail_in(err, rc, "this card does not follow from the one given by --card");
}

ent_rc ent_cli_verify_card(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    bool compared = false;
    ENT_TRY(ent_card_parse(ent_buf_bytes(&subject->bytes), &card, err));
    ENT_TRY(ent_card_fingerprint(&card.card, fingerprint, err));
    ENT_TRY(check_line(verifier, &card, &compared, err));
    put_card_text(&verifier->text, &card.card, fingerprint);
    ent_buf_put_string(&verifier->text,
                       compared
                           ? "  its root key is, or follows, the one of the card given by --card\n"
                           : "  signed by the root key that it names; no card was compared: compare the fingerprint\n"
                             "  with its owner by another way\n");
    if (verifier->writer != NULL) {
        ent_json_member_text(verifier->writer, "name", card.card.name);
        ent_json_member_unsigned(verifier->writer, "serial", card.card.serial);
        ent_json_member_string(verifier->writer, "fingerprint", fingerprint);
        ent_json_member_bool(verifier->writer, "card_compared", compared);
    }
    return ENT_DONE;
}

/* ---- the verb ------------------------------------------------------------------------ */

static void release_verifier(ent_cli_verifier *verifier)
{
    for (size_t i = 0; i < verifier->subject_count; i++)
        ent_buf_release(&verifier->subjects[i].bytes);
    for (size_t i = 0; i < verifier->card_count; i++)
        ent_card_release(&verifier->cards[i]);
    ent_free(verifier->subjects);
    ent_free(verifier->cards);
    ent_buf_release(&verifier->text);
}

static ent_rc read_subject(const char *path, ent_cli_subject *ret, ent_err *err)
{
    ret->path = path;
    ENT_TRY(ent_cli_read(path, ENT_POUCH_MAX_BYTES, &ret->bytes, err));
    ret->kind = ent_cli_file_kind_of(path, ent_buf_bytes(&ret->bytes));
    if (ret->kind == ENT_CLI_UNKNOWN)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 10",
                        "%s is nothing that can be verified: it takes proofs (.tlog-proof with .entry and .policy), "
                        "reports, cards, pouches and proofs of forks",
                        path);
    return ENT_DONE;
}

static ent_rc verify_subject(ent_cli_verifier *verifier, ent_cli_subject *subject, ent_err *err)
{
    switch (subject->kind) {
    case ENT_CLI_PROOF:
        return ent_cli_verify_proof(verifier, subject, err);
    case ENT_CLI_CARD:
        return ent_cli_verify_card(verifier, subject, err);
    case ENT_CLI_POUCH:
        return ent_cli_verify_pouch(verifier, subject, err);
    case ENT_CLI_FORK:
        return ent_cli_verify_fork(verifier, subject, err);
    case ENT_CLI_REPORT:
        return ent_cli_verify_report(verifier, subject, err);
    default:
        return ent_fail(err, ENT_USAGE, NULL,
                        "no proof was given that this %s belongs to; alone it proves nothing: name the .tlog-proof",
                        kind_word(subject->kind));
    }
}

static void put_verdict(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_rc rc, const ent_err *failure)
{
    ent_cli *cli = verifier->cli;
    ent_buf *out = &cli->out;
    if (verifier->writer != NULL) {
        ent_json_member_bool(verifier->writer, "valid", rc.code == ENT_OK);
        ent_json_member_string(verifier->writer, "reason", rc.code == ENT_OK ? NULL : failure->text);
        return;
    }
    ent_cli_put_line(out, ent_text_of(subject->path));
    ent_buf_put_string(out, ": ");
    ent_cli_put_style(out, cli->colour,
                      rc.code != ENT_OK     ? ENT_CLI_RED
                      : verifier->only_form ? ENT_CLI_YELLOW
                                            : ENT_CLI_GREEN);
    ent_buf_put_string(out, rc.code != ENT_OK     ? "NOT VALID"
                            : verifier->only_form ? "WELL-FORMED, signature not checked"
                                                  : "VALID");
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
    if (rc.code == ENT_OK)
        ent_buf_put(out, ent_buf_bytes(&verifier->text));
}

/* Verify one file after the other, also after a failure; the first failure is the verb's. */
static ent_rc verify_all(ent_cli_verifier *verifier, ent_err *err)
{
    ent_rc first = ENT_DONE;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < verifier->subject_count; i++) {
            ent_cli_subject *subject = &verifier->subjects[i];
            ent_err failure = {0};
            bool is_part = subject->kind == ENT_CLI_ENTRY || subject->kind == ENT_CLI_POLICY;
            /* Proofs first: they take their entries and policies. */
            if (is_part != (pass == 1) || subject->used)
                continue;
            ent_buf_clear(&verifier->text);
            verifier->only_form = false;
            if (verifier->writer != NULL) {
                ent_json_object_begin(verifier->writer);
                ent_json_member_string(verifier->writer, "file", subject->path);
                ent_json_member_string(verifier->writer, "kind", kind_word(subject->kind));
            }
            ent_rc rc = verify_subject(verifier, subject, &failure);
            if (rc.code == ENT_OK)
                rc = ent_buf_check(&verifier->text, &failure);
            put_verdict(verifier, subject, rc, &failure);
            if (verifier->writer != NULL)
                ent_json_object_end(verifier->writer);
            if (rc.code != ENT_OK && first.code == ENT_OK) {
                first = ent_fail_in(&failure, rc, "%s is not valid", subject->path);
                if (err != NULL)
                    *err = failure;
            }
        }
    }
    return first;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(release_verifier)
    ent_cli_verifier verifier = {.cli = cli, .policy_path = ent_cli_value(cli, "--policy")};
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    verifier.subjects = ent_alloc_array(cli->positional_count, sizeof *verifier.subjects);
    verifier.cards = ent_alloc_array(ENT_CLI_MAX_CARDS, sizeof *verifier.cards);
    if (verifier.subjects == NULL || verifier.cards == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(read_cards(&verifier, err));
    for (size_t i = 0; i < cli->positional_count; i++) {
        verifier.subject_count++;
        ENT_TRY(read_subject(cli->positional[i], &verifier.subjects[i], err));
    }
    if (!cli->json)
        return verify_all(&verifier, err);
    verifier.writer = &writer;
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "results");
    ent_json_array_begin(&writer);
    ent_rc rc = verify_all(&verifier, err);
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, rc.code == ENT_OK ? err : NULL));
    ent_cli_put_json(&cli->out, ent_buf_text(&json));
    ent_buf_put_u8(&cli->out, '\n');
    return rc;
}

const ent_cli_command ent_cli_verify = {
    .words = "verify",
    .arguments = "FILE... [--policy FILE] [--card FILE]...",
    .summary = "check proofs, reports, cards, pouches and forks; needs no node",
    .text =
        "A proof NAME.tlog-proof is checked with NAME.entry and NAME.policy, which lie beside it or are named too:\n"
        "the entry stands in the log whose head its writer signed, and the receipts are by the keys of the policy.\n"
        "\n"
        "A policy proves something only when its keys are those of the parties: give each party's card, got from\n"
        "elsewhere, with --card. Without cards the fingerprints are printed for you to compare.\n"
        "\n"
        "A card: its signature, and that it follows a card given by --card. A pouch: its form, its entries and\n"
        "bodies, and, with cards, its signatures. A report (JSON): every proof in it, that each line says what its\n"
        "entry says, and that every answer it names is there. A proof of a fork: that one key signed two heads which\n"
        "contradict each other, and, with --card, whose key it is. Exit status 1 when anything is not valid, with the "
        "reason.",
    .examples = "  entente verify attack.tlog-proof --card aurora.card --card boreal.card\n"
                "  entente verify boreal.card\n"
                "  entente verify aurora.pouch --card aurora.card\n"
                "  entente verify first-half.json --card aurora.card --card boreal.card",
    .options = options,
    .least = 1,
    .most = 64,
    .run = run,
};
