/* Replays a corpus through one fuzz target, without libFuzzer: every file as it
 * is, then cut short, then with one bit flipped, then with one byte too many.
 * The same corpus gives the same calls on every machine, so that what a fuzzer
 * once found stays a test, with gcc as with clang.
 *
 * Usage: replay_<name> CORPUS_DIRECTORY */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one run may cost over all its files: the corpus may grow, the test must
 * stay a matter of seconds under a sanitizer too. */
enum {
    TOTAL_MUTATIONS = 40000,
    TOTAL_MUTATED_BYTES = 256 * 1024 * 1024,
    MUTATIONS_PER_FILE = 1024,
    LEAST_MUTATIONS_PER_FILE = 32,
};

static size_t calls;

/* Each call gets a block of exactly its size: one byte read beyond it is seen
 * by AddressSanitizer. */
static void call_target(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        perror("malloc");
        exit(1);
    }
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    calls++;
}

/* The i-th of count points spread evenly over 0..limit-1. */
static size_t spread(size_t i, size_t count, size_t limit)
{
    return (size_t)((uint64_t)i * limit / count);
}

static void replay_cut_short(const uint8_t *data, size_t size, size_t most)
{
    size_t count = size < most ? size : most;

    for (size_t i = 0; i < count; i++)
        call_target(data, spread(i, count, size));
}

static void replay_bits_flipped(uint8_t *data, size_t size, size_t most)
{
    size_t bits = size * 8;
    size_t count = bits < most ? bits : most;

    for (size_t i = 0; i < count; i++) {
        /* Evenly over the bytes, but not always the same bit of them. */
        size_t byte = spread(i, count, bits) / 8;
        uint8_t bit = (uint8_t)(1U << (count == bits ? i % 8 : (i * 5) % 8));

        data[byte] ^= bit;
        call_target(data, size);
        data[byte] ^= bit;
    }
}

/* data has room for one byte more than size. */
static void replay_one_byte_more(uint8_t *data, size_t size)
{
    static const uint8_t tails[] = {0x00, '\n', ' ', 'A', 0xff};

    for (size_t i = 0; i < sizeof tails; i++) {
        data[size] = tails[i];
        call_target(data, size + 1);
    }
}

static size_t mutations_for(size_t size, size_t files)
{
    size_t count = TOTAL_MUTATIONS / files;
    size_t affordable = TOTAL_MUTATED_BYTES / files / (size + 1);

    if (count > affordable)
        count = affordable;
    if (count > MUTATIONS_PER_FILE)
        count = MUTATIONS_PER_FILE;
    if (count < LEAST_MUTATIONS_PER_FILE)
        count = LEAST_MUTATIONS_PER_FILE;
    return count;
}

static int replay_file(const char *path, size_t files)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    struct stat status;
    size_t size;
    size_t most;
    int rc = -1;

    if (file == NULL || fstat(fileno(file), &status) != 0)
        goto out;
    size = (size_t)status.st_size;
    data = malloc(size + 1);
    if (data == NULL || fread(data, 1, size, file) != size)
        goto out;

    most = mutations_for(size, files);
    call_target(data, size);
    replay_cut_short(data, size, most / 2);
    replay_bits_flipped(data, size, most / 2);
    replay_one_byte_more(data, size);
    rc = 0;
out:
    if (rc != 0)
        perror(path);
    free(data);
    if (file != NULL)
        fclose(file);
    return rc;
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int count;
    int failed = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 2;
    }
    count = scandir(argv[1], &entries, is_seed, alphasort);
    if (count < 0) {
        perror(argv[1]);
        return 1;
    }
    if (count == 0) {
        fprintf(stderr, "%s: the corpus is empty\n", argv[1]);
        failed = 1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);

        if (length < 0 || (size_t)length >= sizeof path) {
            fprintf(stderr, "%s/%s: the path is too long\n", argv[1], entries[i]->d_name);
            failed = 1;
        } else if (replay_file(path, (size_t)count) != 0) {
            failed = 1;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%d files, %zu calls\n", count < 0 ? 0 : count, calls);
    return failed;
}
