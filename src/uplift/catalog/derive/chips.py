"""Write which features each chip's silicon has, from upstream's tables and from recordings.

``python -m uplift.catalog.derive.chips xed=DIR llvm=DIR gcc=DIR instlatx64=DIR archspec=DIR``

reads the features' silicon tests and answers them three ways: from Intel XED's chip lists and its
CPUID records, from the compilers' tables of cores, and from recordings of the chip itself that no
hypervisor stood in between. A feature is listed where one of them shows it. A compiler's list that
recordings of the same chip contradict is dropped; three are needed where firmware may switch the
feature off.

Each directory may be left out; VERSION of each is the part after ``@``: ``xed=/src/xed@519c843c``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uplift.catalog.derive import chips_arm64, chips_x86
from uplift.catalog.derive.silicon import Answer, Silicon, holds, listed, recorded
from uplift.catalog.load import DATA, load_catalog
from uplift.catalog.model import Any as AnyOf
from uplift.catalog.model import Catalog, Chip, Feature, Predicate
from uplift.catalog.predicate import shown_by_cpuid, tests
from uplift.errors import UpliftError
from uplift.facts.imports import archspec, instlatx64
from uplift.facts.model import Facts, Snapshot
from uplift.facts.parsers import read_facts

_SOURCES = ("xed", "llvm", "gcc", "instlatx64", "archspec")


@dataclass
class Gathered:
    """What the sources say of one chip."""

    tables: list[Silicon] = field(default_factory=list)
    recordings: list[tuple[str, Facts]] = field(default_factory=list)
    siblings: list[Facts] = field(default_factory=list)


def gather(catalog: Catalog, roots: Mapping[str, tuple[Path, str]]) -> dict[str, Gathered]:
    """Read every source: code name to what they say."""
    found: dict[str, Gathered] = {chip.codename: Gathered() for chip in catalog.chips}
    for codename, silicon in _tables(catalog.chips, roots):
        found[codename].tables.append(silicon)
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
    return found


def _tables(
    chips: Iterable[Chip], roots: Mapping[str, tuple[Path, str]]
) -> Iterator[tuple[str, Silicon]]:
    xed = chips_x86.read_xed(*_below(roots["xed"], "datafiles")) if "xed" in roots else {}
    llvm = chips_x86.read_llvm(*roots["llvm"]) if "llvm" in roots else {}
    cores = chips_arm64.read_gcc(*roots["gcc"]) if "gcc" in roots else {}
    riscv = chips_arm64.read_gcc_riscv(*roots["gcc"]) if "gcc" in roots else {}
    for chip in chips:
        name = chip.codename
        if name in xed:
            yield name, xed[name]
        sets = chips_x86.LLVM_INTEL.get(name, chips_x86.LLVM_SETS.get(chip.microarchitecture, ""))
        if sets in llvm and chip.arch == "x86-64":
            yield name, llvm[sets]
        core = chips_arm64.GCC_CORES.get(name, name)
        if core in cores and chip.arch == "arm64":
            yield name, cores[core]
        if chips_arm64.RISCV_CORES.get(name) in riscv:
            yield name, riscv[chips_arm64.RISCV_CORES[name]]


def _below(root: tuple[Path, str], part: str) -> tuple[Path, str]:
    return root[0] / part, root[1]


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


def features_of(
    chip: Chip, gathered: Gathered, features: tuple[Feature, ...]
) -> tuple[frozenset[str], list[str]]:
    """Return the features of one chip, and what a table lists that its recordings deny."""
    shown: set[str] = set()
    for _, facts in gathered.recordings:
        shown |= listed(features, chip.arch, recorded(facts))
    by_table: set[str] = set()
    for silicon in gathered.tables:
        by_table |= listed(features, chip.arch, silicon.answer)
    denied = {name for name in by_table - shown if _denies(gathered, name, features)}
    return frozenset(shown | by_table - denied), sorted(denied)


def _unsure(gathered: Gathered, features: tuple[Feature, ...], found: frozenset[str]) -> str:
    """Return the line with what the recordings of a chip leave open; empty without recordings."""
    if not gathered.recordings:
        return ""
    asked = [f.id for f in features if f.id not in found and shown_by_cpuid(f)]
    left = [name for name in asked if not _denies(gathered, name, features)]
    return f"unsure = [{', '.join(chr(34) + name + chr(34) for name in sorted(left))}]\n"


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
        found, denied = features_of(chip, gathered[chip.codename], catalog.features)
        if denied:
            print(f"{chip.codename}: recordings deny {', '.join(denied)}", file=sys.stderr)
        if found:
            unsure = _unsure(gathered[chip.codename], catalog.features, found)
            lines = "".join(f'    "{name}",\n' for name in sorted(found))
            files.setdefault(chip.arch, []).append(
                f'[features."{chip.codename}"]\nlist = [\n{lines}]\n{unsure}'
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
