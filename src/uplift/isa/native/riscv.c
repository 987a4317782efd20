/* riscv64 code, compressed instructions among it: counted, followed, searched for references. */
#include "decode.h"
#include "riscv_core.h"

struct decoded {
    uint16_t group;
    int length; /* of the instruction; 2 where there is none */
};

/* A long encoding, or one that ends behind the code, is no instruction. */
static inline struct decoded decode(const uint8_t *code, int64_t left)
{
    uint32_t word = riscv_fetch(code, left);
    struct decoded d = {ENTRY_BAD, 2};
    if (!is_wide(word)) {
        d.group = riscv_class(word & 0xffff);
    } else if (left >= 4) {
        d.group = riscv_class(word);
        d.length = d.group == ENTRY_BAD ? 2 : 4;
    }
    return d;
}

/* What is not plainly of the base set: the length of what was counted. */
static int count_other(struct tally *t, uint16_t entry, uint32_t word, int64_t at)
{
    int wide = is_wide(word);
    if (entry == ENTRY_BAD) {
        count_bad(t, at, 2);
        t->decoded--;
        return 2;
    }
    if (entry)
        count_class(t, entry, at);
    return wide ? 4 : 2;
}

/* The last instruction may lack the bytes that a word is read with. */
static void count_last(struct tally *t, const uint8_t *code, int64_t left, int64_t at)
{
    for (; left >= 2; left -= 2, code += 2, at += 2) {
        struct decoded d = decode(code, left);
        if (d.group == ENTRY_BAD) {
            count_bad(t, at, 2);
            continue;
        }
        t->decoded++;
        if (d.group)
            count_class(t, d.group, at);
    }
}

/* Lengths without a branch: which one comes next is hard to predict. */
static void riscv_sweep(const uint8_t *code, int64_t size, int64_t at, struct tally *t)
{
    int64_t i = 0, decoded = 0;
    while (i + 4 <= size) {
        uint32_t word = load32(code + i);
        uint16_t entry = riscv_root[word & 0xffff];
        decoded++;
        entry = resolve(entry, word, riscv_nodes, riscv_entries);
        if (entry)
            i += count_other(t, entry, word, at + i);
        else
            i += 2 + 2 * (int64_t)is_wide(word);
    }
    t->decoded += decoded;
    count_last(t, code + i, size - i, at + i);
}

static enum flow wide_flow(uint32_t word, int64_t at, int64_t *target)
{
    switch (word & 0x7f) {
    case 0x6f:
        *target = moved(at, immediate_j(word));
        return riscv_rd(word) ? FLOW_CALL : FLOW_JUMP;
    case 0x63:
        *target = moved(at, immediate_b(word));
        return FLOW_BRANCH;
    case 0x67:
        return riscv_rd(word) ? FLOW_ON : FLOW_END;
    default: /* EBREAK, URET to MRET and UNIMP do not go on */
        if (word == 0x00100073 || word == 0xc0001073 || (word & 0xcfffffff) == 0x00200073)
            return FLOW_END;
        return FLOW_ON;
    }
}

static enum flow compact_flow(uint32_t word, int64_t at, int64_t *target)
{
    if ((word & 0xe003) == 0xa001) {
        *target = moved(at, immediate_cj(word));
        return FLOW_JUMP;
    }
    if ((word & 0xc003) == 0xc001) {
        *target = moved(at, immediate_cb(word));
        return FLOW_BRANCH;
    }
    if (word == 0x9002 || (word & 0xf07f) == 0x8002)
        return FLOW_END; /* C.EBREAK, C.JR */
    return FLOW_ON;
}

/* AUIPC and JALR make the far call: with the AUIPC right before, its target is known. */
static void join_far(const uint8_t *code, int64_t left, int64_t at, struct step *s)
{
    uint32_t first = riscv_fetch(code, left), second;
    if ((first & 0x7f) != 0x17 || left < 8)
        return;
    second = riscv_fetch(code + 4, left - 4);
    if ((second & 0x707f) != 0x67 || riscv_rs1(second) != riscv_rd(first))
        return;
    s->target = moved(moved(at, immediate_u(first)), immediate_i(second));
    s->length = 8;
    s->flow = riscv_rd(second) ? FLOW_CALL : FLOW_JUMP;
}

/* The all-zero word is an instruction, but code that leads to it is most likely data. */
static void riscv_step(const uint8_t *code, int64_t left, int64_t at, struct step *s)
{
    if (left < 2 || at & 1) {
        s->flow = FLOW_BAD;
        return;
    }
    struct decoded d = decode(code, left);
    uint32_t word = riscv_fetch(code, left);
    s->length = d.length;
    s->group = d.group;
    if (d.group == ENTRY_BAD || !(word & 0xffff))
        s->flow = FLOW_BAD;
    else if (d.length == 4)
        s->flow = wide_flow(word, at, &s->target);
    else
        s->flow = compact_flow(word & 0xffff, at, &s->target);
    if (s->flow == FLOW_ON)
        join_far(code, left, at, s);
}

static int riscv_length(const uint8_t *code, int64_t left)
{
    if (left < 2)
        return 0;
    struct decoded d = decode(code, left);
    return d.group == ENTRY_BAD ? 0 : d.length;
}

static void riscv_references(const uint8_t *code, int64_t size, int64_t at, struct reference_sink *sink)
{
    riscv_read_references(code, size, at, sink);
}

const struct arch_ops riscv_ops = {
    .name = "riscv64",
    .unit = 2,
    .classes = RISCV_CLASSES,
    .start = riscv_prepare,
    .sweep = riscv_sweep,
    .step = riscv_step,
    .length = riscv_length,
    .references = riscv_references,
};
