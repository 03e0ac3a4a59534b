#include "testing.h"

#include "base/clock.h"
#include "keeper/keeper.h"
#include "log/cosignature.h"
#include "seal/bech32.h"

#include <sys/wait.h>

static const char origin[] = "aurora.example/entente/0000000000000000000000000000000000000000000000000000000000000000";
static const char other[] = "boreal.example/entente/0000000000000000000000000000000000000000000000000000000000000000";

typedef struct {
    char *keys;
    char *marks;
    ent_keeper_publics publics;
} home;

static home make_home(void **state, const char *passphrase)
{
    home made = {.keys = below(state, "keys"), .marks = below(state, "marks")};
    ent_err err = {0};
    ent_rc rc = ent_keeper_create(made.keys, ENT_TEXT("aurora.example"), ent_text_bytes(ent_text_of(passphrase)),
                                  ent_bytes_of("TLS KEY", 7), &made.publics, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    return made;
}

static void release_home(home *made)
{
    ent_free(made->keys);
    ent_free(made->marks);
}

static ent_keeper *open_keeper(const home *made)
{
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    ent_rc rc = ent_keeper_open(made->keys, made->marks, (ent_bytes){NULL, 0}, &keeper, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    return keeper;
}

enum { MOST_PROOFS = 64 };

/* A log whose every entry is this number, so that another number is another log of that size. */
static ent_tree tree_of(uint64_t size, uint8_t number)
{
    ent_tree tree = {.size = 0};
    ent_hash leaf;
    memset(leaf.bytes, number, sizeof leaf.bytes);
    for (uint64_t i = 0; i < size; i++)
        assert_ok(ent_tree_append(&tree, &leaf, NULL));
    return tree;
}

/* A proof that the log of this size extends itself at the size before; lives until the test is over. */
static const ent_tree_proof *extending(uint64_t old_size, uint64_t size, uint8_t number)
{
    static ent_tree_proof proofs[MOST_PROOFS];
    static size_t used;
    ent_tree_proof *proof = &proofs[used++ % MOST_PROOFS];
    ent_hash leaves[64];
    ent_tree old_tree = tree_of(old_size, number);
    assert_in_range(size - old_size, 0, 64);
    memset(leaves, number, sizeof leaves);
    assert_ok(ent_consistency_extend(&old_tree, leaves, size - old_size, proof, NULL));
    return proof;
}

static ent_keeper_request request_of(ent_keeper_what what, const char *of, uint64_t size, uint8_t root, uint64_t time)
{
    ent_keeper_request request = {
        .what = what, .origin = ent_text_of(of), .head = {.size = size}, .timestamp_unix_s = time};
    ent_tree tree = tree_of(size, root);
    ent_tree_root(&tree, &request.head.root);
    return request;
}

static ent_keeper_request larger_of(ent_keeper_what what, const char *of, uint64_t old_size, uint64_t size,
                                    uint8_t root, uint64_t time)
{
    ent_keeper_request request = request_of(what, of, size, root, time);
    request.extends = extending(old_size, size, root);
    return request;
}

static ent_signature sign(ent_keeper *keeper, ent_keeper_request request)
{
    ent_err err = {0};
    assert_ok(ent_keeper_sign(keeper, &request, 1, &err));
    if (request.rc.code != ENT_OK)
        fail_msg("%s", err.text);
    return request.signature;
}

static void refuse(ent_keeper *keeper, ent_keeper_request request, const char *reason)
{
    ent_err err = {0};
    assert_ok(ent_keeper_sign(keeper, &request, 1, &err));
    assert_code(request.rc, ENT_REFUSED_KEEPER);
    assert_contains(err.text, reason);
    ent_signature none = {0};
    assert_memory_equal(&request.signature, &none, sizeof none);
}

static void checkpoint_text(const ent_keeper_request *request, ent_buf *ret)
{
    ent_checkpoint_put(ret, request->origin, &request->head);
    assert_ok(ent_buf_check(ret, NULL));
}

static void test_keeper__opens_what_was_created(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_buf tls = {0};
    assert_memory_equal(ent_keeper_public_keys(keeper), &made.publics, sizeof made.publics);
    assert_ok(ent_keeper_tls_key(keeper, 1, &tls, NULL));
    assert_true(ent_text_is(ent_buf_text(&tls), "TLS KEY"));
    ent_buf_wipe(&tls);
    ent_keeper_free(keeper);
    ent_keeper_free(NULL);
    release_home(&made);
}

static void test_keeper__creating_twice_refused(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper_publics publics;
    assert_code(ent_keeper_create(made.keys, ENT_TEXT("aurora.example"), (ent_bytes){NULL, 0}, ent_bytes_of("x", 1),
                                  &publics, NULL),
                ENT_REFUSED);
    ent_keeper *keeper = open_keeper(&made);
    assert_memory_equal(ent_keeper_public_keys(keeper), &made.publics, sizeof made.publics);
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__passphrase_opens_all_or_nothing(void **state)
{
    home made = make_home(state, "correct horse");
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    assert_code(ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, &err), ENT_REFUSED);
    assert_contains(err.text, "--passphrase-file");
    assert_code(ent_keeper_open(made.keys, made.marks, ent_bytes_of("wrong", 5), &keeper, &err), ENT_REFUSED);
    assert_contains(err.text, "log.key");
    assert_null(keeper);
    assert_ok(ent_keeper_open(made.keys, made.marks, ent_bytes_of("correct horse", 13), &keeper, &err));
    assert_memory_equal(ent_keeper_public_keys(keeper), &made.publics, sizeof made.publics);
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__file_that_others_can_read_refused(void **state)
{
    static const char *const names[] = {"log.key", "receipt.key", "age.key", "tls.key"};
    home made = make_home(state, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ent_keeper *keeper = NULL;
        ent_err err = {0};
        char *path = ent_file_join(made.keys, names[i]);
        assert_int_equal(chmod(path, 0644), 0);
        assert_code(ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, &err), ENT_REFUSED);
        assert_contains(err.text, names[i]);
        assert_contains(err.text, "0644");
        assert_int_equal(chmod(path, 0600), 0);
        ent_free(path);
    }
    ent_keeper_free(open_keeper(&made));
    release_home(&made);
}

/* What damage looks like may be mended, so it is not taken for a loss. */
static void test_keeper__damaged_file_told(void **state)
{
    static const char *const names[] = {"log.key", "receipt.key", "age.key", "tls.key"};
    home made = make_home(state, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ent_keeper *keeper = NULL;
        ent_err err = {0};
        ent_buf good = {0};
        char *path = ent_file_join(made.keys, names[i]);
        assert_ok(ent_file_read(path, 65536, &good, NULL));
        assert_ok(ent_file_write(path, 0600, ent_bytes_of("damaged\n", 8), NULL));
        assert_code(ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, &err), ENT_PEER_MALFORMED);
        assert_contains(err.text, names[i]);
        assert_contains(err.text, "damaged");
        assert_contains(err.text, "key revoke");
        assert_ok(ent_file_write(path, 0600, (ent_bytes){NULL, 0}, NULL));
        assert_code(ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, &err), ENT_PEER_MALFORMED);
        assert_ok(ent_file_write(path, 0600, ent_buf_bytes(&good), NULL));
        ent_buf_wipe(&good);
        ent_free(path);
    }
    ent_keeper_free(open_keeper(&made));
    release_home(&made);
}

static void lose(const home *made, const char *name)
{
    char *path = ent_file_join(made->keys, name);
    assert_int_equal(unlink(path), 0);
    ent_free(path);
}

static ent_rc sign_once(ent_keeper *keeper, ent_keeper_request request)
{
    ent_err err = {0};
    assert_ok(ent_keeper_sign(keeper, &request, 1, &err));
    return request.rc;
}

static ent_rc open_sealed_to(ent_keeper *keeper, const ent_recipient *to)
{
    ent_buf sealed = {0};
    ent_buf opened = {0};
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), to, 1, &sealed, NULL));
    ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(keeper), &opened, NULL, NULL);
    ent_buf_release(&sealed);
    ent_buf_release(&opened);
    return rc;
}

static void test_keeper__without_a_lost_key_the_others_work(void **state)
{
    static const char *const names[] = {"log.key", "receipt.key", "age.key", "tls.key"};
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        char keys[16];
        char marks[16];
        uint8_t value[32];
        ent_buf pem = {0};
        (void)snprintf(keys, sizeof keys, "keys%d", (int)role);
        (void)snprintf(marks, sizeof marks, "marks%d", (int)role);
        home made = {.keys = below(state, keys), .marks = below(state, marks)};
        assert_ok(ent_keeper_create(made.keys, ENT_TEXT("aurora.example"), (ent_bytes){NULL, 0},
                                    ent_bytes_of("TLS KEY", 7), &made.publics, NULL));
        lose(&made, names[role]);
        ent_keeper *keeper = open_keeper(&made);
        for (ent_key_role r = ENT_KEY_ROLE_LOG; r < ENT_KEY_ROLE_TLS; r++)
            assert_code(ent_keeper_key(keeper, r, 1, value, NULL), r == role ? ENT_ABSENT : ENT_OK);
        assert_code(ent_keeper_tls_key(keeper, 1, &pem, NULL), role == ENT_KEY_ROLE_TLS ? ENT_ABSENT : ENT_OK);
        assert_code(sign_once(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0)),
                    role == ENT_KEY_ROLE_LOG ? ENT_REFUSED_KEEPER : ENT_OK);
        assert_code(sign_once(keeper, request_of(ENT_KEEPER_RECEIPT, other, 5, 1, 7)),
                    role == ENT_KEY_ROLE_RECEIPT ? ENT_REFUSED_KEEPER : ENT_OK);
        assert_code(open_sealed_to(keeper, &made.publics.age), role == ENT_KEY_ROLE_AGE ? ENT_ABSENT : ENT_OK);
        ent_keeper_free(keeper);
        ent_buf_wipe(&pem);
        release_home(&made);
    }
}

/* A request that names the lost key, or none, is not signed by the zeros that stand in its place. */
static void test_keeper__lost_key_signs_nothing(void **state)
{
    home made = make_home(state, NULL);
    lose(&made, "log.key");
    ent_keeper *keeper = open_keeper(&made);
    ent_keeper_request request = request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0);
    request.key = made.publics.log;
    assert_code(sign_once(keeper, request), ENT_REFUSED_KEEPER);
    assert_code(ent_keeper_mark(keeper, ENT_KEEPER_HEAD, ent_text_of(origin), &request.head, NULL), ENT_ABSENT);
    ent_keeper_free(keeper);
    release_home(&made);
}

/* With a passphrase the keeper that runs opens what is made after all was lost. */
static void test_keeper__all_lost_then_made_anew(void **state)
{
    static const char *const names[] = {"log.key", "receipt.key", "age.key", "tls.key"};
    for (int with = 0; with < 2; with++) {
        ent_keeper *keeper = NULL;
        char keys[16];
        uint8_t made_value[32];
        uint8_t value[32];
        ent_err err = {0};
        ent_bytes passphrase = ent_bytes_of("pass", with ? 4 : 0);
        ent_text party = ENT_TEXT("aurora.example");
        (void)snprintf(keys, sizeof keys, "keys%d", with);
        home made = {.keys = below(state, keys), .marks = below(state, "marks")};
        assert_ok(ent_keeper_create(made.keys, party, passphrase, ent_bytes_of("TLS KEY", 7), &made.publics, NULL));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            lose(&made, names[i]);
        assert_ok(ent_keeper_open(made.keys, made.marks, passphrase, &keeper, &err));
        for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_TLS; role++) {
            assert_ok(ent_keeper_make_key(made.keys, party, passphrase, role, 2, (ent_bytes){NULL, 0}, made_value, NULL,
                                          &err));
            assert_ok(ent_keeper_key(keeper, role, 2, value, &err));
            assert_memory_equal(value, made_value, sizeof value);
        }
        ent_keeper_free(keeper);
        assert_ok(ent_keeper_open(made.keys, made.marks, passphrase, &keeper, &err));
        assert_ok(ent_keeper_key(keeper, ENT_KEY_ROLE_LOG, 2, value, &err));
        ent_keeper_free(keeper);
        release_home(&made);
    }
}

static void test_keeper__folder_that_is_missing_told(void **state)
{
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    home made = {.keys = below(state, "nowhere"), .marks = below(state, "marks")};
    assert_code(ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, &err), ENT_ABSENT);
    assert_contains(err.text, "mount it");
    release_home(&made);
}

/* Run a command with its words; true when it ends well. */
static bool run(char *const words[])
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_keeper__age_key_is_a_stock_identity(void **state)
{
    home made = make_home(state, NULL);
    ent_buf sealed = {0};
    ent_buf opened = {0};
    char age[] = "age";
    char decrypt[] = "-d";
    char with[] = "-i";
    char to[] = "-o";
    char tell[] = "--version";
    char *key = ent_file_join(made.keys, "age.key");
    char *in = below(state, "sealed.age");
    char *out = below(state, "opened");
    char *version[] = {age, tell, NULL};
    char *words[] = {age, decrypt, with, key, to, out, in, NULL};
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), &made.publics.age, 1, &sealed, NULL));
    assert_ok(ent_file_create(in, 0600, ent_buf_bytes(&sealed), NULL));
    if (run(version)) {
        assert_true(run(words));
        assert_ok(ent_file_read(out, 100, &opened, NULL));
        assert_true(ent_text_is(ent_buf_text(&opened), "hello"));
        ent_buf_clear(&opened);
    }
    ent_keeper *keeper = open_keeper(&made);
    assert_ok(ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(keeper), &opened, NULL, NULL));
    assert_true(ent_text_is(ent_buf_text(&opened), "hello"));
    ent_keeper_free(keeper);
    ent_buf_release(&sealed);
    ent_buf_wipe(&opened);
    ent_free(key);
    ent_free(in);
    ent_free(out);
    release_home(&made);
}

static void test_keeper__foreign_identity_file_taken(void **state)
{
    home made = make_home(state, NULL);
    ent_identity identity;
    ent_recipient recipient;
    ent_buf text = {0};
    char *key = ent_file_join(made.keys, "age.key");
    ent_x25519_generate(&recipient, &identity);
    ent_buf_put_string(&text, "# created: 2021-05-30T09:12:00Z\n\n# public key: age1...\n");
    ent_identity_put(&text, &identity);
    assert_ok(ent_file_write(key, 0600, ent_buf_bytes(&text), NULL)); /* without a newline at its end */
    ent_keeper *keeper = open_keeper(&made);
    assert_memory_equal(&ent_keeper_public_keys(keeper)->age, &recipient, sizeof recipient);
    ent_keeper_free(keeper);
    ent_buf_wipe(&text);
    ent_free(key);
    release_home(&made);
}

static void test_keeper__signatures_verify(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_keeper_request requests[2] = {request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0),
                                      request_of(ENT_KEEPER_RECEIPT, other, 9, 2, 1000)};
    ent_buf text = {0};
    assert_ok(ent_keeper_sign(keeper, requests, 2, NULL));
    assert_ok(requests[0].rc);
    assert_ok(requests[1].rc);
    checkpoint_text(&requests[0], &text);
    assert_true(ent_ed25519_verify(&made.publics.log, ent_buf_bytes(&text), &requests[0].signature));
    ent_buf_clear(&text);
    checkpoint_text(&requests[1], &text);
    ent_cosignature cosignature = {1000, requests[1].signature};
    assert_true(ent_cosignature_verify(ent_buf_text(&text), &cosignature, &made.publics.receipt));
    ent_buf_release(&text);
    ent_keeper_free(keeper);
    release_home(&made);
}

/* "Ed25519 is deterministic: after a crash the same head is signed again." */
static void test_keeper__same_again_gives_the_same_signature(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_signature head = sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
    ent_signature receipt = sign(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 2, 1000));
    for (int round = 0; round < 2; round++) {
        ent_signature again = sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
        assert_memory_equal(&again, &head, sizeof head);
        again = sign(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 2, 1000));
        assert_memory_equal(&again, &receipt, sizeof receipt);
        ent_keeper_free(keeper);
        keeper = open_keeper(&made);
    }
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__smaller_or_other_head_refused(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    (void)sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
    for (int round = 0; round < 2; round++) {
        refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, 4, 1, 0), "older than the keys' marks");
        refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, 0, 1, 0), "older than the keys' marks");
        refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 2, 0), "would be a fork");
        (void)sign(keeper, request_of(ENT_KEEPER_HEAD, other, 1, 9, 0)); /* another log has marks of its own */
        (void)sign(keeper, request_of(ENT_KEEPER_RECEIPT, origin, 1, 1, 7));
        ent_keeper_free(keeper);
        keeper = open_keeper(&made);
    }
    (void)sign(keeper, larger_of(ENT_KEEPER_HEAD, origin, 5, 6, 1, 0));
    refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0), "older than the keys' marks");
    ent_keeper_free(keeper);
    release_home(&made);
}

/* What the head signed last covers can be signed up to any size: it says nothing new. The mark stays. */
static void test_keeper__smaller_head_that_was_extended_signed(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_tree_head mark;
    ent_signature first = sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 4, 1, 0));
    (void)sign(keeper, larger_of(ENT_KEEPER_HEAD, origin, 4, 9, 1, 0));
    for (int round = 0; round < 2; round++) {
        ent_keeper_request request = request_of(ENT_KEEPER_HEAD, origin, 4, 1, 0);
        ent_tree_proof changed = *extending(4, 9, 1);
        request.extends = extending(4, 9, 1);
        ent_signature again = sign(keeper, request);
        assert_memory_equal(&again, &first, sizeof first);
        request = request_of(ENT_KEEPER_HEAD, origin, 6, 1, 0); /* one that never was a head */
        request.extends = extending(6, 9, 1);
        (void)sign(keeper, request);
        assert_ok(ent_keeper_mark(keeper, ENT_KEEPER_HEAD, ent_text_of(origin), &mark, NULL));
        assert_int_equal(mark.size, 9);

        request.extends = NULL;
        refuse(keeper, request, "older than the keys' marks");
        changed.hashes[0].bytes[0] ^= 1;
        request = request_of(ENT_KEEPER_HEAD, origin, 4, 1, 0);
        request.extends = &changed;
        refuse(keeper, request, "older than the keys' marks");
        request = request_of(ENT_KEEPER_HEAD, origin, 4, 2, 0); /* of another history, which proves itself alone */
        request.extends = extending(4, 9, 2);
        refuse(keeper, request, "older than the keys' marks");
        request = request_of(ENT_KEEPER_HEAD, origin, 0, 1, 0);
        request.extends = extending(0, 9, 1);
        refuse(keeper, request, "older than the keys' marks");
        ent_keeper_free(keeper);
        keeper = open_keeper(&made);
    }
    (void)sign(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 1, 7));
    ent_keeper_request receipt = request_of(ENT_KEEPER_RECEIPT, other, 4, 1, 7);
    receipt.extends = extending(4, 9, 1); /* a receipt is given once, with its time */
    refuse(keeper, receipt, "older than the keys' marks");
    ent_keeper_free(keeper);
    release_home(&made);
}

/* The larger half of a fork is refused too: what is signed must extend what was. */
static void test_keeper__larger_head_that_does_not_extend_refused(void **state)
{
    static const ent_keeper_what whats[] = {ENT_KEEPER_HEAD, ENT_KEEPER_RECEIPT};
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    for (size_t i = 0; i < 2; i++) {
        ent_keeper_request request = request_of(whats[i], origin, 6, 1, 0);
        ent_tree_proof changed = *extending(5, 6, 1);
        (void)sign(keeper, request_of(whats[i], origin, 5, 1, 0));
        refuse(keeper, request, "not shown to extend it");
        refuse(keeper, larger_of(whats[i], origin, 5, 6, 2, 0), "not shown to extend it");
        request.extends = extending(4, 6, 1);
        refuse(keeper, request, "not shown to extend it");
        changed.hashes[0].bytes[31] ^= 1;
        request.extends = &changed;
        refuse(keeper, request, "not shown to extend it");
        ent_keeper_free(keeper);
        keeper = open_keeper(&made);
        (void)sign(keeper, larger_of(whats[i], origin, 5, 6, 1, 0));
        (void)sign(keeper, request_of(whats[i], origin, 6, 1, 0));
        (void)sign(keeper, larger_of(whats[i], origin, 6, 40, 1, 0));
    }
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__receipt_with_another_time_refused(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    (void)sign(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 2, 1000));
    refuse(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 2, 1001), "another time");
    refuse(keeper, request_of(ENT_KEEPER_RECEIPT, other, 9, 3, 1000), "would be a fork");
    refuse(keeper, request_of(ENT_KEEPER_RECEIPT, other, 8, 2, 1000), "older than the keys' marks");
    (void)sign(keeper, larger_of(ENT_KEEPER_RECEIPT, other, 9, 10, 2, 900));
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__one_refusal_does_not_stop_the_others(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_tree_head mark;
    (void)sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
    ent_keeper_request requests[3] = {request_of(ENT_KEEPER_HEAD, origin, 4, 1, 0),
                                      request_of(ENT_KEEPER_HEAD, other, 3, 1, 0),
                                      request_of(ENT_KEEPER_HEAD, other, 3, 2, 0)};
    assert_ok(ent_keeper_sign(keeper, requests, 3, NULL));
    assert_code(requests[0].rc, ENT_REFUSED_KEEPER);
    assert_ok(requests[1].rc);
    assert_code(requests[2].rc, ENT_REFUSED_KEEPER);
    assert_ok(ent_keeper_mark(keeper, ENT_KEEPER_HEAD, ent_text_of(other), &mark, NULL));
    assert_int_equal(mark.size, 3);
    assert_code(ent_keeper_mark(keeper, ENT_KEEPER_RECEIPT, ent_text_of(other), &mark, NULL), ENT_ABSENT);
    assert_int_equal(mark.size, 3);
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_keeper__origin_too_long_refused(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    char longest[ENT_ORIGIN_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest);
    longest[ENT_ORIGIN_MAX_BYTES + 1] = 0;
    refuse(keeper, request_of(ENT_KEEPER_HEAD, longest, 1, 1, 0), "at most");
    longest[ENT_ORIGIN_MAX_BYTES] = 0;
    (void)sign(keeper, request_of(ENT_KEEPER_HEAD, longest, 1, 1, 0));
    ent_keeper_free(keeper);
    keeper = open_keeper(&made);
    refuse(keeper, request_of(ENT_KEEPER_HEAD, longest, 1, 2, 0), "would be a fork");
    ent_keeper_free(keeper);
    release_home(&made);
}

/* A mark that is not durable: nothing is signed, not now and not later. */
static void test_keeper__failed_mark_ends_signing(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    ent_signature first = sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
    ent_keeper_request request = larger_of(ENT_KEEPER_HEAD, origin, 5, 6, 1, 0);
    ent_signature none = {0};
    limit_files(50);
    ent_rc rc = ent_keeper_sign(keeper, &request, 1, NULL);
    limit_files(RLIM_INFINITY);
    assert_int_equal(ent_code_class(rc.code), ENT_CLASS_IO);
    assert_memory_equal(&request.signature, &none, sizeof none);
    assert_int_equal(ent_code_class(ent_keeper_sign(keeper, &request, 1, NULL).code), ENT_CLASS_IO);
    request = request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0);
    assert_int_equal(ent_code_class(ent_keeper_sign(keeper, &request, 1, NULL).code), ENT_CLASS_IO);
    ent_keeper_free(keeper);
    keeper = open_keeper(&made);
    ent_signature again = sign(keeper, request_of(ENT_KEEPER_HEAD, origin, 5, 1, 0));
    assert_memory_equal(&again, &first, sizeof first);
    ent_keeper_free(keeper);
    release_home(&made);
}

/* Each allocation in turn: what was signed stays bound, what was not signed can be signed. */
static void test_keeper__no_memory_signs_nothing_wrong(void **state)
{
    home made = make_home(state, NULL);
    ent_keeper *keeper = open_keeper(&made);
    for (unsigned long nth = 1; nth < 30; nth++) {
        ent_keeper_request requests[2] = {larger_of(ENT_KEEPER_HEAD, origin, nth - 1, nth, 7, 0),
                                          larger_of(ENT_KEEPER_RECEIPT, other, nth - 1, nth, 7, nth)};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_keeper_sign(keeper, requests, 2, NULL);
        ent_alloc_fail_at(0);
        assert_true(rc.code == ENT_OK || rc.code == ENT_NOMEM);
        (void)sign(keeper, requests[0]);
        (void)sign(keeper, requests[1]);
        refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, nth, 8, 0), "fork");
    }
    ent_keeper_free(keeper);
    for (unsigned long nth = 1;; nth++) {
        keeper = NULL;
        assert_in_range(nth, 1, 200);
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_keeper_open(made.keys, made.marks, (ent_bytes){NULL, 0}, &keeper, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK)
            break;
        assert_code(rc, ENT_NOMEM);
        assert_null(keeper);
    }
    refuse(keeper, request_of(ENT_KEEPER_HEAD, origin, 28, 28, 0), "older");
    ent_keeper_free(keeper);
    release_home(&made);
}

static void test_root__signs_the_card_it_belongs_to(void **state)
{
    home made = make_home(state, NULL);
    char *root = below(state, "root");
    ent_card card = {.name = ENT_TEXT("aurora.example"),
                     .serial = 1,
                     .issued = ENT_TEXT("2021-05-30T09:12:00Z"),
                     .url = ENT_TEXT("https://aurora.example:8443"),
                     .log = made.publics.log,
                     .receipt = made.publics.receipt,
                     .age = made.publics.age};
    ent_buf note = {0};
    ent_card_opened opened = {0};
    ent_err err = {0};
    memset(card.tls.bytes, 7, sizeof card.tls.bytes);
    assert_code(ent_root_create(root, ENT_TEXT("aurora"), (ent_bytes){NULL, 0}, &card.root, &card.next_root, NULL),
                ENT_USAGE);
    assert_ok(
        ent_root_create(root, ENT_TEXT("aurora.example"), ent_bytes_of("pass", 4), &card.root, &card.next_root, NULL));
    ent_public_key before = card.root;
    assert_code(
        ent_root_create(root, ENT_TEXT("aurora.example"), ent_bytes_of("pass", 4), &card.root, &card.next_root, NULL),
        ENT_REFUSED);
    assert_memory_equal(&before, &card.root, sizeof before);
    assert_ok(ent_root_sign_card(root, ent_bytes_of("pass", 4), &card, &note, &err));
    assert_ok(ent_card_parse(ent_buf_bytes(&note), &opened, &err));
    assert_true(ent_public_key_equal(&opened.card.root, &before));
    ent_card_release(&opened);
    ent_buf_clear(&note);
    assert_code(ent_root_sign_card(root, ent_bytes_of("wrong", 5), &card, &note, NULL), ENT_REFUSED);
    assert_code(ent_root_sign_card(made.keys, ent_bytes_of("pass", 4), &card, &note, NULL), ENT_ABSENT);
    card.root.bytes[0] ^= 1;
    assert_code(ent_root_sign_card(root, ent_bytes_of("pass", 4), &card, &note, &err), ENT_PEER_MISMATCH);
    assert_int_equal(note.size, 0);
    ent_buf_release(&note);
    ent_free(root);
    release_home(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_keeper__opens_what_was_created),
        IN_FOLDER(test_keeper__creating_twice_refused),
        IN_FOLDER(test_keeper__passphrase_opens_all_or_nothing),
        IN_FOLDER(test_keeper__file_that_others_can_read_refused),
        IN_FOLDER(test_keeper__damaged_file_told),
        IN_FOLDER(test_keeper__without_a_lost_key_the_others_work),
        IN_FOLDER(test_keeper__lost_key_signs_nothing),
        IN_FOLDER(test_keeper__all_lost_then_made_anew),
        IN_FOLDER(test_keeper__folder_that_is_missing_told),
        IN_FOLDER(test_keeper__age_key_is_a_stock_identity),
        IN_FOLDER(test_keeper__foreign_identity_file_taken),
        IN_FOLDER(test_keeper__signatures_verify),
        IN_FOLDER(test_keeper__same_again_gives_the_same_signature),
        IN_FOLDER(test_keeper__smaller_or_other_head_refused),
        IN_FOLDER(test_keeper__smaller_head_that_was_extended_signed),
        IN_FOLDER(test_keeper__larger_head_that_does_not_extend_refused),
        IN_FOLDER(test_keeper__receipt_with_another_time_refused),
        IN_FOLDER(test_keeper__one_refusal_does_not_stop_the_others),
        IN_FOLDER(test_keeper__origin_too_long_refused),
        IN_FOLDER(test_keeper__failed_mark_ends_signing),
        IN_FOLDER(test_keeper__no_memory_signs_nothing_wrong),
        IN_FOLDER(test_root__signs_the_card_it_belongs_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
