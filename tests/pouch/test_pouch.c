#include "pouch/pouch.h"
#include "pouch/ustar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CHANNEL "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ORIGIN "aurora.example/entente/" CHANNEL
#define BYTES(literal) ent_text_bytes(ENT_TEXT(literal))

/* Parts of every sort, and the arrays they stand in, for tests to change. */
typedef struct {
    ent_pouch pouch;
    ent_pouch_item cards[2];
    ent_pouch_item cutoffs[1];
    ent_pouch_item heads[2];
    ent_pouch_item forks[1];
    ent_pouch_item receipts[3];
    ent_pouch_body bodies[2];
} parts;

static void make_parts(parts *p)
{
    *p = (parts){
        .cards = {{ENT_TEXT("aurora.example"), BYTES("card a")}, {ENT_TEXT("boreal.example"), BYTES("card b")}},
        .cutoffs = {{ENT_TEXT("aurora.example"), BYTES("cutoff")}},
        .heads = {{ENT_TEXT("boreal.example"), BYTES("head b")}, {ENT_TEXT("cobalt.example"), BYTES("head c")}},
        .forks = {{ENT_TEXT("cobalt.example"), BYTES("proof")}},
        .receipts = {{ENT_TEXT("cobalt.example"), BYTES("receipt 0")},
                     {ENT_TEXT("boreal.example"), BYTES("receipt 1")},
                     {ENT_TEXT("boreal.example"), BYTES("receipt 2")}},
        .bodies = {{7, BYTES("body seven")}, {10, BYTES("body ten")}},
    };
    p->pouch = (ent_pouch){
        .origin = ENT_TEXT(ORIGIN),
        .old_size = 7,
        .size = 11,
        .genesis = BYTES("genesis"),
        .cards = p->cards,
        .card_count = 2,
        .cutoffs = p->cutoffs,
        .cutoff_count = 1,
        .checkpoint = BYTES("checkpoint note"),
        .heads = p->heads,
        .head_count = 2,
        .forks = p->forks,
        .fork_count = 1,
        .receipts = p->receipts,
        .receipt_count = 3,
        .entries = BYTES("entries"),
        .bodies = p->bodies,
        .body_count = 2,
    };
}

static ent_buf pack(const ent_pouch *pouch)
{
    ent_buf buf = {0};
    ent_err err = {0};
    if (ent_pouch_put(&buf, pouch, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    return buf;
}

static int parse(ent_bytes bytes, ent_err *err)
{
    ent_pouch pouch = {.size = 99};
    int code = ent_pouch_parse(bytes, &pouch, err).code;
    if (code == ENT_OK)
        ent_pouch_release(&pouch);
    else
        assert_int_equal(pouch.size, 99);
    return code;
}

static void assert_round_trip(const ent_pouch *pouch)
{
    ent_buf buf = pack(pouch);
    ent_pouch parsed;
    assert_int_equal(ent_pouch_parse(ent_buf_bytes(&buf), &parsed, NULL).code, ENT_OK);
    ent_buf again = pack(&parsed);
    assert_true(ent_bytes_equal(ent_buf_bytes(&buf), ent_buf_bytes(&again)));
    assert_true(ent_pouch_size_bound(&parsed) >= buf.size);
    assert_true(ent_pouch_size_bound(&parsed) <= buf.size + 2048);
    ent_buf_release(&again);
    ent_pouch_release(&parsed);
    ent_buf_release(&buf);
}

static void test_pouch__every_part_reads_as_written(void **state)
{
    (void)state;
    parts p;
    make_parts(&p);
    ent_buf buf = pack(&p.pouch);
    ent_pouch parsed;
    assert_int_equal(ent_pouch_parse(ent_buf_bytes(&buf), &parsed, NULL).code, ENT_OK);
    assert_true(ent_text_is(parsed.origin, ORIGIN));
    assert_int_equal(parsed.old_size, 7);
    assert_int_equal(parsed.size, 11);
    assert_true(ent_bytes_equal(parsed.genesis, p.pouch.genesis));
    assert_true(ent_bytes_equal(parsed.checkpoint, p.pouch.checkpoint));
    assert_true(ent_bytes_equal(parsed.entries, p.pouch.entries));
    assert_int_equal(parsed.card_count, 2);
    assert_true(ent_text_is(parsed.cards[1].party, "boreal.example"));
    assert_true(ent_bytes_equal(parsed.cards[1].data, p.cards[1].data));
    assert_int_equal(parsed.cutoff_count, 1);
    assert_int_equal(parsed.head_count, 2);
    assert_true(ent_text_is(parsed.heads[0].party, "boreal.example"));
    assert_int_equal(parsed.fork_count, 1);
    assert_true(ent_bytes_equal(parsed.forks[0].data, p.forks[0].data));
    assert_int_equal(parsed.receipt_count, 3);
    assert_true(ent_text_is(parsed.receipts[0].party, "cobalt.example"));
    assert_true(ent_bytes_equal(parsed.receipts[2].data, p.receipts[2].data));
    assert_int_equal(parsed.body_count, 2);
    assert_int_equal(parsed.bodies[1].index, 10);
    assert_true(ent_bytes_equal(parsed.bodies[1].sealed, p.bodies[1].sealed));
    assert_true(parsed.bodies[1].sealed.data > buf.data && parsed.bodies[1].sealed.data < buf.data + buf.size);
    ent_pouch_release(&parsed);
    ent_buf_release(&buf);
}

static void test_pouch__any_choice_of_parts_writes_again_as_it_was(void **state)
{
    (void)state;
    for (unsigned choice = 0; choice < 256; choice++) {
        parts p;
        make_parts(&p);
        p.pouch.genesis.size *= choice & 1;
        p.pouch.card_count *= choice >> 1 & 1;
        p.pouch.cutoff_count *= choice >> 2 & 1;
        p.pouch.head_count *= choice >> 3 & 1;
        p.pouch.receipt_count *= choice >> 4 & 1;
        p.pouch.entries.size *= choice >> 5 & 1;
        p.pouch.body_count *= choice >> 6 & 1;
        p.pouch.fork_count *= choice >> 7 & 1;
        assert_round_trip(&p.pouch);
    }
}

static void test_pouch__members_stand_in_the_one_order(void **state)
{
    (void)state;
    const char *const order[] = {"pouch.json",
                                 "genesis",
                                 "cards/aurora.example",
                                 "cards/boreal.example",
                                 "cutoffs/aurora.example",
                                 "checkpoint",
                                 "heads/boreal.example",
                                 "heads/cobalt.example",
                                 "forks/cobalt.example",
                                 "receipts/0000-cobalt.example",
                                 "receipts/0001-boreal.example",
                                 "receipts/0002-boreal.example",
                                 "entries",
                                 "bodies/7.age",
                                 "bodies/10.age"};
    parts p;
    make_parts(&p);
    ent_buf buf = pack(&p.pouch);
    size_t at = 0;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_string_equal((const char *)buf.data + at, order[i]);
        at += i == 0 ? 512 + 1024 : 512 + 512; /* pouch.json here takes two blocks, each other member one */
    }
    assert_int_equal(at + 1024, buf.size);
    ent_buf_release(&buf);
}

static void test_pouch__cut_anywhere_is_refused(void **state)
{
    (void)state;
    parts p;
    make_parts(&p);
    ent_buf buf = pack(&p.pouch);
    for (size_t size = 0; size < buf.size; size++) {
        ent_err err = {0};
        assert_int_equal(parse(ent_bytes_of(buf.data, size), &err), ENT_PEER_MALFORMED);
        assert_true(err.text[0] != 0);
    }
    ent_buf_release(&buf);
}

static void test_pouch__bit_flipped_is_refused_or_data_of_one_part(void **state)
{
    (void)state;
    parts p;
    make_parts(&p);
    ent_buf buf = pack(&p.pouch);
    size_t accepted = 0;
    for (size_t bit = 0; bit < buf.size * 8; bit++) {
        buf.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ent_pouch parsed;
        if (ent_pouch_parse(ent_buf_bytes(&buf), &parsed, NULL).code == ENT_OK) {
            ent_buf again = pack(&parsed);
            assert_true(ent_bytes_equal(ent_buf_bytes(&buf), ent_buf_bytes(&again)));
            accepted++;
            ent_buf_release(&again);
            ent_pouch_release(&parsed);
        }
        buf.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(accepted > 0 && accepted < buf.size);
    ent_buf_release(&buf);
}

/* --- a tar file of any members, to stand for what someone else wrote --- */

typedef struct {
    const char *name;
    const char *data;
} tar_member;

/* Writes pouch.json for `listed`, then the members `given`. */
static int parse_forged(const tar_member *listed, size_t listed_count, const tar_member *given, size_t given_count,
                        ent_err *err)
{
    struct ent_pouch_listed rows[64];
    ent_buf json = {0};
    ent_buf tar = {0};
    for (size_t i = 0; i < listed_count; i++)
        rows[i] = (struct ent_pouch_listed){ent_text_of(listed[i].name), strlen(listed[i].data)};
    ent_pouch_index index = {.origin = ENT_TEXT(ORIGIN), .size = 4, .members = rows, .member_count = listed_count};
    assert_int_equal(ent_pouch_index_put(&json, &index, NULL).code, ENT_OK);
    assert_int_equal(ent_ustar_put(&tar, ENT_TEXT("pouch.json"), ent_buf_bytes(&json), NULL).code, ENT_OK);
    for (size_t i = 0; i < given_count; i++)
        assert_int_equal(
            ent_ustar_put(&tar, ent_text_of(given[i].name), ent_text_bytes(ent_text_of(given[i].data)), NULL).code,
            ENT_OK);
    ent_ustar_put_end(&tar);
    int code = parse(ent_buf_bytes(&tar), err);
    ent_buf_release(&json);
    ent_buf_release(&tar);
    return code;
}

enum { MOST_FORGED = 4 };

static void test_pouch__members_that_are_not_listed_so_are_refused(void **state)
{
    (void)state;
    const tar_member good[] = {{"checkpoint", "c"}, {"entries", "e"}, {"bodies/1.age", "b"}};
    const tar_member swapped[] = {{"checkpoint", "c"}, {"bodies/1.age", "b"}, {"entries", "e"}};
    const tar_member other_size[] = {{"checkpoint", "c"}, {"entries", "ee"}, {"bodies/1.age", "b"}};
    const tar_member other_name[] = {{"checkpoint", "c"}, {"entries", "e"}, {"bodies/2.age", "b"}};
    const tar_member more[] = {{"checkpoint", "c"}, {"entries", "e"}, {"bodies/1.age", "b"}, {"bodies/2.age", "b"}};
    ent_err err = {0};
    assert_int_equal(parse_forged(good, 3, good, 3, &err), ENT_OK);
    assert_int_equal(parse_forged(good, 3, swapped, 3, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "stands where"));
    assert_int_equal(parse_forged(good, 3, other_size, 3, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "entries has 2 bytes"));
    assert_int_equal(parse_forged(good, 3, other_name, 3, &err), ENT_PEER_MALFORMED);
    assert_int_equal(parse_forged(good, 3, more, 4, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "bodies/2.age is not listed"));
    assert_int_equal(parse_forged(good, 3, good, 2, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "bodies/1.age is listed in pouch.json, but missing"));
    assert_int_equal(parse_forged(good, 3, good, 0, &err), ENT_PEER_MALFORMED);
}

static void test_pouch__listing_that_the_writer_would_not_write_is_refused(void **state)
{
    (void)state;
    const struct {
        tar_member members[MOST_FORGED];
        size_t count;
        const char *reason;
    } forged[] = {
        {{{"entries", "e"}}, 1, "checkpoint is missing"},
        {{{"checkpoint", "c"}, {"checkpoint", "c"}}, 2, "comes twice"},
        {{{"checkpoint", "c"}, {"genesis", "g"}}, 2, "checkpoint stands where genesis"},
        {{{"genesis", "g"}, {"genesis", "g"}, {"checkpoint", "c"}}, 3, "genesis stands where checkpoint"},
        {{{"checkpoint", "c"}, {"bodies/1.age", "b"}, {"entries", "e"}}, 3, "stands where entries belongs"},
        {{{"checkpoint", "c"}, {"bodies/2.age", "b"}, {"bodies/1.age", "b"}}, 3, "bodies/1.age comes twice or out"},
        {{{"checkpoint", "c"}, {"bodies/1.age", "b"}, {"bodies/1.age", "b"}}, 3, "bodies/1.age comes twice or out"},
        {{{"checkpoint", "c"}, {"bodies/01.age", "b"}}, 2, "bodies/<index>.age"},
        {{{"checkpoint", "c"}, {"bodies/1.bin", "b"}}, 2, "bodies/<index>.age"},
        {{{"checkpoint", "c"}, {"bodies/x.age", "b"}}, 2, "bodies/<index>.age"},
        {{{"checkpoint", "c"}, {"bodies/1", "b"}}, 2, "bodies/<index>.age"},
        {{{"checkpoint", "c"}, {"bodies/9007199254740993.age", "b"}}, 2, "bodies/<index>.age"},
        {{{"checkpoint", "c"}, {"bodies/9007199254740992.age", "b"}}, 2, "too large"},
        {{{"checkpoint", "c"}, {"heads/b.example", "h"}, {"heads/a.example", "h"}}, 3, "out of order"},
        {{{"checkpoint", "c"}, {"heads/b.example", "h"}, {"heads/b.example", "h"}}, 3, "comes twice"},
        {{{"checkpoint", "c"}, {"heads/nobody", "h"}}, 2, "does not name a party"},
        {{{"cards/A.example", "k"}, {"checkpoint", "c"}}, 2, "does not name a party"},
        {{{"cards/b.example", "k"}, {"cards/a.example", "k"}, {"checkpoint", "c"}}, 3, "out of order"},
        {{{"cutoffs/b.example", "k"}, {"cutoffs/b.example", "k"}, {"checkpoint", "c"}}, 3, "comes twice"},
        {{{"cards/a.example/x", "k"}, {"checkpoint", "c"}}, 2, "does not name a party"},
        {{{"checkpoint", "c"}, {"receipts/0001-b.example", "r"}}, 2, "receipts/0000-b.example belongs"},
        {{{"checkpoint", "c"}, {"receipts/0-ab.c.example", "r"}}, 2, "stands where"},
        {{{"checkpoint", "c"}, {"receipts/0000_b.example", "r"}}, 2, "receipts/0000-b.example belongs"},
        {{{"checkpoint", "c"}, {"receipts/0000-", "r"}}, 2, "does not name a party"},
        {{{"checkpoint", "c"}, {"receipts/0000", "r"}}, 2, "does not name a party"},
        {{{"checkpoint", "c"}, {"receipts/00", "r"}}, 2, "does not name a party"},
        {{{"checkpoint", "c"}, {"extra", "x"}}, 2, "extra is no member of a pouch"},
        {{{"checkpoint", "c"}, {"bodies", "x"}}, 2, "bodies is no member of a pouch"},
        {{{"checkpoint", "c"}, {"pouch.json", "x"}}, 2, "pouch.json is no member"},
        {{{"checkpoint", ""}}, 1, "checkpoint is empty"},
        {{{"checkpoint", "c"}, {"entries", ""}}, 2, "entries is empty"},
    };
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        ent_err err = {0};
        int code = parse_forged(forged[i].members, forged[i].count, forged[i].members, forged[i].count, &err);
        if (code != ENT_PEER_MALFORMED || strstr(err.text, forged[i].reason) == NULL)
            fail_msg("case %zu: %s, \"%s\" does not tell \"%s\"", i, ent_code_word(code), err.text, forged[i].reason);
    }
}

static void test_pouch__more_members_of_a_folder_than_allowed_are_refused(void **state)
{
    (void)state;
    enum { HEADS = 34 };
    tar_member members[1 + HEADS] = {{"checkpoint", "c"}};
    char names[HEADS][32];
    ent_err err = {0};
    for (int i = 0; i < HEADS; i++) {
        (void)snprintf(names[i], sizeof names[i], "heads/p%02d.example", i);
        members[1 + i] = (tar_member){names[i], "h"};
    }
    assert_int_equal(parse_forged(members, HEADS, members, HEADS, &err), ENT_OK);
    assert_int_equal(parse_forged(members, HEADS + 1, members, HEADS + 1, &err), ENT_PEER_TOO_LARGE);
    assert_non_null(strstr(err.text, "heads/: at most 33"));
}

static void test_pouch__other_first_member_is_refused(void **state)
{
    (void)state;
    ent_buf tar = {0};
    ent_err err = {0};
    ent_ustar_put_end(&tar);
    assert_int_equal(parse(ent_buf_bytes(&tar), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "no pouch.json"));
    ent_buf_clear(&tar);
    assert_int_equal(ent_ustar_put(&tar, ENT_TEXT("checkpoint"), BYTES("c"), NULL).code, ENT_OK);
    ent_ustar_put_end(&tar);
    assert_int_equal(parse(ent_buf_bytes(&tar), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "first member is checkpoint"));
    ent_buf_clear(&tar);
    assert_int_equal(ent_ustar_put(&tar, ENT_TEXT("pouch.json"), BYTES(""), NULL).code, ENT_OK);
    ent_ustar_put_end(&tar);
    assert_int_equal(parse(ent_buf_bytes(&tar), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "pouch.json is empty"));
    ent_buf_clear(&tar);
    assert_int_equal(ent_ustar_put_header(&tar, ENT_TEXT("pouch.json"), (2 << 20) + 1, NULL).code, ENT_OK);
    assert_int_equal(parse(ent_buf_bytes(&tar), &err), ENT_PEER_TOO_LARGE);
    ent_buf_release(&tar);
}

static void test_pouch__parts_that_are_not_allowed_are_not_written(void **state)
{
    (void)state;
    parts p;
    ent_buf buf = {0};
    ent_err err = {0};
    ent_buf_put_string(&buf, "before");
#define REFUSE(change, wanted, reason)                                                                                 \
    do {                                                                                                               \
        make_parts(&p);                                                                                                \
        change;                                                                                                        \
        assert_int_equal(ent_pouch_put(&buf, &p.pouch, &err).code, wanted);                                            \
        assert_non_null(strstr(err.text, reason));                                                                     \
        assert_int_equal(buf.size, 6);                                                                                 \
    } while (0)
    REFUSE(p.pouch.origin = ENT_TEXT("aurora.example"), ENT_USAGE, "origin");
    REFUSE(p.pouch.old_size = 12, ENT_USAGE, "12 to 11");
    REFUSE(p.pouch.size = ENT_LOG_MAX_SIZE + 1, ENT_USAGE, "range");
    REFUSE(p.pouch.size = 7 + ENT_POUCH_MAX_ENTRIES + 1, ENT_PEER_TOO_LARGE, "16385 entries");
    REFUSE(p.pouch.checkpoint.size = 0, ENT_USAGE, "checkpoint");
    REFUSE(p.cards[0].party = ENT_TEXT("nobody"), ENT_USAGE, "cards/");
    REFUSE(p.cards[0].party = ENT_TEXT("boreal.example"), ENT_USAGE, "cards/");
    REFUSE(p.cutoffs[0].data.size = 0, ENT_USAGE, "cutoffs/");
    REFUSE(p.heads[1].party = ENT_TEXT("aurora.example"), ENT_USAGE, "heads/");
    REFUSE(p.receipts[2].party = ENT_TEXT("../x.example"), ENT_USAGE, "receipts/");
    REFUSE(p.bodies[1].index = 7, ENT_USAGE, "bodies/7.age");
    REFUSE(p.bodies[1].sealed.size = 0, ENT_USAGE, "bodies/10.age");
    REFUSE(p.pouch.head_count = 34, ENT_PEER_TOO_LARGE, "heads/");
    REFUSE(p.pouch.receipt_count = ENT_POUCH_MAX_RECEIPTS + 1, ENT_PEER_TOO_LARGE, "receipts/");
    REFUSE(p.pouch.body_count = ENT_POUCH_MAX_ENTRIES + 1, ENT_PEER_TOO_LARGE, "bodies/");
#undef REFUSE
    ent_buf_release(&buf);
}

static void test_pouch__up_to_64_mib_passes_and_no_more(void **state)
{
    (void)state;
    parts p;
    ent_buf big = {0};
    ent_buf buf = {0};
    ent_err err = {0};
    make_parts(&p);
    ent_buf empty = pack(&p.pouch);
    size_t most = ENT_POUCH_MAX_BYTES - empty.size + 512;
    assert_non_null(ent_buf_reserve(&big, most + 1));
    memset(big.data, 'x', most + 1);
    p.bodies[1].sealed = ent_bytes_of(big.data, most);
    assert_int_equal(ent_pouch_put(&buf, &p.pouch, &err).code, ENT_OK);
    assert_int_equal(buf.size, ENT_POUCH_MAX_BYTES);
    assert_int_equal(parse(ent_buf_bytes(&buf), &err), ENT_OK);
    ent_buf_put_u8(&buf, 0);
    assert_int_equal(parse(ent_buf_bytes(&buf), &err), ENT_PEER_TOO_LARGE);
    ent_buf_clear(&buf);
    p.bodies[1].sealed = ent_bytes_of(big.data, most + 1);
    assert_int_equal(ent_pouch_put(&buf, &p.pouch, &err).code, ENT_PEER_TOO_LARGE);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&big);
    ent_buf_release(&buf);
    ent_buf_release(&empty);
}

static void test_pouch__most_members_fit(void **state)
{
    (void)state;
    parts p;
    make_parts(&p);
    ent_pouch_item *receipts = ent_alloc_array(ENT_POUCH_MAX_RECEIPTS, sizeof *receipts);
    ent_pouch_body *bodies = ent_alloc_array(ENT_POUCH_MAX_ENTRIES, sizeof *bodies);
    assert_non_null(receipts);
    assert_non_null(bodies);
    const char longest[] = "a23456789-123456789-123456789-123456789-123456789-12345.example";
    for (size_t i = 0; i < ENT_POUCH_MAX_RECEIPTS; i++)
        receipts[i] = (ent_pouch_item){ent_text_of(longest), BYTES("r")};
    for (size_t i = 0; i < ENT_POUCH_MAX_ENTRIES; i++)
        bodies[i] = (ent_pouch_body){ENT_LOG_MAX_SIZE - ENT_POUCH_MAX_ENTRIES + i, BYTES("b")};
    p.pouch.old_size = ENT_LOG_MAX_SIZE - ENT_POUCH_MAX_ENTRIES;
    p.pouch.size = ENT_LOG_MAX_SIZE;
    p.pouch.receipts = receipts;
    p.pouch.receipt_count = ENT_POUCH_MAX_RECEIPTS;
    p.pouch.bodies = bodies;
    p.pouch.body_count = ENT_POUCH_MAX_ENTRIES;
    assert_true(ent_pouch_size_bound(&p.pouch) < ENT_POUCH_MAX_BYTES);
    ent_buf buf = pack(&p.pouch);
    assert_int_equal(parse(ent_buf_bytes(&buf), NULL), ENT_OK);
    assert_true(ent_pouch_size_bound(&p.pouch) >= buf.size);
    ent_buf_release(&buf);
    ent_free(receipts);
    ent_free(bodies);
}

static void test_pouch__no_memory_leaves_everything_as_it_was(void **state)
{
    (void)state;
    enum { RECEIPTS = 600 }; /* more than one block of an arena holds */
    static ent_pouch_item receipts[RECEIPTS];
    parts p;
    make_parts(&p);
    for (size_t i = 0; i < RECEIPTS; i++)
        receipts[i] = p.receipts[0];
    p.pouch.receipts = receipts;
    p.pouch.receipt_count = RECEIPTS;
    ent_buf good = pack(&p.pouch);
    for (unsigned long nth = 1;; nth++) {
        ent_buf buf = {0};
        ent_buf_put_string(&buf, "x");
        ent_alloc_fail_at(nth);
        int code = ent_pouch_put(&buf, &p.pouch, NULL).code;
        unsigned long count = ent_alloc_count();
        ent_alloc_fail_at(0);
        bool failed = count >= nth;
        assert_int_equal(code, failed ? ENT_NOMEM : ENT_OK);
        if (failed)
            assert_int_equal(buf.size, 1);
        ent_buf_release(&buf);
        if (!failed)
            break;
    }
    for (unsigned long nth = 1;; nth++) {
        ent_alloc_fail_at(nth);
        int code = parse(ent_buf_bytes(&good), NULL);
        unsigned long count = ent_alloc_count();
        ent_alloc_fail_at(0);
        assert_int_equal(code, count >= nth ? ENT_NOMEM : ENT_OK);
        if (count < nth)
            break;
    }
    ent_buf_release(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pouch__every_part_reads_as_written),
        cmocka_unit_test(test_pouch__any_choice_of_parts_writes_again_as_it_was),
        cmocka_unit_test(test_pouch__members_stand_in_the_one_order),
        cmocka_unit_test(test_pouch__cut_anywhere_is_refused),
        cmocka_unit_test(test_pouch__bit_flipped_is_refused_or_data_of_one_part),
        cmocka_unit_test(test_pouch__members_that_are_not_listed_so_are_refused),
        cmocka_unit_test(test_pouch__listing_that_the_writer_would_not_write_is_refused),
        cmocka_unit_test(test_pouch__more_members_of_a_folder_than_allowed_are_refused),
        cmocka_unit_test(test_pouch__other_first_member_is_refused),
        cmocka_unit_test(test_pouch__parts_that_are_not_allowed_are_not_written),
        cmocka_unit_test(test_pouch__up_to_64_mib_passes_and_no_more),
        cmocka_unit_test(test_pouch__most_members_fit),
        cmocka_unit_test(test_pouch__no_memory_leaves_everything_as_it_was),
    };
    return cmocka_run_group_tests_name("pouch", tests, NULL, NULL);
}
