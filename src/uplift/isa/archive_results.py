"""Results of an archive's audit in Parquet: parts that appear whole or not at all.

A part is a directory with one file for each table. It is written under another name and renamed,
so that a process that is killed leaves the parts before it, and what they hold is not done again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uplift.errors import UpliftError
from uplift.isa.archive_work import Done, Row

FORMAT = 1
TABLES: Mapping[str, Mapping[str, str]] = {
    "packages": {
        **dict.fromkeys(("package", "kind", "name", "version", "arch", "source"), "string"),
        **dict.fromkeys(("suite", "component"), "string"),
        **dict.fromkeys(("reverse", "size", "files"), "int64"),
        **dict.fromkeys(("notes", "error"), "string"),
    },
    "files": {
        **dict.fromkeys(("package", "path", "sha256", "audit", "arch", "kind"), "string"),
        **dict.fromkeys(("soname", "level", "needs", "note"), "string"),
        **dict.fromkeys(("size", "functions", "instructions", "undecodable"), "int64"),
    },
    "sets": {
        **dict.fromkeys(("audit", "set", "confidence", "reach"), "string"),
        **dict.fromkeys(("count", "always", "unknown", "dispatched"), "int64"),
    },
    "functions": {
        **dict.fromkeys(("audit", "function", "address", "set"), "string"),
        **dict.fromkeys(("confidence", "reach", "evidence"), "string"),
        **dict.fromkeys(("size", "count"), "int64"),
    },
}
_PART = re.compile(r"part-(\d{6})\Z")
_ABOUT = "archive.json"


def arrow() -> Any:
    """Return pyarrow with its Parquet module.

    :raises UpliftError: it is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - only audits of archives need it
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise UpliftError(
            "cannot read or write results of an archive",
            "Python's pyarrow is not installed",
            "install it: pip install 'silicon-uplift[archive]'",
        ) from None
    return pyarrow


class Results:
    """The parts in a directory; one process at a time adds to them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._arrow = arrow()
        self._audits: set[bytes] = set()
        self.done: set[str] = set()
        for part in parts(directory):
            self.done.update(self._column(part / "packages.parquet", "package"))
            self._audits.update(map(_short, self._column(part / "sets.parquet", "audit")))
        self._next = 1 + max((int(part.name[-6:]) for part in parts(directory)), default=0)

    def _column(self, path: Path, name: str) -> Iterator[str]:
        try:
            table = self._arrow.parquet.read_table(path, columns=[name])
        except (OSError, ValueError, KeyError) as error:
            raise _broken(path, str(error)) from None
        yield from table.column(name).unique().to_pylist()

    def add(self, batch: Iterable[Done]) -> None:
        """Write one part with what packages gave; an audit that a part holds is not written again.

        :raises UpliftError: it cannot be written.
        """
        rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        added = []
        for done in batch:
            if done.key in self.done:
                continue
            self.done.add(done.key)
            added.append(done.key)
            rows["packages"].append(done.package)
            rows["files"] += [{**row, "package": done.key} for row in done.files]
            for audit, (sets, functions) in done.audits.items():
                if _short(audit) not in self._audits:
                    self._audits.add(_short(audit))
                    rows["sets"] += sets
                    rows["functions"] += functions
        if added:
            self._write(rows)

    def _write(self, rows: Mapping[str, list[Row]]) -> None:
        name = f"part-{self._next:06d}"
        made = self._directory / f".{name}.new"
        try:
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            for table, columns in TABLES.items():
                self._write_table(made / f"{table}.parquet", columns, rows[table])
            _synced(made)
            made.rename(self._directory / name)
            _synced(self._directory)
        except OSError as error:
            raise UpliftError(
                f"cannot write results to {self._directory}",
                error.strerror or str(error),
                "choose a directory that you may write to, with room on its disk",
            ) from None
        self._next += 1

    def _write_table(self, path: Path, columns: Mapping[str, str], rows: list[Row]) -> None:
        pa = self._arrow
        types = {"string": pa.string(), "int64": pa.int64()}
        schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        with path.open("wb") as stream:
            table = pa.Table.from_pylist(rows, schema=schema)
            pa.parquet.write_table(table, stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())


def _short(audit: str) -> bytes:
    """Return a key of 16 bytes and what follows the digest: the set of them stays small."""
    return bytes.fromhex(audit[:32]) + audit[64:].encode()


def parts(directory: Path) -> list[Path]:
    """Return the parts that are whole, in the order in which they were written."""
    return sorted(path for path in directory.glob("part-*") if _PART.fullmatch(path.name))


@contextmanager
def held(directory: Path) -> Iterator[Results]:
    """Open a directory for adding, and keep others from it; what was not finished is removed.

    :raises UpliftError: somebody adds to it, or it holds something else.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise UpliftError(
            f"cannot write results to {directory}",
            error.strerror or str(error),
            "choose a directory that you may write to: --into",
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UpliftError(
                f"cannot add results to {directory}",
                "another process adds to them",
                "wait for it, or choose another directory: --into",
            ) from None
        for left in directory.glob(".part-*.new"):
            shutil.rmtree(left, ignore_errors=True)
        _identified(directory)
        yield Results(directory)


def _identified(directory: Path) -> None:
    path = directory / _ABOUT
    if path.is_file():
        check(directory)
    elif any(one for one in directory.iterdir() if one.name != ".lock"):
        raise UpliftError(
            f"cannot write results to {directory}",
            "it holds something else",
            "choose an empty directory, or one with results: --into",
        )
    else:
        part = directory / f".{_ABOUT}.part"
        part.write_text(json.dumps({"schema": "uplift-isa-results", "format": FORMAT}) + "\n")
        part.replace(path)


def check(directory: Path) -> None:
    """Refuse a directory that holds no results of this format.

    :raises UpliftError: it holds none.
    """
    try:
        about = json.loads((directory / _ABOUT).read_text("utf-8")[:10_000])
    except (OSError, ValueError) as error:
        raise _broken(directory, str(error)) from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _broken(directory, "they are of another version of uplift")


def _broken(path: Path, cause: str) -> UpliftError:
    return UpliftError(
        f"cannot read results in {path}", cause[:300], "name a directory of `uplift isa archive`"
    )


def _synced(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
