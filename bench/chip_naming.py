"""Name every recorded machine, and compare with the name its own file carries.

    python bench/chip_naming.py archspec TARGETS [MICROARCHITECTURES.json]
    python bench/chip_naming.py instlatx64 DIRECTORY [--all]

``archspec``: the 52 machines of archspec-json ``tests/targets``. A file's name says what archspec
expects: the microarchitecture, or, where flags are masked, the best one whose features are all
there. Both are compared: the chip's archspec name, and what is left of it.

``instlatx64``: CPUID dumps named by processor (no licence, so not shipped): the file's name carries
a code name, which must be ours; servers only, unless ``--all``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Chip
from uplift.errors import UpliftError
from uplift.facts.imports import archspec, instlatx64
from uplift.facts.model import Facts
from uplift.facts.parsers import read_facts
from uplift.resolve.chip import identify, judge_silicon
from uplift.resolve.model import ChipIdentity

#: What InstLatx64 calls a part, and the code names here that mean it.
ALIASES = {
    "Hygon": ("dhyana", "hygon-3000", "hygon-4g"),
    "ICX": ("ice-lake-sp", "ice-lake-d"),
    "Zen": ("naples", "snowy-owl", "summit-ridge", "whitehaven", "raven-ridge", "fenghuang"),
    "Zen2": ("summit-ridge", "naples"),
    "Zen3": ("summit-ridge", "naples"),
    "ZenP": ("pinnacle-ridge", "colfax"),
    "ZenP2": ("pinnacle-ridge", "colfax"),
    "ZenP3": ("pinnacle-ridge", "colfax"),
    "TurinD": ("turin-dense",),
    "SkylakeXeon": ("skylake-sp", "skylake-w"),
    "CascadeLakeXeon": ("cascade-lake",),
    "CascadeLakeXeon2": ("cascade-lake",),
    "Beckton": ("nehalem-ex",),
    "Eagleton": ("westmere-ex",),
    "Nehalem": ("nehalem-ep", "lynnfield"),
    "GallatinDP": ("gallatin",),
    "Piledriver": ("trinity",),
    "Bulldozer": ("zambezi", "interlagos"),
    "Nehalem-DP": ("nehalem-ep",),
    "Gulftown": ("westmere-ep", "gulftown"),
    "Lisbon": ("lisbon",),
    "HaswellXeon": ("haswell",),
    "IvyBridgeWS": ("ivy-bridge",),
    "SandyBridgeE": ("sandy-bridge-e", "sandy-bridge-ep"),
    "HaswellE2": ("haswell-e",),
    "HaswellEP2": ("haswell-ep",),
    "BroadwellE": ("broadwell-e", "broadwell-ep"),
    "RocketLakeE": ("rocket-lake",),
    "Interlagos": ("interlagos",),
    "KnightsLanding": ("knights-landing",),
    "ArrowLakeH": ("arrow-lake",),
    "ArrowLake": ("arrow-lake-s",),
    "ArrowLakeHX": ("arrow-lake-s",),
    "ArrowLakeR": ("arrow-lake-s",),
}

#: Dumps whose file name is not the code name of what was recorded, and why.
EXPLAINED = {
    "AuthenticAMD0830F10_K17_Rome_CPUID6": "Threadripper PRO 3000WX on Rome's dies: Castle Peak",
    "AuthenticAMD0830F10_K17_Rome_CPUID7": "Threadripper PRO 3000WX on Rome's dies: Castle Peak",
    "GenuineIntel00106A4_Bloomfield_CPUID": "a sample without a brand: Nehalem-EP or Bloomfield",
    "GenuineIotel00306C3_Haswell_CPUID5": "its vendor string is GenuineIotel",
    "AuthenticAMD0600F01_X1_x64_CPUID": "the Xbox One's hypervisor hides the brand",
}


def machines_archspec(directory: Path) -> Iterator[tuple[str, str, Facts]]:
    """Yield file name, expected name and facts of each target."""
    for file in sorted(directory.iterdir()):
        if file.suffix == ".md":
            continue
        facts = read_facts(archspec.load(file.name, file.read_bytes()))
        yield file.name, file.name.rpartition("-")[2], facts


def usable(name: str, flags: frozenset[str], table: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return ``name``, or the best of its ancestors whose features are all among ``flags``."""

    def ancestors(entry: str) -> Iterator[str]:
        for parent in table[entry]["from"]:
            yield parent
            yield from ancestors(parent)

    family = dict.fromkeys((name, *ancestors(name)))
    fits = [entry for entry in family if set(table[entry]["features"]) <= flags]
    return max(fits, key=lambda entry: len(table[entry]["features"]), default=name)


def bench_archspec(directory: Path, table_file: Path | None) -> int:
    """Print the table for archspec's machines; return how many names differ."""
    catalog = load_catalog()
    by_name: dict[str, Chip] = {chip.codename: chip for chip in catalog.chips}
    table = {}
    if table_file:
        table = json.loads(table_file.read_text())["microarchitectures"]
    right = same = total = 0
    for file, expected, facts in machines_archspec(directory):
        identity = identify(facts, catalog.chips, judge_silicon(facts, catalog.features))
        chip = by_name.get(identity.codename)
        name = (chip.archspec if chip else "") or "-"
        flags = facts.value("cpuinfo.flags")
        left = name
        if name in table and isinstance(flags, frozenset) and facts.value("cpuinfo.family"):
            left = usable(name, flags, table)
        ok = expected.replace("le", "") in (name, left) or expected in (name, left)
        total, right, same = total + 1, right + ok, same + (expected == name)
        mark = "ok " if ok else "NO "
        print(f"{mark} {file:36} {identity.codename:18} {name:16} {left:16} {identity.confidence}")
    print(f"{right}/{total} as archspec expects; {same} by the chip's own name")
    return total - right


def machines_instlatx64(directory: Path) -> Iterator[tuple[str, str, Facts]]:
    """Yield file name, code name and facts of each dump whose name carries a code name."""
    pattern = re.compile(r"^(?:Authentic|Genuine|Hygon)\w*?[0-9A-F]{7}_(?:K\d+_)?([\w-]+?)_?CPUID")
    for file in sorted(directory.rglob("*CPUID*.txt")):
        found = pattern.match(file.name)
        if not found:
            continue
        name = re.sub(r"(_\d+v?)+$|_BC.*|_LC.*|_Jintide|^P4(EE)?_|_DDR\d", "", found[1])
        try:
            yield file.name, name, read_facts(instlatx64.load(file.name, file.read_bytes()))
        except UpliftError as error:
            print(f"!!  {file.name}: {error.cause}")


def agrees(identity: ChipIdentity, chip: Chip | None, name: str) -> bool:
    """Whether ``name`` means the chip: an alias, its code name, or a word of its title."""

    def letters(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    wanted = letters(name)
    spoken = [identity.codename, *(chip.title.split(",") if chip else [])]
    inner = re.findall(r"[\w-]+(?: [A-Z]\w+)?", chip.title) if chip else []
    near = {letters(text) for text in (*spoken, *inner)}
    near |= {f"{text}{tail}" for text in near for tail in ("sp", "ep")}
    return wanted in near or identity.codename in ALIASES.get(name, ())


def bench_instlatx64(directory: Path, everything: bool) -> int:
    """Print the table for InstLatx64's dumps; return how many names differ."""
    catalog = load_catalog()
    by_name = {chip.codename: chip for chip in catalog.chips}
    right = total = 0
    for file, name, facts in machines_instlatx64(directory):
        identity = identify(facts, catalog.chips, judge_silicon(facts, catalog.features))
        if not everything and identity.segment != "server" and not says_server(facts):
            continue
        ok = agrees(identity, by_name.get(identity.codename), name)
        lacks = ", ".join(d.feature for d in identity.differs if d.expected)
        mark = "ok " if ok else "NO "
        if not ok and file[:-4] in EXPLAINED:
            print(f"--  {file[:-4]:56} {identity.codename}: {EXPLAINED[file[:-4]]}")
            continue
        total, right = total + 1, right + ok
        brand = facts.value("cpuid.brand")
        print(
            f"{mark} {file[:-4]:56} {identity.codename:18} {identity.segment:8} {brand} "
            f"{'lacks ' + lacks if lacks else ''}"
        )
    print(f"{right}/{total} named as their files are")
    return total - right


def says_server(facts: Facts) -> bool:
    """Whether the brand is one of servers."""
    brand = str(facts.value("cpuid.brand")).lower()
    return any(word in brand for word in ("xeon", "epyc", "opteron"))


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    if len(arguments) < 2 or arguments[0] not in ("archspec", "instlatx64"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[1])
    if arguments[0] == "instlatx64":
        return min(1, bench_instlatx64(directory, "--all" in arguments))
    table = Path(arguments[2]) if len(arguments) > 2 else None
    return min(1, bench_archspec(directory, table))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
