#include "node/reveal.h"

#include "node/channel.h"
#include "node/courier.h"
#include "node/examine.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/opener.h"
#include "node/report.h"
#include "node/say.h"

/* What the sealed bytes are under a key that is theirs. */
static ent_rc judge_sealed(ent_node *node, ent_channel *channel, const ent_entry *entry, ent_bytes sealed,
                           const ent_file_key *key, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ent_seal_verdict seal = ENT_SEAL_NOT_CHECKED;
    ENT_TRY(ent_open_check_seal(channel, sealed, key, &seal, err));
    if (seal != ENT_SEAL_AS_AGREED)
        return ent_fail(err, ENT_PEER_INVALID, "design 2, Body", "it is not sealed as agreed to every member");
    ENT_TRY(ent_age_open(sealed, ent_age_key_unwrapper(key), &plain, NULL, err));
    return ent_body_parse(node->kinds, entry->kind, ent_buf_bytes(&plain), entry->attachment_count, &body, err);
}

/* Whether a key opens the header: anybody can show another one, which says nothing about the sealed bytes. */
static bool is_its_key(ent_bytes sealed, const ent_file_key *key)
{
    ent_age_header header;
    if (ent_age_header_parse(sealed, &header, NULL).code != ENT_OK)
        return false;
    bool fits = ent_age_header_verify(&header, key);
    ent_age_header_release(&header);
    return fits;
}

ent_rc ent_reveal_judge(ent_node *node, ent_channel *channel, uint32_t member, const ent_message_ref *about,
                        const ent_facts *facts, ent_store_revealed *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_entry entry;
    ent_err wrong = {0};
    int64_t log = channel->members[member].log.number;
    *ret = (ent_store_revealed){.log = log, .index = about->index};
    if (!facts->reveals || !ent_text_equal(about->party, channel->genesis.members[member].name))
        return ENT_DONE;
    ent_rc rc = ent_channel_entry(node, channel, member, about->index, &arena, NULL, &entry, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    if (!entry.has_body || !ent_hash_equal(&entry.body.digest, &facts->revealed))
        return ENT_DONE; /* of an attachment: whoever has it can open it, and nothing here follows from it */
    ENT_TRY(node->store->engine->body_read(node->store, log, about->index, &sealed, err));
    if (!is_its_key(ent_buf_bytes(&sealed), &facts->file_key))
        return ENT_DONE;
    rc = judge_sealed(node, channel, &entry, ent_buf_bytes(&sealed), &facts->file_key, &wrong);
    if (ent_examine_failed(rc)) {
        if (err != NULL)
            *err = wrong;
        return rc;
    }
    ret->state = rc.code == ENT_OK ? ENT_REVEALED_GOOD : ENT_REVEALED_BAD;
    return ENT_DONE;
}

typedef struct {
    ent_job job;
    const ent_store_revealed *revealed;
} reveal_job;

static ent_rc apply_reveal(ent_job *job, ent_node *node, ent_err *err)
{
    const reveal_job *work = (const reveal_job *)job;
    return node->store->engine->reveal_put(node->store, work->revealed, err);
}

static void report_found(const ent_channel *channel, ent_text party, const ent_store_revealed *revealed)
{
    ent_report report = ent_report_begin("message.revealed");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_text(&report, "party", party);
    ent_report_number(&report, "index", revealed->index);
    ent_report_string(&report, "found", revealed->state == ENT_REVEALED_GOOD ? "well-formed" : "bad");
    ent_report_end(&report);
}

/* Whether a message gave the ledger no facts so far. */
static ent_rc was_unread(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ent_entry entry;
    ent_err wrong = {0};
    ENT_TRY(ent_channel_entry(node, channel, member, index, &arena, NULL, &entry, err));
    ent_rc rc = ent_examine(node, channel, member, &entry, &examined, &wrong);
    *ret = rc.code != ENT_OK;
    if (!ent_examine_failed(rc))
        return ENT_DONE;
    if (err != NULL)
        *err = wrong;
    return rc;
}

ent_rc ent_reveal_take(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry,
                       const ent_facts *facts, ent_err *err)
{
    ent_store_revealed revealed;
    ent_store_revealed known;
    if (!facts->reveals || !entry->has_reply_to)
        return ENT_DONE;
    ENT_TRY(ent_reveal_judge(node, channel, member, &entry->reply_to, facts, &revealed, err));
    if (revealed.state == 0)
        return ENT_DONE;
    revealed.by = entry->index;
    ent_rc rc = node->store->engine->reveal_get(node->store, revealed.log, revealed.index, &known, err);
    if (rc.code != ENT_ABSENT) /* the first one decides; another one with this key finds the same */
        return rc;
    bool changes = revealed.state == ENT_REVEALED_BAD;
    if (!changes)
        ENT_TRY(was_unread(node, channel, member, revealed.index, &changes, err));
    reveal_job work = {.job = {.apply = apply_reveal}, .revealed = &revealed};
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    report_found(channel, entry->writer, &revealed);
    if (changes)
        ent_ledgers_forget(channel);
    return ENT_DONE;
}

static ent_rc write_body(const ent_entry *entry, const ent_file_key *key, ent_text reasons, ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "digest");
    ent_json_put_hex(&writer, ent_hash_bytes(&entry->body.digest));
    ent_json_key(&writer, "file_key");
    ent_json_put_hex(&writer, ent_bytes_of(key->bytes, sizeof key->bytes));
    if (reasons.size > 0)
        ent_json_member_text(&writer, "reasons", reasons);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

ent_rc ent_reveal_say(ent_node *node, ent_channel *channel, uint64_t index, ent_text reasons, uint64_t *ret_index,
                      ent_store_revealed *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ent_file_key key = {{0}};
    ent_entry entry;
    uint64_t revoked = 0;
    int64_t log = channel->members[channel->self].log.number;
    ENT_TRY(ent_channel_entry(node, channel, channel->self, index, &arena, NULL, &entry, err));
    ENT_TRY(ent_keys_contested(node, channel, channel->self, index, &revoked, err));
    if (revoked != 0)
        return ent_fail(err, ENT_REFUSED, "design 2, Rotation",
                        "message %llu is contested because the log key was revoked that it was said under: its file "
                        "key settles nothing. Say it again",
                        (unsigned long long)index);
    if (!entry.has_body)
        return ent_fail(err, ENT_REFUSED, "design 3", "message %llu has no body whose key could be shown",
                        (unsigned long long)index);
    ENT_TRY(node->store->engine->body_read(node->store, log, index, &sealed, err));
    ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(node->keeper), &plain, &key, err);
    if (rc.code == ENT_OK)
        rc = write_body(&entry, &key, reasons, &body, err);
    explicit_bzero(&key, sizeof key);
    ENT_TRY(rc);
    ent_saying saying = {
        .channel = channel,
        .kind = "channel.reveal",
        .has_reply_to = true,
        .reply_to = {entry.writer, entry.index},
        .exercise = entry.exercise,
    };
    ENT_TRY(ent_say_body(node, &saying, ent_buf_bytes(&body), ret_index, err));
    ent_courier_wake(node->courier);
    return node->store->engine->reveal_get(node->store, log, index, ret, err);
}
