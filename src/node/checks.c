#include "node/checks.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/ledgers.h"
#include "node/opener.h"
#include "node/peer.h"
#include "node/report.h"
#include "node/rotate.h"
#include "node/say.h"
#include "node/succession.h"

#include <time.h>

enum {
    LOOK_EVERY_S = 30, /* at the latest: a new channel, terms that begin */
    RETRY_S = 5,
    BACK_ENTRIES = 100000, /* of our own log, to find when each member was checked last */
    PAGE_ENTRIES = 4096,
    PAGE_BYTES = 4 << 20,
    MOST_QUEUED = 4096,
    ANSWERS_AT_ONCE = 16, /* to one member: after an outage its checks come together */
    ANSWER_EVERY_S = 60   /* and then, unless checks were agreed on that are more frequent */
};

/* A check that another member's clock has sent. */
typedef struct {
    ent_channel *channel;
    uint32_t member;
    uint64_t index;
} asked;

/* Our last check of a member. Before the first the schedule counts from our entry 0. */
typedef struct {
    bool was_checked;
    uint64_t index;
    int64_t time_unix_s;
} last_check;

/* How many answers a member may still have. Who sends checks without end gets no end of entries in our log for it. */
typedef struct {
    unsigned left;
    int64_t filled_ms; /* monotonic */
} allowance;

typedef struct {
    ent_channel *channel;
    bool searched;      /* for checks that came before this start */
    bool carried;       /* what the channel before had open is said again */
    uint32_t every_s;   /* agreed; 0 = no checks are */
    uint64_t read;      /* entries of our own log that were looked at */
    last_check *last;   /* one a member */
    allowance *answers; /* one a member */
} watched;

struct ent_checks {
    ent_node *node;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool work;
    bool stopping;
    bool lost; /* a check that came could not be kept: search the ledgers for it */
    asked *queue;
    size_t queued;
    size_t capacity;

    watched *channels; /* the thread's own */
    size_t channel_count;
};

/* --- what came in --- */

/* False without memory. Those beyond MOST_QUEUED would get no answer anyway. */
static bool enqueue(ent_checks *checks, const asked *item)
{
    if (checks->queued == MOST_QUEUED)
        return true;
    if (checks->queued == checks->capacity) {
        size_t capacity = checks->capacity == 0 ? 16 : checks->capacity * 2;
        asked *queue = ent_realloc(checks->queue, capacity * sizeof *queue);
        if (queue == NULL)
            return false;
        checks->queue = queue;
        checks->capacity = capacity;
    }
    checks->queue[checks->queued++] = *item;
    return true;
}

void ent_checks_asked(ent_checks *checks, ent_channel *channel, uint32_t member, uint64_t index)
{
    if (checks == NULL)
        return;
    asked item = {channel, member, index};
    (void)pthread_mutex_lock(&checks->lock);
    checks->lost = !enqueue(checks, &item) || checks->lost;
    checks->work = true;
    (void)pthread_cond_signal(&checks->woken);
    (void)pthread_mutex_unlock(&checks->lock);
}

void ent_checks_wake(ent_checks *checks)
{
    if (checks == NULL)
        return;
    (void)pthread_mutex_lock(&checks->lock);
    checks->work = true;
    (void)pthread_cond_signal(&checks->woken);
    (void)pthread_mutex_unlock(&checks->lock);
}

/* --- threads of checks in the ledger --- */

/* Whether a check waits for a member's answer; a check that does not count waits for nothing. */
typedef struct {
    uint32_t member;
    bool waits;
} waiting;

static ent_rc see_track(void *context, const ent_thread_view *thread, ent_err *err)
{
    waiting *work = context;
    (void)err;
    for (size_t i = 0; i < thread->track_count; i++) {
        if (thread->tracks[i].member == work->member)
            work->waits = thread->tracks[i].state != ENT_STATE_NONE && !ent_state_closed(thread->tracks[i].state);
    }
    return ENT_DONE;
}

static ent_rc is_unanswered(ent_node *node, ent_channel *channel, ent_ledger_ref check, uint32_t by, bool *ret,
                            ent_err *err)
{
    ent_ledger *ledger = NULL;
    waiting work = {.member = by};
    ent_moment now = {INT64_MAX, ent_clock_unix_s()};
    ENT_TRY(ent_ledgers_lock(node, channel, &ledger, err));
    ent_rc rc = ent_ledger_thread(ledger, check, now, see_track, &work, err);
    ent_ledgers_unlock(channel);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    *ret = rc.code == ENT_OK && work.waits;
    return ENT_DONE;
}

/* --- answering --- */

static ent_rc say_answer(ent_node *node, const asked *check, const ent_entry *entry, ent_text nonce, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    uint64_t index = 0;
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "echo", nonce);
    ent_json_member_string(&writer, "answered_by", "node");
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    ent_message_ref message = {entry->writer, entry->index};
    ent_saying saying = {
        .channel = check->channel,
        .kind = "contact.check",
        .has_reply_to = true,
        .reply_to = message,
        .has_thread = true,
        .thread = entry->has_thread ? entry->thread : message,
        .exercise = entry->exercise,
    };
    ENT_TRY(ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

static void refill(allowance *of, uint32_t every_s)
{
    int64_t now = ent_clock_monotonic_ms();
    int64_t every_ms = every_s > 0 && every_s < 2 * ANSWER_EVERY_S ? (int64_t)every_s * 500 : ANSWER_EVERY_S * 1000;
    while (of->left < ANSWERS_AT_ONCE && of->filled_ms + every_ms <= now) {
        of->left++;
        of->filled_ms += every_ms;
    }
    if (of->left == ANSWERS_AT_ONCE)
        of->filled_ms = now;
}

/* A look at the schedules comes before, so every channel is watched. */
static allowance *allowance_for(ent_checks *checks, const asked *check)
{
    for (size_t i = 0; i < checks->channel_count; i++) {
        if (checks->channels[i].channel != check->channel)
            continue;
        refill(&checks->channels[i].answers[check->member], checks->channels[i].every_s);
        return &checks->channels[i].answers[check->member];
    }
    return NULL;
}

/* Answer a check, unless it was answered, or a person sent it.  Errors: our own trouble, or that it cannot be said;
 * WAITING: not so soon again. */
static ent_rc answer(ent_checks *checks, const asked *check, ent_err *err)
{
    ent_node *node = checks->node;
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_entry entry;
    bool waits = false;
    ent_ledger_ref ref = {check->member, check->index};
    ENT_TRY(is_unanswered(node, check->channel, ref, check->channel->self, &waits, err));
    if (!waits)
        return ENT_DONE;
    ENT_TRY(ent_channel_entry(node, check->channel, check->member, check->index, &arena, NULL, &entry, err));
    ENT_TRY(ent_open_body(node, check->channel, check->member, check->index, &plain, NULL, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&plain), &json, err));
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    ent_text nonce = ent_json_string(ent_json_get(fields, "nonce"));
    if (nonce.size == 0 || !ent_json_true(ent_json_get(fields, "scheduled")))
        return ENT_DONE;
    allowance *of = allowance_for(checks, check);
    if (of == NULL || of->left == 0)
        return ent_rc_of(ENT_WAITING);
    ent_rc rc = say_answer(node, check, &entry, nonce, err);
    if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER)
        of->left--;
    return rc;
}

static void report_flood(uint64_t passed_over)
{
    if (passed_over == 0)
        return;
    ent_report report = ent_report_begin("check.too-many");
    ent_report_number(&report, "not_answered", passed_over);
    ent_report_end(&report);
}

/* Answer all that came, the newest first; what meets trouble of ours waits for the next look. *ret_later: something
 * does. */
static void answer_all(ent_checks *checks, bool *ret_later)
{
    (void)pthread_mutex_lock(&checks->lock);
    asked *queue = ent_take(checks->queue);
    size_t count = checks->queued;
    checks->queued = 0;
    checks->capacity = 0;
    (void)pthread_mutex_unlock(&checks->lock);
    uint64_t passed_over = 0;
    for (size_t i = count; i-- > 0 && !atomic_load(&checks->node->stopping);) {
        ent_err err = {0};
        bool can = !ent_channel_is_held(queue[i].channel);
        ent_rc rc = can ? answer(checks, &queue[i], &err) : ent_rc_of(ENT_RETRY);
        passed_over += rc.code == ENT_WAITING;
        ent_class error_class = ent_code_class(rc.code);
        if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER || rc.code == ENT_WAITING)
            continue;
        if (error_class == ENT_CLASS_RETRY || error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM) {
            (void)pthread_mutex_lock(&checks->lock);
            checks->lost = !enqueue(checks, &queue[i]) || checks->lost;
            (void)pthread_mutex_unlock(&checks->lock);
            *ret_later = true;
            continue;
        }
        ent_report report = ent_report_begin("check.not-answered");
        ent_report_string(&report, "channel", queue[i].channel->id_text);
        ent_report_number(&report, "index", queue[i].index);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
    ent_free(queue);
    report_flood(passed_over);
}

/* --- what came before this start --- */

typedef struct {
    ent_checks *checks;
    ent_channel *channel;
} search;

static ent_rc see_open(void *context, const ent_thread_view *thread, ent_err *err)
{
    const search *work = context;
    waiting ours = {.member = work->channel->self};
    if (thread->opener == work->channel->self || thread->kind == NULL || strcmp(thread->kind, "contact.check") != 0)
        return ENT_DONE;
    ENT_TRY(see_track(&ours, thread, err));
    if (!ours.waits)
        return ENT_DONE;
    asked item = {work->channel, thread->first.member, thread->first.index};
    (void)pthread_mutex_lock(&work->checks->lock);
    bool kept = enqueue(work->checks, &item);
    (void)pthread_mutex_unlock(&work->checks->lock);
    return kept ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

static ent_rc search_ledger(ent_checks *checks, ent_channel *channel, ent_err *err)
{
    ent_ledger *ledger = NULL;
    search work = {checks, channel};
    ent_moment now = {INT64_MAX, ent_clock_unix_s()};
    ENT_TRY(ent_ledgers_lock(checks->node, channel, &ledger, err));
    ent_rc rc = ent_ledger_walk_open(ledger, now, see_open, &work, err);
    ent_ledgers_unlock(channel);
    return rc;
}

/* --- our own checks --- */

static ent_rc note_own(watched *on, ent_bytes bytes, int64_t now, ent_err *err)
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
            on->last[m] = (last_check){is_check, entry.index, time > now ? now : time};
    }
    return ENT_DONE;
}

/* Read on in our own log: also what officers check counts. */
static ent_rc read_own(ent_node *node, watched *on, int64_t now, ent_err *err)
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
static ent_rc keep_schedule(ent_node *node, watched *on, uint32_t member, const schedule *agreed, int64_t now,
                            int64_t *ret_next, ent_err *err)
{
    const last_check *last = &on->last[member];
    int64_t due = last->time_unix_s + agreed->every_s;
    bool waits = false;
    if (due <= now && last->was_checked) {
        ent_ledger_ref check = {on->channel->self, last->index};
        ENT_TRY(is_unanswered(node, on->channel, check, member, &waits, err));
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

static ent_rc look_at(ent_checks *checks, watched *on, int64_t now, int64_t *ret_next, ent_err *err)
{
    ent_node *node = checks->node;
    schedule agreed;
    int64_t begins = INT64_MAX;
    if (!on->searched) {
        ENT_TRY(search_ledger(checks, on->channel, err));
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
static ent_rc carry_on(ent_node *node, watched *on, ent_err *err)
{
    if (on->carried)
        return ENT_DONE;
    ENT_TRY(ent_succession_go_on(node, on->channel, err));
    on->carried = true;
    return ENT_DONE;
}

static watched *watch(ent_checks *checks, size_t at, ent_channel *channel)
{
    if (at < checks->channel_count)
        return &checks->channels[at]; /* the node's channels are only ever added to */
    watched *channels = ent_realloc(checks->channels, (at + 1) * sizeof *channels);
    if (channels == NULL)
        return NULL;
    checks->channels = channels;
    last_check *last = ent_alloc_array(channel->genesis.member_count, sizeof *last);
    allowance *answers = ent_alloc_array(channel->genesis.member_count, sizeof *answers);
    if (last == NULL || answers == NULL) {
        ent_free(last);
        ent_free(answers);
        return NULL;
    }
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        answers[i] = (allowance){ANSWERS_AT_ONCE, ent_clock_monotonic_ms()};
    channels[at] = (watched){.channel = channel, .last = last, .answers = answers};
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
    (void)pthread_mutex_lock(&checks->lock);
    bool search_again = checks->lost;
    checks->lost = false;
    (void)pthread_mutex_unlock(&checks->lock);
    for (size_t i = 0; (channel = ent_channel_at(checks->node, i)) != NULL; i++) {
        ent_err err = {0};
        watched *on = watch(checks, i, channel);
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
    answer_all(checks, &later);
    return later && next > now + RETRY_S ? now + RETRY_S : next;
}

/* --- the thread --- */

static void *run(void *context)
{
    ent_checks *checks = context;
    (void)pthread_mutex_lock(&checks->lock);
    while (!checks->stopping) {
        checks->work = false;
        (void)pthread_mutex_unlock(&checks->lock);
        ent_rotate_announce(checks->node); /* say where a channel has opened since */
        struct timespec deadline = {.tv_sec = (time_t)look(checks)};
        (void)pthread_mutex_lock(&checks->lock);
        while (!checks->stopping && !checks->work) { /* by the wall clock: a check is due at a time of day */
            if (pthread_cond_timedwait(&checks->woken, &checks->lock, &deadline) != 0)
                break;
        }
    }
    (void)pthread_mutex_unlock(&checks->lock);
    return NULL;
}

ent_rc ent_checks_new(ent_node *node, ent_checks **ret, ent_err *err)
{
    ent_checks *checks = ent_alloc(sizeof *checks);
    if (checks == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    checks->node = node;
    (void)pthread_mutex_init(&checks->lock, NULL);
    (void)pthread_cond_init(&checks->woken, NULL);
    checks->started = pthread_create(&checks->thread, NULL, run, checks) == 0;
    if (!checks->started) {
        ent_checks_free(checks);
        return ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    }
    *ret = checks;
    return ENT_DONE;
}

void ent_checks_free(ent_checks *checks)
{
    if (checks == NULL)
        return;
    if (checks->started) {
        (void)pthread_mutex_lock(&checks->lock);
        checks->stopping = true;
        (void)pthread_cond_signal(&checks->woken);
        (void)pthread_mutex_unlock(&checks->lock);
        (void)pthread_join(checks->thread, NULL);
    }
    for (size_t i = 0; i < checks->channel_count; i++) {
        ent_free(checks->channels[i].last);
        ent_free(checks->channels[i].answers);
    }
    ent_free(checks->channels);
    ent_free(checks->queue);
    (void)pthread_cond_destroy(&checks->woken);
    (void)pthread_mutex_destroy(&checks->lock);
    ent_free(checks);
}
