#include "contract.h"
#include "fixture.h"

static char *folder;

static ent_rc open_memory(bool fresh, ent_store **ret, ent_err *err)
{
    (void)fresh;
    return ent_store_sqlite_open(NULL, ret, err);
}

static void clean_memory(void)
{
}

static ent_rc open_folder(bool fresh, ent_store **ret, ent_err *err)
{
    if (fresh)
        folder = fixture_make_folder();
    return ent_store_sqlite_open(folder, ret, err);
}

static void clean_folder(void)
{
    if (folder != NULL)
        fixture_remove_folder(folder);
    folder = NULL;
}

int main(void)
{
    static const contract_engine memory = {"SQLite in memory", open_memory, clean_memory, false};
    static const contract_engine durable = {"SQLite in a folder", open_folder, clean_folder, true};
    return contract_run(&memory) + contract_run(&durable);
}
