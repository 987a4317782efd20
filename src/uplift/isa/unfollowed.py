"""Functions that ask about features where the flow of code is not followed: AArch64 and RISC-V.

What such a function holds or leads to may be behind its test, or not: it is in doubt. Known are
the atomics that compilers keep out of line: they read one byte that libgcc and compiler-rt fill
from the kernel's hints, and branch over the instruction. Source of the form: libgcc
``config/aarch64/lse.S`` (GCC 10 to 14), compiler-rt ``lib/builtins/aarch64/lse.S`` (LLVM 12 to 18).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from uplift.isa.elf import Ints
from uplift.isa.flow import Outcome
from uplift.isa.program import Program
from uplift.isa.reachability import Edges

_HAVE_LSE = "__aarch64_have_lse_atomics"
_LARGEST = 64  #: bytes of an atomic out of line
_BTI = 0xD503245F
#: adrp x16; ldrb w16, [x16, …]; cbz w16: mask and value.
_TEST = ((0x9F00001F, 0x90000010), (0xFFC003FF, 0x39400210), (0xFF00001F, 0x34000010))


def outcomes(program: Program) -> Mapping[int, Outcome]:
    """Return what is known of the functions that ask about features."""
    found = {number: _in_doubt(program, number) for number in _asking(program)}
    if program.places.elf.arch == "aarch64":
        found.update(_atomics(program))
    return found


def edges(program: Program) -> Edges:
    """Return the edges of code; those of functions that ask are no calls for sure."""
    every = program.places.code_edges
    doubtful = np.isin(every.source, np.array(sorted(_asking(program)), np.int64))
    kept = Edges(every.source, every.target, every.by_code & ~doubtful)
    return kept.without(program.places.silent)


def _asking(program: Program) -> frozenset[int]:
    return program.asking | program.touching_names


def _bounds(program: Program, number: int) -> tuple[int, int]:
    return int(program.found.start[number]), int(program.found.end[number])


def _in_doubt(program: Program, number: int) -> Outcome:
    return Outcome(reached={_bounds(program, number)}, asked=True)


def _atomics(program: Program) -> Iterator[tuple[int, Outcome]]:
    size = program.found.end - program.found.start
    for number in np.flatnonzero((size >= 24) & (size <= _LARGEST)).tolist():
        guarded = _guarded(program, number)
        if guarded:
            start, end = _bounds(program, number)
            reached = {(start, guarded), (guarded + 8, end)}
            yield number, Outcome(reached=reached, certain=set(reached), guards={_HAVE_LSE})


def _guarded(program: Program, number: int) -> int:
    """Return where the one guarded instruction of an atomic stands; 0 for another function."""
    start, end = _bounds(program, number)
    part = next((p for p in program.code if p.base <= start and end <= p.end), None)
    if part is None:
        return 0
    raw = part.raw[start - part.base : end - part.base]
    words: Ints = np.frombuffer(raw[: len(raw) // 4 * 4], "<u4").astype(np.int64)
    first = 1 if words[0] == _BTI else 0
    if any(words[first + i] & mask != value for i, (mask, value) in enumerate(_TEST)):
        return 0
    distance = int(words[first + 2]) >> 5 & 0x7FFFF
    return start + 4 * (first + 3) if distance == 3 else 0
