/* arm64: classes of words, where control goes, what refers to a fixed address. */
#ifndef UPLIFT_AARCH64_CORE_H
#define UPLIFT_AARCH64_CORE_H

#include "lookup.h"
#include "references.h"
#include "registers.h"
#include "aarch64_tables.h"

static uint16_t aarch64_root[AARCH64_ROOT], aarch64_entries[AARCH64_ENTRIES];

static void aarch64_prepare(void)
{
    unpack_runs(aarch64_entries, aarch64_entry_runs, sizeof aarch64_entry_runs / 4);
    unpack_runs(aarch64_root, aarch64_root_runs, sizeof aarch64_root_runs / 4);
    decide_root(aarch64_root, AARCH64_ROOT, aarch64_nodes, aarch64_entries);
}

/* Bits 31-21 and 15-10 index the root: between them lie registers. */
static inline uint16_t aarch64_root_entry(uint32_t word)
{
    return aarch64_root[(word >> 15 & 0x1ffc0) | (word >> 10 & 0x3f)];
}

static inline uint16_t aarch64_class(uint32_t word)
{
    return resolve(aarch64_root_entry(word), word, aarch64_nodes, aarch64_entries);
}

static inline int64_t sign_extended(uint32_t value, unsigned bits)
{
    return (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits);
}

/* The signed immediate of `bits` bits at `shift`, in units of 4 bytes, from the word's address. */
static inline int64_t relative(uint32_t word, int64_t at, unsigned shift, unsigned bits)
{
    uint32_t field = word >> shift & (uint32_t)((UINT64_C(1) << bits) - 1);
    return (int64_t)((uint64_t)at + (uint64_t)sign_extended(field, bits) * 4);
}

static inline int is_branch_to_register(uint32_t word)
{
    return (word & 0xfedff000) == 0xd61f0000; /* BR, BLR and their authenticated forms */
}

static inline int is_return(uint32_t word)
{
    return (word & 0xfffff000) == 0xd65f0000 /* RET, RETAA, RETAB */
           || (word & 0xffc0001f) == 0x5500001f /* RETAASPPC, RETABSPPC */
           || (word & 0xfffff000) == 0xd69f0000; /* ERET */
}

/* UDF, BRK, HLT: nothing is executed after it. */
static inline int is_trap(uint32_t word)
{
    return word < 0x10000 || (word & 0xffe0001f) == 0xd4200000
           || (word & 0xffe0001f) == 0xd4400000;
}

/* A conditional branch: its target in *target. */
static inline int is_conditional(uint32_t word, int64_t at, int64_t *target)
{
    if ((word & 0xff000000) == 0x54000000 || (word & 0x7e000000) == 0x34000000)
        *target = relative(word, at, 5, 19); /* B.cond, BC.cond, CBZ, CBNZ */
    else if ((word & 0x7e000000) == 0x36000000)
        *target = relative(word, at, 5, 14); /* TBZ, TBNZ */
    else if ((word & 0x7e000000) == 0x74000000)
        *target = relative(word, at, 5, 9); /* CB<cc> */
    else
        return 0;
    return 1;
}

static inline int64_t moved(int64_t at, int64_t by)
{
    return (int64_t)((uint64_t)at + (uint64_t)by);
}

static inline int64_t page_of(uint32_t word, int64_t at)
{
    uint32_t pages = (word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3);
    return (int64_t)(((uint64_t)at & ~UINT64_C(0xfff))
                     + ((uint64_t)sign_extended(pages, 21) << 12));
}

/* --- what refers to a fixed address ------------------------------------------------------- */

struct aarch64_reader {
    struct registers known;
    struct reference_sink *sink;
};

static const uint32_t aarch64_call_clobbered = 0x4007ffff; /* X0-X18, X30: AAPCS64 */

static inline unsigned rd_of(uint32_t word) { return word & 31; }
static inline unsigned rn_of(uint32_t word) { return word >> 5 & 31; }

static void aarch64_to_register(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    unsigned n = rn_of(word);
    int call = word >> 21 & 1;
    if (has_source(&r->known, n))
        emit(r->sink, call ? REF_CALL_MEMORY : REF_JUMP_MEMORY, at, r->known.source[n]);
    else
        emit(r->sink, REF_INDIRECT, at, 0);
    if (call)
        forget_all(&r->known, aarch64_call_clobbered);
}

static void aarch64_conditional(struct aarch64_reader *r, uint32_t word, int64_t at, int64_t to)
{
    emit(r->sink, REF_BRANCH, at, to);
    if ((word & 0x7c000000) == 0x34000000 && has_source(&r->known, rd_of(word)))
        emit(r->sink, REF_FLAG_TEST, at, r->known.source[rd_of(word)]);
}

/* Branches, exceptions, system instructions. */
static void aarch64_control(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    int64_t to;
    if ((word & 0x7c000000) == 0x14000000) {
        int call = word >> 31;
        emit(r->sink, call ? REF_CALL : REF_JUMP, at, relative(word, at, 0, 26));
        if (call)
            forget_all(&r->known, aarch64_call_clobbered);
    } else if (is_conditional(word, at, &to)) {
        aarch64_conditional(r, word, at, to);
    } else if (is_branch_to_register(word)) {
        aarch64_to_register(r, word, at);
    } else if ((word & 0xfff00000) == 0xd5300000) { /* MRS */
        if ((word & 0xfffff000) == 0xd5380000)
            emit(r->sink, REF_IDENTITY, at, 0);
        forget(&r->known, rd_of(word));
    }
}

static void aarch64_add(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    unsigned n = rn_of(word);
    int64_t by = (int64_t)(word >> 10 & 0xfff) << (word >> 22 & 1 ? 12 : 0);
    if (!has_value(&r->known, n)) {
        forget(&r->known, rd_of(word));
        return;
    }
    int64_t address = moved(r->known.value[n], by);
    emit(r->sink, REF_ADDRESS, at, address);
    set_value(&r->known, rd_of(word), address);
}

static void aarch64_test(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    if (has_source(&r->known, rn_of(word)))
        emit(r->sink, REF_FLAG_TEST, at, r->known.source[rn_of(word)]);
}

/* Data processing with an immediate. */
static void aarch64_immediate(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    unsigned d = rd_of(word);
    int compares = d == 31 && ((word & 0x7f800000) == 0x71000000     /* CMP */
                               || (word & 0x7f800000) == 0x72000000); /* TST */
    if ((word & 0x9f000000) == 0x90000000) {
        set_value(&r->known, d, page_of(word, at));
    } else if ((word & 0x9f000000) == 0x10000000) {
        int64_t address = moved(at, sign_extended((word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3), 21));
        emit(r->sink, REF_ADDRESS, at, address);
        set_value(&r->known, d, address);
    } else if ((word & 0xff800000) == 0x91000000) {
        aarch64_add(r, word, at);
    } else if (compares) {
        aarch64_test(r, word, at);
    } else if ((word & 0x7f800000) == 0x12000000 || (word & 0x7f800000) == 0x53000000) {
        keep_source(&r->known, d, rn_of(word)); /* AND, UBFM: a part of what was loaded */
    } else {
        forget(&r->known, d);
    }
}

static inline int aarch64_is_load(uint32_t word)
{
    unsigned opc = word >> 22 & 3, vector = word >> 26 & 1;
    return vector ? opc & 1 : opc != 0;
}

static void aarch64_memory_at(struct aarch64_reader *r, uint32_t word, int64_t at, int64_t address)
{
    unsigned vector = word >> 26 & 1;
    int load = aarch64_is_load(word);
    emit(r->sink, load ? REF_LOAD : REF_STORE, at, address);
    if (load && !vector)
        set_source(&r->known, rd_of(word), address);
}

/* LDR and STR with an offset of 12 bits in units of the access. */
static void aarch64_unsigned_offset(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    unsigned vector = word >> 26 & 1, opc = word >> 22 & 3, size = word >> 30;
    unsigned scale = vector && opc & 2 ? 4 : size;
    int prefetch = !vector && size == 3 && opc == 2;
    if (prefetch)
        return;
    if (has_value(&r->known, rn_of(word)))
        aarch64_memory_at(r, word, at,
                          moved(r->known.value[rn_of(word)], (int64_t)(word >> 10 & 0xfff) << scale));
    else if (!vector && aarch64_is_load(word))
        forget(&r->known, rd_of(word));
}

static void aarch64_literal(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    int64_t address = relative(word, at, 5, 19);
    if (word >> 30 == 3)
        return; /* PRFM */
    emit(r->sink, REF_LOAD, at, address);
    if (!(word >> 26 & 1))
        set_source(&r->known, rd_of(word), address);
}

/* All other loads and stores: what they write is no longer known. */
static void aarch64_other_memory(struct aarch64_reader *r, uint32_t word)
{
    unsigned vector = word >> 26 & 1;
    if ((word & 0x3a000000) == 0x28000000) { /* pairs */
        if (word >> 22 & 1 && !vector)
            forget_all(&r->known, 1u << rd_of(word) | 1u << (word >> 10 & 31));
        if (word >> 23 & 1)
            forget(&r->known, rn_of(word));
    } else if ((word & 0x3b200400) == 0x38000400) { /* indexed before or after */
        if (!vector && aarch64_is_load(word))
            forget(&r->known, rd_of(word));
        forget(&r->known, rn_of(word));
    } else if (!vector) {
        forget_all(&r->known, 1u << rd_of(word) | 1u << (word >> 16 & 31));
    }
}

static void aarch64_word(struct aarch64_reader *r, uint32_t word, int64_t at)
{
    unsigned group = word >> 25 & 15;
    if ((group & 14) == 10 || (word & 0x7e000000) == 0x74000000)
        aarch64_control(r, word, at);
    else if ((group & 14) == 8)
        aarch64_immediate(r, word, at);
    else if ((group & 5) == 4 && (word & 0x3b000000) == 0x39000000)
        aarch64_unsigned_offset(r, word, at);
    else if ((group & 5) == 4 && (word & 0x3b000000) == 0x18000000)
        aarch64_literal(r, word, at);
    else if ((group & 5) == 4)
        aarch64_other_memory(r, word);
    else if ((word & 0xffe0ffe0) == 0xaa0003e0)
        copy_register(&r->known, rd_of(word), word >> 16 & 31);
    else if ((group & 7) == 5)
        forget(&r->known, rd_of(word));
    r->known.has_value &= 0x7fffffff; /* register 31 is SP or zero */
    r->known.has_source &= 0x7fffffff;
}

static void aarch64_read_references(const uint8_t *code, int64_t size, int64_t at,
                                    struct reference_sink *sink)
{
    struct aarch64_reader r = {.sink = sink};
    for (int64_t i = 0; i + 4 <= size; i += 4)
        aarch64_word(&r, load32(code + i), at + i);
}

#endif
