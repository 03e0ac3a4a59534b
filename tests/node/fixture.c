#include "fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/invite.h"
#include "node/opener.h"
#include "node/pack.h"
#include "node/peer.h"
#include "node/say.h"
#include "node/sequencer.h"
#include "node/rotate.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"aurora.example", "boreal.example"};

static void must(ent_rc rc, const ent_err *err)
{
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", ent_code_word(rc.code), err->text);
}

/* --- folders --- */

char *fixture_path(const char *folder, const char *name)
{
    char *path = ent_file_join(folder, name);
    assert_non_null(path);
    return path;
}

char *fixture_folder_make(void)
{
    const char *parent = getenv("TMPDIR");
    char *path = fixture_path(parent == NULL ? "/tmp" : parent, "entente-node-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

/* Call visit for each name in a folder. */
static void each_in(const char *folder, void (*visit)(const char *path, bool is_folder, void *context), void *context)
{
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return;
    for (struct dirent *row = readdir(listing); row != NULL; row = readdir(listing)) {
        struct stat status;
        if (strcmp(row->d_name, ".") == 0 || strcmp(row->d_name, "..") == 0)
            continue;
        char *path = fixture_path(folder, row->d_name);
        if (lstat(path, &status) == 0)
            visit(path, S_ISDIR(status.st_mode), context);
        ent_free(path);
    }
    (void)closedir(listing);
}

static void remove_visited(const char *path, bool is_folder, void *context)
{
    (void)context;
    if (is_folder)
        fixture_folder_clear(path);
    else
        (void)unlink(path);
}

void fixture_folder_clear(const char *path)
{
    each_in(path, remove_visited, NULL);
    (void)rmdir(path);
}

void fixture_folder_remove(char *folder)
{
    fixture_folder_clear(folder);
    ent_free(folder);
}

static void copy_visited(const char *path, bool is_folder, void *context)
{
    ent_err err = {0};
    char *target = fixture_path(context, strrchr(path, '/') + 1);
    if (is_folder) {
        fixture_folder_copy(path, target);
    } else {
        ent_buf bytes = {0};
        must(ent_file_read(path, (size_t)1 << 30, &bytes, &err), &err);
        must(ent_file_write(target, 0600, ent_buf_bytes(&bytes), &err), &err);
        ent_buf_release(&bytes);
    }
    ent_free(target);
}

void fixture_folder_copy(const char *from, const char *to)
{
    char target[4096];
    fixture_folder_clear(to);
    assert_int_equal(mkdir(to, 0700), 0);
    (void)snprintf(target, sizeof target, "%s", to);
    each_in(from, copy_visited, target);
}

/* --- one party --- */

/* Below the ports that the system hands out, so that a node which starts again finds its own free. */
uint16_t fixture_port(void)
{
    static unsigned next;
    if (next == 0)
        next = 20000 + (unsigned)getpid() * 37 % 12000;
    for (int tries = 0; tries < 1000; tries++) {
        uint16_t port = (uint16_t)(20000 + next++ % 12000);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        int rc = bind(fd, (const struct sockaddr *)&address, sizeof address);
        (void)close(fd);
        if (rc == 0)
            return port;
    }
    fail_msg("no free port");
    return 0;
}

static void make_keys(const ent_paths *paths, ent_card *card)
{
    ent_err err = {0};
    ent_buf key = {0};
    ent_buf certificate = {0};
    ent_bytes none = {NULL, 0};
    ent_keeper_publics publics;
    must(ent_tls_generate(card->name, &key, &certificate, &err), &err);
    must(ent_tls_pin(ent_buf_bytes(&certificate), &card->tls, &err), &err);
    must(ent_root_create(paths->root, card->name, none, &card->root, &card->next_root, &err), &err);
    must(ent_keeper_create(paths->keys, card->name, none, ent_buf_bytes(&key), &publics, &err), &err);
    must(ent_file_create(paths->certificate, 0644, ent_buf_bytes(&certificate), &err), &err);
    card->log = publics.log;
    card->receipt = publics.receipt;
    card->age = publics.age;
    ent_buf_wipe(&key);
    ent_buf_release(&certificate);
}

void fixture_party_make(const char *folder, const char *name, uint16_t port)
{
    ent_err err = {0};
    ent_paths paths;
    ent_buf note = {0};
    char issued[ENT_TIME_TEXT_SIZE + 1];
    char listen[32];
    char url[64];
    char own_name[ENT_NAME_MAX_BYTES + 1];
    must(ent_crypto_init(&err), &err);
    must(ent_file_make_folder(folder, 0700, &err), &err);
    must(ent_paths_make(folder, &paths, &err), &err);
    ent_time_format(ent_clock_unix_s(), issued);
    (void)snprintf(own_name, sizeof own_name, "%s", name);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)port);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u", (unsigned)port);
    ent_card card = {.name = ent_text_of(name), .serial = 1, .issued = ent_text_of(issued)};
    card.url = port == 0 ? ENT_TEXT("") : ent_text_of(url);
    make_keys(&paths, &card);
    must(ent_root_sign_card(paths.root, (ent_bytes){NULL, 0}, &card, &note, &err), &err);
    must(ent_file_create(paths.card, 0644, ent_buf_bytes(&note), &err), &err);
    ent_config config = {.name = own_name, .air_gapped = port == 0};
    config.listen = port == 0 ? NULL : listen;
    config.url = port == 0 ? NULL : url;
    must(ent_config_write(paths.config, &config, &err), &err);
    char boot_id[ENT_BOOT_ID_MAX_BYTES + 1];
    ent_boot_id_read(boot_id);
    must(ent_clean_stop_write(paths.marks, boot_id, &err), &err);
    ent_buf_release(&note);
    ent_paths_release(&paths);
}

ent_rc fixture_node_start(const char *folder, ent_node **ret, ent_err *err)
{
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ent_clean_stop before = {.was_clean = false};
    ent_keeper *keeper = NULL;
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_clean_stop_take(paths.marks, &before, err));
    ENT_TRY(ent_keeper_open(paths.keys, paths.marks, (ent_bytes){NULL, 0}, &keeper, err));
    ent_node_options options = {.folder = folder, .keeper = keeper, .before = before};
    return ent_node_start(&options, ret, err);
}

ent_node *fixture_start(const char *folder)
{
    ent_err err = {0};
    ent_node *node = NULL;
    must(fixture_node_start(folder, &node, &err), &err);
    return node;
}

void fixture_introduce(ent_node *a, ent_node *b)
{
    ent_err err = {0};
    ent_peer peer;
    must(ent_peer_add(a, ent_buf_bytes(&ent_node_card(b)->bytes), NULL, &peer, &err), &err);
    must(ent_peer_add(b, ent_buf_bytes(&ent_node_card(a)->bytes), NULL, &peer, &err), &err);
}

/* --- saying --- */

fixture_mark fixture_mark_of(uint32_t writer, uint32_t thread, uint64_t number)
{
    fixture_mark mark;
    memcpy(mark.bytes, &writer, sizeof writer);
    memcpy(mark.bytes + 4, &thread, sizeof thread);
    memcpy(mark.bytes + 8, &number, sizeof number);
    return mark;
}

static ent_rc say(ent_node *node, ent_channel *channel, ent_bytes body, uint64_t *ret_index, ent_err *err)
{
    ent_saying saying = {.channel = channel, .kind = "contact.check"};
    ENT_TRY(ent_say_body(node, &saying, body, ret_index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

ent_rc fixture_say(ent_node *node, ent_channel *channel, fixture_mark mark, uint64_t *ret_index, ent_err *err)
{
    char hex[33];
    char body[128];
    ent_hex_encode(ent_bytes_of(mark.bytes, sizeof mark.bytes), hex);
    int size =
        snprintf(body, sizeof body, "{\"fields\":{\"nonce\":\"%s\",\"reply_by\":\"2030-01-01T00:00:00Z\"}}", hex);
    return say(node, channel, ent_bytes_of(body, (size_t)size), ret_index, err);
}

ent_rc fixture_say_long(ent_node *node, ent_channel *channel, fixture_mark mark, size_t bytes, uint64_t *ret_index,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    char hex[33];
    ent_hex_encode(ent_bytes_of(mark.bytes, sizeof mark.bytes), hex);
    ent_buf_put_format(&body, "{\"fields\":{\"nonce\":\"%s\",\"reply_by\":\"2030-01-01T00:00:00Z\"},\"rest\":\"", hex);
    uint8_t *rest = ent_buf_reserve(&body, bytes);
    ENT_TRY(ent_buf_check(&body, err));
    memset(rest, 'x', bytes);
    body.size += bytes;
    ent_buf_put_string(&body, "\"}");
    ENT_TRY(ent_buf_check(&body, err));
    return say(node, channel, ent_buf_bytes(&body), ret_index, err);
}

ent_rc fixture_say_nonsense(ent_node *node, ent_channel *channel, uint64_t *ret_index, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_bytes body = ent_text_bytes(ENT_TEXT("{\"fields\":{\"nonce\":7}}"));
    ENT_TRY(ent_seal_for_channel(channel, body, &sealed, err));
    ent_saying saying = {.channel = channel, .kind = "contact.check", .sealed = ent_buf_bytes(&sealed)};
    ENT_TRY(ent_say(node, &saying, ret_index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

bool fixture_mark_read(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, fixture_mark *ret)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_err err = {0};
    if (ent_open_body(node, channel, member, index, &plain, NULL, &err).code != ENT_OK ||
        ent_json_parse(ent_buf_bytes(&plain), &json, &err).code != ENT_OK)
        return false;
    ent_text nonce = ent_json_string(ent_json_get(ent_json_get(ent_json_root(json), "fields"), "nonce"));
    return ent_hex_decode(nonce, ret->bytes, sizeof ret->bytes, &err).code == ENT_OK;
}

int fixture_api_bytes(const char *folder, const char *method, const char *path, ent_bytes body, ent_buf *ret)
{
    ent_err err = {0};
    ent_http_reply reply = {0};
    char *socket_path = fixture_path(folder, "socket");
    char url[512];
    (void)snprintf(url, sizeof url, "http://node/api/v1/%s", path);
    ent_http_call call = {.method = method, .url = url, .unix_socket = socket_path, .timeout_ms = 60000, .body = body};
    call.response_limit = 256 << 20;
    must(ent_http_call_wait(&call, &reply, &err), &err);
    if (ret != NULL)
        ent_buf_put(ret, ent_buf_bytes(&reply.body));
    int status = reply.status;
    ent_http_reply_release(&reply);
    ent_free(socket_path);
    return status;
}

int fixture_api(const char *folder, const char *method, const char *path, const char *body, ent_json **ret_json)
{
    ent_err err = {0};
    ent_buf answer = {0};
    int status = fixture_api_bytes(folder, method, path, ent_text_bytes(ent_text_of(body)), &answer);
    if (ret_json != NULL)
        must(ent_json_parse(ent_buf_bytes(&answer), ret_json, &err), &err);
    ent_buf_release(&answer);
    return status;
}

/* --- two parties --- */

void fixture_pair_prepare(fixture_pair *ret, bool air_gapped)
{
    *ret = (fixture_pair){.root = fixture_folder_make()};
    for (unsigned i = 0; i < 2; i++) {
        ret->folders[i] = fixture_path(ret->root, names[i]);
        ret->ports[i] = air_gapped ? 0 : fixture_port();
        fixture_party_make(ret->folders[i], names[i], ret->ports[i]);
    }
}

void fixture_pair_make(fixture_pair *ret)
{
    fixture_pair_prepare(ret, false);
    fixture_pair_start(ret, AURORA);
    fixture_pair_start(ret, BOREAL);
    fixture_introduce(ret->nodes[AURORA], ret->nodes[BOREAL]);
}

void fixture_pair_make_apart(fixture_pair *ret)
{
    fixture_pair_prepare(ret, true);
    fixture_pair_start(ret, AURORA);
    fixture_pair_start(ret, BOREAL);
}

void fixture_pair_release(fixture_pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        fixture_pair_stop(pair, i);
        ent_free(pair->folders[i]);
    }
    fixture_folder_remove(pair->root);
}

void fixture_pair_start(fixture_pair *pair, unsigned who)
{
    pair->nodes[who] = fixture_start(pair->folders[who]);
}

void fixture_pair_stop(fixture_pair *pair, unsigned who)
{
    ent_node_stop(pair->nodes[who]);
    pair->nodes[who] = NULL;
}

void fixture_pair_crash(fixture_pair *pair, unsigned who)
{
    fixture_pair_stop(pair, who);
    char *marks = fixture_path(pair->folders[who], "marks");
    char *clean = fixture_path(marks, "clean");
    assert_int_equal(unlink(clean), 0);
    ent_free(clean);
    ent_free(marks);
}

typedef struct {
    ent_job job;
    ent_store_delivery delivery;
} delivery_job;

static ent_rc apply_delivery(ent_job *job, ent_node *node, ent_err *err)
{
    return node->store->engine->delivery_put(node->store, &((delivery_job *)job)->delivery, err);
}

void fixture_pack_all(ent_node *node, ent_channel *channel, uint32_t member, ent_buf *ret)
{
    ent_err err = {0};
    ent_packed packed = {.size = 0};
    delivery_job nothing = {.job = {.apply = apply_delivery}};
    nothing.delivery.log = channel->members[channel->self].log.number;
    nothing.delivery.member = member;
    must(ent_sequencer_run(node, &nothing.job, &err), &err);
    must(ent_pack(node, channel, channel->self, member, &packed, &err), &err);
    ent_buf_put(ret, ent_buf_bytes(&packed.bytes));
    ent_packed_release(&packed);
}

ent_channel *fixture_channel(const fixture_pair *pair, unsigned who)
{
    ent_channel *channel = ent_channel_find(pair->nodes[who], &pair->channel);
    assert_non_null(channel);
    return channel;
}

static bool is_invited(void *context)
{
    const fixture_pair *pair = context;
    const ent_channel *found = ent_channel_find(pair->nodes[BOREAL], &pair->channel);
    return found != NULL;
}

static bool is_open(void *context)
{
    const fixture_pair *pair = context;
    return ent_channel_state_now(fixture_channel(pair, AURORA)) == ENT_CHANNEL_OPEN &&
           ent_channel_state_now(fixture_channel(pair, BOREAL)) == ENT_CHANNEL_OPEN;
}

void fixture_pair_open(fixture_pair *pair)
{
    fixture_pair_open_within(pair, (ent_quotas){0});
}

void fixture_pair_open_within(fixture_pair *pair, ent_quotas quotas)
{
    ent_err err = {0};
    ent_text with[] = {ent_text_of(names[BOREAL])};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    ent_channel *channel = NULL;
    opening.quotas = quotas;
    opening.alias = ENT_TEXT("north");
    must(ent_channel_open(pair->nodes[AURORA], &opening, &channel, &err), &err);
    pair->channel = channel->id;
    assert_true(fixture_wait(is_invited, pair, 20));
    must(ent_channel_accept(pair->nodes[BOREAL], fixture_channel(pair, BOREAL), ENT_TEXT("south"), &err), &err);
    assert_true(fixture_wait(is_open, pair, 20));
}

/* Whether one side's own log is held, receipted and opened by the other. */
static bool side_settled(const fixture_pair *pair, unsigned who)
{
    ent_channel *mine = fixture_channel(pair, who);
    ent_channel *theirs = fixture_channel(pair, 1 - who);
    const ent_store_engine *engine = pair->nodes[who]->store->engine;
    ent_store_log own;
    ent_store_log copy;
    ent_store_receipt receipt;
    ent_store_delivery delivery;
    ent_err err = {0};
    ent_channel_log(mine, mine->self, &own);
    ent_channel_log(theirs, mine->self, &copy);
    if (copy.tree.size != own.tree.size || copy.opened != copy.tree.size)
        return false;
    if (engine->receipt_covering(pair->nodes[who]->store, own.number, theirs->self, own.tree.size, &receipt, &err)
            .code != ENT_OK)
        return false;
    must(engine->delivery_get(pair->nodes[who]->store, own.number, theirs->self, &delivery, &err), &err);
    return delivery.confirmed == own.tree.size;
}

bool fixture_pair_settled(const fixture_pair *pair)
{
    return side_settled(pair, AURORA) && side_settled(pair, BOREAL);
}

static bool settled(void *context)
{
    return fixture_pair_settled(context);
}

void fixture_pair_settle(fixture_pair *pair, unsigned seconds)
{
    if (!fixture_wait(settled, pair, seconds))
        fail_msg("not everything was delivered, receipted and opened within %u s", seconds);
}

void fixture_read_log(ent_store *store, const ent_store_log *log, ent_buf *ret)
{
    ent_err err = {0};
    for (uint64_t at = 0; at < log->tree.size;) {
        uint64_t count = 0;
        must(store->engine->entries_read(store, log->number, at, log->tree.size - at, 1 << 20, ret, &count, &err),
             &err);
        assert_true(count > 0);
        at += count;
    }
}

static ent_rc no_fork(void *context, const ent_store_fork *fork, ent_err *err)
{
    (void)context, (void)fork, (void)err;
    fail_msg("a fork was seen");
    return ENT_DONE;
}

void fixture_pair_assert_same(const fixture_pair *pair)
{
    ent_err err = {0};
    for (uint32_t member = 0; member < 2; member++) {
        ent_buf bundles[2] = {{0}};
        ent_hash roots[2];
        for (unsigned who = 0; who < 2; who++) {
            ent_store *store = pair->nodes[who]->store;
            ent_store_log log;
            ent_channel_log(fixture_channel(pair, who), member, &log);
            assert_false(log.frozen);
            fixture_read_log(store, &log, &bundles[who]);
            ent_tree_root(&log.tree, &roots[who]);
            must(store->engine->fork_walk(store, log.number, no_fork, NULL, &err), &err);
        }
        assert_true(ent_bytes_equal(ent_buf_bytes(&bundles[0]), ent_buf_bytes(&bundles[1])));
        assert_true(ent_hash_equal(&roots[0], &roots[1]));
        ent_buf_release(&bundles[0]);
        ent_buf_release(&bundles[1]);
    }
}

bool fixture_wait(bool (*condition)(void *context), void *context, unsigned seconds)
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    int64_t deadline_ms = ent_clock_monotonic_ms() + (int64_t)seconds * 1000;
    while (!condition(context)) {
        if (ent_clock_monotonic_ms() > deadline_ms)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}
