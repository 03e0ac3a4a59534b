#include "cli/verify.h"

#include "cli/files.h"
#include "cli/people.h"
#include "cli/proof.h"

#include "base/clock.h"
#include "base/file.h"

/* Where the parts were read to. */
typedef struct {
    ent_buf entry;
    ent_buf policy;
    ent_cli_proof proof;
} checked;

static void release_checked(checked *at)
{
    ent_cli_proof_release(&at->proof);
    ent_buf_release(&at->entry);
    ent_buf_release(&at->policy);
}

/* ---- finding entry and policy ---------------------------------------------------- */

/* Length of the path without its last ".part"; 0 when there is none in its last component. */
static size_t without_extension(ent_text path)
{
    for (size_t i = path.size; i > 0 && path.data[i - 1] != '/'; i--) {
        if (path.data[i - 1] == '.' && i > 1 && path.data[i - 2] != '/')
            return i - 1;
    }
    return 0;
}

/* The subject of this kind with this path, or with any when it is the only one. */
static ent_cli_subject *find_named(ent_cli_verifier *verifier, ent_cli_file_kind kind, ent_text path)
{
    ent_cli_subject *only = NULL;
    size_t count = 0;
    size_t proofs = 0;
    for (size_t i = 0; i < verifier->subject_count; i++) {
        ent_cli_subject *subject = &verifier->subjects[i];
        proofs += subject->kind == ENT_CLI_PROOF;
        if (subject->kind != kind)
            continue;
        if (ent_text_is(path, subject->path))
            return subject;
        only = subject;
        count++;
    }
    return count == 1 && proofs == 1 ? only : NULL;
}

/* Find what belongs to a proof: named beside it, or lying beside it. NAME.PARTY.tlog-proof shares NAME.entry, so the
 * stem is shortened part by part. */
static ent_rc find_part(ent_cli_verifier *verifier, const ent_cli_subject *proof, ent_cli_file_kind kind,
                        const char *extension, ent_buf *memory, ent_bytes *ret, ent_err *err)
{
    ent_text stem = ent_text_of(proof->path);
    while ((stem.size = without_extension(stem)) > 0) {
        ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
        ent_buf_put_text(&path, stem);
        ent_buf_put_string(&path, extension);
        const char *string = ent_buf_string(&path);
        ENT_TRY(ent_buf_check(&path, err));
        ent_cli_subject *named = find_named(verifier, kind, ent_buf_text(&path));
        if (named != NULL) {
            named->used = true;
            *ret = ent_buf_bytes(&named->bytes);
            return ENT_DONE;
        }
        if (ent_file_exists(string)) {
            ENT_TRY(ent_file_read(string, ENT_TLOG_PROOF_MAX_BYTES, memory, err));
            *ret = ent_buf_bytes(memory);
            return ENT_DONE;
        }
    }
    ent_cli_subject *named = find_named(verifier, kind, ENT_TEXT(""));
    if (named == NULL)
        return ent_fail(err, ENT_ABSENT, "design 2, Proof", "there is no %s file beside it, and none was named",
                        extension);
    named->used = true;
    *ret = ent_buf_bytes(&named->bytes);
    return ENT_DONE;
}

static ent_rc find_policy(ent_cli_verifier *verifier, const ent_cli_subject *proof, ent_buf *memory, ent_bytes *ret,
                          ent_err *err)
{
    if (verifier->policy_path == NULL)
        return find_part(verifier, proof, ENT_CLI_POLICY, ".policy", memory, ret, err);
    ENT_TRY(ent_cli_read(verifier->policy_path, ENT_POLICY_MAX_BYTES, memory, err));
    *ret = ent_buf_bytes(memory);
    return ENT_DONE;
}

/* ---- saying what it proves --------------------------------------------------------- */

static void put_sealed(ent_buf *out, const char *what, const ent_blob_ref *blob)
{
    ent_buf_put_format(out, "    %s: ", what);
    ent_cli_put_bytes(out, blob->size);
    ent_buf_put_string(out, " sealed, SHA-256 ");
    ent_buf_put_hex(out, ent_hash_bytes(&blob->digest));
    ent_buf_put_u8(out, '\n');
}

static void put_said(ent_buf *out, const ent_entry *entry)
{
    const char *marking = ent_marking_word(entry->marking);
    ent_buf_put_string(out, "  ");
    ent_cli_put_line(out, entry->writer);
    ent_buf_put_string(out, " said ");
    ent_cli_put_line(out, entry->kind);
    ent_buf_put_string(out, entry->exercise ? " (an EXERCISE)\n    at " : "\n    at ");
    ent_cli_put_time(out, entry->time);
    ent_buf_put_format(out, ", by its own clock, as entry %" PRIu64 " of its log in channel\n    ", entry->index);
    ent_buf_put_hex(out, ent_hash_bytes(&entry->channel));
    ent_buf_put_string(out, "\n    to ");
    for (size_t i = 0; i < entry->to_count; i++) {
        ent_buf_put_string(out, i == 0 ? "" : ", ");
        ent_cli_put_line(out, entry->to[i]);
    }
    ent_buf_put_format(out, "%s, urgency %s, marking %s\n", entry->to_count == 0 ? "every member" : "",
                       ent_urgency_word(entry->urgency), marking == NULL ? "none (TLP:AMBER)" : marking);
    if (entry->has_reply_to) {
        ent_buf_put_string(out, "    in answer to ");
        ent_cli_put_line(out, entry->reply_to.party);
        ent_buf_put_format(out, "/%" PRIu64 "\n", entry->reply_to.index);
    }
    if (entry->has_body)
        put_sealed(out, "body", &entry->body);
    for (size_t i = 0; i < entry->attachment_count; i++)
        put_sealed(out, "attachment", &entry->attachments[i]);
}

static void put_receipts(ent_buf *out, const ent_cli_proof *at)
{
    bool any = false;
    for (size_t i = 0; i < at->result.cosigned_count; i++) {
        const ent_policy_cosigned *by = &at->result.cosigned[i];
        ent_text party = ent_cli_receipt_party(by->witness->vkey.name);
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, party.size > 0 ? party : by->witness->vkey.name);
        ent_buf_put_string(out, party.size > 0 ? " receipted it at " : " (a witness) saw the log's head at ");
        ent_cli_put_time_unix(out, (int64_t)by->cosignature.timestamp_unix_s);
        if (party.size > 0) {
            ent_buf_put_string(out, ":\n    it signed that it durably holds ");
            ent_cli_put_first_entries(out, at->result.checkpoint.head.size);
            ent_buf_put_string(out, " of that log");
        }
        ent_buf_put_u8(out, '\n');
        any |= party.size > 0;
    }
    if (!any)
        ent_buf_put_string(
            out, "  No receipt is in this proof: it shows that this was said, not that anybody has got it.\n");
}

static void put_said_json(ent_json_writer *writer, const ent_cli_proof *at)
{
    const ent_entry *entry = &at->entry;
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_json_member_text(writer, "party", entry->writer);
    ent_json_member_text(writer, "message_kind", entry->kind);
    ent_json_member_text(writer, "time", entry->time);
    ent_json_member_unsigned(writer, "index", entry->index);
    ent_json_key(writer, "channel");
    ent_json_put_hex(writer, ent_hash_bytes(&entry->channel));
    ent_json_member_unsigned(writer, "log_size", at->result.checkpoint.head.size);
    ent_json_key(writer, "receipts");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < at->result.cosigned_count; i++) {
        const ent_policy_cosigned *by = &at->result.cosigned[i];
        ent_text party = ent_cli_receipt_party(by->witness->vkey.name);
        ent_time_format((int64_t)by->cosignature.timestamp_unix_s, time);
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", party.size > 0 ? party : by->witness->vkey.name);
        ent_json_member_bool(writer, "receipt", party.size > 0);
        ent_json_member_string(writer, "time", time);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* Compare every key that the proof rests on, and say how each did. */
static ent_rc tell_keys(ent_cli_verifier *verifier, const ent_cli_proof *at, ent_err *err)
{
    ent_buf *out = &verifier->text;
    bool compared = ent_cli_compare(verifier, at->entry.writer, ENT_CLI_LOG_KEY, &at->result.log->vkey.key, NULL) ==
                    ENT_CLI_AS_ON_CARD;
    ent_buf_put_string(out, "\n  Keys\n");
    ENT_TRY(ent_cli_tell_key(verifier, at->entry.writer, ENT_CLI_LOG_KEY, &at->result.log->vkey.key, err));
    for (size_t i = 0; i < at->result.cosigned_count; i++) {
        const ent_vkey *vkey = &at->result.cosigned[i].witness->vkey;
        ent_text party = ent_cli_receipt_party(vkey->name);
        if (party.size > 0) {
            ENT_TRY(ent_cli_tell_key(verifier, party, ENT_CLI_RECEIPT_KEY, &vkey->key, err));
            compared &= ent_cli_compare(verifier, party, ENT_CLI_RECEIPT_KEY, &vkey->key, NULL) == ENT_CLI_AS_ON_CARD;
            continue;
        }
        ent_buf_put_string(out, "    witness key of ");
        ent_cli_put_line(out, vkey->name);
        ent_buf_put_string(out, ": compared with no card; its own fingerprint is\n      ");
        ent_cli_put_key_fingerprint(out, &vkey->key);
        ent_buf_put_u8(out, '\n');
    }
    if (verifier->card_count == 0)
        ent_buf_put_string(
            out, "  No card was compared: this holds only if these keys are theirs. Give the parties' cards, got\n"
                 "  elsewhere, with --card, or compare the fingerprints with their owners.\n");
    else if (!compared)
        ent_buf_put_string(out, "  Not every key was compared with a card: what rests on the others is not shown.\n");
    return ENT_DONE;
}

ent_rc ent_cli_verify_proof(ent_cli_verifier *verifier, ent_cli_subject *subject, ent_err *err)
{
    ENT_CLEANUP(release_checked) checked at = {0};
    ent_bytes entry = {NULL, 0};
    ent_bytes policy = {NULL, 0};
    ENT_TRY(find_part(verifier, subject, ENT_CLI_ENTRY, ".entry", &at.entry, &entry, err));
    ENT_TRY(find_policy(verifier, subject, &at.policy, &policy, err));
    ENT_TRY(ent_cli_proof_check(ent_buf_bytes(&subject->bytes), entry, policy, &at.proof, err));
    put_said(&verifier->text, &at.proof.entry);
    put_receipts(&verifier->text, &at.proof);
    if (verifier->writer == NULL)
        return tell_keys(verifier, &at.proof, err);
    put_said_json(verifier->writer, &at.proof);
    ent_json_key(verifier->writer, "keys");
    ent_json_array_begin(verifier->writer);
    ent_rc rc = tell_keys(verifier, &at.proof, err);
    ent_json_array_end(verifier->writer);
    ent_json_member_bool(verifier->writer, "card_compared", verifier->card_count > 0);
    return rc;
}
