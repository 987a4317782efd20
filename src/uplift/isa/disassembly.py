"""Instructions as text, for people to read: by capstone where it is there, else by class.

Lengths and instruction sets are always the decoder's own; capstone only words what it knows.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np

from uplift.isa import decoder
from uplift.isa.elf import Ints
from uplift.isa.functions import BASE
from uplift.isa.range_rows import ROW

_FILES = {"x86-64": "x86", "aarch64": "aarch64", "riscv64": "riscv"}
_STEP = {"x86-64": 1, "aarch64": 4, "riscv64": 2}
MAX_CODE = 1 << 20

Worder = Callable[[bytes, int], str]


@dataclass(frozen=True)
class Line:
    """One instruction.

    :param text: empty where nothing but its bytes is known.
    :param sets: what it needs above the base, joined by ``+``; ``base``; or empty: undecodable.
    :param benign: it does no harm where its set is missing.
    """

    address: int
    raw: bytes
    text: str
    sets: str
    benign: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is above the base and fails where its set is missing."""
        return self.sets not in ("", BASE) and not self.benign


@dataclass(frozen=True)
class _Class:
    sets: str
    instruction: str
    benign: bool


@lru_cache(maxsize=4)
def _classes(arch: str) -> tuple[_Class, ...]:
    path = files("uplift.isa") / "data" / f"{_FILES[arch]}-classes.csv"
    lines = (line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    rows = sorted(csv.DictReader(lines), key=lambda row: int(row["id"]))
    return tuple(
        _Class(row["set"], row["instruction"], row["benign"] not in ("", "0")) for row in rows
    )


def disassemble(arch: str, code: bytes, base: int) -> tuple[Line, ...]:
    """Return the instructions of ``code`` in a row; ``base`` is the address of its first byte.

    Bytes that are no instruction make lines of the architecture's least length.
    """
    code = code[:MAX_CODE]
    sizes = decoder.lengths(arch, code)
    starts, ends = _bounds(arch, sizes, base, len(code))
    packed, _, _ = decoder.classify(arch, code, base, starts, ends)
    table = _classes(arch)
    known = {int(row["range"]): table[int(row["class"])] for row in np.frombuffer(packed, ROW)}
    worded = worder(arch)
    lines = []
    for number, size in enumerate(sizes):
        start, end = int(starts[number]), int(ends[number])
        raw = code[start - base : end - base]
        if size:
            lines.append(_line(start, raw, worded, known.get(number, table[0])))
        else:
            lines.append(Line(start, raw, "", ""))
    return tuple(lines)


def _line(address: int, raw: bytes, worded: Worder, known: _Class) -> Line:
    benign = known.benign and known.sets != BASE
    return Line(address, raw, worded(raw, address) or known.instruction, known.sets, benign)


def _bounds(arch: str, sizes: bytes, base: int, length: int) -> tuple[Ints, Ints]:
    found = np.frombuffer(sizes, np.uint8).astype(np.int64)
    ends = base + np.cumsum(np.where(found == 0, _STEP[arch], found))
    starts = np.concatenate([np.array([base], np.int64), ends])[: len(ends)]
    return starts, np.minimum(ends, base + length)


def worder(arch: str) -> Worder:
    """Return what words an instruction; it answers nothing where capstone is not there."""
    engine = _capstone(arch)
    if engine is None:
        return lambda raw, address: ""

    def word(raw: bytes, address: int) -> str:
        for _, size, mnemonic, operands in engine.disasm_lite(raw, address, 1):
            if size == len(raw):
                return f"{mnemonic} {operands}".strip()
        return ""

    return word


@lru_cache(maxsize=4)
def _capstone(arch: str) -> Any:
    try:
        capstone = import_module("capstone")
    except ImportError:
        return None
    wanted = {
        "x86-64": ("CS_ARCH_X86", "CS_MODE_64"),
        "aarch64": ("CS_ARCH_ARM64", "CS_MODE_ARM"),
        "riscv64": ("CS_ARCH_RISCV", "CS_MODE_RISCV64"),
    }[arch]
    number, mode = (getattr(capstone, name, None) for name in wanted)
    if number is None or mode is None:
        return None
    if arch == "riscv64":
        mode |= getattr(capstone, "CS_MODE_RISCVC", 0)
    try:
        return capstone.Cs(number, mode)
    except capstone.CsError:
        return None


def words_by(arch: str) -> str:
    """Return what words instructions: ``capstone 5.0`` or ``class names``."""
    if _capstone(arch) is None:
        return "class names"
    version = import_module("capstone").cs_version()
    return f"capstone {version[0]}.{version[1]}"
