/* A channel's life, byte by byte: entries that make sense and entries that do not, receipts early, late and twice,
 * facts of all kinds. Every order of feeding that causality allows gives the same lines, and the rest of what
 * tests/ledger/program.h promises. */
#include "program.h"

enum { MOST_CHOICES = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    if (size == 0 || size > MOST_CHOICES)
        return 0;
    program_run(&w, ent_bytes_of(data, size));
    program_check(&w, size, data[size - 1] % 4 == 0 ? PROGRAM_ALL : 1U << size % 5, 1);
    world_end(&w);
    return 0;
}
