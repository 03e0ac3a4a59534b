/* What any engine of the store has to do: held to it through the vtable alone. */
#ifndef ENT_TESTS_STORE_CONTRACT_H
#define ENT_TESTS_STORE_CONTRACT_H

#include "store/store.h"

/** An engine under test. */
typedef struct {
    const char *name;
    /** Open an empty store (fresh) or the one that was closed (not fresh; durable engines only). */
    ent_rc (*open)(bool fresh, ent_store **ret, ent_err *err);
    /** Drop what the last store left behind. */
    void (*clean)(void);
    bool durable;
} contract_engine;

/** Run every test of the contract.  Gives the number of failed tests. */
int contract_run(const contract_engine *engine);

#endif
