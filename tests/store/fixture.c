#include "fixture.h"

#include "base/alloc.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

ent_hash fixture_digest(uint64_t number)
{
    ent_hash digest;
    ent_sha256(ent_bytes_of(&number, sizeof number), &digest);
    return digest;
}

char *fixture_make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    ent_buf path = {0};
    ent_buf_put_format(&path, "%s/entente-store-XXXXXX", parent == NULL ? "/tmp" : parent);
    char *folder = strdup(ent_buf_string(&path));
    ent_buf_release(&path);
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void fixture_remove_folder(char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

static struct {
    const char *prefix;
    int found;
} counting; /* nftw hands no context over */

static int count_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    if (type == FTW_F && strncmp(path + place->base, counting.prefix, strlen(counting.prefix)) == 0)
        counting.found++;
    return 0;
}

int fixture_count_files(const char *folder, const char *prefix)
{
    counting.prefix = prefix;
    counting.found = 0;
    (void)nftw(folder, count_one, 16, FTW_PHYS);
    return counting.found;
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

static void put_noise(uint64_t seed, size_t size, ent_buf *ret)
{
    uint8_t *out = ent_buf_reserve(ret, size);
    assert_non_null(out);
    for (size_t at = 0; at < size; at++) {
        if (at % 8 == 0)
            seed = mix(seed + 0x9e3779b97f4a7c15);
        out[at] = (uint8_t)(seed >> 8 * (at % 8));
    }
    ret->size += size;
}

void fixture_entry(int64_t log, uint64_t index, ent_buf *ret)
{
    uint64_t seed = mix((uint64_t)log << 40 | index);
    put_noise(seed, 40 + seed % 860, ret);
}

void fixture_body(int64_t log, uint64_t index, bool large, ent_buf *ret)
{
    uint64_t seed = mix(~((uint64_t)log << 40 | index));
    if (large && index % 50 == 7)
        put_noise(seed, 64 * 1024 + 1 + seed % 20000, ret);
    else if (index % 5 != 0)
        put_noise(seed, 1 + seed % 1500, ret);
}

void fixture_batch_make(ent_store_log *log, size_t count, bool large_bodies, fixture_batch *ret)
{
    *ret = (fixture_batch){
        .append = {.first = log->tree.size, .count = count, .arrived_unix_s = FIXTURE_NOW + (int64_t)log->tree.size}};
    size_t rows = count == 0 ? 1 : count;
    ret->entries = calloc(rows, sizeof *ret->entries);
    ret->bodies = calloc(rows, sizeof *ret->bodies);
    ret->entry_views = calloc(rows, sizeof *ret->entry_views);
    ret->body_views = calloc(rows, sizeof *ret->body_views);
    ret->leaves = calloc(rows, sizeof *ret->leaves);
    ret->digests = calloc(rows, sizeof *ret->digests);
    for (size_t at = 0; at < count; at++) {
        uint64_t index = ret->append.first + at;
        fixture_entry(log->number, index, &ret->entries[at]);
        fixture_body(log->number, index, large_bodies, &ret->bodies[at]);
        ret->entry_views[at] = ent_buf_bytes(&ret->entries[at]);
        ret->body_views[at] = ent_buf_bytes(&ret->bodies[at]);
        ent_leaf_hash(ret->entry_views[at], &ret->leaves[at]);
        ent_sha256(ret->body_views[at], &ret->digests[at]);
        assert_ok(ent_tree_append(&log->tree, &ret->leaves[at], NULL));
        log->bytes += ret->entry_views[at].size + ret->body_views[at].size;
    }
    log->acked[1] = log->tree.size / 2;
    ret->append.entries = ret->entry_views;
    ret->append.leaves = ret->leaves;
    ret->append.bodies = ret->body_views;
    ret->append.body_digests = ret->digests;
}

void fixture_batch_release(fixture_batch *batch)
{
    for (size_t at = 0; at < batch->append.count; at++) {
        ent_buf_release(&batch->entries[at]);
        ent_buf_release(&batch->bodies[at]);
    }
    free(batch->entries);
    free(batch->bodies);
    free(batch->entry_views);
    free(batch->body_views);
    free(batch->leaves);
    free(batch->digests);
}

ent_rc fixture_append(ent_store *store, ent_store_log *log, size_t count, bool large_bodies, ent_err *err)
{
    ent_store_log after = *log;
    fixture_batch batch;
    fixture_batch_make(&after, count, large_bodies, &batch);
    ent_rc rc = store->engine->append(store, &after, &batch.append, err);
    fixture_batch_release(&batch);
    if (rc.code == ENT_OK)
        *log = after;
    return rc;
}

ent_rc fixture_commit_append(ent_store *store, ent_store_log *log, size_t count, bool large_bodies, ent_err *err)
{
    ent_store_log after = *log;
    ENT_TRY(store->engine->begin(store, err));
    ent_rc rc = fixture_append(store, &after, count, large_bodies, err);
    if (rc.code == ENT_OK)
        rc = store->engine->commit(store, err);
    store->engine->rollback(store);
    if (rc.code == ENT_OK)
        *log = after;
    return rc;
}

void fixture_channel(ent_store *store, const char *alias, ent_store_channel *ret_channel, ent_store_log ret_logs[2])
{
    *ret_channel = (ent_store_channel){.state = ENT_CHANNEL_OPEN, .added_unix_s = FIXTURE_NOW};
    (void)snprintf(ret_channel->alias, sizeof ret_channel->alias, "%s", alias);
    ent_sha256(ent_text_bytes(ent_text_of(alias)), &ret_channel->id);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->channel_add(store, ret_channel, ent_text_bytes(ENT_TEXT("{genesis}")), NULL));
    for (uint32_t member = 0; member < 2; member++) {
        ret_logs[member] = (ent_store_log){.channel = ret_channel->number, .member = member, .own = member == 0};
        assert_ok(store->engine->log_add(store, &ret_logs[member], NULL));
    }
    assert_ok(store->engine->commit(store, NULL));
}

/* ---- a whole log ---- */

static const char *entry_fault(int64_t log, uint64_t index, ent_bytes entry)
{
    ent_buf expected = {0};
    fixture_entry(log, index, &expected);
    bool same = ent_bytes_equal(entry, ent_buf_bytes(&expected));
    ent_buf_release(&expected);
    return same ? NULL : "an entry is not the one that was appended";
}

static const char *body_fault(ent_store *store, int64_t log, uint64_t index, bool large)
{
    ent_buf expected = {0};
    ent_buf found = {0};
    fixture_body(log, index, large, &expected);
    ent_rc rc = store->engine->body_read(store, log, index, &found, NULL);
    bool right = expected.size == 0
                     ? rc.code == ENT_ABSENT
                     : rc.code == ENT_OK && ent_bytes_equal(ent_buf_bytes(&found), ent_buf_bytes(&expected));
    ent_buf_release(&expected);
    ent_buf_release(&found);
    return right ? NULL : "a body is missing or not the one that was appended";
}

static const char *rebuild(ent_store *store, const ent_store_log *log, bool large, ent_tree *tree)
{
    while (tree->size < log->tree.size) {
        ent_buf bundle = {0};
        uint64_t count = 0;
        if (store->engine->entries_read(store, log->number, tree->size, 300, 100000, &bundle, &count, NULL).code !=
            ENT_OK)
            return "an entry is missing";
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t at = 0; at < count; at++) {
            ent_bytes entry;
            bool more = false;
            ent_hash leaf;
            const char *fault = NULL;
            if (ent_bundle_next(&reader, &entry, &more, NULL).code != ENT_OK || !more)
                return "a bundle has fewer entries than it says";
            fault = entry_fault(log->number, tree->size, entry);
            if (fault == NULL)
                fault = body_fault(store, log->number, tree->size, large);
            if (fault != NULL)
                return fault;
            ent_leaf_hash(entry, &leaf);
            if (ent_tree_append(tree, &leaf, NULL).code != ENT_OK)
                return "the tree is full";
        }
        ent_buf_release(&bundle);
    }
    return NULL;
}

const char *fixture_log_fault(ent_store *store, int64_t channel, uint32_t member, bool large_bodies, uint64_t *ret_size)
{
    ent_store_log log;
    if (store->engine->log_get(store, channel, member, &log, NULL).code != ENT_OK)
        return "the log is missing";
    ent_tree tree = {0};
    const char *fault = rebuild(store, &log, large_bodies, &tree);
    if (fault != NULL)
        return fault;
    if (memcmp(tree.edge, log.tree.edge, ent_tree_edge_count(tree.size) * sizeof tree.edge[0]) != 0)
        return "the stored edge is not that of the entries";
    ent_store_tiles context = {store, log.number};
    ent_tile_reader tiles = ent_store_tile_reader(&context);
    ent_tree from_tiles;
    if (ent_tree_at(log.tree.size, &tiles, &from_tiles, NULL).code != ENT_OK)
        return "a tile is missing";
    if (memcmp(tree.edge, from_tiles.edge, ent_tree_edge_count(tree.size) * sizeof tree.edge[0]) != 0)
        return "the tiles are not those of the entries";
    ent_buf beyond = {0};
    uint64_t count = 0;
    int64_t arrived = 0;
    if (store->engine->entries_read(store, log.number, log.tree.size, 1, 1000, &beyond, &count, NULL).code !=
            ENT_ABSENT ||
        store->engine->body_read(store, log.number, log.tree.size, &beyond, NULL).code != ENT_ABSENT ||
        store->engine->entry_arrived(store, log.number, log.tree.size, &arrived, NULL).code != ENT_ABSENT)
        return "something lies beyond the log's size";
    *ret_size = log.tree.size;
    return NULL;
}
