/* Appends to the store beside raw SQLite inserts of the same bytes, in turn, on the same disk (design.md section 11).
 *
 * usage: bench_store_append [FOLDER]
 * Raw is one table with an INTEGER PRIMARY KEY and one blob of entry and body, WAL, synchronous=FULL, everything else
 * at SQLite's defaults: no tree, no tiles, no checks. Each pair of rows is the best of several rounds. */
#include "base/alloc.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "store/sqlite/fault.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ENTRY_BYTES = 650, ROUNDS = 5, LOGS = 4 };

static uint8_t noise[1 << 20];

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void need(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "bench_store_append: %s failed\n", what);
        exit(1);
    }
}

static void need_ok(ent_rc rc, const ent_err *err)
{
    need(rc.code == ENT_OK, err->text);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static char *make_folder(const char *parent)
{
    char *folder = NULL;
    need(asprintf(&folder, "%s/bench-store-XXXXXX", parent) > 0 && mkdtemp(folder) != NULL, "a temporary folder");
    return folder;
}

static void remove_folder(char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

static ent_bytes bytes_of(size_t number, size_t size)
{
    return ent_bytes_of(noise + number * 7919 % (sizeof noise - size), size);
}

/* ---- raw ---- */

static double raw_rate(const char *parent, size_t body, size_t group, size_t total)
{
    char *folder = make_folder(parent);
    char *path = ent_file_join(folder, "raw.db");
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    need(sqlite3_open(path, &db) == SQLITE_OK, "open");
    need(sqlite3_exec(db,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                      "CREATE TABLE raw (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
                      NULL, NULL, NULL) == SQLITE_OK,
         "create");
    need(sqlite3_prepare_v2(db, "INSERT INTO raw (id, bytes) VALUES (?1, ?2)", -1, &insert, NULL) == SQLITE_OK,
         "prepare");
    double start = now_s();
    for (size_t done = 0; done < total;) {
        need(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK, "begin");
        for (size_t at = 0; at < group; at++, done++) {
            ent_bytes row = bytes_of(done, ENTRY_BYTES + body);
            (void)sqlite3_bind_int64(insert, 1, (sqlite3_int64)done);
            (void)sqlite3_bind_blob64(insert, 2, row.data, row.size, SQLITE_STATIC);
            need(sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK, "insert");
        }
        need(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "commit");
    }
    double seconds = now_s() - start;
    (void)sqlite3_finalize(insert);
    (void)sqlite3_close(db);
    ent_free(path);
    remove_folder(folder);
    return (double)total / seconds;
}

/* ---- the store ---- */

typedef struct {
    ent_bytes *entries;
    ent_bytes *bodies;
    ent_hash *leaves;
    ent_hash *digests;
} batch;

static void add_logs(ent_store *store, ent_store_log logs[LOGS], ent_err *err)
{
    ent_store_channel channel = {.state = ENT_CHANNEL_OPEN};
    need_ok(store->engine->begin(store, err), err);
    need_ok(store->engine->channel_add(store, &channel, ent_bytes_of("{}", 2), err), err);
    for (uint32_t member = 0; member < LOGS; member++) {
        logs[member] = (ent_store_log){.channel = channel.number, .member = member, .own = member == 0};
        need_ok(store->engine->log_add(store, &logs[member], err), err);
    }
    need_ok(store->engine->commit(store, err), err);
}

/* What the pouch's check hands over: leaves are hashed and the tree is grown there, so neither is counted here. */
static double append_one(ent_store *store, ent_store_log *log, const batch *rows, size_t group, size_t body,
                         ent_err *err)
{
    ent_store_append append = {.first = log->tree.size,
                               .count = group,
                               .entries = rows->entries,
                               .leaves = rows->leaves,
                               .bodies = rows->bodies,
                               .body_digests = rows->digests};
    for (size_t at = 0; at < group; at++) {
        rows->entries[at] = bytes_of(append.first + at, ENTRY_BYTES);
        rows->bodies[at] = bytes_of(append.first + at, body);
        ent_leaf_hash(rows->entries[at], &rows->leaves[at]);
        need_ok(ent_tree_append(&log->tree, &rows->leaves[at], err), err);
        log->bytes += ENTRY_BYTES + body;
    }
    double start = now_s();
    need_ok(store->engine->begin(store, err), err);
    need_ok(store->engine->append(store, log, &append, err), err);
    need_ok(store->engine->commit(store, err), err);
    return now_s() - start;
}

static double store_rate(const char *parent, size_t body, size_t group, size_t total)
{
    char *folder = make_folder(parent);
    ent_store *store = NULL;
    ent_err err = {0};
    ent_store_log logs[LOGS];
    batch rows = {calloc(group, sizeof *rows.entries), calloc(group, sizeof *rows.bodies),
                  calloc(group, sizeof *rows.leaves), calloc(group, sizeof *rows.digests)};
    need(rows.entries != NULL && rows.bodies != NULL && rows.leaves != NULL && rows.digests != NULL, "memory");
    need_ok(ent_store_sqlite_open(folder, &store, &err), &err);
    add_logs(store, logs, &err);
    double seconds = 0;
    for (size_t done = 0; done < total; done += group)
        seconds += append_one(store, &logs[done / group % LOGS], &rows, group, body, &err);
    ent_store_close(store);
    free(rows.entries);
    free(rows.bodies);
    free(rows.leaves);
    free(rows.digests);
    remove_folder(folder);
    return (double)total / seconds;
}

int main(int argc, char **argv)
{
    static const struct {
        size_t body;
        size_t group;
        size_t total;
    } cases[] = {{0, 1, 4000},       {1200, 1, 4000},   {0, 100, 100000},
                 {1200, 100, 60000}, {0, 2000, 200000}, {1200, 2000, 100000}};
    const char *parent = argc > 1 ? argv[1] : "/var/tmp";
    ent_random(noise, sizeof noise);
    (void)printf("%6s %6s %12s %12s %7s\n", "body", "group", "raw /s", "store /s", "ratio");
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        double raw = 0;
        double store = 0;
        for (int round = 0; round < ROUNDS; round++) {
            double one = raw_rate(parent, cases[at].body, cases[at].group, cases[at].total);
            double other = store_rate(parent, cases[at].body, cases[at].group, cases[at].total);
            raw = one > raw ? one : raw;
            store = other > store ? other : store;
        }
        (void)printf("%6zu %6zu %12.0f %12.0f %6.0f%%\n", cases[at].body, cases[at].group, raw, store,
                     100 * store / raw);
        (void)fflush(stdout);
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        (void)printf("peak resident: %ld KiB\n", usage.ru_maxrss);
    return 0;
}
