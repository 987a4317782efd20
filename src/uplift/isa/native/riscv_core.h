/* riscv64: classes of instructions of 2 and 4 bytes, where control goes, addresses. */
#ifndef UPLIFT_RISCV_CORE_H
#define UPLIFT_RISCV_CORE_H

#include "lookup.h"
#include "references.h"
#include "registers.h"
#include "riscv_tables.h"

static uint16_t riscv_root[RISCV_ROOT], riscv_entries[RISCV_ENTRIES];

static void riscv_prepare(void)
{
    unpack_runs(riscv_entries, riscv_entry_runs, sizeof riscv_entry_runs / 4);
    unpack_runs(riscv_root, riscv_root_runs, sizeof riscv_root_runs / 4);
    decide_root(riscv_root, RISCV_ROOT, riscv_nodes, riscv_entries);
}

static inline uint32_t is_wide(uint32_t word)
{
    return (word & 3) == 3;
}

/* The lower half of a word indexes the root. Encodings of more than four bytes are in no table. */
static inline uint16_t riscv_class(uint32_t word)
{
    return resolve(riscv_root[word & 0xffff], word, riscv_nodes, riscv_entries);
}

static inline uint32_t field(uint32_t word, unsigned shift, unsigned bits)
{
    return word >> shift & ((1u << bits) - 1);
}

static inline int64_t immediate_i(uint32_t word)
{
    return (int32_t)word >> 20;
}

static inline int64_t immediate_s(uint32_t word)
{
    return ((int32_t)word >> 25) * 32 + (int32_t)field(word, 7, 5);
}

static inline int64_t immediate_u(uint32_t word)
{
    return (int32_t)(word & 0xfffff000);
}

static inline int64_t immediate_b(uint32_t word)
{
    return ((int32_t)word >> 31) * 4096
           + (int32_t)(field(word, 7, 1) << 11 | field(word, 25, 6) << 5 | field(word, 8, 4) << 1);
}

static inline int64_t immediate_j(uint32_t word)
{
    return ((int32_t)word >> 31) * 1048576
           + (int32_t)(field(word, 12, 8) << 12 | field(word, 20, 1) << 11
                       | field(word, 21, 10) << 1);
}

static inline int64_t immediate_cj(uint32_t word)
{
    return -(int64_t)(field(word, 12, 1) << 11)
           + (int64_t)(field(word, 8, 1) << 10 | field(word, 9, 2) << 8 | field(word, 6, 1) << 7
                       | field(word, 7, 1) << 6 | field(word, 2, 1) << 5 | field(word, 11, 1) << 4
                       | field(word, 3, 3) << 1);
}

static inline int64_t immediate_cb(uint32_t word)
{
    return -(int64_t)(field(word, 12, 1) << 8)
           + (int64_t)(field(word, 5, 2) << 6 | field(word, 2, 1) << 5 | field(word, 10, 2) << 3
                       | field(word, 3, 2) << 1);
}

static inline int64_t immediate_ci(uint32_t word)
{
    return -(int64_t)(field(word, 12, 1) << 5) + (int64_t)field(word, 2, 5);
}

/* Of C.LW and C.SW. */
static inline int64_t offset_word(uint32_t word)
{
    return field(word, 5, 1) << 6 | field(word, 10, 3) << 3 | field(word, 6, 1) << 2;
}

/* Of C.LD, C.SD, C.FLD and C.FSD. */
static inline int64_t offset_double(uint32_t word)
{
    return field(word, 5, 2) << 6 | field(word, 10, 3) << 3;
}

static inline int64_t moved(int64_t at, int64_t by)
{
    return (int64_t)((uint64_t)at + (uint64_t)by);
}

/* --- what refers to a fixed address ------------------------------------------------------- */

struct riscv_reader {
    struct registers known;
    struct reference_sink *sink;
};

static const uint32_t riscv_call_clobbered = 0xf003fce2; /* ra, t0-t6, a0-a7: the psABI */

static inline unsigned riscv_rd(uint32_t word) { return field(word, 7, 5); }
static inline unsigned riscv_rs1(uint32_t word) { return field(word, 15, 5); }
static inline unsigned compact_rs1(uint32_t word) { return 8 + field(word, 7, 3); }
static inline unsigned compact_rs2(uint32_t word) { return 8 + field(word, 2, 3); }
static inline int is_link(unsigned n) { return n == 1 || n == 5; }

/* JALR and its compact forms; a return is no reference. */
static void riscv_to_register(struct riscv_reader *r, unsigned d, unsigned n, int64_t by, int64_t at)
{
    int call = d != 0;
    if (has_value(&r->known, n))
        emit(r->sink, call ? REF_CALL : REF_JUMP, at, moved(r->known.value[n], by));
    else if (has_source(&r->known, n))
        emit(r->sink, call ? REF_CALL_MEMORY : REF_JUMP_MEMORY, at, r->known.source[n]);
    else if (call || !is_link(n))
        emit(r->sink, REF_INDIRECT, at, 0);
    if (call)
        forget_all(&r->known, riscv_call_clobbered);
}

static void riscv_conditional(struct riscv_reader *r, unsigned n, int64_t at, int64_t to)
{
    emit(r->sink, REF_BRANCH, at, to);
    if (has_source(&r->known, n))
        emit(r->sink, REF_FLAG_TEST, at, r->known.source[n]);
}

static void riscv_add(struct riscv_reader *r, unsigned d, unsigned n, int64_t by, int64_t at)
{
    if (!has_value(&r->known, n)) {
        forget(&r->known, d);
        return;
    }
    int64_t address = moved(r->known.value[n], by);
    emit(r->sink, REF_ADDRESS, at, address);
    set_value(&r->known, d, address);
}

/* `d` is an integer register, or 32 where a load goes elsewhere. */
static void riscv_load(struct riscv_reader *r, unsigned d, unsigned n, int64_t by, int64_t at)
{
    if (has_value(&r->known, n)) {
        int64_t address = moved(r->known.value[n], by);
        emit(r->sink, REF_LOAD, at, address);
        if (d < 32)
            set_source(&r->known, d, address);
    } else if (d < 32) {
        forget(&r->known, d);
    }
}

static void riscv_store(struct riscv_reader *r, unsigned n, int64_t by, int64_t at)
{
    if (has_value(&r->known, n))
        emit(r->sink, REF_STORE, at, moved(r->known.value[n], by));
}

/* misa, vlenb and the machine's identity. */
static int is_identity(unsigned csr)
{
    return csr == 0x301 || csr == 0xc22 || (csr >= 0xf11 && csr <= 0xf15);
}

static void riscv_system(struct riscv_reader *r, uint32_t word, int64_t at)
{
    if (field(word, 12, 3) && is_identity(word >> 20))
        emit(r->sink, REF_IDENTITY, at, 0);
    forget(&r->known, riscv_rd(word));
}

static void riscv_immediate(struct riscv_reader *r, uint32_t word, int64_t at)
{
    unsigned function = field(word, 12, 3), d = riscv_rd(word), n = riscv_rs1(word);
    if (function == 0)
        riscv_add(r, d, n, immediate_i(word), at);
    else if (function == 7 || function == 1 || function == 5)
        keep_source(&r->known, d, n); /* ANDI and shifts: a part of what was loaded */
    else
        forget(&r->known, d);
}

static void riscv_wide(struct riscv_reader *r, uint32_t word, int64_t at)
{
    unsigned d = riscv_rd(word), n = riscv_rs1(word), function = field(word, 12, 3);
    switch (word & 0x7f) {
    case 0x6f: /* JAL */
        emit(r->sink, d ? REF_CALL : REF_JUMP, at, moved(at, immediate_j(word)));
        if (d)
            forget_all(&r->known, riscv_call_clobbered);
        return;
    case 0x67:
        riscv_to_register(r, d, n, immediate_i(word), at);
        return;
    case 0x63: /* a test against zero tests what was loaded */
        riscv_conditional(r, field(word, 20, 5) ? 0 : n, at, moved(at, immediate_b(word)));
        return;
    case 0x17:
        set_value(&r->known, d, moved(at, immediate_u(word)));
        return;
    case 0x13:
        riscv_immediate(r, word, at);
        return;
    case 0x03:
        riscv_load(r, d, n, immediate_i(word), at);
        return;
    case 0x07: /* floating point; vectors have no offset */
        if (function >= 1 && function <= 4)
            riscv_load(r, 32, n, immediate_i(word), at);
        return;
    case 0x27:
        if (function >= 1 && function <= 4)
            riscv_store(r, n, immediate_s(word), at);
        return;
    case 0x23:
        riscv_store(r, n, immediate_s(word), at);
        return;
    case 0x73:
        riscv_system(r, word, at);
        return;
    default:
        forget(&r->known, d);
    }
}

static void riscv_quadrant0(struct riscv_reader *r, uint32_t word, int64_t at)
{
    unsigned n = compact_rs1(word), m = compact_rs2(word);
    switch (word >> 13 & 7) {
    case 1: riscv_load(r, 32, n, offset_double(word), at); return;
    case 2: riscv_load(r, m, n, offset_word(word), at); return;
    case 3: riscv_load(r, m, n, offset_double(word), at); return;
    case 5:
    case 7: riscv_store(r, n, offset_double(word), at); return;
    case 6: riscv_store(r, n, offset_word(word), at); return;
    case 0: forget(&r->known, m); return;
    default: /* Zcb: loads and stores of bytes and halves */
        if (field(word, 10, 3) < 2)
            riscv_load(r, m, n, field(word, 10, 1) ? field(word, 5, 1) << 1
                       : field(word, 5, 1) << 1 | field(word, 6, 1), at);
        else
            riscv_store(r, n, field(word, 10, 1) ? field(word, 5, 1) << 1
                        : field(word, 5, 1) << 1 | field(word, 6, 1), at);
    }
}

static void riscv_quadrant1(struct riscv_reader *r, uint32_t word, int64_t at)
{
    unsigned d = riscv_rd(word), n = compact_rs1(word);
    switch (word >> 13 & 7) {
    case 0: riscv_add(r, d, d, immediate_ci(word), at); return;
    case 5: emit(r->sink, REF_JUMP, at, moved(at, immediate_cj(word))); return;
    case 6:
    case 7: riscv_conditional(r, n, at, moved(at, immediate_cb(word))); return;
    case 4: /* shifts and C.ANDI keep a part of what was loaded */
        if (field(word, 10, 2) == 3)
            forget(&r->known, n);
        else
            keep_source(&r->known, n, n);
        return;
    default: forget(&r->known, d);
    }
}

static void riscv_quadrant2(struct riscv_reader *r, uint32_t word, int64_t at)
{
    unsigned d = riscv_rd(word), m = field(word, 2, 5);
    switch (word >> 13 & 7) {
    case 0: keep_source(&r->known, d, d); return;
    case 4:
        if (!m && d)
            riscv_to_register(r, field(word, 12, 1), d, 0, at);
        else if (m && !field(word, 12, 1))
            copy_register(&r->known, d, m);
        else
            forget(&r->known, d);
        return;
    case 2:
    case 3: forget(&r->known, d); return;
    default: return;
    }
}

static void riscv_compact(struct riscv_reader *r, uint32_t word, int64_t at)
{
    switch (word & 3) {
    case 0: riscv_quadrant0(r, word, at); return;
    case 1: riscv_quadrant1(r, word, at); return;
    default: riscv_quadrant2(r, word, at);
    }
}

static inline uint32_t riscv_fetch(const uint8_t *code, int64_t left)
{
    uint32_t low = code[0] | (uint32_t)code[1] << 8;
    return left >= 4 ? low | (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24 : low;
}

static void riscv_read_references(const uint8_t *code, int64_t size, int64_t at,
                                  struct reference_sink *sink)
{
    struct riscv_reader r = {.sink = sink};
    for (int64_t i = 0; i + 2 <= size;) {
        uint32_t word = riscv_fetch(code + i, size - i);
        if (!is_wide(word)) {
            riscv_compact(&r, word & 0xffff, at + i);
            i += 2;
        } else if (i + 4 > size || riscv_class(word) == ENTRY_BAD) {
            i += 2;
        } else {
            riscv_wide(&r, word, at + i);
            i += 4;
        }
        forget(&r.known, 0);
    }
}

#endif
