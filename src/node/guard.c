#include "node/guard.h"

#include "base/clock.h"
#include "log/checkpoint.h"
#include "node/channel.h"
#include "node/checks.h"
#include "node/courier.h"
#include "node/fork.h"
#include "node/keys.h"
#include "node/peer.h"
#include "node/report.h"
#include "node/sequencer.h"

#include <poll.h>
#include <stdio.h>

enum {
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 10000,
    TIMEOUT_MS = 20000,
    AT_A_TIME = 16, /* questions under way */
    LOOK_EVERY_MS = 250,
    IDLE_MS = 60000,
    GRACE_MS = 1500,
    HEAD_MAX_BYTES = 65536
};

struct ent_guard {
    ent_node *node;
    ent_http_pool *pool;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_bool woken;
    atomic_bool pending; /* some answer is missing */
};

/* One question under way. */
typedef struct {
    ent_guard *guard;
    ent_channel *channel;
    uint32_t member;
    unsigned round;
    char url[768];
} question;

/* --- holding and signing on --- */

bool ent_guard_can_ask(ent_node *node, const ent_channel *channel)
{
    ent_peer peer;
    for (uint32_t m = 0; m < channel->genesis.member_count && !node->config.air_gapped; m++) {
        if (m == channel->self)
            continue;
        if (ent_peer_get(node, channel->genesis.members[m].name, &peer, NULL).code != ENT_OK || peer.url[0] != 0)
            return true;
    }
    return false;
}

void ent_guard_ask(ent_node *node, ent_channel *channel)
{
    if (!ent_guard_can_ask(node, channel))
        return;
    ent_channel_hold(channel, ENT_HOLD_ASKING,
                     "no clean stop went before this start, so the other members are asked how far our log goes before "
                     "anything new is signed in it");
    ent_guard_wake(node->guard);
}

void ent_guard_pause(void)
{
    (void)poll(NULL, 0, 5);
}

/* The hold ends a moment before what it kept back is signed. */
bool ent_guard_wait(ent_node *node, ent_channel *channel, uint64_t size)
{
    ent_hold hold = ent_channel_hold_now(channel);
    while ((hold == ENT_HOLD_ASKING || (hold == ENT_HOLD_NONE && ent_channel_signed_size(channel) < size)) &&
           !atomic_load(&channel->keyless) && ent_clock_monotonic_ms() < node->started_ms + GRACE_MS &&
           !atomic_load(&node->stopping)) {
        ent_guard_pause();
        hold = ent_channel_hold_now(channel);
    }
    return ent_channel_signed_size(channel) >= size;
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    const char *unanswered; /* with a release: who did not answer */
    uint64_t size;          /* out: of our log, as it is signed now */
} sign_on_job;

static ent_rc apply_sign_on(ent_job *job, ent_node *node, ent_err *err)
{
    sign_on_job *work = (sign_on_job *)job;
    ent_channel *channel = work->channel;
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    work->size = channel->members[channel->self].next.tree.size;
    if (work->unanswered != NULL && ent_channel_hold_now(channel) == ENT_HOLD_ASKING) {
        ent_store_released release = {.channel = channel->row.number,
                                      .released_unix_s = ent_clock_unix_s(),
                                      .size = work->size,
                                      .unanswered = ent_text_of(work->unanswered)};
        ENT_TRY(node->store->engine->release_add(node->store, &release, err));
    }
    (void)ent_channel_unhold(channel, ENT_HOLD_ASKING);
    return ENT_DONE;
}

/* Sign what was said while the members were asked. */
static ent_rc sign_on(ent_node *node, ent_channel *channel, const char *unanswered, uint64_t *ret_size, ent_err *err)
{
    sign_on_job work = {.job = {.apply = apply_sign_on}, .channel = channel, .unanswered = unanswered};
    ent_rc rc = ent_sequencer_run(node, &work.job, err);
    if (rc.code != ENT_OK) { /* the batch is undone: what it was to sign must not be forgotten */
        ent_guard_ask(node, channel);
        return rc;
    }
    *ret_size = work.size;
    ent_checks_wake(node->checks);
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

static void settle(ent_guard *guard, ent_channel *channel)
{
    ent_err err = {0};
    uint64_t size = 0;
    ent_rc rc = sign_on(guard->node, channel, NULL, &size, &err);
    ent_report report = ent_report_begin(rc.code == ENT_OK ? "head.confirmed" : "head.not-confirmed");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_number(&report, "size", size);
    if (rc.code != ENT_OK)
        ent_report_error(&report, &err);
    ent_report_end(&report);
}

/* --- answers --- */

ent_rc ent_guard_compare(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_bytes note,
                         const char *who, bool *ret_held, ent_err *err)
{
    ent_store_log log;
    ent_hash root;
    ent_channel_log(channel, channel->self, &log);
    bool same = head->size <= log.tree.size;
    if (same) {
        ent_store_tiles tiles = {node->store, log.number};
        ent_tile_reader reader = ent_store_tile_reader(&tiles);
        ENT_TRY(ent_tree_root_at(head->size, &reader, &root, err));
        same = ent_hash_equal(&root, &head->root);
    }
    *ret_held = !same;
    return same ? ENT_DONE : ent_fork_hold(node, channel, head, note, who, err);
}

/* Which of our log keys must have signed it depends on its size, so the text is read first. */
ent_rc ent_guard_open_head(const ent_channel *channel, ent_bytes bytes, ent_tree_head *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ENT_CLEANUP(ent_note_release) ent_note verified = {0};
    ent_checkpoint checkpoint;
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    ENT_TRY(ent_checkpoint_open(bytes, ent_text_of(channel->members[channel->self].origin),
                                ent_channel_log_key(channel, checkpoint.head.size), &verified, &checkpoint, err));
    *ret = checkpoint.head;
    return ENT_DONE;
}

/* Whether a head is by a key of ours beyond its cutoff: whoever shows it holds what another signed with it, and knows
 * nothing of us from there on. */
static bool is_beyond_cutoff(const ent_channel *channel, ent_bytes bytes)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    return ent_keys_open_old_head(ent_channel_keys(channel, channel->self), bytes,
                                  ent_text_of(channel->members[channel->self].origin), &note, &checkpoint, NULL)
               .code == ENT_OK;
}

static ent_rc take_answer(const question *asked, const ent_http_reply *reply, ent_err *err)
{
    ent_channel *channel = asked->channel;
    ent_tree_head head;
    char who[ENT_NAME_MAX_BYTES + 1] = "";
    bool held = false;
    ent_rc rc = ent_http_reply_check(reply, err);
    if (rc.code == ENT_ABSENT) /* it holds nothing of this log */
        return ENT_DONE;
    ENT_TRY(rc);
    rc = ent_guard_open_head(channel, ent_buf_bytes(&reply->body), &head, err);
    if (rc.code == ENT_PEER_SIGNATURE && is_beyond_cutoff(channel, ent_buf_bytes(&reply->body)))
        return ENT_DONE;
    ENT_TRY(rc);
    ent_text name = channel->genesis.members[asked->member].name;
    memcpy(who, name.data, name.size);
    return ent_guard_compare(asked->guard->node, channel, &head, ent_buf_bytes(&reply->body), who, &held, err);
}

static int64_t back_off(unsigned *failures)
{
    int64_t wait_ms = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < *failures && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    (*failures)++;
    return ent_clock_monotonic_ms() + (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS);
}

static void tell_unanswered(ent_channel *channel)
{
    ENT_CLEANUP(ent_buf_release) ent_buf names = {0};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        const ent_guard_answer *answer = &channel->members[m].guard;
        if (m == channel->self || answer->answered || answer->problem[0] == 0)
            continue;
        ent_buf_put_format(&names, "%s%.*s (%s)", names.size == 0 ? "" : ", ",
                           ENT_TEXT_ARG(channel->genesis.members[m].name), answer->problem);
    }
    if (names.failed == ENT_OK && names.size > 0)
        ent_channel_hold_because(
            channel, ENT_HOLD_ASKING,
            "no clean stop went before this start, and not every member has said how far our log goes: %.*s. They are "
            "asked again and again; after %d s an officer may sign all the same: `entente release %.12s "
            "--accept-fork-risk`",
            (int)(names.size > 420 ? 420 : names.size), (const char *)names.data, ENT_GUARD_RELEASE_AFTER_S,
            channel->id_text);
}

/* The reason without the address that was asked, which stands before it when nobody answered. */
static void tell_problem(ent_guard_answer *answer, const char *url, const char *reason)
{
    size_t size = strlen(url);
    if (strncmp(reason, url, size) == 0 && strncmp(reason + size, ": ", 2) == 0)
        reason += size + 2;
    (void)snprintf(answer->problem, sizeof answer->problem, "%.150s", reason);
}

static void answered(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *call_err)
{
    question *asked = context;
    ent_guard_answer *answer = &asked->channel->members[asked->member].guard;
    ent_err err = {0};
    answer->in_flight = false;
    if (rc.code == ENT_OK)
        rc = take_answer(asked, reply, &err);
    else
        err = *call_err;
    answer->answered = rc.code == ENT_OK && answer->round == asked->round;
    if (rc.code != ENT_OK) {
        answer->not_before_ms = back_off(&answer->failures);
        tell_problem(answer, asked->url, err.text);
        if (!atomic_load(&asked->guard->stopping))
            tell_unanswered(asked->channel);
    }
    ent_free(asked);
}

/* --- questions --- */

static ent_rc ask(ent_guard *guard, ent_channel *channel, uint32_t member, const ent_peer *peer, ent_err *err)
{
    question *asked = ent_alloc(sizeof *asked);
    if (asked == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *asked =
        (question){.guard = guard, .channel = channel, .member = member, .round = channel->members[member].guard.round};
    (void)snprintf(asked->url, sizeof asked->url, "%s/head?origin=%s", peer->url,
                   channel->members[channel->self].origin);
    ent_http_call call = {.method = "GET",
                          .url = asked->url,
                          .tls = guard->node->tls,
                          .has_pin = true,
                          .pin = peer->pin,
                          .has_pin_before = peer->has_pin_before,
                          .pin_before = peer->pin_before,
                          .timeout_ms = TIMEOUT_MS,
                          .response_limit = HEAD_MAX_BYTES};
    ent_rc rc = ent_http_pool_start(guard->pool, &call, answered, asked, err);
    if (rc.code != ENT_OK) {
        ent_free(asked);
        return rc;
    }
    channel->members[member].guard.in_flight = true;
    return ENT_DONE;
}

/* Ask one member, if it has not answered and it is time; true when its answer is there. A member that is air-gapped
 * cannot be asked: what it holds came by the same sticks as what the marks know. */
static bool consider(ent_guard *guard, ent_channel *channel, uint32_t member, unsigned round, int64_t now_ms)
{
    ent_guard_answer *answer = &channel->members[member].guard;
    ent_peer peer;
    ent_err err = {0};
    if (answer->round != round)
        *answer = (ent_guard_answer){.round = round, .in_flight = answer->in_flight};
    if (atomic_exchange(&channel->members[member].guard_heard, false)) {
        answer->failures = 0;
        answer->not_before_ms = 0;
    }
    if (answer->answered || answer->in_flight || now_ms < answer->not_before_ms)
        return answer->answered;
    ent_rc rc = ent_peer_get(guard->node, channel->genesis.members[member].name, &peer, &err);
    if (rc.code == ENT_OK && peer.url[0] == 0) {
        answer->answered = true;
        return true;
    }
    if (rc.code == ENT_OK && ent_http_pool_active(guard->pool) < AT_A_TIME)
        rc = ask(guard, channel, member, &peer, &err);
    if (rc.code != ENT_OK) {
        answer->not_before_ms = back_off(&answer->failures);
        (void)snprintf(answer->problem, sizeof answer->problem, "%.150s", err.text);
        tell_unanswered(channel);
    }
    return false;
}

static bool look_at_channel(ent_guard *guard, ent_channel *channel, int64_t now_ms)
{
    (void)pthread_mutex_lock(&channel->lock);
    bool asks = channel->hold == ENT_HOLD_ASKING;
    unsigned round = channel->asking_round;
    (void)pthread_mutex_unlock(&channel->lock);
    bool all = true;
    for (uint32_t m = 0; asks && m < channel->genesis.member_count; m++) {
        if (m != channel->self)
            all = consider(guard, channel, m, round, now_ms) && all;
    }
    if (asks && all)
        settle(guard, channel);
    return asks && !all;
}

/* Gives for how long there is nothing to do. */
static uint32_t look(ent_guard *guard)
{
    ent_channel *channel;
    bool pending = false;
    int64_t now_ms = ent_clock_monotonic_ms();
    for (size_t i = 0; (channel = ent_channel_at(guard->node, i)) != NULL && !atomic_load(&guard->stopping); i++)
        pending = look_at_channel(guard, channel, now_ms) || pending;
    atomic_store(&guard->pending, pending);
    return pending ? LOOK_EVERY_MS : IDLE_MS;
}

static void *run(void *context)
{
    ent_guard *guard = context;
    ent_err err = {0};
    while (!atomic_load(&guard->stopping)) {
        uint32_t wait_ms = look(guard);
        if (atomic_exchange(&guard->woken, false))
            wait_ms = 0;
        if (ent_http_pool_work(guard->pool, wait_ms, &err).code != ENT_OK) {
            ent_report report = ent_report_begin("guard.failed");
            ent_report_error(&report, &err);
            ent_report_end(&report);
            (void)poll(NULL, 0, LOOK_EVERY_MS);
        }
    }
    return NULL;
}

ent_rc ent_guard_new(ent_node *node, ent_guard **ret, ent_err *err)
{
    ent_guard *guard = ent_alloc(sizeof *guard);
    if (guard == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    guard->node = node;
    ent_rc rc = ent_http_pool_new(&guard->pool, err);
    if (rc.code == ENT_OK && pthread_create(&guard->thread, NULL, run, guard) != 0)
        rc = ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    guard->started = rc.code == ENT_OK;
    if (rc.code != ENT_OK) {
        ent_guard_free(guard);
        return rc;
    }
    *ret = guard;
    return ENT_DONE;
}

void ent_guard_free(ent_guard *guard)
{
    if (guard == NULL)
        return;
    atomic_store(&guard->stopping, true);
    if (guard->started) {
        ent_http_pool_wake(guard->pool);
        (void)pthread_join(guard->thread, NULL);
    }
    ent_http_pool_free(guard->pool);
    ent_free(guard);
}

void ent_guard_wake(ent_guard *guard)
{
    if (guard == NULL)
        return;
    atomic_store(&guard->woken, true);
    ent_http_pool_wake(guard->pool);
}

void ent_guard_heard(ent_guard *guard, const ent_hash *pin)
{
    ent_channel *channel;
    bool any = false;
    if (guard == NULL || !atomic_load(&guard->pending))
        return;
    for (size_t i = 0; (channel = ent_channel_at(guard->node, i)) != NULL; i++) {
        int member = ent_channel_hold_now(channel) == ENT_HOLD_ASKING ? ent_channel_member_by_pin(channel, pin) : -1;
        if (member >= 0)
            atomic_store(&channel->members[member].guard_heard, true);
        any = any || member >= 0;
    }
    if (any)
        ent_guard_wake(guard);
}

/* --- release --- */

/* Who has not answered; the guard's own notes belong to its thread, but the reason that it wrote is under the lock. */
static ent_rc may_release(const ent_node *node, ent_channel *channel, ent_held *ret, ent_err *err)
{
    ent_channel_held(node, channel, ret);
    (void)pthread_mutex_lock(&channel->lock);
    int64_t asked_ms = ent_clock_monotonic_ms() - channel->asking_since_ms;
    (void)pthread_mutex_unlock(&channel->lock);
    if (ret->hold == ENT_HOLD_NONE)
        return ent_fail(err, ENT_REFUSED, "design 3, Rollback guard", "nothing is held in channel %.8s",
                        channel->id_text);
    if (ret->hold == ENT_HOLD_KEY)
        return ent_fail(err, ENT_REFUSED, "design 2, Rotation", "channel %.8s cannot be released: %s", channel->id_text,
                        ret->reason);
    if (ret->hold != ENT_HOLD_ASKING)
        return ent_fail(err, ENT_REFUSED, "design 3, Rollback guard",
                        "channel %.8s cannot be released, for signing would be a fork for certain: %s",
                        channel->id_text, ret->reason);
    int64_t left_ms = ENT_GUARD_RELEASE_AFTER_S * 1000LL - asked_ms;
    if (left_ms > 0)
        return ent_fail(err, ENT_REFUSED, "design 3, Rollback guard",
                        "the members of channel %.8s are being asked, and have %lld s more to answer before an officer "
                        "may release it",
                        channel->id_text, (long long)(left_ms + 999) / 1000);
    return ENT_DONE;
}

ent_rc ent_guard_release(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_held held;
    uint64_t size = 0;
    ENT_TRY(may_release(node, channel, &held, err));
    ENT_TRY(sign_on(node, channel, held.reason, &size, err));
    ent_report report = ent_report_begin("head.released");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_number(&report, "size", size);
    ent_report_string(&report, "although", held.reason);
    ent_report_end(&report);
    return ENT_DONE;
}
