"""x86-64: which class an instruction has, and what the decoder makes of code and of noise.

The instructions were assembled by GNU as 2.47; the sets are those of the Intel SDM, the Intel
extensions reference and the AMD64 APM.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.isa import native_probe
from tests.isa.class_names import classes
from uplift.isa import baseline
from uplift.isa import x86_fallback as x86
from uplift.isa.range_rows import BAD, BAD_ROW, REFERENCE, ROW

# assembly, bytes, ISA set, harmless where the set is missing
INSTRUCTIONS = [
    ("add %rax,%rbx", "4801c3", "base", True),
    ("movabs $0x1122334455667788,%rax", "48b88877665544332211", "base", True),
    ("cmpxchg8b (%rax)", "0fc708", "base", True),
    ("clflush (%rax)", "0fae38", "base", True),
    ("pause", "f390", "base", True),
    ("nopw 0x0(%rax,%rax,1)", "660f1f0400", "base", True),
    ("addpd %xmm1,%xmm2", "660f58d1", "base", True),
    ("fcomi %st(1),%st", "dbf1", "base", True),
    ("lahf", "9f", "lahf", False),
    ("cmpxchg16b (%rax)", "480fc708", "cx16", False),
    ("addsubpd %xmm1,%xmm2", "660fd0d1", "sse3", False),
    ("fisttpl (%rax)", "db08", "sse3", False),
    ("pshufb %xmm1,%xmm2", "660f3800d1", "ssse3", False),
    ("pshufb %mm1,%mm2", "0f3800d1", "ssse3", False),
    ("pblendvb %xmm0,%xmm1,%xmm2", "660f3810d1", "sse4.1", False),
    ("crc32l %eax,%ebx", "f20f38f1d8", "sse4.2", False),
    ("popcnt %rax,%rbx", "f3480fb8d8", "popcnt", False),
    ("tzcnt %rax,%rbx", "f3480fbcd8", "bmi1", True),
    ("lzcnt %rax,%rbx", "f3480fbdd8", "lzcnt", False),
    ("andn %rax,%rbx,%rcx", "c4e2e0f2c8", "bmi1", False),
    ("pdep %rax,%rbx,%rcx", "c4e2e3f5c8", "bmi2", False),
    ("movbe (%rax),%ebx", "0f38f018", "movbe", False),
    ("adcx %rax,%rbx", "66480f38f6d8", "adx", False),
    ("aesenc %xmm1,%xmm2", "660f38dcd1", "aes", False),
    ("vaesenc %xmm1,%xmm2,%xmm3", "c4e269dcd9", "aes+avx", False),
    ("vaesenc %ymm1,%ymm2,%ymm3", "c4e26ddcd9", "vaes", False),
    ("pclmulqdq $0,%xmm1,%xmm2", "660f3a44d100", "pclmul", False),
    ("vpclmulqdq $0,%zmm1,%zmm2,%zmm3", "62f36d4844d900", "avx512f+vpclmulqdq", False),
    ("sha256rnds2 %xmm0,%xmm1,%xmm2", "0f38cbd1", "sha", False),
    ("gf2p8mulb %xmm1,%xmm2", "660f38cfd1", "gfni", False),
    ("vaddps %ymm1,%ymm2,%ymm3", "c5ec58d9", "avx", False),
    ("vpaddd %xmm1,%xmm2,%xmm3", "c5e9fed9", "avx", False),
    ("vpaddd %ymm1,%ymm2,%ymm3", "c5edfed9", "avx2", False),
    ("vpgatherdd %ymm1,(%rax,%ymm2,4),%ymm3", "c4e275901c90", "avx2", False),
    ("vfmadd231pd %ymm1,%ymm2,%ymm3", "c4e2edb8d9", "fma", False),
    ("vcvtph2ps %xmm1,%ymm2", "c4e27d13d1", "f16c", False),
    ("{vex} vpdpbusd %ymm1,%ymm2,%ymm3", "c4e26d50d9", "avxvnni", False),
    ("vaddps %zmm1,%zmm2,%zmm3", "62f16c4858d9", "avx512f", False),
    ("vaddps {rz-sae},%zmm1,%zmm2,%zmm3", "62f16c7858d9", "avx512f", False),
    ("vaddps (%rax){1to16},%zmm2,%zmm3{%k1}{z}", "62f16cd95818", "avx512f", False),
    ("vaddps %xmm17,%xmm2,%xmm3", "62b16c0858d9", "avx512f+avx512vl", False),
    ("vpaddb %zmm1,%zmm2,%zmm3", "62f16d48fcd9", "avx512bw", False),
    ("vpaddb %ymm17,%ymm2,%ymm3", "62b16d28fcd9", "avx512bw+avx512vl", False),
    ("vpmullq %zmm1,%zmm2,%zmm3", "62f2ed4840d9", "avx512dq", False),
    ("vpconflictd %zmm1,%zmm2", "62f27d48c4d1", "avx512cd", False),
    ("vpermb %zmm1,%zmm2,%zmm3", "62f26d488dd9", "avx512vbmi", False),
    ("vpmadd52luq %zmm1,%zmm2,%zmm3", "62f2ed48b4d9", "avx512ifma", False),
    ("vpdpbusd %zmm1,%zmm2,%zmm3", "62f26d4850d9", "avx512vnni", False),
    ("vpopcntd %zmm1,%zmm2", "62f27d4855d1", "avx512vpopcntdq", False),
    ("vpshldd $1,%zmm1,%zmm2,%zmm3", "62f36d4871d901", "avx512vbmi2", False),
    ("vcvtne2ps2bf16 %zmm1,%zmm2,%zmm3", "62f26f4872d9", "avx512bf16+avx512f", False),
    ("vaddph %zmm1,%zmm2,%zmm3", "62f56c4858d9", "avx512fp16", False),
    ("vaddph %xmm1,%xmm2,%xmm3", "62f56c0858d9", "avx512fp16+avx512vl", False),
    ("kmovq %k1,%k2", "c4e1f890d1", "avx512bw", False),
    ("vminmaxps $1,%zmm1,%zmm2,%zmm3", "62f36d4852d901", "avx10.2", False),
    ("vaddbf16 %zmm1,%zmm2,%zmm3", "62f56d4858d9", "avx10.2", False),
    ("tdpbssd %tmm1,%tmm2,%tmm3", "c4e2735eda", "amx-int8", False),
    ("ldtilecfg (%rax)", "c4e2784900", "amx-tile", False),
    ("tdpfp16ps %tmm1,%tmm2,%tmm3", "c4e2735cda", "amx-fp16", False),
    ("tdpbf8ps %tmm1,%tmm2,%tmm3", "c4e570fdda", "amx-fp8", False),
    ("tmmultf32ps %tmm4,%tmm5,%tmm6", "c4e25948f5", "amx-tf32", False),
    ("blsr %r25d,%edx", "62da6c08f3c9", "apx-f+bmi1", False),
    ("pushp %rax", "d50850", "apx-f", False),
    ("add %r16,%rax", "d54801c0", "apx-f", False),
    ("add %rax,%rbx,%rcx", "62f4f41801c3", "apx-f", False),
    ("{nf} add %rax,%rbx", "62f4fc0c01c3", "apx-f", False),
    ("ccmpne {dfv=cf} %rax,%rbx", "62f48c0539c3", "apx-f", False),
    ("cfcmovne %rax,%rbx", "62f4fc0845d8", "apx-f", False),
    ("jmpabs $0x1122334455667788", "d500a18877665544332211", "apx-f", False),
    ("push2 %rax,%rbx", "62f46418fff0", "apx-f", False),
    ("vaddps (%r16),%zmm2,%zmm3", "62f96c485818", "apx-f+avx512f", False),
    ("endbr64", "f30f1efa", "ibt", True),
    ("rdsspq %rax", "f3480f1ec8", "shstk", True),
    ("incsspq %rax", "f3480faee8", "shstk", False),
    ("xbegin .+6", "c7f800000000", "rtm", False),
    ("xtest", "0f01d6", "rtm", False),
    ("cldemote (%rax)", "0f1c00", "cldemote", True),
    ("prefetchw (%rax)", "0f0d08", "prfchw", True),
    ("clwb (%rax)", "660fae30", "clwb", False),
    ("rdrand %eax", "0fc7f0", "rdrnd", False),
    ("rdfsbase %eax", "f30faec0", "fsgsbase", False),
    ("xgetbv", "0f01d0", "xsave", False),
    ("xsave (%rax)", "0fae20", "xsave", False),
    ("rdtscp", "0f01f9", "rdtscp", False),
    ("wbnoinvd", "f30f09", "wbnoinvd", True),
    ("vfmaddpd %xmm1,%xmm2,%xmm3,%xmm4", "c4e3e169e120", "fma4", False),
    ("vpcomd $1,%xmm1,%xmm2,%xmm3", "8fe868ced901", "xop", False),
    ("blcfill %eax,%ebx", "8fe96001c8", "tbm", False),
    ("pfadd %mm1,%mm2", "0f0fd19e", "3dnow", False),
    ("extrq $1,$2,%xmm1", "660f78c10201", "sse4a", False),
    ("cmpbexadd %eax,%ebx,(%rcx)", "c4e279e619", "cmpccxadd", False),
    ("aadd %eax,(%rbx)", "0f38fc03", "raoint", False),
    ("urdmsr %rax,%rbx", "f20f38f8c3", "usermsr", False),
    ("movrs (%rax),%rbx", "480f388b18", "movrs", False),
    ("vmcall", "0f01c1", "vmx", False),
    ("mov (%eax),%ebx", "678b18", "base", True),
    ("mov %fs:0x28,%rax", "64488b042528000000", "base", True),
]
NO_INSTRUCTIONS = {
    "push es is gone": "06",
    "lea of a register": "488dc0",
    "VEX behind a 66 prefix": "66c5e8fed9",
    "VEX behind REX": "48c5e8fed9",
    "vvvv names a register that is none": "c5e028d1",
    "EVEX b of an instruction that has no broadcast": "62f16d58fc18",
    "EVEX z without a mask": "62f16cc858d9",
    "a gather without a mask": "62f27d489004d0",
    "an EVEX map that nobody uses": "62f06c4858d9",
    "REX2 before a row of opcodes it makes undefined": "d50074",
    "3DNow with a suffix that is none": "0f0fd100",
    "sixteen bytes": "2e" * 14 + "01c3",
}
BASE = 0x10000


def class_of(code: bytes) -> int:
    """The class of the one instruction in ``code``."""
    at, end = np.array([BASE]), np.array([BASE + len(code)])
    rows, bad, decoded = x86.classify(code, BASE, at, end)
    assert (decoded, bad) == (1, b"")
    return int(np.frombuffer(rows, ROW)["class"][0]) if rows else 0


def test_every_instruction_has_its_set_and_is_known_harmless_or_not() -> None:
    names = classes("x86")
    found = [names[class_of(bytes.fromhex(code))] for _, code, _, _ in INSTRUCTIONS]
    assert [(text, f.set, f.benign) for (text, *_), f in zip(INSTRUCTIONS, found, strict=True)] == [
        (text, isa_set, benign) for text, _, isa_set, benign in INSTRUCTIONS
    ]


def test_a_class_is_called_as_assemblers_call_it() -> None:
    names = classes("x86")
    newer = [
        (text, code) for text, code, sets, _ in INSTRUCTIONS if sets.startswith(("avx", "apx"))
    ]
    shown = {
        text.split()[0]: names[class_of(bytes.fromhex(code))].instruction for text, code in newer
    }
    assert shown.pop("ccmpne") == "ccmpcc"
    assert shown.pop("cfcmovne") == "cfcmovcc"
    assert shown.pop("{nf}") == "add"
    assert shown.pop("{vex}") == "vpdpbusd"
    assert all(text == name for text, name in shown.items())


def test_instructions_in_a_row_keep_their_lengths() -> None:
    code = bytes.fromhex("".join(code for _, code, _, _ in INSTRUCTIONS))
    assert list(x86.lengths(code)) == [len(code) // 2 for _, code, _, _ in INSTRUCTIONS]


@pytest.mark.parametrize("why", NO_INSTRUCTIONS)
def test_a_reserved_encoding_is_no_instruction(why: str) -> None:
    assert x86.lengths(bytes.fromhex(NO_INSTRUCTIONS[why]))[0] == 0


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("6681c33412", 5),  # add $0x1234,%bx
        ("664881c378563412", 8),  # add $0x12345678,%rbx: W overrides 66
        ("66f3c7016400", 6),  # xrelease movw $0x64,(%rcx): 66 counts beside F3
        ("b878563412", 5),
        ("48b88877665544332211", 10),
        ("a18877665544332211", 9),  # mov with an address of 8 bytes
        ("67a178563412", 6),  # … of 4
        ("f6c001", 3),  # test has an immediate,
        ("f6d0", 2),  # not has none
        ("8b042578563412", 7),  # SIB without a base
        ("8b4424f8", 4),
        ("660f8200000000", 7),  # a near branch keeps 32 bits: Intel's reading
        ("66e800000000", 6),
        ("667400", 3),
        ("0f204500", 3),  # mov %cr0,%rbp: the mode says nothing
        ("c8100001", 4),
        ("0f0f44240890", 6),  # 3DNow: the opcode is the last byte
    ],
)
def test_prefixes_and_modrm_decide_the_length(code: str, length: int) -> None:
    assert x86.lengths(bytes.fromhex(code))[0] == length


def test_after_an_undecodable_byte_decoding_goes_on_one_byte_later() -> None:
    assert list(x86.lengths(bytes.fromhex("0690c3"))) == [0, 1, 1]


def test_an_instruction_cut_by_its_range_is_none() -> None:
    code = bytes.fromhex("90c5ecfed9")
    rows, bad, decoded = x86.classify(code, BASE, np.array([BASE]), np.array([BASE + 2]))
    assert (rows, decoded) == (b"", 1)
    assert [tuple(b)[2:] for b in np.frombuffer(bad, BAD_ROW).tolist()] == [(BASE + 1, 1)]


def references(code: str) -> list[tuple[int, int, int]]:
    data = bytes.fromhex(code)
    found = x86.references(data, BASE, np.array([BASE]), np.array([BASE + len(data)]))
    return [tuple(r)[1:] for r in np.frombuffer(found, REFERENCE).tolist()]


@pytest.mark.parametrize(
    ("code", "kind", "target"),
    [
        ("e810000000", 1, BASE + 0x15),  # call
        ("eb10", 2, BASE + 0x12),  # jmp
        ("0f8510000000", 3, BASE + 0x16),  # jne
        ("488d0510000000", 4, BASE + 0x17),  # lea 0x10(%rip),%rax
        ("488b0510000000", 5, BASE + 0x17),  # mov 0x10(%rip),%rax
        ("48890510000000", 6, BASE + 0x17),  # mov %rax,0x10(%rip)
        ("ff1510000000", 7, BASE + 0x16),  # call *0x10(%rip)
        ("ff2510000000", 8, BASE + 0x16),  # jmp *0x10(%rip)
        ("0fa2", 9, 0),  # cpuid
        ("0f01d0", 9, 0),  # xgetbv
        ("ffd0", 10, 0),  # call *%rax
        ("ff2485e8030000", 10, 0),  # jmp *0x3e8(,%rax,4)
        ("f6051000000004", 11, BASE + 0x17),  # testb $4,0x10(%rip)
        ("833d1000000001", 11, BASE + 0x17),  # cmpl $1,0x10(%rip)
        ("8b042578563412", 5, 0x12345678),  # mov 0x12345678,%eax
    ],
)
def test_what_names_a_fixed_address_is_a_reference(code: str, kind: int, target: int) -> None:
    assert references(code) == [(kind, BASE, target)]


@pytest.mark.parametrize("code", ["64488b042528000000", "488b4510", "c3", "0f1f0510000000"])
def test_what_names_none_is_no_reference(code: str) -> None:
    assert references(code) == []


def test_a_walk_follows_calls_and_drops_what_leads_to_data() -> None:
    call, ret, vadd, none = "e803000000", "c3", "c5ec58d9", "0000"
    code = bytes.fromhex(call + ret + "0606" + vadd + ret + vadd + none)
    nowhere = np.array([], np.int64)
    rows, extents, _ = x86.walk(code, BASE, np.array([BASE, BASE + 13]), nowhere, nowhere)
    assert np.frombuffer(extents, "<i8").tolist() == [BASE, BASE + 6, BASE + 8, BASE + 13]
    assert [(r["range"], r["first"]) for r in np.frombuffer(rows, ROW)] == [(1, BASE + 8)]


def test_the_native_decoder_and_the_fallback_agree_and_stay_inside(tmp_path: Path) -> None:
    probe = native_probe.build(tmp_path)
    noise = random.Random(1)
    known = [bytes.fromhex(code) for _, code, _, _ in INSTRUCTIONS]
    for size in (0, 1, 2, 15, 31, 32, 33, 40, 4000):
        native_probe.assert_same(probe, x86, "x86-64", noise.randbytes(size), BASE)
        code = bytearray(b"".join(noise.choices(known, k=size // 4)))
        native_probe.assert_same(probe, x86, "x86-64", bytes(code), BASE)
        for place in noise.sample(range(len(code)), len(code) // 20):
            code[place] = noise.choice((0x62, 0xC4, 0xD5, 0x66, 0x67, 0xF2, 0x48, 0x0F, 0x8F))
        native_probe.assert_same(probe, x86, "x86-64", bytes(code), BASE)


def test_every_class_of_the_table_is_listed() -> None:
    tables, listed = x86._tables(), classes("x86")
    cells = [*tables.entries, *(cell for row in tables.cells for cell in row)]
    groups = {cell & 0xFFFF for cell in cells if not cell & x86._NODE} - {BAD}
    assert groups <= set(listed)
    assert set(tables.extended) <= set(listed)


def test_a_level_has_sets_that_the_decoder_knows_and_holds_what_needs_several_of_them() -> None:
    listed = {part for name in classes("x86").values() for part in name.set.split("+")}
    levels = [baseline.level("x86-64", name) for name in baseline.ladder("x86-64")]
    assert all(sets <= listed for sets in levels)
    assert {"avx512bw", "avx512vl"} <= levels[3] - levels[2]
    assert "vaes" not in levels[3]
    assert baseline.holding("x86-64", frozenset(("avx512f", "avx512vl", "avx2"))) == "x86-64-v4"
