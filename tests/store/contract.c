#include "contract.h"

#include "base/alloc.h"
#include "contract_tests.h"
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

static int setup(void **state)
{
    contract_state *contract = *state;
    return contract->engine->open(true, &contract->store, NULL).code == ENT_OK ? 0 : -1;
}

static int teardown(void **state)
{
    contract_state *contract = *state;
    ent_alloc_fail_at(0);
    ent_store_close(contract->store);
    contract->store = NULL;
    contract->engine->clean();
    return 0;
}

void contract_reopen(contract_state *contract)
{
    if (!contract->engine->durable)
        return;
    ent_store_close(contract->store);
    contract->store = NULL;
    assert_ok(contract->engine->open(false, &contract->store, NULL));
}

int contract_run(const contract_engine *engine)
{
    contract_state state = {.engine = engine};
    size_t logs = 0;
    size_t records = 0;
    size_t transactions = 0;
    size_t alerts = 0;
    size_t guard = 0;
    const struct CMUnitTest *groups[] = {contract_log_tests(&logs), contract_record_tests(&records),
                                         contract_transaction_tests(&transactions), contract_alert_tests(&alerts),
                                         contract_guard_tests(&guard)};
    const size_t counts[] = {logs, records, transactions, alerts, guard};
    int failed = 0;
    for (size_t group = 0; group < sizeof counts / sizeof counts[0]; group++) {
        struct CMUnitTest *tests = calloc(counts[group], sizeof *tests);
        char name[64];
        for (size_t at = 0; at < counts[group]; at++) {
            tests[at] = groups[group][at];
            tests[at].setup_func = setup;
            tests[at].teardown_func = teardown;
            tests[at].initial_state = &state;
        }
        (void)snprintf(name, sizeof name, "contract, %s, part %zu", engine->name, group + 1);
        failed += _cmocka_run_group_tests(name, tests, counts[group], NULL, NULL);
        free(tests);
    }
    return failed;
}
