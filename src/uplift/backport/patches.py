"""What commits change: git's stable patch-id, and the changed lines without their places.

One ``git diff-tree -p`` makes the patches of many commits. The patch-id is that of
git-patch-id(1): of each file its header and lines without white space, line numbers and object
names left out; the files' sums are added, so that their order is no matter (``builtin/patch-id.c``
of git 2.39). It differs only for files without a text patch: a binary one counts by its objects,
and each file by itself.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from zlib import crc32

from uplift.backport.function_names import MOST, functions_in
from uplift.lab.git import Workspace
from uplift.lab.process import Pipe

MAX_FILE = 16 << 20  #: bytes of the patch of one file; of a larger one no line is kept
_PIECE = 1 << 18
_DIFF = (
    "-c",
    "core.quotePath=true",  # as git's users have it: names are part of the patch-id
    "diff-tree",
    "--stdin",
    "--always",
    "-p",
    "-r",
    "--root",
    "-U3",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--full-index",
    "--no-color",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_SPACE = b" \t\n\r"
_LEVELLED = b" \t\n\r\v\f"
_BORDER = re.compile(rb"^(?:diff --git |[0-9a-f]{40}(?:[0-9a-f]{24})?$)", re.MULTILINE)
_LEFT_OUT = re.compile(rb"^(?:@@ -|\\ |index )[^\n]*\n", re.MULTILINE)
_OBJECTS = re.compile(rb"^index ([0-9a-f]+)\.\.([0-9a-f]+)", re.MULTILINE)
_MODE = re.compile(rb"^(new|old|deleted)( file)? mode (\d+)$", re.MULTILINE)
_CHANGED = re.compile(rb"^[+-][^\n]*", re.MULTILINE)
_ADDED = re.compile(rb"^\+[^\n]*", re.MULTILINE)
_NEW_NAME = re.compile(rb'^\+\+\+ b/([^"\n]+?)\t?$', re.MULTILINE)
_OLD_NAME = re.compile(rb'^--- a/([^"\n]+?)\t?$', re.MULTILINE)
_TELLING = re.compile(rb"[0-9A-Za-z\x80-\xff]")


@dataclass(frozen=True)
class Patch:
    """What one commit changes.

    :param patch_id: 40 (or 64) hexadecimal digits; empty for a merge or an empty commit.
    :param lines: packed numbers of the changed lines, their white space left out; the lowest bit is
        set for an added one. Lines without a letter or digit do not count.
    """

    sha: str
    patch_id: str
    lines: bytes

    @cached_property
    def counted(self) -> Counter[int]:
        """How often each line occurs."""
        return Counter(array("I", self.lines))

    @cached_property
    def total(self) -> int:
        """How many lines count."""
        return len(self.lines) // 4

    @cached_property
    def inverse(self) -> Counter[int]:
        """The lines of the commit that takes this one back."""
        return Counter({line ^ 1: count for line, count in self.counted.items()})

    def similarity(self, other: Patch) -> float:
        """Return the share of lines that both have, of the larger of the two: 0 to 1."""
        if self.patch_id and self.patch_id == other.patch_id:
            return 1.0
        larger = max(self.total, other.total)
        return _common(self.counted, other.counted) / larger if larger else 0.0

    def covered_by(self, other: Patch) -> float:
        """Return the share of this change's lines that ``other`` has too: 0 to 1."""
        return _common(self.counted, other.counted) / self.total if self.total else 0.0

    def undone_by(self, other: Patch) -> float:
        """Return the share of this change's lines that ``other`` takes back: 0 to 1."""
        return _common(self.inverse, other.counted) / self.total if self.total else 0.0


def _common(mine: Counter[int], theirs: Counter[int]) -> int:
    small, large = sorted((mine, theirs), key=len)
    return sum(min(count, large[line]) for line, count in small.items() if line in large)


def read_patches(workspace: Workspace, shas: Sequence[str]) -> Iterator[Patch]:
    """Yield what each of ``shas`` changes; one that git cannot make is left out.

    Git ends at an object that is missing: it is started again behind it.
    """
    for sha, sections in _read(workspace, shas, _Made):
        if not sections.cut_short:
            yield Patch(sha, sections.patch_id(), sections.lines.tobytes())


def changed_lines(workspace: Workspace, shas: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the changed lines of commits as text, ``+`` or ``-`` first, for a person to read."""
    return {sha: tuple(shown.lines) for sha, shown in _read(workspace, shas, _Shown)}


def file_lines(
    workspace: Workspace, shas: Sequence[str]
) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """Yield of each commit the changed lines of its files as text, ``+`` or ``-`` first.

    A file that goes, or whose name git has to quote, is left out.
    """
    for sha, shown in _read(workspace, shas, _ShownByFile):
        yield sha, shown.files


def changed_functions(
    workspace: Workspace, shas: Sequence[str]
) -> Iterator[tuple[str, dict[bytes, set[str]]]]:
    """Yield of each commit the functions that it changes, by path; one that git cannot make is out.

    Of a file that goes, its old path; a name that git has to quote is left out.
    """
    for sha, functions in _read(workspace, shas, _Functions):
        yield sha, functions.files


def added_lines(
    workspace: Workspace, shas: Sequence[str]
) -> Iterator[tuple[str, dict[bytes, tuple[bytes, ...]]]]:
    """Yield of each commit the lines that each of its files gains, white space left out."""
    for sha, files in _read(workspace, shas, _Files):
        yield sha, files.added


def levelled(text: bytes) -> frozenset[bytes]:
    """Return the lines of ``text`` without white space."""
    return frozenset(text.translate(None, b" \t\r\v\f").split(b"\n"))


class _Made:
    """Takes the sections of one commit's patch, one for each file, and keeps only numbers."""

    def __init__(self) -> None:
        self.lines = array("I")
        self.cut_short = False
        self._sum = 0
        self._any = False

    def take(self, section: bytes) -> None:
        """Add one file."""
        head, hunks = _parts(section)
        digest = hashlib.sha1(_hashed(section, head), usedforsecurity=False).digest()
        self._sum = _added(self._sum, digest)
        self._any = True
        self._count(_CHANGED.findall(hunks))
        self._note_header(head)

    def patch_id(self) -> str:
        """Return the sum of the files, as git prints it."""
        return self._sum.to_bytes(20, "little").hex() if self._any else ""

    def _count(self, changed: Iterable[bytes]) -> None:
        for line in changed:
            text = line[1:].translate(None, _LEVELLED)
            if _TELLING.search(text):
                self.lines.append(crc32(text) & ~1 | (line[:1] == b"+"))

    def _note_header(self, head: bytes) -> None:
        """Count modes and the objects of binary files as lines: nothing else tells of them."""
        name = head.partition(b"\n")[0].rpartition(b" b/")[2]
        if b"\n--- " in head:
            found = [pair for pair in _MODE.findall(head) if not pair[1]]
        else:
            found = _MODE.findall(head)
        self._count((b"+" if kind == b"new" else b"-") + mode + name for kind, _, mode in found)
        if b"\nBinary files " in head and (objects := _OBJECTS.search(head)):
            self._count((b"-" + objects[1], b"+" + objects[2]))


def _parts(section: bytes) -> tuple[bytes, bytes]:
    """Split one file's patch into its header and its hunks."""
    at = section.find(b"\n@@ ") + 1
    return (section[:at], section[at:]) if at else (section, b"")


def _hashed(section: bytes, head: bytes) -> bytes:
    """Return what git hashes of one file: of a binary one, which objects it was and becomes."""
    if b"\nBinary files " in head:
        objects = _OBJECTS.search(head)
        kept = head.partition(b"\nindex ")[0] + (objects[1] + objects[2] if objects else b"")
        return kept.translate(None, _SPACE)
    return _LEFT_OUT.sub(b"", section).translate(None, _SPACE)


def _added(total: int, digest: bytes) -> int:
    """Add as git does: little-endian, what runs over is lost."""
    return (total + int.from_bytes(digest, "little")) & ((1 << 160) - 1)


class _Shown:
    """Takes the sections of one commit's patch and keeps the changed lines as text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cut_short = False

    def take(self, section: bytes) -> None:
        """Add one file."""
        self.lines += _changed_text(_parts(section)[1])


class _ShownByFile:
    """Takes the sections of one commit's patch and keeps the changed lines of each file."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, ...]] = {}
        self.cut_short = False

    def take(self, section: bytes) -> None:
        """Add one file."""
        head, hunks = _parts(section)
        named = _NEW_NAME.search(head)
        if named and hunks:
            path = named[1].decode("utf-8", "surrogateescape")
            self.files[path] = tuple(_changed_text(hunks))


def _changed_text(hunks: bytes) -> Iterator[str]:
    for line in _CHANGED.findall(hunks):
        yield line.decode("utf-8", "replace").rstrip("\r")


class _Functions:
    """Takes the sections of one commit's patch and keeps the names of what is changed."""

    def __init__(self) -> None:
        self.files: dict[bytes, set[str]] = {}
        self.cut_short = False

    def take(self, section: bytes) -> None:
        """Add one file."""
        head, hunks = _parts(section)
        named = _NEW_NAME.search(head) or _OLD_NAME.search(head)
        found = functions_in(hunks) if named else set()
        if named and found:
            self.files[named[1]] = set(sorted(found)[:MOST])


class _Files:
    """Takes the sections of one commit's patch and keeps what each file is to gain."""

    def __init__(self) -> None:
        self.added: dict[bytes, tuple[bytes, ...]] = {}
        self.cut_short = False

    def take(self, section: bytes) -> None:
        """Add one file; of one that only loses lines, or is binary, nothing is said."""
        head, hunks = _parts(section)
        named = _NEW_NAME.search(head)
        if named and hunks:
            lines = (line[1:].translate(None, _LEVELLED) for line in _ADDED.findall(hunks))
            self.added[named[1]] = tuple(line for line in lines if _TELLING.search(line))


_Taken = TypeVar("_Taken", _Made, _Shown, _ShownByFile, _Functions, _Files)


def _read(
    workspace: Workspace, shas: Sequence[str], kind: Callable[[], _Taken]
) -> Iterator[tuple[str, _Taken]]:
    left = list(shas)
    while left:
        done, whole = 0, False
        with _patches(workspace, left) as diff:
            held: tuple[str, _Taken] | None = None
            for found in _taken(diff, kind):
                if held:
                    done += 1
                    yield held
                held = found
            whole = not diff.finish()
        if whole:
            if held:
                yield held
            return
        # the last one may be cut short, and git may have died of it or of the next
        for sha in left[done : done + 2]:
            yield from _read_one(workspace, sha, kind)
        left = left[done + 2 :]


def _read_one(
    workspace: Workspace, sha: str, kind: Callable[[], _Taken]
) -> Iterator[tuple[str, _Taken]]:
    with _patches(workspace, [sha]) as diff:
        found = list(_taken(diff, kind))
        if not diff.finish():
            yield from found


def _patches(workspace: Workspace, shas: Sequence[str]) -> AbstractContextManager[Pipe]:
    return workspace.stream(*_DIFF, feed=[f"{sha}\n".encode() for sha in shas])


def _taken(diff: Pipe, kind: Callable[[], _Taken]) -> Iterator[tuple[str, _Taken]]:
    held: tuple[str, _Taken] | None = None
    for section, whole in _sections(diff):
        if not section.startswith(b"diff "):
            if held:
                yield held
            held = section.decode("ascii").strip(), kind()
        elif held and whole:
            held[1].take(section)
        elif held:
            held[1].cut_short = True
    if held:
        yield held


def _sections(diff: Pipe) -> Iterator[tuple[bytes, bool]]:
    """Yield the line that names a commit, and each file's patch; False where it was too large."""
    kept, scanned, whole = b"", 0, True
    while piece := diff.stdout.read1(_PIECE):  # type: ignore[attr-defined]
        kept += piece
        end = kept.rfind(b"\n") + 1  # a line that is not all there is no border yet
        borders = [found.start() for found in _BORDER.finditer(kept, scanned, end)]
        start = 0
        for border in borders:
            if border:
                yield kept[start:border], whole
                start, whole = border, True
        kept = kept[start:]
        scanned = max(1, end - start)
        if len(kept) > MAX_FILE:
            kept, scanned, whole = kept[:64] + kept[end - start :], 64, False
    if kept:
        yield kept, whole
