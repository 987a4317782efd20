"""Code that no frame and no symbol declares: what leads there, and what contradicts itself."""

from __future__ import annotations

import subprocess

import pytest

from tests.isa.elf_files import compiled, small, tool
from uplift.isa.audit import audit
from uplift.isa.model import Confidence, Reach

ASSEMBLY = """
__asm__(".text\\n"
%s);
void first(void);
int main(void) { first(); return 0; }
"""


def _bare(folder, lines):
    """Build without a symbol table; the assembly has no frames."""
    source = ASSEMBLY % "\n".join(f'"{line}\\n"' for line in lines)
    path = compiled(folder, source, "-O2")
    subprocess.run([tool("strip", "binutils"), str(path)], check=True)
    return audit(path).functions


def test_an_address_that_undeclared_code_takes_leads_further(tmp_path):
    hidden = ["hidden: vpaddd %ymm0, %ymm1, %ymm2", "ret"]
    middle = [".p2align 4", "middle: lea hidden(%rip), %rax", "jmp *%rax", ".p2align 4"]
    (found,) = _bare(tmp_path, [*hidden, *middle, "first: lea middle(%rip), %rax", "jmp *%rax"])
    assert found.confidence == Confidence.REACHED and found.sets["avx2"].count == 1
    assert found.reach != Reach.DISPATCHED


def test_constants_that_would_jump_into_an_instruction_are_no_code(tmp_path):
    known = [".cfi_startproc", "known: movabs $1, %rax", "ret", ".cfi_endproc"]
    table = ["table: .byte 0xc5, 0xf5, 0xfe, 0xd0"]  # would be vpaddd %ymm0, %ymm1, %ymm2
    code = ["first: lea table(%rip), %rax", "jmp *(%rax)"]
    inside = [".byte 0xe9", ".long known + 3 - (. + 4)"]  # jmp known + 3
    onto = [".byte 0xe9", ".long known - (. + 4)"]
    (found,) = _bare(tmp_path, known + table + inside + code)
    assert found.confidence == Confidence.UNREACHED
    (found,) = _bare(tmp_path, known + table + onto + code)
    assert found.confidence == Confidence.REACHED


def test_a_function_behind_a_call_that_never_returns_is_one_of_its_own(tmp_path):
    code = ["first: test %edi, %edi", "js 1f", "jmp third", "1: call abort@plt"]
    code += ["second: vpaddd %ymm0, %ymm1, %ymm2", "ret", ".p2align 4", "third: call second", "ret"]
    (found,) = _bare(tmp_path, code)
    assert found.confidence == Confidence.REACHED and found.size == 5


def test_a_landing_place_of_indirect_calls_starts_code():
    code = b"\xc3" + b"\xcc" * 15 + b"\xf3\x0f\x1e\xfa" + b"\xc5\xfd\xfe\xc1\xc3"
    (found,) = audit(small(code)).functions
    assert found.confidence == Confidence.REACHED and found.reach == Reach.UNKNOWN
    assert found.address == 0x401010


FALLS = """
__asm__(".text\\nfirst: add $1, %edi\\ntail: vpaddd %ymm0, %ymm1, %ymm2\\nret\\n");
void first(int);
void tail(int);
int main(int argc, char **argv)
{
    if (__builtin_cpu_supports("avx2"))
        tail(argc);
    CALL;
    return 0;
}
"""


@pytest.mark.parametrize(
    ("call", "reaches"),
    [("first(argc)", (Reach.ALWAYS, Reach.UNKNOWN)), ("", (Reach.DISPATCHED,))],
)
def test_code_that_other_code_runs_into_is_reached_by_it(tmp_path, call, reaches):
    path = compiled(tmp_path, FALLS.replace("CALL", call), "-O2")
    subprocess.run([tool("strip", "binutils"), str(path)], check=True)
    (found,) = (f for f in audit(path).functions if "avx2" in f.sets)
    assert found.confidence == Confidence.REACHED and found.reach in reaches
