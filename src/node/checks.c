#include "node/checks_internal.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/ledgers.h"
#include "node/peer.h"
#include "node/report.h"
#include "node/rotate.h"
#include "node/say.h"
#include "node/succession.h"

enum {
    LOOK_EVERY_S = 30, /* at the latest: a new channel, terms that begin, a clock that was set */
    RETRY_S = 5,
    BACK_ENTRIES = 100000, /* of our own log, to find when each member was checked last */
    PAGE_ENTRIES = 4096,
    PAGE_BYTES = 4 << 20
};

/* --- our own checks --- */

static ent_rc note_own(ent_checked_channel *on, ent_bytes bytes, int64_t now, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    const ent_channel *channel = on->channel;
    ent_entry entry;
    int64_t time = 0;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    bool is_check = ent_text_is(entry.kind, "contact.check") && !entry.has_reply_to;
    if ((!is_check && entry.index > 0) || !ent_time_parse(entry.time, &time))
        return ENT_DONE;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        bool addressed = entry.to_count == 0;
        for (size_t i = 0; i < entry.to_count; i++)
            addressed = addressed || ent_text_equal(entry.to[i], channel->genesis.members[m].name);
        if (m != channel->self && addressed) /* a clock that was ahead must not silence the checks */
            on->last[m] = (ent_last_check){is_check, entry.index, time > now ? now : time};
    }
    return ENT_DONE;
}

/* Read on in our own log: also what officers check counts. */
static ent_rc read_own(ent_node *node, ent_checked_channel *on, int64_t now, ent_err *err)
{
    ent_store_log log;
    ent_channel_log(on->channel, on->channel->self, &log);
    if (on->read + BACK_ENTRIES < log.tree.size)
        on->read = log.tree.size - BACK_ENTRIES;
    while (on->read < log.tree.size) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        uint64_t wanted = log.tree.size - on->read < PAGE_ENTRIES ? log.tree.size - on->read : PAGE_ENTRIES;
        ENT_TRY(node->store->engine->entries_read(node->store, log.number, on->read, wanted, PAGE_BYTES, &bundle,
                                                  &count, err));
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; i < count; i++) {
            ent_bytes entry = {0};
            bool more = false;
            ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
            ENT_TRY(note_own(on, entry, now, err));
        }
        on->read += count;
    }
    return ENT_DONE;
}

/* --- the schedule --- */

typedef struct {
    uint32_t every_s; /* 0 = no checks are agreed */
    uint32_t reply_within_s;
} schedule;

/* Of the agreement in force. *ret_begins: when terms that have not begun do; INT64_MAX = no such. */
static ent_rc read_schedule(ent_node *node, ent_channel *channel, int64_t now, schedule *ret, int64_t *ret_begins,
                            ent_err *err)
{
    ent_ledger *ledger = NULL;
    const ent_agreement *terms = NULL;
    int64_t end = 0;
    ent_moment moment = {INT64_MAX, now};
    ENT_TRY(ent_ledgers_lock(node, channel, &ledger, err));
    ent_rc rc = ent_ledger_end(ledger, moment, &terms, &end, err);
    *ret = (schedule){0, 0};
    *ret_begins = INT64_MAX;
    if (rc.code == ENT_OK && terms != NULL && terms->check_every_s > 0) {
        if (now < terms->from_unix_s)
            *ret_begins = terms->from_unix_s;
        else if (now < end)
            *ret = (schedule){terms->check_every_s, terms->check_reply_within_s};
    }
    ent_ledgers_unlock(channel);
    return rc;
}

static ent_rc say_check(ent_node *node, ent_channel *channel, uint32_t member, const schedule *agreed, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    uint8_t nonce[ENT_FACTS_NONCE_SIZE];
    char reply_by[ENT_TIME_TEXT_SIZE + 1];
    uint64_t index = 0;
    ent_text to = channel->genesis.members[member].name;
    ent_random(nonce, sizeof nonce);
    ent_time_format(ent_clock_unix_s() + agreed->reply_within_s, reply_by);
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "nonce");
    ent_json_put_hex(&writer, ent_bytes_of(nonce, sizeof nonce));
    ent_json_member_string(&writer, "reply_by", reply_by);
    ent_json_member_bool(&writer, "scheduled", true);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    ent_saying saying = {.channel = channel, .kind = "contact.check", .to = &to, .to_count = 1};
    ENT_TRY(ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

/* Check a member when it is due; *ret_next: when to look again. */
static ent_rc keep_schedule(ent_node *node, ent_checked_channel *on, uint32_t member, const schedule *agreed,
                            int64_t now, int64_t *ret_next, ent_err *err)
{
    const ent_last_check *last = &on->last[member];
    int64_t due = last->time_unix_s + agreed->every_s;
    bool waits = false;
    if (due <= now && last->was_checked) {
        ent_ledger_ref check = {on->channel->self, last->index};
        ENT_TRY(ent_check_is_unanswered(node, on->channel, check, member, &waits, err));
        if (waits && due < last->time_unix_s + agreed->reply_within_s)
            due = last->time_unix_s + agreed->reply_within_s;
    }
    if (due <= now) {
        ent_rc rc = say_check(node, on->channel, member, agreed, err);
        if (rc.code != ENT_OK && rc.code != ENT_REFUSED_KEEPER)
            return rc;
        due = now + agreed->every_s;
    }
    if (due < *ret_next)
        *ret_next = due;
    return ENT_DONE;
}

/* No clock makes somebody carry a stick: parties without a network are not checked by it. */
static bool can_answer_in_time(ent_node *node, const ent_channel *channel, uint32_t member)
{
    ent_peer peer;
    return !node->config.air_gapped &&
           ent_peer_get(node, channel->genesis.members[member].name, &peer, NULL).code == ENT_OK && peer.url[0] != 0;
}

static ent_rc look_at(ent_checks *checks, ent_checked_channel *on, int64_t now, int64_t *ret_next, ent_err *err)
{
    ent_node *node = checks->node;
    schedule agreed;
    int64_t begins = INT64_MAX;
    if (!on->searched) {
        ENT_TRY(ent_checks_search(checks, on->channel, err));
        on->searched = true;
    }
    ENT_TRY(read_schedule(node, on->channel, now, &agreed, &begins, err));
    on->every_s = agreed.every_s;
    if (begins < *ret_next)
        *ret_next = begins;
    if (agreed.every_s == 0)
        return ENT_DONE;
    ENT_TRY(read_own(node, on, now, err));
    for (uint32_t m = 0; m < on->channel->genesis.member_count; m++) {
        if (m != on->channel->self && can_answer_in_time(node, on->channel, m))
            ENT_TRY(keep_schedule(node, on, m, &agreed, now, ret_next, err));
    }
    return ENT_DONE;
}

/* Once after each start: what is said again is found in the ledger. */
static ent_rc carry_on(ent_node *node, ent_checked_channel *on, ent_err *err)
{
    if (on->carried)
        return ENT_DONE;
    ENT_TRY(ent_succession_go_on(node, on->channel, err));
    on->carried = true;
    return ENT_DONE;
}

static ent_checked_channel *watch(ent_checks *checks, size_t at, ent_channel *channel)
{
    if (at < checks->channel_count)
        return &checks->channels[at]; /* the node's channels are only ever added to */
    ent_checked_channel *channels = ent_realloc(checks->channels, (at + 1) * sizeof *channels);
    if (channels == NULL)
        return NULL;
    checks->channels = channels;
    ent_last_check *last = ent_alloc_array(channel->genesis.member_count, sizeof *last);
    ent_check_allowance *answers = ent_alloc_array(channel->genesis.member_count, sizeof *answers);
    if (last == NULL || answers == NULL) {
        ent_free(last);
        ent_free(answers);
        return NULL;
    }
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        answers[i] = (ent_check_allowance){ENT_CHECK_ANSWERS_AT_ONCE, ent_clock_monotonic_ms()};
    channels[at] = (ent_checked_channel){.channel = channel, .last = last, .answers = answers};
    checks->channel_count = at + 1;
    return &channels[at];
}

/* One look at everything; gives the moment of the next. */
static int64_t look(ent_checks *checks)
{
    int64_t now = ent_clock_unix_s();
    int64_t next = now + LOOK_EVERY_S;
    bool later = false;
    ent_channel *channel;
    (void)pthread_mutex_lock(&checks->queue_lock);
    bool search_again = checks->lost;
    checks->lost = false;
    (void)pthread_mutex_unlock(&checks->queue_lock);
    for (size_t i = 0; (channel = ent_channel_at(checks->node, i)) != NULL; i++) {
        ent_err err = {0};
        ent_checked_channel *on = watch(checks, i, channel);
        if (on == NULL) {
            later = true;
            break;
        }
        if (search_again)
            on->searched = false;
        if (atomic_load(&checks->node->stopping) || ent_channel_state_now(channel) != ENT_CHANNEL_OPEN ||
            ent_channel_is_held(channel))
            continue;
        ent_rc rc = look_at(checks, on, now, &next, &err);
        if (rc.code == ENT_OK)
            rc = carry_on(checks->node, on, &err);
        if (rc.code == ENT_OK)
            continue;
        later = true;
        ent_report report = ent_report_begin("check.failed");
        ent_report_string(&report, "channel", channel->id_text);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
    ent_checks_answer(checks, &later);
    return later && next > now + RETRY_S ? now + RETRY_S : next;
}
/* --- the thread --- */

static int64_t work(void *context, bool woken)
{
    ent_checks *checks = context;
    (void)woken;
    ent_rotate_announce(checks->node); /* say where a channel has opened since */
    int64_t rest_s = look(checks) - ent_clock_unix_s();
    return rest_s < 0 ? 0 : rest_s * 1000;
}

ent_rc ent_checks_new(ent_node *node, ent_checks **ret, ent_err *err)
{
    ent_checks *checks = ent_alloc(sizeof *checks);
    if (checks == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    checks->node = node;
    (void)pthread_mutex_init(&checks->queue_lock, NULL);
    ent_rc rc = ent_worker_start(&checks->worker, work, checks, err);
    if (rc.code != ENT_OK) {
        ent_checks_free(checks);
        return rc;
    }
    *ret = checks;
    return ENT_DONE;
}

void ent_checks_stop(ent_checks *checks)
{
    if (checks != NULL)
        ent_worker_stop(&checks->worker);
}

void ent_checks_free(ent_checks *checks)
{
    if (checks == NULL)
        return;
    ent_worker_release(&checks->worker);
    for (size_t i = 0; i < checks->channel_count; i++) {
        ent_free(checks->channels[i].last);
        ent_free(checks->channels[i].answers);
    }
    ent_free(checks->channels);
    ent_free(checks->queue);
    (void)pthread_mutex_destroy(&checks->queue_lock);
    ent_free(checks);
}

void ent_checks_wake(ent_checks *checks)
{
    if (checks != NULL)
        ent_worker_wake(&checks->worker);
}
