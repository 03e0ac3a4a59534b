#include "contract_tests.h"

#include "base/alloc.h"

#include <stdio.h>

enum { DAY_S = 86400 };

static const ent_sink both[] = {ENT_SINK_EMAIL, ENT_SINK_EXECUTE};

typedef struct {
    ent_store *store;
    char seen[512];
    int64_t last; /* number */
    int stop_after;
} walk_context;

static ent_rc see_alert(void *context, const ent_store_alert *alert, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    int64_t again = 0;
    /* the store may be used from inside a walk */
    ENT_TRY(walk->store->engine->alert_get(walk->store, alert->key, &again, err));
    assert_true(again >= alert->created_unix_s);
    used += (size_t)snprintf(walk->seen + used, sizeof walk->seen - used, "%.*s=%.*s@%d", ENT_TEXT_ARG(alert->key),
                             ENT_TEXT_ARG(alert->json), (int)(alert->created_unix_s - FIXTURE_NOW));
    for (size_t i = 0; i < alert->sink_count; i++)
        used += (size_t)snprintf(walk->seen + used, sizeof walk->seen - used, " %s:%s:%d",
                                 ent_sink_word(alert->sinks[i].sink), ent_alert_state_word(alert->sinks[i].state),
                                 (int)alert->sinks[i].attempts);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, ";");
    walk->last = alert->number;
    if (walk->stop_after > 0 && --walk->stop_after == 0)
        return ent_fail(err, ENT_REFUSED, NULL, "stop");
    return ENT_DONE;
}

static bool put(ent_store *store, const char *key, int64_t now)
{
    bool is_new = false;
    assert_ok(store->engine->alert_put(store, ent_text_of(key), ENT_TEXT("{}"), both, 2, now, &is_new, NULL));
    return is_new;
}

static void assert_walk(ent_store *store, bool waiting, int64_t before, size_t limit, const char *expected)
{
    walk_context walk = {.store = store};
    assert_ok(store->engine->alert_walk(store, waiting, before, limit, see_alert, &walk, NULL));
    assert_string_equal(walk.seen, expected);
}

static void test_store__alert_is_kept_once_for_each_key(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    int64_t seen = -1;
    assert_ok(store->engine->alert_get(store, ENT_TEXT("a"), &seen, NULL));
    assert_int_equal(seen, 0);
    assert_ok(store->engine->begin(store, NULL));
    assert_true(put(store, "a", FIXTURE_NOW));
    assert_true(put(store, "b", FIXTURE_NOW + 1));
    assert_false(put(store, "a", FIXTURE_NOW + 2));
    assert_false(put(store, "b", FIXTURE_NOW - 9)); /* a clock set back takes nothing away */
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->alert_get(store, ENT_TEXT("a"), &seen, NULL));
    assert_int_equal(seen, FIXTURE_NOW + 2);
    assert_ok(store->engine->alert_get(store, ENT_TEXT("b"), &seen, NULL));
    assert_int_equal(seen, FIXTURE_NOW + 1);
    assert_walk(store, false, INT64_MAX, 9,
                "b={}@1 email:waiting:0 execute:waiting:0;"
                "a={}@0 email:waiting:0 execute:waiting:0;");
    assert_walk(store, false, INT64_MAX, 1, "b={}@1 email:waiting:0 execute:waiting:0;");
    walk_context walk = {.store = store, .stop_after = 1};
    assert_fails(store->engine->alert_walk(store, true, INT64_MAX, 9, see_alert, &walk, NULL), ENT_REFUSED);
    assert_walk(store, true, walk.last, SIZE_MAX, "a={}@0 email:waiting:0 execute:waiting:0;");
}

static void test_store__alert_waits_until_each_sink_has_it(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    walk_context walk = {.store = store};
    assert_ok(store->engine->begin(store, NULL));
    assert_true(put(store, "a", FIXTURE_NOW));
    assert_ok(store->engine->alert_walk(store, true, INT64_MAX, 9, see_alert, &walk, NULL)); /* own writes are seen */
    ent_store_alert_sink sink = {.alert = walk.last, .sink = ENT_SINK_EMAIL, .state = ENT_ALERT_WAITING, .attempts = 3};
    memset(sink.last_error, 'e', sizeof sink.last_error - 1);
    assert_ok(store->engine->alert_sink_put(store, &sink, NULL));
    sink.sink = ENT_SINK_WEBHOOK; /* this alert does not go there */
    assert_fails(store->engine->alert_sink_put(store, &sink, NULL), ENT_ABSENT);
    sink.sink = ENT_SINK_EXECUTE;
    sink.state = ENT_ALERT_DROPPED;
    assert_ok(store->engine->alert_sink_put(store, &sink, NULL));
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_walk(store, true, INT64_MAX, 9, "a={}@0 email:waiting:3 execute:dropped:3;");
    assert_ok(store->engine->begin(store, NULL));
    sink.sink = ENT_SINK_EMAIL;
    sink.state = ENT_ALERT_DELIVERED;
    sink.attempts = 4;
    sink.last_error[0] = 0;
    assert_ok(store->engine->alert_sink_put(store, &sink, NULL));
    sink.state = ENT_ALERT_WAITING;
    assert_fails(store->engine->alert_sink_put(store, &sink, NULL), ENT_REFUSED);
    sink.state = (ent_alert_state)7;
    assert_fails(store->engine->alert_sink_put(store, &sink, NULL), ENT_USAGE);
    assert_ok(store->engine->commit(store, NULL));
    assert_walk(store, true, INT64_MAX, 9, "");
    assert_walk(store, false, INT64_MAX, 9, "a={}@0 email:delivered:4 execute:dropped:3;");
}

static void finish(ent_store *store, int64_t alert)
{
    for (size_t i = 0; i < 2; i++) {
        ent_store_alert_sink sink = {.alert = alert, .sink = both[i], .state = ENT_ALERT_DELIVERED};
        assert_ok(store->engine->alert_sink_put(store, &sink, NULL));
    }
}

static void test_store__finished_alert_goes_when_it_stands_no_longer(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    int64_t later = FIXTURE_NOW + (int64_t)ENT_ALERT_KEPT_DAYS * DAY_S;
    const char *const keys[] = {"waiting", "standing", "over"};
    assert_ok(store->engine->begin(store, NULL));
    for (size_t i = 0; i < 3; i++) {
        walk_context walk = {.store = store};
        assert_true(put(store, keys[i], FIXTURE_NOW));
        assert_ok(store->engine->alert_walk(store, false, INT64_MAX, 1, see_alert, &walk, NULL));
        if (i > 0)
            finish(store, walk.last);
    }
    assert_false(put(store, "standing", FIXTURE_NOW + DAY_S));
    assert_true(put(store, "new", later)); /* a day before "over" is old enough */
    int64_t seen = 0;
    assert_ok(store->engine->alert_get(store, ENT_TEXT("over"), &seen, NULL));
    assert_int_equal(seen, FIXTURE_NOW);
    assert_true(put(store, "newer", later + 1));
    for (size_t i = 0; i < 3; i++) {
        assert_ok(store->engine->alert_get(store, ent_text_of(keys[i]), &seen, NULL));
        assert_int_equal(seen > 0, i < 2);
    }
    assert_ok(store->engine->commit(store, NULL));
}

static void test_store__alert_that_breaks_a_rule_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    static const ent_sink twice[] = {ENT_SINK_EMAIL, ENT_SINK_EMAIL};
    static const ent_sink unknown[] = {(ent_sink)4};
    char key[ENT_ALERT_KEY_MAX_BYTES + 2] = {0};
    bool is_new = true;
    ent_text json = ENT_TEXT("{}");
    memset(key, 'k', sizeof key - 1);
    assert_fails(store->engine->alert_put(store, ENT_TEXT("a"), json, both, 2, 0, &is_new, NULL), ENT_USAGE);
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->alert_put(store, ENT_TEXT(""), json, both, 2, 0, &is_new, NULL), ENT_USAGE);
    assert_fails(store->engine->alert_put(store, ent_text_of(key), json, both, 2, 0, &is_new, NULL), ENT_USAGE);
    assert_fails(store->engine->alert_put(store, ENT_TEXT("a"), ENT_TEXT(""), both, 2, 0, &is_new, NULL), ENT_USAGE);
    assert_fails(store->engine->alert_put(store, ENT_TEXT("a"), json, twice, 2, 0, &is_new, NULL), ENT_USAGE);
    assert_fails(store->engine->alert_put(store, ENT_TEXT("a"), json, unknown, 1, 0, &is_new, NULL), ENT_USAGE);
    assert_true(is_new);
    key[ENT_ALERT_KEY_MAX_BYTES] = 0;
    assert_true(put(store, key, 0));
    assert_ok(store->engine->commit(store, NULL));
}

static void test_store__message_is_read_at_its_first_opening(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    int64_t read = -1;
    assert_ok(store->engine->message_read_get(store, 1, 7, &read, NULL));
    assert_int_equal(read, 0);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->message_read_put(store, 1, 7, FIXTURE_NOW, NULL));
    assert_ok(store->engine->message_read_put(store, 1, 7, FIXTURE_NOW + 5, NULL));
    assert_ok(store->engine->message_read_put(store, 2, 7, FIXTURE_NOW + 9, NULL));
    assert_fails(store->engine->message_read_put(store, 0, 7, FIXTURE_NOW, NULL), ENT_USAGE);
    assert_fails(store->engine->message_read_put(store, 1, UINT64_MAX, FIXTURE_NOW, NULL), ENT_USAGE);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->message_read_get(store, 1, 7, &read, NULL));
    assert_int_equal(read, FIXTURE_NOW);
    assert_ok(store->engine->message_read_get(store, 2, 7, &read, NULL));
    assert_int_equal(read, FIXTURE_NOW + 9);
    assert_ok(store->engine->message_read_get(store, 1, 8, &read, NULL));
    assert_int_equal(read, 0);
}

static void test_store__no_memory_in_an_alert_walk_gives_nothing_wrong(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    assert_ok(store->engine->begin(store, NULL));
    assert_true(put(store, "a", FIXTURE_NOW));
    assert_ok(store->engine->commit(store, NULL));
    for (unsigned long nth = 1;; nth++) {
        walk_context walk = {.store = store};
        ent_alloc_fail_at(nth);
        ent_rc rc = store->engine->alert_walk(store, true, INT64_MAX, 9, see_alert, &walk, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
    }
}

const struct CMUnitTest *contract_alert_tests(size_t *ret_count)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__alert_is_kept_once_for_each_key),
        cmocka_unit_test(test_store__alert_waits_until_each_sink_has_it),
        cmocka_unit_test(test_store__finished_alert_goes_when_it_stands_no_longer),
        cmocka_unit_test(test_store__alert_that_breaks_a_rule_is_refused),
        cmocka_unit_test(test_store__message_is_read_at_its_first_opening),
        cmocka_unit_test(test_store__no_memory_in_an_alert_walk_gives_nothing_wrong),
    };
    *ret_count = sizeof tests / sizeof tests[0];
    return tests;
}
