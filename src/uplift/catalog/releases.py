"""Releases: what each one's kernel, emulator, compilers and libraries are, recorded or cited.

A release is a base and any number of further *component sets*: a second track (an HWE kernel, a
newer virtualization stack) or a flavour (a 64k kernel). Choosing a set replaces whole components of
the base. ``noble+hwe-6.17`` names a release and its sets.

A set is *recorded* (a snapshot of the release's own packages) or *cited* (facts from documents,
each with its source). What was recorded replaces what was cited, component by component.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from uplift.catalog.model import UNLABELLED, Labels, Source
from uplift.errors import CatalogError, UpliftError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot, Value

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "data" / "releases"
MAX_TOML = 4 << 20
#: Debian's name of an architecture, the catalog's, and what ``uname -m`` prints.
ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "amd64": ("x86-64", "x86_64"),
    "arm64": ("arm64", "aarch64"),
    "riscv64": ("riscv64", "riscv64"),
    "s390x": ("s390x", "s390x"),
    "ppc64el": ("ppc64el", "ppc64le"),
}
BASE = "base"
CITED = "cited:"
_FILE = re.compile(
    r"(?P<id>[a-z0-9][a-z0-9.-]*?)(?:\+(?P<set>[a-z0-9][a-z0-9.+-]*?))?"
    r"\.(?P<arch>[a-z0-9]+)(?:@(?P<day>\d{4}-\d{2}-\d{2}))?\.jsonl(?:\.gz)?"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*(?:\+[a-z0-9][a-z0-9.-]*)*")
#: Which component a capture or a fact belongs to, by how its name begins; the rest is "libraries".
_OF_CAPTURE = (
    ("probe:kernel-image/", "kernel"),
    ("file:/boot/config-", "kernel"),
    ("file:/lib/modules/", "kernel"),
    ("file:annotations", "kernel"),
    ("cmd:qemu-", "emulator"),
    ("cmd:virsh/", "libvirt"),
    ("cmd:libvirtd/", "libvirt"),
    ("tree:/usr/share/libvirt", "libvirt"),
    ("cmd:gcc", "toolchain"),
    ("cmd:clang", "toolchain"),
    ("cmd:as/", "toolchain"),
    ("probe:compilers", "toolchain"),
    ("cmd:ld.so/", "libc"),
    ("cmd:ldd/", "libc"),
    ("list:glibc-hwcaps", "libc"),
    ("cmd:dpkg-query/", "packages"),
)
_OF_FACT = (
    ("kernel.", "kernel"),
    ("image.", "kernel"),
    ("qemu.", "emulator"),
    ("libvirt.", "libvirt"),
    ("compiler.", "toolchain"),
    ("assembler.", "toolchain"),
    ("libc.", "libc"),
    ("package", "packages"),
)


class AtLeast(str):
    """A version that is a lower bound: what an older one has is there, of the rest nobody knows."""

    @property
    def why(self) -> str:
        """Why nobody knows what came later than this version."""
        return f"this release has {self} or later, and no document says which"

    @property
    def shown(self) -> str:
        """Return the bound in words."""
        return f"at least {self}"


@dataclass(frozen=True)
class Stated:
    """One fact that a document states.

    :param value: an :class:`AtLeast` where only the predecessor's version is known.
    :param since: the day from which it holds, ISO 8601; empty: from the release's first day.
    """

    name: str
    value: Value
    source: Source
    since: str = ""

    @property
    def component(self) -> str:
        """The component that the fact speaks of."""
        return _component(self.name, _OF_FACT)


@dataclass(frozen=True)
class ComponentSet:
    """One set of a release's components on one architecture.

    :param kind: ``base``, ``track`` or ``flavour``. A cited flavour changes single facts; every
        other set replaces whole components.
    :param snapshot: what was recorded; None for a cited set.
    :param labels: of the overlay that it comes from.
    """

    name: str
    kind: str
    snapshot: Snapshot | None = None
    stated: tuple[Stated, ...] = ()
    labels: Labels = UNLABELLED

    @property
    def basis(self) -> str:
        """What the set stands on: ``recorded`` or ``cited``."""
        return "cited" if self.snapshot is None else "recorded"


@dataclass(frozen=True)
class Release:
    """A release as its documents introduce it, or as its recording names it."""

    id: str
    title: str
    released: str = ""
    supported_until: str = ""
    source: Source | None = None
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class SelectedRelease:
    """A release with the chosen sets joined, on one architecture.

    :param name: as asked for: ``noble+hwe-6.17``.
    :param arch: Debian's name of the architecture.
    :param snapshot: the recorded captures, kind ``release``, and one capture for each stated fact.
    :param stated: the facts that documents state, by name.
    """

    name: str
    arch: str
    release: Release
    sets: tuple[ComponentSet, ...]
    snapshot: Snapshot
    stated: Mapping[str, Stated]
    labels: Labels = UNLABELLED

    def capture_of(self, stated: Stated) -> str:
        """Return the id of the capture that holds a stated fact."""
        return _stated_id(self.name, stated)


@dataclass(frozen=True)
class Place:
    """A directory of releases; a later one wins over an earlier one."""

    directory: Path
    labels: Labels = UNLABELLED


def load_release(
    name: str, arch: str, places: Sequence[Place] = (Place(SHIPPED),), as_of: str = ""
) -> SelectedRelease:
    """Return a release with its sets, on the architecture that Debian calls ``arch``.

    :param name: ``noble``, ``noble+hwe-6.17+virt-hwe``.
    :param places: where releases lie, the shipped ones first.
    :param as_of: a day, ISO 8601: what was recorded or held later is left out.
    :raises UpliftError: no such release, set or architecture, or one of its files is broken.
    """
    wanted, *extra = _split(name)
    release = _release(wanted, places)
    available = _sets(wanted, arch, places, as_of)
    if not any(found.name == BASE for found in available):
        raise _no_architecture(name, wanted, arch, places)
    known = sorted({found.name for found in available} - {BASE})
    for one in extra:
        if one not in known:
            raise _no_set(name, one, known)
    chosen = [found for one in (BASE, *extra) for found in available if found.name == one]
    return _joined(name, arch, release, chosen)


def release_names(
    places: Sequence[Place] = (Place(SHIPPED),),
) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return release id to architecture to the names of its sets, base first."""
    found: dict[str, dict[str, set[str]]] = {}
    for place in places:
        for path, match in _recordings(place.directory):
            sets = found.setdefault(match["id"], {}).setdefault(match["arch"], set())
            sets.add(_set_name(path, match))
        for path in sorted(place.directory.glob("*.toml")):
            for arch, name in _cited_names(_document(path)):
                found.setdefault(path.stem, {}).setdefault(arch, set()).add(name)
    return {
        release: {
            arch: tuple(sorted(sets, key=lambda name: (name != BASE, name)))
            for arch, sets in sorted(archs.items())
        }
        for release, archs in sorted(found.items())
    }


def component_sets(
    release: str, arch: str, places: Sequence[Place] = (Place(SHIPPED),), as_of: str = ""
) -> tuple[ComponentSet, ...]:
    """Return every set of a release on one architecture; of two equal names, the cited first."""
    return tuple(_sets(release, arch, places, as_of))


def release_of(release: str, places: Sequence[Place] = (Place(SHIPPED),)) -> Release:
    """Return how a release introduces itself.

    :raises UpliftError: nobody recorded or cited it.
    """
    return _release(release, places)


def _split(name: str) -> list[str]:
    if not _NAME.fullmatch(name):
        raise UpliftError(
            f"cannot tell which release {name[:100]!r} is",
            "a release reads NAME or NAME+SET+SET, lower case with dashes",
            "write for example bookworm, or noble+hwe-6.17; `uplift release list` shows them",
        )
    return name.split("+")


def _release(wanted: str, places: Sequence[Place]) -> Release:
    found: Release | None = None
    for place in places:
        path = place.directory / f"{wanted}.toml"
        if path.is_file():
            found = _introduced(path, place.labels)
        elif found is None and any(m["id"] == wanted for _, m in _recordings(place.directory)):
            found = Release(wanted, _title(wanted), labels=place.labels)
    if found is not None:
        return found
    near = get_close_matches(wanted, release_names(places), 4)
    raise UpliftError(
        f"cannot plan for {wanted}",
        "nobody recorded or cited a release of this name"
        + (f"; near: {', '.join(near)}" if near else ""),
        "choose one that `uplift release list` shows, or record it with `uplift release record`",
    )


def _title(release: str) -> str:
    return release.replace("-", " ")


def _introduced(path: Path, labels: Labels) -> Release:
    table = _document(path)["release"]
    return Release(
        id=table["id"],
        title=table.get("title", table["id"]),
        released=table.get("released", ""),
        supported_until=table.get("supported_until", ""),
        source=_source(table["source"], path, "release") if "source" in table else None,
        labels=labels,
    )


def _sets(release: str, arch: str, places: Sequence[Place], as_of: str) -> list[ComponentSet]:
    """Return a release's sets: cited ones first, so that what was recorded is laid over them."""
    cited: dict[str, ComponentSet] = {}
    recorded: dict[str, ComponentSet] = {}
    for place in places:
        path = place.directory / f"{release}.toml"
        if path.is_file():
            cited.update(_cited_sets(path, arch, place.labels, as_of))
        recorded.update(_recorded_sets(place, release, arch, as_of))
    return [*cited.values(), *recorded.values()]


def _recorded_sets(
    place: Place, release: str, arch: str, as_of: str
) -> Iterator[tuple[str, ComponentSet]]:
    """Yield each set's newest recording that is not younger than ``as_of``."""
    newest: dict[str, tuple[str, Path]] = {}
    for path, match in _recordings(place.directory):
        if (match["id"], match["arch"]) != (release, arch):
            continue
        day = match["day"] or (_load(path).collected_at[:10] if as_of else "9999")
        name = _set_name(path, match)
        if (not as_of or day <= as_of) and day >= newest.get(name, ("", path))[0]:
            newest[name] = (day, path)
    for name, (_, path) in newest.items():
        kind = BASE if name == BASE else "track"
        yield name, ComponentSet(name, kind, _load(path), labels=place.labels)


def _recordings(directory: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(directory.glob("*.jsonl*")):
        match = _FILE.fullmatch(path.name)
        if match and match["arch"] in ARCHITECTURES:
            yield path, match


def _set_name(path: Path, match: re.Match[str]) -> str:
    return match["set"] or BASE


@lru_cache(maxsize=64)
def _load_as_it_was(path: Path, _stamp: tuple[int, int]) -> Snapshot:
    snapshot = snapshot_file.load(path)
    if not snapshot.complete:
        raise CatalogError(f"cannot read {path.name}", "the file ends early", "record it again")
    return snapshot


def _load(path: Path) -> Snapshot:
    stat = path.stat()
    return _load_as_it_was(path, (stat.st_mtime_ns, stat.st_size))


def _cited_names(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for table in document.get("set", ()):
        for arch in table.get("arch", ()):
            yield arch, table["name"]


def _cited_sets(
    path: Path, arch: str, labels: Labels, as_of: str
) -> Iterator[tuple[str, ComponentSet]]:
    for table in _document(path).get("set", ()):
        if arch not in table.get("arch", ()):
            continue
        stated = (
            _stated(entry, path, table["name"])
            for entry in table.get("fact", ())
            if arch in entry.get("arch", (arch,))
        )
        held = tuple(sorted((one for one in stated if not as_of or one.since <= as_of), key=_begin))
        if held or not table.get("fact"):  # a track that came later is not there yet
            found = ComponentSet(table["name"], table.get("kind", "track"), None, held, labels)
            yield found.name, found


def _begin(fact: Stated) -> str:
    """Order what is stated of one fact: the latest of them counts."""
    return fact.since


def _stated(entry: Mapping[str, Any], path: Path, where: str) -> Stated:
    try:
        return Stated(
            name=entry["name"],
            value=_value(entry["value"], bool(entry.get("at_least"))),
            source=_source(entry["source"], path, f"{where}: {entry['name']}"),
            since=str(entry.get("since", "")),
        )
    except KeyError as error:
        raise _broken(path, f"set {where}: a fact without {error}") from None


def _value(value: Any, at_least: bool) -> Value:
    if isinstance(value, list):
        return frozenset(map(str, value))
    return AtLeast(value) if at_least else value


def _source(table: Any, path: Path, where: str) -> Source:
    if not isinstance(table, Mapping) or len(table) != 1:
        raise _broken(path, f"{where}: the source is not {{ cited = … }} or {{ derived = … }}")
    ((kind, text),) = table.items()
    return Source(str(kind), str(text))


def _document(path: Path) -> Mapping[str, Any]:
    stat = path.stat()
    return _document_as_it_was(path, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _document_as_it_was(path: Path, stamp: tuple[int, int]) -> Mapping[str, Any]:
    if stamp[1] > MAX_TOML:
        raise _broken(path, f"it has more than {MAX_TOML} bytes")
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _broken(path, str(error)) from None
    if not isinstance(document.get("release"), dict) or "id" not in document["release"]:
        raise _broken(path, "there is no [release] with an id")
    if any("name" not in table for table in document.get("set", ())):
        raise _broken(path, "a [[set]] has no name")
    return document


def _broken(path: Path, why: str) -> CatalogError:
    return CatalogError(
        f"cannot read the release {path.name}", why, "see docs/reference/releases.md for its form"
    )


def _joined(
    name: str, arch: str, release: Release, chosen: Sequence[ComponentSet]
) -> SelectedRelease:
    """Lay the sets over each other, each replacing the components that it provides."""
    captures: dict[str, Capture] = {}
    stated: dict[str, Stated] = {}
    for one in chosen:
        if one.kind != "flavour" or one.snapshot is not None:
            _drop(_provides(one), captures, stated)
        stated.update((fact.name, fact) for fact in one.stated)
        captures.update(one.snapshot.captures if one.snapshot else {})
    captures.update((c.id, c) for c in (_stated_capture(name, fact) for fact in stated.values()))
    days = [one.snapshot.collected_at for one in chosen if one.snapshot]
    snapshot = Snapshot(
        captures,
        kind="release",
        origin=name,
        collected_at=max(days, default=""),
        arch=ARCHITECTURES[arch][1],
    )
    labels = release.labels.union(*(one.labels for one in chosen))
    return SelectedRelease(name, arch, release, tuple(chosen), snapshot, stated, labels)


def _stated_capture(release: str, fact: Stated) -> Capture:
    """Return the capture that stands for a stated fact: its value, and the document as its how."""
    value = fact.value
    shown = value.shown if isinstance(value, AtLeast) else str(value)
    text = "\n".join(sorted(value)) if isinstance(value, frozenset) else shown
    how = f"{fact.source.kind}: {fact.source.text}"
    return Capture(_stated_id(release, fact), CaptureStatus.OK, text.encode(), how)


def _stated_id(release: str, fact: Stated) -> str:
    return f"{CITED}{release}/{fact.name}"


def _provides(one: ComponentSet) -> frozenset[str]:
    recorded = one.snapshot.captures if one.snapshot else ()
    return frozenset(_component(name, _OF_CAPTURE) for name in recorded) | frozenset(
        fact.component for fact in one.stated
    )


def _drop(
    components: frozenset[str], captures: dict[str, Capture], stated: dict[str, Stated]
) -> None:
    for name in [n for n in captures if _component(n, _OF_CAPTURE) in components]:
        del captures[name]
    for name in [n for n, fact in stated.items() if fact.component in components]:
        del stated[name]


def _component(name: str, table: Iterable[tuple[str, str]]) -> str:
    return next((part for prefix, part in table if name.startswith(prefix)), "libraries")


def _no_architecture(name: str, release: str, arch: str, places: Sequence[Place]) -> UpliftError:
    there = ", ".join(release_names(places).get(release, ()))
    return UpliftError(
        f"cannot plan for {name} on {arch}",
        f"{release} is known on {there or 'no architecture'} only",
        f"choose one of these, or record it: `uplift release record {release} --arch {arch}`",
    )


def _no_set(name: str, wanted: str, known: Sequence[str]) -> UpliftError:
    return UpliftError(
        f"cannot plan for {name}",
        f"there is no component set called {wanted}",
        f"choose one of {', '.join(known)}" if known else "this release has the base only",
    )
