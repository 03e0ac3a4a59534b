#include "testing.h"

#include "base/config.h"
#include "base/file.h"
#include "cli/setup.h"
#include "crypto/crypto.h"
#include "keeper/keeper.h"

#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

static int make_folder(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *path = NULL;
    if (ent_crypto_init(NULL).code != ENT_OK ||
        asprintf(&path, "%s/entente-test-XXXXXX", parent == NULL ? "/tmp" : parent) < 0 || mkdtemp(path) == NULL)
        return -1;
    *state = path;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static int remove_folder(void **state)
{
    int rc = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

static ent_cli_setup setup_of(void)
{
    return (ent_cli_setup){.name = "aurora.example", .listen = "127.0.0.1:8443", .url = "https://aurora.example:8443"};
}

static char *below(const char *folder, const char *name)
{
    char *path = ent_file_join(folder, name);
    assert_non_null(path);
    return path;
}

static bool exists(const char *folder, const char *name)
{
    char *path = below(folder, name);
    bool there = ent_file_exists(path);
    ent_free(path);
    return there;
}

/* The folder holds one whole node: a card whose keys are those that the keeper opens. */
static void check_whole(const char *folder, ent_bytes passphrase)
{
    ent_paths paths = {0};
    ent_buf note = {0};
    ent_card_opened card = {0};
    ent_config config = {0};
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    assert_ok(ent_paths_make(folder, &paths, &err));
    assert_ok(ent_config_read(paths.config, &config, &err));
    assert_string_equal(config.name, "aurora.example");
    assert_ok(ent_file_read(paths.card, ENT_CARD_MAX_BYTES, &note, &err));
    assert_ok(ent_card_parse(ent_buf_bytes(&note), &card, &err));
    assert_ok(ent_keeper_open(paths.keys, paths.marks, passphrase, &keeper, &err));
    assert_true(ent_public_key_equal(&ent_keeper_public_keys(keeper)->log, &card.card.log));
    assert_true(ent_public_key_equal(&ent_keeper_public_keys(keeper)->receipt, &card.card.receipt));
    assert_memory_equal(&ent_keeper_public_keys(keeper)->age, &card.card.age, sizeof card.card.age);
    assert_false(exists(folder, "init.unfinished"));
    ent_keeper_free(keeper);
    ent_card_release(&card);
    ent_config_release(&config);
    ent_buf_release(&note);
    ent_paths_release(&paths);
}

static void test_setup__makes_a_whole_node(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    assert_ok(ent_cli_setup_make(*state, &setup, fingerprint, &err));
    assert_int_equal(strlen(fingerprint), ENT_FINGERPRINT_TEXT_SIZE);
    check_whole(*state, (ent_bytes){NULL, 0});
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_REFUSED);
    assert_contains(err.text, "already");
    check_whole(*state, (ent_bytes){NULL, 0});
}

static void test_setup__unfinished_try_is_repeated(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    char first[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    ent_buf marker = {0};
    char *config = below(*state, "node.json");
    char *path = below(*state, "init.unfinished");
    assert_ok(ent_cli_setup_make(*state, &setup, first, &err));
    /* As a crash just before the last step leaves it. */
    assert_int_equal(unlink(config), 0);
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_REFUSED);
    ent_buf_put_format(&marker, "root-inside\n%s/root", (const char *)*state);
    assert_ok(ent_file_create(path, 0600, ent_buf_bytes(&marker), &err));
    assert_ok(ent_cli_setup_make(*state, &setup, fingerprint, &err));
    assert_string_not_equal(first, fingerprint);
    check_whole(*state, (ent_bytes){NULL, 0});
    /* A crash just after it: the node is whole. */
    assert_ok(ent_file_create(path, 0600, ent_buf_bytes(&marker), &err));
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_REFUSED);
    check_whole(*state, (ent_bytes){NULL, 0});
    ent_free(config);
    ent_free(path);
    ent_buf_release(&marker);
}

static void test_setup__node_without_configuration_is_not_touched(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    char *store = below(*state, "store");
    assert_int_equal(mkdir(store, 0700), 0);
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_REFUSED);
    assert_contains(err.text, "damaged node");
    assert_false(exists(*state, "keys"));
    ent_free(store);
}

static void test_setup__used_root_folder_refused(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    char *root = below(*state, "stick");
    char *first = below(*state, "first");
    char *second = below(*state, "second");
    setup.root_folder = root;
    assert_ok(ent_cli_setup_make(first, &setup, fingerprint, &err));
    assert_true(exists(root, "root.key"));
    assert_code(ent_cli_setup_make(second, &setup, fingerprint, &err), ENT_REFUSED);
    assert_contains(err.text, "root key belongs to one party");
    assert_true(exists(root, "root.key"));
    ent_free(root);
    ent_free(first);
    ent_free(second);
}

static void test_setup__card_not_allowed_leaves_nothing(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1] = "untouched";
    ent_err err = {0};
    setup.url = "http://aurora.example"; /* not https */
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_USAGE);
    assert_string_equal(fingerprint, "untouched");
    assert_false(exists(*state, "keys"));
    assert_false(exists(*state, "root"));
    assert_false(exists(*state, "card"));
    assert_false(exists(*state, "init.unfinished"));
    setup.url = "https://aurora.example:8443";
    assert_ok(ent_cli_setup_make(*state, &setup, fingerprint, &err));
    check_whole(*state, (ent_bytes){NULL, 0});
}

static void test_setup__open_folder_of_others_refused(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    struct stat status;
    char *other = below(*state, "other");
    assert_int_equal(chmod(*state, 0755), 0);
    assert_ok(ent_file_create(other, 0600, ent_bytes_of("x", 1), &err));
    assert_code(ent_cli_setup_make(*state, &setup, fingerprint, &err), ENT_REFUSED);
    assert_int_equal(stat(*state, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    assert_int_equal(unlink(other), 0);
    assert_ok(ent_cli_setup_make(*state, &setup, fingerprint, &err));
    assert_int_equal(stat(*state, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    ent_free(other);
}

/* Each allocation in turn, until none fails: never half a node, always a next try. */
static void test_setup__no_memory_leaves_a_next_try(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    for (unsigned long nth = 1; nth < 2000; nth++) {
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_cli_setup_make(*state, &setup, fingerprint, &err);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            check_whole(*state, (ent_bytes){NULL, 0});
            return;
        }
        assert_false(exists(*state, "node.json"));
    }
    fail();
}

/* A file system that takes no more bytes. */
static void test_setup__full_disk_leaves_a_next_try(void **state)
{
    ent_cli_setup setup = setup_of();
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_err err = {0};
    struct rlimit before;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &old), 0);
    for (rlim_t limit = 0; limit < 1000; limit += 90) {
        struct rlimit now = {limit, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
        ent_rc rc = ent_cli_setup_make(*state, &setup, fingerprint, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (rc.code == ENT_OK)
            break;
        assert_int_equal(ent_code_class(rc.code), ENT_CLASS_IO);
        assert_false(exists(*state, "node.json"));
        assert_false(exists(*state, "keys"));
    }
    assert_int_equal(sigaction(SIGXFSZ, &old, NULL), 0);
    if (!exists(*state, "node.json"))
        assert_ok(ent_cli_setup_make(*state, &setup, fingerprint, &err));
    check_whole(*state, (ent_bytes){NULL, 0});
}

static void test_setup__contact_read(void **state)
{
    ent_card_contact contact = {0};
    ent_err err = {0};
    (void)state;
    assert_ok(
        ent_cli_contact_read(ENT_TEXT("technical;Ada;Duty officer;+1 555;a@b.example;en,fr;24/7"), &contact, &err));
    assert_text(contact.role, "technical");
    assert_text(contact.name, "Ada");
    assert_text(contact.phone, "+1 555");
    assert_text(contact.hours, "24/7");
    assert_int_equal(contact.language_count, 2);
    assert_text(contact.languages[1], "fr");
    assert_ok(ent_cli_contact_read(ENT_TEXT("diplomatic;;;1;;;"), &contact, &err));
    assert_int_equal(contact.language_count, 0);
    assert_code(ent_cli_contact_read(ENT_TEXT("technical;a;b;c;d;e"), &contact, &err), ENT_USAGE);
    assert_code(ent_cli_contact_read(ENT_TEXT("technical;a;b;c;d;e;f;g"), &contact, &err), ENT_USAGE);
    assert_code(ent_cli_contact_read(ENT_TEXT("Technical;a;b;c;d;e;f"), &contact, &err), ENT_USAGE);
    assert_code(ent_cli_contact_read(ENT_TEXT("technical;a;b;c;d;a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q;f"), &contact, &err),
                ENT_USAGE);
    assert_text(contact.role, "diplomatic");
}

static void test_setup__listen_checked(void **state)
{
    static const char *const bad[] = {"8443", ":8443", "host", "host:", "host:65536", "::1:8443", "host:+1", "[]:1"};
    uint64_t port = 0;
    (void)state;
    assert_ok(ent_cli_listen_check("0.0.0.0:8443", &port, NULL));
    assert_int_equal(port, 8443);
    assert_ok(ent_cli_listen_check("[::1]:0", &port, NULL));
    assert_int_equal(port, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(ent_cli_listen_check(bad[i], &port, NULL), ENT_USAGE);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_setup__makes_a_whole_node),
        IN_FOLDER(test_setup__unfinished_try_is_repeated),
        IN_FOLDER(test_setup__node_without_configuration_is_not_touched),
        IN_FOLDER(test_setup__used_root_folder_refused),
        IN_FOLDER(test_setup__card_not_allowed_leaves_nothing),
        IN_FOLDER(test_setup__open_folder_of_others_refused),
        IN_FOLDER(test_setup__no_memory_leaves_a_next_try),
        IN_FOLDER(test_setup__full_disk_leaves_a_next_try),
        cmocka_unit_test(test_setup__contact_read),
        cmocka_unit_test(test_setup__listen_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
