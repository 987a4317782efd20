"""The tables of the index, and what happens to a file of another version.

Everything in the file can be read from the repository again, so a damaged one, or one that this
version cannot bring up to date, is thrown away. Whoever opens it is told.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import UpliftError

VERSION = 8
_TABLES = """
create table seen (tip text primary key) without rowid;
create table note (name text primary key, value text not null) without rowid;
create table missing (sha text primary key, kind text not null) without rowid;
create table person (id integer primary key, email text not null unique);
create table commits (
    id integer primary key,
    sha blob not null unique,
    title text not null,          -- as it is compared: titles.plain_title
    title_key integer not null,   -- titles.title_key of it: an index of numbers is small
    person integer not null,      -- the author
    authored integer not null,    -- seconds since 1970
    committed integer not null,
    parents integer not null,
    paths blob                    -- numbers of the paths, ascending; null where trees are missing
);
create index commits_title on commits (title_key);
create index commits_authored on commits (authored);
create table reference (
    commit_id integer not null,
    kind integer not null,
    named text not null,
    title text not null,
    title_key integer not null,
    place text not null,
    line integer not null
);
create index reference_commit on reference (commit_id);
create index reference_named on reference (named) where named != '';
create index reference_title on reference (title_key) where title_key != 0;
create table path (id integer primary key, name blob not null unique);
create table posting (            -- the commits of one batch that touch a path
    path_id integer not null, batch integer not null, commits blob not null,
    primary key (path_id, batch)
) without rowid;
create table patch (commit_id integer primary key, patch blob not null, lines blob not null);
"""
_LINKS = """
create table link (               -- what a message links to: message_links.py
    commit_id integer not null, place integer not null,
    kind text not null, value text not null,
    key integer not null,         -- the same for all ways to write it
    number integer not null,      -- of a bug; 0 where it has none
    primary key (commit_id, place)
) without rowid;
create index link_key on link (key);
create index link_number on link (number) where number != 0;
"""
_FUNCTIONS = """
create table function (id integer primary key, name text not null unique);
create table changed_function (   -- read when asked for: index_functions.py
    function_id integer not null, commit_id integer not null, path_id integer not null,
    primary key (function_id, commit_id, path_id)
) without rowid;
create index changed_function_commit on changed_function (commit_id);
create table read_functions (commit_id integer primary key);
"""
UNREAD = "links are unread after"
"""The note that says that the messages of commits stored before links were kept are still to be
read: its value is the number of the last commit whose message was."""
#: What makes a file of that version one of the next.
_UPGRADES = {
    6: _LINKS + "insert into note values ('links are unread after', '0');\n",  # noqa: S608
    7: _FUNCTIONS,
}


@dataclass(frozen=True)
class Opened:
    """The open file, and what to tell a person of what became of the one that was there."""

    connection: sqlite3.Connection
    remark: str = ""


def connect(path: Path) -> Opened:
    """Open the index file, or make it; an older one is upgraded, a damaged or newer one made anew.

    :raises UpliftError: it cannot be opened or written.
    """
    try:
        try:
            return _opened(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            remove(path)
            return Opened(_opened(path).connection, f"{path} was damaged: it is built anew")
    except sqlite3.Error as error:
        raise UpliftError(
            f"cannot open the index {path}",
            str(error),
            "check that it can be written, or remove it",
        ) from error


def _opened(path: Path) -> Opened:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma cache_size = -65536")
        version = connection.execute("pragma user_version").fetchone()[0]
        if version not in (0, VERSION, *_UPGRADES):
            connection.close()
            remove(path)
            remark = f"{path} is of version {version}, not {VERSION}: it is built anew"
            return Opened(_opened(path).connection, remark)
        if version != VERSION:
            _bring_up(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    upgraded = f"{path} is upgraded from version {version} to {VERSION}"
    return Opened(connection, upgraded if version in _UPGRADES else "")


def _bring_up(connection: sqlite3.Connection) -> None:
    """Make the tables in one transaction: of several processes the first makes them."""
    connection.execute("begin immediate")
    version = connection.execute("pragma user_version").fetchone()[0]
    wanted = [_TABLES + _LINKS + _FUNCTIONS] if not version else []
    wanted += [_UPGRADES[number] for number in range(version, VERSION) if version]
    for statement in "".join(wanted).split(";\n"):
        connection.execute(statement)
    connection.execute(f"pragma user_version = {VERSION}")
    connection.execute("commit")


def remove(path: Path) -> None:
    """Remove the index file and what SQLite keeps beside it."""
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError):
            name.unlink()
