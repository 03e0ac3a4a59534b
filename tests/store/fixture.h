/* What the store's tests share: entries made from their log and index, batches of them, and a check of a whole log. */
#ifndef ENT_TESTS_STORE_FIXTURE_H
#define ENT_TESTS_STORE_FIXTURE_H

#include "crypto/crypto.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        ent_rc assert_rc_ = (call);                                                                                    \
        assert_string_equal(ent_code_word(assert_rc_.code), "ok");                                                     \
    } while (0)
#define assert_fails(call, expected)                                                                                   \
    do {                                                                                                               \
        ent_rc assert_rc_ = (call);                                                                                    \
        assert_string_equal(ent_code_word(assert_rc_.code), ent_code_word(expected));                                  \
    } while (0)

enum { FIXTURE_NOW = 1700000000 };

/** A digest made from a number. */
ent_hash fixture_digest(uint64_t number);

/** A folder of its own under TMPDIR; remove with fixture_remove_folder. */
char *fixture_make_folder(void);
void fixture_remove_folder(char *folder);
/** Files below a folder whose names start so; 0 when there is no folder. */
int fixture_count_files(const char *folder, const char *prefix);

/** Entry `index` of a log in its channel: the same bytes each time, 40 to 900 of them. */
void fixture_entry(int64_t log, uint64_t index, ent_buf *ret);
/** Its sealed body: none, small, or (each 50th) larger than what stays a row when large is set. */
void fixture_body(int64_t log, uint64_t index, bool large, ent_buf *ret);

/** A batch of count entries that follow log->tree; the tree, bytes and acked of the log are those after it. */
typedef struct {
    ent_store_append append;
    ent_buf *entries;
    ent_buf *bodies;
    ent_bytes *entry_views;
    ent_bytes *body_views;
    ent_hash *leaves;
    ent_hash *digests;
} fixture_batch;
void fixture_batch_make(ent_store_log *log, size_t count, bool large_bodies, fixture_batch *ret);
void fixture_batch_release(fixture_batch *batch);

/** Append count entries in the transaction of this thread. On failure the log is as before. */
ENT_RC fixture_append(ent_store *store, ent_store_log *log, size_t count, bool large_bodies, ent_err *err);
/** The same in a transaction of its own; rolls back on failure. */
ENT_RC fixture_commit_append(ent_store *store, ent_store_log *log, size_t count, bool large_bodies, ent_err *err);

/** A channel with this alias and logs of members 0 (own) and 1, committed. */
void fixture_channel(ent_store *store, const char *alias, ent_store_channel *ret_channel, ent_store_log ret_logs[2]);

/** Whether the log as stored is whole: the entries are those of the fixture, the tree made of them has the stored edge
 * and every tile, the bodies are there, and nothing lies beyond its size. NULL, or what is wrong. */
const char *fixture_log_fault(ent_store *store, int64_t channel, uint32_t member, bool large_bodies,
                              uint64_t *ret_size);

#endif
