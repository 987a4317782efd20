"""The functions that commits change, in the index: read when asked for, and then kept.

Their patches have to be made for it, which costs ten times what reading the commits did; so
they are read for the commits of a question, or for all where a person asks for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from uplift.backport.index_build import transaction
from uplift.backport.patches import changed_functions
from uplift.lab.git import Workspace

Progress = Callable[[int, int], None]

_TOGETHER = 500  #: commits of one transaction, values of one query


def lacking(connection: sqlite3.Connection, shas: Iterable[str] | None) -> Iterator[str]:
    """Yield the commits whose functions were not read, of ``shas`` or of all; merges have none."""
    unread = "parents < 2 and id not in (select commit_id from read_functions)"
    if shas is None:
        last = 0
        query = f"select id, sha from commits where id > ? and {unread} order by id limit ?"  # noqa: S608
        while rows := connection.execute(query, (last, _TOGETHER)).fetchall():
            last = rows[-1][0]
            yield from (sha.hex() for _, sha in rows)
        return
    for part in _parts(shas):
        query = f"select sha from commits where sha in ({_marks(part)}) and {unread}"  # noqa: S608
        rows = connection.execute(query, [bytes.fromhex(sha) for sha in part]).fetchall()
        yield from (sha.hex() for (sha,) in rows)


def read(
    workspace: Workspace,
    connection: sqlite3.Connection,
    shas: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> int:
    """Read the functions of commits, of all where none are named; return how many were read.

    A commit whose objects are missing stays unread. What was read stays, so that an interrupted
    run goes on.

    :param progress: called with how many were read, and of how many.
    """
    total = _count(connection) if shas is None else 0
    done = 0
    for part in _parts(lacking(connection, shas)):
        rows = list(changed_functions(workspace, part))
        with transaction(connection):
            for sha, files in rows:
                _store(connection, sha, files)
        done += len(rows)
        if progress:
            progress(done, total)
    return done


def _count(connection: sqlite3.Connection) -> int:
    query = (
        "select count(*) from commits where parents < 2 "
        "and id not in (select commit_id from read_functions)"
    )
    return int(connection.execute(query).fetchone()[0])


def _store(connection: sqlite3.Connection, sha: str, files: dict[bytes, set[str]]) -> None:
    (number,) = connection.execute(
        "select id from commits where sha = ?", (bytes.fromhex(sha),)
    ).fetchone()
    names = {(path, name) for path, found in files.items() for name in found}
    connection.executemany(
        "insert or ignore into function (name) values (?)", {(name,) for _, name in names}
    )
    connection.executemany(
        "insert or ignore into changed_function select function.id, ?, path.id "
        "from function, path where function.name = ? and path.name = ?",
        ((number, name, path) for path, name in names),
    )
    connection.execute("insert or ignore into read_functions values (?)", (number,))


def changing(connection: sqlite3.Connection, name: str) -> frozenset[str]:
    """Return the commits that were read and change a function of that name, in any file."""
    query = (
        "select distinct sha from changed_function join commits on commits.id = commit_id "
        "where function_id = (select id from function where name = ?)"
    )
    return frozenset(sha.hex() for (sha,) in connection.execute(query, (name,)))


def of_commit(connection: sqlite3.Connection, sha: str) -> dict[bytes, tuple[str, ...]]:
    """Return what a commit that was read changes: path to names."""
    query = (
        "select path.name, function.name from changed_function "
        "join path on path.id = path_id join function on function.id = function_id "
        "where commit_id = (select id from commits where sha = ?) order by 1, 2"
    )
    found: dict[bytes, tuple[str, ...]] = {}
    for path, name in connection.execute(query, (bytes.fromhex(sha),)):
        found[path] = (*found.get(path, ()), name)
    return found


def _parts(shas: Iterable[str]) -> Iterator[Sequence[str]]:
    left = iter(shas)
    while part := list(islice(left, _TOGETHER)):
        yield part


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
