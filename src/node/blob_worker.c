#include "node/blob_worker.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/receipt.h"
#include "node/checks.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/ledgers.h"
#include "node/report.h"
#include "node/say.h"
#include "node/sequencer.h"
#include "node/worker.h"
#include "store/blob_parts.h"
#include "store/blobs.h"

enum { PAGE = 256, RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 10000, TIDY_EVERY_MS = 3600000, DAY_S = 86400 };

struct ent_blob_worker {
    ent_node *node;
    ent_worker worker;
    int64_t tidy_ms; /* monotonic; the thread's own, like all that follows */
    int64_t sweep_ms;
    int64_t retry_ms;
};

/* --- saying that they are held --- */

/* Attachments of one entry that are durable and not said yet. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t member;
    uint64_t index;
    ent_store_blob blobs[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t count;
} bundle;

static ent_rc mark_held(void *context, ent_node *node, ent_err *err)
{
    const bundle *said = context;
    for (size_t i = 0; i < said->count; i++)
        ENT_TRY(node->store->engine->blob_held(node->store, &said->blobs[i], err));
    return ENT_DONE;
}

static ent_rc write_body(const bundle *said, ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "digests");
    ent_json_array_begin(&writer);
    for (size_t i = 0; i < said->count; i++) {
        bool twice = false;
        for (size_t k = 0; k < i; k++)
            twice = twice || ent_hash_equal(&said->blobs[k].digest, &said->blobs[i].digest);
        if (!twice)
            ent_json_put_hex(&writer, ent_hash_bytes(&said->blobs[i].digest));
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

static ent_rc say_held(bundle *said, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    uint64_t index = 0;
    ENT_TRY(ent_channel_entry(said->node, said->channel, said->member, said->index, &arena, NULL, &entry, err));
    ENT_TRY(write_body(said, &body, err));
    ent_message_ref message = {entry.writer, entry.index};
    ent_saying saying = {
        .channel = said->channel,
        .kind = "evidence.held",
        .has_reply_to = true,
        .reply_to = message,
        .has_thread = true,
        .thread = entry.has_thread ? entry.thread : message,
        .exercise = entry.exercise,
        .also = mark_held,
        .also_context = said,
    };
    return ent_say_body(said->node, &saying, ent_buf_bytes(&body), &index, err);
}

static void tell_held(const bundle *said)
{
    ent_report report = ent_report_begin("attachment.held");
    ent_report_string(&report, "channel", said->channel->id_text);
    ent_report_text(&report, "party", said->channel->genesis.members[said->member].name);
    ent_report_number(&report, "index", said->index);
    ent_report_number(&report, "attachments", said->count);
    ent_report_end(&report);
    for (size_t i = 0; i < said->count; i++)
        ent_tell_attachment(said->node, said->channel, said->member, said->index, &said->blobs[i].digest);
    ent_courier_wake(said->node->courier);
}

/* One look at all that is wanted. */
typedef struct {
    ent_node *node;
    bundle said;
    ent_store_blob last;
    size_t count;               /* rows of this page */
    const ent_channel *waiting; /* nothing can be said in this channel now */
    int64_t log_waiting;        /* nor about this log */
    bool later;
} look;

static void report_not_said(const bundle *said, const ent_err *err)
{
    ent_report report = ent_report_begin("attachment.not-said");
    ent_report_string(&report, "channel", said->channel->id_text);
    ent_report_number(&report, "index", said->index);
    ent_report_error(&report, err);
    ent_report_end(&report);
}

static void say_collected(look *on)
{
    bundle *said = &on->said;
    ent_err err = {0};
    if (said->count == 0)
        return;
    ent_rc rc = say_held(said, &err);
    if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER) { /* logged, though perhaps it does not leave yet */
        tell_held(said);
    } else {
        on->later = true;
        if (ent_code_class(rc.code) == ENT_CLASS_REFUSED)
            on->waiting = said->channel;
        else
            on->log_waiting = said->blobs[0].log; /* what it answers is still to be opened, say */
        if (rc.code != ENT_RETRY)
            report_not_said(said, &err);
    }
    said->count = 0;
}

static ent_channel *channel_of_log(ent_node *node, int64_t log)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_member_of_log(channel, log) >= 0)
            return channel;
    }
    return NULL;
}

/* Whether the node may speak in a channel. While it is held, what it says may have to be set aside later. */
static bool may_speak(ent_node *node, ent_channel *channel)
{
    ent_store_log own;
    ent_channel_log(channel, channel->self, &own);
    if (ent_channel_is_held(channel) || own.frozen || ent_channel_state_now(channel) != ENT_CHANNEL_OPEN)
        return false;
    bool is_made = ent_ledgers_is_made(channel);
    if (!is_made)
        ent_checks_wake(node->checks); /* it makes it */
    return is_made;
}

typedef struct {
    ent_job job;
    const ent_channel *channel;
    const ent_store_blob *blob;
} own_job;

static ent_rc apply_own(ent_job *job, ent_node *node, ent_err *err)
{
    const own_job *work = (const own_job *)job;
    const ent_store_engine *engine = node->store->engine;
    ENT_TRY(engine->blob_held(node->store, work->blob, err));
    for (uint32_t m = 0; m < work->channel->genesis.member_count; m++) {
        ent_store_blob_send send = {.log = work->blob->log,
                                    .index = work->blob->index,
                                    .member = m,
                                    .digest = work->blob->digest,
                                    .size = work->blob->size};
        if (m != work->channel->self)
            ENT_TRY(engine->blob_send_add(node->store, &send, err));
    }
    return ENT_DONE;
}

/* We had lost it, and another member gave it back: nobody is told, but who lacks it gets it. */
static ent_rc own_is_back(ent_node *node, const ent_channel *channel, const ent_store_blob *row, ent_err *err)
{
    own_job work = {.job = {.apply = apply_own}, .channel = channel, .blob = row};
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

static ent_rc see_wanted(void *context, const ent_store_blob *row, ent_err *err)
{
    look *on = context;
    bundle *said = &on->said;
    on->last = *row;
    on->count++;
    if (said->count > 0 && (said->blobs[0].log != row->log || said->index != row->index))
        say_collected(on);
    if (atomic_load(&on->node->stopping) || row->log == on->log_waiting ||
        !ent_blob_exists(on->node->paths.blobs, &row->digest))
        return ENT_DONE;
    if (said->count == 0) {
        ent_channel *channel = channel_of_log(on->node, row->log);
        if (channel != NULL && channel->members[channel->self].log.number == row->log)
            return own_is_back(on->node, channel, row, err);
        if (channel == NULL || channel == on->waiting)
            return ENT_DONE;
        if (!may_speak(on->node, channel)) {
            on->waiting = channel;
            on->later = true;
            return ENT_DONE;
        }
        said->channel = channel;
        said->member = (uint32_t)ent_channel_member_of_log(channel, row->log);
        said->index = row->index;
    }
    said->blobs[said->count++] = *row;
    return ENT_DONE;
}

/* Say all that can be said; true when something is left for later. */
static bool say_all(ent_node *node)
{
    look on = {.node = node, .said = {.node = node}, .log_waiting = -1};
    ent_err err = {0};
    ent_rc rc = ENT_DONE;
    bool first = true;
    do {
        on.count = 0;
        rc = node->store->engine->blob_wanted_walk(node->store, first ? NULL : &on.last, PAGE, see_wanted, &on, &err);
        first = false;
    } while (rc.code == ENT_OK && on.count == PAGE && !atomic_load(&node->stopping));
    say_collected(&on);
    if (rc.code == ENT_OK)
        return on.later;
    ent_report report = ent_report_begin("attachment.failed");
    ent_report_error(&report, &err);
    ent_report_end(&report);
    return true;
}

/* --- what others have said --- */

typedef struct {
    ent_job job;
    int64_t log;
    uint64_t index;
    uint32_t member;
    ent_json_value digests;
} strike_job;

static ent_rc apply_strike(ent_job *job, ent_node *node, ent_err *err)
{
    const strike_job *work = (const strike_job *)job;
    for (ent_json_iter i = ent_json_iterate(work->digests); ent_json_next(&i);) {
        ent_hash digest;
        ENT_TRY(ent_hex_decode(ent_json_string(i.value), digest.bytes, sizeof digest.bytes, err));
        ENT_TRY(node->store->engine->blob_send_strike(node->store, work->log, work->index, work->member, &digest, err));
    }
    return ENT_DONE;
}

ent_rc ent_blob_said_held(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_json_value fields,
                          ent_err *err)
{
    strike_job work = {.job = {.apply = apply_strike},
                       .log = channel->members[channel->self].log.number,
                       .index = index,
                       .member = member,
                       .digests = ent_json_get(fields, "digests")};
    return ent_sequencer_run(node, &work.job, err);
}

/* --- the thread --- */

/* Make hashes again until none is asked for, or somebody has other work. */
static void hash_some(ent_node *node, bool *ret_more)
{
    ent_err err = {0};
    ent_rc rc = ent_blob_parts_hash(node->parts, ret_more, &err);
    if (rc.code == ENT_OK)
        return;
    ent_report report = ent_report_begin("attachment.damaged");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

static ent_rc is_wanted(void *context, const ent_hash *digest, bool *ret, ent_err *err)
{
    ent_store *store = context;
    return store->engine->blob_is_wanted(store, digest, ret, err);
}

static void tidy(ent_node *node)
{
    ent_err err = {0};
    if (ent_blob_parts_tidy(node->parts, ent_clock_unix_s(), is_wanted, node->store, &err).code == ENT_OK)
        return;
    ent_report report = ent_report_begin("attachment.failed");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

/* --- sealed, and never named --- */

/* Between the question and the end of this job no message can come to name it: there is one writer. */
typedef struct {
    ent_job job;
    const ent_hash *digest;
} sweep_job;

static ent_rc apply_sweep(ent_job *job, ent_node *node, ent_err *err)
{
    const sweep_job *work = (const sweep_job *)job;
    bool named = true;
    ENT_TRY(node->store->engine->blob_is_named(node->store, work->digest, &named, err));
    if (named)
        return ENT_DONE;
    ENT_TRY(ent_blob_remove(node->paths.blobs, work->digest, err));
    ent_report report = ent_report_begin("attachment.never-named");
    ent_report_end(&report);
    return ENT_DONE;
}

static ent_rc sweep_one(void *context, const ent_hash *digest, ent_err *err)
{
    ent_node *node = context;
    bool named = true;
    sweep_job work = {.job = {.apply = apply_sweep}, .digest = digest};
    if (atomic_load(&node->stopping))
        return ent_fail(err, ENT_RETRY, NULL, "the node is stopping");
    ENT_TRY(node->store->engine->blob_is_named(node->store, digest, &named, err));
    return named ? ENT_DONE : ent_sequencer_run(node, &work.job, err);
}

/* Somebody attached it, and then the message was not said. While a channel is held the store may be older than what
 * lies here: then messages come back that name it. */
static bool may_sweep(ent_node *node)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_is_held(channel))
            return false;
    }
    return true;
}

static void sweep(ent_node *node)
{
    ent_err err = {0};
    int64_t before = ent_clock_unix_s() - (int64_t)ENT_PARTS_KEPT_DAYS * DAY_S;
    ent_rc rc = ent_blobs_walk_old(node->paths.blobs, before, sweep_one, node, &err);
    if (rc.code == ENT_OK || rc.code == ENT_RETRY)
        return;
    ent_report report = ent_report_begin("attachment.failed");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

static int64_t work(void *context, bool woken)
{
    ent_blob_worker *worker = context;
    ent_node *node = worker->node;
    bool more = false;
    if (woken)
        worker->retry_ms = RETRY_FIRST_MS;
    if (ent_clock_monotonic_ms() >= worker->tidy_ms) {
        tidy(node);
        worker->tidy_ms = ent_clock_monotonic_ms() + TIDY_EVERY_MS;
    }
    if (ent_clock_monotonic_ms() >= worker->sweep_ms && may_sweep(node)) {
        sweep(node);
        worker->sweep_ms = ent_clock_monotonic_ms() + (int64_t)DAY_S * 1000;
    }
    hash_some(node, &more);
    bool later = say_all(node);
    if (more)
        return 0;
    int64_t rest_ms = later ? worker->retry_ms : TIDY_EVERY_MS;
    if (!later)
        worker->retry_ms = RETRY_FIRST_MS;
    else if (worker->retry_ms < RETRY_MAX_MS)
        worker->retry_ms *= 2;
    return rest_ms;
}

ent_rc ent_blob_worker_new(ent_node *node, ent_blob_worker **ret, ent_err *err)
{
    ent_blob_worker *worker = ent_alloc(sizeof *worker);
    if (worker == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    worker->node = node;
    worker->retry_ms = RETRY_FIRST_MS;
    ent_rc rc = ent_worker_start(&worker->worker, work, worker, err);
    if (rc.code != ENT_OK) {
        ent_free(worker);
        return rc;
    }
    *ret = worker;
    return ENT_DONE;
}

void ent_blob_worker_stop(ent_blob_worker *worker)
{
    if (worker != NULL)
        ent_worker_stop(&worker->worker);
}

void ent_blob_worker_free(ent_blob_worker *worker)
{
    if (worker == NULL)
        return;
    ent_worker_release(&worker->worker);
    ent_free(worker);
}

void ent_blob_worker_wake(ent_blob_worker *worker)
{
    if (worker != NULL)
        ent_worker_wake(&worker->worker);
}
