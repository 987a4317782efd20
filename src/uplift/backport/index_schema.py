"""The tables of the index, and the version that makes an older file be built anew."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from uplift.errors import UpliftError

VERSION = 1
_TABLES = """
create table if not exists seen (tip text primary key) without rowid;
create table if not exists commits (
    id integer primary key,
    sha text not null unique,
    title text not null,          -- as it is compared: trailers.plain_title
    email text not null,
    authored integer not null,    -- seconds since 1970
    paths integer not null        -- how many paths it touches; -1 where its trees are missing
);
create index if not exists commits_title on commits (title);
create index if not exists commits_authored on commits (authored);
create table if not exists reference (
    commit_id integer not null,
    kind text not null,
    named text not null,
    title text not null,
    place text not null,
    line integer not null
);
create index if not exists reference_commit on reference (commit_id);
create index if not exists reference_named on reference (named) where named != '';
create index if not exists reference_title on reference (title) where title != '';
create table if not exists path (id integer primary key, name blob not null unique);
create table if not exists touch (
    path_id integer not null, commit_id integer not null, primary key (path_id, commit_id)
) without rowid;
create index if not exists touch_commit on touch (commit_id);
create table if not exists patch (commit_id integer primary key, patch text not null);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the index file, or make it; one of another version or damaged is made anew.

    :raises UpliftError: it cannot be opened or written.
    """
    try:
        try:
            return _opened(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _remove(path)  # it holds nothing that the repository does not
            return _opened(path)
    except sqlite3.Error as error:
        raise UpliftError(
            f"cannot open the index {path}",
            str(error),
            "check that it can be written, or remove it",
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        version = connection.execute("pragma user_version").fetchone()[0]
        if version not in (0, VERSION):
            connection.close()
            _remove(path)
            return _opened(path)
        if not version:
            connection.executescript(_TABLES)
            connection.execute(f"pragma user_version = {VERSION}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError):
            name.unlink()
