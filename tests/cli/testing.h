/* cmocka with the headers it needs, and results. */
#ifndef ENT_TESTS_CLI_TESTING_H
#define ENT_TESTS_CLI_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

#define assert_ok(call) assert_int_equal((call).code, ENT_OK)
#define assert_code(call, wanted) assert_int_equal((call).code, (wanted))

static inline void assert_text(ent_text text, const char *wanted)
{
    if (!ent_text_is(text, wanted))
        fail_msg("\"%.*s\" is not \"%s\"", ENT_TEXT_ARG(text), wanted);
}

static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

#endif
