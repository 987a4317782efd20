"""Hostile files cost bounded memory: each is read by a process that may not have more."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

LIMIT = 512 << 20

_READ = """
import re, resource, sys
from pathlib import Path
from uplift.errors import RecordingError
from uplift.facts import imports
from uplift.facts.parsers import all_parsers, read_facts
resource.setrlimit(resource.RLIMIT_AS, ({limit} * 2, {limit} * 2))
try:
    snapshot = imports.load_path(Path(sys.argv[1]))
    facts = read_facts(snapshot)
    for parser in all_parsers():
        for name in parser.declares:
            facts.get(name)
    said = "read"
except RecordingError as error:
    said = "refused: " + error.cause
# not ru_maxrss: that remembers the parent's size from before exec
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(int(peak) * 1024, said[:300])
"""


def cost(path: Path) -> tuple[int, str]:
    """Read ``path`` in a process of its own; return its peak memory and what it said."""
    code = _READ.format(limit=LIMIT)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, _, said = done.stdout.partition(" ")
    return int(peak), said.strip()


HEADER = b'{"schema":"uplift-snapshot/1","kind":"machine"}\n'


def zeros(packer: object, size: int) -> bytes:
    parts = [packer.compress(bytes(16 << 20)) for _ in range(size >> 24)]  # type: ignore[attr-defined]
    return b"".join((*parts, packer.flush()))  # type: ignore[attr-defined]


def tar_header(size: int) -> bytes:
    info = tarfile.TarInfo("proc/cpuinfo")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def nested_tree(path: Path) -> None:
    tree = '{"a":[' + "[]," * 3_000_000 + "[]]}"
    row = {"id": "tree:/sys/devices/system/cpu", "status": "ok", "data": tree}
    path.write_bytes(HEADER + json.dumps(row).encode() + b'\n{"end":true,"captures":1}\n')


def inflating_captures(path: Path) -> None:
    packed = base64.b64encode(zlib.compress(bytes(31 << 20))).decode()
    with path.open("wb") as file:
        file.write(HEADER)
        for number in range(200):
            row = {"id": f"c{number}", "status": "ok", "encoding": "zlib+base64", "data": packed}
            file.write(json.dumps(row).encode() + b"\n")


def wide_text(path: Path) -> None:
    row = {"id": "file:/proc/cpuinfo", "status": "ok", "data": "\U0001f600" * 3_900_000}
    line = json.dumps(row, ensure_ascii=False).encode()
    path.write_bytes(HEADER + line + b'\n{"end":true,"captures":1}\n')


def many_lines(path: Path) -> None:
    row = {"id": "file:/proc/cpuinfo", "status": "ok", "data": "a:b\n" * 1_900_000}
    path.write_bytes(HEADER + json.dumps(row).encode() + b'\n{"end":true,"captures":1}\n')


def many_cpus(path: Path) -> None:
    text = "".join(f"processor : {n}\nflags : fpu lm f{n}\n\n" for n in range(60_000))
    path.write_bytes(text.encode())


CASES = {
    "nested.jsonl": nested_tree,
    "inflating.jsonl": inflating_captures,
    "wide.jsonl": wide_text,
    "lines.jsonl": many_lines,
    "cpus.txt": many_cpus,
    "bomb.jsonl.gz": lambda path: path.write_bytes(
        gzip.compress(HEADER) + zeros(zlib.compressobj(9, wbits=31), 1 << 28)
    ),
    "line.jsonl.gz": lambda path: path.write_bytes(
        gzip.compress(HEADER) + gzip.compress(bytes(1 << 27))
    ),
    "bomb.tar.gz": lambda path: path.write_bytes(
        gzip.compress(tar_header(1 << 30)) + zeros(zlib.compressobj(9, wbits=31), 1 << 28)
    ),
    "bomb.tar.bz2": lambda path: path.write_bytes(
        bz2.compress(tar_header(1 << 30)) + zeros(bz2.BZ2Compressor(), 1 << 28)
    ),
    "bomb.tar.xz": lambda path: path.write_bytes(
        lzma.compress(tar_header(1 << 30)) + zeros(lzma.LZMACompressor(preset=0), 1 << 28)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_costs_bounded_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    CASES[name](path)  # type: ignore[no-untyped-call]
    peak, said = cost(path)
    assert peak < LIMIT, said
    assert said


@pytest.mark.slow
@pytest.mark.parametrize("head", [HEADER, b"", b"processor\t: 0\nflags\t: "])
def test_a_line_of_a_gigabyte_is_refused(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "line"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(1 << 30)  # sparse: a gigabyte of zeros
    peak, said = cost(path)
    assert peak < LIMIT
    assert said.startswith("refused: ")


@pytest.mark.slow
def test_a_tarball_of_200_000_names_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "names.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(210_000):
            info = tarfile.TarInfo(f"proc/{number:06}/" + "n" * 60)
            file.write(info.tobuf(tarfile.GNU_FORMAT))
    peak, said = cost(path)
    assert peak < LIMIT
    assert said.startswith("refused: it holds more than")
