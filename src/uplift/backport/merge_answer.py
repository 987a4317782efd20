"""What ``git merge-tree --write-tree -z --stdin`` answers, as values. Pure.

The format is git-merge-tree(1), OUTPUT: messages come with conflicts only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_CONFLICT = b"CONFLICT ("


@dataclass(frozen=True)
class Clash:
    """One path that git left unmerged.

    :param kind: as git's message types have it: ``contents``, ``modify/delete``, ``binary``…
    """

    path: str
    kind: str


@dataclass(frozen=True)
class MergeAnswer:
    """One merge: the tree git wrote, with conflict markers in it where it is not clean."""

    clean: bool
    tree: str
    clashes: tuple[Clash, ...]


class UnreadableAnswer(ValueError):
    """Git wrote something else than its manual says."""


def read_answers(output: bytes) -> Iterator[MergeAnswer]:
    """Read the answers of ``--stdin``, one after the other.

    :raises UnreadableAnswer: the output is cut off or of another form.
    """
    fields = iter(output.split(b"\0")[:-1])
    for status in fields:
        if status not in (b"0", b"1"):
            raise UnreadableAnswer(f"a merge's status is {status[:20]!r}")
        yield _read_one(fields, status == b"1")


def _read_one(fields: Iterator[bytes], clean: bool) -> MergeAnswer:
    tree = _next(fields).decode("ascii", "replace")
    paths = dict.fromkeys(_stage_path(stage) for stage in _until_empty(fields))
    if clean:
        return MergeAnswer(True, tree, ())
    kinds = dict(_kinds(fields))
    clashes = (Clash(_text(path), kinds.get(path, "contents")) for path in paths or kinds)
    return MergeAnswer(False, tree, tuple(clashes))


def _stage_path(stage: bytes) -> bytes:
    return stage.partition(b"\t")[2]


def _kinds(fields: Iterator[bytes]) -> Iterator[tuple[bytes, str]]:
    """Give path and kind of the conflicts that the messages tell, the last of a path first."""
    found: list[tuple[bytes, str]] = []
    for count in _until_empty(fields):
        if not count.isdigit():  # git's advice on submodules, written into the stream: 2.39 does so
            break
        paths = [_next(fields) for _ in range(int(count))]
        kind = _next(fields)
        _next(fields)  # the sentence, which is for people
        if kind.startswith(_CONFLICT):
            short = kind[len(_CONFLICT) :].rstrip(b")").decode("ascii", "replace")
            found += [(path, short) for path in paths]
    return reversed(found)


def _until_empty(fields: Iterator[bytes]) -> Iterator[bytes]:
    while field := _next(fields):
        yield field


def _next(fields: Iterator[bytes]) -> bytes:
    try:
        return next(fields)
    except StopIteration:
        raise UnreadableAnswer("it ends in the middle") from None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
