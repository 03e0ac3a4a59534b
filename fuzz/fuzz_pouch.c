/* What is parsed and written again is the same bytes; and whatever parses can be checked. The channel is that of
 * tests/pouch/world.c, whose pouches are in the corpus: with their signatures the check goes all the way. */
#include "check.h"
#include "crypto/crypto.h"
#include "pouch/check.h"

#include <stdint.h>

enum { MEMBERS = 3 };

static void make_channel(ent_member members[MEMBERS], ent_genesis *genesis, ent_hash *channel)
{
    const ent_text names[MEMBERS] = {ENT_TEXT("aurora.example"), ENT_TEXT("boreal.example"),
                                     ENT_TEXT("cobalt.example")};
    ent_buf bytes = {0};
    for (size_t i = 0; i < MEMBERS; i++) {
        ent_secret_key secret;
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        members[i] = (ent_member){.name = names[i]};
        ent_ed25519_from_seed(seed, &members[i].log, &secret);
        seed[1] = 1;
        ent_ed25519_from_seed(seed, &members[i].receipt, &secret);
        seed[1] = 2;
        ent_ed25519_from_seed(seed, &members[i].root, &secret);
        members[i].age.bytes[0] = (uint8_t)(i + 1);
        members[i].tls.bytes[0] = (uint8_t)(i + 1);
    }
    *genesis = (ent_genesis){.rules = ENT_GENESIS_RULES, .members = members, .member_count = MEMBERS, .delta_s = 60};
    CHECK(ent_genesis_encode(genesis, &bytes, NULL).code == ENT_OK);
    ent_channel_id(ent_buf_bytes(&bytes), channel);
    ent_buf_release(&bytes);
}

static ent_rc no_root(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err)
{
    (void)context;
    (void)size;
    (void)ret_root;
    (void)err;
    CHECK(member < MEMBERS);
    *ret_known = false;
    return ENT_DONE;
}

static ent_rc no_head(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err)
{
    (void)context;
    (void)err;
    CHECK(member < MEMBERS && head->size > 0);
    *ret_held = false;
    return ENT_DONE;
}

static ent_rc no_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes, ent_err *err)
{
    (void)context;
    (void)level;
    (void)index;
    (void)width;
    (void)ret_hashes;
    (void)err;
    CHECK(false); /* nothing is held: nothing may be asked for */
    return ENT_DONE;
}

static void check_new(const ent_pouch *pouch, const ent_pouch_checked *checked)
{
    ent_hash root;
    ent_buf again = {0};
    ent_tree_root(&checked->tree, &root);
    CHECK(checked->tree.size == pouch->size && ent_hash_equal(&root, &checked->head.root));
    CHECK(checked->first_new == 0 && checked->new_count == pouch->size);
    for (size_t i = 0; i < checked->new_count; i++) {
        const ent_entry *entry = &checked->entries[i];
        ent_buf_clear(&again);
        CHECK(ent_entry_encode(entry, &again, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), checked->entry_bytes[i]));
        CHECK(entry->has_body == (checked->bodies[i].size > 0));
    }
    ent_buf_release(&again);
}

static void check_pouch(const ent_pouch *pouch)
{
    ent_member members[MEMBERS];
    ent_genesis genesis;
    ent_tree nothing = {0};
    ent_pouch_known known = {.tree = &nothing, .tiles = {no_tile, NULL}, .root_at = no_root, .head_held = no_head};
    make_channel(members, &genesis, &known.channel);
    known.genesis = &genesis;
    known.self = 1;
    ent_pouch_checked checked = {0};
    ent_err err = {0};
    if (ent_pouch_check(pouch, &known, &checked, &err).code != ENT_OK) {
        CHECK(checked.verdict == ENT_POUCH_NOT_CHECKED && err.text[0] != 0);
        return;
    }
    CHECK(checked.verdict == (pouch->size > 0 ? ENT_POUCH_NEW : ENT_POUCH_HELD));
    CHECK(checked.head_count == pouch->head_count && checked.receipt_count == pouch->receipt_count);
    if (checked.verdict == ENT_POUCH_NEW)
        check_new(pouch, &checked);
    ent_pouch_checked_release(&checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_pouch pouch = {0};
    ent_buf again = {0};
    if (ent_pouch_parse(ent_bytes_of(data, size), &pouch, NULL).code != ENT_OK)
        return 0;
    CHECK(ent_pouch_put(&again, &pouch, NULL).code == ENT_OK);
    CHECK(ent_bytes_equal(ent_buf_bytes(&again), ent_bytes_of(data, size)));
    CHECK(ent_pouch_size_bound(&pouch) >= size);
    check_pouch(&pouch);
    ent_buf_release(&again);
    ent_pouch_release(&pouch);
    return 0;
}
