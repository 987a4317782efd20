/* x86-64 code: counted, followed, searched for references. */
#include "decode.h"
#include "x86_core.h"

/* An instruction that ends behind the code is none. */
static struct instruction decode_within(const uint8_t *code, int64_t left)
{
    uint8_t window[X86_WINDOW] = {0};
    if (left >= X86_WINDOW)
        return x86_decode(code);
    memcpy(window, code, (size_t)left);
    struct instruction found = x86_decode(window);
    if (found.length > left)
        found.group = ENTRY_BAD;
    return found;
}

/* The length of what was counted. */
static inline int count_one(struct tally *t, const struct instruction *found, int64_t at)
{
    if (found->group == ENTRY_BAD) {
        count_bad(t, at, 1);
        return 1;
    }
    t->decoded++;
    if (found->group)
        count_class(t, found->group, at);
    return found->length;
}

/* What the quick loop has no answer for. */
static int count_other(struct tally *t, const uint8_t *code, int64_t at)
{
    struct instruction found = x86_decode(code);
    return count_one(t, &found, at);
}

static inline int count_vex(struct tally *t, const uint8_t *code, int64_t at)
{
    struct instruction found = {CELL_NODE, ENTRY_BAD, 0, 0, 0, 0};
    x86_vex(&found, code, 0);
    return count_one(t, &found, at);
}

static inline int count_evex(struct tally *t, const uint8_t *code, int64_t at)
{
    struct instruction found = {CELL_NODE, ENTRY_BAD, 0, 0, 0, 0};
    x86_evex(&found, code, 0);
    return count_one(t, &found, at);
}

static void x86_sweep(const uint8_t *code, int64_t size, int64_t at, struct tally *t)
{
    int64_t i = 0, decoded = 0;
    while (i + X86_WINDOW <= size) {
        struct quick q = x86_quick(code + i);
        if (!(x86_fast_fields[q.row][q.opcode] >> q.field & 1)) {
            uint8_t first = code[i];
            if (first == 0xc5 || first == 0xc4)
                i += count_vex(t, code + i, at + i);
            else if (first == 0x62)
                i += count_evex(t, code + i, at + i);
            else
                i += count_other(t, code + i, at + i);
            continue;
        }
        uint16_t group = (uint16_t)q.cell;
        if (group)
            count_class(t, group, at + i);
        decoded++;
        i += q.length;
    }
    t->decoded += decoded;
    while (i < size) {
        struct instruction found = decode_within(code + i, size - i);
        i += count_one(t, &found, at + i);
    }
}

static int x86_length(const uint8_t *code, int64_t left)
{
    struct instruction found = decode_within(code, left);
    return found.group == ENTRY_BAD ? 0 : found.length;
}

static inline int64_t moved(int64_t at, int64_t by)
{
    return (int64_t)((uint64_t)at + (uint64_t)by);
}

static inline int64_t signed_bytes(const uint8_t *code, unsigned size)
{
    uint32_t word = 0;
    memcpy(&word, code, size);
    return (int32_t)(word << (32 - 8 * size)) >> (32 - 8 * size);
}

/* Where a relative branch leads: its immediate ends the instruction. */
static int64_t branch_target(const uint8_t *code, const struct instruction *i, int64_t at)
{
    unsigned size = i->cell >> 16 & 15;
    return moved(at, i->length + signed_bytes(code + i->length - size, size));
}

static enum use use_of(const struct instruction *i)
{
    return (enum use)(i->cell >> 24 & 15);
}

/* The all-zero word is an instruction, but code that leads to it is most likely data. */
static void x86_step(const uint8_t *code, int64_t left, int64_t at, struct step *s)
{
    struct instruction i = decode_within(code, left);
    s->length = i.length;
    s->group = i.group;
    s->flow = FLOW_ON;
    if (i.group == ENTRY_BAD || (left >= 2 && !code[0] && !code[1])) {
        s->flow = FLOW_BAD;
        return;
    }
    switch (use_of(&i)) {
    case USE_CALL:
    case USE_JUMP:
    case USE_BRANCH:
        s->target = branch_target(code, &i, at);
        s->flow = use_of(&i) == USE_CALL ? FLOW_CALL : use_of(&i) == USE_JUMP ? FLOW_JUMP : FLOW_BRANCH;
        break;
    case USE_JUMP_ABSOLUTE:
        memcpy(&s->target, code + i.length - 8, 8);
        s->flow = FLOW_JUMP;
        break;
    case USE_END:
    case USE_JUMP_AT:
        s->flow = FLOW_END;
        break;
    default:
        break;
    }
}

/* Whether the memory operand has an address that the code states. */
static int fixed_address(const uint8_t *code, const struct instruction *i, int64_t at, int64_t *address)
{
    if (!i->modrm || i->segment)
        return 0;
    const uint8_t *modrm = code + i->modrm;
    if ((modrm[0] & 0xc7) == 5) {
        *address = moved(at, i->length + signed_bytes(modrm + 1, 4));
        return 1;
    }
    if ((modrm[0] & 0xc7) == 4 && (modrm[1] & 0x3f) == 0x25 && !i->index_high) {
        *address = signed_bytes(modrm + 2, 4);
        return 1;
    }
    return 0;
}

static void refer_to_memory(const uint8_t *code, const struct instruction *i, int64_t at,
                            struct reference_sink *sink)
{
    static const uint8_t kinds[16] = {
        [USE_CALL_AT] = REF_CALL_MEMORY, [USE_JUMP_AT] = REF_JUMP_MEMORY, [USE_ADDRESS] = REF_ADDRESS,
        [USE_LOAD] = REF_LOAD, [USE_STORE] = REF_STORE, [USE_TEST] = REF_FLAG_TEST,
    };
    enum use use = use_of(i);
    int64_t address;
    if (!kinds[use])
        return;
    if (fixed_address(code, i, at, &address))
        emit(sink, kinds[use], at, address);
    else if (use == USE_CALL_AT || use == USE_JUMP_AT)
        emit(sink, REF_INDIRECT, at, 0);
}

static void refer(const uint8_t *code, const struct instruction *i, int64_t at,
                  struct reference_sink *sink)
{
    int64_t target;
    switch (use_of(i)) {
    case USE_PLAIN:
    case USE_END:
        return;
    case USE_CALL:
        emit(sink, REF_CALL, at, branch_target(code, i, at));
        return;
    case USE_JUMP:
        emit(sink, REF_JUMP, at, branch_target(code, i, at));
        return;
    case USE_BRANCH:
        emit(sink, REF_BRANCH, at, branch_target(code, i, at));
        return;
    case USE_JUMP_ABSOLUTE:
        memcpy(&target, code + i->length - 8, 8);
        emit(sink, REF_JUMP, at, target);
        return;
    case USE_IDENTITY:
        emit(sink, REF_IDENTITY, at, 0);
        return;
    default:
        refer_to_memory(code, i, at, sink);
    }
}

/* Whether the quick tables say that nothing is referred to: the memory operand, if there is one,
 * has a register in its address. */
static inline int is_silent(const struct quick *q)
{
    unsigned form = q->modrm & 0xc7;
    int may_be_fixed = form == 5 || (form == 4 && (q->sib & 7) == 5);
    return x86_quiet_fields[q->row][q->opcode] >> q->field & 1 && !may_be_fixed;
}

static void x86_references(const uint8_t *code, int64_t size, int64_t at, struct reference_sink *sink)
{
    for (int64_t i = 0; i < size;) {
        if (i + X86_WINDOW <= size) {
            struct quick q = x86_quick(code + i);
            if (is_silent(&q)) {
                i += q.length;
                continue;
            }
        }
        struct instruction found = decode_within(code + i, size - i);
        if (found.group != ENTRY_BAD)
            refer(code + i, &found, at + i, sink);
        i += found.group == ENTRY_BAD ? 1 : found.length;
    }
}

const struct arch_ops x86_ops = {
    .name = "x86-64",
    .unit = 1,
    .classes = X86_CLASSES,
    .start = x86_prepare,
    .sweep = x86_sweep,
    .step = x86_step,
    .length = x86_length,
    .references = x86_references,
};
