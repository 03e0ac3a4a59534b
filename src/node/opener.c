#include "node/opener.h"

#include "node/channel.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/reading.h"
#include "node/report.h"
#include "node/say.h"
#include "node/worker.h"

enum { RETRY_MS = 5000 };

struct ent_opener {
    ent_node *node;
    ent_worker worker;
};

enum { SEALS_TRIED = 64 };

/* "until then either is valid": a member's recipient and the one before it. The newest of all is what most are sealed
 * to; whoever had not got a card yet used another of the few that there can be. */
ent_rc ent_open_check_seal(const ent_channel *channel, ent_bytes sealed, const ent_file_key *key, ent_seal_verdict *ret,
                           ent_err *err)
{
    size_t count = channel->genesis.member_count;
    ent_recipient recipients[ENT_ENTRY_MAX_MEMBERS];
    size_t back[ENT_ENTRY_MAX_MEMBERS] = {0}; /* how far before the newest, per member */
    for (size_t tried = 0; tried < SEALS_TRIED; tried++) {
        size_t turn = 0;
        for (size_t m = 0; m < count; m++) {
            const ent_keys *keys = ent_channel_keys(channel, (uint32_t)m);
            size_t newest = keys->role_count[ENT_KEY_ROLE_AGE] - 1;
            memcpy(recipients[m].bytes, keys->roles[ENT_KEY_ROLE_AGE][newest - back[m]].value,
                   sizeof recipients[m].bytes);
        }
        ENT_TRY(ent_seal_check(sealed, key, recipients, count, ret, err));
        if (*ret == ENT_SEAL_AS_AGREED)
            return ENT_DONE;
        for (; turn < count; turn++) { /* the next combination */
            if (back[turn] + 1 < ent_channel_keys(channel, (uint32_t)turn)->role_count[ENT_KEY_ROLE_AGE]) {
                back[turn]++;
                break;
            }
            back[turn] = 0;
        }
        if (turn == count)
            return ENT_DONE;
    }
    return ENT_DONE;
}

/* What was sealed to a key that was lost: its writer may have shown the file key since. */
static ent_rc open_revealed(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_bytes sealed,
                            ent_buf *ret_plain, ent_file_key *ret_key, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf shown = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_facts_release) ent_facts facts = {0};
    ent_store_revealed revealed;
    ent_entry entry;
    int64_t log = channel->members[member].log.number;
    ENT_TRY(node->store->engine->reveal_get(node->store, log, index, &revealed, err));
    if (revealed.state != ENT_REVEALED_GOOD)
        return ent_fail(err, ENT_ABSENT, NULL, "no file key of it that fits was shown");
    ENT_TRY(ent_channel_entry(node, channel, member, revealed.by, &arena, NULL, &entry, err));
    ENT_TRY(node->store->engine->body_read(node->store, log, revealed.by, &shown, err));
    ENT_TRY(ent_age_open(ent_buf_bytes(&shown), ent_keeper_unwrapper(node->keeper), &plain, NULL, err));
    ENT_TRY(ent_body_parse(node->kinds, entry.kind, ent_buf_bytes(&plain), entry.attachment_count, &body, err));
    ENT_TRY(ent_facts_read(&body, entry.kind, &facts, err));
    return ent_age_open(sealed, ent_age_key_unwrapper(&facts.file_key), ret_plain, ret_key, err);
}

ent_rc ent_open_body(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_buf *ret_plain,
                     ent_seal_verdict *ret_seal, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_file_key key = {{0}};
    ENT_TRY(node->store->engine->body_read(node->store, channel->members[member].log.number, index, &sealed, err));
    ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(node->keeper), ret_plain, &key, err);
    if (rc.code == ENT_ABSENT &&
        open_revealed(node, channel, member, index, ent_buf_bytes(&sealed), ret_plain, &key, NULL).code == ENT_OK)
        rc = ENT_DONE;
    if (rc.code == ENT_ABSENT && ent_key_is_lost(node, ENT_KEY_ROLE_AGE)) /* not its writer's fault */
        return ent_key_fail_lost(node, ENT_KEY_ROLE_AGE, ENT_RETRY, err);
    if (rc.code == ENT_OK && ret_seal != NULL)
        rc = ent_open_check_seal(channel, ent_buf_bytes(&sealed), &key, ret_seal, err);
    explicit_bzero(&key, sizeof key);
    return rc;
}

/* --- the thread --- */

/* Look at every log of a channel once, so that none keeps the others waiting.
 * *ret_moved: something was opened or said. *ret_come_back: something could not be done now. */
static void open_channel(ent_node *node, ent_channel *channel, bool *ret_moved, bool *ret_come_back)
{
    for (uint32_t m = 0; m < channel->genesis.member_count && !atomic_load(&node->stopping); m++) {
        ent_reading_result result = {false, false, false};
        ent_err err = {0};
        ent_rc rc = ent_reading_go_on(node, channel, m, &result, &err);
        *ret_come_back = *ret_come_back || result.waiting || rc.code != ENT_OK;
        if (rc.code == ENT_OK) {
            *ret_moved = *ret_moved || result.moved || result.more;
            continue;
        }
        ent_report report = ent_report_begin("opener.failed");
        ent_report_string(&report, "channel", channel->id_text);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
}

/* Go on until nothing moves any more: what came in one log may be what another waits for. True when something should
 * be tried again. */
static bool open_all(ent_node *node)
{
    ent_channel *channel;
    bool come_back = false;
    bool moved = !ent_key_is_lost(node, ENT_KEY_ROLE_AGE); /* else a new key wakes us */
    while (moved && !atomic_load(&node->stopping)) {
        moved = false;
        come_back = false;
        for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
            ent_channel_state state = ent_channel_state_now(channel);
            if (state == ENT_CHANNEL_OPEN || state == ENT_CHANNEL_OPENING)
                open_channel(node, channel, &moved, &come_back);
        }
    }
    return come_back;
}

static int64_t work(void *context, bool woken)
{
    const ent_opener *opener = context;
    (void)woken;
    return open_all(opener->node) ? RETRY_MS : ENT_WORKER_UNTIL_WOKEN;
}

ent_rc ent_opener_new(ent_node *node, ent_opener **ret, ent_err *err)
{
    ent_opener *opener = ent_alloc(sizeof *opener);
    if (opener == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    opener->node = node;
    ent_rc rc = ent_worker_start(&opener->worker, work, opener, err);
    if (rc.code != ENT_OK) {
        ent_free(opener);
        return rc;
    }
    *ret = opener;
    return ENT_DONE;
}

void ent_opener_stop(ent_opener *opener)
{
    if (opener != NULL)
        ent_worker_stop(&opener->worker);
}

void ent_opener_free(ent_opener *opener)
{
    if (opener == NULL)
        return;
    ent_worker_release(&opener->worker);
    ent_free(opener);
}

void ent_opener_wake(ent_opener *opener)
{
    if (opener != NULL)
        ent_worker_wake(&opener->worker);
}
