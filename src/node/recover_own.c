#include "node/recover_own.h"

#include "base/clock.h"
#include "base/file.h"
#include "log/tile.h"
#include "node/channel.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/receipt.h"
#include "node/receive_internal.h"
#include "node/sequencer.h"
#include "store/blobs.h"

#include <stdio.h>

enum { PAGE_ENTRIES = 1024, PAGE_BYTES = 1 << 20, RETRIES = 16 };

/* One pouch of our own log that is taken back. */
typedef struct {
    ent_job job;
    ent_node *node;
    ent_channel *channel;
    const ent_pouch *pouch;
    ent_pouch_checked checked;
    ent_store_log seen;  /* our log when it was looked at */
    ent_store_log kept;  /* the same, cut to what agrees with the pouch */
    ent_keys_news *keys; /* of the pouch */
} restoring;

/* --- what is here, up to where it agrees --- */

typedef ENT_RC (*entry_visit)(void *context, const ent_entry *entry, ent_bytes bytes, ent_err *err);

static ent_rc walk_entries(ent_node *node, int64_t log, uint64_t first, uint64_t end, entry_visit visit, void *context,
                           ent_err *err)
{
    for (uint64_t at = first; at < end;) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        uint64_t wanted = end - at < PAGE_ENTRIES ? end - at : PAGE_ENTRIES;
        ENT_TRY(node->store->engine->entries_read(node->store, log, at, wanted, PAGE_BYTES, &bundle, &count, err));
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; i < count; i++) {
            ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
            ent_bytes bytes = {0};
            ent_entry entry;
            bool more = false;
            ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
            ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
            ENT_TRY(visit(context, &entry, bytes, err));
        }
        at += count;
    }
    return ENT_DONE;
}

typedef struct {
    const ent_channel *channel;
    ent_store_log *log;
} recount;

static ent_rc count_acks(void *context, const ent_entry *entry, ent_bytes bytes, ent_err *err)
{
    const recount *work = context;
    (void)bytes;
    for (size_t i = 0; i < entry->ack_count; i++) {
        ent_text party = {0};
        ent_hash id;
        ENT_TRY(ent_origin_parse(entry->acks[i].origin, &party, &id, err));
        int member = ent_genesis_member(&work->channel->genesis, party);
        if (member >= 0)
            work->log->acked[member] = entry->acks[i].head.size;
    }
    return ENT_DONE;
}

static ent_rc uncount_bytes(void *context, const ent_entry *entry, ent_bytes bytes, ent_err *err)
{
    const recount *work = context;
    uint64_t size = bytes.size + (entry->has_body ? entry->body.size : 0);
    (void)err;
    work->log->bytes -= size < work->log->bytes ? size : work->log->bytes;
    return ENT_DONE;
}

/* The row of our log when only its first entries are left. */
static ent_rc cut_row(ent_node *node, const ent_channel *channel, const ent_store_log *log, uint64_t size,
                      ent_store_log *ret, ent_err *err)
{
    ent_store_log kept = *log;
    recount work = {channel, &kept};
    ent_store_tiles tiles = {node->store, log->number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    if (size < log->tree.size) {
        ENT_TRY(ent_tree_at(size, &reader, &kept.tree, err));
        memset(kept.acked, 0, sizeof kept.acked);
        ENT_TRY(walk_entries(node, log->number, 0, size, count_acks, &work, err));
        ENT_TRY(walk_entries(node, log->number, size, log->tree.size, uncount_bytes, &work, err));
        kept.opened = kept.opened > size ? size : kept.opened;
    }
    *ret = kept;
    return ENT_DONE;
}

/* How many of our entries, from the pouch's first on, are the pouch's. */
static ent_rc count_equal(ent_node *node, const ent_store_log *log, const ent_pouch *pouch, uint64_t *ret, ent_err *err)
{
    ent_bundle_reader theirs = ent_bundle_read(pouch->entries);
    uint64_t at = pouch->old_size;
    bool same = true;
    while (same && at < log->tree.size && at < pouch->size) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        ENT_TRY(node->store->engine->entries_read(node->store, log->number, at, PAGE_ENTRIES, PAGE_BYTES, &bundle,
                                                  &count, err));
        ent_bundle_reader ours = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; same && i < count && at < pouch->size; i++) {
            ent_bytes left = {0};
            ent_bytes right = {0};
            bool more = false;
            ENT_TRY(ent_bundle_next(&ours, &left, &more, err));
            ENT_TRY(ent_bundle_next(&theirs, &right, &more, err));
            same = more && ent_bytes_equal(left, right);
            at += same;
        }
    }
    *ret = at;
    return ENT_DONE;
}

/* --- setting aside --- */

typedef struct {
    ent_node *node;
    int64_t log;
    const char *folder;
} aside;

static ent_rc write_aside(void *context, const ent_entry *entry, ent_bytes bytes, ent_err *err)
{
    const aside *work = context;
    char name[48];
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    (void)snprintf(name, sizeof name, "%llu.entry", (unsigned long long)entry->index);
    ENT_CLEANUP(ent_free_pointer) char *entry_path = ent_file_join(work->folder, name);
    (void)snprintf(name, sizeof name, "%llu.age", (unsigned long long)entry->index);
    ENT_CLEANUP(ent_free_pointer) char *body_path = ent_file_join(work->folder, name);
    if (entry_path == NULL || body_path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_file_write(entry_path, 0600, bytes, err));
    if (!entry->has_body)
        return ENT_DONE;
    ENT_TRY(work->node->store->engine->body_read(work->node->store, work->log, entry->index, &sealed, err));
    return ent_file_write(body_path, 0600, ent_buf_bytes(&sealed), err);
}

/* What was said and never signed is not lost: each entry and its sealed body become files. */
static ent_rc set_aside(const restoring *work, ent_recovered *ret, ent_err *err)
{
    const ent_channel *channel = work->channel;
    char time[ENT_TIME_TEXT_SIZE + 1];
    char name[128];
    uint64_t count = work->seen.tree.size - work->kept.tree.size;
    if (count == 0)
        return ENT_DONE;
    const char *above = work->node->paths.set_aside;
    ENT_TRY(ent_file_make_folder(above, 0700, err));
    if (ret->set_aside_folder[0] == 0) {
        ent_time_format(ent_clock_unix_s(), time);
        (void)snprintf(name, sizeof name, "%.12s-%s", channel->id_text, time);
        (void)snprintf(ret->set_aside_folder, sizeof ret->set_aside_folder, "%s/%s", above, name);
    }
    ENT_TRY(ent_file_make_folder(ret->set_aside_folder, 0700, err));
    ENT_TRY(ent_file_sync_folder(above, err));
    aside files = {work->node, work->seen.number, ret->set_aside_folder};
    ENT_TRY(walk_entries(work->node, work->seen.number, work->kept.tree.size, work->seen.tree.size, write_aside, &files,
                         err));
    ret->set_aside = count;
    return ENT_DONE;
}

/* --- one transaction --- */

static ent_rc add_attachment(restoring *work, const ent_entry *entry, uint32_t at, ent_err *err)
{
    const ent_channel *channel = work->channel;
    ent_store *store = work->node->store;
    bool is_here = ent_blob_exists(work->node->paths.blobs, &entry->attachments[at].digest);
    ent_store_blob blob = {
        .log = work->seen.number,
        .index = entry->index,
        .at = at,
        .digest = entry->attachments[at].digest,
        .size = entry->attachments[at].size,
        .state = is_here ? ENT_BLOB_HELD : ENT_BLOB_WANTED,
    };
    ENT_TRY(store->engine->blob_add(store, &blob, err));
    for (uint32_t m = 0; is_here && m < channel->genesis.member_count; m++) {
        ent_store_blob_send send = {
            .log = blob.log, .index = blob.index, .member = m, .digest = blob.digest, .size = blob.size};
        if (m != channel->self)
            ENT_TRY(store->engine->blob_send_add(store, &send, err));
    }
    return ENT_DONE;
}

static ent_rc append_back(restoring *work, ent_err *err)
{
    const ent_pouch_checked *checked = &work->checked;
    ent_channel_member *own = &work->channel->members[work->channel->self];
    own->next.opened = checked->tree.size;
    ENT_TRY(ent_receive_append(work->node, own, checked, err));
    for (size_t i = 0; i < checked->new_count; i++) {
        for (size_t a = 0; a < checked->entries[i].attachment_count; a++)
            ENT_TRY(add_attachment(work, &checked->entries[i], (uint32_t)a, err));
    }
    return ENT_DONE;
}

/* An invitation to a channel that we had been in. */
static ent_rc reopen(ent_node *node, ent_channel *channel, ent_err *err)
{
    if (channel->next_row.state != ENT_CHANNEL_INVITED)
        return ENT_DONE;
    channel->next_row.state = ENT_CHANNEL_OPENING;
    ENT_TRY(node->store->engine->invite_put(node->store, channel->row.number, (ent_bytes){NULL, 0}, err));
    return node->store->engine->channel_update(node->store, &channel->next_row, err);
}

/* "Marks follow": unless the keeper knows of more still. */
static ent_rc mark_again(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_err *err)
{
    ent_tree_head mark = {0};
    ent_text origin = ent_text_of(channel->members[channel->self].origin);
    ent_rc rc = ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, origin, &mark, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    return rc.code == ENT_OK && mark.size > head->size ? ENT_DONE : ent_sequencer_sign_known(node, channel, head, err);
}

static ent_rc apply_restore(ent_job *job, ent_node *node, ent_err *err)
{
    restoring *work = (restoring *)job;
    ent_channel *channel = work->channel;
    ent_channel_member *own = &channel->members[channel->self];
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    if (own->next.tree.size != work->seen.tree.size)
        return ent_fail(err, ENT_RETRY, NULL, "something was said meanwhile");
    ENT_TRY(ent_keys_may_store(channel, work->keys, err));
    if (work->kept.tree.size < own->next.tree.size) {
        ENT_TRY(node->store->engine->log_cut(node->store, &work->kept, err));
        own->next = work->kept;
    }
    ENT_TRY(append_back(work, err));
    ENT_TRY(ent_keys_store(node, channel, work->keys, err));
    ENT_TRY(
        node->store->engine->head_put(node->store, own->log.number, &work->checked.head, work->pouch->checkpoint, err));
    ENT_TRY(ent_receipts_store(node, channel, work->checked.receipts, work->checked.receipt_count, err));
    ENT_TRY(reopen(node, channel, err));
    ENT_TRY(ent_sequencer_check_open(node, channel, err));
    return mark_again(node, channel, &work->checked.head, err);
}

/* The note itself is our signature, whether or not the keeper made it again. */
static void settle_restore(ent_job *job, ent_node *node)
{
    const restoring *work = (const restoring *)job;
    ent_channel *channel = work->channel;
    ent_buf note = {0};
    ent_buf_put(&note, work->pouch->checkpoint);
    ent_ledgers_forget(channel);
    (void)pthread_mutex_lock(&channel->lock);
    if (note.failed == ENT_OK && channel->head.size < work->checked.head.size) {
        ent_buf_release(&channel->head_note);
        channel->head_note = note;
        note = (ent_buf){0};
        channel->head = work->checked.head;
    }
    if (channel->signed_size < work->checked.head.size)
        channel->signed_size = work->checked.head.size;
    (void)pthread_mutex_unlock(&channel->lock);
    ent_buf_release(&note);
    ent_receipts_told(node, channel, work->checked.receipts, work->checked.receipt_count);
}

/* --- the steps --- */

static ent_rc contradicts(const ent_channel *channel, const char *peer, const ent_err *why, ent_err *err)
{
    return ent_fail(
        err, ENT_REFUSED, "design 3, Fork",
        "%s holds a history of our log in channel %.8s that contradicts what was signed here: that is a fork, "
        "and nothing is taken back (%.200s). Open a successor channel",
        peer, channel->id_text, why->text[0] == 0 ? "two signed heads" : why->text);
}

static ent_rc check(restoring *work, const char *peer, ent_err *err)
{
    ent_channel *channel = work->channel;
    ent_holding held;
    ent_pouch_known known;
    uint64_t equal = 0;
    ent_channel_log(channel, channel->self, &work->seen);
    ENT_TRY(count_equal(work->node, &work->seen, work->pouch, &equal, err));
    ENT_TRY(cut_row(work->node, channel, &work->seen, equal, &work->kept, err));
    ent_holding_know(work->node, channel, channel->self, &held, &known);
    ent_keys_with(channel, work->keys, known.keys);
    known.tree = &work->kept.tree;
    memcpy(known.acked, work->kept.acked, sizeof known.acked);
    ent_err why = {0};
    ent_rc rc =
        ent_fail_in(&why, ent_pouch_check(work->pouch, &known, &work->checked, &why), "what %s gives back", peer);
    bool differs = rc.code == ENT_PEER_INCONSISTENT || (rc.code == ENT_OK && work->checked.verdict == ENT_POUCH_FORKED);
    if (differs)
        return contradicts(channel, peer, &why, err);
    if (rc.code != ENT_OK && err != NULL)
        *err = why;
    return rc;
}

static ent_rc take_back(ent_node *node, ent_channel *channel, const ent_pouch *pouch, const char *peer,
                        ent_recovered *ret, bool *ret_more, ent_err *err)
{
    ent_rc rc = ENT_DONE;
    for (int i = 0; i < RETRIES; i++) {
        ENT_CLEANUP(ent_keys_news_release) ent_keys_news keys = {.any = false};
        restoring work = {.job = {.apply = apply_restore, .settle = settle_restore},
                          .node = node,
                          .channel = channel,
                          .pouch = pouch,
                          .keys = &keys};
        ENT_TRY(ent_keys_of_pouch(node, channel, pouch, &keys, err));
        rc = check(&work, peer, err);
        *ret_more = rc.code == ENT_OK && work.checked.verdict == ENT_POUCH_NEW;
        if (*ret_more) {
            rc = set_aside(&work, ret, err);
            if (rc.code == ENT_OK)
                rc = ent_sequencer_run(node, &work.job, err);
        }
        ent_pouch_checked_release(&work.checked);
        if (rc.code != ENT_RETRY)
            break;
    }
    return rc;
}

ent_rc ent_recover_own(ent_node *node, ent_channel *channel, const ent_peer *peer, ent_recovered *ret, ent_err *err)
{
    const char *origin = channel->members[channel->self].origin;
    bool more = true;
    while (more) {
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
        uint64_t from = ent_channel_signed_size(channel);
        ent_rc rc = ent_recover_fetch(node, peer, origin, from, &bytes, err);
        if (rc.code == ENT_USAGE || rc.code == ENT_ABSENT || rc.code == ENT_REFUSED_NOT_OPEN)
            return ENT_DONE; /* it holds less than we do: nothing is to be had there */
        ENT_TRY(rc);
        ENT_TRY(
            ent_fail_in(err, ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err), "what %s gives back", peer->name));
        if (!ent_text_is(pouch.origin, origin) || pouch.old_size != from)
            return ent_fail(err, ENT_PEER_MISMATCH, "design 3, Rollback guard", "%s gives back something else",
                            peer->name);
        ENT_TRY(take_back(node, channel, &pouch, peer->name, ret, &more, err));
    }
    return ENT_DONE;
}
