"""The ``since`` of features' layers, where the tables tell it to one release.

A value that a person or a document brought stays: where the tables contradict it both are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from uplift.catalog.derive.upstream import Key
from uplift.catalog.derive.wanted import names_in
from uplift.catalog.model import All, Catalog, Feature, Layer, LayerNeed, Not, Predicate, Test
from uplift.catalog.since import SERIES, Since, read_rows, series_of, version_key

CellTexts = tuple[str, str, str, str, str]  #: file, subject, before, after, source

#: Whose release a layer's ``since`` names.
_PROJECTS = {
    Layer.KERNEL: "linux",
    Layer.VIRTUALIZATION: "qemu",
    Layer.TOOLCHAIN: "gcc",
    Layer.LIBC: "glibc",
}
#: The last minor release of a series of Linux.
_LAST_MINOR = {3: 19, 4: 20, 5: 19, 6: 19}


@dataclass
class Layers:
    """Texts that change, cells that change, and cells that stay against the tables."""

    texts: dict[str, str] = field(default_factory=dict)
    cells: list[CellTexts] = field(default_factory=list)
    kept: list[CellTexts] = field(default_factory=list)


def propose(data: Mapping[str, str], catalog: Catalog) -> Layers:
    """Compare every layer's ``since`` with the tables in ``data``."""
    tables = {
        path: read_rows(path, text) for path, text in data.items() if path.startswith("since/")
    }
    brackets = {(row.project, row.key): row.since for rows in tables.values() for row in rows}
    found = Layers()
    for feature in catalog.features:
        path = f"features/{feature.origin}"
        for layer in feature.layers if path in data else ():
            _layer(path, feature, layer, brackets, data, found)
    return found


def _layer(
    path: str,
    feature: Feature,
    layer: LayerNeed,
    brackets: Mapping[tuple[str, Key], Since],
    data: Mapping[str, str],
    found: Layers,
) -> None:
    project = layer.since.project if layer.since else _PROJECTS.get(layer.name, "")
    told = _of_layer(project, feature, layer, brackets)
    if told is None:
        return
    since, key = told
    release = release_of(project, since.version)
    subject = f"{feature.id} {layer.name.value}"
    source = " ".join(filter(None, (project, since.version, since.source, key[2], since.commit)))
    after = _since_line(project, release, since.commit)
    if layer.since is None:
        text = found.texts.get(path, data[path])
        found.texts[path] = _insert(text, feature.id, layer.name.value, after)
        found.cells.append((path, subject, "", after, source))
    elif not _agrees(layer.since.version, since):
        before = f"since = {layer.since.project} {layer.since.version}"
        found.kept.append((path, subject, before, after, source))


def _of_layer(
    project: str, feature: Feature, layer: LayerNeed, brackets: Mapping[tuple[str, Key], Since]
) -> tuple[Since, Key] | None:
    """Return the bracket that decides a layer: of all its names the one that came last.

    None where a name is not in the tables, or where its bracket is wider than one release.
    """
    keys = _required(project, layer.needs, feature)
    known = [(brackets.get((project, key)), key) for key in dict.fromkeys(keys)]
    sinces = [(since, key) for since, key in known if since is not None and since.version]
    if not sinces or len(sinces) != len(known):
        return None
    last = max(sinces, key=lambda pair: version_key(pair[0].version))
    return last if is_tight(project, last[0]) and not last[0].gone else None


def _required(project: str, predicate: Predicate, feature: Feature) -> list[Key]:
    """Return the names that a predicate cannot do without; none where alternatives differ."""
    if isinstance(predicate, Test):
        return [key for owner, key in names_in(predicate, feature) if owner == project]
    if isinstance(predicate, Not):
        return []
    parts = [_required(project, part, feature) for part in predicate.parts]
    if isinstance(predicate, All):
        return list(dict.fromkeys(key for part in parts for key in part))
    named = [part for part in parts if part]
    return named[0] if all(part == named[0] for part in named[1:]) and named else []


def is_tight(project: str, since: Since) -> bool:
    """Whether a bracket's two versions are of consecutive releases."""
    if not since.without or not since.version:
        return False
    (*old, unfinished), (*new, candidate) = (
        series_of(version, SERIES.get(project, 2)) for version in (since.without, since.version)
    )
    if unfinished or candidate:
        return False
    if old[:-1] == new[:-1]:
        return new[-1] == old[-1] + 1
    last = _LAST_MINOR.get(old[0]) if project == "linux" else 2 if project == "qemu" else None
    return new == [old[0] + 1, 0] and old[1] == last


def release_of(project: str, version: str) -> str:
    """Return the release that a version is of: ``6.8`` of ``6.8.12``, ``15`` of GCC ``15.2.0``."""
    return ".".join(version.split(".")[: SERIES.get(project, 2)])


def _agrees(told: str, since: Since) -> bool:
    """Whether a release lies within the bracket."""
    first = series_of(since.version, since.series)
    return series_of(since.without, since.series) < series_of(told, since.series) <= first


def _since_line(project: str, release: str, commit: str) -> str:
    known = f', commit = "{commit}"' if commit else ""
    return f'since = {{ project = "{project}", version = "{release}"{known} }}'


def _insert(text: str, feature: str, layer: str, line: str) -> str:
    """Insert a line after the source of one layer of one feature; nothing else changes."""
    lines = text.splitlines(keepends=True)
    for place in _source_lines(lines, feature, layer):
        lines.insert(place + 1, line + "\n")
        break
    return "".join(lines)


_TABLE = re.compile(r"\[\[([\w.]+)\]\]\s*(?:#.*)?$")
_VALUE = re.compile(r'(id|name|source)\s*=\s*(?:"([^"]*)")?')


def _source_lines(lines: list[str], feature: str, layer: str) -> Iterator[int]:
    """Yield the line of the source of a layer; a source stands on one line."""
    table = own_feature = own_layer = ""
    for place, line in enumerate(lines):
        header = _TABLE.match(line)
        if header:
            table = header[1]
            own_layer = ""
            continue
        value = _VALUE.match(line)
        if value and table == "feature" and value[1] == "id":
            own_feature = value[2]
        elif value and table == "feature.layer" and value[1] == "name":
            own_layer = value[2]
        elif value and value[1] == "source" and table == "feature.layer":
            closed = line.rstrip().endswith("}")
            if closed and (own_feature, own_layer) == (feature, layer):
                yield place
