"""Which sets a function holds: by frames, by reaching, and what is left of gaps."""

from __future__ import annotations

import subprocess

import pytest

from tests.isa.elf_files import AARCH64, compiled, small, tool
from uplift.isa.audit import audit
from uplift.isa.model import Confidence, Reach

CALLED = """
__asm__(".text\\n.type hand, @function\\nhand:\\n"
        "vpaddd %ymm0, %ymm1, %ymm2\\nvpaddd %ymm0, %ymm1, %ymm2\\nret\\n"
        "table: .byte 0xc5,0xfd,0xfe,0xc1, 0x06, 0x06, 0x06\\n");
void hand(void);
int main(void) { hand(); return 0; }
"""
POPCNT_RET = b"\xf3\x48\x0f\xb8\xc7\xc3"  # popcnt %rdi,%rax; ret


def _functions(path):
    return {f.name: f for f in audit(path).functions}


def test_assembly_without_frames_is_found_by_the_call_that_leads_there(tmp_path):
    path = compiled(tmp_path, CALLED, "-O2")
    found = _functions(path)["hand"]
    assert found.confidence == Confidence.REACHED
    assert found.sets["avx2"].count == 2 and found.reach == Reach.ALWAYS
    subprocess.run([tool("strip", "binutils"), str(path)], check=True)
    (found,) = audit(path).functions[:1]
    assert found.confidence == Confidence.REACHED and found.sets["avx2"].count == 2


def test_bytes_that_nothing_leads_to_decide_no_level():
    start = b"\xc3" + b"\xcc" * 15
    result = audit(small(start + b"\xc5\xfd\xfe\xc1\xc3"))
    (found,) = result.functions
    assert found.confidence == Confidence.UNREACHED and found.reach == Reach.UNKNOWN
    assert (result.level, result.needs) == ("", "x86-64")
    assert "it may be data" in found.evidence[0]


def test_the_first_offset_and_the_count_are_those_of_the_instructions():
    result = audit(small(b"\x90\x90" + POPCNT_RET))
    (found,) = result.functions
    assert found.sets["popcnt"].first == 0x401002 and found.sets["popcnt"].count == 1
    assert result.level == result.needs == "x86-64-v2"


def test_an_instruction_that_needs_two_sets_counts_for_each_by_its_own_name():
    result = audit(small(b"\xc4\xe3\xfd\xce\xc1\x00\xc3"))  # vgf2p8affineqb $0,%ymm1,%ymm0,%ymm0
    (found,) = result.functions
    assert {name: use.count for name, use in found.sets.items()} == {"avx": 1, "gfni": 1}
    assert list(result.sets) == ["avx", "gfni"]


def test_tzcnt_is_harmless_and_lzcnt_is_not():
    assert audit(small(b"\xf3\x0f\xbc\xc0\xc3")).functions == ()
    assert audit(small(b"\xf3\x0f\xbd\xc0\xc3")).level == "x86-64-v3"


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (b"\x1f\x20\x03\xd5\xc0\x03\x5f\xd6", "armv8-a"),  # nop; ret
        (b"\x02\x00\xe1\xb8\xc0\x03\x5f\xd6", "armv8.1-a"),  # ldaddal w1, w2, [x0]; ret
    ],
)
def test_arm64_code_says_its_level(code, level):
    assert audit(small(code, AARCH64)).level == level
