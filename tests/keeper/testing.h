/* cmocka with the headers it needs, results, and a folder for each test. */
#ifndef ENT_TESTS_KEEPER_TESTING_H
#define ENT_TESTS_KEEPER_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "crypto/crypto.h"

#define assert_ok(call) assert_int_equal((call).code, ENT_OK)
#define assert_code(call, wanted) assert_int_equal((call).code, (wanted))

static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

static inline int make_folder(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *path = NULL;
    if (ent_crypto_init(NULL).code != ENT_OK ||
        asprintf(&path, "%s/entente-test-XXXXXX", parent == NULL ? "/tmp" : parent) < 0 || mkdtemp(path) == NULL)
        return -1;
    *state = path;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline int remove_folder(void **state)
{
    int rc = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

/* Path below the test's folder; freed by the caller with ent_free. */
static inline char *below(void **state, const char *name)
{
    char *path = ent_file_join(*state, name);
    assert_non_null(path);
    return path;
}

/* Files may grow to limit bytes from here on: writing more fails as on a full disk. RLIM_INFINITY ends it. */
static inline void limit_files(rlim_t limit)
{
    struct rlimit now;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &now), 0);
    now.rlim_cur = limit == RLIM_INFINITY ? now.rlim_max : limit;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
}

#endif
