"""The table of one project: what was read of which version, written so that it can be read back.

A table's rows and the versions in its header tell of every version what it has, so that further
versions can be added at any time and in any order: a table made in two runs is that of one run.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from uplift.catalog.derive.upstream import Key, SourceTree
from uplift.catalog.since import COLUMNS, DROPPED, Since, read_rows, version_key

#: Kinds of which a table keeps only the names that a feature of the catalog asks for.
ONLY_WANTED = frozenset(("kconfig",))


@dataclass(frozen=True)
class Reading:
    """What one version has.

    :param names: each name with the file in which it stands.
    :param origin: repository and commit of a copy; empty of a release.
    :param known: of a table read back, the names that it speaks of; None: all there are.
    """

    version: str
    names: Mapping[Key, str]
    origin: str = ""
    known: frozenset[Key] | None = None

    def speaks_of(self, key: Key) -> bool:
        """Whether it can tell of a name that it lacks it."""
        return self.known is None or key[0] not in ONLY_WANTED or key in self.known


def reading_of(tree: SourceTree) -> Reading:
    """Read a source tree."""
    names: dict[Key, str] = {}
    for known in sorted(tree.names()):
        names.setdefault(known.key, known.source)
    return Reading(tree.version, names, tree.origin)


_HEADER = re.compile(r"# derived: (\S+) (\S+?)(?: \((.+)\))?")


def recall(project: str, text: str) -> tuple[Reading, ...]:
    """Read a table back.

    :raises CatalogError: it is not of the form.
    """
    rows = list(read_rows(f"{project}.csv", text)) if text else []
    known = frozenset(row.key for row in rows)
    found = []
    for line in text.splitlines():
        header = _HEADER.fullmatch(line)
        if header:
            names = {row.key: row.since.source for row in rows if _had(row.since, header[2])}
            found.append(Reading(header[2], names, header[3] or "", known))
    return tuple(found)


def _had(since: Since, version: str) -> bool:
    """Whether a version that was read had it."""
    if not since.version:
        return False
    asked = version_key(version)
    end = not since.gone or asked <= version_key(since.last)
    return end and asked >= version_key(since.version)


def merge(old: Iterable[Reading], new: Iterable[Reading]) -> tuple[Reading, ...]:
    """Return all readings, oldest version first.

    A version read anew replaces the old reading; a copy's never replaces a release's.
    """
    found: dict[str, Reading] = {}
    for reading in (*old, *new):
        known = found.get(reading.version)
        if known is None or known.origin or not reading.origin:
            found[reading.version] = reading
    return tuple(sorted(found.values(), key=lambda reading: version_key(reading.version)))


def brackets(readings: tuple[Reading, ...], wanted: frozenset[Key]) -> dict[Key, Since]:
    """Return when each name came to stay, and when it went where it did.

    :param readings: oldest first.
    :param wanted: names that get a row although no version has them, where others of their kind
        were read for their architecture.
    """
    keys = {key for reading in readings for key in reading.names}
    read = {key[:2] for key in keys}
    keys |= {key for key in wanted if key[:2] in read}
    return {
        key: _bracket(key, [reading for reading in readings if reading.speaks_of(key)])
        for key in sorted(keys)
        if key[0] not in ONLY_WANTED or key in wanted
    }


def _bracket(key: Key, readings: list[Reading]) -> Since:
    having = [place for place, reading in enumerate(readings) if key in reading.names]
    if not having:
        return Since(readings[-1].version if readings else "", "")
    last = first = having[-1]
    while first and first - 1 in having:
        first -= 1
    after = readings[last + 1] if last + 1 < len(readings) else None
    return Since(
        without=readings[first - 1].version if first else "",
        version=readings[first].version,
        last=readings[last].version if after else "",
        gone=after.version if after else "",
        source=readings[first].names[key],
    )


def keep_commits(found: Mapping[Key, Since], old: Mapping[Key, Since]) -> dict[Key, str]:
    """Return the commits of an old table that still lie between the versions found."""
    kept = {}
    for key, since in old.items():
        now = found.get(key)
        if since.commit and now is not None and _within(since, now):
            kept[key] = since.commit
    return kept


def _within(old: Since, now: Since) -> bool:
    """Whether what came between the versions of ``old`` came between those of ``now``."""
    return version_key(now.version) <= version_key(old.version) and (
        not now.without or version_key(now.without) >= version_key(old.without)
    )


def to_csv(
    project: str,
    readings: tuple[Reading, ...],
    found: Mapping[Key, Since],
    commits: Mapping[Key, str],
) -> str:
    """Write a table."""
    out = StringIO()
    for reading in readings:
        origin = f" ({reading.origin})" if reading.origin else ""
        out.write(f"# derived: {project} {reading.version}{origin}\n")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for key, since in found.items():
        table.writerows(_cells(project, key, since, commits.get(key, "")))
    return out.getvalue()


def _cells(project: str, key: Key, since: Since, commit: str) -> Iterator[tuple[str, ...]]:
    kind, arch, name = key
    if since.without or since.version:
        yield project, kind, name, arch, since.without, since.version, commit, since.source
    if since.gone:
        yield project, DROPPED + kind, name, arch, since.last, since.gone, "", since.source
