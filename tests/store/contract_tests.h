/* Inside of the contract: its tests, by file. */
#ifndef ENT_TESTS_STORE_CONTRACT_TESTS_H
#define ENT_TESTS_STORE_CONTRACT_TESTS_H

#include "contract.h"
#include "fixture.h"

typedef struct {
    const contract_engine *engine;
    ent_store *store;
} contract_state;

/** Close and open again, when the engine is durable. */
void contract_reopen(contract_state *contract);

const struct CMUnitTest *contract_log_tests(size_t *ret_count);
const struct CMUnitTest *contract_record_tests(size_t *ret_count);
const struct CMUnitTest *contract_transaction_tests(size_t *ret_count);
const struct CMUnitTest *contract_alert_tests(size_t *ret_count);
const struct CMUnitTest *contract_guard_tests(size_t *ret_count);

#endif
