"""Hunks of a patch and the function that git says each stands in. Reading is pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uplift.lab.git import Workspace

_DIFF = (
    "diff-tree",
    "--stdin",
    "-p",
    "-r",
    "--root",
    "-U0",
    "-M",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
)
_MOST = 200  #: lines of a hunk that are compared; a longer one is left out
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HEAD = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@ ?(.*)")
_TELLING = 12  #: letters and digits of a hunk that can be told from others


@dataclass(frozen=True)
class Hunk:
    """Neighbouring changed lines.

    :param path: of the file before the change.
    :param function: the heading that git's rules find above them, empty where there is none.
    :param start: the first line of the old file that goes, or after which something comes, from 1.
    :param gone: how many lines go.
    """

    path: str
    function: str
    lines: tuple[str, ...]
    start: int = 0
    gone: int = 0

    @property
    def removed(self) -> tuple[str, ...]:
        """The lines that go, their spaces levelled."""
        return tuple(line[1:] for line in self.lines if line.startswith("-"))

    @property
    def telling(self) -> bool:
        """Whether it has enough letters to be recognised."""
        return sum(map(str.isalnum, "".join(self.lines))) >= _TELLING


def hunks_of(workspace: Workspace, shas: Sequence[str]) -> dict[str, tuple[Hunk, ...]]:
    """Return the hunks of commits, without the lines around them; one git makes the patches."""
    feed = [f"{sha}\n".encode() for sha in dict.fromkeys(shas)]
    found: dict[str, list[Hunk]] = {}
    with workspace.stream(*_DIFF, feed=feed) as patches:
        text = (line.decode("utf-8", "replace").rstrip("\n") for line in patches.stdout)
        for sha, hunk in read_hunks(text):
            found.setdefault(sha, []).append(hunk)
    return {sha: tuple(hunks) for sha, hunks in found.items()}


def read_hunks(lines: Iterable[str]) -> Iterator[tuple[str, Hunk]]:
    """Read the hunks of patches in git's format, each with the sha that stands above it."""
    sha, path, left, hunk = "", "", 0, Hunk("", "", ())
    for line in lines:
        head = _HEAD.match(line) if not left else None
        if head:
            gone = int(head[2] or 1)
            left = gone + int(head[3] or 1)
            hunk = Hunk(path, head[4].strip(), (), int(head[1]), gone)
        elif left and line.startswith(("+", "-")):
            left -= 1
            levelled = line[0] + " ".join(line[1:].split())
            if len(hunk.lines) < _MOST:
                hunk = replace(hunk, lines=(*hunk.lines, levelled))
            if not left and len(hunk.lines) < _MOST:
                yield sha, hunk
        elif line.startswith("--- ") and not left:
            path = line[4:].removeprefix("a/").strip()
        elif _SHA.fullmatch(line):
            sha = line


def moved(upstream: Iterable[Hunk], carried: Iterable[Hunk]) -> Iterator[tuple[Hunk, Hunk]]:
    """Yield hunks with the same lines, in the same file, that stand in different functions."""
    mine, theirs = _grouped(upstream), _grouped(carried)
    for key, hunks in theirs.items():
        others = mine.get(key, [])
        if len(others) != len(hunks):  # a part is missing or came twice: nothing is certain
            continue
        here, there = ({name_of(hunk.function) for hunk in group} for group in (hunks, others))
        gone = [hunk for hunk in others if name_of(hunk.function) not in here]
        new = [hunk for hunk in hunks if name_of(hunk.function) not in there]
        if "" not in here | there:
            yield from zip(gone, new, strict=False)


def _grouped(hunks: Iterable[Hunk]) -> dict[tuple[str, tuple[str, ...]], list[Hunk]]:
    found: dict[tuple[str, tuple[str, ...]], list[Hunk]] = {}
    for hunk in hunks:
        if hunk.telling:
            found.setdefault((hunk.path, hunk.lines), []).append(hunk)
    return found


def belongs(hunk: Hunk, before: Sequence[str], target: Sequence[str]) -> bool:
    """Whether ``target`` has, in the function of the same heading, what ``hunk`` changes.

    :param before: the lines of the file that the hunk was made for.
    :param target: the lines of the file that it is carried to.
    """
    body = {_levelled(line) for line in _body(hunk.function, target)}
    if hunk.removed:
        return body.issuperset(line for line in hunk.removed if _tells(line))
    around = [*before[max(0, hunk.start - 3) : hunk.start], *before[hunk.start : hunk.start + 3]]
    telling = [line for line in map(_levelled, around) if _tells(line)]
    return len(telling) >= 2 and body.issuperset(telling)


def _body(heading: str, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines from a function's heading to the brace or the heading that ends it."""
    for number, line in enumerate(lines):
        if line.startswith(heading) and not line.rstrip().endswith((";", "\\")):
            ends = (n for n, text in enumerate(lines[number + 1 :], number + 1) if text[:1] == "}")
            return lines[number : next(ends, len(lines))]
    return ()


def _levelled(line: str) -> str:
    return " ".join(line.split())


def _tells(line: str) -> bool:
    return sum(map(str.isalnum, line)) >= 4


_NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")
_NO_NAME = frozenset({"if", "for", "while", "switch", "return", "sizeof", "defined"})


def name_of(heading: str) -> str:
    """Return the name of the function in a hunk's heading, empty where it is no function's."""
    called = [name for name in _NAME.findall(heading) if name not in _NO_NAME]
    return str(called[0]) if called and heading[:1].isidentifier() else ""
