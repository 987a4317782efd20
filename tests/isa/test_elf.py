"""Reading ELF files: what compilers write is found; what lies is refused at its byte."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.isa.elf_files import AARCH64, compiled, patched, small, tool
from uplift.errors import UpliftError
from uplift.isa.audit import audit
from uplift.isa.elf import Elf, _unpacked_relr

PROGRAM = """
#include <stdio.h>
static int one(int n) { return n + 1; }
static int two(int n) { return n + 2; }
int (*table[])(int) = {one, two};
int shared_value = 7;
__attribute__((constructor)) static void start(void) { shared_value++; }
int main(int argc, char **argv) { return printf("%d", table[argc & 1](argc)) < 0; }
"""
RET = b"\xc3"
GIANT = (0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled(tmp_path_factory.mktemp("elf"), PROGRAM, "-O2").read_bytes()


def test_pointers_of_a_table_lead_to_its_functions(program):
    elf = Elf(program)
    names = {elf.symbols.text(i): int(elf.symbols.value[i]) for i in range(len(elf.symbols))}
    at = np.searchsorted(elf.pointers.place, [names["table"], names["table"] + 8])
    assert elf.pointers.target[at].tolist() == [names["one"], names["two"]]
    assert names["start"] in elf.start_functions
    assert elf.entry in elf.start_functions


def test_packed_relative_relocations_give_the_same_pointers(tmp_path, program):
    try:
        packed = compiled(tmp_path, PROGRAM, "-O2", "-Wl,-z,pack-relative-relocs")
    except subprocess.CalledProcessError:
        pytest.skip("this linker packs no relative relocations (binutils 2.38 does)")
    plain, tight = Elf(program), Elf(packed.read_bytes())
    assert tight.tag(36), "the linker wrote no RELR"
    relative = plain.pointers.symbol == 0
    inner = tight.pointers.symbol == 0
    assert inner.sum() == relative.sum()
    assert len(tight.start_functions) == len(plain.start_functions)


def test_a_packed_table_names_a_place_and_the_words_its_bitmap_marks():
    words = np.array([0x1000, 0b1011, 0x2000], "<u8")
    assert _unpacked_relr(words).tolist() == [0x1000, 0x1008, 0x1018, 0x2000]


def test_what_the_file_says_of_itself_agrees_with_readelf(program, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(program)
    told = subprocess.run(
        [tool("readelf", "binutils"), "-dnW", str(path)], capture_output=True, text=True, check=True
    ).stdout
    about = audit(path).identity
    assert all(f"[{name}]" in told for name in about.needed) and about.needed
    assert about.build_id and f"Build ID: {about.build_id}" in told
    assert about.kind == "executable" and about.interpreter.startswith("/lib")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "byte 0: it starts with nothing"),
        (b"#!/bin/sh\n", "byte 0: it starts with 23 21 2f 62, not with ELF"),
        (b"\x7fELF\x01\x01" + bytes(58), "byte 4: it is of 32 bits"),
        (b"\x7fELF\x02\x02" + bytes(58), "byte 5: it is big endian"),
        (b"\x7fELF\x02\x01", "byte 0: the header would end at byte 64 of 6"),
        (patched(small(RET), 18, 8, 2), "byte 18: it is for the machine mips"),
        (patched(small(RET), 18, 999, 2), "byte 18: it is for the machine number 999"),
        (patched(small(RET), 54, 55, 2), "byte 54: program headers of 55 bytes"),
        (patched(small(RET), 32, 1 << 40, 8), f"byte {1 << 40}: program headers would end"),
        (patched(small(RET), 96, 1 << 40, 8), "byte 64: a segment of bytes 120 to"),
        (patched(small(RET), 104, 1 << 60, 8), f"byte 64: a segment of {1 << 60} bytes"),
        (patched(small(RET), 40, 1 << 62, 8), f"byte {1 << 62}: a header would end"),
    ],
)
def test_what_is_no_such_file_is_refused_at_the_byte(data, cause):
    with pytest.raises(UpliftError) as error:
        audit(data)
    assert error.value.cause.startswith(cause)
    assert error.value.fix


def test_every_shortened_file_is_answered_or_refused(program):
    for size in [*range(0, 900, 61), *range(900, len(program), 997)]:
        _answered(program[:size])


def test_lying_headers_are_answered_or_refused_within_memory(program, tmp_path):
    """Every field of every header is given numbers that no file can hold, in 2 GiB of memory."""
    elf = Elf(program)
    fields = [*range(16, 64, 4), *range(64, 64 + 56 * len(elf.segments), 8)]
    first = int.from_bytes(program[40:48], "little")
    fields += range(first, first + 64 * len(elf.sections), 8)
    dynamic = next(s for s in elf.sections if s.name == ".dynamic")
    fields += range(dynamic.offset + 8, dynamic.offset + dynamic.size, 16)
    (tmp_path / "program").write_bytes(program)
    (tmp_path / "fields").write_text(" ".join(map(str, fields)))
    done = subprocess.run(
        [sys.executable, "-c", _LIARS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


_LIARS = f"""
import resource, sys
from pathlib import Path
from uplift.isa.audit import audit
from uplift.errors import UpliftError
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
folder = Path(sys.argv[1])
program = (folder / "program").read_bytes()
for field in map(int, (folder / "fields").read_text().split()):
    for value in {GIANT}:
        broken = program[:field] + value.to_bytes(8, "little") + program[field + 8:]
        try:
            audit(broken)
        except UpliftError:
            pass
"""


def test_overlapping_sections_are_counted_once(program):
    first = int.from_bytes(program[40:48], "little")
    sections = Elf(program).sections
    text = next(s for s in sections if s.name == ".text")
    fini = next(s for s in sections if s.name == ".fini")
    at = first + 64 * fini.index
    double = patched(program, at + 16, text.address, 8)
    double = patched(double, at + 24, text.offset, 8)
    double = patched(double, at + 32, text.size, 8)
    assert audit(double).instructions <= audit(program).instructions


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_bytes_are_answered_or_refused(program, data):
    changed = bytearray(program)
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(program) - 9))
        size = data.draw(st.sampled_from((1, 4, 8)))
        changed[at : at + size] = data.draw(st.binary(min_size=size, max_size=size))
    started = time.process_time()
    _answered(bytes(changed))
    assert time.process_time() - started < 20


@settings(max_examples=100, deadline=None)
@given(code=st.binary(max_size=400), machine=st.sampled_from((62, AARCH64, 243)))
def test_any_bytes_as_code_are_answered(code, machine):
    assert audit(small(code, machine)).function_count >= 0


def test_memory_stays_near_the_size_of_the_file(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(small(b"\x90" * (48 << 20)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert audit(path).instructions > 40 << 20
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 160 << 10


def test_a_path_that_cannot_be_read_says_which(tmp_path: Path):
    with pytest.raises(UpliftError) as error:
        audit(tmp_path / "nothing")
    assert "nothing" in error.value.problem
    with pytest.raises(UpliftError):
        audit(tmp_path)


def _answered(data: bytes) -> None:
    try:
        audit(data)
    except UpliftError as error:
        assert error.cause and error.fix
