"""Where functions lie: what readelf says of call-frame information; what hostile tables give."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isa.elf_files import compiled, tool
from uplift.isa.elf import Elf
from uplift.isa.frames import debug_frames, frames, parse

_LIBRARIES = ("libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1")
_FDE = re.compile(r" FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)")
SOURCE = """
int one(int n) { return n + 1; }
int two(int n) { return one(n) * 2; }
int main(int argc, char **argv) { return two(argc); }
"""


def _library(name: str) -> Path:
    folders = (Path("/usr/lib"), *Path("/usr/lib").glob("*-linux-gnu"))
    path = next((f / name for f in folders if (f / name).is_file()), None)
    if path is None:
        pytest.skip(f"{name} is not on this machine")
    return path


def _as_readelf(path: Path, kind: str = "frames") -> set[tuple[int, int]]:
    command = [tool("readelf", "binutils"), f"--debug-dump={kind}", "-W", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = {(int(a, 16), int(b, 16)) for a, b in _FDE.findall(done.stdout)}
    return {(start, end) for start, end in found if end > start}


@pytest.mark.parametrize("name", _LIBRARIES)
def test_a_system_librarys_frames_are_those_that_readelf_shows(name):
    path = _library(name)
    found = frames(Elf(path.read_bytes()))
    assert set(zip(found.start.tolist(), found.end.tolist(), strict=True)) == _as_readelf(path)


def test_the_index_and_the_chain_of_entries_give_the_same(tmp_path):
    elf = Elf(compiled(tmp_path, SOURCE, "-O2").read_bytes())
    section = elf.section(".eh_frame")
    start, _ = parse(elf.content(section), section.address)
    assert sorted(start.tolist()) == frames(elf).start.tolist()


def test_without_an_unwinders_table_a_debuggers_is_read(tmp_path):
    flags = ("-O2", "-g", "-c", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    plain = ("-fno-exceptions", "-fcf-protection=none")
    path = compiled(tmp_path, SOURCE, *flags, *plain)
    linked = tmp_path / "linked"
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-Wl,-e,main", str(path), "-o", str(linked)],
        check=True,
        capture_output=True,
    )
    elf = Elf(linked.read_bytes())
    assert elf.section(".debug_frame") is not None
    found = debug_frames(elf)
    told = _as_readelf(linked)
    assert set(zip(found.start.tolist(), found.end.tolist(), strict=True)) == told
    assert len(found.start) == 3


def test_a_chain_that_leads_nowhere_ends_where_it_breaks():
    cie = struct.pack("<III", 8, 0, 0)
    endless = struct.pack("<II", 0xFFFFFFF0, 0)
    start, end = parse(memoryview(cie + endless + b"\xff" * 64), 0x1000)
    assert len(start) == len(end) == 0


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=600), debug=st.booleans())
def test_any_bytes_give_ranges_or_none(raw, debug):
    start, end = parse(memoryview(raw), 0x1000, debug)
    assert len(start) == len(end)
    assert start.dtype == np.int64
