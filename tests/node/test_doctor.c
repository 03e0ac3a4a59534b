/* What the doctor finds only with time, and what audit and doctor do without memory. */
#include "fixture.h"

#include "keeper/marks.h"
#include "node/audit.h"
#include "node/channel.h"
#include "node/doctor.h"

#include <stdio.h>

static atomic_llong ahead_s;
int64_t __real_ent_clock_unix_s(void); /* NOLINT(bugprone-reserved-identifier): the linker's name */
int64_t __wrap_ent_clock_unix_s(void); /* NOLINT(bugprone-reserved-identifier) */
int64_t __wrap_ent_clock_unix_s(void)  /* NOLINT(bugprone-reserved-identifier) */
{
    return __real_ent_clock_unix_s() + atomic_load(&ahead_s);
}

/* Whether the doctor finds this; NULL = any problem but that a test has no sandbox. */
static bool finds(ent_node *node, const char *what, const char *party)
{
    ent_buf text = {0};
    ent_json *json = NULL;
    bool found = false;
    ent_json_writer writer = ent_json_writer_of(&text);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "findings");
    assert_ok(ent_doctor_put(node, &writer, NULL));
    ent_json_object_end(&writer);
    assert_ok(ent_json_parse(ent_buf_bytes(&text), &json, NULL));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(ent_json_root(json), "findings")); ent_json_next(&i);) {
        bool is_problem = ent_text_is(ent_json_string(ent_json_get(i.value, "level")), "problem");
        ent_text found_what = ent_json_string(ent_json_get(i.value, "what"));
        bool is_that = what == NULL ? is_problem && !ent_text_is(found_what, "sandbox") : ent_text_is(found_what, what);
        found = found ||
                (is_that && (party == NULL || ent_text_is(ent_json_string(ent_json_get(i.value, "party")), party)));
    }
    ent_json_free(json);
    ent_buf_release(&text);
    return found;
}

static void attach(const fixture_pair *pair)
{
    ent_buf answer = {0};
    char draft[1024];
    assert_int_equal(fixture_api_bytes(pair->folders[AURORA], "POST", "attachments?channel=north",
                                       ent_text_bytes(ENT_TEXT("a small file")), &answer),
                     200);
    (void)snprintf(draft, sizeof draft,
                   "{\"channel\":\"north\",\"kind\":\"evidence.item\",\"body\":{\"fields\":{\"description\":\"d\","
                   "\"collected_at\":\"2025-01-01T00:00:00Z\",\"custodian\":\"c\",\"custody\":[{\"time\":"
                   "\"2025-01-01T00:00:00Z\",\"who\":\"w\",\"action\":\"collected\"}]},"
                   "\"files\":[{\"name\":\"a\"}]},\"attachments\":[%.*s]}",
                   (int)answer.size, (const char *)answer.data);
    ent_buf_clear(&answer);
    int status =
        fixture_api_bytes(pair->folders[AURORA], "POST", "messages", ent_text_bytes(ent_text_of(draft)), &answer);
    if (status != 200)
        print_error("%.*s\n", (int)answer.size, (const char *)answer.data);
    assert_int_equal(status, 200);
    ent_buf_release(&answer);
}

static void test_doctor__what_has_not_arrived_is_told_after_a_while(void **state)
{
    (void)state;
    fixture_pair pair;
    atomic_store(&ahead_s, 0);
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 60);
    assert_false(finds(pair.nodes[AURORA], NULL, NULL));
    assert_true(finds(pair.nodes[AURORA], "sandbox", NULL));
    fixture_pair_stop(&pair, BOREAL);
    attach(&pair);
    assert_false(finds(pair.nodes[AURORA], "unreceipted", NULL));
    assert_false(finds(pair.nodes[AURORA], "attachment", NULL));
    atomic_store(&ahead_s, 700);
    assert_true(finds(pair.nodes[AURORA], "unreceipted", "boreal.example"));
    assert_false(finds(pair.nodes[AURORA], "attachment", NULL));
    atomic_store(&ahead_s, 4000);
    assert_true(finds(pair.nodes[AURORA], "attachment", "boreal.example"));
    fixture_pair_release(&pair);
}

static ent_rc mark_of(void *context, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    const ent_mark *mark = ent_marks_find(context, what, origin);
    if (mark == NULL)
        return ent_fail(err, ENT_ABSENT, NULL, "none");
    *ret = mark->head;
    return ENT_DONE;
}

/* Out of memory is no finding: the audit breaks off, and says so. */
static void test_audit__without_memory_finds_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    atomic_store(&ahead_s, 0);
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    attach(&pair);
    fixture_pair_settle(&pair, 60);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_stop(&pair, AURORA);
    ent_store *store = NULL;
    char *path = fixture_path(pair.folders[AURORA], "store");
    assert_ok(ent_store_sqlite_open(path, &store, NULL));
    char *blobs = fixture_path(pair.folders[AURORA], "blobs");
    char *marks_folder = fixture_path(pair.folders[AURORA], "marks");
    ent_marks *marks = NULL;
    assert_ok(ent_marks_open(marks_folder, &marks, NULL));
    bool done = false;
    unsigned long nth = 1;
    for (; !done && nth < 10000; nth++) {
        ent_audit *audit = NULL;
        ent_buf lines = {0};
        ent_err err = {0};
        bool end = false;
        ent_audit_source source = {
            .store = store, .name = "aurora.example", .blobs = blobs, .mark = mark_of, .context = marks};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_audit_new(&source, (ent_text){NULL, 0}, &audit, &err);
        while (rc.code == ENT_OK && !end)
            rc = ent_audit_step(audit, &lines, &end, &err);
        ent_alloc_fail_at(0);
        done = rc.code == ENT_OK;
        if (!done)
            assert_string_equal(ent_code_word(rc.code), "no-memory");
        else
            assert_int_equal(ent_audit_findings(audit), 0);
        ent_audit_free(audit);
        ent_buf_release(&lines);
    }
    assert_true(done);
    assert_true(nth > 20);
    ent_marks_free(marks);
    ent_store_close(store);
    ent_free(marks_folder);
    ent_free(blobs);
    ent_free(path);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor__what_has_not_arrived_is_told_after_a_while),
        cmocka_unit_test(test_audit__without_memory_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
