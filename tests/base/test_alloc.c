#include "testing.h"

#include "base/alloc.h"

#include <stdalign.h>

static bool is_zero(const void *memory, size_t size)
{
    const uint8_t *bytes = memory;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void test_alloc__memory_is_zeroed(void **state)
{
    (void)state;
    void *memory = ent_alloc(1000);
    assert_non_null(memory);
    assert_true(is_zero(memory, 1000));
    memory = ent_realloc(memory, 100000);
    assert_non_null(memory);
    assert_true(is_zero(memory, 1000));
    ent_free(memory);
    memory = ent_alloc_array(10, 7);
    assert_true(is_zero(memory, 70));
    ent_free_pointer(&memory);
    assert_null(memory);
    ent_free_pointer(&memory);
    ent_free(NULL);
}

static void test_alloc__nothing_is_something(void **state)
{
    (void)state;
    void *memory = ent_alloc(0);
    assert_non_null(memory);
    memory = ent_realloc(memory, 0);
    assert_non_null(memory);
    ent_free(memory);
}

static void test_alloc_array__overflow_is_refused(void **state)
{
    (void)state;
    assert_null(ent_alloc_array(SIZE_MAX, 2));
    assert_null(ent_alloc_array(SIZE_MAX / 2 + 1, 2));
}

static void test_alloc_fail_at__fails_that_one_only(void **state)
{
    (void)state;
    ent_alloc_fail_at(2);
    void *first = ent_alloc(1);
    void *second = ent_alloc(1);
    void *third = ent_alloc(1);
    assert_int_equal(ent_alloc_count(), 3);
    ent_alloc_fail_at(1);
    assert_null(ent_realloc(first, 100));
    ent_alloc_fail_at(0);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    ent_free(first);
    ent_free(third);
}

static void test_text_copy__ends_in_nul(void **state)
{
    (void)state;
    char *copy = ent_text_copy((ent_text){"abcdef", 3});
    assert_string_equal(copy, "abc");
    ent_free(copy);
    copy = ent_text_copy((ent_text){NULL, 0});
    assert_string_equal(copy, "");
    ent_free(copy);
    ent_alloc_fail_at(1);
    assert_null(ent_text_copy(ENT_TEXT("x")));
    ent_alloc_fail_at(0);
}

static void test_arena__pieces_are_apart_aligned_and_zeroed(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    ent_arena arena = {0};
    uint8_t *pieces[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        pieces[i] = ent_arena_alloc(&arena, i * 3);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        assert_true(is_zero(pieces[i], i * 3));
        memset(pieces[i], (int)(i & 0xff), i * 3);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i * 3; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
    }
    uint8_t *large = ent_arena_alloc(&arena, 1 << 20);
    assert_non_null(large);
    assert_true(is_zero(large, 1 << 20));
    ent_arena_release(&arena);
    assert_null(arena.blocks);
    ent_arena_release(&arena);
}

static void test_arena__limit_holds(void **state)
{
    (void)state;
    ent_arena arena = {.limit = 1024};
    assert_null(ent_arena_alloc(&arena, 1025));
    assert_non_null(ent_arena_alloc(&arena, 1000));
    assert_null(ent_arena_alloc(&arena, 100));
    assert_non_null(ent_arena_alloc(&arena, 16));
    assert_null(ent_arena_alloc(&arena, SIZE_MAX));
    ent_arena_release(&arena);
}

static void test_arena_text__copies(void **state)
{
    (void)state;
    ent_arena arena = {0};
    char original[] = "text";
    ent_text copy = ent_arena_text(&arena, ent_text_of(original));
    original[0] = 'n';
    assert_string_equal(copy.data, "text");
    assert_int_equal(copy.size, 4);
    ent_text nothing = ent_arena_text(&arena, (ent_text){NULL, 0});
    assert_non_null(nothing.data);
    assert_int_equal(nothing.size, 0);
    ent_arena_release(&arena);
    ent_alloc_fail_at(1);
    assert_null(ent_arena_text(&arena, ENT_TEXT("x")).data);
    ent_alloc_fail_at(0);
    ent_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc__memory_is_zeroed),
        cmocka_unit_test(test_alloc__nothing_is_something),
        cmocka_unit_test(test_alloc_array__overflow_is_refused),
        cmocka_unit_test(test_alloc_fail_at__fails_that_one_only),
        cmocka_unit_test(test_text_copy__ends_in_nul),
        cmocka_unit_test(test_arena__pieces_are_apart_aligned_and_zeroed),
        cmocka_unit_test(test_arena__limit_holds),
        cmocka_unit_test(test_arena_text__copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
