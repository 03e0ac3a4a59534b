#include "node/sequencer_internal.h"

#include "base/clock.h"
#include "log/tree.h"
#include "node/alerts.h"
#include "node/channel.h"
#include "node/checks.h"
#include "node/events.h"
#include "node/extend.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/receipt.h"
#include "node/report.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_JOBS = 1024,      /* design 11, limits */
    BATCH_BYTES = 32 << 20, /* with one more body of 8 MiB a batch still fits a pouch */
    FAILED_FLUSH_MS = 5000,
    IDLE_FLUSH_MS = 200 /* signatures wait this long for a transaction to ride on */
};

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

/* --- for apply --- */

ent_rc ent_sequencer_touch(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_sequencer *sequencer = node->sequencer;
    if (channel->dirty)
        return ENT_DONE;
    if (sequencer->dirty_count == sequencer->dirty_capacity) {
        size_t capacity = sequencer->dirty_capacity == 0 ? 32 : sequencer->dirty_capacity * 2;
        ent_channel **dirty = ent_realloc(sequencer->dirty, capacity * sizeof(ent_channel *));
        if (dirty == NULL)
            return no_memory(err);
        sequencer->dirty = dirty;
        sequencer->dirty_capacity = capacity;
    }
    sequencer->dirty[sequencer->dirty_count++] = channel;
    channel->dirty = true;
    channel->sign_head = false;
    channel->ledger_busy = false;
    channel->next_row = channel->row;
    channel->appends.count = 0;
    channel->appends.bytes = 0;
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        channel->members[i].next = channel->members[i].log;
        channel->members[i].receipt_in_batch = false;
    }
    return ENT_DONE;
}

static ent_rc grow_appends(ent_channel_appends *appends, ent_err *err)
{
    size_t capacity = appends->capacity == 0 ? 16 : appends->capacity * 2;
    ent_bytes *entries = ent_realloc(appends->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return no_memory(err);
    appends->entries = entries;
    ent_hash *leaves = ent_realloc(appends->leaves, capacity * sizeof *leaves);
    if (leaves == NULL)
        return no_memory(err);
    appends->leaves = leaves;
    ent_bytes *bodies = ent_realloc(appends->bodies, capacity * sizeof *bodies);
    if (bodies == NULL)
        return no_memory(err);
    appends->bodies = bodies;
    ent_hash *digests = ent_realloc(appends->digests, capacity * sizeof *digests);
    if (digests == NULL)
        return no_memory(err);
    appends->digests = digests;
    appends->capacity = capacity;
    return ENT_DONE;
}

ent_rc ent_sequencer_append(ent_node *node, ent_channel *channel, ent_bytes entry, ent_bytes sealed,
                            const ent_hash *digest, ent_err *err)
{
    ent_channel_appends *appends = &channel->appends;
    ent_store_log *next = &channel->members[channel->self].next;
    (void)node;
    if (appends->count == appends->capacity)
        ENT_TRY(grow_appends(appends, err));
    size_t at = appends->count;
    ent_leaf_hash(entry, &appends->leaves[at]);
    ENT_TRY(ent_tree_append(&next->tree, &appends->leaves[at], err));
    appends->entries[at] = entry;
    appends->bodies[at] = sealed;
    if (digest != NULL)
        appends->digests[at] = *digest;
    else
        memset(&appends->digests[at], 0, sizeof appends->digests[at]);
    appends->bytes += entry.size + sealed.size;
    next->bytes += entry.size + sealed.size;
    appends->count++;
    return ENT_DONE;
}

/* "The same pouch again returns the same receipt bytes": it came back signed, with what it is for, and is not signed a
 * second time. */
static ent_rc receipt_given_before(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                                   ent_err *err)
{
    ent_store_receipt given;
    ENT_TRY(node->store->engine->receipt_covering(node->store, channel->members[member].log.number, channel->self,
                                                  head->size, &given, err));
    ent_signed item = {.channel = channel,
                       .receipt = given.number,
                       .member = member,
                       .head = given.head,
                       .signature = given.cosignature.signature,
                       .timestamp_unix_s = given.cosignature.timestamp_unix_s,
                       .receipt_key = given.key};
    bool same = given.head.size == head->size && ent_hash_equal(&given.head.root, &head->root);
    if (!same || !ent_receipt_is_signed(&given))
        return ent_fail(err, ENT_BUG, "design 3", "a receipt of size %llu is here before its entries",
                        (unsigned long long)head->size);
    return ent_signed_add(&node->sequencer->given, &item, err);
}

ent_rc ent_sequencer_receipt(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                             const ent_hash *leaves, size_t leaf_count, ent_err *err)
{
    bool is_new = false;
    ent_store_receipt receipt = {
        .log = channel->members[member].log.number,
        .receiver = channel->self,
        .head = *head,
        .arrived_unix_s = ent_clock_unix_s(),
    };
    receipt.cosignature.timestamp_unix_s = (uint64_t)receipt.arrived_unix_s;
    receipt.key = ent_channel_receipt_key(channel);
    ENT_TRY(node->store->engine->receipt_add(node->store, &receipt, &is_new, err));
    channel->members[member].receipt_in_batch = true;
    if (!is_new)
        return receipt_given_before(node, channel, member, head, err);
    ent_signed item = {.channel = channel,
                       .receipt = receipt.number,
                       .member = member,
                       .head = *head,
                       .timestamp_unix_s = receipt.cosignature.timestamp_unix_s,
                       .leaves = leaves,
                       .leaf_count = leaf_count,
                       .receipt_key = receipt.key};
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

ent_rc ent_sequencer_signed(ent_node *node, const ent_channel *channel, uint32_t member, ent_store_receipt *ret,
                            ent_err *err)
{
    const ent_signed_list *signed_now = &node->sequencer->unstored; /* publish has moved what this batch signed there */
    const ent_signed_list *given = &node->sequencer->given;
    for (size_t i = 0; i < signed_now->count + given->count; i++) {
        const ent_signed *item = i < signed_now->count ? &signed_now->items[i] : &given->items[i - signed_now->count];
        if (item->channel != channel || item->is_head || item->member != member)
            continue;
        *ret = (ent_store_receipt){.number = item->receipt,
                                   .log = channel->members[member].log.number,
                                   .receiver = channel->self,
                                   .head = item->head,
                                   .cosignature = {item->timestamp_unix_s, item->signature},
                                   .key = item->receipt_key};
        return ENT_DONE;
    }
    return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                    "the keeper gave a receipt for a larger or another head of this log before: this store is older "
                    "than its marks");
}

ent_rc ent_sequencer_check_open(ent_node *node, ent_channel *channel, ent_err *err)
{
    if (channel->next_row.state != ENT_CHANNEL_OPENING)
        return ENT_DONE;
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        if (channel->members[i].next.tree.size == 0)
            return ENT_DONE;
    }
    channel->next_row.state = ENT_CHANNEL_OPEN;
    return node->store->engine->channel_update(node->store, &channel->next_row, err);
}

ent_rc ent_sequencer_sign_known(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_err *err)
{
    ent_signed item = {.channel = channel, .is_head = true, .member = channel->self, .head = *head};
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

/* --- one batch --- */

static ent_rc put_head_note(const ent_signed *item, ent_buf *ret, ent_err *err)
{
    const ent_channel *channel = item->channel;
    ent_text origin = ent_text_of(channel->members[channel->self].origin);
    ent_vkey vkey;
    ENT_TRY(ent_vkey_make(origin, ENT_KEY_ED25519, &item->log_key, &vkey, err));
    ent_checkpoint_put(ret, origin, &item->head);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_signature(ret, &vkey, ent_bytes_of(item->signature.bytes, sizeof item->signature.bytes));
    return ent_buf_check(ret, err);
}

static ent_rc store_signed(ent_node *node, const ent_signed_list *list, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    for (size_t i = 0; i < list->count; i++) {
        const ent_signed *item = &list->items[i];
        if (item->is_head) {
            ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
            ENT_TRY(put_head_note(item, &note, err));
            ENT_TRY(engine->head_put(node->store, item->channel->members[item->channel->self].log.number, &item->head,
                                     ent_buf_bytes(&note), err));
        } else {
            ENT_TRY(engine->receipt_sign(node->store, item->receipt, &item->signature, err));
        }
    }
    return ENT_DONE;
}

/* Have our head signed, as the transaction leaves it. */
static ent_rc want_head(ent_node *node, ent_channel *channel, ent_err *err)
{
    const ent_store_log *next = &channel->members[channel->self].next;
    if (next->tree.size == 0 || ent_channel_is_held(channel)) /* a head that may be the other half of a fork */
        return ENT_DONE;
    if (ent_keys_await(channel))
        return ENT_DONE;
    ent_signed item = {.channel = channel,
                       .is_head = true,
                       .member = channel->self,
                       .head.size = next->tree.size,
                       .leaves = channel->appends.leaves,
                       .leaf_count = channel->appends.count};
    ent_tree_root(&next->tree, &item.head.root);
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

static ent_rc flush_appends(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_channel_appends *appends = &channel->appends;
    ent_store_log *next = &channel->members[channel->self].next;
    if (appends->count == 0)
        return channel->sign_head ? want_head(node, channel, err) : ENT_DONE;
    ent_store_append append = {
        .first = next->tree.size - appends->count,
        .count = appends->count,
        .entries = appends->entries,
        .leaves = appends->leaves,
        .bodies = appends->bodies,
        .body_digests = appends->digests,
        .arrived_unix_s = ent_clock_unix_s(),
    };
    next->opened = next->tree.size;
    ENT_TRY(node->store->engine->append(node->store, next, &append, err));
    return want_head(node, channel, err);
}

static bool fails_batch(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM || error_class == ENT_CLASS_BUG;
}

static ent_rc write_batch(ent_sequencer *sequencer, ent_job *jobs, ent_err *err)
{
    ent_node *node = sequencer->node;
    const ent_store_engine *engine = node->store->engine;
    ENT_TRY(engine->begin(node->store, err));
    ent_rc rc = store_signed(node, &sequencer->unstored, err);
    for (ent_job *job = jobs; rc.code == ENT_OK && job != NULL; job = job->next) {
        uint64_t changes = engine->changes(node->store);
        job->rc = job->apply(job, node, &job->err);
        if (job->rc.code != ENT_OK && !fails_batch(job->rc) && engine->changes(node->store) != changes)
            job->rc = ent_fail(&job->err, ENT_BUG, NULL, "a job failed after it had written: the batch is undone");
        if (fails_batch(job->rc)) {
            rc = job->rc;
            *err = job->err;
        }
    }
    for (size_t i = 0; rc.code == ENT_OK && i < sequencer->dirty_count; i++)
        rc = flush_appends(node, sequencer->dirty[i], err);
    if (rc.code == ENT_OK)
        return engine->commit(node->store, err);
    engine->rollback(node->store);
    return rc;
}

static ent_rc request_signature(ent_node *node, const ent_signed *item, ent_keeper_request *ret, ent_tree_proof *proof,
                                ent_err *err)
{
    ret->what = item->is_head ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT;
    ret->origin = ent_text_of(item->channel->members[item->member].origin);
    ret->head = item->head;
    ret->timestamp_unix_s = item->timestamp_unix_s;
    ret->extends = proof;
    ret->key = item->is_head ? item->log_key : ent_channel_receipt_public(item->channel, item->receipt_key);
    ent_extension extension = {ret->what, item->member, item->head, item->leaves, item->leaf_count};
    return ent_extend_prove(node, item->channel, &extension, proof, err);
}

static void sign_batch(ent_sequencer *sequencer)
{
    ent_node *node = sequencer->node;
    ent_signed_list *list = &sequencer->to_sign;
    ent_err err = {0};
    if (list->count == 0)
        return;
    ent_keeper_request *requests = ent_alloc_array(list->count, sizeof *requests);
    ent_tree_proof *proofs = ent_alloc_array(list->count, sizeof *proofs);
    if (requests == NULL || proofs == NULL) {
        (void)ent_fail(&err, ENT_NOMEM, NULL, "out of memory for %zu signatures", list->count).code;
        ent_report_stop("what is stored cannot be signed", &err);
    }
    for (size_t i = 0; i < list->count; i++) {
        ent_signed *item = &list->items[i];
        if (item->is_head)
            item->log_key = *ent_channel_log_key(item->channel, item->head.size);
        if (request_signature(node, item, &requests[i], &proofs[i], &err).code != ENT_OK)
            ent_report_stop("what is stored cannot be signed", &err);
    }
    ent_rc rc = ent_keeper_sign(node->keeper, requests, list->count, &err);
    if (rc.code != ENT_OK)
        ent_report_stop("the keeper cannot sign", &err);
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].signature = requests[i].signature;
        list->items[i].refused = requests[i].rc.code != ENT_OK;
        list->items[i].leaves = NULL; /* those of the batch, which is done */
        if (!list->items[i].refused)
            ent_extend_marked(list->items[i].channel, requests[i].what, list->items[i].member, requests[i].head.size);
    }
    ent_free(proofs);
    ent_free(requests);
}

static void publish_signed(const ent_sequencer *sequencer, const ent_signed *item)
{
    ent_channel *channel = item->channel;
    if (item->refused) {
        if (item->is_head)
            ent_hold_by_keeper(sequencer->node, channel);
        return;
    }
    ent_err err = {0};
    ent_buf note = {0};
    if (item->is_head && put_head_note(item, &note, &err).code != ENT_OK) {
        ent_buf_release(&note);
        ent_report_stop("a signed head cannot be kept", &err);
        return;
    }
    (void)pthread_mutex_lock(&channel->lock);
    if (item->is_head) {
        ent_buf_release(&channel->head_note);
        channel->head_note = note;
        channel->head = item->head;
        channel->signed_size = item->head.size;
    } else {
        ent_channel_receipt_signed(channel, item->member, &item->head);
    }
    (void)pthread_mutex_unlock(&channel->lock);
}

/* The numbers of channel and logs are read without the lock: they are never written again. */
static void publish_log(ent_channel_member *member)
{
    const ent_store_log *next = &member->next;
    member->log.frozen = next->frozen;
    member->log.tree = next->tree;
    member->log.opened = next->opened;
    member->log.bytes = next->bytes;
    member->log.usage = next->usage;
    memcpy(member->log.acked, next->acked, sizeof next->acked);
}

static void publish_channel(ent_node *node, ent_channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
    bool state_changed = channel->row.state != channel->next_row.state;
    channel->row.state = channel->next_row.state;
    memcpy(channel->row.alias, channel->next_row.alias, sizeof channel->row.alias);
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        publish_log(&channel->members[i]);
    (void)pthread_mutex_unlock(&channel->lock);
    if (state_changed) {
        ent_tell_channel(node, channel);
        ent_checks_wake(node->checks);
    }
    ent_alerts_wake(node->alerts, channel);
}

/* Last of all: a courier that looked in between would have seen the old head, and not look again. */
static void mark_unsent(const ent_signed_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        atomic_store(&list->items[i].channel->unsent, true);
}

static void publish(ent_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->dirty_count; i++)
        publish_channel(sequencer->node, sequencer->dirty[i]);
    for (size_t i = 0; i < sequencer->to_sign.count; i++)
        publish_signed(sequencer, &sequencer->to_sign.items[i]);
    for (size_t i = 0; i < sequencer->given.count; i++)
        publish_signed(sequencer, &sequencer->given.items[i]);
    for (size_t i = 0; i < sequencer->dirty_count; i++)
        atomic_store(&sequencer->dirty[i]->unsent, true);
    mark_unsent(&sequencer->to_sign);
    mark_unsent(&sequencer->unstored); /* stored by this batch: its receipts can be packed now */
    /* What was refused is not stored as signed. */
    size_t kept = 0;
    for (size_t i = 0; i < sequencer->to_sign.count; i++) {
        if (!sequencer->to_sign.items[i].refused)
            sequencer->to_sign.items[kept++] = sequencer->to_sign.items[i];
    }
    sequencer->to_sign.count = kept;
    ent_signed_list stored = sequencer->unstored;
    sequencer->unstored = sequencer->to_sign;
    stored.count = 0;
    sequencer->to_sign = stored;
}

static void clean_dirty(ent_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->dirty_count; i++) {
        sequencer->dirty[i]->dirty = false;
        ent_keys_forget(sequencer->dirty[i]); /* what was committed is published by now */
        sequencer->dirty[i]->appends.count = 0;
    }
    sequencer->dirty_count = 0;
}

static void run_batch(ent_sequencer *sequencer, ent_job *jobs)
{
    ent_err err = {0};
    sequencer->to_sign.count = 0;
    sequencer->given.count = 0;
    ent_rc rc = write_batch(sequencer, jobs, &err);
    if (rc.code == ENT_IO)
        ent_report_stop("the store failed", &err);
    sequencer->failed = rc.code != ENT_OK;
    if (rc.code == ENT_OK) {
        for (size_t i = 0; i < sequencer->dirty_count; i++)
            ent_keys_publish(sequencer->dirty[i]); /* before what they sign */
        sign_batch(sequencer);
        publish(sequencer);
        for (ent_job *job = jobs; job != NULL; job = job->next) {
            if (job->rc.code == ENT_OK && job->settle != NULL)
                job->settle(job, sequencer->node);
        }
    } else {
        for (ent_job *job = jobs; job != NULL; job = job->next) {
            job->rc = rc;
            job->err = err;
        }
        for (size_t i = 0; i < sequencer->dirty_count; i++)
            ent_ledgers_forget(sequencer->dirty[i]);
        ent_report report = ent_report_begin("store.batch-failed");
        ent_report_error(&report, &err);
        ent_report_end(&report);
        sequencer->to_sign.count = 0;
    }
    clean_dirty(sequencer);
}

/* --- the thread --- */

/* With the lock held: wait for jobs; NULL when there is nothing to do but store signatures, or to stop. */
static ent_job *take_jobs(ent_sequencer *sequencer, bool *ret_stop)
{
    while (sequencer->first == NULL && !sequencer->stopping) {
        if (sequencer->unstored.count == 0) {
            (void)pthread_cond_wait(&sequencer->queued, &sequencer->lock);
            continue;
        }
        struct timespec deadline;
        long wait_ms = sequencer->failed ? FAILED_FLUSH_MS : IDLE_FLUSH_MS;
        (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += wait_ms / 1000;
        deadline.tv_nsec += wait_ms % 1000 * 1000000L;
        deadline.tv_sec += deadline.tv_nsec / 1000000000L;
        deadline.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&sequencer->queued, &sequencer->lock, &deadline) == ETIMEDOUT)
            break;
    }
    ent_job *jobs = sequencer->first;
    ent_job *last = jobs;
    uint64_t bytes = jobs == NULL ? 0 : jobs->weight_bytes;
    for (size_t count = 1; last != NULL && last->next != NULL && count < BATCH_JOBS; count++) {
        bytes += last->next->weight_bytes;
        if (bytes > BATCH_BYTES)
            break;
        last = last->next;
    }
    if (last != NULL) {
        sequencer->first = last->next;
        if (sequencer->first == NULL)
            sequencer->last = NULL;
        last->next = NULL;
    }
    *ret_stop = jobs == NULL && sequencer->stopping;
    return jobs;
}

static void *run(void *context)
{
    ent_sequencer *sequencer = context;
    bool stop = false;
    while (!stop) {
        (void)pthread_mutex_lock(&sequencer->lock);
        ent_job *jobs = take_jobs(sequencer, &stop);
        (void)pthread_mutex_unlock(&sequencer->lock);
        if (jobs != NULL || sequencer->unstored.count > 0)
            run_batch(sequencer, jobs);
        (void)pthread_mutex_lock(&sequencer->lock);
        while (jobs != NULL) {
            ent_job *next = jobs->next; /* the job is its owner's again once it is done */
            jobs->done = true;
            jobs = next;
        }
        (void)pthread_cond_broadcast(&sequencer->settled);
        (void)pthread_mutex_unlock(&sequencer->lock);
    }
    return NULL;
}

ent_rc ent_sequencer_run(ent_node *node, ent_job *job, ent_err *err)
{
    ent_sequencer *sequencer = node->sequencer;
    job->next = NULL;
    job->done = false;
    job->rc = ENT_DONE;
    (void)pthread_mutex_lock(&sequencer->lock);
    if (sequencer->stopping) {
        (void)pthread_mutex_unlock(&sequencer->lock);
        return ent_fail(err, ENT_RETRY, NULL, "the node is stopping");
    }
    if (sequencer->last == NULL)
        sequencer->first = job;
    else
        sequencer->last->next = job;
    sequencer->last = job;
    sequencer->callers++;
    (void)pthread_cond_signal(&sequencer->queued);
    while (!job->done)
        (void)pthread_cond_wait(&sequencer->settled, &sequencer->lock);
    sequencer->callers--;
    if (sequencer->stopping)
        (void)pthread_cond_broadcast(&sequencer->settled);
    (void)pthread_mutex_unlock(&sequencer->lock);
    if (job->rc.code != ENT_OK && err != NULL)
        *err = job->err;
    return job->rc;
}

static ent_rc apply_nothing(ent_job *job, ent_node *node, ent_err *err)
{
    (void)job, (void)node, (void)err;
    return ENT_DONE;
}

ent_rc ent_sequencer_flush(ent_node *node, ent_err *err)
{
    ent_job job = {.apply = apply_nothing}; /* every batch begins by storing what the one before it signed */
    return ent_sequencer_run(node, &job, err);
}

/* --- start and stop --- */

ent_rc ent_sequencer_new(ent_node *node, ent_sequencer **ret, ent_err *err)
{
    ent_sequencer *sequencer = ent_alloc(sizeof *sequencer);
    if (sequencer == NULL)
        return no_memory(err);
    sequencer->node = node;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&sequencer->lock, NULL);
    (void)pthread_cond_init(&sequencer->queued, &attributes);
    (void)pthread_cond_init(&sequencer->settled, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    ent_rc rc = ent_sequencer_collect_unsigned(sequencer, err);
    if (rc.code == ENT_OK) {
        sign_batch(sequencer);
        publish(sequencer);
    }
    if (rc.code == ENT_OK && pthread_create(&sequencer->thread, NULL, run, sequencer) != 0)
        rc = ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    sequencer->started = rc.code == ENT_OK;
    if (rc.code != ENT_OK) {
        ent_sequencer_free(sequencer);
        return rc;
    }
    *ret = sequencer;
    return ENT_DONE;
}

void ent_sequencer_free(ent_sequencer *sequencer)
{
    if (sequencer == NULL)
        return;
    if (sequencer->started) {
        (void)pthread_mutex_lock(&sequencer->lock);
        sequencer->stopping = true;
        (void)pthread_cond_broadcast(&sequencer->queued);
        (void)pthread_mutex_unlock(&sequencer->lock);
        (void)pthread_join(sequencer->thread, NULL);
        (void)pthread_mutex_lock(&sequencer->lock);
        while (sequencer->callers > 0) /* their jobs are done, but they have yet to take note */
            (void)pthread_cond_wait(&sequencer->settled, &sequencer->lock);
        (void)pthread_mutex_unlock(&sequencer->lock);
    }
    ent_free(sequencer->unstored.items);
    ent_free(sequencer->to_sign.items);
    ent_free(sequencer->given.items);
    ent_free(sequencer->dirty);
    (void)pthread_cond_destroy(&sequencer->queued);
    (void)pthread_cond_destroy(&sequencer->settled);
    (void)pthread_mutex_destroy(&sequencer->lock);
    ent_free(sequencer);
}
