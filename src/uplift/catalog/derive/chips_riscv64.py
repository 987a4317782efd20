"""What the profiles, GCC and LLVM say of RISC-V silicon.

A profile's mandatory extensions are what every part that claims it has; what it leaves optional is
not known of such a part. Compilers list what a named core has for them to use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uplift.catalog.derive.silicon import Said, Silicon

#: Code name here to the compilers' core.
CORES = {
    "u54": "sifive-u54",
    "u74": "sifive-u74",
    "p450": "sifive-p450",
    "p470": "sifive-p470",
    "p550": "sifive-p550",
    "p670": "sifive-p670",
    "p870": "sifive-p870",
    "x280": "sifive-x280",
    "x390": "sifive-x390",
    "x60": "spacemit-x60",
    "c906-c910": "thead-c906",
    "c908": "xt-c908",
    "c910-v2": "xt-c910v2",
    "c920": "xt-c920",
    "c920-v2": "xt-c920v2",
    "ascalon": "tt-ascalon-d8",
    "veyron-v1": "veyron-v1",
    "xiangshan-nanhu": "xiangshan-nanhu",
    "xiangshan-kunminghu": "xiangshan-kunminghu",
    "p8700": "mips-p8700",
}
#: Code name here to the profile that a part of it claims.
PROFILES = {"rva23": "RVA23S64", "rva22": "RVA22S64"}
_ISA = "riscv.isa"
#: What compilers emit of their own accord, so that a core's list would name it. Of the privileged
#: extensions a compiler's list says nothing: it names those of a profile or none.
_EMITTED = frozenset({"v", "zba", "zbb", "zbs", "zicond", "zfa", "zfh", "zvfh", "zvbb"})
#: ``b`` and these stand for several: riscv-isa-manual, chapters B, Zk and Zvk.
_GROUPS = {
    "b": "zba zbb zbs",
    "zkn": "zbkb zbkc zbkx zkne zknd zknh",
    "zks": "zbkb zbkc zbkx zksed zksh",
    "zvkn": "zvkned zvknhb zvkb zvkt",
    "zvknc": "zvkn zvbc",
    "zvkng": "zvkn zvkg",
    "zvks": "zvksed zvksh zvkb zvkt",
    "zvksc": "zvks zvbc",
    "zvksg": "zvks zvkg",
    "zvknhb": "zvknha",
    "zvbb": "zvkb",
    "zvfh": "zvfhmin",
    "zfh": "zfhmin",
    "zvfbfwma": "zvfbfmin",
    "sha": "h",
    "zicfiss": "zimop",
    "zcmop": "zca",
}


def read_profiles(root: Path, version: str) -> dict[str, Silicon]:
    """Read the unified database's profiles: name to the extensions that are mandatory."""
    place = "spec/std/isa/profile"
    found = {}
    for file in sorted((root / place).glob("*.yaml")):
        mandatory = {
            name.lower()
            for name, entry in _profile(root / place, file.stem).items()
            if isinstance(entry, Mapping) and entry.get("presence") == "mandatory"
        }
        source = f"riscv-unified-db {version} {place}/{file.name}"
        found[file.stem] = _silicon(source, mandatory, frozenset())
    return found


def _profile(place: Path, name: str) -> dict[str, Any]:
    """Return a profile's extensions with what it inherits; a later entry wins."""
    import yaml  # noqa: PLC0415  only who derives from the profiles needs it

    own: dict[str, Any] = yaml.safe_load((place / f"{name}.yaml").read_text()).get("extensions", {})
    inherits = own.get("$inherits", ())
    found: dict[str, Any] = {}
    for reference in (inherits,) if isinstance(inherits, str) else inherits:
        found |= _profile(place, Path(reference.partition("#")[0]).stem)
    removed = own.get("$remove", ())
    for gone in (removed,) if isinstance(removed, str) else removed:
        found.pop(gone, None)
    return found | {key: entry for key, entry in own.items() if not key.startswith("$")}


def _silicon(source: str, extensions: Iterable[str], speaks: frozenset[Said]) -> Silicon:
    return Silicon(source, {}, {_ISA: _with_parts(extensions)}, {}, speaks=speaks)


def _with_parts(extensions: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    waiting = set(extensions)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= set(_GROUPS.get(name, "").split())
    return frozenset(found)


def read_gcc(gcc: Path, version: str) -> dict[str, Silicon]:
    """Read GCC's RISC-V cores: GCC's name to the extensions of its ISA string."""
    base = gcc / "gcc" / "config" / "riscv"
    profiles = _gcc_strings((base / "riscv-profiles.def").read_text(), "PROFILE")
    cores = _gcc_strings((base / "riscv-cores.def").read_text(), "CORE")
    listed = {name: _split(isa, profiles) for name, isa in cores.items() if "rv32" not in isa}
    speaks = _spoken_of(listed.values())
    source = f"gcc {version} gcc/config/riscv/riscv-cores.def"
    return {name: _silicon(f"{source} ({name})", has, speaks) for name, has in listed.items()}


def _gcc_strings(text: str, what: str) -> dict[str, str]:
    rows = re.findall(rf"^RISCV_{what}\(\"([\w-]+)\",((?:\s*\"[^\"]*\")+)", text, re.MULTILINE)
    return {name: "".join(re.findall(r"\"([^\"]*)\"", strings)) for name, strings in rows}


def _split(isa: str, profiles: Mapping[str, str]) -> frozenset[str]:
    first, *longer = isa.split("_")
    if first in profiles:
        return _split(profiles[first], {}) | frozenset(longer)
    return frozenset(first[4:]) | frozenset(longer) - {""}


def read_llvm(llvm: Path, version: str) -> dict[str, Silicon]:
    """Read LLVM's RISC-V cores: LLVM's name to the extensions of its features."""
    base = llvm / "lib" / "Target" / "RISCV"
    lists = dict(
        re.findall(r"defvar (\w+Features)\s*=\s*([^;]*);", (base / "RISCVProfiles.td").read_text())
    )
    text = (base / "RISCVProcessors.td").read_text()
    cores = re.findall(
        r"RISCVProcessorModel<\"([\w-]+)\",\s*\w+,\s*(!listconcat\(.*?\]\)|\[.*?\])",
        text,
        re.DOTALL,
    )
    listed = {
        name: frozenset(_llvm_extensions(body, lists))
        for name, body in cores
        if "Feature32Bit" not in body
    }
    speaks = _spoken_of(listed.values())
    source = f"llvm {version} llvm/lib/Target/RISCV/RISCVProcessors.td"
    return {name: _silicon(f"{source} ({name})", has, speaks) for name, has in listed.items()}


def _llvm_extensions(body: str, lists: Mapping[str, str]) -> set[str]:
    found = {name.lower() for name in re.findall(r"FeatureStdExt(\w+)", body)}
    for name in re.findall(r"\b(\w+Features)\b", body):
        found |= _llvm_extensions(lists.get(name, ""), lists)
    return found


def _spoken_of(listed: Iterable[Iterable[str]]) -> frozenset[Said]:
    named = {name for has in listed for name in _with_parts(has)}
    return frozenset((_ISA, name) for name in named & _EMITTED)
