"""Code that nothing declares: followed from what leads there until nothing new leads on.

What is followed may be data all the same: tables of constants lie among code, and code takes their
addresses. It is not code where it jumps to a place that holds none, or into an instruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from uplift.isa import decoder, functions
from uplift.isa.elf import RELOCATABLE, Elf, Ints
from uplift.isa.functions import WALKED, Part, Ranges, References, ranges
from uplift.isa.range_rows import ADDRESS, BRANCH, CALL, JUMP
from uplift.isa.symbols import Names

Bools = npt.NDArray[np.bool_]
_ROUNDS = 16  #: an address that code takes leads to code that takes another
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_LOCK = 0xF0


def explored(
    elf: Elf, names: Names, code: Sequence[Part], declared: Ranges, refs: References
) -> Ranges:
    """Return the code between declared functions that calls, jumps and taken addresses lead to.

    :param refs: what the declared functions refer to.
    """
    given = functions.seeds(elf, names, elf.pointers, refs, declared)
    known = _followed(elf, code, declared, given)
    landing = _landing_places(elf, code, known)
    if len(landing):
        known = _followed(elf, code, known, landing)
    found = known.origin == WALKED
    return ranges(known.start[found], known.end[found], WALKED)


def _followed(elf: Elf, code: Sequence[Part], known: Ranges, seeds: Ints) -> Ranges:
    bounds = _Bounds(code, known)
    for _ in range(_ROUNDS):
        walked, _ = functions.follow(elf.arch, code, known, seeds)
        refs = functions.references(elf.arch, code, walked)
        if elf.kind != RELOCATABLE:
            kept = _consistent(elf.arch, bounds, walked, refs)
            refs = _within(refs, walked, kept)
            walked = ranges(walked.start[kept], walked.end[kept], WALKED)
        walked = _cut(walked, refs.target[refs.kind == CALL])
        if not len(walked):
            break
        known = known.joined(walked)
        taken = np.unique(refs.target[refs.kind == ADDRESS])
        seeds = taken[known.index(taken) < 0]
    return known


def _cut(walked: Ranges, called: Ints) -> Ranges:
    """Cut what runs into a function behind a call that never returns: that one is called, too."""
    number = walked.index(called)
    inside = (number >= 0) & (walked.start[np.maximum(number, 0)] != called)
    cuts = np.unique(called[inside])
    start = np.sort(np.concatenate([walked.start, cuts]))
    end = np.sort(np.concatenate([walked.end, cuts]))
    return ranges(start, end, WALKED)


def _within(refs: References, walked: Ranges, kept: Bools) -> References:
    there = kept[walked.index(refs.at)]
    return References(refs.at[there], refs.kind[there], refs.target[there])


def _landing_places(elf: Elf, code: Sequence[Part], known: Ranges) -> Ints:
    """Return where ENDBR64 stands in what is not known: indirect calls land nowhere else.

    Intel SDM vol. 1, 17.3.1: the instruction is a no-operation that marks where they may.
    """
    if elf.arch != "x86-64":
        return np.empty(0, np.int64)
    found = [place for part in code if not part.is_linkage for place in _places(part, _ENDBR64)]
    places = np.array(found, np.int64)
    return places[known.index(places) < 0]


def _places(part: Part, pattern: bytes) -> Iterator[int]:
    raw = bytes(part.raw)
    at = raw.find(pattern)
    while at >= 0:
        yield part.base + at
        at = raw.find(pattern, at + 1)


def _consistent(arch: str, bounds: _Bounds, walked: Ranges, refs: References) -> Bools:
    """Say which pieces lead only to where code is; what must go on in a piece that does not falls
    with it.
    """
    flow = np.isin(refs.kind, (CALL, JUMP, BRANCH)) & (refs.target != 0)
    target = refs.target[flow]
    source = walked.index(refs.at[flow])
    wrong = bounds.nowhere(target)
    if arch == "x86-64":
        wrong |= bounds.inside_instruction(target)
    kept = np.ones(len(walked), np.bool_)
    kept[source[wrong]] = False
    jump = refs.kind[flow] == JUMP
    onto, start = walked.index(target[jump]), source[jump]
    start, onto = start[onto >= 0], onto[onto >= 0]
    while (falls := kept[start] & ~kept[onto]).any():
        kept[start[falls]] = False
    return kept


@dataclass
class _Bounds:
    """Where declared code is, and where its instructions start."""

    code: Sequence[Part]
    declared: Ranges
    starts: dict[int, Ints] = field(default_factory=dict)

    def nowhere(self, targets: Ints) -> Bools:
        """Say which addresses no executable part holds."""
        base = np.array([part.base for part in self.code], np.int64)
        end = np.array([part.end for part in self.code], np.int64)
        at = np.searchsorted(base, targets, side="right") - 1
        outside: Bools = (at < 0) | (targets >= end[at])
        return outside

    def inside_instruction(self, targets: Ints) -> Bools:
        """Say which addresses lie in an instruction of a declared function, behind its first byte.

        To jump over the prefix that locks the bus is usual.
        """
        number = self.declared.index(targets)
        wrong = np.zeros(len(targets), np.bool_)
        for row in np.flatnonzero(number >= 0).tolist():
            wrong[row] = self._is_inside(int(number[row]), int(targets[row]))
        return wrong

    def _is_inside(self, number: int, target: int) -> bool:
        starts = self._starts(number)
        at = int(np.searchsorted(starts, target, side="right")) - 1
        if at < 0 or starts[at] == target:
            return False
        part = next(p for p in self.code if p.base <= target < p.end)
        over_lock = starts[at] == target - 1 and part.raw[target - 1 - part.base] == _LOCK
        return not over_lock

    def _starts(self, number: int) -> Ints:
        """Return where a function's instructions start; nothing where some bytes are none."""
        if number not in self.starts:
            start, end = int(self.declared.start[number]), int(self.declared.end[number])
            part = next(p for p in self.code if p.base <= start < p.end)
            raw = part.raw[start - part.base : end - part.base]
            sizes = np.frombuffer(decoder.lengths("x86-64", raw), np.uint8).astype(np.int64)
            starts = start + np.concatenate([[0], np.cumsum(sizes)[:-1]])
            self.starts[number] = starts if sizes.all() else np.empty(0, np.int64)
        return self.starts[number]
