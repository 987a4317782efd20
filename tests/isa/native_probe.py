"""The native decoders, built alone with sanitizers, beside the NumPy fallbacks."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import uplift
from uplift.isa.range_rows import BAD_ROW, EXTENT, REFERENCE, ROW

NATIVE = Path(uplift.__file__).parent / "isa" / "native"
FLAGS = ["-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
Lines = dict[str, list[tuple[int, ...]]]


def build(folder: Path) -> Path:
    """Compile the probe; skips the test where that is not possible."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    program = folder / "native_probe"
    decoders = [NATIVE / f"{name}.c" for name in ("x86", "aarch64", "riscv")]
    sources = [Path(__file__).with_suffix(".c"), *decoders]
    command = [compiler, *FLAGS, "-I", NATIVE, *sources, "-o", program]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "sanitize" in built.stderr or "asan" in built.stderr:
        pytest.skip("the C compiler has no sanitizers")
    assert not built.returncode, built.stderr
    return program


def native(probe: Path, arch: str, code: bytes, base: int, seeds: list[int]) -> Lines:
    """What the native decoder prints of ``code``."""
    file = probe.with_name("code")
    file.write_bytes(code)
    command = [probe, arch, file, str(base), *map(str, seeds)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    lines: Lines = defaultdict(list)
    for line in ran.stdout.splitlines():
        word, *numbers = line.split()
        lines[word].append(tuple(map(int, numbers)))
    return lines


def fallback(module: ModuleType, code: bytes, base: int, seeds: list[int]) -> Lines:
    """What the fallback finds, in the same form."""
    start, end, none = np.array([base]), np.array([base + len(code)]), np.array([], np.int64)
    rows, bad, decoded = module.classify(code, base, start, end)
    places = [(int(b["first"]), int(b["count"])) for b in np.frombuffer(bad, BAD_ROW)]
    found = np.frombuffer(module.references(code, base, start, end), REFERENCE)
    walked, extents, targets = module.walk(code, base, np.array(seeds), none, none)
    return {
        "row": _numbers(rows, ROW, "class", "first", "count"),
        "bad": places or [(0, 0)],
        "decoded": [(decoded,)],
        "length": [(n,) for n in module.lengths(code)],
        "reference": _numbers(found.tobytes(), REFERENCE, "kind", "at", "target"),
        "extent": _numbers(extents, EXTENT, "start", "end"),
        "walked": _numbers(walked, ROW, "range", "class", "first", "count"),
        "target": [(t,) for t in np.frombuffer(targets, np.int64).tolist()],
    }


def _numbers(records: bytes, kind: np.dtype, *names: str) -> list[tuple[int, ...]]:
    array = np.frombuffer(records, kind)
    return list(zip(*(array[n].tolist() for n in names), strict=True))


def walked(lines: Lines) -> list[tuple[int, ...]]:
    """The native walk's hits as rows: extent, class, first, how many."""
    rows: dict[tuple[int, int], list[int]] = {}
    for extent, group, at in lines.get("hit", []):
        rows.setdefault((extent, group), []).append(at)
    return [(e, g, hits[0], len(hits)) for (e, g), hits in rows.items()]


def assert_same(probe: Path, module: ModuleType, arch: str, code: bytes, base: int) -> None:
    """Native and fallback agree on everything that one piece of code holds."""
    seeds = list(range(base, base + len(code), 52))
    theirs, ours = native(probe, arch, code, base, seeds), fallback(module, code, base, seeds)
    for word in ("bad", "decoded", "length", "reference", "extent"):
        assert theirs.get(word, []) == ours[word], word
    assert sorted(theirs.get("row", [])) == sorted(ours["row"])
    assert walked(theirs) == ours["walked"]
    assert sorted(set(theirs.get("target", []))) == ours["target"]
