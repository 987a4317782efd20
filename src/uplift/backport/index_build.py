"""Bring the index of a workspace up to date: what the branches have that was not read before.

A few thousand commits are stored at a time, whole or not at all, so that an interrupted build goes
on where it was. One process writes; another that wants to waits for it. Memory does not grow with
history: names are looked up in the file where the ones kept at hand do not have them.
"""

from __future__ import annotations

import fcntl
import sqlite3
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TypeVar

from uplift.backport.commit_text import message_of, split_message
from uplift.backport.index_log import MAX_MESSAGE, Interrupted, Logged, read_log, salvage
from uplift.backport.index_schema import UNREAD
from uplift.backport.message_links import links
from uplift.backport.model import Reference, ReferenceKind
from uplift.backport.titles import plain_title, title_key
from uplift.backport.trailers import references
from uplift.lab.git import RepositoryError, Workspace

Progress = Callable[[int, int], None]

KINDS = tuple(ReferenceKind)  #: a kind is stored as its place here; a change needs a new version

_Value = TypeVar("_Value")

_INSERT_LINK = "insert or ignore into link values (?, ?, ?, ?, ?, ?)"
_BATCH = 2000
_AT_HAND = 200_000  #: names whose numbers are kept in memory
_ASKED = 500  #: values of one query (SQLite's own limit is 999 before 3.32)


def update(
    workspace: Workspace, connection: sqlite3.Connection, progress: Progress | None = None
) -> int:
    """Read what is new in the workspace; return how many commits that were.

    :param progress: called with how many commits were read, and 0: git does not say of how many.
    :raises RepositoryError: git cannot read the repository.
    """
    if _noted(connection, UNREAD):
        with _alone(workspace.directory / "index.lock"):
            _read_links(workspace, connection, progress or (lambda done, total: None))
    tips = frozenset(workspace.refs().values())
    cut = _cut(workspace)
    if _is_current(workspace, connection, tips, cut):
        return 0
    with _alone(workspace.directory / "index.lock"):
        if _is_current(workspace, connection, tips, cut):  # another process did it meanwhile
            return 0
        return _Build(workspace, connection, cut, progress).run(tips)


def _is_current(
    workspace: Workspace, connection: sqlite3.Connection, tips: frozenset[str], cut: frozenset[str]
) -> bool:
    seen = {tip for (tip,) in connection.execute("select tip from seen")}
    same = seen == tips and _noted(connection, "cut") == _digest(cut)
    return same and not _is_repaired(workspace, connection)


def _is_repaired(workspace: Workspace, connection: sqlite3.Connection) -> bool:
    """Whether an object that was missing has come."""
    query = "select sha from missing where kind in ('commit', 'tree') limit ?"
    lost = [sha for (sha,) in connection.execute(query, (_ASKED,))]
    asked = "".join(f"{sha}\n" for sha in lost).encode()
    answers = workspace.git("cat-file", "--batch-check", stdin=asked) if lost else b""
    return any(not line.endswith(b" missing") for line in answers.splitlines())


def _cut(workspace: Workspace) -> frozenset[str]:
    """Return where shallow clones were cut."""
    try:
        return frozenset((workspace.directory / "shallow").read_text("ascii").split())
    except FileNotFoundError:
        return frozenset()


def _digest(names: Collection[str]) -> str:
    return sha256("\n".join(sorted(names)).encode()).hexdigest() if names else ""


def _noted(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("select value from note where name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock that one builder at a time has; it falls with the process."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Store all that is written in the block, or nothing of it."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _read_links(workspace: Workspace, connection: sqlite3.Connection, progress: Progress) -> None:
    """Read the messages again of commits that were stored before links were kept.

    What was read stays read, so that an interrupted run goes on; a commit that is gone has none.
    """
    (last,) = connection.execute("select ifnull(max(id), 0) from commits").fetchone()
    query = "select id, sha from commits where id > ? order by id limit ?"
    while unread := _noted(connection, UNREAD):
        part = connection.execute(query, (int(unread), _BATCH)).fetchall()
        rows = [
            (number, *row) for number, sha in part for row in _links_of(_message(workspace, sha))
        ]
        with transaction(connection):
            connection.executemany(_INSERT_LINK, rows)
            note = (str(part[-1][0]), UNREAD) if part else ("", UNREAD)
            connection.execute("update note set value = ? where name = ?", note)
        progress(part[-1][0] if part else last, last)


def _message(workspace: Workspace, sha: bytes) -> str:
    try:
        return message_of(workspace.objects.read(sha.hex(), MAX_MESSAGE)[1])
    except RepositoryError:  # pruned since, damaged, or larger than any message
        return ""


class _Build:
    """One run of the builder."""

    def __init__(
        self,
        workspace: Workspace,
        connection: sqlite3.Connection,
        cut: frozenset[str],
        progress: Progress | None,
    ) -> None:
        self._workspace = workspace
        self._connection = connection
        self._cut = cut
        self._progress = progress or (lambda done, total: None)
        self._paths = _Numbers(connection, "path", "name")
        self._people = _Numbers(connection, "person", "email")
        self._missing: list[tuple[str, str]] = []
        self._next = int(connection.execute("select ifnull(max(id), 0) from commits").fetchone()[0])

    def run(self, tips: frozenset[str]) -> int:
        """Read what ``tips`` reach and was not read; return how many commits that were."""
        seen = self._seen()
        try:
            log = read_log(self._workspace, sorted(tips - seen), sorted(seen), self._cut)
            done = self._store_all(log)
        except Interrupted:
            self._forget_missing()
            done = self._store_all(salvage(self._workspace, sorted(tips), self._cut, self._lost))
        with transaction(self._connection):
            self._connection.execute("delete from seen")
            rows = [(tip,) for tip in sorted(tips)]
            self._connection.executemany("insert into seen values (?)", rows)
            self._note("cut", _digest(self._cut))
            self._connection.executemany(
                "insert or ignore into missing values (?, ?)", self._missing
            )
        return done

    def _seen(self) -> frozenset[str]:
        """Return the tips whose whole history was read: none, where more of it is there now."""
        deeper = _noted(self._connection, "cut") != _digest(self._cut)
        if deeper or _is_repaired(self._workspace, self._connection):
            self._forget_missing()
            return frozenset()
        return frozenset(tip for (tip,) in self._connection.execute("select tip from seen"))

    def _forget_missing(self) -> None:
        """Let what was read without its paths be read again."""
        with transaction(self._connection):
            for table, key in (
                ("reference", "commit_id"),
                ("patch", "commit_id"),
                ("link", "commit_id"),
                ("changed_function", "commit_id"),
                ("read_functions", "commit_id"),
                ("commits", "id"),
            ):
                self._connection.execute(
                    f"delete from {table} where {key} in "  # noqa: S608
                    "(select id from commits where paths is null)"
                )
            self._connection.execute("delete from missing")
            self._connection.execute("delete from seen")

    def _lost(self, name: str, kind: str) -> None:
        self._missing.append((name, kind))

    def _note(self, name: str, value: str) -> None:
        self._connection.execute("insert or replace into note values (?, ?)", (name, value))

    def _store_all(self, commits: Iterator[Logged]) -> int:
        done = 0
        reads = map(_read, commits)
        while batch := list(islice(reads, _BATCH)):
            known = self._known(batch)
            new = [read for read in batch if read.commit.sha not in known]
            if new:
                with transaction(self._connection):
                    self._store(new)
            done += len(new)
            self._progress(done, 0)
        return done

    def _known(self, batch: Sequence[_Read]) -> set[str]:
        """Return what an interrupted build has stored already."""
        found: set[str] = set()
        for part in _parts([bytes.fromhex(read.commit.sha) for read in batch]):
            query = f"select hex(sha) from commits where sha in ({','.join('?' * len(part))})"  # noqa: S608
            found.update(sha.lower() for (sha,) in self._connection.execute(query, part))
        return found

    def _store(self, batch: Sequence[_Read]) -> None:
        rows: list[tuple[object, ...]] = []
        named: list[tuple[object, ...]] = []
        linked: list[tuple[object, ...]] = []
        touched: dict[int, array[int]] = {}
        self._paths.learn({path for read in batch for path in read.commit.paths or ()})
        for read in batch:
            self._next += 1
            rows.append(self._row(read, touched))
            named.extend((self._next, *reference) for reference in read.references)
            linked.extend((self._next, *link) for link in read.links)
        insert = self._connection.executemany
        insert("insert into commits values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        insert("insert into reference values (?, ?, ?, ?, ?, ?, ?)", named)
        insert(_INSERT_LINK, linked)
        first = rows[0][0]
        postings = [(path, first, ids.tobytes()) for path, ids in sorted(touched.items())]
        insert("insert into posting values (?, ?, ?)", postings)

    def _row(self, read: _Read, touched: dict[int, array[int]]) -> tuple[object, ...]:
        commit = read.commit
        paths = self._numbered(commit.paths)
        for path in paths or ():
            touched.setdefault(path, array("I")).append(self._next)
        row = (self._next, bytes.fromhex(commit.sha), read.title, title_key(read.title))
        times = (commit.authored, commit.committed, commit.parents)
        packed = None if paths is None else paths.tobytes()
        return *row, self._people.of(commit.email), *times, packed

    def _numbered(self, paths: tuple[bytes, ...] | None) -> array[int] | None:
        return None if paths is None else array("I", sorted({self._paths.of(p) for p in paths}))


@dataclass(frozen=True)
class _Read:
    """A commit and what its message says, made while git reads on."""

    commit: Logged
    title: str
    references: tuple[tuple[object, ...], ...]
    links: tuple[tuple[object, ...], ...]


def _read(commit: Logged) -> _Read:
    title = plain_title(split_message(commit.message)[0])
    named = tuple(map(_row_of, references(commit.message)))
    return _Read(commit, title, named, _links_of(commit.message))


def _row_of(item: Reference) -> tuple[object, ...]:
    kind, key = KINDS.index(item.kind), title_key(plain_title(item.title))
    return kind, item.named, item.title, key, item.place, item.line


def _links_of(message: str) -> tuple[tuple[object, ...], ...]:
    return tuple(
        (place, link.kind.value, link.value, link.meant.key, link.meant.number)
        for place, link in enumerate(links(message))
    )


def _parts(values: Sequence[_Value]) -> Iterable[Sequence[_Value]]:
    return (values[at : at + _ASKED] for at in range(0, len(values), _ASKED))


class _Numbers:
    """The numbers of names in one table; those asked for lately are kept at hand."""

    def __init__(self, connection: sqlite3.Connection, table: str, column: str) -> None:
        self._connection = connection
        self._table, self._column = table, column
        self._at_hand: dict[bytes | str, int] = {}

    def of(self, name: bytes | str) -> int:
        """Return the number of ``name``, a new one where it has none."""
        if name not in self._at_hand:
            self.learn({name})
        return self._at_hand[name]

    def learn(self, names: Collection[bytes | str]) -> None:
        """Have the numbers of ``names`` at hand."""
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.clear()
        new = [name for name in names if name not in self._at_hand]
        add = f"insert or ignore into {self._table} ({self._column}) values (?)"  # noqa: S608
        self._connection.executemany(add, ((name,) for name in new))
        for part in _parts(new):
            marks = ",".join("?" * len(part))
            find = f"select {self._column}, id from {self._table} where {self._column} in ({marks})"  # noqa: S608
            self._at_hand.update(self._connection.execute(find, part))
