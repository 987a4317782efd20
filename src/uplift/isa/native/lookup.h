/* Decision tables: a root that some bits of a word index, nodes that name a window of the word. */
#ifndef UPLIFT_LOOKUP_H
#define UPLIFT_LOOKUP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ENTRY_BAD = 0x7fff, ENTRY_NODE = 0x8000 };

struct window {
    uint32_t offset; /* of the node's entries */
    uint16_t mask;
    uint8_t shift;
};

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

/* Pairs of how often and which value, as the generated headers hold them. */
static inline void unpack_runs(uint16_t *to, const uint16_t *runs, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++)
        for (uint16_t n = runs[2 * i]; n; n--)
            *to++ = runs[2 * i + 1];
}

/* A root entry names a node; where that node looks at no bit, the entry may be its class. */
static inline void decide_root(uint16_t *root, size_t size, const struct window *nodes,
                               const uint16_t *entries)
{
    for (size_t i = 0; i < size; i++) {
        const struct window *node = &nodes[root[i]];
        root[i] = node->mask ? (uint16_t)(root[i] | ENTRY_NODE) : entries[node->offset];
    }
}

static inline uint16_t resolve(uint16_t entry, uint32_t word, const struct window *nodes,
                               const uint16_t *entries)
{
    while (entry & ENTRY_NODE) {
        const struct window *node = &nodes[entry & ENTRY_BAD];
        entry = entries[node->offset + ((word >> node->shift) & node->mask)];
    }
    return entry;
}

#endif
