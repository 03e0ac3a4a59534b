#include "bench.h"

#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/events.h"
#include "node/say.h"

#include <stdio.h>

bench_engine bench_faults;

static const ent_store_engine *real;
static ent_store_engine faulty;

static void must(ent_rc rc, const ent_err *err)
{
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", ent_code_word(rc.code), err->text);
}

static ent_rc append(ent_store *store, const ent_store_log *log, const ent_store_append *rows, ent_err *err)
{
    int code = atomic_load(&bench_faults.fail_append);
    if (code != ENT_OK)
        return ent_fail(err, code, NULL, "injected");
    atomic_fetch_add(&bench_faults.appends, 1);
    return real->append(store, log, rows, err);
}

static ent_rc commit(ent_store *store, ent_err *err)
{
    int code = atomic_load(&bench_faults.fail_commit);
    if (code != ENT_OK) {
        real->rollback(store);
        return ent_fail(err, code, NULL, "injected");
    }
    atomic_fetch_add(&bench_faults.commits, 1);
    return real->commit(store, err);
}

static ent_rc head_put(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err)
{
    atomic_fetch_add(&bench_faults.heads, 1);
    return real->head_put(store, log, head, note, err);
}

static void open_store(bench *b, bool in_folder)
{
    ent_err err = {0};
    char *folder = fixture_path(b->root, "store");
    must(ent_store_sqlite_open(in_folder ? folder : NULL, &b->node.store, &err), &err);
    ent_free(folder);
    real = b->node.store->engine;
    faulty = *real;
    faulty.append = append;
    faulty.commit = commit;
    faulty.head_put = head_put;
    b->node.store->engine = &faulty;
}

static void open_keeper(bench *b, bool is_new)
{
    ent_err err = {0};
    ent_keeper_publics publics;
    char *keys = fixture_path(b->root, "keys");
    char *marks = fixture_path(b->root, "marks");
    ent_bytes none = {NULL, 0};
    if (is_new)
        must(
            ent_keeper_create(keys, ENT_TEXT("aurora.example"), none, ent_text_bytes(ENT_TEXT("none")), &publics, &err),
            &err);
    must(ent_keeper_open(keys, marks, none, &b->node.keeper, &err), &err);
    ent_free(keys);
    ent_free(marks);
}

static void make_channel(bench *b)
{
    ent_err err = {0};
    ent_member members[2] = {{.name = ENT_TEXT("aurora.example")}, {.name = ENT_TEXT("boreal.example")}};
    ent_secret_key secret;
    ent_identity identity;
    ent_buf genesis = {0};
    const ent_keeper_publics *publics = ent_keeper_public_keys(b->node.keeper);
    for (size_t i = 0; i < 2; i++) {
        ent_ed25519_generate(&members[i].root, &secret);
        ent_ed25519_generate(&members[i].log, &secret);
        ent_ed25519_generate(&members[i].receipt, &secret);
        ent_x25519_generate(&members[i].age, &identity);
        ent_random(members[i].tls.bytes, sizeof members[i].tls.bytes);
    }
    members[0].log = publics->log;
    members[0].receipt = publics->receipt;
    members[0].age = publics->age;
    ent_genesis made = {.rules = ENT_GENESIS_RULES, .members = members, .member_count = 2, .delta_s = 300};
    must(ent_genesis_encode(&made, &genesis, &err), &err);
    must(ent_channel_new(&b->node, ent_buf_bytes(&genesis), &b->channel, &err), &err);
    must(real->begin(b->node.store, &err), &err);
    must(ent_channel_store(&b->node, b->channel, ENT_CHANNEL_OPEN, "north", &err), &err);
    must(real->commit(b->node.store, &err), &err);
    must(ent_channel_publish(&b->node, b->channel, &err), &err);
    ent_buf_release(&genesis);
}

void bench_make(bench *ret, bool in_folder, char *root)
{
    ent_err err = {0};
    *ret = (bench){.root = root == NULL ? fixture_folder_make() : root};
    must(ent_crypto_init(&err), &err);
    ret->node.config.name = ent_text_copy(ENT_TEXT("aurora.example"));
    (void)pthread_rwlock_init(&ret->node.channels_lock, NULL);
    (void)pthread_rwlock_init(&ret->node.peers_lock, NULL);
    open_store(ret, in_folder);
    open_keeper(ret, root == NULL);
    if (root == NULL)
        make_channel(ret);
    else
        must(ent_channels_load(&ret->node, &err), &err);
    ret->channel = ent_channel_at(&ret->node, 0);
    assert_non_null(ret->channel);
    memset(&bench_faults, 0, sizeof bench_faults);
    ret->node.before.was_clean = true; /* there is nobody to ask */
    must(ent_events_new(&ret->node.events, &err), &err);
    must(ent_sequencer_new(&ret->node, &ret->node.sequencer, &err), &err);
}

void bench_stop(bench *b)
{
    ent_sequencer_free(b->node.sequencer);
    ent_events_free(b->node.events);
    ent_channels_free(&b->node);
    ent_store_close(b->node.store);
    ent_keeper_free(b->node.keeper);
    ent_config_release(&b->node.config);
    (void)pthread_rwlock_destroy(&b->node.channels_lock);
    (void)pthread_rwlock_destroy(&b->node.peers_lock);
}

void bench_release(bench *b)
{
    bench_stop(b);
    fixture_folder_remove(b->root);
}

ent_rc bench_say(bench *b, uint64_t number, uint64_t *ret_index, ent_err *err)
{
    char body[24];
    int size = snprintf(body, sizeof body, "%llu", (unsigned long long)number);
    ent_saying saying = {.channel = b->channel, .kind = "contact.check", .sealed = ent_bytes_of(body, (size_t)size)};
    return ent_say(&b->node, &saying, ret_index, err);
}

uint64_t bench_number(bench *b, uint64_t index)
{
    ent_err err = {0};
    ent_buf body = {0};
    uint64_t number = 0;
    must(real->body_read(b->node.store, b->channel->members[b->channel->self].log.number, index, &body, &err), &err);
    for (size_t i = 0; i < body.size; i++)
        number = number * 10 + (uint64_t)(body.data[i] - '0');
    ent_buf_release(&body);
    return number;
}

uint64_t bench_size(bench *b)
{
    ent_store_log log;
    ent_channel_log(b->channel, b->channel->self, &log);
    return log.tree.size;
}

void bench_assert_whole(bench *b)
{
    ent_err err = {0};
    ent_store_log log;
    ent_tree_head mark;
    ent_hash root;
    ent_hash stored;
    ent_tree tree = {0};
    const ent_channel_member *own = &b->channel->members[b->channel->self];
    must(real->log_get(b->node.store, b->channel->row.number, b->channel->self, &log, &err), &err);
    for (uint64_t i = 0; i < log.tree.size; i++) {
        ent_arena arena = {0};
        ent_buf bytes = {0};
        ent_buf body = {0};
        ent_entry entry;
        ent_hash leaf;
        must(ent_channel_entry(&b->node, b->channel, b->channel->self, i, &arena, &bytes, &entry, &err), &err);
        assert_int_equal(entry.index, i);
        must(real->body_read(b->node.store, log.number, i, &body, &err), &err);
        ent_sha256(ent_buf_bytes(&body), &leaf);
        assert_true(ent_hash_equal(&leaf, &entry.body.digest));
        ent_leaf_hash(ent_buf_bytes(&bytes), &leaf);
        must(ent_tree_append(&tree, &leaf, &err), &err);
        ent_buf_release(&bytes);
        ent_buf_release(&body);
        ent_arena_release(&arena);
    }
    ent_tree_root(&tree, &root);
    ent_tree_root(&log.tree, &stored);
    assert_true(ent_hash_equal(&root, &stored));
    if (ent_keeper_mark(b->node.keeper, ENT_KEEPER_HEAD, ent_text_of(own->origin), &mark, NULL).code != ENT_OK)
        return;
    ent_store_tiles tiles = {b->node.store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    assert_true(mark.size <= log.tree.size);
    must(ent_tree_root_at(mark.size, &reader, &root, &err), &err);
    assert_true(ent_hash_equal(&root, &mark.root));
}
