"""Write which ISA sets each architecture level has, from LLVM's description of the levels.

Run by hand: ``python -m tools.isa.level_sets AArch64.json RISCV.json --source "LLVM 23.1.1"``,
with the output of ``llvm-tblgen --dump-json``. It writes ``data/aarch64-levels.csv`` (armv8-a to
armv9.7-a) and ``data/riscv-levels.csv`` (the RVA and RVB profiles): one row per level and set,
under the names of the classes; sets that have no instruction of their own are left out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.isa.class_names import classes
from tools.isa.aarch64_tables import FEATURES, FINER, SETS
from tools.isa.decoder_data import ROOM

Facts = dict[str, Any]
#: What one of LLVM's features means beyond the set that its predicate names.
FURTHER = {
    "FullFP16": ("fphp", "asimdhp"), "SpecRestrict": ("csv2-2",),
    "TLB_RMI": ("tlbios", "tlbirange"),
    "PredRes": ("predres",), "SPECRES2": ("predres2",), "BranchTargetId": ("bti",),
    "SVE2": ("sve2",), "CLRBHB": ("clrbhb",), "CHK": ("chk",), "DGH": ("dgh",),
}  # fmt: skip
#: What GCC and LLVM give a level beyond what it implies (GCC manual, AArch64 options).
BY_COMPILERS = {
    "armv9-a": ("sve", "sve2", "fphp", "asimdhp"), "armv9.4-a": ("sve2p1",),
    "armv9.5-a": ("faminmax", "lut"),
}  # fmt: skip
#: One name of Linux for two features together.
TOGETHER = {"svebf16": ("sve", "bf16"), "svei8mm": ("sve", "i8mm"), "sve+cpa": ("sve", "cpa")}
#: RISC-V shorthands for several extensions.
RISCV_GROUPS = {"b": ("zba", "zbb", "zbs"), "v": ("v",), "zvbb": ("zvbb", "zvkb")}


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("aarch64", type=Path)
    parser.add_argument("riscv", type=Path)
    parser.add_argument("--source", required=True)
    options = parser.parse_args()
    arm = aarch64_levels(json.loads(options.aarch64.read_text()))
    write("aarch64", options.source, arm)
    write("riscv", options.source, riscv_levels(json.loads(options.riscv.read_text())))


def aarch64_levels(facts: Facts) -> dict[str, set[str]]:
    """Sets by level; each level has those that it implies."""
    by_feature = sets_by_feature(facts)
    levels = {}
    for name in facts["!instanceof"]["SubtargetFeature"]:
        version = re.fullmatch(r"HasV([89])_(\d)aOps", name)
        if version:
            minor = "" if version[2] == "0" else f".{version[2]}"
            implied = implied_features(facts, name)
            levels[f"armv{version[1]}{minor}-a"] = {
                s for f in implied for s in by_feature.get(f, ())
            }
    for since, sets in BY_COMPILERS.items():
        for level, found in levels.items():
            if since <= level:
                found.update(sets)
    return levels


def sets_by_feature(facts: Facts) -> dict[str, set[str]]:
    """Our sets for each of LLVM's features, by the predicates that ask for it alone."""
    found: dict[str, set[str]] = {}
    for predicate, needs in SETS.items():
        asked = facts.get(predicate, {}).get("AssemblerCondDag") or {"printable": ""}
        names = set(re.findall(r"Feature(\w+)", asked["printable"])) - {"All"}
        if needs and len(names) == 1:
            found.setdefault(names.pop(), set()).add(needs)
    for feature, needs in FEATURES.items():
        found.setdefault(feature, set()).add(needs)
    for feature, several in FURTHER.items():
        found.setdefault(feature, set()).update(several)
    for coarse, _, fine in FINER:
        for sets in found.values():
            if coarse in sets and coarse:
                sets.add(fine)
    return found


def implied_features(facts: Facts, name: str) -> set[str]:
    """The features that a level implies, its own and those of what it implies."""
    found: set[str] = set()
    todo = [name]
    while todo:
        for implied in facts[todo.pop()]["Implies"]:
            feature = implied["def"].removeprefix("Feature")
            if feature not in found:
                found.add(feature)
                todo.append(implied["def"])
    return found


def riscv_levels(facts: Facts) -> dict[str, set[str]]:
    """Sets by profile for RV64."""
    levels = {"rv64gc": set[str]()}
    for profile in facts["!instanceof"]["RISCVProfile"]:
        if profile.endswith("64"):
            levels[facts[profile]["Name"]] = set(extensions(implied_features(facts, profile)))
    return levels


def extensions(features: Iterable[str]) -> Iterator[str]:
    """Our sets for LLVM's names of extensions."""
    for feature in features:
        name = feature.removeprefix("StdExt").lower()
        yield from RISCV_GROUPS.get(name, (name,))


def write(arch: str, source: str, levels: Mapping[str, set[str]]) -> None:
    """Write the rows of one architecture."""
    known = {name.set for name in classes(arch).values()}
    parts = {k: set(TOGETHER.get(k, k.split("+"))) for k in known}
    rows = [f"# Facts (features of levels) from {source}; made by tools/isa, do not edit."]
    rows += ["level,set"]
    for level, sets in sorted(levels.items()):
        rows += [f"{level},{k}" for k in sorted(known) if parts[k] <= sets | {"base"}]
    (ROOM / "data" / f"{arch}-levels.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
