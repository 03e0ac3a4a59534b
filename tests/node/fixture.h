/* Whole nodes in folders of their own, as `entente init` makes them, and two that talk over loopback TLS. */
#ifndef ENT_TESTS_NODE_FIXTURE_H
#define ENT_TESTS_NODE_FIXTURE_H

#include "node/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

/* --- folders --- */

/** A folder of its own under TMPDIR; fixture_folder_remove removes it and frees the name. */
char *fixture_folder_make(void);
void fixture_folder_remove(char *folder);
/** Replace a folder with a copy of another, files and folders in it. */
void fixture_folder_copy(const char *from, const char *to);
/** Remove a folder with what is in it. */
void fixture_folder_clear(const char *path);
/** "folder/name", freed with ent_free. */
char *fixture_path(const char *folder, const char *name);

/* --- one party --- */

/** A port on which nothing listens. */
uint16_t fixture_port(void);
/** Make a party's folder: keys, certificate, card, node.json. Port 0 = air-gapped. */
void fixture_party_make(const char *folder, const char *name, uint16_t port);
/** Start its node, with its keeper in this process. */
ENT_RC fixture_node_start(const char *folder, ent_node **ret, ent_err *err);
/** The same; the test fails when it does not start. */
ent_node *fixture_start(const char *folder);
/** Take in each other's cards. */
void fixture_introduce(ent_node *a, ent_node *b);

/* --- saying --- */

/** What tells one message from another: 16 bytes that stand in its body. */
typedef struct {
    uint8_t bytes[16];
} fixture_mark;
fixture_mark fixture_mark_of(uint32_t writer, uint32_t thread, uint64_t number);

/** Say a contact.check with this mark. */
ENT_RC fixture_say(ent_node *node, ent_channel *channel, fixture_mark mark, uint64_t *ret_index, ent_err *err);
/** Say one of about this many bytes, 8 MiB at most once sealed. */
ENT_RC fixture_say_long(ent_node *node, ent_channel *channel, fixture_mark mark, size_t bytes, uint64_t *ret_index,
                        ent_err *err);
/** Say something whose body no one can read: it will be contested. */
ENT_RC fixture_say_nonsense(ent_node *node, ent_channel *channel, uint64_t *ret_index, ent_err *err);
/** Open a stored message and give its mark; false when it has none. */
bool fixture_mark_read(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, fixture_mark *ret);

/** Ask the node's API on its socket; appends the answer to ret (nullable). Gives the status. */
int fixture_api_bytes(const char *folder, const char *method, const char *path, ent_bytes body, ent_buf *ret);
/** The same in JSON; body is nullable, and so is ret_json. */
int fixture_api(const char *folder, const char *method, const char *path, const char *body, ent_json **ret_json);

/* --- two parties --- */

enum { AURORA, BOREAL };

typedef struct {
    char *root;
    char *folders[2];
    uint16_t ports[2];
    ent_node *nodes[2];
    ent_hash channel;
} fixture_pair;

/** The folders of two parties; nothing is started. */
void fixture_pair_prepare(fixture_pair *ret, bool air_gapped);
/** Two parties that know each other, started. */
void fixture_pair_make(fixture_pair *ret);
/** Two parties without a network, started, that do not know each other. */
void fixture_pair_make_apart(fixture_pair *ret);
/** Stop both and remove everything. */
void fixture_pair_release(fixture_pair *pair);
void fixture_pair_start(fixture_pair *pair, unsigned who);
void fixture_pair_stop(fixture_pair *pair, unsigned who);
/** Stop one so that the next start takes it for a crash. */
void fixture_pair_crash(fixture_pair *pair, unsigned who);
/** A pouch of our whole log with the genesis, as a member that holds nothing gets it. */
void fixture_pack_all(ent_node *node, ent_channel *channel, uint32_t member, ent_buf *ret);
/** Aurora opens a channel, Boreal accepts; returns when it is open on both sides. */
void fixture_pair_open(fixture_pair *pair);
/** The same under quotas. */
void fixture_pair_open_within(fixture_pair *pair, ent_quotas quotas);
ent_channel *fixture_channel(const fixture_pair *pair, unsigned who);
/** Wait until both hold both logs whole, receipted and opened; fails after seconds. */
void fixture_pair_settle(fixture_pair *pair, unsigned seconds);
/** Whether they do. */
bool fixture_pair_settled(const fixture_pair *pair);
/** Both sides hold the same entries of both logs, byte for byte, and no fork was seen. */
void fixture_pair_assert_same(const fixture_pair *pair);

/** Poll every 5 ms until true; false when seconds have passed. */
bool fixture_wait(bool (*condition)(void *context), void *context, unsigned seconds);
/** All entries of a log, as one bundle. */
void fixture_read_log(ent_store *store, const ent_store_log *log, ent_buf *ret);

#endif
