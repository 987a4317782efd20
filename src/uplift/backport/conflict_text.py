"""Conflicts as git marks them in a file with the base's lines (style diff3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_HEADING = re.compile(rb"[A-Za-z_$]")
_LONGEST = 2000  #: lines of one side of a region that are compared one by one


@dataclass(frozen=True)
class Region:
    """One place of a file where both sides changed the same lines.

    :param line: where it begins in the merged file, counting of other regions ours; from 1.
    :param heading: the last line before it that begins a function (git's default: a letter, ``_``
        or ``$`` first; gitattributes(5), "Defining a custom hunk-header").
    """

    ours: tuple[bytes, ...]
    base: tuple[bytes, ...]
    theirs: tuple[bytes, ...]
    line: int = 0
    heading: bytes = b""


@dataclass(frozen=True)
class Difference:
    """How a target differs from the base of a change.

    :param lacks: lines of the base that the target does not have.
    :param keeps: lines of the target that the base does not have.
    """

    lacks: tuple[bytes, ...]
    keeps: tuple[bytes, ...]


def regions(content: bytes, ours: str, theirs: str) -> Iterator[Region]:
    """Read the regions of a merged file; the markers carry the names of the two commits."""
    opening = re.compile(rb"<{7,} " + ours.encode() + rb"(?::.*)?\r?")
    closing = re.compile(rb">{7,} " + theirs.encode() + rb"(?::.*)?\r?")
    side: list[bytes] | None = None
    sides: list[list[bytes]] = []
    number, heading = 1, b""
    for line in content.split(b"\n"):
        if line.startswith(b"<<<<<<<") and opening.fullmatch(line):
            sides = [[], [], []]
            side = sides[0]
        elif side is None:
            number += 1
            heading = line if _HEADING.match(line) else heading
        elif line.startswith(b">>>>>>>") and closing.fullmatch(line):
            left, middle, right = map(tuple, sides)
            yield Region(left, middle, right, number, heading)
            number += len(sides[0])
            side = None
        elif side is sides[0] and line.startswith(b"|||||||"):
            side = sides[1]
        elif side is sides[1] and line.startswith(b"=======") and not line.strip(b"=\r"):
            side = sides[2]
        else:
            side.append(line)


def difference(region: Region) -> Difference:
    """Return what the target lacks and keeps in one region."""
    base, ours = region.base[:_LONGEST], region.ours[:_LONGEST]
    matcher = SequenceMatcher(None, base, ours, autojunk=False)
    lacks: list[bytes] = []
    keeps: list[bytes] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag != "equal":
            lacks += base[start:end]
            keeps += ours[other_start:other_end]
    return Difference(tuple(lacks), tuple(keeps))


def together(differences: Iterable[Difference]) -> Difference:
    """Join the differences of several regions."""
    found = list(differences)
    return Difference(
        tuple(line for one in found for line in one.lacks),
        tuple(line for one in found for line in one.keeps),
    )
