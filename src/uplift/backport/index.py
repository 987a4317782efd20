"""The index of a workspace: commits, what their messages name, the paths they touch, patch-ids."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from uplift.backport import index_build, index_schema
from uplift.backport.commit_text import read_commit
from uplift.backport.model import Commit, Reference, ReferenceKind
from uplift.backport.titles import plain_title
from uplift.lab.git import MissingObject, Workspace
from uplift.lab.process import Pipe

_SHORTEST = 7
_ASKED = 500  #: values of one query (SQLite's own limit is 999 before 3.32)


@dataclass(frozen=True)
class Indexed:
    """What the index itself knows of a commit.

    :param title: as titles are compared; :param authored: seconds since 1970.
    """

    sha: str
    title: str
    email: str
    authored: int
    paths: int


class Index:
    """Answers from the index of one workspace; made by :meth:`open`, which brings it up to date."""

    def __init__(self, workspace: Workspace, connection: sqlite3.Connection, new: int) -> None:
        self.workspace = workspace
        self.new = new  #: commits that were read when it was opened
        self._connection = connection

    @classmethod
    def open(cls, workspace: Workspace, progress: index_build.Progress | None = None) -> Index:
        """Open the index of ``workspace`` and read what is new.

        :param progress: called with how many commits were read, and of how many.
        :raises UpliftError: the file cannot be written, or git cannot list the commits.
        """
        connection = index_schema.connect(workspace.directory / "index.sqlite")
        try:
            new = index_build.update(workspace, connection, progress)
        except BaseException:
            connection.close()
            raise
        return cls(workspace, connection, new)

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
            query = f"select sha, title, email, authored, paths from commits where sha in ({marks})"  # noqa: S608
            for row in self._connection.execute(query, values):
                found[row[0]] = Indexed(*row)
        return found

    def references_of(self, sha: str) -> tuple[tuple[Reference, str], ...]:
        """Return what the message of ``sha`` names, each with the sha it resolves to, or empty."""
        return tuple(
            (reference, self.expand(reference.named))
            for reference in self.references([sha]).get(sha, ())
        )

    def references(self, shas: Iterable[str]) -> dict[str, tuple[Reference, ...]]:
        """Return what the messages of ``shas`` name, as written."""
        found: dict[str, list[Reference]] = {}
        for marks, values in _chunks(shas):
            query = (
                "select sha, kind, named, r.title, place, line from reference r "  # noqa: S608
                f"join commits on commits.id = commit_id where sha in ({marks}) order by r.rowid"
            )
            for sha, *rest in self._connection.execute(query, values):
                found.setdefault(sha, []).append(_reference(*rest))
        return {sha: tuple(named) for sha, named in found.items()}

    def references_to(self, sha: str) -> tuple[tuple[str, Reference], ...]:
        """Return who names ``sha``; by its title where the sha written there names nothing."""
        prefixes = [sha[:length] for length in range(_SHORTEST, len(sha) + 1)]
        marks = ",".join("?" * len(prefixes))
        fields = "commits.sha, kind, named, r.title, place, line"
        joined = "reference r join commits on commits.id = commit_id"
        query = f"select {fields} from {joined} where named in ({marks})"  # noqa: S608
        named = [_named_by(row) for row in self._connection.execute(query, prefixes)]
        mine = "r.title != '' and r.title = (select title from commits where sha = ?)"
        query = f"select {fields} from {joined} where {mine}"  # noqa: S608
        titled = [_named_by(row) for row in self._connection.execute(query, (sha,))]
        seen = {(commit, reference.line) for commit, reference in named}
        named += [
            (commit, reference)
            for commit, reference in titled
            if (commit, reference.line) not in seen and not self.expand(reference.named)
        ]
        return tuple(named)

    def expand(self, prefix: str) -> str:
        """Return the one sha that begins with ``prefix``; empty where none or several do."""
        if len(prefix) < _SHORTEST:
            return ""
        query = "select sha from commits where sha >= ? and sha < ? limit 2"
        rows = self._connection.execute(query, (prefix, f"{prefix}g")).fetchall()
        return str(rows[0][0]) if len(rows) == 1 else ""

    def titled(self, subject: str) -> tuple[str, ...]:
        """Return the commits of that title, spaces, case and ``[tags]`` levelled."""
        return self._shas("title = ?", plain_title(subject))

    def authored(self, email: str, time: int) -> tuple[str, ...]:
        """Return what that author wrote at that second."""
        return self._shas("authored = ? and email = ?", time, email.casefold())

    def touching(self, path: bytes | str) -> tuple[str, ...]:
        """Return the commits that touch ``path``."""
        name = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        query = (
            "select sha from commits join touch on commit_id = id "
            "where path_id = (select id from path where name = ?) order by id"
        )
        return tuple(row[0] for row in self._connection.execute(query, (name,)))

    def paths_of(self, sha: str) -> tuple[bytes, ...]:
        """Return the paths that ``sha`` touches; none of a merge."""
        query = (
            "select name from path join touch on path_id = path.id "
            "where commit_id = (select id from commits where sha = ?) order by name"
        )
        return tuple(row[0] for row in self._connection.execute(query, (sha,)))

    def patch_ids(self, shas: Iterable[str]) -> dict[str, str]:
        """Return the stable patch-id (git-patch-id(1)) of each commit that has one; kept once made.

        A merge and an empty commit have none.
        """
        wanted = list(dict.fromkeys(shas))
        found = self._stored_patch_ids(wanted)
        missing = [sha for sha in wanted if sha not in found]
        if missing:
            made = dict(_patch_ids(self.workspace, missing))
            found.update({sha: made.get(sha, "") for sha in missing})
            self._store_patch_ids([(made.get(sha, ""), sha) for sha in missing])
        return {sha: patch for sha, patch in found.items() if patch}

    def patch_id(self, sha: str) -> str:
        """Return the stable patch-id of ``sha``; empty where it has none."""
        return self.patch_ids([sha]).get(sha, "")

    def _stored_patch_ids(self, shas: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for marks, values in _chunks(shas):
            query = (
                "select sha, patch from patch join commits on commits.id = commit_id "  # noqa: S608
                f"where sha in ({marks})"
            )
            found.update(self._connection.execute(query, values))
        return found

    def _store_patch_ids(self, rows: list[tuple[str, str]]) -> None:
        self._connection.execute("begin immediate")
        self._connection.executemany(
            "insert or replace into patch (commit_id, patch) "
            "select id, ? from commits where sha = ?",
            rows,
        )
        self._connection.execute("commit")

    def _shas(self, condition: str, *values: object) -> tuple[str, ...]:
        query = f"select sha from commits where {condition} order by id"  # noqa: S608
        return tuple(row[0] for row in self._connection.execute(query, values))


def _reference(kind: str, named: str, title: str, place: str, line: int) -> Reference:
    return Reference(ReferenceKind(kind), named, title, place, line)


def _named_by(row: tuple[str, str, str, str, str, int]) -> tuple[str, Reference]:
    return row[0], _reference(*row[1:])


def _chunks(shas: Iterable[str]) -> Iterator[tuple[str, list[Any]]]:
    left = iter(shas)
    while values := list(islice(left, _ASKED)):
        yield ",".join("?" * len(values)), values


def _patch_ids(workspace: Workspace, shas: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the patch-ids of commits: one git makes the patches, another reads them."""
    lines = [f"{sha}\n".encode() for sha in shas]
    diff = ("diff-tree", "--stdin", "-p", "-r", "--root", "--no-ext-diff", "--no-textconv")
    with (
        workspace.stream(*diff, "--no-renames", "--full-index", feed=lines) as patches,
        workspace.stream("patch-id", "--stable", feed=_pieces(patches)) as ids,
    ):
        for line in ids.stdout:
            patch, _, sha = line.decode("ascii", "replace").strip().partition(" ")
            if sha:
                yield sha, patch


def _pieces(patches: Pipe) -> Iterator[bytes]:
    while piece := patches.stdout.read1(1 << 18):  # type: ignore[attr-defined]
        yield piece
