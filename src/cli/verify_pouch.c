#include "cli/verify.h"

#include "cli/people.h"
#include "crypto/crypto.h"
#include "log/cosignature.h"
#include "log/tree.h"
#include "pouch/pouch.h"

enum { ENTRIES_SHOWN = 20 };

/* A pouch and what was found out about it. */
typedef struct {
    ent_cli_verifier *verifier;
    ent_pouch pouch;
    ent_text writer; /* party */
    ent_hash channel;
    ent_tree_head head;
    ent_arena arena;
    ent_genesis genesis;
    bool has_genesis;
    bool root_checked;
    bool head_checked;  /* signature of the writer's head */
    size_t not_checked; /* other signatures for whose party there is neither card nor genesis */
    bool by_genesis;    /* some signature was checked with a key that only the genesis names */
} opened;

static void release_opened(opened *at)
{
    ent_pouch_release(&at->pouch);
    ent_arena_release(&at->arena);
}

/* ---- keys ------------------------------------------------------------------------- */

typedef struct {
    ent_bytes bytes;
    ent_text origin;
    ent_text receiver; /* receipts */
} signed_note;

static ent_rc check_head(const signed_note *head, const ent_public_key *key, ent_err *err)
{
    ent_note note = {0};
    ent_checkpoint checkpoint;
    ent_rc rc = ent_checkpoint_open(head->bytes, head->origin, key, &note, &checkpoint, err);
    if (rc.code == ENT_OK)
        ent_note_release(&note);
    return rc;
}

static ent_rc check_receipt(const signed_note *receipt, const ent_public_key *key, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_vkey vkey;
    ent_receipt_key_name_put(&name, receipt->receiver);
    ENT_TRY(ent_buf_check(&name, err));
    ENT_TRY(ent_vkey_make(ent_buf_text(&name), ENT_KEY_COSIGNATURE, key, &vkey, err));
    ENT_TRY(ent_note_parse(receipt->bytes, &note, err));
    if (ent_note_verify_cosignature(&note, &vkey, NULL) != ENT_SIGNATURE_VALID)
        return ent_fail(err, ENT_PEER_SIGNATURE, "C2SP tlog-cosignature",
                        "the receipt is not by the receipt key of %.*s", ENT_TEXT_ARG(receipt->receiver));
    return ENT_DONE;
}

/* The key that the card names, or one that it replaced. */
static ent_rc try_card(const signed_note *note, const ent_card *card, ent_cli_key which, ent_err *err)
{
    ent_rc rc = which == ENT_CLI_LOG_KEY ? check_head(note, &card->log, err) : check_receipt(note, &card->receipt, err);
    for (size_t i = 0; i < card->former_count && rc.code != ENT_OK; i++) {
        ent_public_key key;
        memcpy(key.bytes, card->former[i].value, sizeof key.bytes);
        if (!ent_cli_card_has(card, which, &key))
            continue;
        ent_rc by_former = which == ENT_CLI_LOG_KEY ? check_head(note, &key, NULL) : check_receipt(note, &key, NULL);
        if (by_former.code == ENT_OK)
            return by_former;
    }
    return rc;
}

/* Try a note with every key that a party may have: those of its cards, else the one of the genesis, to which the
 * channel's id commits.
 *  @out  ret_checked   false when there is no key to try */
static ent_rc try_keys(opened *at, ent_text party, ent_cli_key which, const signed_note *note, bool *ret_checked,
                       ent_err *err)
{
    const ent_cli_verifier *verifier = at->verifier;
    ent_rc rc = ENT_DONE;
    bool tried = false;
    for (size_t i = 0; i < verifier->card_count; i++) {
        const ent_card *card = &verifier->cards[i].card;
        if (!ent_text_equal(card->name, party))
            continue;
        tried = true;
        rc = try_card(note, card, which, err);
        if (rc.code == ENT_OK)
            break;
    }
    int member = at->has_genesis ? ent_genesis_member(&at->genesis, party) : -1;
    if (!tried && member >= 0) {
        const ent_member *row = &at->genesis.members[member];
        tried = true;
        at->by_genesis = true;
        rc = which == ENT_CLI_LOG_KEY ? check_head(note, &row->log, err) : check_receipt(note, &row->receipt, err);
    }
    *ret_checked = tried;
    return rc;
}

/* ---- signatures --------------------------------------------------------------------- */

static ent_rc check_one_head(opened *at, ent_text party, ent_bytes bytes, bool *ret_checked, ent_err *err)
{
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    if (party.size > ENT_NAME_MAX_BYTES)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "a party's name is too long");
    signed_note head = {.bytes = bytes, .origin = ent_origin_write(party, &at->channel, origin)};
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    if (!ent_text_equal(checkpoint.origin, head.origin))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Origin", "the head is of %.*s, not of %s",
                        ENT_TEXT_ARG(checkpoint.origin), origin);
    return try_keys(at, party, ENT_CLI_LOG_KEY, &head, ret_checked, err);
}

static ent_rc check_signatures(opened *at, ent_err *err)
{
    bool checked = false;
    ENT_TRY(
        ent_fail_in(err, check_one_head(at, at->writer, at->pouch.checkpoint, &at->head_checked, err), "checkpoint"));
    for (size_t i = 0; i < at->pouch.head_count; i++) {
        const ent_pouch_item *item = &at->pouch.heads[i];
        ent_bytes rest = item->data;
        ent_bytes note;
        while (ent_pouch_head_next(&rest, &note)) {
            ENT_TRY(ent_fail_in(err, check_one_head(at, item->party, note, &checked, err), "heads/%.*s",
                                ENT_TEXT_ARG(item->party)));
            at->not_checked += !checked;
        }
    }
    for (size_t i = 0; i < at->pouch.receipt_count; i++) {
        const ent_pouch_item *item = &at->pouch.receipts[i];
        signed_note receipt = {.bytes = item->data, .receiver = item->party};
        ENT_TRY(ent_fail_in(err, try_keys(at, item->party, ENT_CLI_RECEIPT_KEY, &receipt, &checked, err),
                            "receipt %zu, of %.*s", i, ENT_TEXT_ARG(item->party)));
        at->not_checked += !checked;
    }
    for (size_t i = 0; i < at->pouch.card_count; i++) {
        ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
        ENT_TRY(ent_fail_in(err, ent_card_parse(at->pouch.cards[i].data, &card, err), "cards/%.*s",
                            ENT_TEXT_ARG(at->pouch.cards[i].party)));
    }
    return ENT_DONE;
}

/* ---- contents ----------------------------------------------------------------------- */

static ent_rc check_origin(opened *at, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    ENT_TRY(ent_origin_parse(at->pouch.origin, &at->writer, &at->channel, err));
    ENT_TRY(ent_note_parse(at->pouch.checkpoint, &note, err));
    ENT_TRY(ent_fail_in(err, ent_checkpoint_parse(note.text, &checkpoint, err), "checkpoint"));
    if (!ent_text_equal(checkpoint.origin, at->pouch.origin) || checkpoint.head.size != at->pouch.size)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Pouch",
                        "pouch.json tells of %.*s at size %" PRIu64 ", its head of %.*s at %" PRIu64,
                        ENT_TEXT_ARG(at->pouch.origin), at->pouch.size, ENT_TEXT_ARG(checkpoint.origin),
                        checkpoint.head.size);
    at->head = checkpoint.head;
    if (at->pouch.genesis.size == 0)
        return ENT_DONE;
    ent_hash id;
    ent_channel_id(at->pouch.genesis, &id);
    if (!ent_hash_equal(&id, &at->channel))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                        "the genesis is not that of the channel that the pouch names");
    ENT_TRY(ent_fail_in(err, ent_genesis_decode(at->pouch.genesis, &at->arena, &at->genesis, err), "genesis"));
    at->has_genesis = true;
    return ENT_DONE;
}

static ent_rc check_body(const opened *at, const ent_entry *entry, size_t *body_at, ent_err *err)
{
    ent_hash digest;
    if (!entry->has_body)
        return ENT_DONE;
    if (*body_at >= at->pouch.body_count || at->pouch.bodies[*body_at].index != entry->index)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 7", "the body is missing");
    ent_bytes sealed = at->pouch.bodies[(*body_at)++].sealed;
    ent_sha256(sealed, &digest);
    if (sealed.size != entry->body.size || !ent_hash_equal(&digest, &entry->body.digest))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 7",
                        "the sealed body is not the one that the entry names");
    return ENT_DONE;
}

static void put_entry(ent_buf *out, const ent_entry *entry)
{
    ent_buf_put_format(out, "    %" PRIu64 "  ", entry->index);
    ent_cli_put_line(out, entry->kind);
    ent_buf_put_string(out, ", ");
    ent_cli_put_time(out, entry->time);
    ent_buf_put_u8(out, '\n');
}

static ent_rc check_entry(opened *at, ent_bytes bytes, uint64_t index, size_t *body_at, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    if (entry.index != index || !ent_text_equal(entry.writer, at->writer) ||
        !ent_hash_equal(&entry.channel, &at->channel))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 6",
                        "it is entry %" PRIu64 " of %.*s, of this or another channel", entry.index,
                        ENT_TEXT_ARG(entry.writer));
    if (index - at->pouch.old_size < ENTRIES_SHOWN)
        put_entry(&at->verifier->text, &entry);
    return check_body(at, &entry, body_at, err);
}

static ent_rc check_entries(opened *at, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(at->pouch.entries);
    ent_tree tree = {0};
    ent_bytes bytes;
    ent_hash root;
    bool more = true;
    size_t body_at = 0;
    uint64_t index = at->pouch.old_size;
    for (;; index++) {
        ent_hash leaf;
        ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
        if (!more)
            break;
        ENT_TRY(ent_fail_in(err, check_entry(at, bytes, index, &body_at, err), "entry %" PRIu64, index));
        ent_leaf_hash(bytes, &leaf);
        ENT_TRY(ent_tree_append(&tree, &leaf, err));
    }
    if (index != at->pouch.size || body_at != at->pouch.body_count)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Pouch",
                        "the pouch tells of sizes %" PRIu64 " to %" PRIu64 ", but holds %" PRIu64
                        " entries and %zu bodies of them",
                        at->pouch.old_size, at->pouch.size, index - at->pouch.old_size, body_at);
    if (at->pouch.old_size > 0)
        return ENT_DONE;
    ent_tree_root(&tree, &root);
    if (!ent_hash_equal(&root, &at->head.root))
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, step 5",
                        "the entries do not give the root of the signed head");
    at->root_checked = true;
    return ENT_DONE;
}

/* ---- the words ------------------------------------------------------------------------ */

static void put_heading(const opened *at)
{
    ent_buf *out = &at->verifier->text;
    ent_buf_put_string(out, "  a pouch of ");
    ent_cli_put_line(out, at->writer);
    ent_buf_put_string(out, "'s log in channel\n    ");
    ent_buf_put_hex(out, ent_hash_bytes(&at->channel));
    ent_buf_put_string(out, "\n  with ");
    ent_cli_put_counted(out, at->pouch.size - at->pouch.old_size, "entry", "entries");
    ent_buf_put_format(out, " from %" PRIu64 " on%s, %zu receipt%s, %zu head%s of other logs, %zu card%s\n",
                       at->pouch.old_size, at->pouch.genesis.size > 0 ? ", its genesis" : "", at->pouch.receipt_count,
                       at->pouch.receipt_count == 1 ? "" : "s", at->pouch.head_count,
                       at->pouch.head_count == 1 ? "" : "s", at->pouch.card_count,
                       at->pouch.card_count == 1 ? "" : "s");
}

static void put_findings(const opened *at)
{
    ent_buf *out = &at->verifier->text;
    if (at->pouch.size - at->pouch.old_size > ENTRIES_SHOWN)
        ent_buf_put_format(out, "    and %" PRIu64 " more\n", at->pouch.size - at->pouch.old_size - ENTRIES_SHOWN);
    ent_buf_put_string(out, at->root_checked ? "  The entries give the root of the head.\n"
                                             : "  The root was not checked: that needs the entries before.\n");
    ent_buf_put_string(out, at->head_checked
                                ? "  The head is signed by its writer.\n"
                                : "  The head's signature was NOT checked: give the writer's card with --card.\n");
    if (at->not_checked > 0)
        ent_buf_put_format(out, "  %zu other signature%s NOT checked: give the parties' cards with --card.\n",
                           at->not_checked, at->not_checked == 1 ? " was" : "s were");
    if (at->by_genesis)
        ent_buf_put_string(
            out,
            "  Keys came from the genesis in the pouch, to which the channel's id commits: that is as good as the\n"
            "  id is known from elsewhere. No card was compared for them.\n");
}

ent_rc ent_cli_verify_pouch(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err)
{
    ENT_CLEANUP(release_opened) opened at = {.verifier = verifier};
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&subject->bytes), &at.pouch, err));
    ENT_TRY(check_origin(&at, err));
    put_heading(&at);
    ENT_TRY(check_signatures(&at, err));
    ENT_TRY(check_entries(&at, err));
    put_findings(&at);
    verifier->only_form = !at.head_checked;
    if (verifier->writer != NULL) {
        ent_json_member_text(verifier->writer, "party", at.writer);
        ent_json_key(verifier->writer, "channel");
        ent_json_put_hex(verifier->writer, ent_hash_bytes(&at.channel));
        ent_json_member_unsigned(verifier->writer, "old_size", at.pouch.old_size);
        ent_json_member_unsigned(verifier->writer, "size", at.pouch.size);
        ent_json_member_bool(verifier->writer, "root_checked", at.root_checked);
        ent_json_member_bool(verifier->writer, "signature_checked", at.head_checked);
        ent_json_member_bool(verifier->writer, "card_compared", verifier->card_count > 0 && !at.by_genesis);
    }
    return ENT_DONE;
}
