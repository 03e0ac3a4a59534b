#include "testing.h"

#include "keeper/key_file.h"

#include <fcntl.h>

static const char secret[] = "a secret of some bytes";

static ent_bytes secret_bytes(void)
{
    return ent_bytes_of(secret, sizeof secret - 1);
}

static ent_key_lock lock_of(const char *passphrase)
{
    return (ent_key_lock){.passphrase = ent_text_bytes(ent_text_of(passphrase))};
}

/* Create and read again. */
static void check_round_trip(void **state, const char *passphrase)
{
    ent_key_lock lock = lock_of(passphrase);
    ent_key_lock again = lock_of(passphrase);
    ent_buf found = {0};
    struct stat status;
    char *path = below(state, "a.key");
    assert_ok(ent_key_file_create(path, "log", secret_bytes(), &lock, NULL));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_ok(ent_key_file_read(path, "log", &again, &found, NULL));
    assert_true(ent_bytes_equal(ent_buf_bytes(&found), secret_bytes()));
    ent_buf_wipe(&found);
    ent_key_lock_release(&lock);
    ent_key_lock_release(&again);
    ent_free(path);
}

static void test_key_file__plain_round_trip(void **state)
{
    ent_buf file = {0};
    char *path = below(state, "a.key");
    check_round_trip(state, NULL);
    assert_ok(ent_key_file_load(path, &file, NULL));
    assert_true(ent_text_is(ent_buf_text(&file), "entente.key/v1 log\nYSBzZWNyZXQgb2Ygc29tZSBieXRlcw==\n"));
    ent_buf_wipe(&file);
    ent_free(path);
}

static void test_key_file__sealed_round_trip(void **state)
{
    ent_buf file = {0};
    char *path = below(state, "a.key");
    check_round_trip(state, "correct horse");
    assert_ok(ent_key_file_load(path, &file, NULL));
    assert_true(ent_text_starts(ent_buf_text(&file), ENT_TEXT("entente.key/v1 log argon2id ")));
    assert_null(memmem(file.data, file.size, "YSBzZWNy", 8));
    ent_buf_wipe(&file);
    ent_free(path);
}

static void check_refused(const char *path, const char *role, const char *passphrase, int code, const char *reason)
{
    ent_key_lock lock = lock_of(passphrase);
    ent_buf found = {0};
    ent_err err = {0};
    assert_code(ent_key_file_read(path, role, &lock, &found, &err), code);
    assert_contains(err.text, reason);
    assert_int_equal(found.size, 0);
    ent_buf_wipe(&found);
    ent_key_lock_release(&lock);
}

static void test_key_file__wrong_passphrase_refused(void **state)
{
    char *path = below(state, "a.key");
    check_round_trip(state, "correct horse");
    check_refused(path, "log", "wrong horse", ENT_REFUSED, "passphrase does not open");
    check_refused(path, "log", NULL, ENT_REFUSED, "--passphrase-file");
    check_refused(path, "receipt", "correct horse", ENT_PEER_MALFORMED, "first line");
    ent_free(path);
}

static void test_key_file__one_derivation_for_a_folder(void **state)
{
    ent_key_lock lock = lock_of("correct horse");
    ent_key_lock again = lock_of("correct horse");
    char *first = below(state, "a.key");
    char *second = below(state, "b.key");
    ent_buf found = {0};
    assert_ok(ent_key_file_create(first, "log", secret_bytes(), &lock, NULL));
    ent_aead_key key = lock.key;
    assert_ok(ent_key_file_create(second, "receipt", secret_bytes(), &lock, NULL));
    assert_memory_equal(&key, &lock.key, sizeof key);
    /* One salt, and yet one file does not open as the other. */
    assert_ok(ent_key_file_read(first, "log", &again, &found, NULL));
    ent_buf a = {0};
    ent_buf b = {0};
    assert_ok(ent_key_file_load(first, &a, NULL));
    assert_ok(ent_key_file_load(second, &b, NULL));
    size_t prefix = strlen("entente.key/v1 log argon2id ");
    assert_memory_equal(a.data + prefix, b.data + prefix + strlen("receipt") - strlen("log"), 24);
    const char *body = strchr(ent_buf_string(&b), '\n');
    ent_buf mixed = {0};
    ent_buf_put(&mixed, ent_bytes_of(a.data, strcspn(ent_buf_string(&a), "\n")));
    ent_buf_put_string(&mixed, body);
    ent_buf none = {0};
    assert_code(ent_key_file_parse(ent_buf_bytes(&mixed), "log", &again, &none, NULL), ENT_REFUSED);
    ent_buf_wipe(&found);
    ent_buf_release(&a);
    ent_buf_release(&b);
    ent_buf_release(&mixed);
    ent_buf_wipe(&none);
    ent_key_lock_release(&lock);
    ent_key_lock_release(&again);
    ent_free(first);
    ent_free(second);
}

static void test_key_file__existing_not_overwritten(void **state)
{
    ent_key_lock lock = lock_of(NULL);
    char *path = below(state, "a.key");
    check_round_trip(state, NULL);
    assert_code(ent_key_file_create(path, "log", ent_bytes_of("other", 5), &lock, NULL), ENT_REFUSED);
    ent_buf found = {0};
    assert_ok(ent_key_file_read(path, "log", &lock, &found, NULL));
    assert_true(ent_bytes_equal(ent_buf_bytes(&found), secret_bytes()));
    ent_buf_wipe(&found);
    ent_free(path);
}

static void test_key_file__readable_by_others_refused(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0601, 0660};
    char *path = below(state, "a.key");
    check_round_trip(state, NULL);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        check_refused(path, "log", NULL, ENT_REFUSED, "chmod 600");
    }
    assert_int_equal(chmod(path, 0400), 0);
    ent_key_lock lock = lock_of(NULL);
    ent_buf found = {0};
    assert_ok(ent_key_file_read(path, "log", &lock, &found, NULL));
    ent_buf_wipe(&found);
    ent_free(path);
}

static void test_key_file__absent_told(void **state)
{
    char *path = below(state, "absent.key");
    check_refused(path, "log", NULL, ENT_ABSENT, "absent.key");
    ent_free(path);
}

static void check_malformed(const char *text, size_t size)
{
    ent_key_lock lock = lock_of("pass");
    ent_buf found = {0};
    ent_rc rc = ent_key_file_parse(ent_bytes_of(text, size), "log", &lock, &found, NULL);
    if (rc.code != ENT_PEER_MALFORMED)
        fail_msg("%.*s: code %d", (int)size, text, rc.code);
    assert_int_equal(found.size, 0);
    ent_buf_wipe(&found);
    ent_key_lock_release(&lock);
}

static void test_key_file__malformed_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "entente.key/v1 log",
        "entente.key/v1 log\n",
        "entente.key/v1 log\nYQ==",
        "entente.key/v1 log\nYQ==\n\n",
        "entente.key/v1 log\nYQ=\n",
        "entente.key/v1 log\nYR==\n",
        "entente.key/v1 log\r\nYQ==\n",
        "entente.key/v1 log \nYQ==\n",
        "entente.key/v1 logs\nYQ==\n",
        "entente.key/v2 log\nYQ==\n",
        "entente.key/v1 receipt\nYQ==\n",
        "entente.key/v1 log argon2id\nYQ==\n",
        "entente.key/v1 log argon2id AAAA\nYQ==\n",
        "entente.key/v1 log argon2id AAAAAAAAAAAAAAAAAAAAAA==\nAAAA\n", /* too short to be sealed */
        " entente.key/v1 log\nYQ==\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_malformed(bad[i], strlen(bad[i]));
    check_malformed("entente.key/v1 log\nYQ==\n\0", sizeof "entente.key/v1 log\nYQ==\n\0" - 1);
}

static void test_key_file__too_large_refused(void **state)
{
    ent_buf file = {0};
    ent_buf found = {0};
    char *path = below(state, "a.key");
    for (size_t i = 0; i <= ENT_KEY_FILE_MAX_BYTES; i++)
        ent_buf_put_u8(&file, 'A');
    assert_ok(ent_file_create(path, 0600, ent_buf_bytes(&file), NULL));
    assert_code(ent_key_file_load(path, &found, NULL), ENT_PEER_TOO_LARGE);
    ent_buf_release(&file);
    ent_buf_release(&found);
    ent_free(path);
}

static void test_key_file__no_memory_no_leak(void **state)
{
    char *path = below(state, "a.key");
    ent_key_lock lock = lock_of(NULL);
    for (unsigned long nth = 1;; nth++) {
        assert_in_range(nth, 1, 100);
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_key_file_create(path, "log", secret_bytes(), &lock, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK)
            break;
        assert_code(rc, ENT_NOMEM);
        if (ent_file_exists(path))
            assert_int_equal(unlink(path), 0);
    }
    for (unsigned long nth = 1;; nth++) {
        ent_buf found = {0};
        assert_in_range(nth, 1, 100);
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_key_file_read(path, "log", &lock, &found, NULL);
        ent_alloc_fail_at(0);
        bool done = rc.code == ENT_OK;
        if (!done) {
            assert_code(rc, ENT_NOMEM);
            assert_int_equal(found.size, 0);
        }
        ent_buf_wipe(&found);
        if (done)
            break;
    }
    ent_free(path);
}

static void test_key_file__failed_write_leaves_no_file(void **state)
{
    char *path = below(state, "a.key");
    ent_key_lock lock = lock_of(NULL);
    limit_files(10);
    ent_rc rc = ent_key_file_create(path, "log", secret_bytes(), &lock, NULL);
    limit_files(RLIM_INFINITY);
    assert_int_equal(ent_code_class(rc.code), ENT_CLASS_IO);
    assert_false(ent_file_exists(path));
    check_round_trip(state, NULL);
    ent_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_key_file__plain_round_trip),
        IN_FOLDER(test_key_file__sealed_round_trip),
        IN_FOLDER(test_key_file__wrong_passphrase_refused),
        IN_FOLDER(test_key_file__one_derivation_for_a_folder),
        IN_FOLDER(test_key_file__existing_not_overwritten),
        IN_FOLDER(test_key_file__readable_by_others_refused),
        IN_FOLDER(test_key_file__absent_told),
        IN_FOLDER(test_key_file__malformed_refused),
        IN_FOLDER(test_key_file__too_large_refused),
        IN_FOLDER(test_key_file__no_memory_no_leak),
        IN_FOLDER(test_key_file__failed_write_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
