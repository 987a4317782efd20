"""What reading source trees would change in the catalog's data, and where each cell comes from.

Pure: texts go in, texts come out. Nothing that stands in the catalog is lost without being shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.catalog.derive import kvm_exposure, since_layers, since_table
from uplift.catalog.derive.since_table import Reading
from uplift.catalog.derive.upstream import Key, SourceTree
from uplift.catalog.derive.wanted import wanted
from uplift.catalog.model import Catalog
from uplift.catalog.since import Since, read_rows


@dataclass(frozen=True)
class Cell:
    """One cell that changes, or that the sources contradict.

    :param file: below the catalog's data.
    :param subject: ``option -mamx-tile (x86)`` or ``x86/amx-tile kernel``.
    :param source: project, version, path, and the commit where one is known.
    """

    file: str
    subject: str
    before: str
    after: str
    source: str


@dataclass(frozen=True)
class FileChange:
    """One file's text before and after; ``before`` is empty where there was none."""

    path: str
    before: str
    after: str

    def diff(self) -> str:
        """Return the unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            f"a/{self.path}" if self.before else "/dev/null",
            f"b/{self.path}",
        )
        return "".join(lines)


@dataclass(frozen=True)
class Proposal:
    """What is proposed.

    :param kept: what stands in the catalog although the sources say otherwise: for a person.
    """

    changes: tuple[FileChange, ...]
    cells: tuple[Cell, ...]
    kept: tuple[Cell, ...]


def propose(
    trees: Iterable[SourceTree], catalog: Catalog, data: Mapping[str, str], fresh: bool = False
) -> Proposal:
    """Compare what the trees have with the catalog's data.

    :param data: the text of ``since/*.csv`` and ``features/*.toml``, by path below the data.
    :param fresh: whether a table forgets the versions that are not among the trees.
    :raises CatalogError: a table in ``data`` is not of the form.
    """
    by_project: dict[str, list[SourceTree]] = {}
    for tree in trees:
        by_project.setdefault(tree.project.name, []).append(tree)
    asked = wanted(catalog)
    after = dict(data)
    cells: list[Cell] = []
    for project, own in by_project.items():
        path = f"since/{project}.csv"
        names = asked.get(project, frozenset())
        text, changed = _table(project, own, names, data.get(path, ""), fresh)
        after[path] = text
        cells += (Cell(path, *cell) for cell in changed)
    exposure = kvm_exposure.table(
        (tree for own in by_project.values() for tree in own), data.get(kvm_exposure.TABLE, "")
    )
    if exposure and {"linux", "qemu"} & by_project.keys():
        after[kvm_exposure.TABLE] = exposure
        cells += _changed_lines(data.get(kvm_exposure.TABLE, ""), exposure)
    layers = since_layers.propose(after, catalog)
    after.update(layers.texts)
    cells += (Cell(*cell) for cell in layers.cells)
    changes = tuple(
        FileChange(path, data.get(path, ""), text)
        for path, text in sorted(after.items())
        if text != data.get(path, "")
    )
    return Proposal(changes, tuple(cells), tuple(Cell(*cell) for cell in layers.kept))


def _table(
    project: str, trees: list[SourceTree], asked: frozenset[Key], before: str, fresh: bool
) -> tuple[str, list[tuple[str, str, str, str]]]:
    """Return a project's table with the trees in it, and the cells that differ."""
    recalled = () if fresh else since_table.recall(project, before)
    readings = since_table.merge(recalled, [since_table.reading_of(tree) for tree in trees])
    found = since_table.brackets(readings, asked)
    rows = list(read_rows(project, before)) if before else []
    old = {row.key: row.since for row in rows}
    commits = {} if fresh else since_table.keep_commits(found, old)
    commits.update(_introductions(trees, found, commits))
    text = since_table.to_csv(project, readings, found, commits)
    return text, list(_differences(project, old, found, commits, readings))


def _introductions(
    trees: list[SourceTree], found: Mapping[Key, Since], known: Mapping[Key, str]
) -> dict[Key, str]:
    """Ask each history which commits brought the names that came between two of its versions."""
    by_version = {tree.version: tree for tree in trees if tree.history is not None}
    gaps: dict[tuple[str, str], set[Key]] = {}
    for key, since in found.items():
        gap = since.without, since.version
        if (
            key not in known
            and key[0] not in since_table.ONLY_WANTED
            and set(gap) <= set(by_version)
        ):
            gaps.setdefault(gap, set()).add(key)
    commits: dict[Key, str] = {}
    for (without, version), keys in gaps.items():
        old, new = by_version[without], by_version[version]
        if new.history is not None and old.history is new.history:
            commits.update(
                new.history.introduced(new.project, old.commit, new.commit, frozenset(keys))
            )
    return commits


def _differences(
    project: str,
    old: Mapping[Key, Since],
    found: Mapping[Key, Since],
    commits: Mapping[Key, str],
    readings: tuple[Reading, ...],
) -> Iterator[tuple[str, str, str, str]]:
    newest = readings[-1].version if readings else ""
    for key in sorted({*old, *found}):
        before, after = _told(old.get(key)), _told(found.get(key))
        if before != after:
            kind, arch, name = key
            since = found.get(key, Since("", ""))
            went = bool(since.gone) and (key not in old or old[key].gone != since.gone)
            version = since.gone if went else since.version or newest
            where = f"{project} {version} {since.source}".strip()
            commit = f" {commits[key]}" if key in commits else ""
            yield f"{kind} {name}" + (f" ({arch})" if arch else ""), before, after, where + commit


def _changed_lines(before: str, after: str) -> Iterator[Cell]:
    """Yield the rows of KVM's table that differ; a row's first four cells name its bit."""
    old, new = (
        {tuple(line.split(",")[:4]): line for line in text.splitlines() if line[:1] != "#"}
        for text in (before, after)
    )
    source = f"linux {kvm_exposure.CPUID}, qemu {kvm_exposure.QEMU_CPU[0]}"
    for place in sorted({*old, *new}):
        if old.get(place) != new.get(place):
            subject = f"cpuid.{'.'.join(place[:3])} bit {place[3]}"
            yield Cell(kvm_exposure.TABLE, subject, old.get(place, ""), new.get(place, ""), source)


def _told(since: Since | None) -> str:
    if since is None:
        return ""
    told = f"{since.without}..{since.version}"
    return f"{told}, dropped {since.last}..{since.gone}" if since.gone else told
