#include "fixture.h"

#include "base/alloc.h"

/* signed-note, Example */
#define FOO_VKEY "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
#define FOO_SIGNATURE "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
#define DASH "\xe2\x80\x94"
#define FOO_NOTE "This is an example message.\n\n" DASH " example.com/foo " FOO_SIGNATURE "\n"
#define SHORT_LINE DASH " a AAAAAAA=\n" /* id 00000000, signature 00 */

static int parse_code(const char *note)
{
    ent_note parsed = {.signature_count = 99};
    ent_rc rc = ent_note_parse(string_bytes(note), &parsed, NULL);
    if (rc.code == ENT_OK)
        ent_note_release(&parsed);
    else
        assert_int_equal(parsed.signature_count, 99);
    return rc.code;
}

static void test_note__published_example_verifies(void **state)
{
    (void)state;
    ent_vkey vkey;
    ent_note note;
    assert_ok(ent_vkey_parse(ENT_TEXT(FOO_VKEY), &vkey, NULL));
    assert_int_equal(vkey.type, ENT_KEY_ED25519);
    assert_true(ent_text_is(vkey.name, "example.com/foo"));
    assert_ok(ent_note_parse(string_bytes(FOO_NOTE), &note, NULL));
    assert_true(ent_text_is(note.text, "This is an example message.\n"));
    assert_int_equal(note.signature_count, 1);
    assert_true(ent_text_is(note.signatures[0].line, DASH " example.com/foo " FOO_SIGNATURE "\n"));
    assert_int_equal(ent_note_verify(&note, &vkey), ENT_SIGNATURE_VALID);
    ent_note_release(&note);
}

static void test_note__published_text_with_empty_line_splits_at_the_last(void **state)
{
    (void)state;
    static const char text[] = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n"
                               "ed \xc3\xa8 subito sera.\n";
    static const char line[] = DASH " quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJ"
                                    "KONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    static const uint8_t id[] = {0x36, 0x7b, 0xa0, 0x4b};
    char whole[512];
    ent_note note;
    (void)snprintf(whole, sizeof whole, "%s\n%s", text, line);
    assert_ok(ent_note_parse(string_bytes(whole), &note, NULL));
    assert_true(ent_text_is(note.text, text));
    assert_int_equal(note.signature_count, 1);
    assert_true(ent_text_is(note.signatures[0].name, "quasimodo.example/salvatore"));
    assert_memory_equal(note.signatures[0].id, id, sizeof id);
    assert_int_equal(note.signatures[0].signature.size, ENT_SIGNATURE_SIZE);
    ent_note_release(&note);
}

static void test_note__other_implementation_verifies(void **state)
{
    (void)state;
    ent_vkey vkey;
    ent_note note;
    assert_ok(ent_vkey_parse(ENT_TEXT(LOG_VKEY), &vkey, NULL));
    assert_ok(ent_note_parse(string_bytes(WITNESSED_NOTE), &note, NULL));
    assert_int_equal(note.signature_count, 3);
    assert_int_equal(ent_note_verify(&note, &vkey), ENT_SIGNATURE_VALID);
    ent_note_release(&note);
}

static void test_note__signed_equals_other_implementation(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(0, &key, &secret);
    ent_vkey vkey = fixed_vkey(LOG_NAME, ENT_KEY_ED25519, 0);
    ent_buf signed_note = {0};
    assert_ok(ent_note_sign(ENT_TEXT(WITNESSED_TEXT), &vkey, &secret, &signed_note, NULL));
    assert_true(ent_text_is(ent_buf_text(&signed_note), WITNESSED_TEXT "\n" LOG_LINE));
    ent_buf_release(&signed_note);
}

static void test_note__sign_then_parse_gives_the_text_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"\n", "a\n", "a\n\n", "\n\n\n", "a\n\n" SHORT_LINE, "\xf0\x9f\x94\x92\n"};
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(7, &key, &secret);
    ent_vkey vkey = fixed_vkey("k", ENT_KEY_ED25519, 7);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ent_buf buf = {0};
        ent_note note;
        assert_ok(ent_note_sign(ent_text_of(texts[i]), &vkey, &secret, &buf, NULL));
        assert_ok(ent_note_parse(ent_buf_bytes(&buf), &note, NULL));
        assert_true(ent_text_is(note.text, texts[i]));
        assert_int_equal(ent_note_verify(&note, &vkey), ENT_SIGNATURE_VALID);
        ent_note_release(&note);
        ent_buf_release(&buf);
    }
}

static void test_note__malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n" SHORT_LINE,               /* no empty line */
        "text\n\n" DASH " a AAAAAAA=",     /* no final newline */
        "text\n\n" SHORT_LINE "\n",        /* ends in an empty line */
        "text\n\n" SHORT_LINE "more\n",    /* not a signature line */
        "text\n\n- a AAAAAAA=\n",          /* hyphen */
        "text\n\n" DASH "a AAAAAAA=\n",    /* no space */
        "text\n\n" DASH "  AAAAAAA=\n",    /* no name */
        "text\n\n" DASH " a+b AAAAAAA=\n", /* plus in the name */
        "text\n\n" DASH " a\xc2\xa0"
        "b AAAAAAA=\n",                    /* no-break space in the name */
        "text\n\n" DASH " a\n",            /* no signature */
        "text\n\n" DASH " a \n",           /* empty signature */
        "text\n\n" DASH " a AAAAAA==\n",   /* key id alone */
        "text\n\n" DASH " a AAAAAAB=\n",   /* unused bits set */
        "text\n\n" DASH " a AAAAAAA\n",    /* no padding */
        "text\n\n" DASH " a AAAAAAA= \n",  /* space at the end */
        "text\n\n" DASH " a AAAA AAA=\n",  /* space inside */
        "text\n\n" DASH " a AAAAAAA=\r\n", /* carriage return */
        "te\txt\n\n" SHORT_LINE,           /* tab in the text */
        "te\x01xt\n\n" SHORT_LINE,         /* control character */
        "te\xffxt\n\n" SHORT_LINE,         /* no UTF-8 */
        "te\xc0\xafxt\n\n" SHORT_LINE,     /* overlong */
        "te\xed\xa0\x80xt\n\n" SHORT_LINE, /* surrogate */
        "text\n\n" DASH " a\xff AAAAAAA=\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse_code(bad[i]) != ENT_PEER_MALFORMED)
            fail_msg("note %zu was not refused: %s", i, bad[i]);
    }
    assert_int_equal(parse_code("text\n\n" SHORT_LINE), ENT_OK);
    assert_int_equal(parse_code("\n\n" SHORT_LINE), ENT_OK);
    assert_int_equal(parse_code("text\x7f\n\n" SHORT_LINE), ENT_OK);
    assert_code(ent_note_parse(ent_bytes_of("te\0t\n\n" SHORT_LINE, sizeof "te\0t\n\n" SHORT_LINE - 1), NULL, NULL),
                ENT_PEER_MALFORMED);
}

static int parse_with_lines(size_t lines)
{
    ent_buf buf = {0};
    ent_note note;
    ent_buf_put_string(&buf, "text\n\n");
    for (size_t i = 0; i < lines; i++)
        ent_buf_put_string(&buf, SHORT_LINE);
    ent_rc rc = ent_note_parse(ent_buf_bytes(&buf), &note, NULL);
    if (rc.code == ENT_OK) {
        assert_int_equal(note.signature_count, lines);
        ent_note_release(&note);
    }
    ent_buf_release(&buf);
    return rc.code;
}

static void test_note__sixteen_signatures_and_up_to_the_limit_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(parse_with_lines(1), ENT_OK);
    assert_int_equal(parse_with_lines(16), ENT_OK);
    assert_int_equal(parse_with_lines(ENT_NOTE_MAX_SIGNATURES), ENT_OK);
    assert_int_equal(parse_with_lines(ENT_NOTE_MAX_SIGNATURES + 1), ENT_PEER_TOO_LARGE);
}

static void test_note__larger_than_the_limit_is_refused(void **state)
{
    (void)state;
    static const char tail[] = "\n\n" SHORT_LINE;
    for (size_t over = 0; over < 2; over++) {
        size_t size = ENT_NOTE_MAX_BYTES + over;
        char *whole = malloc(size);
        ent_note note;
        assert_non_null(whole);
        memset(whole, 'a', size);
        memcpy(whole + size - (sizeof tail - 1), tail, sizeof tail - 1);
        ent_rc rc = ent_note_parse(ent_bytes_of(whole, size), &note, NULL);
        assert_int_equal(rc.code, over == 0 ? ENT_OK : ENT_PEER_TOO_LARGE);
        if (rc.code == ENT_OK)
            ent_note_release(&note);
        free(whole);
    }
}

/* "post-quantum signatures can be up to nearly 5kB in size" */
static void test_note__unknown_large_signature_is_carried(void **state)
{
    (void)state;
    uint8_t signature[4900];
    memset(signature, 0xa5, sizeof signature);
    ent_vkey vkey = fixed_vkey("big", ENT_KEY_ED25519, 1);
    ent_buf buf = {0};
    ent_note note;
    ent_buf_put_string(&buf, "text\n\n");
    ent_note_put_signature(&buf, &vkey, ent_bytes_of(signature, sizeof signature));
    assert_ok(ent_note_parse(ent_buf_bytes(&buf), &note, NULL));
    assert_true(ent_bytes_equal(note.signatures[0].signature, ent_bytes_of(signature, sizeof signature)));
    assert_int_equal(ent_note_verify(&note, &vkey), ENT_SIGNATURE_INVALID);
    ent_note_release(&note);
    ent_buf_release(&buf);
}

static void test_note__signature_of_any_size_round_trips(void **state)
{
    (void)state;
    ent_vkey vkey = fixed_vkey("k", ENT_KEY_ED25519, 1);
    uint8_t signature[100];
    for (size_t i = 0; i < sizeof signature; i++)
        signature[i] = (uint8_t)(i * 37);
    for (size_t size = 1; size <= sizeof signature; size++) {
        ent_buf buf = {0};
        ent_note note;
        ent_buf_put_string(&buf, "\n\n");
        ent_note_put_signature(&buf, &vkey, ent_bytes_of(signature, size));
        assert_ok(ent_note_parse(ent_buf_bytes(&buf), &note, NULL));
        assert_memory_equal(note.signatures[0].id, vkey.id, sizeof vkey.id);
        assert_true(ent_bytes_equal(note.signatures[0].signature, ent_bytes_of(signature, size)));
        ent_note_release(&note);
        ent_buf_release(&buf);
    }
}

static ent_signature_verdict verdict_of(const char *whole, const ent_vkey *vkey)
{
    ent_note note;
    assert_ok(ent_note_parse(string_bytes(whole), &note, NULL));
    ent_signature_verdict verdict = ent_note_verify(&note, vkey);
    ent_note_release(&note);
    return verdict;
}

static void test_note_verify__each_line_of_a_known_key_must_verify(void **state)
{
    (void)state;
    ent_vkey vkey;
    assert_ok(ent_vkey_parse(ENT_TEXT(LOG_VKEY), &vkey, NULL));
    assert_int_equal(verdict_of(WITNESSED_TEXT "\n" LOG_LINE LOG_LINE, &vkey), ENT_SIGNATURE_VALID);
    assert_int_equal(verdict_of(WITNESSED_TEXT "\n" WITNESS_ONE_LINE, &vkey), ENT_SIGNATURE_ABSENT);
    assert_int_equal(verdict_of("x" WITNESSED_TEXT "\n" LOG_LINE, &vkey), ENT_SIGNATURE_INVALID);
    /* One good line does not make up for a bad one with the same name and id. */
    static const char bad_line[] = DASH " " LOG_NAME " GjqohQA=\n";
    char whole[1024];
    (void)snprintf(whole, sizeof whole, "%s\n%s%s", WITNESSED_TEXT, LOG_LINE, bad_line);
    assert_int_equal(verdict_of(whole, &vkey), ENT_SIGNATURE_INVALID);
    /* "Verifiers MUST ignore signatures from unknown keys, even if they share a name or ID (but not both)". */
    (void)snprintf(whole, sizeof whole, "%s\n%s" DASH " " LOG_NAME " GjqohgA=\n" DASH " other GjqohQA=\n",
                   WITNESSED_TEXT, LOG_LINE);
    assert_int_equal(verdict_of(whole, &vkey), ENT_SIGNATURE_VALID);
}

static void test_note_verify__cosignature_key_is_not_checked(void **state)
{
    (void)state;
    ent_vkey vkey;
    assert_ok(ent_vkey_parse(ENT_TEXT(WITNESS_ONE_VKEY), &vkey, NULL));
    assert_int_equal(verdict_of(WITNESSED_NOTE, &vkey), ENT_SIGNATURE_NOT_CHECKED);
}

static void test_note_verify__any_flipped_bit_of_text_or_signature_fails(void **state)
{
    (void)state;
    ent_vkey vkey;
    assert_ok(ent_vkey_parse(ENT_TEXT(FOO_VKEY), &vkey, NULL));
    char whole[sizeof FOO_NOTE];
    for (size_t bit = 0; bit < (sizeof FOO_NOTE - 1) * 8; bit++) {
        ent_note note;
        memcpy(whole, FOO_NOTE, sizeof whole);
        whole[bit / 8] = (char)(whole[bit / 8] ^ 1 << bit % 8);
        if (ent_note_parse(ent_bytes_of(whole, sizeof whole - 1), &note, NULL).code != ENT_OK)
            continue;
        assert_int_not_equal(ent_note_verify(&note, &vkey), ENT_SIGNATURE_VALID);
        ent_note_release(&note);
    }
}

static void test_note_sign__what_cannot_be_a_note_is_refused(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(0, &key, &secret);
    ent_vkey vkey = fixed_vkey("k", ENT_KEY_ED25519, 0);
    static const char *const bad[] = {"", "no newline", "tab\t\n", "\xff\n", "\r\n"};
    ent_buf buf = {0};
    ent_buf_put_string(&buf, "kept");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_code(ent_note_sign(ent_text_of(bad[i]), &vkey, &secret, &buf, NULL), ENT_USAGE);
    ent_vkey cosigner = fixed_vkey("k", ENT_KEY_COSIGNATURE, 0);
    assert_code(ent_note_sign(ENT_TEXT("a\n"), &cosigner, &secret, &buf, NULL), ENT_USAGE);
    ent_vkey other = fixed_vkey("k", ENT_KEY_ED25519, 1);
    assert_code(ent_note_sign(ENT_TEXT("a\n"), &other, &secret, &buf, NULL), ENT_USAGE);

    char *large = malloc(ENT_NOTE_MAX_BYTES + 1);
    assert_non_null(large);
    memset(large, '\n', ENT_NOTE_MAX_BYTES + 1);
    assert_code(ent_note_sign((ent_text){large, ENT_NOTE_MAX_BYTES}, &vkey, &secret, &buf, NULL), ENT_USAGE);
    assert_code(ent_note_sign((ent_text){large, ENT_NOTE_MAX_BYTES + 1}, &vkey, &secret, &buf, NULL), ENT_USAGE);
    free(large);
    assert_true(ent_text_is(ent_buf_text(&buf), "kept"));
    ent_buf_release(&buf);
}

static void test_key_name__spaces_plus_and_control_characters_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a+b",
        "a b",
        "a\tb",
        "a\nb",
        "a\x0b",
        "a\x0c",
        "a\rb",
        "\x1f",
        "\x01",
        "a\xc2\x85",
        "a\xc2\xa0",
        "\xe1\x9a\x80",
        "\xe2\x80\x80",
        "\xe2\x80\x81",
        "\xe2\x80\x82",
        "\xe2\x80\x83",
        "\xe2\x80\x84",
        "\xe2\x80\x85",
        "\xe2\x80\x86",
        "\xe2\x80\x87",
        "\xe2\x80\x88",
        "\xe2\x80\x89",
        "\xe2\x80\x8a",
        "\xe2\x80\xa8",
        "\xe2\x80\xa9",
        "\xe2\x80\xaf",
        "\xe2\x81\x9f",
        "\xe3\x80\x80",
        "\xff",
        "\xc3",
    };
    static const char *const good[] = {
        "a",
        "example.com/foo",
        "\xc3\xa8",
        "\xe2\x80\x8b",
        "\xe2\x80\xa7",
        "\xe1\x9a\x81",
        "\xe3\x80\x81",
        "\xe2\x81\xa0",
        "\xf0\x9f\x94\x92",
        "oid/1.2.3",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ent_key_name_valid(ent_text_of(bad[i])))
            fail_msg("bad name %zu was accepted", i);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!ent_key_name_valid(ent_text_of(good[i])))
            fail_msg("good name %zu was refused", i);
    }
    char longest[ENT_KEY_NAME_MAX_BYTES + 1];
    memset(longest, 'n', sizeof longest);
    assert_true(ent_key_name_valid((ent_text){longest, ENT_KEY_NAME_MAX_BYTES}));
    assert_false(ent_key_name_valid((ent_text){longest, ENT_KEY_NAME_MAX_BYTES + 1}));
}

static void test_vkey__round_trips(void **state)
{
    (void)state;
    static const char *const keys[] = {FOO_VKEY, LOG_VKEY, WITNESS_ONE_VKEY, WITNESS_TWO_VKEY};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        ent_vkey vkey;
        ent_buf buf = {0};
        assert_ok(ent_vkey_parse(ent_text_of(keys[i]), &vkey, NULL));
        ent_vkey_put(&buf, &vkey);
        assert_true(ent_text_is(ent_buf_text(&buf), keys[i]));
        ent_buf_release(&buf);
    }
}

static void test_vkey__made_equals_other_implementation(void **state)
{
    (void)state;
    ent_vkey log = fixed_vkey(LOG_NAME, ENT_KEY_ED25519, 0);
    ent_vkey witness = fixed_vkey("witness.example/one", ENT_KEY_COSIGNATURE, 32);
    ent_buf buf = {0};
    ent_vkey_put(&buf, &log);
    ent_vkey_put(&buf, &witness);
    assert_true(ent_text_is(ent_buf_text(&buf), LOG_VKEY WITNESS_ONE_VKEY));
    ent_buf_release(&buf);
}

static void test_vkey__malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "+",
        "++",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903a+",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", /* id of another key */
        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", /* id of another name */
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", /* upper case */
        "example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        " example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", /* type 02 */
        "a+b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_vkey vkey = {.name = {NULL, 42}};
        if (ent_vkey_parse(ent_text_of(bad[i]), &vkey, NULL).code != ENT_PEER_MALFORMED)
            fail_msg("vkey %zu was not refused: %s", i, bad[i]);
        assert_int_equal(vkey.name.size, 42);
    }
}

static void test_vkey_make__bad_name_or_type_is_refused(void **state)
{
    (void)state;
    ent_public_key key = {{0}};
    ent_vkey vkey;
    assert_code(ent_vkey_make(ENT_TEXT("a b"), ENT_KEY_ED25519, &key, &vkey, NULL), ENT_USAGE);
    assert_code(ent_vkey_make(ENT_TEXT("a"), (ent_key_type)0x06, &key, &vkey, NULL), ENT_USAGE);
}

static void test_note__failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(0, &key, &secret);
    ent_vkey vkey = fixed_vkey("k", ENT_KEY_ED25519, 0);
    size_t failures = 0;
    for (unsigned long nth = 1;; nth++) {
        ent_note note = {.signature_count = 99};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_note_parse(string_bytes(WITNESSED_NOTE), &note, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            ent_note_release(&note);
            break;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
        assert_int_equal(note.signature_count, 99);
        failures++;
    }
    assert_true(failures >= 2);
    for (unsigned long nth = 1;; nth++) {
        ent_buf buf = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_note_sign(ENT_TEXT("text\n"), &vkey, &secret, &buf, NULL);
        ent_alloc_fail_at(0);
        if (rc.code != ENT_OK) {
            assert_int_equal(rc.code, ENT_NOMEM);
            assert_int_equal(buf.size, 0);
        }
        ent_buf_release(&buf);
        if (rc.code == ENT_OK)
            break;
    }
    ent_note_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_note__published_example_verifies),
        cmocka_unit_test(test_note__published_text_with_empty_line_splits_at_the_last),
        cmocka_unit_test(test_note__other_implementation_verifies),
        cmocka_unit_test(test_note__signed_equals_other_implementation),
        cmocka_unit_test(test_note__sign_then_parse_gives_the_text_back),
        cmocka_unit_test(test_note__malformed_is_refused),
        cmocka_unit_test(test_note__sixteen_signatures_and_up_to_the_limit_are_accepted),
        cmocka_unit_test(test_note__larger_than_the_limit_is_refused),
        cmocka_unit_test(test_note__unknown_large_signature_is_carried),
        cmocka_unit_test(test_note__signature_of_any_size_round_trips),
        cmocka_unit_test(test_note_verify__each_line_of_a_known_key_must_verify),
        cmocka_unit_test(test_note_verify__cosignature_key_is_not_checked),
        cmocka_unit_test(test_note_verify__any_flipped_bit_of_text_or_signature_fails),
        cmocka_unit_test(test_note_sign__what_cannot_be_a_note_is_refused),
        cmocka_unit_test(test_key_name__spaces_plus_and_control_characters_are_refused),
        cmocka_unit_test(test_vkey__round_trips),
        cmocka_unit_test(test_vkey__made_equals_other_implementation),
        cmocka_unit_test(test_vkey__malformed_is_refused),
        cmocka_unit_test(test_vkey_make__bad_name_or_type_is_refused),
        cmocka_unit_test(test_note__failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
