#include "support.h"

static const char mac_line[] = "--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n";

/* C2SP age, Header. */
static const char example[] = "age-encryption.org/v1\n"
                              "-> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE\n"
                              "qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E\n"
                              "--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n";

static ent_rc parse(const char *text, ent_age_header *ret, ent_err *err)
{
    return ent_age_header_parse(ent_text_bytes(ent_text_of(text)), ret, err);
}

/* Parse version line + stanzas + a MAC line. */
static ent_rc parse_stanzas(const char *stanzas)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_buf_put_text(&text, ENT_AGE_VERSION_LINE);
    ent_buf_put_string(&text, stanzas);
    ent_buf_put_string(&text, mac_line);
    ent_age_header header = {0};
    ENT_TRY(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL));
    ent_age_header_release(&header);
    return ENT_DONE;
}

static void test_age_header__example_is_understood(void **state)
{
    (void)state;
    ent_age_header header;
    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    assert_ok(parse(example, &header, NULL));
    assert_int_equal(header.stanza_count, 1);
    assert_true(ent_text_is(header.stanzas[0].type, "X25519"));
    assert_int_equal(header.stanzas[0].argument_count, 1);
    assert_true(ent_text_is(header.stanzas[0].arguments[0], "XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE"));
    assert_int_equal(header.stanzas[0].body.size, 32);
    assert_int_equal(header.size, sizeof example - 1);
    assert_int_equal(header.mac_input.size, (size_t)(strstr(example, "---") - example) + 3);
    ent_age_header_put(&again, &header);
    assert_bytes(ent_buf_bytes(&again), ent_bytes_of(example, sizeof example - 1));
    ent_age_header_release(&header);
    assert_null(header.stanzas);
}

static void test_age_header__every_body_size_round_trips(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 600; size++) {
        ENT_CLEANUP(ent_buf_release) ent_buf content = pattern(size);
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
        ent_text argument = ENT_TEXT("!\"~");
        ent_age_stanza stanzas[2] = {
            {.type = ENT_TEXT("example.com/x"),
             .arguments = &argument,
             .argument_count = 1,
             .body = ent_buf_bytes(&content)},
            {.type = ENT_TEXT("y"), .body = {NULL, 0}},
        };
        ent_age_header made = {.stanzas = stanzas, .stanza_count = 2};
        ent_age_header header;
        ent_age_header_put(&text, &made);
        ent_buf_put_string(&text, "payload\n--- more\n");
        assert_ok(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL));
        assert_int_equal(header.stanza_count, 2);
        assert_bytes(header.stanzas[0].body, ent_buf_bytes(&content));
        ent_age_header_put(&again, &header);
        assert_bytes(ent_buf_bytes(&again), ent_bytes_of(text.data, header.size));
        assert_int_equal(header.size, text.size - 17);
        ent_age_header_release(&header);
    }
}

static void test_age_header__malformed_refused(void **state)
{
    (void)state;
    /* 48 bytes a full line */
#define FULL "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static const char *const bad[] = {
        "",                        /* no stanza */
        "-> \n\n",                 /* empty argument */
        "->  a\n\n",               /* empty argument */
        "-> a \n\n",               /* empty argument */
        "-> a  b\n\n",             /* empty argument */
        "->\n\n",                  /* no argument */
        "-> a\tb\n\n",             /* not VCHAR */
        "-> a\x7f\n\n",            /* not VCHAR */
        "-> \xc3\xa9\n\n",         /* not VCHAR */
        "-> a\r\n\n",              /* CRLF */
        "-> a\n\r\n",              /* CRLF */
        "-> a\n",                  /* no body: the MAC line is taken for it */
        ("-> a\n" FULL "\n"),      /* no short last line */
        ("-> a\n" FULL "A\n\n"),   /* 65 columns */
        "-> a\nAA\nAA\n",          /* two short lines */
        "-> a\nAA==\n",            /* padding */
        "-> a\nA\n",               /* not a whole byte */
        "-> a\nAB\n",              /* unused bits not zero */
        "-> a\nA-\n",              /* URL alphabet */
        ("-> a\n" FULL "\nA A\n"), /* space */
        " -> a\n\n",               /* space before */
        "--> a\n\n",
        "\n-> a\n\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_code(parse_stanzas(bad[i]), ENT_PEER_MALFORMED);
    assert_ok(parse_stanzas("-> a\n\n"));
    assert_ok(parse_stanzas("-> a\n" FULL "\n\n"));
    assert_ok(parse_stanzas("-> a b !~ c\n" FULL "\n" FULL "\nAAA\n-> --- ---\n\n"));
}

static void test_age_header__wrong_version_or_mac_line_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "age-encryption.org/v1",
        "age-encryption.org/v1\n",
        "age-encryption.org/v2\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n",
        "age-encryption.org/v1\r\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n",
        "AGE-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n",
        "age-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s",
        "age-encryption.org/v1\n-> a\n\n---HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n",
        "age-encryption.org/v1\n-> a\n\n---  HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n",
        "age-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s \n",
        "age-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75t\n",
        "age-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s=\n",
        "age-encryption.org/v1\n-> a\n\n--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG7w\n",
        "age-encryption.org/v1\n-> a\n\n---\n",
        "---\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_age_header header;
        memset(&header, 0x5a, sizeof header);
        const ent_age_header before = header;
        assert_code(parse(bad[i], &header, NULL), ENT_PEER_MALFORMED);
        assert_memory_equal(&header, &before, sizeof header);
    }
}

static void test_age_header__cut_anywhere_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof example - 1; size++) {
        ent_age_header header;
        assert_code(ent_age_header_parse(ent_bytes_of(example, size), &header, NULL), ENT_PEER_MALFORMED);
    }
}

static void test_age_header__too_many_stanzas_or_bytes_refused(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_age_header header;
    ent_buf_put_text(&text, ENT_AGE_VERSION_LINE);
    for (int i = 0; i < ENT_AGE_MAX_STANZAS; i++)
        ent_buf_put_string(&text, "-> a\n\n");
    size_t size = text.size;
    ent_buf_put_string(&text, mac_line);
    assert_ok(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL));
    assert_int_equal(header.stanza_count, ENT_AGE_MAX_STANZAS);
    ent_age_header_release(&header);
    text.size = size;
    ent_buf_put_string(&text, "-> a\n\n");
    ent_buf_put_string(&text, mac_line);
    assert_code(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL), ENT_PEER_TOO_LARGE);

    /* A header of exactly the largest size, then one byte more. */
    for (size_t more = 0; more <= 1; more++) {
        ent_buf_clear(&text);
        ent_buf_put_text(&text, ENT_AGE_VERSION_LINE);
        ent_buf_put_string(&text, "-> ");
        while (text.size < ENT_AGE_HEADER_MAX_BYTES + more - (sizeof mac_line - 1) - 2)
            ent_buf_put_u8(&text, 'a');
        ent_buf_put_string(&text, "\n\n");
        ent_buf_put_string(&text, mac_line);
        assert_int_equal(text.size, ENT_AGE_HEADER_MAX_BYTES + more);
        assert_code(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL), more == 0 ? ENT_OK : ENT_PEER_TOO_LARGE);
        if (more == 0)
            ent_age_header_release(&header);
    }
}

static void test_age_header__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_buf_put_text(&text, ENT_AGE_VERSION_LINE);
    ent_buf_put_string(&text, "-> ");
    for (int i = 0; i < 9000; i++)
        ent_buf_put_string(&text, "a ");
    ent_buf_put_string(&text, "a\n");
    for (int i = 0; i < 300; i++)
        ent_buf_put_string(&text, FULL "\n");
    ent_buf_put_string(&text, "\n");
    ent_buf_put_string(&text, mac_line);
    for (unsigned long nth = 1;; nth++) {
        ent_age_header header;
        memset(&header, 0x5a, sizeof header);
        const ent_age_header before = header;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_age_header_parse(ent_buf_bytes(&text), &header, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            ent_age_header_release(&header);
            assert_true(nth > 3);
            break;
        }
        assert_code(rc, ENT_NOMEM);
        assert_memory_equal(&header, &before, sizeof header);
    }
}

/* --- unwrap --- */

/* A header of these stanzas and a MAC by the fixed key; the text must outlive it. */
static void make_header(ent_buf *text, ent_text stanzas, ent_age_header *ret)
{
    ent_file_key key = fixed_key();
    ent_buf_clear(text);
    ent_buf_put_text(text, ENT_AGE_VERSION_LINE);
    ent_buf_put_text(text, stanzas);
    put_mac(text, &key);
    assert_ok(ent_age_header_parse(ent_buf_bytes(text), ret, NULL));
}

/* The stanza lines for the identities 01…01 and so on, with the fixed key. */
static void put_stanzas(ent_buf *ret, size_t count)
{
    ent_file_key key = fixed_key();
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ent_recipient recipients[ENT_AGE_MAX_RECIPIENTS];
    ENT_CLEANUP(ent_buf_release) ent_buf header = {0};
    fixed_nonce(nonce);
    for (size_t i = 0; i < count; i++)
        recipients[i] = recipient_of((uint8_t)(i + 1));
    assert_ok(ent_age_header_make(&key, nonce, recipients, count, &header, NULL));
    assert_int_equal(header.size, ent_age_header_size(count));
    ent_text text = ent_buf_text(&header);
    size_t start = ENT_AGE_VERSION_LINE.size;
    size_t mac = sizeof mac_line - 1;
    ent_buf_put_text(ret, (ent_text){text.data + start, text.size - start - mac});
}

static void test_unwrap__each_recipient_gets_the_key_and_others_nothing(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf stanzas = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_file_key expected = fixed_key();
    ent_age_header header;
    put_stanzas(&stanzas, ENT_AGE_MAX_RECIPIENTS);
    make_header(&text, ent_buf_text(&stanzas), &header);
    for (size_t i = 1; i <= ENT_AGE_MAX_RECIPIENTS + 1; i++) {
        ent_identity identity = identity_of((uint8_t)i);
        ent_file_key key = {{0x5a}};
        ent_rc rc = ent_age_unwrap(&header, &identity, &key, NULL);
        assert_code(rc, i <= ENT_AGE_MAX_RECIPIENTS ? ENT_OK : ENT_ABSENT);
        if (rc.code == ENT_OK)
            assert_memory_equal(key.bytes, expected.bytes, sizeof key.bytes);
        else
            assert_int_equal(key.bytes[0], 0x5a);
    }
    assert_true(ent_age_header_verify(&header, &expected));
    expected.bytes[15] ^= 1;
    assert_false(ent_age_header_verify(&header, &expected));
    ent_age_header_release(&header);
}

static void test_unwrap__unknown_stanzas_ignored(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf stanzas = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_age_header header;
    ent_file_key key;
    ent_identity identity = identity_of(1);
    ent_buf_put_string(&stanzas, "-> abc-grease 1 ,\nAAAA\n-> x25519\n\n");
    put_stanzas(&stanzas, 1);
    ent_buf_put_string(&stanzas, "-> X25519x too many arguments\n\n");
    make_header(&text, ent_buf_text(&stanzas), &header);
    assert_ok(ent_age_unwrap(&header, &identity, &key, NULL));
    ent_age_header_release(&header);
}

static void test_unwrap__malformed_x25519_or_mixed_scrypt_refused(void **state)
{
    (void)state;
#define SHARE "XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE"
#define BODY "qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E"
    static const char *const bad[] = {
        "-> X25519\n" BODY "\n",                                             /* no share */
        "-> X25519 " SHARE " " SHARE "\n" BODY "\n",                         /* two arguments */
        "-> X25519 " SHARE "=\n" BODY "\n",                                  /* padding */
        "-> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBF\n" BODY "\n", /* not canonical */
        "-> X25519 AAAA\n" BODY "\n",                                        /* short share */
        "-> X25519 " SHARE "AAAA\n" BODY "\n",                               /* long share */
        "-> X25519 " SHARE "\nAAAA\n",                                       /* short body */
        "-> X25519 " SHARE "\n" BODY "AAAA\n",                               /* long body */
        "-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" BODY "\n", /* shared secret zero */
        "-> scrypt ajMFur+EJLGaohv/dLRGnw 18\n" BODY "\n",                   /* scrypt mixed with X25519 */
    };
    ent_identity identity = identity_of(1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* Before our own stanza, so that its content is reached in every case; the form is checked behind it too. */
        ENT_CLEANUP(ent_buf_release) ent_buf stanzas = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_age_header header;
        ent_file_key key = {{0x5a}};
        ent_buf_put_string(&stanzas, bad[i]);
        put_stanzas(&stanzas, 1);
        make_header(&text, ent_buf_text(&stanzas), &header);
        assert_code(ent_age_unwrap(&header, &identity, &key, NULL), ENT_PEER_MALFORMED);
        assert_int_equal(key.bytes[0], 0x5a);
        ent_age_header_release(&header);
    }
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_age_header header;
    ent_file_key key;
    make_header(&text, ent_text_of(bad[9]), &header);
    assert_code(ent_age_unwrap(&header, &identity, &key, NULL), ENT_ABSENT);
    ent_age_header_release(&header);
    make_header(&text, ENT_TEXT("-> scrypt a 1\n\n-> scrypt b 2\n\n"), &header);
    assert_code(ent_age_unwrap(&header, &identity, &key, NULL), ENT_PEER_MALFORMED);
    ent_age_header_release(&header);
}

static void test_unwrap__changed_header_refused(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf stanzas = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_age_header header;
    ent_file_key key = {{0x5a}};
    ent_identity identity = identity_of(1);
    put_stanzas(&stanzas, 2);
    make_header(&text, ent_buf_text(&stanzas), &header);
    ent_age_header_release(&header);
    /* A character of the second recipient's share. */
    size_t stanza = ent_age_header_size(2) - ent_age_header_size(1);
    uint8_t *second = text.data + ENT_AGE_VERSION_LINE.size + stanza;
    assert_memory_equal(second, "-> X25519 ", 10);
    second[12] = second[12] == 'A' ? 'B' : 'A';
    assert_ok(ent_age_header_parse(ent_buf_bytes(&text), &header, NULL));
    assert_code(ent_age_unwrap(&header, &identity, &key, NULL), ENT_PEER_SIGNATURE);
    assert_int_equal(key.bytes[0], 0x5a);
    ent_age_header_release(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age_header__example_is_understood),
        cmocka_unit_test(test_age_header__every_body_size_round_trips),
        cmocka_unit_test(test_age_header__malformed_refused),
        cmocka_unit_test(test_age_header__wrong_version_or_mac_line_refused),
        cmocka_unit_test(test_age_header__cut_anywhere_refused),
        cmocka_unit_test(test_age_header__too_many_stanzas_or_bytes_refused),
        cmocka_unit_test(test_age_header__no_memory_leaves_nothing),
        cmocka_unit_test(test_unwrap__each_recipient_gets_the_key_and_others_nothing),
        cmocka_unit_test(test_unwrap__unknown_stanzas_ignored),
        cmocka_unit_test(test_unwrap__malformed_x25519_or_mixed_scrypt_refused),
        cmocka_unit_test(test_unwrap__changed_header_refused),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
