/* Prints what the native decoder of one architecture finds in a file, a line each.
 *
 * usage: native_probe x86-64|aarch64|riscv64 FILE BASE SEED...
 * Built with AddressSanitizer by the tests: the code lies in a block of exactly its size. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "descent.h"

static const struct arch_ops *const decoders[] = {&x86_ops, &aarch64_ops, &riscv_ops};
static int64_t counts[65536], firsts[65536];
static uint16_t seen[65536];

static void print_reference(void *to, int kind, int64_t at, int64_t target)
{
    (void)to;
    printf("reference %d %" PRId64 " %" PRId64 "\n", kind, at, target);
}

static void print_sweep(const struct arch_ops *d, const uint8_t *code, int64_t size, int64_t base)
{
    struct tally t = {.count = counts, .first = firsts, .seen = seen};
    d->sweep(code, size, base, &t);
    for (int64_t i = 0; i < t.seen_size; i++)
        printf("row %d %" PRId64 " %" PRId64 "\n", seen[i], firsts[seen[i]], counts[seen[i]]);
    printf("bad %" PRId64 " %" PRId64 "\n", t.bad_bytes ? t.bad_first : 0, t.bad_bytes);
    printf("decoded %" PRId64 "\n", t.decoded);
}

static void print_lengths(const struct arch_ops *d, const uint8_t *code, int64_t size)
{
    for (int64_t i = 0; i + d->unit <= size;) {
        int length = d->length(code + i, size - i);
        printf("length %d\n", length);
        i += length ? length : d->unit;
    }
}

static void print_walk(const struct arch_ops *d, const uint8_t *code, int64_t size, int64_t base,
                       char **seeds)
{
    struct descent walk = {.data = code, .size = size, .base = base, .step = d->step,
                           .unit = d->unit, .state = calloc(1, (size_t)(size / d->unit) + 1)};
    for (; *seeds; seeds++)
        push_number(&walk.work, strtoll(*seeds, NULL, 0));
    if (!walk.state || !descend(&walk))
        exit(3);
    for (int64_t i = 0; i < walk.extents.size; i += 2)
        printf("extent %" PRId64 " %" PRId64 "\n", walk.extents.items[i], walk.extents.items[i + 1]);
    for (int64_t i = 0; i < walk.hits.size; i += 3)
        printf("hit %" PRId64 " %" PRId64 " %" PRId64 "\n", walk.hits.items[i],
               walk.hits.items[i + 1], walk.hits.items[i + 2]);
    for (int64_t i = 0; i < walk.targets.size; i++)
        printf("target %" PRId64 "\n", walk.targets.items[i]);
    release(&walk);
}

int main(int argc, char **argv)
{
    FILE *file = argc > 3 ? fopen(argv[2], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END))
        return 2;
    const struct arch_ops *const *named = decoders;
    while (strcmp((*named)->name, argv[1]))
        named++;
    const struct arch_ops *d = *named;
    int64_t size = ftell(file), base = strtoll(argv[3], NULL, 0);
    uint8_t *code = malloc((size_t)size + !size);
    rewind(file);
    if (!code || fread(code, 1, (size_t)size, file) != (size_t)size)
        return 2;
    struct reference_sink sink = {print_reference, NULL};
    d->start();
    print_sweep(d, code, size, base);
    print_lengths(d, code, size);
    d->references(code, size, base, &sink);
    print_walk(d, code, size, base, argv + 4);
    free(code);
    return fclose(file);
}
