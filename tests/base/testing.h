/* What the tests of the stages share: cmocka with the headers it needs, and results. */
#ifndef ENT_TESTS_BASE_TESTING_H
#define ENT_TESTS_BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

#define assert_ok(call) assert_int_equal((call).code, ENT_OK)
#define assert_code(call, wanted) assert_int_equal((call).code, (wanted))

#endif
