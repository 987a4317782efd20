"""arm64: which class a word has, and what the decoder makes of code and of noise.

The words were assembled by GNU as 2.47; set and harmlessness are those of the Arm Architecture
Reference Manual (DDI 0487).
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.isa import native_probe
from tests.isa.class_names import classes
from uplift.isa import aarch64_fallback as aarch64
from uplift.isa.range_rows import BAD, BAD_ROW, REFERENCE, ROW

# assembly, bytes, ISA set, harmless where the set is missing
WORDS = [
    ("add x0, x1, x2", "2000028b", "base", True),
    ("mov w0, w1", "e003012a", "base", True),
    ("b.eq .", "00000054", "base", True),
    ("fmla v0.4s, v1.4s, v2.4s", "20cc224e", "base", True),
    ("ldr q0, [x1, #16]", "2004c03d", "base", True),
    ("nop", "1f2003d5", "base", True),
    ("csdb", "9f2203d5", "base", True),
    ("clrex", "5f3f03d5", "base", True),
    ("mrs x0, midr_el1", "000038d5", "base", True),
    ("paciasp", "3f2303d5", "paca", True),
    ("autiasp", "bf2303d5", "paca", True),
    ("retaa", "ff0b5fd6", "paca", False),
    ("braa x0, x1", "01081fd7", "paca", False),
    ("blraaz x3", "7f083fd6", "paca", False),
    ("ldraa x0, [x1]", "200420f8", "paca", False),
    ("pacga x0, x1, x2", "2030c29a", "pacg", False),
    ("bti c", "5f2403d5", "bti", True),
    ("esb", "1f2203d5", "ras", True),
    ("gcsb dsync", "7f2203d5", "gcs", True),
    ("chkfeat x16", "1f2503d5", "chk", True),
    ("dgh", "df2003d5", "dgh", True),
    ("psb csync", "3f2203d5", "spe", True),
    ("sb", "ff3003d5", "sb", False),
    ("ldadd w0, w1, [x2]", "410020b8", "lse", False),
    ("casp x0, x1, x2, x3, [x4]", "827c2048", "lse", False),
    ("crc32cx w0, w1, x2", "205cc29a", "crc32", False),
    ("aese v0.16b, v1.16b", "2048284e", "aes", False),
    ("pmull v0.1q, v1.1d, v2.1d", "20e0e20e", "pmull", False),
    ("sha1c q0, s1, v2.4s", "2000025e", "sha1", False),
    ("sha256h q0, q1, v2.4s", "2040025e", "sha2", False),
    ("sha512h q0, q1, v2.2d", "208062ce", "sha512", False),
    ("eor3 v0.16b, v1.16b, v2.16b, v3.16b", "200c02ce", "sha3", False),
    ("sm3ss1 v0.4s, v1.4s, v2.4s, v3.4s", "200c42ce", "sm3", False),
    ("sm4e v0.4s, v1.4s", "2084c0ce", "sm4", False),
    ("sqrdmlah v0.4s, v1.4s, v2.4s", "2084826e", "asimdrdm", False),
    ("fadd h0, h1, h2", "2028e21e", "fphp", False),
    ("fadd v0.8h, v1.8h, v2.8h", "2014424e", "asimdhp", False),
    ("fmlal v0.4s, v1.4h, v2.4h", "20ec224e", "asimdfhm", False),
    ("sdot v0.4s, v1.16b, v2.16b", "2094824e", "asimddp", False),
    ("smmla v0.4s, v1.16b, v2.16b", "20a4824e", "i8mm", False),
    ("bfdot v0.4s, v1.8h, v2.8h", "20fc426e", "bf16", False),
    ("fjcvtzs w0, d1", "20007e1e", "jscvt", False),
    ("fcadd v0.4s, v1.4s, v2.4s, #90", "20e4826e", "fcma", False),
    ("ldapr w0, [x1]", "20c0bfb8", "lrcpc", False),
    ("ldapur w0, [x1, #4]", "20404099", "ilrcpc", False),
    ("ldiapp x0, x1, [x2]", "401841d9", "lrcpc3", False),
    ("cfinv", "1f4000d5", "flagm", False),
    ("axflag", "5f4000d5", "flagm2", False),
    ("frint32z s0, s1", "2040281e", "frint", False),
    ("wfet x0", "001003d5", "wfxt", False),
    ("mrs x0, rndr", "00243bd5", "rng", False),
    ("mrs x0, fpmr", "40443bd5", "fpmr", False),
    ("msr ssbs, #1", "3f4103d5", "ssbs", False),
    ("irg x0, x1", "2010df9a", "mte", False),
    ("stg x0, [x1]", "200820d9", "mte", False),
    ("dc cvap, x0", "207c0bd5", "dcpop", False),
    ("dc cvadp, x0", "207d0bd5", "dcpodp", False),
    ("dc gva, x0", "60740bd5", "mte", False),
    ("cfp rctx, x0", "80730bd5", "predres", False),
    ("ld64b x0, [x2]", "40d03ff8", "ls64", False),
    ("cpyfp [x0]!, [x1]!, x2!", "40040119", "mops", False),
    ("setp [x0]!, x1!, x2", "2004c219", "mops", False),
    ("gcspushm x0", "00770bd5", "gcs", False),
    ("gcsss1 x0", "40770bd5", "gcs", False),
    ("swpp x0, x1, [x2]", "40802119", "lse128", False),
    ("rcwcas x0, x1, [x2]", "41082019", "the", False),
    ("rcwcasp x0, x1, x2, x3, [x4]", "820c2019", "the+d128", False),
    ("mrrs x0, x1, ttbr0_el1", "002078d5", "d128", False),
    ("ctz x0, x1", "2018c0da", "cssc", False),
    ("bc.eq .", "10000054", "hbc", False),
    ("cbgt x0, x1, .", "000001f4", "cmpbr", False),
    ("addpt x0, x1, x2", "2020029a", "cpa", False),
    ("ldfadd d0, d1, [x2]", "410020fc", "lsfe", False),
    ("famax v0.4s, v1.4s, v2.4s", "20dca24e", "faminmax", False),
    ("luti2 v0.16b, {v1.16b}, v2[0]", "2010824e", "lut", False),
    ("fdot v0.4s, v1.16b, v2.16b", "20fc024e", "f8dp4", False),
    ("add z0.s, z1.s, z2.s", "2000a204", "sve", False),
    ("ld1d {z0.d}, p0/z, [x0, x1, lsl #3]", "0040e1a5", "sve", False),
    ("histcnt z0.s, p0/z, z1.s, z2.s", "20c0a245", "sve2", False),
    ("sqrdmlah z0.s, z1.s, z2.s", "20708244", "sve2", False),
    ("bext z0.s, z1.s, z2.s", "20b08245", "svebitperm", False),
    ("pmullb z0.q, z1.d, z2.d", "20680245", "svepmull", False),
    ("aese z0.b, z0.b, z1.b", "20e02245", "sveaes", False),
    ("smmla z0.s, z1.b, z2.b", "20980245", "svei8mm", False),
    ("bfdot z0.s, z1.h, z2.h", "20806264", "svebf16", False),
    ("fmmla z0.s, z1.s, z2.s", "20e4a264", "svef32mm", False),
    ("fmmla z0.d, z1.d, z2.d", "20e4e264", "svef64mm", False),
    ("bfadd z0.h, z1.h, z2.h", "20000265", "sveb16b16", False),
    ("uclamp z0.s, z1.s, z2.s", "20c48244", "sve2p1", False),
    ("dupq z0.s, z1.s[0]", "20242405", "sve2p1", False),
    ("smstart", "7f4703d5", "sme", False),
    ("fmopa za0.s, p0/m, p1/m, z0.s, z1.s", "00208180", "sme", False),
    ("addha za0.d, p0/m, p1/m, z0.d", "0020d0c0", "smei16i64", False),
    ("zero {zt0}", "010048c0", "sme2", False),
    ("sdot za.s[w8, 0, vgx2], {z0.h-z1.h}, {z2.h-z3.h}", "0814e2c1", "sme2", False),
    ("movaz {z0.d-z1.d}, za.d[w8, 0, vgx2]", "000a06c0", "sme2p1", False),
    ("luti4 {z0.b-z3.b}, zt0, {z0-z1}", "00008bc0", "smelutv2", False),
    ("tstart x0", "603023d5", "tme", False),
    ("tlbi rvae1, x0", "208608d5", "tlbirange", False),
]
NO_WORDS = {
    "add with a shift that rotates": "2000c20b",
    "a shift of 32 bits or more in 32": "2080020b",
    "casp of an odd register": "837c2048",
    "a bit mask of all ones": "00fc4092",
    "ld1d indexed by XZR": "0040ffa5",
    "nothing is allocated there": "ffffffff",
}
BASE = 0x400000


def test_every_word_has_the_set_of_its_instruction_and_is_known_harmless_or_not() -> None:
    words = np.frombuffer(bytes.fromhex("".join(word for _, word, _, _ in WORDS)), "<u4")
    names = classes("aarch64")
    found = [names[int(group)] for group in aarch64.classes_of(words)]
    assert [(text, f.set, f.benign) for (text, *_), f in zip(WORDS, found, strict=True)] == [
        (text, isa_set, benign) for text, _, isa_set, benign in WORDS
    ]


@pytest.mark.parametrize("why", NO_WORDS)
def test_a_word_that_is_not_allocated_is_no_instruction(why: str) -> None:
    assert aarch64.lengths(bytes.fromhex(NO_WORDS[why])) == bytes([0])


def test_the_permanently_undefined_instruction_has_a_length() -> None:
    assert aarch64.lengths(bytes(4)) == bytes([4])


def test_rows_count_per_range_and_keep_the_first_address() -> None:
    lse, nop, none = "410020b8", "1f2003d5", "ffffffff"
    code = bytes.fromhex(nop + lse + lse + none + lse)
    rows, bad, decoded = aarch64.classify(
        code, BASE, np.array([BASE, BASE + 12]), np.array([BASE + 12, BASE + 20])
    )
    found = [(r["range"], r["first"], r["count"]) for r in np.frombuffer(rows, ROW)]
    assert found == [(0, BASE + 4, 2), (1, BASE + 16, 1)]
    assert [tuple(b)[2:] for b in np.frombuffer(bad, BAD_ROW).tolist()] == [(BASE + 12, 4)]
    assert decoded == 4


def test_ranges_may_overlap_and_reach_beyond_the_data() -> None:
    code = bytes.fromhex("410020b8") * 4
    starts, ends = np.array([BASE - 100, BASE + 4]), np.array([BASE + 12, BASE + 1000])
    rows, _, decoded = aarch64.classify(code, BASE, starts, ends)
    assert np.frombuffer(rows, ROW)["count"].tolist() == [3, 3]
    assert decoded == 6


def references(code: str) -> list[tuple[int, int, int]]:
    data = bytes.fromhex(code)
    found = aarch64.references(data, BASE, np.array([BASE]), np.array([BASE + len(data)]))
    return [tuple(r)[1:] for r in np.frombuffer(found, REFERENCE).tolist()]


def test_a_page_and_an_offset_make_an_address() -> None:
    assert references("000000b000400191") == [(4, BASE + 4, BASE + 0x1050)]


def test_a_jump_through_a_slot_names_the_slot() -> None:
    plt = "100000b0110a40f91042009120021fd6"  # adrp, ldr, add, br: a PLT entry
    assert references(plt) == [
        (5, BASE + 4, BASE + 0x1010),
        (4, BASE + 8, BASE + 0x1010),
        (8, BASE + 12, BASE + 0x1010),
    ]


def test_a_bit_of_a_loaded_word_that_decides_a_branch_is_a_flag_test() -> None:
    guard = "000000b0001040b940000836"  # adrp; ldr w0, [x0, #16]; tbz w0, #1, +8
    assert references(guard)[1:] == [
        (3, BASE + 8, BASE + 16),
        (11, BASE + 8, BASE + 0x1010),
    ]


def test_reading_an_identification_register_is_named() -> None:
    assert references("000438d5") == [(9, BASE, 0)]  # mrs x0, id_aa64pfr0_el1


def test_a_walk_follows_calls_and_drops_what_leads_to_data() -> None:
    call, ret, lse, none = "02000094", "c0035fd6", "410020b8", "ffffffff"
    code = bytes.fromhex(call + ret + lse + ret + lse + none)
    nowhere = np.array([], np.int64)
    rows, extents, targets = aarch64.walk(code, BASE, np.array([BASE, BASE + 16]), nowhere, nowhere)
    assert np.frombuffer(extents, "<i8").tolist() == [BASE, BASE + 8, BASE + 8, BASE + 16]
    assert [(r["range"], r["first"]) for r in np.frombuffer(rows, ROW)] == [(1, BASE + 8)]
    assert not targets


def test_targets_in_covered_code_are_handed_back() -> None:
    code = bytes.fromhex("02000014c0035fd6c0035fd6")
    _, _, targets = aarch64.walk(
        code, BASE, np.array([BASE]), np.array([BASE + 8]), np.array([BASE + 12])
    )
    assert np.frombuffer(targets, "<i8").tolist() == [BASE + 8]


def test_the_native_decoder_and_the_fallback_agree_and_stay_inside(tmp_path: Path) -> None:
    probe = native_probe.build(tmp_path)
    noise = random.Random(1)
    known = [bytes.fromhex(word) for _, word, _, _ in WORDS]
    for size in (0, 4, 40, 4000):
        native_probe.assert_same(probe, aarch64, "aarch64", noise.randbytes(size), BASE)
        code = b"".join(noise.choices(known, k=size // 4))
        native_probe.assert_same(probe, aarch64, "aarch64", code, BASE)


def test_every_class_of_the_table_is_listed() -> None:
    lookup = aarch64._table()
    groups = np.unique(lookup.entries[(lookup.entries < BAD)])
    assert set(groups.tolist()) <= set(classes("aarch64"))
