"""Releases for a terminal and as JSON: what is known of each, and where it is from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.model import Labels
from uplift.catalog.releases import (
    AtLeast,
    ComponentSet,
    Place,
    Release,
    SelectedRelease,
    component_sets,
    release_names,
    release_of,
)
from uplift.facts.model import Fact, Value
from uplift.facts.parsers import read_facts
from uplift.report.labels import Marks, label_list, print_banner, with_labels
from uplift.report.terminal import safe

SCHEMA = "uplift-release/1"

#: What is shown of a release: component, title, and the facts that tell it, the first known one.
COMPONENTS = (
    ("kernel", "Linux", ("image.release", "kernel.release")),
    ("kernel", "Linux package", ("image.package_version",)),
    ("emulator", "QEMU", ("qemu.version",)),
    ("libvirt", "libvirt", ("libvirt.version",)),
    ("toolchain", "gcc", ("compiler.gcc.default_version",)),
    ("toolchain", "newest gcc", ("compiler.gcc.version",)),
    ("toolchain", "clang", ("compiler.clang.default_version",)),
    ("toolchain", "newest clang", ("compiler.clang.version",)),
    ("toolchain", "binutils", ("assembler.version",)),
    ("libc", "glibc", ("libc.version",)),
    ("libraries", "OpenSSL", ("library.openssl.version",)),
    ("libraries", "OpenBLAS", ("library.openblas.version",)),
    ("libraries", "numpy", ("python.numpy.version",)),
    ("network", "Open vSwitch", ("ovs.version",)),
    ("network", "DPDK", ("dpdk.version",)),
)


@dataclass(frozen=True)
class Listed:
    """A release in the list.

    :param sets: (architecture, its component sets).
    """

    release: Release
    sets: tuple[tuple[str, tuple[ComponentSet, ...]], ...]

    @property
    def labels(self) -> Labels:
        """Of the overlays that it was made from."""
        return self.release.labels.union(*(one.labels for _, sets in self.sets for one in sets))


@dataclass(frozen=True)
class Component:
    """The version of one component, and where it is from.

    :param source: ``recorded: CAPTURE``, or ``cited: DOCUMENT`` and the like.
    """

    component: str
    title: str
    fact: str
    value: str
    source: str


def listed(places: Sequence[Place]) -> list[Listed]:
    """Return every release with its sets."""
    return [
        Listed(
            release_of(name, places),
            tuple((arch, component_sets(name, arch, places)) for arch in archs),
        )
        for name, archs in release_names(places).items()
    ]


def components(selected: SelectedRelease) -> Iterator[Component]:
    """Yield what is known of a release's components, in order."""
    facts = read_facts(selected.snapshot)
    for component, title, names in COMPONENTS:
        for name in names:
            stated = selected.stated.get(name)
            found = facts.get(name)
            if stated is not None:
                source = f"{stated.source.kind}: {stated.source.text}"
                yield Component(component, title, name, _text(stated.value), source)
                break
            if isinstance(found, Fact):
                yield Component(
                    component, title, name, _text(found.value), f"recorded: {found.capture}"
                )
                break


def _text(value: Value) -> str:
    if isinstance(value, AtLeast):
        return value.shown
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def list_to_json(rows: Sequence[Listed]) -> dict[str, Any]:
    """Return every release in short."""
    return {
        "schema": SCHEMA,
        "labels": label_list(frozenset[str]().union(*(row.labels for row in rows))),
        "releases": [
            with_labels(
                {
                    **_introduction(row.release),
                    "architectures": [
                        {"arch": arch, "sets": [_set(one) for one in sets]}
                        for arch, sets in row.sets
                    ],
                },
                row.labels,
            )
            for row in rows
        ],
    }


def show_to_json(selected: Sequence[SelectedRelease]) -> dict[str, Any]:
    """Return one release, on each architecture, with its components and their sources."""
    labels = frozenset[str]().union(*(one.labels for one in selected))
    return {
        "schema": SCHEMA,
        "labels": label_list(labels),
        "release": with_labels(
            {
                **_introduction(selected[0].release),
                "name": selected[0].name,
                "architectures": [
                    {
                        "arch": one.arch,
                        "sets": [_set(part) for part in one.sets],
                        "components": [vars(found) for found in components(one)],
                    }
                    for one in selected
                ],
            },
            labels,
        ),
    }


def _introduction(release: Release) -> dict[str, Any]:
    source = release.source
    return {
        "id": release.id,
        "title": release.title,
        "released": release.released or None,
        "supported_until": release.supported_until or None,
        "source": f"{source.kind}: {source.text}" if source else None,
    }


def _set(one: ComponentSet) -> dict[str, Any]:
    snapshot = one.snapshot
    return {
        "name": one.name,
        "kind": one.kind,
        "basis": one.basis,
        "collected_at": snapshot.collected_at if snapshot else None,
        "origin": snapshot.origin if snapshot else None,
    }


def print_list(rows: Sequence[Listed], console: Console) -> None:
    """Print one line a release and architecture."""
    marks = Marks(frozenset[str]().union(*(row.labels for row in rows)))
    print_banner(marks, console)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for row in rows:
        for number, (arch, sets) in enumerate(row.sets):
            name = "" if number else f"{row.release.id}{marks.on(row.labels)}"
            days = [one.snapshot.collected_at[:10] for one in sets if one.snapshot]
            basis = f"recorded {max(days)}" if days else "cited"
            table.add_row(*map(Text, (safe(name), arch, basis, safe(_names(sets)))))
    console.print(table)
    console.print(Text(f"{len(rows)} releases", style="dim"))


def _names(sets: Sequence[ComponentSet]) -> str:
    names = dict.fromkeys(one.name for one in sets)
    return ", ".join(name for name in names if name != "base")


def print_release(selected: Sequence[SelectedRelease], console: Console) -> None:
    """Print a release, one block for each architecture."""
    first = selected[0]
    marks = Marks(frozenset[str]().union(*(one.labels for one in selected)))
    print_banner(marks, console)
    console.print(Text(safe(f"{first.release.title}{marks.on(first.labels)}"), style="bold"))
    for key, value in _introduction(first.release).items():
        if value and key not in ("id", "title"):
            console.print(Text.assemble((f"  {key:<16}", "dim"), safe(str(value))))
    for one in selected:
        console.print(Text(f"{safe(one.name)} {one.arch}", style="bold"))
        for part in one.sets:
            console.print(Text.assemble((f"  {part.name:<16}", "dim"), safe(_from(part))))
        _print_components(one, console)


def _from(part: ComponentSet) -> str:
    if part.snapshot is None:
        return f"{part.kind}, cited"
    return f"{part.kind}, recorded {part.snapshot.collected_at[:10]} by {part.snapshot.origin}"


def _print_components(selected: SelectedRelease, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
    for found in components(selected):
        table.add_row(Text(found.title), Text(safe(found.value)), Text(safe(found.source), "dim"))
    console.print(table)
