"""ELF files for tests: compiled here, or put together byte by byte."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

HEADER, SEGMENT, SECTION = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), 64
X86_64, AARCH64 = 62, 183


def compiled(folder: Path, source: str, *flags: str, name: str = "made") -> Path:
    """Compile C with GCC; the test is skipped, and says so, where there is none."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed (package gcc)")
    (folder / f"{name}.c").write_text(source)
    out = folder / name
    command = ["gcc", *flags, f"{name}.c", "-o", str(out)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return out


def tool(name: str, package: str) -> str:
    """Return the path of a program; the test is skipped, and says so, where it is not there."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (package {package})")
    return path


def small(code: bytes, machine: int = X86_64, kind: int = 2) -> bytes:
    """Return an executable with one segment and no sections: ``code`` at 0x401000."""
    start = HEADER.size + SEGMENT.size
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    fields = (kind, machine, 1, 0x401000, 64, 0, 0, 64, SEGMENT.size, 1, SECTION, 0, 0)
    header = HEADER.pack(identity, *fields)
    segment = SEGMENT.pack(1, 5, start, 0x401000, 0x401000, len(code), len(code), 4096)
    return header + segment + code


def patched(data: bytes, offset: int, value: int, size: int) -> bytes:
    """Return a copy with a little-endian number put at a byte."""
    return data[:offset] + value.to_bytes(size, "little") + data[offset + size :]
