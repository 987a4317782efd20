"""Audit rebuilt packages beside what they are compared with: the archive's, or a control's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import rebuild_compare
from uplift.isa.audit import audit
from uplift.isa.elf import Elf
from uplift.isa.rebuild_compare import Audited, FileChange
from uplift.isa.symbols import names
from uplift.lab import build_root_debs


@dataclass(frozen=True)
class PackageChange:
    """One binary package.

    :param installed: ``Installed-Size`` in KiB, before and after.
    :param size: bytes of the package file, before and after; 0 where the archive has none.
    """

    name: str
    file: str
    versions: tuple[str, str]
    installed: tuple[int, int]
    size: tuple[int, int]


def compared(
    built: Iterable[Path],
    before: Callable[[str], Path | None],
    debug: Mapping[str, Path],
    allowed: frozenset[str],
) -> Iterator[tuple[PackageChange, tuple[FileChange, ...]]]:
    """Yield what changed in each package, and in each of its files with code.

    :param before: gives the package of a name that it is compared with, if there is one.
    :param debug: build id to detached debug file, of both sides.
    :param allowed: the instruction sets of the level.
    """
    for path in built:
        if is_debug(path):
            continue
        name = path.name.partition("_")[0]
        old = before(name)
        yield _package(name, old, path), tuple(_files(old, path, debug, allowed))


def is_debug(package: Path) -> bool:
    return "-dbgsym_" in package.name or package.suffix == ".ddeb"


def debug_files(built: Iterable[Path], place: Path) -> dict[str, Path]:
    """Return build id to detached debug file, of a build's debug packages."""
    place.mkdir(parents=True)
    found: dict[str, Path] = {}
    for package in filter(is_debug, built):
        for member in build_root_debs.elf_files(package):
            parts = Path(member.path).parts
            if ".build-id" in parts[-3:-2]:
                name = parts[-2] + parts[-1].removesuffix(".debug")
                found[name] = place / f"{len(found)}.debug"
                found[name].write_bytes(member.data)
    return found


def _package(name: str, old: Path | None, new: Path) -> PackageChange:
    before = build_root_debs.control(old) if old else {}
    after = build_root_debs.control(new)
    return PackageChange(
        name,
        new.name,
        (before.get("version", ""), after.get("version", "")),
        (_number(before.get("installed-size")), _number(after.get("installed-size"))),
        (old.stat().st_size if old else 0, new.stat().st_size),
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _files(
    old: Path | None, new: Path, debug: Mapping[str, Path], allowed: frozenset[str]
) -> Iterator[FileChange]:
    """Yield the files with code of a package, each compared with the same one before."""
    before = {} if old is None else dict(_audited(old, debug))
    after = dict(_audited(new, debug))
    pairs = rebuild_compare.matched(after, before)
    for path, result in after.items():
        yield rebuild_compare.compare(before.get(pairs.get(path, "")), result, allowed)


def _audited(package: Path, debug: Mapping[str, Path]) -> Iterator[tuple[str, Audited]]:
    for member in build_root_debs.elf_files(package):
        if member.path.startswith("/usr/lib/debug/"):
            continue
        try:
            elf = Elf(member.data)
            first = audit(member.data, path=member.path)
        except UpliftError:  # a relocatable or foreign file: not code of this architecture
            continue
        other = debug.get(first.identity.build_id)
        result = first if other is None else audit(member.data, path=member.path, debug=other)
        section = elf.section(".text")
        table = names(elf, Elf(other.read_bytes()) if other else None)
        every = frozenset(table.text(row) for row in table.functions.tolist())
        yield member.path, Audited(result, section.size if section else 0, every)
