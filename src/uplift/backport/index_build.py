"""Read what is new in a workspace into its index: each commit object once, no patch at all.

Two git processes are fed the same list: ``cat-file --batch`` gives the commits, ``diff-tree`` the
paths they touch (trees only). What was read is kept every few thousand commits, so that an
interrupted build goes on where it was.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from uplift.backport.commit_text import message_of, read_commit
from uplift.backport.model import Commit, Reference
from uplift.backport.titles import plain_title
from uplift.backport.trailers import references
from uplift.lab.git import RepositoryError, Workspace
from uplift.lab.process import Pipe

Progress = Callable[[int, int], None]

_BATCH = 5000
_MAX_COMMIT = 4 << 20
_MAX_PATHS = 20_000  #: of one commit that are kept: beyond, it is an import, not a change
_MAX_HEADER = 4096
_SHA = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Read:
    """One commit and the paths it touches; ``paths`` is None where its trees are missing."""

    commit: Commit
    references: tuple[Reference, ...]
    paths: tuple[bytes, ...] | None


def update(
    workspace: Workspace, connection: sqlite3.Connection, progress: Progress | None = None
) -> int:
    """Bring the index up to date with every branch and tag; return how many commits were new.

    :param progress: called with how many commits were read and how many there are to read.
    :raises RepositoryError: git cannot list the commits.
    """
    tips = set(workspace.refs().values())
    seen = {tip for (tip,) in connection.execute("select tip from seen")}
    if tips == seen:
        return 0
    new = list(_unknown(connection, _new_commits(workspace, tips - seen, seen)))
    _read_all(workspace, connection, new, progress)
    with _transaction(connection):
        connection.execute("delete from seen")
        connection.executemany("insert into seen values (?)", [(tip,) for tip in tips])
    return len(new)


def _transaction(connection: sqlite3.Connection) -> _Transaction:
    return _Transaction(connection)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._connection.execute("commit" if kind is None else "rollback")


def _new_commits(workspace: Workspace, tips: set[str], seen: set[str]) -> Iterator[str]:
    wanted = "".join(chain((f"{tip}\n" for tip in tips), (f"^{tip}\n" for tip in seen)))
    options = ("rev-list", "--ignore-missing", "--topo-order", "--reverse", "--stdin")
    with workspace.stream(*options, feed=[wanted.encode()]) as listing:
        for line in listing.stdout:
            if _SHA.fullmatch(line.strip()):
                yield line.strip().decode()
        if listing.finish():
            raise RepositoryError(
                "cannot list the commits", listing.complaint, "check the repository: git fsck"
            )


def _unknown(connection: sqlite3.Connection, shas: Iterator[str]) -> Iterator[str]:
    """Leave out what an interrupted build has read already."""
    known = connection.execute("select 1 from commits limit 1").fetchone() is not None
    for sha in shas:
        if not known or not _has(connection, sha):
            yield sha


def _has(connection: sqlite3.Connection, sha: str) -> bool:
    return connection.execute("select 1 from commits where sha = ?", (sha,)).fetchone() is not None


def _read_all(
    workspace: Workspace,
    connection: sqlite3.Connection,
    new: list[str],
    progress: Progress | None,
) -> None:
    paths = dict(connection.execute("select name, id from path")) if new else {}
    done = 0
    for batch in _batches(_commits(workspace, new)):
        with _transaction(connection):
            for read in batch:
                _store(connection, read, paths)
        done += len(batch)
        if progress is not None:
            progress(min(done, len(new)), len(new))


def _batches(reads: Iterator[Read]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    for read in reads:
        batch.append(read)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _commits(workspace: Workspace, shas: list[str]) -> Iterator[Read]:
    """Read commits and their paths from two processes that go through one list."""
    diff = ("diff-tree", "--stdin", "-r", "--root", "--raw", "-z", "--no-renames", "--no-abbrev")
    lines = [f"{sha}\n".encode() for sha in shas]
    with (
        workspace.stream("cat-file", "--batch", "--buffer", feed=lines) as objects,
        workspace.stream(*diff, feed=lines) as trees,
    ):
        touched = _Touched(trees)
        for sha in shas:
            data = _object(objects, sha)
            if data is None:
                continue
            commit = read_commit(sha, data)
            paths = touched.of(sha.encode(), merge=len(commit.parents) > 1)
            yield Read(commit, references(message_of(data)), paths)


def _object(objects: Pipe, sha: str) -> bytes | None:
    """Return the bytes of the next commit; None where it is missing or no commit."""
    header = objects.stdout.readline(_MAX_HEADER).split()
    if len(header) != 3:
        if not header:
            raise RepositoryError(
                f"cannot read commit {sha}", objects.complaint, "check the repository: git fsck"
            )
        return None
    left = int(header[2])
    data = objects.stdout.read(min(left, _MAX_COMMIT))
    left -= len(data)
    while left > 0:
        left -= len(objects.stdout.read(min(left, 1 << 20)) or b"x" * left)
    objects.stdout.read(1)
    return data if header[1] == b"commit" else None


class _Touched:
    """The answers of ``diff-tree --stdin -z``: a sha, then two fields for each path."""

    def __init__(self, trees: Pipe) -> None:
        self._fields = _fields(trees)
        self._next = next(self._fields, b"")

    def of(self, sha: bytes, merge: bool) -> tuple[bytes, ...] | None:
        """Return the paths of ``sha``; a merge has none; None where git could not tell."""
        if self._next != sha:
            return () if merge or self._next else None
        found: list[bytes] = []
        while (field := next(self._fields, b"")).startswith(b":"):
            path = next(self._fields, b"")
            if len(found) < _MAX_PATHS:
                found.append(path)
        self._next = field
        return tuple(found)


def _fields(trees: Pipe) -> Iterator[bytes]:
    rest = b""
    while piece := trees.stdout.read1(1 << 18):  # type: ignore[attr-defined]
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole


def _store(connection: sqlite3.Connection, read: Read, paths: dict[bytes, int]) -> None:
    commit = read.commit
    author = commit.author
    cursor = connection.execute(
        "insert or ignore into commits (sha, title, email, authored, paths) values (?, ?, ?, ?, ?)",
        (
            commit.sha,
            plain_title(commit.subject),
            author.email.casefold(),
            author.time,
            -1 if read.paths is None else len(read.paths),
        ),
    )
    if not cursor.rowcount:
        return  # another process has stored it
    row = cursor.lastrowid
    connection.executemany(
        "insert into reference values (?, ?, ?, ?, ?, ?)",
        [
            (row, r.kind.value, r.named, plain_title(r.title), r.place, r.line)
            for r in read.references
        ],
    )
    for name in read.paths or ():
        if name not in paths:
            paths[name] = _path_row(connection, name)
        connection.execute("insert or ignore into touch values (?, ?)", (paths[name], row))


def _path_row(connection: sqlite3.Connection, name: bytes) -> int:
    connection.execute("insert or ignore into path (name) values (?)", (name,))
    row = connection.execute("select id from path where name = ?", (name,)).fetchone()
    return int(row[0])
