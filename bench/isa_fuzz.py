"""Broken and mutated files: the audit answers or refuses, the native code does not crash.

    python -m bench.isa_fuzz [FILE...] [--count N] [--seed N] [--sanitize]

Three kinds of input from each file, a third each: the file with some bytes changed in its headers,
sections' table, frames and symbols (``audit``); the frames alone, changed (``frames.parse``); code
with changed bytes for each decoder (``classify``, ``walk``, ``references``, ``lengths``) with
ranges that may lie outside. ``--sanitize`` builds the extension with AddressSanitizer and
UndefinedBehaviorSanitizer into a folder of its own and runs there. Whatever is no UpliftError is
shown with the seed and the number of the input, and counts; exit code 1.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import uplift
from uplift.errors import UpliftError
from uplift.isa import decoder
from uplift.isa.audit import audit
from uplift.isa.elf import Elf
from uplift.isa.frames import parse

Kind = Callable[[bytes, random.Random], None]
ARCHES = ("x86-64", "aarch64", "riscv64")
USUAL = ("/usr/bin/true", "/usr/bin/env", "/usr/bin/xz")
FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fPIC")
ODD = (0, 1, 0x7F, 0x80, 0xFF)
HEADER = 64
CODE = 4096  #: bytes of code given to a decoder at once


def main() -> int:
    """Print what was answered and refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=list(USUAL))
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sanitize", action="store_true")
    options = parser.parse_args()
    if options.sanitize:
        return _sanitized(options)
    kinds = (_file, _frames, _code)
    contents = [Path(name).read_bytes() for name in options.files]
    told: Counter[str] = Counter()
    start = time.process_time()
    for number in range(options.count):
        rng = random.Random(options.seed << 32 | number)
        kind = kinds[number % 3]
        told[f"{kind.__name__[1:]} {_outcome(kind, rng.choice(contents), rng, number)}"] += 1
    print(
        f"engine {decoder.engine} of {Path(decoder.__file__).parent}; "
        f"{time.process_time() - start:.0f} s of CPU time"
    )
    for text, count in sorted(told.items()):
        print(f"  {text}: {count}")
    return int(any("wrong" in text for text in told))


def _outcome(kind: Kind, content: bytes, rng: random.Random, number: int) -> str:
    try:
        kind(content, rng)
    except UpliftError:
        return "refused"
    except Exception:  # what this looks for
        print(f"input {number}:\n{traceback.format_exc(limit=-3)}", flush=True)
        return "wrong"
    return "answered"


def _file(content: bytes, rng: random.Random) -> None:
    audit(_changed(content, rng, _places(content)))


def _frames(content: bytes, rng: random.Random) -> None:
    elf = Elf(content)
    section = next(s for s in elf.sections if s.name == ".eh_frame")
    raw = content[section.offset : section.offset + section.size]
    parse(memoryview(_changed(raw, rng, [(0, len(raw))])), section.address)


def _code(content: bytes, rng: random.Random) -> None:
    at = rng.randrange(max(len(content) - CODE, 1))
    data = _changed(content[at : at + rng.randrange(1, CODE)], rng, [(0, CODE)])
    arch, base = rng.choice(ARCHES), rng.choice((0, 0x1000, 0x401000, (1 << 63) - CODE))
    limit = base + len(data)
    near = (
        base,
        limit,
        base + len(data) // 2,
        min(limit + 16, (1 << 63) - 1),
        base - 16,
        rng.randrange(base, limit),
    )
    starts, ends = (np.array(sorted(rng.choices(near, k=4)), dtype="i8") for _ in range(2))
    decoder.lengths(arch, data)
    for call in (decoder.classify, decoder.references):
        _tried(partial(call, arch, data, base, starts, ends))
    _tried(lambda: decoder.walk(arch, data, base, starts, starts[:0], starts[:0]))
    _tried(lambda: decoder.walk(arch, data, base, starts, starts[:2], ends[:2]))


def _tried(call: Callable[[], object]) -> None:
    """Ranges that make no sense are the caller's mistake: a ValueError is its answer."""
    try:
        call()
    except (ValueError, OverflowError):
        return


def _places(content: bytes) -> list[tuple[int, int]]:
    elf = Elf(content)
    table = int.from_bytes(content[40:48], "little")
    kept = (".eh_frame", ".eh_frame_hdr", ".dynsym", ".rela.dyn", ".dynamic", ".text", ".gnu")
    found = [(s.offset, s.offset + s.size) for s in elf.sections if s.name.startswith(kept)]
    return [(0, HEADER), (HEADER, HEADER + 56 * 12), (table, len(content)), *found]


def _changed(content: bytes, rng: random.Random, places: list[tuple[int, int]]) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        low, high = rng.choice(places)
        high = min(high, len(data))
        if low < high:
            place = rng.randrange(low, high)
            data[place] = rng.choice(
                (*ODD, data[place] ^ 1 << rng.randrange(8), rng.randrange(256))
            )
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.05 else data)


def _sanitized(options: argparse.Namespace) -> int:
    """Run again on a copy of the package whose extension is built with the sanitizers."""
    package = Path(uplift.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "uplift"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        _build(copy / "isa")
        command = [sys.executable, "-m", "bench.isa_fuzz", *options.files]
        command += ["--count", str(options.count), "--seed", str(options.seed)]
        library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
        env = os.environ | {
            "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parent.parent}",
            "LD_PRELOAD": library,
            "ASAN_OPTIONS": "detect_leaks=0",
        }
        return subprocess.run(command, env=env, check=False).returncode


def _build(room: Path) -> None:
    name = f"_decode{sysconfig.get_config_var('EXT_SUFFIX')}"
    data_crc = f"-DUPLIFT_DATA_CRC={decoder._data_crc()}u"
    include = f"-I{sysconfig.get_paths()['include']}"
    sources = sorted(map(str, (room / "native").glob("*.c")))
    command = ["gcc", "-shared", *FLAGS, data_crc, include, *sources, "-o", str(room / name)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
