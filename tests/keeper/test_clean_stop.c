#include "testing.h"

#include "keeper/clean_stop.h"

static const char boot[] = "11111111-2222-3333-4444-555555555555";

static bool taken_clean(void **state)
{
    ent_clean_stop stop = {.was_clean = false};
    assert_ok(ent_clean_stop_take(*state, &stop, NULL));
    return stop.was_clean;
}

static void write_file(void **state, const char *name, const char *text)
{
    char *path = below(state, name);
    assert_ok(ent_file_write(path, 0600, ent_text_bytes(ent_text_of(text)), NULL));
    ent_free(path);
}

/* With the running system's boot id, as a node does it. */
static void write_marker(void **state)
{
    char own[ENT_BOOT_ID_MAX_BYTES + 1];
    ent_boot_id_read(own);
    assert_int_equal(strlen(own), 36);
    assert_ok(ent_clean_stop_write(*state, own, NULL));
}

static void test_clean_stop__marker_holds_once_for_these_marks(void **state)
{
    assert_false(taken_clean(state)); /* nothing was written */
    write_file(state, "marks", "what was signed\n");
    write_marker(state);
    assert_true(taken_clean(state));
    assert_false(taken_clean(state)); /* it is gone: this start may crash */
}

static void test_clean_stop__new_party_without_marks_is_clean(void **state)
{
    write_marker(state);
    assert_true(taken_clean(state));
    write_marker(state);
    write_file(state, "marks", "what was signed\n");
    assert_false(taken_clean(state));
}

static void test_clean_stop__other_marks_are_not_clean(void **state)
{
    write_file(state, "marks", "what was signed\n");
    write_marker(state);
    char *path = below(state, "marks");
    ent_buf all = {0};
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_true(fputs("and more\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_false(taken_clean(state));
    ent_buf_release(&all);
    ent_free(path);
}

/* The whole folder put back from a copy: the same bytes, but not the file that was stopped with. */
static void test_clean_stop__copied_marks_are_not_clean(void **state)
{
    write_file(state, "marks", "what was signed\n");
    write_marker(state);
    write_file(state, "marks", "what was signed\n");
    assert_false(taken_clean(state));
}

static void test_clean_stop__other_boot_or_damage_is_not_clean(void **state)
{
    static const char *const damaged[] = {"", "x", "entente.clean/v1\n", "entente.clean/v2\n"};
    ent_buf marker = {0};
    write_file(state, "marks", "what was signed\n");
    assert_ok(ent_clean_stop_write(*state, boot, NULL));
    assert_false(taken_clean(state));
    assert_ok(ent_clean_stop_write(*state, "", NULL)); /* a system that has no boot id: there is never a marker */
    assert_false(taken_clean(state));
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        write_file(state, "clean", damaged[i]);
        assert_false(taken_clean(state));
    }
    write_marker(state);
    char *path = below(state, "clean");
    assert_ok(ent_file_read(path, 4096, &marker, NULL));
    for (size_t i = 0; i < marker.size; i++) {
        ent_buf changed = {0};
        ent_buf_put(&changed, ent_buf_bytes(&marker));
        changed.data[i] ^= 1;
        assert_ok(ent_file_write(path, 0600, ent_buf_bytes(&changed), NULL));
        assert_false(taken_clean(state));
        ent_buf_release(&changed);
    }
    ent_buf_release(&marker);
    ent_free(path);
}

static void test_clean_stop__without_memory_says_so(void **state)
{
    char own[ENT_BOOT_ID_MAX_BYTES + 1];
    ent_boot_id_read(own);
    write_file(state, "marks", "what was signed\n");
    int code = ENT_NOMEM;
    for (unsigned long nth = 1; code != ENT_OK; nth++) {
        ent_alloc_fail_at(nth);
        code = ent_clean_stop_write(*state, own, NULL).code;
        ent_alloc_fail_at(0);
        assert_true(code == ENT_OK || code == ENT_NOMEM);
    }
    ent_clean_stop stop = {.was_clean = false};
    code = ENT_NOMEM;
    for (unsigned long nth = 1; code != ENT_OK; nth++) {
        ent_alloc_fail_at(nth);
        code = ent_clean_stop_take(*state, &stop, NULL).code;
        ent_alloc_fail_at(0);
        assert_true(code == ENT_OK || code == ENT_NOMEM);
    }
    assert_true(stop.was_clean); /* a take that failed took nothing away */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_clean_stop__marker_holds_once_for_these_marks),
        IN_FOLDER(test_clean_stop__new_party_without_marks_is_clean),
        IN_FOLDER(test_clean_stop__other_marks_are_not_clean),
        IN_FOLDER(test_clean_stop__copied_marks_are_not_clean),
        IN_FOLDER(test_clean_stop__other_boot_or_damage_is_not_clean),
        IN_FOLDER(test_clean_stop__without_memory_says_so),
    };
    return cmocka_run_group_tests_name("keeper-clean-stop", tests, NULL, NULL);
}
