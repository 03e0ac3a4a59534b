/* Random lives of channels, held to what the ledger promises: program_check says what. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "program.h"

enum { MOST_CHOICES = 4000 };

static uint64_t first_seed;
static uint64_t seed_count;
static uint64_t seed_now;

/* What is not so ends the process: with the seed that shows it again. */
static void name_seed(int signal_number)
{
    (void)fprintf(stderr, "seed %llu\n", (unsigned long long)seed_now);
    (void)signal(signal_number, SIG_DFL);
}

static void live(uint64_t number, size_t most)
{
    uint8_t choices[MOST_CHOICES];
    uint64_t seed = number;
    world w;
    seed_now = number;
    size_t count = 1 + (size_t)world_below(&seed, most);
    for (size_t i = 0; i < count; i++)
        choices[i] = (uint8_t)world_random(&seed);
    program_run(&w, ent_bytes_of(choices, count));
    program_check(&w, seed, PROGRAM_ALL, 3);
    world_end(&w);
}

static void test_property__random_lives_keep_every_promise(void **state)
{
    (void)state;
    time_t began = time(NULL);
    uint64_t done = 0;
    for (; done < seed_count && time(NULL) - began < 8; done++)
        live(first_seed + done, (first_seed + done) % 8 == 7 ? MOST_CHOICES : 900);
    print_message("%llu lives from seed %llu\n", (unsigned long long)done, (unsigned long long)first_seed);
}

/* usage: test_ledger_property [FIRST_SEED [COUNT]] */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_property__random_lives_keep_every_promise)};
    first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * 1000;
    seed_count = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    (void)signal(SIGABRT, name_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
