/* The keeper behind sockets: the same answers as in this process, and an end that is told. */
#include "testing.h"

#include "keeper/lane.h"
#include "keeper/serve.h"
#include "keeper/wire.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char origin[] = "aurora.example/entente/0000000000000000000000000000000000000000000000000000000000000000";

typedef struct {
    ent_keeper *keeper;
    int socket;
    ent_rc rc;
    pthread_t thread;
} served_lane;

/* A keeper that is served by a thread for each lane, and a node's view of it. */
typedef struct {
    ent_keeper *served;
    ent_keeper *keeper;
    ent_keeper_publics publics;
    served_lane lanes[ENT_KEEPER_LANES];
    int ends[ENT_KEEPER_LANES];
} scene;

static void *serve_lane(void *context)
{
    served_lane *lane = context;
    lane->rc = ent_keeper_serve(lane->keeper, lane->socket, NULL);
    (void)close(lane->socket);
    return NULL;
}

/* Whoever has answered has all that it allocates before the first request. */
static void await_answer(int end)
{
    ent_buf bytes = {0};
    ent_wire_request request = {.kind = ENT_WIRE_PUBLICS};
    assert_ok(ent_wire_request_put(&request, &bytes, NULL));
    assert_ok(ent_lane_send(end, ent_buf_bytes(&bytes), -1, NULL));
    assert_ok(ent_lane_receive(end, &bytes, NULL, NULL));
    ent_buf_release(&bytes);
}

static void open_scene(void **state, scene *s)
{
    char *keys = below(state, "keys");
    char *marks = below(state, "marks");
    ent_err err = {0};
    assert_ok(ent_keeper_create(keys, ENT_TEXT("aurora.example"), (ent_bytes){NULL, 0}, ent_bytes_of("TLS KEY", 7),
                                &s->publics, NULL));
    assert_ok(ent_keeper_open(keys, marks, (ent_bytes){NULL, 0}, &s->served, NULL));
    for (size_t i = 0; i < ENT_KEEPER_LANES; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        s->ends[i] = pair[0];
        s->lanes[i].keeper = s->served;
        s->lanes[i].socket = pair[1];
        assert_int_equal(pthread_create(&s->lanes[i].thread, NULL, serve_lane, &s->lanes[i]), 0);
        await_answer(s->ends[i]);
    }
    if (ent_keeper_connect(s->ends, ENT_KEEPER_LANES, &s->keeper, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    ent_free(keys);
    ent_free(marks);
}

static void close_scene(scene *s)
{
    ent_keeper_free(s->keeper);
    for (size_t i = 0; i < ENT_KEEPER_LANES; i++) {
        assert_int_equal(pthread_join(s->lanes[i].thread, NULL), 0);
        assert_ok(s->lanes[i].rc);
    }
    ent_keeper_free(s->served);
}

static ent_keeper_request head_of(uint64_t size, const ent_tree_proof *extends)
{
    ent_keeper_request request = {
        .what = ENT_KEEPER_HEAD, .origin = ent_text_of(origin), .head.size = size, .extends = extends};
    ent_tree tree = {.size = 0};
    ent_hash leaf = {{0}};
    for (uint64_t i = 0; i < size; i++)
        assert_ok(ent_tree_append(&tree, &leaf, NULL));
    ent_tree_root(&tree, &request.head.root);
    return request;
}

static void test_remote__keys_and_marks_as_in_this_process(void **state)
{
    scene s;
    ent_buf pem = {0};
    ent_tree_head mark;
    ent_err err = {0};
    open_scene(state, &s);
    assert_memory_equal(ent_keeper_public_keys(s.keeper), &s.publics, sizeof s.publics);
    assert_ok(ent_keeper_tls_key(s.keeper, 1, &pem, NULL));
    assert_true(ent_text_is(ent_buf_text(&pem), "TLS KEY"));
    assert_code(ent_keeper_mark(s.keeper, ENT_KEEPER_HEAD, ent_text_of(origin), &mark, &err), ENT_ABSENT);
    assert_contains(err.text, origin);
    ent_buf_wipe(&pem);
    close_scene(&s);
}

static void test_remote__signs_and_refuses_as_in_this_process(void **state)
{
    scene s;
    ent_err err = {0};
    ent_tree_proof none = {.count = 0};
    ent_tree_head mark;
    open_scene(state, &s);
    ent_keeper_request requests[2] = {head_of(2, NULL), head_of(1, NULL)};
    assert_ok(ent_keeper_sign(s.keeper, requests, 2, &err));
    assert_ok(requests[0].rc);
    assert_code(requests[1].rc, ENT_REFUSED_KEEPER);
    assert_contains(err.text, "older than the keys' marks");
    ent_keeper_request same = head_of(2, NULL);
    assert_ok(ent_keeper_sign(s.served, &same, 1, NULL));
    assert_memory_equal(&requests[0].signature, &same.signature, sizeof same.signature);
    ent_keeper_request larger = head_of(3, &none);
    assert_ok(ent_keeper_sign(s.keeper, &larger, 1, &err));
    assert_code(larger.rc, ENT_REFUSED_KEEPER);
    assert_contains(err.text, "not shown to extend it");
    assert_ok(ent_keeper_mark(s.keeper, ENT_KEEPER_HEAD, ent_text_of(origin), &mark, NULL));
    assert_memory_equal(&mark, &requests[0].head, sizeof mark);
    close_scene(&s);
}

/* More than fits a message goes in several. */
static void test_remote__many_at_once_all_signed(void **state)
{
    enum { MANY = 2 * ENT_WIRE_MAX_ITEMS + 3 };
    static ent_keeper_request requests[MANY];
    static char origins[MANY][32];
    scene s;
    open_scene(state, &s);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(origins[i], sizeof origins[i], "a%zu.example/entente/00", i);
        requests[i] = head_of(1, NULL);
        requests[i].origin = ent_text_of(origins[i]);
        requests[i].rc.code = ENT_BUG;
    }
    assert_ok(ent_keeper_sign(s.keeper, requests, MANY, NULL));
    for (size_t i = 0; i < MANY; i++) {
        ent_buf text = {0};
        assert_ok(requests[i].rc);
        ent_checkpoint_put(&text, requests[i].origin, &requests[i].head);
        assert_true(ent_ed25519_verify(&s.publics.log, ent_buf_bytes(&text), &requests[i].signature));
        ent_buf_release(&text);
    }
    close_scene(&s);
}

typedef struct {
    ent_keeper *keeper;
    ent_bytes sealed;
    size_t opened;
} opening;

static void *open_often(void *context)
{
    opening *work = context;
    for (int i = 0; i < 50; i++) {
        ent_buf plain = {0};
        if (ent_age_open(work->sealed, ent_keeper_unwrapper(work->keeper), &plain, NULL, NULL).code == ENT_OK &&
            ent_text_is(ent_buf_text(&plain), "hello"))
            work->opened++;
        ent_buf_wipe(&plain);
    }
    return NULL;
}

static void test_remote__opens_for_many_threads_at_once(void **state)
{
    scene s;
    ent_buf sealed = {0};
    ent_buf plain = {0};
    ent_recipient stranger;
    ent_identity identity;
    pthread_t threads[6];
    opening work[6];
    open_scene(state, &s);
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), &s.publics.age, 1, &sealed, NULL));
    for (size_t i = 0; i < 6; i++) {
        work[i] = (opening){s.keeper, ent_buf_bytes(&sealed), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, open_often, &work[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(work[i].opened, 50);
    }
    ent_x25519_generate(&stranger, &identity);
    ent_buf_clear(&sealed);
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), &stranger, 1, &sealed, NULL));
    assert_code(ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(s.keeper), &plain, NULL, NULL), ENT_ABSENT);
    ent_buf_release(&sealed);
    ent_buf_wipe(&plain);
    close_scene(&s);
}

/* Why the keys could not be opened is told by the one who asks first. */
static void test_remote__failure_to_open_crosses(void **state)
{
    (void)state;
    int pair[2];
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    ent_err why = {.code = ENT_REFUSED, .text = "log.key: the passphrase does not open this key"};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(pair[0]);
        _exit(ent_keeper_serve_failure(pair[1], &why, NULL).code);
    }
    (void)close(pair[1]);
    assert_code(ent_keeper_connect(pair, 1, &keeper, &err), ENT_REFUSED);
    assert_string_equal(err.text, why.text);
    assert_null(keeper);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A keeper that has ended is an I/O fault, which is nobody else's: no message is contested because of it. */
static void test_remote__keeper_that_ended_is_told_as_io(void **state)
{
    scene s;
    ent_err err = {0};
    ent_buf sealed = {0};
    ent_buf plain = {0};
    ent_buf pem = {0};
    ent_tree_head mark;
    open_scene(state, &s);
    for (size_t i = 0; i < ENT_KEEPER_LANES; i++)
        assert_int_equal(shutdown(s.lanes[i].socket, SHUT_RDWR), 0);
    ent_keeper_request request = head_of(1, NULL);
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), &s.publics.age, 1, &sealed, NULL));
    assert_code(ent_keeper_sign(s.keeper, &request, 1, &err), ENT_IO);
    assert_contains(err.text, "the keeper's process has ended");
    assert_code(ent_keeper_mark(s.keeper, ENT_KEEPER_HEAD, ent_text_of(origin), &mark, NULL), ENT_IO);
    assert_code(ent_keeper_tls_key(s.keeper, 1, &pem, NULL), ENT_IO);
    assert_code(ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(s.keeper), &plain, NULL, NULL), ENT_IO);
    ent_buf_release(&sealed);
    close_scene(&s);
}

/* What no node says ends the lane; what a lane cannot hold is not waited for. */
static void test_remote__nonsense_ends_the_lane(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } all[] = {{"\0\0\0\1\x63", 5}, {"\xff\xff\xff\xff", 4}, {"\0\x10\0\1", 4}, {"\0\0\0\0", 4}};
    char *keys = below(state, "keys");
    char *marks = below(state, "marks");
    ent_keeper *keeper = NULL;
    ent_keeper_publics publics;
    assert_ok(
        ent_keeper_create(keys, ENT_TEXT("a.example"), (ent_bytes){NULL, 0}, ent_bytes_of("x", 1), &publics, NULL));
    assert_ok(ent_keeper_open(keys, marks, (ent_bytes){NULL, 0}, &keeper, NULL));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(write(pair[0], all[i].bytes, all[i].size), all[i].size);
        assert_code(ent_keeper_serve(keeper, pair[1], NULL), ENT_PEER_MALFORMED);
        (void)close(pair[0]);
        (void)close(pair[1]);
    }
    ent_keeper_free(keeper);
    ent_free(keys);
    ent_free(marks);
}

static void test_remote__no_memory_to_open_told(void **state)
{
    scene s;
    open_scene(state, &s);
    ent_buf sealed = {0};
    assert_ok(ent_age_seal(ent_bytes_of("hello", 5), &s.publics.age, 1, &sealed, NULL));
    for (unsigned long nth = 1;; nth++) { /* in either thread: the lane stays in step */
        ent_buf plain = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(s.keeper), &plain, NULL, NULL);
        ent_alloc_fail_at(0);
        ent_buf_wipe(&plain);
        if (rc.code == ENT_OK)
            break;
        assert_code(rc, ENT_NOMEM);
        assert_in_range(nth, 1, 200);
    }
    ent_buf_release(&sealed);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_remote__keys_and_marks_as_in_this_process),
        IN_FOLDER(test_remote__signs_and_refuses_as_in_this_process),
        IN_FOLDER(test_remote__many_at_once_all_signed),
        IN_FOLDER(test_remote__opens_for_many_threads_at_once),
        IN_FOLDER(test_remote__failure_to_open_crosses),
        IN_FOLDER(test_remote__keeper_that_ended_is_told_as_io),
        IN_FOLDER(test_remote__nonsense_ends_the_lane),
        IN_FOLDER(test_remote__no_memory_to_open_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
