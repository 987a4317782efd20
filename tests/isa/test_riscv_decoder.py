"""riscv64: which class an instruction has, and what the decoder makes of code and of noise.

The instructions were assembled by GNU as 2.47; the sets are those of the RISC-V ISA manual.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.isa import native_probe
from tests.isa.class_names import classes
from uplift.isa import riscv_fallback as riscv
from uplift.isa.range_rows import BAD, BAD_ROW, REFERENCE, ROW

# assembly, bytes, ISA set, harmless where the set is missing
INSTRUCTIONS = [
    ("add a0, a1, a2", "3385c500", "base", True),
    ("c.add a0, a1", "2e95", "base", True),
    ("c.fsdsp fa0, 8(sp)", "2aa4", "base", True),
    ("fadd.d fa0, fa1, fa2", "53f5c502", "base", True),
    ("amoadd.d a0, a1, (a2)", "2f35b600", "base", True),
    ("csrr a0, fcsr", "73253000", "base", True),
    ("c.unimp", "0000", "base", True),
    ("ecall", "73000000", "base", True),
    ("sh1add a0, a1, a2", "33a5c520", "zba", False),
    ("andn a0, a1, a2", "33f5c540", "zbb", False),
    ("rev8 a0, a1", "13d5856b", "zbb", False),
    ("zext.h a0, a1", "3bc50508", "zbb", False),
    ("clmul a0, a1, a2", "3395c50a", "zbc", False),
    ("bset a0, a1, a2", "3395c528", "zbs", False),
    ("pack a0, a1, a2", "33c5c508", "zbkb", False),
    ("brev8 a0, a1", "13d57568", "zbkb", False),
    ("xperm4 a0, a1, a2", "33a5c528", "zbkx", False),
    ("aes64es a0, a1, a2", "3385c532", "zkne", False),
    ("aes64ds a0, a1, a2", "3385c53a", "zknd", False),
    ("sha256sig0 a0, a1", "13952510", "zknh", False),
    ("sm4ed a0, a1, a2, 0", "3385c530", "zksed", False),
    ("sm3p0 a0, a1", "13958510", "zksh", False),
    ("fadd.h fa0, fa1, fa2", "53f5c504", "zfh", False),
    ("flh fa0, 0(a0)", "07150500", "zfhmin", False),
    ("fli.s fa0, 1.0", "530518f0", "zfa", False),
    ("fcvt.bf16.s fa0, fa1", "53f58544", "zfbfmin", False),
    ("czero.eqz a0, a1, a2", "33d5c50e", "zicond", False),
    ("amocas.d a0, a1, (a2)", "2f35b628", "zacas", False),
    ("amoadd.b a0, a1, (a2)", "2f05b600", "zabha", False),
    ("wrs.nto", "7300d000", "zawrs", False),
    ("pause", "0f000001", "zihintpause", True),
    ("c.ntl.p1", "0a90", "zihintntl", True),
    ("c.ntl.all", "1690", "zihintntl", True),
    ("prefetch.r 0(a0)", "13601500", "zicbop", True),
    ("cbo.zero (a0)", "0f204500", "zicboz", False),
    ("cbo.clean (a0)", "0f201500", "zicbom", False),
    ("lpad 0", "17000000", "zicfilp", True),
    ("mop.r.0 a0, a1", "73c5c581", "zimop", False),
    ("c.sspush ra", "8160", "zicfiss", False),
    ("ssrdp a0", "7345c0cd", "zicfiss", False),
    ("c.lbu a0, 0(a1)", "8881", "zcb", False),
    ("c.not a0", "759d", "zcb", False),
    ("sinval.vma a0, a1", "7300b516", "svinval", False),
    ("hlv.w a0, (a1)", "73c50568", "h", False),
    ("vsetvli a0, a1, e32, m1, ta, ma", "57f5050d", "v", False),
    ("vadd.vv v0, v1, v2", "57001102", "v", False),
    ("vle32.v v0, (a0)", "07600502", "v", False),
    ("csrr a0, vlenb", "732520c2", "v", False),
    ("vandn.vv v0, v1, v2", "57001106", "zvkb", False),
    ("vclz.v v0, v1", "5720164a", "zvbb", False),
    ("vclmul.vv v0, v1, v2", "57201132", "zvbc", False),
    ("vghsh.vv v0, v1, v2", "772011b2", "zvkg", False),
    ("vaesem.vv v0, v1", "772011a2", "zvkned", False),
    ("vsha2ch.vv v0, v1, v2", "772011ba", "zvknha", False),
    ("vsm4k.vi v0, v1, 0", "77201086", "zvksed", False),
    ("vsm3c.vi v0, v1, 0", "772010ae", "zvksh", False),
    ("vfwmaccbf16.vv v0, v1, v2", "579020ee", "zvfbfwma", False),
    ("vfncvtbf16.f.f.w v0, v1", "57901e4a", "zvfbfmin", False),
    ("fadd.q fa0, fa1, fa2", "53f5c506", "q", False),
    ("th.addsl a0, a1, a2, 1", "0b95c502", "xtheadba", False),
    ("th.mveqz a0, a1, a2", "0b95c540", "xtheadcondmov", False),
]
NO_INSTRUCTIONS = {
    "c.lwsp to x0": "0240",
    "c.lui of zero": "0161",
    "c.jr x0": "0280",
    "a rounding mode that is reserved": "53d5c502",
    "an encoding of six bytes": "1f000000",
    "nothing is allocated there": "ffffffff",
}
BASE = 0x10000


def class_of(code: bytes) -> int:
    """The class of the one instruction in ``code``."""
    at, end = np.array([BASE]), np.array([BASE + len(code)])
    rows, bad, decoded = riscv.classify(code, BASE, at, end)
    assert (decoded, bad) == (1, b"")
    return int(np.frombuffer(rows, ROW)["class"][0]) if rows else 0


def test_every_instruction_has_its_set_and_is_known_harmless_or_not() -> None:
    names = classes("riscv")
    found = [names[class_of(bytes.fromhex(code))] for _, code, _, _ in INSTRUCTIONS]
    assert [(text, f.set, f.benign) for (text, *_), f in zip(INSTRUCTIONS, found, strict=True)] == [
        (text, isa_set, benign) for text, _, isa_set, benign in INSTRUCTIONS
    ]


def test_compressed_and_wide_instructions_keep_their_lengths() -> None:
    code = bytes.fromhex("".join(code for _, code, _, _ in INSTRUCTIONS))
    assert list(riscv.lengths(code)) == [len(code) // 2 for _, code, _, _ in INSTRUCTIONS]


@pytest.mark.parametrize("why", NO_INSTRUCTIONS)
def test_a_reserved_encoding_is_no_instruction(why: str) -> None:
    assert riscv.lengths(bytes.fromhex(NO_INSTRUCTIONS[why]))[0] == 0


def test_after_an_undecodable_word_decoding_goes_on_two_bytes_later() -> None:
    assert list(riscv.lengths(bytes.fromhex("ff7f0100"))) == [0, 2]


def test_an_instruction_cut_by_its_range_is_none() -> None:
    code = bytes.fromhex("0100570011020100")
    rows, bad, decoded = riscv.classify(code, BASE, np.array([BASE]), np.array([BASE + 4]))
    assert (rows, decoded) == (b"", 1)
    assert [tuple(b)[2:] for b in np.frombuffer(bad, BAD_ROW).tolist()] == [(BASE + 2, 2)]


def test_each_range_starts_an_instruction_of_its_own() -> None:
    code = bytes.fromhex("1300570011020100")  # the first word's half, then vadd.vv, nop
    starts, ends = np.array([BASE, BASE + 2]), np.array([BASE + 2, BASE + 8])
    rows, _, decoded = riscv.classify(code, BASE, starts, ends)
    assert [(r["range"], r["first"]) for r in np.frombuffer(rows, ROW)] == [(1, BASE + 2)]
    assert decoded == 2


def references(code: str) -> list[tuple[int, int, int]]:
    data = bytes.fromhex(code)
    found = riscv.references(data, BASE, np.array([BASE]), np.array([BASE + len(data)]))
    return [tuple(r)[1:] for r in np.frombuffer(found, REFERENCE).tolist()]


def test_auipc_and_an_offset_make_an_address() -> None:
    assert references("1725000013050501") == [(4, BASE + 4, BASE + 0x2010)]


def test_a_far_call_has_its_target() -> None:
    assert references("97200000e7800001") == [(1, BASE + 4, BASE + 0x2010)]


def test_a_jump_through_a_slot_names_the_slot() -> None:
    plt = "172e0000033e0e0167030e00"  # auipc t3; ld t3, 16(t3); jalr t1, t3: a PLT entry
    assert references(plt) == [(5, BASE + 4, BASE + 0x2010), (7, BASE + 8, BASE + 0x2010)]


def test_a_return_is_no_reference() -> None:
    assert references("828067800000") == []


def test_a_loaded_word_that_decides_a_branch_is_a_flag_test() -> None:
    guard = "1725000003250501058911c1"  # auipc; lw; c.andi a0, 1; c.beqz a0, +4
    assert references(guard)[1:] == [
        (3, BASE + 10, BASE + 14),
        (11, BASE + 10, BASE + 0x2010),
    ]


def test_a_walk_follows_far_calls_and_drops_what_leads_to_data() -> None:
    far, ret, vadd, none = "97000000e7800000", "8280", "57001102", "0000"
    code = bytes.fromhex(far.replace("e7800000", "e780a000") + ret + vadd + ret + vadd + none)
    nowhere = np.array([], np.int64)
    rows, extents, _ = riscv.walk(code, BASE, np.array([BASE, BASE + 16]), nowhere, nowhere)
    assert np.frombuffer(extents, "<i8").tolist() == [BASE, BASE + 10, BASE + 10, BASE + 16]
    assert [(r["range"], r["first"]) for r in np.frombuffer(rows, ROW)] == [(1, BASE + 10)]


def test_the_native_decoder_and_the_fallback_agree_and_stay_inside(tmp_path: Path) -> None:
    probe = native_probe.build(tmp_path)
    noise = random.Random(1)
    known = [bytes.fromhex(code) for _, code, _, _ in INSTRUCTIONS]
    for size in (0, 2, 4, 40, 4000):
        native_probe.assert_same(probe, riscv, "riscv64", noise.randbytes(size), BASE)
        code = b"".join(noise.choices(known, k=size // 3))
        native_probe.assert_same(probe, riscv, "riscv64", code, BASE)


def test_every_class_of_the_table_is_listed() -> None:
    lookup = riscv._table()
    groups = np.unique(lookup.entries[(lookup.entries < BAD)])
    assert set(groups.tolist()) <= set(classes("riscv"))
