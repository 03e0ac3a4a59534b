#include "support.h"

#include "seal/card_internal.h"

#include <stdio.h>

/* Keys from seeds of one repeated byte: 1 root, 2 next root, 3 log, 4 receipt; age identity 05…05. */
static ent_secret_key secret_of(uint8_t fill)
{
    ent_public_key key;
    ent_secret_key secret;
    key_pair(fill, &key, &secret);
    return secret;
}

static ent_hash hash_of_key(uint8_t fill)
{
    ent_public_key key = public_of(fill);
    ent_hash hash;
    ent_sha256(ent_bytes_of(key.bytes, sizeof key.bytes), &hash);
    return hash;
}

static ent_card example(void)
{
    ent_card card = {
        .name = ENT_TEXT("north.example"),
        .serial = 1,
        .issued = ENT_TEXT("2025-01-31T12:00:00Z"),
        .root = public_of(1),
        .next_root = hash_of_key(2),
        .log = public_of(3),
        .receipt = public_of(4),
        .age = recipient_of(5),
        .url = ENT_TEXT("https://hotline.north.example:8443"),
        .quotas = {1000, 1 << 30, 64 << 20},
        .contacts = {{.role = ENT_TEXT("technical"),
                      .name = ENT_TEXT("Zo\xc3\xab \"Zed\" \\ \xd0\x96"),
                      .position = ENT_TEXT("duty officer"),
                      .phone = ENT_TEXT("+1 555 0100"),
                      .email = ENT_TEXT("cert@north.example"),
                      .languages = {ENT_TEXT("en"), ENT_TEXT("zh-Hant-TW")},
                      .language_count = 2,
                      .hours = ENT_TEXT("24/7")},
                     {.role = ENT_TEXT("diplomatic"),
                      .name = ENT_TEXT(""),
                      .position = ENT_TEXT("cyber desk"),
                      .phone = ENT_TEXT("+1 555 0101"),
                      .email = ENT_TEXT(""),
                      .hours = ENT_TEXT("08:00-17:00Z")}},
        .contact_count = 2,
    };
    memset(card.tls.bytes, 0x77, sizeof card.tls.bytes);
    return card;
}

/* Sign any text as the card's note. */
static void sign_text(ent_text text, ent_buf *ret)
{
    ent_vkey vkey;
    ent_public_key root = public_of(1);
    ent_secret_key secret = secret_of(1);
    assert_ok(ent_vkey_make(ENT_TEXT("north.example/entente/root"), ENT_KEY_ED25519, &root, &vkey, NULL));
    assert_ok(ent_note_sign(text, &vkey, &secret, ret, NULL));
}

/* Sign a card whose line of JSON had one part replaced (all of it when old is NULL). */
static void sign_replaced(const char *old, const char *new, ent_buf *ret)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_card card = example();
    ent_card_json_put(&json, &card);
    const char *all = ent_buf_string(&json);
    const char *found = old == NULL ? all : strstr(all, old);
    if (found == NULL)
        fail_msg("%s is not in %s", old, all);
    ent_buf_put_string(&text, "entente.card/v1 north.example\n");
    ent_buf_put(&text, ent_bytes_of(all, (size_t)(found - all)));
    ent_buf_put_string(&text, new);
    if (old != NULL)
        ent_buf_put_string(&text, found + strlen(old));
    ent_buf_put_u8(&text, '\n');
    sign_text(ent_buf_text(&text), ret);
}

static ent_rc parse(const ent_buf *note, ent_card_opened *ret, ent_err *err)
{
    return ent_card_parse(ent_buf_bytes(note), ret, err);
}

static void sign(const ent_card *card, uint8_t root, ent_card_opened *ret)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_secret_key secret = secret_of(root);
    assert_ok(ent_card_sign(card, &secret, &note, NULL));
    assert_ok(parse(&note, ret, NULL));
}

static void test_card__signed_and_read_again_is_the_same(void **state)
{
    (void)state;
    ent_card card = example();
    ent_secret_key secret = secret_of(1);
    ent_card_opened opened;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    ent_buf_put_string(&note, "before");
    assert_ok(ent_card_sign(&card, &secret, &note, NULL));
    ent_bytes bytes = {note.data + 6, note.size - 6};
    assert_ok(ent_card_parse(bytes, &opened, NULL));
    assert_true(ent_text_is(opened.card.name, "north.example"));
    assert_int_equal(opened.card.serial, 1);
    assert_false(opened.card.has_previous);
    assert_true(ent_text_is(opened.card.contacts[0].name, "Zo\xc3\xab \"Zed\" \\ \xd0\x96"));
    assert_true(ent_text_is(opened.card.contacts[0].languages[1], "zh-Hant-TW"));
    assert_int_equal(opened.card.contacts[0].language_count, 2);
    assert_int_equal(opened.card.contact_count, 2);
    assert_true(ent_text_is(opened.card.contacts[1].hours, "08:00-17:00Z"));
    assert_int_equal(opened.card.quotas.attachment_bytes, 64 << 20);
    assert_memory_equal(opened.card.age.bytes, card.age.bytes, 32);
    ent_buf_clear(&note);
    ent_buf_put(&again, ent_bytes_of("before", 6));
    assert_ok(ent_card_sign(&opened.card, &secret, &again, NULL));
    assert_ok(ent_card_sign(&card, &secret, &note, NULL));
    assert_bytes(ent_bytes_of(again.data + 6, again.size - 6), ent_buf_bytes(&note));
    ent_card_release(&opened);
    assert_int_equal(opened.card.contact_count, 0);
}

static void test_card__least_and_largest_accepted(void **state)
{
    (void)state;
    ent_card_opened opened;
    ent_card card = example();
    card.url = ENT_TEXT("");
    card.contact_count = 0;
    sign(&card, 1, &opened);
    assert_int_equal(opened.card.url.size, 0);
    ent_card_release(&opened);
    card = example();
    for (size_t i = 2; i < ENT_CARD_MAX_CONTACTS; i++)
        card.contacts[i] = card.contacts[0];
    card.contact_count = ENT_CARD_MAX_CONTACTS;
    card.url = ENT_TEXT("https://[::1]:65535");
    for (size_t i = 0; i < ENT_CARD_MAX_LANGUAGES; i++)
        card.contacts[3].languages[i] = ENT_TEXT("de");
    card.contacts[3].language_count = ENT_CARD_MAX_LANGUAGES;
    sign(&card, 1, &opened);
    assert_int_equal(opened.card.contact_count, ENT_CARD_MAX_CONTACTS);
    assert_int_equal(opened.card.contacts[3].language_count, ENT_CARD_MAX_LANGUAGES);
    ent_card_release(&opened);
}

static void test_card__fields_left_zero_are_empty(void **state)
{
    (void)state;
    ent_card_opened opened;
    ent_card card = example();
    card.url = (ent_text){NULL, 0};
    card.contacts[0] = (ent_card_contact){.role = ENT_TEXT("technical"), .phone = ENT_TEXT("+1")};
    card.contact_count = 1;
    sign(&card, 1, &opened);
    assert_int_equal(opened.card.url.size, 0);
    assert_int_equal(opened.card.contacts[0].name.size, 0);
    assert_int_equal(opened.card.contacts[0].hours.size, 0);
    ent_card_release(&opened);
}

static void test_card__unknown_members_ignored(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_card_opened opened;
    sign_replaced("{\"name\"", "{\"mailbox\":{\"a\":[1,null]},\"name\"", &note);
    assert_ok(parse(&note, &opened, NULL));
    assert_true(ent_text_is(opened.card.name, "north.example"));
    ent_card_release(&opened);
}

#define EN8 "\"en\",\"en\",\"en\",\"en\",\"en\",\"en\",\"en\",\"en\","
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_card__wrong_field_refused_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *old;
        const char *new;
        const char *named;
    } bad[] = {
        {"\"name\":\"north.example\",\"serial\"", "\"serial\"", "name"},
        {"\"name\":\"north.example\"", "\"name\":1", "name"},
        {"\"name\":\"north.example\"", "\"name\":\"south.example\"", "name"},
        {"\"name\":\"north.example\"", "\"name\":\"North.example\"", "name"},
        {"\"serial\":1", "\"serial\":0", "serial"},
        {"\"serial\":1", "\"serial\":-1", "serial"},
        {"\"serial\":1", "\"serial\":1.0", "serial"},
        {"\"serial\":1", "\"serial\":\"1\"", "serial"},
        {"\"serial\":1", "\"serial\":9007199254740992", "serial"},
        {"\"serial\":1", "\"serial\":2", "previous"},
        {"\"previous\":null", "\"previous\":\"" A64 "\"", "previous"},
        {"\"previous\":null", "\"previous\":\"00\"", "previous"},
        {"\"previous\":null,", "", "previous"},
        {"2025-01-31T", "2025-02-31T", "issued"},
        {"\"issued\":\"2025-01-31T12:00:00Z\"", "\"issued\":null", "issued"},
        {"\"next_root\":\"", "\"next_root\":\"0", "next_root"},
        {"\"next_root\":", "\"next\":", "next_root"},
        {"\"log\":\"", "\"log\":\"A", "log"},
        {"\"log\":", "\"logs\":", "log"},
        {"\"receipt\":", "\"receipts\":", "receipt"},
        {"\"receipt\":\"", "\"receipt\":\"g", "receipt"},
        {"\"age\":\"age1", "\"age\":\"age2", "age"},
        {"\"age\":\"age1", "\"age\":[],\"x\":\"age1", "age"},
        {"\"age\":\"age1", "\"x\":\"age1", "age"},
        {"7777777777\"", "777777777F\"", "tls"},
        {"\"tls\":", "\"TLS\":", "tls"},
        {"https://hotline", "http://hotline", "url"},
        {":8443", "", "url"},
        {":8443", ":0", "url"},
        {":8443", ":65536", "url"},
        {":8443", ":08443", "url"},
        {":8443", ":8443/", "url"},
        {"https://hotline", "https://a@hotline", "url"},
        {"https://hotline.north.example", "https://[::1]x", "url"},
        {"https://hotline.north.example", "https://", "url"},
        {"https://hotline.north.example:8443", "https://", "url"},
        {"https://hotline", "https://" A64 A64 A64 A64, "url"},
        {"\"url\":\"", "\"url\":null,\"x\":\"", "url"},
        {"\"quotas\":{", "\"quotas\":null,\"x\":{", "quotas"},
        {"\"entries_a_day\":1000", "\"entries_a_day\":-1", "quotas.entries_a_day"},
        {"\"bytes_a_day\":", "\"byte_a_day\":", "quotas.bytes_a_day"},
        {"\"attachment_bytes\":67108864", "\"attachment_bytes\":9007199254740992", "quotas.attachment_bytes"},
        {"\"contacts\":[", "\"contacts\":{},\"x\":[", "contacts"},
        {"\"contacts\":[", "\"contacts\":[1,", "contacts"},
        {"\"contacts\":[", "\"x\":[", "contacts"},
        {"\"technical\"", "\"Technical\"", "contacts[0].role"},
        {"\"role\":\"diplomatic\",", "", "contacts[1].role"},
        {"\"position\":\"duty officer\"", "\"position\":null", "contacts[0].position"},
        {"duty officer", "duty\\nofficer", "contacts[0].position"},
        {"duty officer", "duty\\u0000officer", "contacts[0].position"},
        {"duty officer", "duty\\u007fofficer", "contacts[0].position"},
        {"duty officer", "duty\\u009bofficer", "contacts[0].position"},
        {"duty officer", "duty\\u2028officer", "contacts[0].position"},
        {"duty officer", "\\u202e reciffo", "contacts[0].position"},
        {"duty officer", "reciffo\\u2066", "contacts[0].position"},
        {"cyber desk", A64 A64 A64 A64 "a", "contacts[1].position"},
        {"+1 555 0101", "", "contacts[1].phone"},
        {"\"phone\":\"+1 555 0101\",", "", "contacts[1].phone"},
        {"cert@north.example", "north.example", "contacts[0].email"},
        {"cert@north.example", "@north.example", "contacts[0].email"},
        {"cert@north.example", "cert@", "contacts[0].email"},
        {"cert@north.example", "my cert@north.example", "contacts[0].email"},
        {"\"languages\":[\"en\"", "\"languages\":[1", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"e\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"en-\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"en_GB\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"abcdefghi\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[\"en-a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q\"", "contacts[0].languages"},
        {"\"languages\":[\"en\"", "\"languages\":[" EN8 EN8 "\"en\"", "contacts[0].languages"},
        {"\"languages\":[]", "\"languages\":\"en\"", "contacts[1].languages"},
        {"\"hours\":\"24/7\"", "\"hours\":24", "contacts[0].hours"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_card_opened opened;
        ent_err err = {0};
        char named[64];
        sign_replaced(bad[i].old, bad[i].new, &note);
        (void)snprintf(named, sizeof named, "card field %s", bad[i].named);
        ent_rc rc = parse(&note, &opened, &err);
        if (rc.code != ENT_PEER_MALFORMED || strncmp(err.text, named, strlen(named)) != 0)
            fail_msg("%s -> %s: %s \"%s\"", bad[i].old, bad[i].new, ent_code_word(rc.code), err.text);
    }
}

static void test_card__one_key_in_two_roles_refused(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 6; way++) {
        ent_card card = example();
        ent_secret_key secret = secret_of(1);
        ent_err err = {0};
        ent_card_opened opened;
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        if (way == 0)
            card.log = card.root;
        else if (way == 1)
            card.receipt = card.root;
        else if (way == 2)
            card.receipt = card.log;
        else
            card.next_root = hash_of_key(way == 3 ? 1 : way == 4 ? 3 : 4);
        assert_code(ent_card_sign(&card, &secret, &note, &err), ENT_USAGE);
        assert_int_equal(note.size, 0);
        ent_buf_put_string(&text, "entente.card/v1 north.example\n");
        ent_card_json_put(&text, &card);
        ent_buf_put_u8(&text, '\n');
        sign_text(ent_buf_text(&text), &note);
        assert_code(parse(&note, &opened, &err), ENT_PEER_MISMATCH);
    }
}

static void test_card__other_shape_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "entente.card/v1 north.example\n",
        "entente.card/v1 north.example\n{}\n\n",
        "entente.card/v1 north.example\n{}\nmore\n",
        "entente.card/v1 north.example\n[]\n",
        "entente.card/v1 north.example\n1\n",
        "entente.card/v1 north.example\n{\n",
        "entente.card/v1 north.example\n{}\n",
        "entente.card/v1 north.example\n{\"root\":1}\n",
        "entente.card/v2 north.example\n{}\n",
        "entente.card/v1 north\n{}\n",
        "entente.card/v1 north.example \n{}\n",
        "entente.card/v1 \n{}\n",
        "north.example\n{}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_card_opened opened;
        memset(&opened, 0x5a, sizeof opened);
        const ent_card_opened before = opened;
        sign_text(ent_text_of(texts[i]), &note);
        assert_code(parse(&note, &opened, NULL), ENT_PEER_MALFORMED);
        assert_memory_equal(&opened, &before, sizeof opened);
    }
    ent_card_opened opened;
    assert_code(ent_card_parse(ent_bytes_of("no note", 7), &opened, NULL), ENT_PEER_MALFORMED);
    ENT_CLEANUP(ent_buf_release) ent_buf large = pattern(ENT_CARD_MAX_BYTES + 1);
    assert_code(parse(&large, &opened, NULL), ENT_PEER_TOO_LARGE);
}

static void test_card__any_flipped_bit_refused(void **state)
{
    (void)state;
    ent_card card = example();
    ent_secret_key secret = secret_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    assert_ok(ent_card_sign(&card, &secret, &note, NULL));
    for (size_t bit = 0; bit < note.size * 8; bit++) {
        ent_card_opened opened;
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ent_rc rc = parse(&note, &opened, NULL);
        assert_int_equal(ent_code_class(rc.code), ENT_CLASS_PEER);
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_card__signed_by_another_key_refused(void **state)
{
    (void)state;
    ent_card card = example();
    ent_secret_key other = secret_of(9);
    ent_public_key other_public = public_of(9);
    ent_vkey vkey;
    ent_err err = {0};
    ent_card_opened opened;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    assert_code(ent_card_sign(&card, &other, &note, &err), ENT_USAGE);
    assert_non_null(strstr(err.text, "root"));
    ent_buf_put_string(&text, "entente.card/v1 north.example\n");
    ent_card_json_put(&text, &card);
    ent_buf_put_u8(&text, '\n');
    assert_ok(ent_vkey_make(ENT_TEXT("north.example/entente/root"), ENT_KEY_ED25519, &other_public, &vkey, NULL));
    assert_ok(ent_note_sign(ent_buf_text(&text), &vkey, &other, &note, NULL));
    assert_code(parse(&note, &opened, NULL), ENT_PEER_SIGNATURE);
    /* The right key under another name. */
    ent_secret_key secret = secret_of(1);
    ent_buf_clear(&note);
    assert_ok(ent_vkey_make(ENT_TEXT("south.example/entente/root"), ENT_KEY_ED25519, &card.root, &vkey, NULL));
    assert_ok(ent_note_sign(ent_buf_text(&text), &vkey, &secret, &note, NULL));
    assert_code(parse(&note, &opened, NULL), ENT_PEER_SIGNATURE);
}

static void test_card_sign__wrong_field_is_usage(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 10; way++) {
        ent_card card = example();
        ent_secret_key secret = secret_of(1);
        ent_err err = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        static char long_text[ENT_CARD_TEXT_MAX_BYTES];
        static const char *const named[] = {"name", "serial", "previous",         "issued",   "age",
                                            "url",  "quotas", "contacts[0].role", "contacts", "the card has"};
        memset(long_text, '"', sizeof long_text);
        switch (way) {
        case 0:
            card.name = ENT_TEXT("north");
            break;
        case 1:
            card.serial = 0;
            break;
        case 2:
            card.has_previous = true;
            break;
        case 3:
            card.issued = ENT_TEXT("today");
            break;
        case 4:
            memset(card.age.bytes, 0, 32);
            break;
        case 5:
            card.url = ENT_TEXT("hotline.north.example:8443");
            break;
        case 6:
            card.quotas.bytes_a_day = UINT64_MAX;
            break;
        case 7:
            card.contacts[0].role = ENT_TEXT("");
            break;
        case 8:
            card.contact_count = ENT_CARD_MAX_CONTACTS + 1;
            break;
        default:
            card.contact_count = ENT_CARD_MAX_CONTACTS;
            for (size_t i = 0; i < ENT_CARD_MAX_CONTACTS; i++) {
                card.contacts[i] = card.contacts[0];
                card.contacts[i].name = (ent_text){long_text, sizeof long_text};
                card.contacts[i].position = (ent_text){long_text, sizeof long_text};
                card.contacts[i].hours = (ent_text){long_text, sizeof long_text};
            }
        }
        assert_code(ent_card_sign(&card, &secret, &note, &err), ENT_USAGE);
        assert_non_null(strstr(err.text, named[way]));
        assert_int_equal(note.size, 0);
    }
}

/* --- succession --- */

/* The card after `current`, before a test spoils it. */
static ent_card next_of(const ent_card_opened *current)
{
    ent_card card = example();
    card.serial = current->card.serial + 1;
    card.has_previous = true;
    card.previous = current->text_hash;
    return card;
}

static ent_card_former former_of(ent_key_role role, const uint8_t value[32], uint64_t last)
{
    ent_card_former former = {.role = role, .last = last};
    memcpy(former.value, value, sizeof former.value);
    return former;
}

static void expect_succession(const ent_card_opened *current, const ent_card *next, uint8_t root, ent_code expected)
{
    ent_card_opened opened;
    ent_err err = {0};
    sign(next, root, &opened);
    assert_code(ent_card_succeeds(current, &opened, &err), expected);
    ent_card_release(&opened);
}

static void test_card_succeeds__same_or_committed_root_accepted(void **state)
{
    (void)state;
    ent_card_opened current;
    ent_card card = example();
    sign(&card, 1, &current);
    ent_card same = next_of(&current);
    same.log = public_of(7);
    same.former[0] = former_of(ENT_KEY_ROLE_LOG, public_of(3).bytes, 1);
    same.former_count = 1;
    expect_succession(&current, &same, 1, ENT_OK);
    same.serial = 9; /* cards in between did not come here */
    same.previous.bytes[0] ^= 1;
    expect_succession(&current, &same, 1, ENT_OK);
    ent_card rotated = next_of(&current);
    rotated.root = public_of(2);
    rotated.next_root = hash_of_key(8);
    expect_succession(&current, &rotated, 2, ENT_OK);
    ent_card_release(&current);
}

/* Root 1 is known; 2, 8 and 9 took over since. */
static ent_card away_for_three(const ent_card_opened *current)
{
    ent_card card = next_of(current);
    static const uint8_t roots[] = {2, 8, 9, 10};
    card.serial = 9;
    for (size_t i = 0; i + 1 < sizeof roots; i++) {
        ent_secret_key secret = secret_of(roots[i]);
        card.root = public_of(roots[i]);
        card.next_root = hash_of_key(roots[i + 1]);
        assert_ok(ent_card_add_root(&card, &secret, NULL));
    }
    return card;
}

static void test_card_succeeds__several_roots_are_led_through(void **state)
{
    (void)state;
    ent_card_opened current;
    ent_card_opened opened;
    ent_err err = {0};
    ent_card card = example();
    sign(&card, 1, &current);
    ent_card next = away_for_three(&current);
    expect_succession(&current, &next, 9, ENT_OK);
    sign(&next, 9, &opened);
    assert_int_equal(opened.card.root_count, 3);
    assert_memory_equal(opened.card.roots, next.roots, 3 * sizeof *next.roots);
    next.next_root = hash_of_key(11); /* the last of them committed to another one */
    ent_secret_key secret = secret_of(9);
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    assert_code(ent_card_sign(&next, &secret, &note, &err), ENT_USAGE);
    assert_code(ent_card_add_root(&next, &secret, &err), ENT_OK); /* and a key does not come back */
    assert_code(ent_card_sign(&next, &secret, &note, &err), ENT_USAGE);
    secret = secret_of(8);
    assert_code(ent_card_add_root(&next, &secret, &err), ENT_USAGE);
    ent_card_release(&opened);
    /* Where only a part is told, from a root that was not committed to, it does not lead on. */
    next = away_for_three(&current);
    memmove(next.roots, next.roots + 1, 2 * sizeof *next.roots);
    next.root_count = 2;
    expect_succession(&current, &next, 9, ENT_PEER_MISMATCH);
    next.root_count = 0;
    expect_succession(&current, &next, 9, ENT_PEER_MISMATCH);
    ent_card_release(&current);
}

static void test_card__roots_that_were_tampered_with_are_refused(void **state)
{
    (void)state;
    ent_card_opened current;
    ent_card card = example();
    sign(&card, 1, &current);
    static const ent_code expected[] = {ENT_OK,
                                        ENT_PEER_SIGNATURE,
                                        ENT_PEER_SIGNATURE,
                                        ENT_PEER_SIGNATURE,
                                        ENT_PEER_MISMATCH,
                                        ENT_PEER_MISMATCH,
                                        ENT_PEER_MISMATCH};
    for (unsigned way = 0; way < sizeof expected / sizeof *expected; way++) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_card_opened opened;
        ent_err err = {0};
        ent_card next = away_for_three(&current);
        ent_secret_key secret = secret_of(9);
        ent_card_root other = next.roots[1];
        switch (way) {
        case 1:
            next.roots[1].signature.bytes[5] ^= 1;
            break;
        case 2:
            next.roots[0].root = public_of(12); /* its statement was signed by another */
            break;
        case 3:
            next.roots[0].next.bytes[0] ^= 1;
            break;
        case 4:
            next.roots[1] = next.roots[0]; /* swapped */
            next.roots[0] = other;
            break;
        case 5:
            next.root_count = 2; /* the card's own is missing */
            break;
        case 6:
            next.roots[2] = next.roots[1]; /* the same */
            break;
        default:
            break;
        }
        assert_code(ent_card_check(&next, true, &err), way == 0 ? ENT_OK : ENT_USAGE);
        ent_buf_put_string(&text, "entente.card/v1 north.example\n");
        ent_card_json_put(&text, &next);
        ent_buf_put_u8(&text, '\n');
        ent_vkey vkey;
        assert_ok(ent_vkey_make(ENT_TEXT("north.example/entente/root"), ENT_KEY_ED25519, &next.root, &vkey, &err));
        assert_ok(ent_note_sign(ent_buf_text(&text), &vkey, &secret, &note, &err));
        assert_code(parse(&note, &opened, &err), expected[way]);
        if (way == 0)
            ent_card_release(&opened);
    }
    ent_card_release(&current);
}

static void test_card_succeeds__others_refused(void **state)
{
    (void)state;
    ent_card_opened current;
    ent_card card = example();
    sign(&card, 1, &current);
    ent_card next = next_of(&current);
    next.name = ENT_TEXT("south.example");
    expect_succession(&current, &next, 1, ENT_PEER_MISMATCH);
    expect_succession(&current, &card, 1, ENT_PEER_MISMATCH);
    next = next_of(&current);
    next.previous.bytes[0] ^= 1;
    expect_succession(&current, &next, 1, ENT_PEER_MISMATCH);
    next = next_of(&current);
    next.root = public_of(9);
    expect_succession(&current, &next, 9, ENT_PEER_MISMATCH);
    next = next_of(&current);
    next.next_root = hash_of_key(9);
    expect_succession(&current, &next, 1, ENT_PEER_MISMATCH);
    ent_card_release(&current);
}

static void test_card_succeeds__former_keys_are_kept(void **state)
{
    (void)state;
    ent_card_opened first;
    ent_card_opened second;
    ent_card card = example();
    sign(&card, 1, &first);
    ent_card next = next_of(&first);
    next.receipt = public_of(7);
    expect_succession(&first, &next, 1, ENT_PEER_MISMATCH); /* the receipt key of before is not listed */
    next.former_count = 1;
    next.former[0] = former_of(ENT_KEY_ROLE_AGE, public_of(4).bytes, 1);
    expect_succession(&first, &next, 1, ENT_PEER_MISMATCH); /* in another role */
    next.former[0] = former_of(ENT_KEY_ROLE_RECEIPT, public_of(4).bytes, 1);
    next.former[0].revoked = true;
    expect_succession(&first, &next, 1, ENT_OK);
    sign(&next, 1, &second);
    ent_card third = next_of(&second);
    third.receipt = public_of(7);
    expect_succession(&second, &third, 1, ENT_PEER_MISMATCH); /* dropped */
    third.former_count = 1;
    third.former[0] = next.former[0];
    expect_succession(&second, &third, 1, ENT_OK);
    third.former[0].revoked = false;
    expect_succession(&second, &third, 1, ENT_PEER_MISMATCH);
    third.former[0] = next.former[0];
    third.former_count = 2;
    third.former[1] = third.former[0];
    third.former[0] = former_of(ENT_KEY_ROLE_LOG, public_of(8).bytes, 1);
    expect_succession(&second, &third, 1, ENT_PEER_MISMATCH); /* one that never was */
    ent_card_release(&first);
    ent_card_release(&second);
}

static void test_card__former_keys_have_one_form(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 6; way++) {
        ent_card card = example();
        ent_secret_key secret = secret_of(1);
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        card.serial = 3;
        card.has_previous = true;
        card.former_count = 2;
        card.former[0] = former_of(ENT_KEY_ROLE_LOG, public_of(8).bytes, 2);
        card.former[1] = former_of(ENT_KEY_ROLE_RECEIPT, public_of(9).bytes, 2);
        switch (way) {
        case 0:
            break;
        case 1:
            card.former[1].last = 3; /* not before this card */
            break;
        case 2:
            card.former[1].last = 1; /* out of order */
            break;
        case 3:
            memcpy(card.former[1].value, card.former[0].value, 32); /* twice */
            break;
        case 4:
            memcpy(card.former[1].value, card.log.bytes, 32); /* comes back in another role */
            break;
        default:
            card.former[1].role = ENT_KEY_ROLE_LOG; /* two of one role at a time */
        }
        assert_code(ent_card_sign(&card, &secret, &note, NULL), way == 0 ? ENT_OK : ENT_USAGE);
        if (way > 0)
            continue;
        ent_card_opened opened;
        assert_ok(parse(&note, &opened, NULL));
        assert_int_equal(opened.card.former_count, 2);
        assert_memory_equal(opened.card.former[1].value, card.former[1].value, 32);
        assert_int_equal(opened.card.former[1].role, ENT_KEY_ROLE_RECEIPT);
        ent_card_release(&opened);
    }
}

/* --- fingerprint --- */

static void test_card_fingerprint__names_party_and_root_key_only(void **state)
{
    (void)state;
    ent_card card = example();
    char first[ENT_FINGERPRINT_TEXT_SIZE + 1];
    char other[ENT_FINGERPRINT_TEXT_SIZE + 1];
    assert_ok(ent_card_fingerprint(&card, first, NULL));
    assert_int_equal(strlen(first), ENT_FINGERPRINT_TEXT_SIZE);
    card.serial = 7;
    card.log = public_of(9);
    assert_ok(ent_card_fingerprint(&card, other, NULL));
    assert_string_equal(first, other);
    card.name = ENT_TEXT("south.example");
    assert_ok(ent_card_fingerprint(&card, other, NULL));
    assert_string_not_equal(first, other);
    card = example();
    card.root = public_of(9);
    assert_ok(ent_card_fingerprint(&card, other, NULL));
    assert_string_not_equal(first, other);
    /* SHA-256 by another tool of north.example/entente/root+8661856f+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c */
    assert_string_equal(first, "c514 2dda 0ab1 ece5 bdfa d7a9 32d1 67a7 c90f b818");
}

static void test_fingerprint__what_people_type_compared(void **state)
{
    (void)state;
    const char *fingerprint = "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567";
    static const char *const same[] = {
        "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567",
        "0123456789abcdef0123456789abcdef01234567",
        "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67",
        "  0123 4567 89AB cdef 0123 4567 89ab cdef 0123 4567 ",
    };
    static const char *const different[] = {
        "",
        " ",
        "0123",
        "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 456",
        "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 45678",
        "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4568",
        "1123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567",
        "0123-4567-89ab-cdef-0123-4567-89ab-cdef-0123-4567",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(ent_fingerprint_matches(fingerprint, ent_text_of(same[i])));
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_false(ent_fingerprint_matches(fingerprint, ent_text_of(different[i])));
}

static void test_card__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ent_card card = example();
    ent_secret_key secret = secret_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    assert_ok(ent_card_sign(&card, &secret, &note, NULL));
    for (unsigned way = 0; way < 3; way++) {
        for (unsigned long nth = 1;; nth++) {
            ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
            char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1] = "x";
            ent_card_opened opened;
            memset(&opened, 0x5a, sizeof opened);
            const ent_card_opened before = opened;
            ent_alloc_fail_at(nth);
            ent_rc rc = way == 0   ? ent_card_sign(&card, &secret, &again, NULL)
                        : way == 1 ? parse(&note, &opened, NULL)
                                   : ent_card_fingerprint(&card, fingerprint, NULL);
            bool reached = ent_alloc_count() >= nth;
            ent_alloc_fail_at(0);
            if (!reached) {
                assert_ok(rc);
                if (way == 1)
                    ent_card_release(&opened);
                assert_true(nth > 1);
                break;
            }
            assert_code(rc, ENT_NOMEM);
            assert_int_equal(again.size, 0);
            assert_string_equal(fingerprint, "x");
            assert_memory_equal(&opened, &before, sizeof opened);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_card__signed_and_read_again_is_the_same),
        cmocka_unit_test(test_card__least_and_largest_accepted),
        cmocka_unit_test(test_card__fields_left_zero_are_empty),
        cmocka_unit_test(test_card__unknown_members_ignored),
        cmocka_unit_test(test_card__wrong_field_refused_and_named),
        cmocka_unit_test(test_card__one_key_in_two_roles_refused),
        cmocka_unit_test(test_card__other_shape_refused),
        cmocka_unit_test(test_card__any_flipped_bit_refused),
        cmocka_unit_test(test_card__signed_by_another_key_refused),
        cmocka_unit_test(test_card_sign__wrong_field_is_usage),
        cmocka_unit_test(test_card_succeeds__same_or_committed_root_accepted),
        cmocka_unit_test(test_card_succeeds__several_roots_are_led_through),
        cmocka_unit_test(test_card__roots_that_were_tampered_with_are_refused),
        cmocka_unit_test(test_card_succeeds__others_refused),
        cmocka_unit_test(test_card_succeeds__former_keys_are_kept),
        cmocka_unit_test(test_card__former_keys_have_one_form),
        cmocka_unit_test(test_card_fingerprint__names_party_and_root_key_only),
        cmocka_unit_test(test_fingerprint__what_people_type_compared),
        cmocka_unit_test(test_card__no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
