/* One x86-64 instruction: prefixes, opcode, operands, and what the tables say of it.
 *
 * Sources: Intel SDM vol. 2, chapter 2 (formats, VEX, EVEX); Intel APX architecture specification
 * (REX2, extended EVEX); AMD64 APM vol. 3 (XOP, 3DNow). The bits of a cell are those that
 * tools/isa/x86_forms.py packs. */
#ifndef UPLIFT_X86_CORE_H
#define UPLIFT_X86_CORE_H

#include "lookup.h"
#include "x86_tables.h"

enum {
    X86_WINDOW = 32, /* bytes that may be read from an instruction's first one on */
    X86_LONGEST = 15,
    X86_FAST_ROWS = 8, /* legacy maps 0 and 1 with each mandatory prefix */
    ROW_REX2 = 16,
    ROW_3DNOW = 24,
    ROW_VEX = 32,
    ROW_EVEX = 288,
    ROW_XOP = 544,
};

#define CELL_NODE (1u << 22)
#define CELL_NO_VVVV (1u << 23)
#define CELL_BROADCAST (1u << 28)
#define CELL_ROUNDING (1u << 29)
#define CELL_MASKED (1u << 30)
#define CELL_ZEROED (1u << 31)

enum use {
    USE_PLAIN, USE_CALL, USE_JUMP, USE_BRANCH, USE_END, USE_IDENTITY, USE_CALL_AT, USE_JUMP_AT,
    USE_ADDRESS, USE_LOAD, USE_STORE, USE_TEST, USE_JUMP_ABSOLUTE,
};

struct instruction {
    uint32_t cell;
    uint16_t group; /* ENTRY_BAD: no instruction */
    uint8_t length;
    uint8_t modrm; /* where it is; 0: there is none */
    uint8_t segment, index_high;
};

static uint32_t x86_cells[X86_ROWS][256];
/* What most code needs of the first rows: the commonest cell, what each opcode does to the flow
 * left out, and for which reg fields, of memory and of registers, it holds. */
static uint32_t x86_fast[X86_FAST_ROWS][256];
static uint16_t x86_fast_fields[X86_FAST_ROWS][256];
/* Those among them that neither lead elsewhere nor ask what the processor is. */
static uint16_t x86_quiet_fields[X86_FAST_ROWS][256];
static uint8_t x86_modrm[256]; /* bytes from ModRM to the displacement's end; 80: see the SIB */
static uint8_t x86_lead[256];  /* a prefix: 8 and the number of the mandatory prefix */

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static void prepare_modrm(void)
{
    for (int i = 0; i < 256; i++) {
        int mode = i >> 6, rm = i & 7;
        int size = mode == 1 ? 2 : mode == 2 || (mode == 0 && rm == 5) ? 5 : 1;
        if (mode != 3 && rm == 4)
            size += 1 + (mode == 0 ? 0x80 : 0);
        x86_modrm[i] = (uint8_t)size;
    }
}

static inline unsigned operand_bytes(const uint8_t *modrm)
{
    unsigned size = x86_modrm[modrm[0]];
    return (size & 0x7f) + 4 * (size >> 7 & ((modrm[1] & 7) == 5));
}

/* ModRM, EVEX's b, aaa and z, and W, as the nodes' windows see them. */
static inline unsigned x86_context(uint8_t modrm, unsigned evex, unsigned wide)
{
    return (modrm & 0x3f) | (unsigned)(modrm >= 0xc0) << 6 | (evex >> 4 & 1) << 7 | (evex & 7) << 8
           | evex >> 7 << 11 | wide << 12;
}

static inline uint32_t x86_decide(uint32_t cell, unsigned context)
{
    while (cell & CELL_NODE) {
        const struct window *node = &x86_nodes[cell & 0xffff];
        cell = x86_entries[node->offset + (context >> node->shift & node->mask)];
    }
    return cell;
}

/* MOV from or to an address that the instruction holds whole: prefix 67 shortens it. */
static inline int has_far_offset(unsigned opcode)
{
    return (opcode & 0xfc) == 0xa0;
}

/* What a cell says of length and class for one reg field; CELL_NODE where it depends on more. */
static uint32_t decide_field(uint32_t cell, unsigned field)
{
    const uint32_t counted = 0xffffff;
    unsigned modrm = (field & 7) << 3 | (field & 8 ? 0xc0 : 0);
    uint32_t first = x86_decide(cell, x86_context((uint8_t)modrm, 0, 0)) & counted;
    for (unsigned rm = 0; rm < 8; rm++)
        for (unsigned wide = 0; wide < 2; wide++)
            if ((x86_decide(cell, x86_context((uint8_t)(modrm | rm), 0, wide)) & counted) != first)
                return CELL_NODE;
    return first;
}

static int is_quiet(uint32_t cell, unsigned field)
{
    unsigned modrm = (field & 7) << 3 | (field & 8 ? 0xc0 : 0);
    enum use use = (enum use)(x86_decide(cell, x86_context((uint8_t)modrm, 0, 0)) >> 24 & 15);
    return use == USE_PLAIN || use == USE_END || (use >= USE_ADDRESS && use <= USE_TEST);
}

static void prepare_fast(unsigned row, unsigned opcode)
{
    uint32_t cell = x86_cells[x86_rows[row]][opcode], fields[16];
    int is_escape = cell & CELL_NODE && (uint16_t)cell == ENTRY_BAD;
    is_escape |= row < 4 && has_far_offset(opcode);
    for (unsigned f = 0; f < 16; f++) {
        fields[f] = is_escape ? CELL_NODE : decide_field(cell, f);
        int cut = row == 1 && (fields[f] >> 16 & 15) == 2; /* longer with REX.W */
        if (cut || (uint16_t)fields[f] == ENTRY_BAD)
            fields[f] = CELL_NODE;
    }
    int best = 0;
    for (unsigned f = 0; f < 16; f++) {
        unsigned fits = 0;
        for (unsigned g = 0; g < 16; g++)
            fits |= (unsigned)(fields[g] == fields[f] && !(fields[f] & CELL_NODE)) << g;
        if (__builtin_popcount(fits) > best) {
            best = __builtin_popcount(fits);
            x86_fast[row][opcode] = fields[f];
            x86_fast_fields[row][opcode] = (uint16_t)fits;
        }
    }
    unsigned known = x86_fast_fields[row][opcode];
    for (unsigned f = 0; f < 16; f++)
        x86_quiet_fields[row][opcode] |= (uint16_t)((known >> f & 1 && is_quiet(cell, f)) << f);
}

static void x86_prepare(void)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    uint32_t *cell = x86_cells[0];
    for (size_t i = 0; i < sizeof x86_cell_runs / sizeof *x86_cell_runs; i += 2)
        for (uint32_t n = x86_cell_runs[i]; n; n--)
            *cell++ = x86_cell_runs[i + 1];
    for (size_t i = 0; i < sizeof prefixes; i++)
        x86_lead[prefixes[i]] = 8;
    x86_lead[0x66] |= 1;
    x86_lead[0xf3] |= 2;
    x86_lead[0xf2] |= 3;
    prepare_modrm();
    for (unsigned row = 0; row < X86_FAST_ROWS; row++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            prepare_fast(row, opcode);
}

/* What the quick tables say of an instruction; `field` is its bit in those of reg fields. */
struct quick {
    uint32_t cell;
    unsigned length, row, opcode, modrm, sib, field;
};

/* Most code has at most one prefix, REX, and an opcode of the first two maps: lengths are found
 * without a branch. */
static inline struct quick x86_quick(const uint8_t *code)
{
    struct quick q;
    uint64_t word = load64(code);
    unsigned lead = x86_lead[word & 0xff];
    word >>= lead & 8;
    unsigned has_rex = (word & 0xf0) == 0x40, wide = (unsigned)(word >> 3) & has_rex;
    word >>= 8 * has_rex;
    unsigned two = (word & 0xff) == 0x0f;
    word >>= 8 * two;
    q.opcode = word & 0xff;
    q.modrm = word >> 8 & 0xff;
    q.sib = word >> 16 & 0xff;
    q.row = 4 * two + (lead & 3);
    q.cell = x86_fast[q.row][q.opcode];
    q.field = (q.modrm >> 3 & 7) + 8 * (q.modrm >= 0xc0);
    unsigned operand = x86_modrm[q.modrm];
    operand = (operand & 0x7f) + 4 * (operand >> 7 & ((q.sib & 7) == 5));
    q.length = 1 + (lead >> 3) + has_rex + two + (operand & -(q.cell >> 20 & 1));
    q.length += (q.cell >> 16 & 15) + 4 * (q.cell >> 21 & wide);
    return q;
}

static inline uint32_t x86_cell(unsigned row, uint8_t opcode)
{
    return x86_cells[x86_rows[row]][opcode];
}

/* The operands follow at `at`, W is known. */
static inline void x86_finish(struct instruction *o, const uint8_t *code, unsigned at, uint32_t cell,
                              unsigned wide)
{
    unsigned length = at + (cell >> 16 & 15) + 4 * (cell >> 21 & wide & 1);
    if (cell >> 20 & 1) {
        o->modrm = (uint8_t)at;
        length += operand_bytes(code + at);
    }
    o->cell = cell;
    o->group = (uint16_t)cell;
    o->length = (uint8_t)length;
    if (length > X86_LONGEST)
        o->group = ENTRY_BAD;
}

static inline void x86_vex(struct instruction *o, const uint8_t *code, unsigned at)
{
    int three = code[at] == 0xc4;
    unsigned last = code[at + 1 + three], map = three ? code[at + 1] & 31 : 1;
    unsigned wide = three ? last >> 7 : 0, opcode = at + 2 + three;
    if (map > 7)
        return;
    unsigned row = ROW_VEX + map * 32 + (last & 3) * 8 + (last >> 2 & 1) * 2 + wide;
    uint32_t cell = x86_cell(row, code[opcode]);
    cell = x86_decide(cell, x86_context(code[opcode + 1], 0, wide));
    if (cell & CELL_NO_VVVV && (last & 0x78) != 0x78)
        return;
    o->index_high = three && !(code[at + 1] & 0x40);
    x86_finish(o, code, opcode + 1, cell, 0);
}

static inline void x86_xop(struct instruction *o, const uint8_t *code, unsigned at)
{
    unsigned last = code[at + 2], map = (code[at + 1] & 31) - 8, wide = last >> 7;
    if (map > 2)
        return;
    unsigned row = ROW_XOP + map * 32 + (last & 3) * 8 + (last >> 2 & 1) * 2 + wide;
    uint32_t cell = x86_decide(x86_cell(row, code[at + 3]), x86_context(code[at + 4], 0, wide));
    if (cell & CELL_NO_VVVV && (last & 0x78) != 0x78)
        return;
    o->index_high = !(code[at + 1] & 0x40);
    x86_finish(o, code, at + 4, cell, 0);
}

/* Whether b, aaa and z say something that the instruction knows. */
static inline int x86_evex_fits(uint32_t cell, unsigned bits, int is_register)
{
    unsigned mask = bits & 7;
    if (bits & 0x10 && !(cell & (is_register ? CELL_ROUNDING : CELL_BROADCAST)))
        return 0;
    if (mask ? !(cell & (CELL_MASKED | CELL_ZEROED)) : (cell & CELL_ZEROED && !(cell & CELL_MASKED)))
        return 0;
    return !(bits & 0x80) || (mask && cell & CELL_ZEROED && cell & CELL_MASKED);
}

static inline void x86_evex(struct instruction *o, const uint8_t *code, unsigned at)
{
    unsigned first = code[at + 1], second = code[at + 2], bits = code[at + 3], wide = second >> 7;
    unsigned map = first & 7;
    uint8_t modrm = code[at + 5];
    int is_register = modrm >= 0xc0, is_apx = map == 4;
    unsigned length = bits >> 5 & 3;
    if (!is_apx && is_register && bits & 0x10)
        length = 2; /* the bits say how to round */
    unsigned row = ROW_EVEX + map * 32 + (second & 3) * 8 + length * 2 + wide;
    uint32_t cell = x86_decide(x86_cell(row, code[at + 4]), x86_context(modrm, bits, wide));
    if ((uint16_t)cell == ENTRY_BAD || (cell & CELL_NO_VVVV && (second & 0x78) != 0x78))
        return;
    if (is_register && !(second & 4))
        return;
    if (!is_apx && !x86_evex_fits(cell, bits, is_register))
        return;
    o->index_high = !(first & 0x40) || !(second & 4);
    x86_finish(o, code, at + 5, cell, 0);
    if ((first & 8 || !(second & 4)) && o->group != ENTRY_BAD)
        o->group = x86_extended[o->group];
}

/* In map 0 prefix 66 halves the operands, unless W doubles them; F2 and F3 repeat. */
static inline unsigned prefix_of_map_0(unsigned prefix, int is_short, unsigned wide)
{
    return is_short ? !wide : prefix;
}

static inline void x86_rex2(struct instruction *o, const uint8_t *code, unsigned at, unsigned prefix,
                            int is_short)
{
    unsigned bits = code[at + 1], wide = bits >> 3 & 1, map = bits >> 7;
    if (!map)
        prefix = prefix_of_map_0(prefix, is_short, wide);
    uint32_t cell = x86_cell(ROW_REX2 + map * 4 + prefix, code[at + 2]);
    cell = x86_decide(cell, x86_context(code[at + 3], 0, wide));
    o->index_high = (bits & 0x22) != 0;
    x86_finish(o, code, at + 3, cell, wide);
}

static inline void x86_3dnow(struct instruction *o, const uint8_t *code, unsigned at)
{
    unsigned suffix = at + operand_bytes(code + at);
    if (suffix >= X86_LONGEST)
        return;
    uint32_t cell = x86_cell(ROW_3DNOW, code[suffix]);
    x86_finish(o, code, at, cell, 0);
    o->length = (uint8_t)(suffix + 1);
}

static inline void x86_legacy(struct instruction *o, const uint8_t *code, unsigned at, unsigned prefix,
                              int is_short, unsigned rex, int short_address)
{
    unsigned map = 0, wide = rex >> 3 & 1;
    o->index_high = rex >> 1 & 1;
    if (code[at] == 0x0f) {
        uint8_t next = code[++at];
        map = next == 0x38 ? 2 : next == 0x3a ? 3 : 1;
        at += map > 1;
        if (map == 1 && next == 0x0f) {
            x86_3dnow(o, code, at + 1);
            return;
        }
    } else {
        prefix = prefix_of_map_0(prefix, is_short, wide);
    }
    uint32_t cell = x86_cell(map * 4 + prefix, code[at]);
    cell = x86_decide(cell, x86_context(code[at + 1], 0, wide));
    if (!map && short_address && has_far_offset(code[at]))
        cell -= 4 << 16; /* the address is the immediate */
    x86_finish(o, code, at + 1, cell, wide);
}

/* Decode what is at `code`, of which X86_WINDOW bytes may be read. */
static inline struct instruction x86_decode(const uint8_t *code)
{
    struct instruction o = {CELL_NODE, ENTRY_BAD, 0, 0, 0, 0};
    unsigned at = 0, rex = 0, repeat = 0, lock = 0;
    int is_short = 0, short_address = 0;
    for (; at < X86_LONGEST; at++) {
        uint8_t byte = code[at];
        if ((byte & 0xf0) == 0x40) {
            rex = byte;
            continue;
        }
        uint8_t lead = x86_lead[byte];
        if (!lead)
            break;
        rex = 0; /* it counts only right before the opcode */
        if (lead & 2)
            repeat = lead & 3;
        is_short |= byte == 0x66;
        o.segment |= (byte & 0xfe) == 0x64;
        short_address |= byte == 0x67;
        lock |= byte == 0xf0;
    }
    if (at >= X86_LONGEST)
        return o;
    uint8_t byte = code[at];
    int plain = !(rex | repeat | lock) && !is_short;
    unsigned prefix = repeat ? repeat : (unsigned)is_short;
    if (byte == 0xc4 || byte == 0xc5) {
        if (plain)
            x86_vex(&o, code, at);
    } else if (byte == 0x62) {
        if (plain)
            x86_evex(&o, code, at);
    } else if (byte == 0xd5) {
        if (!rex)
            x86_rex2(&o, code, at, prefix, is_short);
    } else if (byte == 0x8f && (code[at + 1] & 0x1f) >= 8) {
        if (plain)
            x86_xop(&o, code, at);
    } else {
        x86_legacy(&o, code, at, prefix, is_short, rex, short_address);
    }
    return o;
}

#endif
