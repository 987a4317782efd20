/* arm64 code: counted, followed, searched for references. */
#include "decode.h"
#include "aarch64_core.h"

/* Whole words only: `at` is a multiple of 4. */
static void aarch64_sweep(const uint8_t *code, int64_t size, int64_t at, struct tally *t)
{
    int64_t bad = 0;
    for (int64_t i = 0; i + 4 <= size; i += 4) {
        uint32_t word = load32(code + i);
        uint16_t entry = aarch64_root_entry(word);
        if (!entry)
            continue;
        entry = resolve(entry, word, aarch64_nodes, aarch64_entries);
        if (!entry)
            continue;
        if (entry == ENTRY_BAD) {
            count_bad(t, at + i, 4);
            bad++;
        } else {
            count_class(t, entry, at + i);
        }
    }
    t->decoded += size / 4 - bad;
}

static enum flow flow_of(uint32_t word, int64_t at, int64_t *target)
{
    if ((word & 0x7c000000) == 0x14000000) {
        *target = relative(word, at, 0, 26);
        return word >> 31 ? FLOW_CALL : FLOW_JUMP;
    }
    if (is_conditional(word, at, target))
        return FLOW_BRANCH;
    if (is_branch_to_register(word))
        return word >> 21 & 1 ? FLOW_ON : FLOW_END;
    return is_return(word) || is_trap(word) ? FLOW_END : FLOW_ON;
}

/* UDF is an instruction, but code that leads to it is most likely data. */
static void aarch64_step(const uint8_t *code, int64_t left, int64_t at, struct step *s)
{
    uint32_t word = left >= 4 ? load32(code) : 0;
    s->length = 4;
    s->group = aarch64_class(word);
    if (left < 4 || at & 3 || word < 0x10000 || s->group == ENTRY_BAD)
        s->flow = FLOW_BAD;
    else
        s->flow = flow_of(word, at, &s->target);
}

static int aarch64_length(const uint8_t *code, int64_t left)
{
    return left >= 4 && aarch64_class(load32(code)) != ENTRY_BAD ? 4 : 0;
}

static void aarch64_references(const uint8_t *code, int64_t size, int64_t at, struct reference_sink *sink)
{
    aarch64_read_references(code, size, at, sink);
}

const struct arch_ops aarch64_ops = {
    .name = "aarch64",
    .unit = 4,
    .classes = AARCH64_CLASSES,
    .start = aarch64_prepare,
    .sweep = aarch64_sweep,
    .step = aarch64_step,
    .length = aarch64_length,
    .references = aarch64_references,
};
