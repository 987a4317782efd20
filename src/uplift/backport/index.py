"""The index of a workspace: commits, what their messages name, what they touch, patch-ids."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from uplift.backport import index_build, index_functions, index_schema
from uplift.backport.commit_text import read_commit
from uplift.backport.index_build import KINDS, transaction
from uplift.backport.message_links import Link, LinkKind, Meant
from uplift.backport.model import Commit, Reference
from uplift.backport.patches import Patch, read_patches
from uplift.backport.titles import plain_title, title_key
from uplift.lab.git import MissingObject, Workspace

_SHORTEST = 7
_ASKED = 500  #: values of one query (SQLite's own limit is 999 before 3.32)
_REFERENCE = "kind, named, r.title, place, line"
_INDEXED = (
    "select sha, title, email, authored, committed, parents, paths "
    "from commits join person on person.id = person"
)


@dataclass(frozen=True)
class Indexed:
    """What the index itself knows of a commit.

    :param title: as titles are compared.
    :param authored: seconds since 1970, as ``committed``.
    :param paths: how many paths it touches; -1 where its trees, or its parents, are missing.
    :param path_set: the numbers of these paths, packed: equal for commits that touch the same.
    """

    sha: str
    title: str
    email: str
    authored: int
    paths: int
    committed: int = 0
    parents: int = 1
    path_set: bytes = b""


@dataclass(frozen=True)
class Missing:
    """An object that the repository lacks: its name, and what it is where that is known.

    :param kind: ``commit``, ``tree``, ``trees`` (some below that commit's), ``damaged``.
    """

    sha: str
    kind: str


class Index:
    """Answers from the index of one workspace; made by :meth:`open`, which brings it up to date."""

    def __init__(
        self, workspace: Workspace, connection: sqlite3.Connection, new: int, remark: str = ""
    ) -> None:
        self.workspace = workspace
        self.new = new  #: commits that were read when it was opened
        self.remark = remark  #: what became of an older or damaged file; for a person
        self._connection = connection

    @classmethod
    def open(cls, workspace: Workspace, progress: index_build.Progress | None = None) -> Index:
        """Open the index of ``workspace`` and read what is new.

        :param progress: called with how many commits were read, and of how many.
        :raises UpliftError: the file cannot be written, or git cannot list the commits.
        """
        file = index_schema.connect(workspace.directory / "index.sqlite")
        connection = file.connection
        try:
            new = index_build.update(workspace, connection, progress)
        except BaseException:
            connection.close()
            raise
        return cls(workspace, connection, new, file.remark)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def commit(self, sha: str) -> Commit | None:
        """Return the commit, read from the repository; None where it is not there."""
        try:
            kind, data = self.workspace.objects.read(sha)
        except MissingObject:
            return None
        return read_commit(sha, data) if kind == "commit" else None

    def known(self, shas: Iterable[str]) -> dict[str, Indexed]:
        """Return what the index knows of each of ``shas`` that it has."""
        found: dict[str, Indexed] = {}
        for marks, values in _chunks(shas):
            for row in self._connection.execute(f"{_INDEXED} where sha in ({marks})", values):
                known = _indexed(row)
                found[known.sha] = known
        return found

    def missing(self) -> tuple[Missing, ...]:
        """Return what the repository lacks, as far as reading the commits met it."""
        rows = self._connection.execute("select sha, kind from missing order by sha")
        return tuple(Missing(*row) for row in rows)

    def references_of(self, sha: str) -> tuple[tuple[Reference, str], ...]:
        """Return what the message of ``sha`` names, each with the sha it resolves to, or empty."""
        return tuple(
            (reference, self.resolved(reference))
            for reference in self.references([sha]).get(sha, ())
        )

    def references(self, shas: Iterable[str]) -> dict[str, tuple[Reference, ...]]:
        """Return what the messages of ``shas`` name, as written."""
        found: dict[str, list[Reference]] = {}
        for marks, values in _chunks(shas):
            query = (
                f"select sha, {_REFERENCE} from reference r "  # noqa: S608
                f"join commits on commits.id = commit_id where sha in ({marks}) order by r.rowid"
            )
            for sha, *rest in self._connection.execute(query, values):
                found.setdefault(sha.hex(), []).append(_reference(*rest))
        return {sha: tuple(named) for sha, named in found.items()}

    def references_to(self, sha: str) -> tuple[tuple[str, Reference], ...]:
        """Return who names ``sha``; by its title where the sha written there names nothing."""
        prefixes = [sha[:length] for length in range(_SHORTEST, len(sha) + 1)]
        marks = ",".join("?" * len(prefixes))
        query = f"select commits.sha, {_REFERENCE} from reference r join commits on id = commit_id"  # noqa: S608
        found = self._connection.execute(f"{query} where named in ({marks})", prefixes)
        named = [(row[0].hex(), _reference(*row[1:])) for row in found]
        mine = "r.title_key != 0 and r.title_key = (select title_key from commits where sha = ?)"
        found = self._connection.execute(f"{query} where {mine}", (_packed(sha),))
        titled = [(row[0].hex(), _reference(*row[1:])) for row in found]
        here = [pair for pair in named if self.resolved(pair[1]) in ("", sha)]
        seen = {(commit, reference.line) for commit, reference in here}
        here += [
            (commit, reference)
            for commit, reference in titled
            if (commit, reference.line) not in seen and not self.expand(reference.named)
        ]
        return tuple(here)

    def links(self, shas: Iterable[str]) -> dict[str, tuple[Link, ...]]:
        """Return what the messages of ``shas`` link to, in the order of their text."""
        found: dict[str, list[Link]] = {}
        for marks, values in _chunks(shas):
            query = (
                "select sha, kind, value from link join commits on commits.id = commit_id "  # noqa: S608
                f"where sha in ({marks}) order by commit_id, place"
            )
            for sha, kind, value in self._connection.execute(query, values):
                found.setdefault(sha.hex(), []).append(Link(LinkKind(kind), value))
        return {sha: tuple(linked) for sha, linked in found.items()}

    def linking(self, bug: Meant) -> tuple[tuple[str, Link], ...]:
        """Return the commits that link to ``bug``, the oldest first, and how each writes it.

        A number without a tracker finds that number of every tracker.
        """
        keys: tuple[int, ...] = bug.keys
        where = f"key in ({','.join('?' * len(keys))})"
        if bug.number and not bug.tracker:
            where, keys = "number = ?", (bug.number,)
        query = (
            "select sha, kind, value from link join commits on commits.id = commit_id "  # noqa: S608
            f"where {where} order by committed, commits.id desc, place"
        )
        rows = self._connection.execute(query, keys)
        return tuple((sha.hex(), Link(LinkKind(kind), value)) for sha, kind, value in rows)

    def expand(self, prefix: str) -> str:
        """Return the one sha that begins with ``prefix``; empty where none or several do."""
        shas = self._beginning(prefix, 2)
        return shas[0] if len(shas) == 1 else ""

    def resolved(self, reference: Reference) -> str:
        """Return the one commit that ``reference`` names; empty where none or several fit.

        Of several that begin with an abbreviated sha, the one with the title that stands beside it
        is meant.
        """
        shas = self._beginning(reference.named, 20)
        if len(shas) > 1 and reference.title:
            title = plain_title(reference.title)
            shas = [sha for sha, known in self.known(shas).items() if known.title == title]
        return shas[0] if len(shas) == 1 else ""

    def _beginning(self, prefix: str, limit: int) -> list[str]:
        if not _SHORTEST <= len(prefix) <= 64:
            return []
        even = len(prefix) & ~1
        low = _packed(prefix[:even])
        high = _after(low)
        query = "select sha from commits where sha >= ? and sha < ? order by sha"
        if high is None:
            query, values = "select sha from commits where sha >= ? order by sha", (low,)
        else:
            values = (low, high)  # type: ignore[assignment]
        rows = self._connection.execute(query, values)
        return list(
            islice((sha for (raw,) in rows if (sha := raw.hex()).startswith(prefix)), limit)
        )

    def titled(self, subject: str) -> tuple[str, ...]:
        """Return the commits of that title, spaces, case and ``[tags]`` levelled."""
        title = plain_title(subject)
        return self._shas("title_key = ? and title = ?", title_key(title), title)

    def authored(self, email: str, time: int) -> tuple[str, ...]:
        """Return what that author wrote at that second."""
        mine = "authored = ? and person = (select id from person where email = ?)"
        return self._shas(mine, time, email.casefold())

    def touching(self, path: bytes | str) -> tuple[str, ...]:
        """Return the commits that touch ``path``, the oldest first."""
        name = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        query = "select commits from posting where path_id = (select id from path where name = ?)"
        numbers = array("I")
        for (packed,) in self._connection.execute(query, (name,)):
            numbers.frombytes(packed)
        found: list[tuple[int, int, str]] = []
        for marks, values in _chunks(numbers):
            query = f"select committed, -id, sha from commits where id in ({marks})"  # noqa: S608
            rows = self._connection.execute(query, values)
            found += [(committed, place, sha.hex()) for committed, place, sha in rows]
        return tuple(sha for _, _, sha in sorted(found))

    def paths_of(self, sha: str) -> tuple[bytes, ...]:
        """Return the paths that ``sha`` touches; none of a merge."""
        query = "select paths from commits where sha = ?"
        row = self._connection.execute(query, (_packed(sha),)).fetchone()
        numbers = array("I", row[0] if row and row[0] else b"")
        names: list[bytes] = []
        for marks, values in _chunks(numbers):
            query = f"select name from path where id in ({marks})"  # noqa: S608
            names += [name for (name,) in self._connection.execute(query, values)]
        return tuple(sorted(names))

    def read_functions(
        self, shas: Iterable[str] | None = None, progress: index_build.Progress | None = None
    ) -> int:
        """Read which functions commits change, of all where none are named, as far as unread.

        :return: how many commits were read.
        """
        return index_functions.read(self.workspace, self._connection, shas, progress)

    def unread_functions(self, shas: Iterable[str] | None = None) -> int:
        """Return of how many commits, merges left out, the functions were not read."""
        return sum(1 for _ in index_functions.lacking(self._connection, shas))

    def changing(self, function: str) -> frozenset[str]:
        """Return the commits that change a function of that name, of those that were read."""
        return index_functions.changing(self._connection, function)

    def functions_of(self, sha: str) -> dict[bytes, tuple[str, ...]]:
        """Return which functions a commit changes, by path; nothing where it was not read."""
        return index_functions.of_commit(self._connection, sha)

    def patch_ids(self, shas: Iterable[str]) -> dict[str, str]:
        """Return the stable patch-id (git-patch-id(1)) of each commit that has one; kept once made.

        A merge and an empty commit have none, nor one whose patch cannot be made or is too large.
        """
        return {sha: patch.patch_id for sha, patch in self.patches(shas).items() if patch.patch_id}

    def patch_id(self, sha: str) -> str:
        """Return the stable patch-id of ``sha``; empty where it has none."""
        return self.patch_ids([sha]).get(sha, "")

    def patches(self, shas: Iterable[str]) -> dict[str, Patch]:
        """Return what each commit changes, kept once made; one that git cannot make is left out."""
        wanted = list(dict.fromkeys(shas))
        found = self._stored_patches(wanted)
        lacking = [sha for sha in wanted if sha not in found]
        for made in _groups(read_patches(self.workspace, lacking)):
            self._store_patches(made)
            found.update((patch.sha, patch) for patch in made)
        return found

    def _stored_patches(self, shas: Sequence[str]) -> dict[str, Patch]:
        found: dict[str, Patch] = {}
        for marks, values in _chunks(shas):
            query = (
                "select sha, patch, lines from patch join commits on commits.id = commit_id "  # noqa: S608
                f"where sha in ({marks})"
            )
            for sha, patch, lines in self._connection.execute(query, values):
                found[sha.hex()] = Patch(sha.hex(), patch.hex(), lines)
        return found

    def _store_patches(self, made: Sequence[Patch]) -> None:
        rows = [(bytes.fromhex(p.patch_id), p.lines, bytes.fromhex(p.sha)) for p in made]
        with transaction(self._connection):
            self._connection.executemany(
                "insert or replace into patch select id, ?, ? from commits where sha = ?", rows
            )

    def _shas(self, condition: str, *values: object) -> tuple[str, ...]:
        query = f"select sha from commits where {condition} order by committed, id desc"  # noqa: S608
        return tuple(row[0].hex() for row in self._connection.execute(query, values))


def _packed(sha: str) -> bytes:
    try:
        return bytes.fromhex(sha)
    except ValueError:
        return b""  # no sha at all: nothing has it


def _after(prefix: bytes) -> bytes | None:
    """Return the lowest bytes above all that begin with ``prefix``; None where there are none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def _indexed(row: tuple[bytes, str, str, int, int, int, bytes | None]) -> Indexed:
    sha, title, email, authored, committed, parents, paths = row
    count = -1 if paths is None else len(paths) // 4
    return Indexed(sha.hex(), title, email, authored, count, committed, parents, paths or b"")


def _reference(kind: int, named: str, title: str, place: str, line: int) -> Reference:
    return Reference(KINDS[kind], named, title, place, line)


def _chunks(values: Iterable[str] | Iterable[int]) -> Iterator[tuple[str, list[Any]]]:
    left = (_packed(value) if isinstance(value, str) else value for value in values)
    while part := list(islice(left, _ASKED)):
        yield ",".join("?" * len(part)), part


def _groups(patches: Iterator[Patch]) -> Iterator[list[Patch]]:
    while part := list(islice(patches, _ASKED)):
        yield part
