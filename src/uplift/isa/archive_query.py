"""Questions to an archive's results, in SQL that can read them and nothing else."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from uplift.errors import UpliftError
from uplift.isa import baseline
from uplift.isa.archive_results import TABLES, check, parts
from uplift.isa.unused import Chip, given_by

MAX_ROWS = 100_000
MAX_SECONDS = 300.0
_MEMORY = "2GB"
_SHARE = re.compile(r"^\s*(\d+(?:\.\d+)?)%[\s,;|]+(?:.*[\s,;|])?(\S+)\s*$")

#: Files with what is worst in them; a set counts once a file.
_VIOLATIONS = """
SELECT p.name AS package, p.version, p.source, f.path, f.arch, s."set",
       s.reach, s.count, s.always + s.unknown AS functions, p.reverse
FROM packages p JOIN files f USING (package) JOIN sets s USING (audit)
WHERE s.reach <> 'dispatched' AND f.arch IN (SELECT arch FROM baseline)
  AND NOT EXISTS (SELECT 1 FROM baseline b WHERE b.arch = f.arch AND b."set" = s."set")
ORDER BY s.reach, p.reverse DESC NULLS LAST, package, p.version, f.path, s."set"
"""
_USES = """
SELECT p.name AS package, p.version, count(DISTINCT f.path) AS files, sum(s.count) AS instructions,
       min(s.reach) AS reach
FROM packages p JOIN files f USING (package) JOIN sets s USING (audit)
WHERE s."set" = $1 GROUP BY ALL ORDER BY instructions DESC, package, p.version
"""
_PACKAGES = """
WITH code AS (
  SELECT p.package, any_value(p.name) AS name, any_value(p.version) AS version,
         any_value(p.source) AS source, coalesce(any_value(p.reverse), 0) AS reverse,
         sum(f.instructions) AS instructions
  FROM packages p JOIN files f USING (package)
  WHERE f.arch = (SELECT arch FROM chip LIMIT 1) GROUP BY p.package),
used AS (
  SELECT f.package, list(DISTINCT c.feature) AS features
  FROM files f JOIN sets s USING (audit) JOIN chip c ON c."set" = s."set" AND c.arch = f.arch
  GROUP BY f.package),
every AS (SELECT list(DISTINCT feature) AS features FROM chip)
SELECT name, version, source, reverse, instructions::BIGINT AS instructions,
       coalesce(used.features, []) AS held, len(held) AS used,
       len(every.features) - len(held) AS unused,
       list_sort(list_filter(every.features, lambda x: NOT list_contains(held, x))) AS features,
       package
FROM code LEFT JOIN used USING (package), every
"""
_UNUSED = f"""
SELECT name AS package, version, used, unused, instructions, features FROM ({_PACKAGES})
ORDER BY unused DESC, instructions DESC, name, version
"""  # noqa: S608 - made of constants
#: Sensitivity × dependants × share of run time; see the documentation for what it can say.
_CANDIDATES = f"""
WITH shares AS (
  SELECT package, sum(share) AS share FROM (
    SELECT DISTINCT f.package, r.file, r.share FROM files f JOIN runtime r
    ON r.file = regexp_extract(f.path, '[^/]*$') OR (f.soname <> '' AND r.file = f.soname))
  GROUP BY package),
rated AS (
  SELECT source, list(DISTINCT name ORDER BY name) AS packages, sum(reverse)::BIGINT AS reverse,
         sum(instructions)::BIGINT AS instructions, max(unused) AS unused,
         sum(unused * log10(1 + instructions)) / sum(used + unused) AS sensitivity,
         sum(share) AS share
  FROM ({_PACKAGES}) LEFT JOIN shares USING (package) WHERE instructions > 0 AND unused > 0
  GROUP BY source)
SELECT source, round(sensitivity * log2(2 + reverse)
           * CASE WHEN (SELECT count(*) FROM runtime) = 0 THEN 1 ELSE coalesce(share, 0) END, 3)
         AS score,
       round(sensitivity, 3) AS sensitivity, reverse, share, instructions, unused, packages
FROM rated ORDER BY score DESC, source
"""  # noqa: S608 - made of constants
_REFUSED = "SELECT name AS package, version, error FROM packages WHERE error <> '' ORDER BY ALL"
_SUMMARY = """
SELECT (SELECT count(*) FROM packages) AS packages,
       (SELECT count(*) FROM packages WHERE error <> '') AS refused,
       (SELECT count(*) FROM files) AS files,
       (SELECT count(DISTINCT sha256) FROM files) AS distinct_files,
       (SELECT coalesce(sum(instructions), 0)::BIGINT FROM files) AS instructions,
       (SELECT count(DISTINCT audit) FROM sets) AS files_above_base
"""
READY: Mapping[str, str] = {
    "summary": _SUMMARY,
    "violations": _VIOLATIONS,
    "uses": _USES,
    "unused": _UNUSED,
    "candidates": _CANDIDATES,
    "refused": _REFUSED,
}


@dataclass(frozen=True)
class Table:
    """An answer: names of columns, and rows of plain values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool = False

    def mappings(self) -> Iterator[dict[str, Any]]:
        """Yield each row by names of columns."""
        for row in self.rows:
            yield dict(zip(self.columns, row, strict=True))


class Archive:
    """The results of one audit, open for questions."""

    def __init__(self, connection: Any, duckdb: Any) -> None:
        self._connection, self._duckdb = connection, duckdb

    def ask(self, question: str, values: Sequence[object] = (), limit: int = MAX_ROWS) -> Table:
        """Answer a ready question.

        :param values: the set, for ``uses``.
        """
        return self._answer(READY[question], values, limit)

    def sql(self, text: str, limit: int = MAX_ROWS) -> Table:
        """Answer one SELECT; whatever else it is, it is refused.

        :raises UpliftError: it is no such query, is wrong, or takes too long.
        """
        try:
            statements = self._connection.extract_statements(text)
        except self._duckdb.Error as error:
            raise _refused(str(error)) from None
        kinds = [statement.type for statement in statements]
        if kinds != [self._duckdb.StatementType.SELECT]:
            raise _refused("it is not one SELECT")
        return self._answer(text, (), limit)

    def _answer(self, text: str, values: Sequence[object], limit: int) -> Table:
        timer = threading.Timer(MAX_SECONDS, self._connection.interrupt)
        timer.start()
        try:
            found = self._connection.execute(text, list(values))
            rows = found.fetchmany(limit + 1)
        except self._duckdb.Error as error:
            raise _refused(str(error)) from None
        finally:
            timer.cancel()
        columns = tuple(name for name, *_ in found.description)
        return Table(columns, tuple(rows[:limit]), len(rows) > limit)


@contextmanager
def opened(
    directory: Path,
    level: str = "",
    chip: Chip | None = None,
    runtime: Mapping[str, float] | None = None,
) -> Iterator[Archive]:
    """Open results for questions; these can read them, and nothing else on this machine.

    :param level: what ``violations`` are of; empty: each architecture's lowest level.
    :param chip: what ``unused`` and ``candidates`` are for.
    :param runtime: shares of run time by file name, 0 to 1.
    :raises UpliftError: the directory holds no results, or DuckDB is not installed.
    """
    check(directory)
    duckdb = _duckdb()
    every = parts(directory)
    try:
        with duckdb.connect(":memory:", config={"memory_limit": _MEMORY}) as connection:
            connection.execute("SET autoinstall_known_extensions=false")
            connection.execute("SET autoload_known_extensions=false")
            _tables(connection, every)
            _facts(connection, level, chip, runtime or {})
            where = str(directory.resolve())
            connection.execute(f"SET allowed_directories=[{_quoted(where)}]")
            connection.execute("SET temp_directory=''")
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            yield Archive(connection, duckdb)
    except duckdb.Error as error:
        raise UpliftError(
            f"cannot read results in {directory}",
            _first(error),
            "run `uplift isa archive` again into an empty directory",
        ) from None


def _tables(connection: Any, every: Sequence[Path]) -> None:
    for table, columns in TABLES.items():
        if every:
            files = ", ".join(_quoted(str(part.resolve() / f"{table}.parquet")) for part in every)
            view = f"SELECT * FROM read_parquet([{files}])"  # noqa: S608 - quoted
            connection.execute(f"CREATE VIEW {table} AS {view}")
        else:
            types = ", ".join(
                f'"{name}" {"VARCHAR" if kind == "string" else "BIGINT"}'
                for name, kind in columns.items()
            )
            connection.execute(f"CREATE TABLE {table} ({types})")


def _facts(connection: Any, level: str, chip: Chip | None, runtime: Mapping[str, float]) -> None:
    connection.execute('CREATE TABLE baseline (arch VARCHAR, "set" VARCHAR)')
    connection.execute('CREATE TABLE chip (arch VARCHAR, feature VARCHAR, "set" VARCHAR)')
    connection.execute("CREATE TABLE runtime (file VARCHAR, share DOUBLE)")
    _insert(connection, "baseline", list(_baseline(level)))
    _insert(connection, "chip", list(_chip(chip)) if chip else [])
    _insert(connection, "runtime", [[name, share] for name, share in runtime.items()])


def _insert(connection: Any, table: str, rows: list[list[Any]]) -> None:
    if rows:
        marks = ", ".join("?" for _ in rows[0])
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _baseline(level: str) -> Iterator[list[Any]]:
    archs = baseline.architectures(level) if level else ("x86-64", "aarch64", "riscv64")
    for arch in archs:
        has = baseline.level(arch, level) if level else baseline.base(arch)
        yield from ([arch, name] for name in sorted(has))


def _chip(chip: Chip) -> Iterator[list[Any]]:
    """Yield the features that programs can be built for, and the sets that each gives."""
    for feature in chip.has:
        given = given_by(feature, chip.arch)
        if given is not None and given.for_programs:
            yield from ([chip.arch, feature.id, name] for name in given.sets)


def perf_shares(lines: Iterable[str]) -> dict[str, float]:
    """Read what ``perf report --stdio --sort dso`` prints: a share, and a file, on each line.

    ``-t ,`` and further columns between them may be there.

    :raises UpliftError: no line has both.
    """
    found: dict[str, float] = {}
    for line in lines:
        match = None if line.startswith("#") else _SHARE.match(line[:4096])
        if match:
            name = PurePosixPath(match[2]).name
            found[name] = found.get(name, 0.0) + float(match[1]) / 100
    if not found:
        raise UpliftError(
            "cannot read the profile",
            "no line of it has a share and a file",
            "make it so: perf report --stdio --sort dso > FILE",
        )
    return found


def _duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - only questions need it
    except ImportError:
        raise UpliftError(
            "cannot ask questions of an archive's results",
            "Python's duckdb is not installed",
            "install it: pip install 'silicon-uplift[archive]'",
        ) from None
    return duckdb


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _refused(cause: str) -> UpliftError:
    tables = "; ".join(f"{name}({', '.join(columns)})" for name, columns in TABLES.items())
    cause = "".join(c if c.isprintable() else " " for c in cause)[:400]
    return UpliftError("cannot answer the query", cause, f"write one SELECT from {tables}")
