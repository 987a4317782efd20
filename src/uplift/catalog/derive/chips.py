"""Write which features each chip's silicon has, from upstream's tables and from recordings.

``python -m uplift.catalog.derive.chips xed=DIR llvm=DIR gcc=DIR riscv=DIR instlatx64=DIR …``

reads the features' silicon tests and answers them from Intel XED's chip lists and its CPUID
records, from the compilers' tables of cores, from the RISC-V profiles, and from recordings of the
chip itself that no hypervisor stood in between. A feature is listed where one of them shows it. A
compiler's list that recordings of the same chip contradict is dropped; three are needed where
firmware may switch the feature off.

A list denies what it would name: what its source names for some chip, and never left out for a chip
whose recording shows it. Of everything else it does not speak.

Each directory may be left out; VERSION of each is the part after ``@``: ``xed=/src/xed@519c843c``.
The sources: xed (intelxed/xed), llvm (llvm/), gcc, riscv (riscv-unified-db), instlatx64, archspec.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from uplift.catalog.derive import chips_arm64, chips_riscv64, chips_x86
from uplift.catalog.derive.silicon import (
    Answer,
    Silicon,
    calibrated,
    holds,
    listed,
    recorded,
    together,
)
from uplift.catalog.load import DATA, load_catalog
from uplift.catalog.made_registers import MadeRegisters, Place, arm64_place, empty_arm64
from uplift.catalog.model import Any as AnyOf
from uplift.catalog.model import Catalog, Chip, Feature, Layer, Predicate, Test
from uplift.catalog.predicate import shown_by_cpuid, tests
from uplift.errors import UpliftError
from uplift.facts.imports import archspec, instlatx64
from uplift.facts.model import Facts, Snapshot
from uplift.facts.parsers import read_facts

_SOURCES = ("xed", "llvm", "gcc", "riscv", "instlatx64", "archspec")
Reader = Callable[[Path, str], Mapping[str, Silicon]]  #: from directory and version


@dataclass
class Gathered:
    """What the sources say of one chip."""

    tables: list[Silicon] = field(default_factory=list)
    recordings: list[tuple[str, Facts]] = field(default_factory=list)
    siblings: list[Facts] = field(default_factory=list)


def gather(catalog: Catalog, roots: Mapping[str, tuple[Path, str]]) -> dict[str, Gathered]:
    """Read every source: code name to what they say."""
    found: dict[str, Gathered] = {chip.codename: Gathered() for chip in catalog.chips}
    for source, name, snapshot in _recordings(roots):
        facts = read_facts(snapshot)
        codename = _codename(facts, catalog.chips)
        if codename and not _guest(facts):
            found[codename].recordings.append((f"{source} {name}", facts))
    for codename, die in chips_x86.SAME_DIE.items():
        if codename in found and die in found:
            found[codename].recordings.extend(found[die].recordings)
    for codename, other in chips_x86.SIBLINGS.items():
        if codename in found and other in found:
            found[codename].siblings = [facts for _, facts in found[other].recordings]
    for name in _TABLES:
        _add_lists(found, name, roots, catalog.chips)
    return found


def _add_lists(
    found: Mapping[str, Gathered],
    table: str,
    roots: Mapping[str, tuple[Path, str]],
    chips: Iterable[Chip],
) -> None:
    """Add one table's lists, each with what the table speaks of reliably."""
    source, below, read, name_of = _TABLES[table]
    if source not in roots:
        return
    root, version = roots[source]
    rows = read(root / below, version)
    mine = [
        (chip.codename, rows[name]) for chip in chips if (name := name_of(chip)) and name in rows
    ]
    speaks = calibrated(
        frozenset().union(*(silicon.speaks for _, silicon in mine)),
        (
            (silicon, recorded(facts))
            for codename, silicon in mine
            for _, facts in found[codename].recordings
        ),
    )
    for codename, silicon in mine:
        found[codename].tables.append(replace(silicon, speaks=silicon.speaks & speaks))


def _llvm_x86(chip: Chip) -> str:
    sets = chips_x86.LLVM_SETS.get(chip.microarchitecture, "")
    return chips_x86.LLVM_INTEL.get(chip.codename, sets) if chip.arch == "x86-64" else ""


def _gcc_x86(chip: Chip) -> str:
    name = chips_x86.GCC_CHIPS.get(chip.microarchitecture, "")
    return chips_x86.GCC_CHIPS.get(chip.codename, name) if chip.arch == "x86-64" else ""


def _gcc_arm64(chip: Chip) -> str:
    name = chips_arm64.GCC_CORES.get(chip.codename, chip.codename)
    return name if chip.arch == "arm64" else ""


def _llvm_arm64(chip: Chip) -> str:
    return chips_arm64.LLVM_CORES.get(chip.codename, _gcc_arm64(chip))


def _riscv(chip: Chip) -> str:
    return chips_riscv64.CORES.get(chip.codename, "")


#: Table to the source it is in, the place below it, who reads it, and its name of a chip.
_TABLES: Mapping[str, tuple[str, str, Reader, Callable[[Chip], str]]] = {
    "xed": ("xed", "datafiles", chips_x86.read_xed, lambda chip: chip.codename),
    "llvm": ("llvm", "", chips_x86.read_llvm, _llvm_x86),
    "gcc-x86": ("gcc", "", chips_x86.read_gcc, _gcc_x86),
    "gcc-arm64": ("gcc", "", chips_arm64.read_gcc, _gcc_arm64),
    "llvm-arm64": ("llvm", "", chips_arm64.read_llvm, _llvm_arm64),
    "gcc-riscv": ("gcc", "", chips_riscv64.read_gcc, _riscv),
    "llvm-riscv": ("llvm", "", chips_riscv64.read_llvm, _riscv),
    "profiles": (
        *("riscv", "", chips_riscv64.read_profiles),
        lambda chip: chips_riscv64.PROFILES.get(chip.codename, ""),
    ),
}


def _recordings(roots: Mapping[str, tuple[Path, str]]) -> Iterator[tuple[str, str, Snapshot]]:
    importers = {"instlatx64": instlatx64.load, "archspec": archspec.load}
    titles = {"instlatx64": "InstLatx64", "archspec": "archspec-json"}
    patterns = {"instlatx64": "*CPUID*.txt", "archspec": "*-*"}
    for source, load in importers.items():
        root, version = roots.get(source, (None, ""))
        for file in sorted(root.rglob(patterns[source])) if root else ():
            try:
                yield f"{titles[source]} {version}", file.name, load(file.name, file.read_bytes())
            except UpliftError as error:
                print(f"{file.name}: {error.cause}", file=sys.stderr)


def _guest(facts: Facts) -> bool:
    flags = facts.value("cpuinfo.flags")
    return bool(facts.value("cpuid.hypervisor")) or (
        isinstance(flags, frozenset) and "hypervisor" in flags
    )


def _codename(facts: Facts, chips: Iterable[Chip]) -> str:
    """Return the chip whose signature fits most closely, brand included."""
    brand = " ".join(str(facts.value("cpuid.brand") or facts.value("cpuinfo.model_name")).split())
    vendor = facts.value("cpuid.vendor") or facts.value("cpuinfo.vendor")
    values = _signature(facts)
    best: tuple[int, int, str] = (0, 0, "")
    for chip in chips:
        for signature in chip.signatures:
            inside = all(low <= values.get(n, -1) <= high for n, low, high in signature.fields)
            text = " ".join(signature.text.split()).lower()
            if not inside or text not in brand.lower() or not signature.fields:
                continue
            if signature.kind == "x86" and signature.vendor != vendor:
                continue
            width = -sum(high - low for _, low, high in signature.fields)
            best = max(best, (len(signature.fields) + bool(text), width, chip.codename))
    return best[2]


def _signature(facts: Facts) -> dict[str, int]:
    values = {}
    for name in ("family", "model", "stepping", "implementer", "part", "mvendorid", "marchid"):
        for source in ("cpuid", "cpuinfo", "riscv"):
            value = facts.value(f"{source}.{name}")
            if isinstance(value, int) and name not in values:
                values[name] = value
    package = facts.value("cpuid.80000001.0.ebx")
    if isinstance(package, int):
        values["package"] = package >> 28
    return values


class Told(NamedTuple):
    """What the sources say of one chip's features.

    :param denied: what a list names and recordings of the chip deny.
    """

    has: frozenset[str]
    lacks: frozenset[str]
    denied: tuple[str, ...]


def features_of(chip: Chip, gathered: Gathered, features: tuple[Feature, ...]) -> Told:
    """Return which features the silicon of one chip has, and which it lacks by its lists."""
    shown: set[str] = set()
    for _, facts in gathered.recordings:
        shown |= listed(features, chip.arch, recorded(facts))
    states = _by_lists(chip, gathered, features)
    named = {name for name, state in states.items() if state}
    denied = {name for name in named - shown if _denies(gathered, name, features)}
    has = frozenset(shown | named - denied)
    lacks = {name for name, state in states.items() if state is False}
    return Told(has, frozenset(lacks - has), tuple(sorted(denied)))


def _by_lists(
    chip: Chip, gathered: Gathered, features: tuple[Feature, ...]
) -> dict[str, bool | None]:
    """Return what the lists say of each feature."""
    judge = _judge_of(chip, gathered.tables)
    return {
        feature.id: judge(feature.layers[0].needs)
        for feature in features
        if chip.arch in feature.arch and feature.layers[0].name is Layer.SILICON
        if gathered.tables
    }


def _judge_of(chip: Chip, tables: Iterable[Silicon]) -> Callable[[Predicate], bool | None]:
    answer = together(tables)
    if chip.arch == "riscv64":  # firmware tells a kernel what the silicon has
        same = {"riscv.firmware_isa": "riscv.isa"}
        return lambda needs: holds(
            needs, lambda test: answer(replace(test, fact=same.get(test.fact, test.fact)))
        )
    if chip.arch != "arm64":
        return lambda needs: holds(needs, lambda test: _by_signature(chip, test, answer))
    return _arm64_registers(tables, answer).state


def _by_signature(chip: Chip, test: Test, otherwise: Answer) -> bool | None:
    """Answer what the signature tells: the maker, and the family and the model where it is one."""
    if test.fact == "cpuid.vendor" and test.op == "equals":
        return chip.vendor == test.operand
    name = test.fact.removeprefix("cpuid.")
    if name not in ("family", "model") or test.op not in ("equals", "at-least"):
        return otherwise(test)
    ranges = {(low, high) for s in chip.signatures for n, low, high in s.fields if n == name}
    wanted = int(test.operand)
    told = {
        (low == wanted if low == high else None if low <= wanted <= high else False)
        if test.op == "equals"
        else (low >= wanted or (None if high >= wanted else False))
        for low, high in ranges
    }
    return told.pop() if len(told) == 1 else None


def _arm64_registers(tables: Iterable[Silicon], answer: Answer) -> MadeRegisters:
    """Return ID registers that show what the lists name, and lack what they deny."""
    made = MadeRegisters(arm64_place, lambda _: None)
    for silicon in tables:
        for register, low, high, least in silicon.fields:
            made.raise_to(Place(register, low, high), least)
    for word in sorted({str(what) for s in tables for _, what in s.says | s.speaks}):
        asked = Test("arm64.words", "has", word)
        if answer(asked) is not None:
            made.demand(asked, answer(asked) is True)
    empty_arm64(made)
    return made


def _rest(chip: Chip, gathered: Gathered, features: tuple[Feature, ...], told: Told) -> str:
    """Return the line with what recordings of CPUID leave open; else with what lists deny."""
    if not gathered.recordings or chip.arch != "x86-64":
        return _line("lacks", told.lacks) if told.lacks else ""
    asked = [f.id for f in features if f.id not in told.has and shown_by_cpuid(f)]
    return _line("unsure", [name for name in asked if not _denies(gathered, name, features)])


def _line(key: str, names: Iterable[str]) -> str:
    return f"{key} = [{', '.join(chr(34) + name + chr(34) for name in sorted(names))}]\n"


def _denies(gathered: Gathered, name: str, features: tuple[Feature, ...]) -> bool:
    """Whether recordings of the chip lack ``name`` and firmware could not have switched it off."""
    needs = next(f for f in features if f.id == name).layers[0].needs
    own = [facts for _, facts in gathered.recordings if _complete(facts, needs)]
    if not _switchable(needs):
        return bool(own)
    lacking = own + [facts for facts in gathered.siblings if _complete(facts, needs)]
    shown = any(holds(needs, recorded(facts)) for facts in lacking)
    return len(lacking) >= chips_x86.ENOUGH and not shown


def _complete(facts: Facts, predicate: Predicate) -> bool:
    """Whether a recording knows every fact that a test asks for, so that its no is a no."""
    answer: Answer = recorded(facts)
    known = [answer(test) is not None for test in tests(predicate)]
    return any(known) if isinstance(predicate, AnyOf) else all(known)


def _switchable(predicate: Predicate) -> bool:
    return any(
        test.op == "bit" and int(test.operand) in chips_x86.SWITCHABLE.get(test.fact, ())
        for test in tests(predicate)
    )


def source_of(gathered: Gathered) -> str:
    """Return the source cell: the tables, and the first recordings."""
    parts = [silicon.source for silicon in gathered.tables]
    names = [name for name, _ in gathered.recordings]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return "; ".join([*parts, *((", ".join(names[:2]) + more,) if names else ())])


def write(catalog: Catalog, gathered: Mapping[str, Gathered], out: Path) -> None:
    """Write ``chips/features-<arch>.toml``, one table for each chip that a source speaks of."""
    files: dict[str, list[str]] = {}
    for chip in catalog.chips:
        told = features_of(chip, gathered[chip.codename], catalog.features)
        if told.denied:
            print(f"{chip.codename}: recordings deny {', '.join(told.denied)}", file=sys.stderr)
        if told.has:
            rest = _rest(chip, gathered[chip.codename], catalog.features, told)
            lines = "".join(f'    "{name}",\n' for name in sorted(told.has))
            files.setdefault(chip.arch, []).append(
                f'[features."{chip.codename}"]\nlist = [\n{lines}]\n{rest}'
                f'source = {{ derived = "{source_of(gathered[chip.codename])}" }}\n'
            )
    for arch, tables in files.items():
        head = (
            "# Written by `python -m uplift.catalog.derive.chips`: do not edit.\n"
            "# What each chip's silicon has, as far as a source shows; no list is complete.\n\n"
        )
        (out / f"features-{arch}.toml").write_text(head + "\n".join(tables))
        print(f"features-{arch}.toml: {len(tables)} chips", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Read the sources named ``name=DIR@VERSION`` and write the lists."""
    roots: dict[str, tuple[Path, str]] = {}
    for argument in arguments:
        name, _, rest = argument.partition("=")
        path, _, version = rest.partition("@")
        if name not in _SOURCES or not Path(path).is_dir():
            print(__doc__, file=sys.stderr)
            return 2
        roots[name] = (Path(path), version)
    catalog = load_catalog()
    write(catalog, gather(catalog, roots), DATA / "chips")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
