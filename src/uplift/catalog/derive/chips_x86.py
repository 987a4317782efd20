"""What Intel XED and LLVM say of each x86 chip's silicon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from uplift.catalog.derive.silicon import Silicon

#: Code name here to XED's chip.
XED_CHIPS = {
    "core2-merom": "MEROM",
    "core2-penryn": "PENRYN",
    "dunnington": "PENRYN",
    "lynnfield": "NEHALEM",
    "nehalem-ep": "NEHALEM",
    "bloomfield": "NEHALEM",
    "nehalem-ex": "NEHALEM",
    "westmere": "WESTMERE",
    "westmere-ep": "WESTMERE",
    "gulftown": "WESTMERE",
    "westmere-ex": "WESTMERE",
    "sandy-bridge": "SANDYBRIDGE",
    "sandy-bridge-ep": "SANDYBRIDGE",
    "sandy-bridge-e": "SANDYBRIDGE",
    "ivy-bridge": "IVYBRIDGE",
    "ivy-bridge-ep": "IVYBRIDGE",
    "ivy-bridge-e": "IVYBRIDGE",
    "haswell": "HASWELL",
    "haswell-ep": "HASWELL",
    "haswell-e": "HASWELL",
    "broadwell": "BROADWELL",
    "broadwell-ep": "BROADWELL",
    "broadwell-e": "BROADWELL",
    "broadwell-de": "BROADWELL",
    "skylake": "SKYLAKE",
    "kaby-lake": "SKYLAKE",
    "coffee-lake": "SKYLAKE",
    "comet-lake": "COMET_LAKE",
    "skylake-sp": "SKYLAKE_SERVER",
    "skylake-d": "SKYLAKE_SERVER",
    "skylake-w": "SKYLAKE_SERVER",
    "skylake-x": "SKYLAKE_SERVER",
    "cascade-lake": "CASCADE_LAKE",
    "cascade-lake-w": "CASCADE_LAKE",
    "cascade-lake-x": "CASCADE_LAKE",
    "cooper-lake": "COOPER_LAKE",
    "cannon-lake": "CANNONLAKE",
    "ice-lake": "ICE_LAKE",
    "ice-lake-sp": "ICE_LAKE_SERVER",
    "ice-lake-w": "ICE_LAKE_SERVER",
    "ice-lake-d": "ICE_LAKE_SERVER",
    "tiger-lake": "TIGER_LAKE",
    "sapphire-rapids": "SAPPHIRE_RAPIDS",
    "emerald-rapids": "EMERALD_RAPIDS",
    "granite-rapids": "GRANITE_RAPIDS",
    "granite-rapids-d": "GRANITE_RAPIDS",
    "diamond-rapids": "DIAMOND_RAPIDS",
    "lakefield": "LAKEFIELD",
    "alder-lake": "ALDER_LAKE",
    "arrow-lake-s": "ARROW_LAKE",
    "arrow-lake": "ARROW_LAKE",
    "lunar-lake": "ARROW_LAKE",
    "panther-lake": "PANTHER_LAKE",
    "nova-lake": "NOVA_LAKE",
    "bonnell": "BONNELL",
    "saltwell": "SALTWELL",
    "centerton": "SALTWELL",
    "silvermont": "SILVERMONT",
    "avoton": "SILVERMONT",
    "rangeley": "SILVERMONT",
    "goldmont": "GOLDMONT",
    "denverton": "GOLDMONT",
    "gemini-lake": "GOLDMONT_PLUS",
    "snow-ridge": "SNOW_RIDGE",
    "elkhart-lake": "TREMONT",
    "jasper-lake": "TREMONT",
    "sierra-forest": "SIERRA_FOREST",
    "clearwater-forest": "CLEARWATER_FOREST",
    "knights-landing": "KNL",
    "knights-mill": "KNM",
}

#: Microarchitecture here to LLVM's feature set.
LLVM_SETS = {
    "K10": "AMDFAM10",
    "Bobcat": "BTVER1",
    "Jaguar": "BTVER2",
    "Bulldozer": "BDVER1",
    "Piledriver": "BDVER2",
    "Steamroller": "BDVER3",
    "Excavator": "BDVER4",
    "Zen": "ZNVER1",
    "Zen+": "ZNVER1",
    "Zen 2": "ZNVER2",
    "Zen 3": "ZNVER3",
    "Zen 3+": "ZNVER3",
    "Zen 4": "ZNVER4",
    "Zen 4c": "ZNVER4",
    "Zen 5": "ZNVER5",
    "Zen 5c": "ZNVER5",
}
#: Chips that LLVM alone lists, with its set.
LLVM_INTEL = {"rocket-lake": "Rocketlake", "grand-ridge": "Sierraforest"}

#: Products made of another chip's die: what was recorded of that one holds for them.
SAME_DIE = {
    "milan-x": "milan",
    "trento": "milan",
    "genoa-x": "genoa",
    "siena": "bergamo",
    "snowy-owl": "naples",
    "ice-lake-d": "ice-lake-sp",
}

#: Chips whose XED list is another's: what none of that one's recordings shows is denied here too.
SIBLINGS = {
    "skylake-d": "skylake-sp",
    "skylake-w": "skylake-sp",
    "skylake-x": "skylake-sp",
    "cascade-lake-w": "cascade-lake",
    "cascade-lake-x": "cascade-lake",
    "cooper-lake": "cascade-lake",
}

#: Bits that the operating system switches on: no chip has them by itself.
_SYSTEM = {"cpuid.1.0.ecx": 27, "cpuid.7.0.ecx": 4}  # OSXSAVE, OSPKE
#: XED's server chips take in all of Alder Lake, HRESET included, which Granite Rapids' recording
#: lacks: its heirs have it from there and from nowhere else.
_NOT_INHERITED = {
    "granite-rapids-d": {"cpuid.7.1.eax": 22},
    "diamond-rapids": {"cpuid.7.1.eax": 22},
}

#: So many recordings without a feature are no accident of their firmware.
ENOUGH = 3
#: Firmware or microcode may switch these off: fewer recordings without them prove nothing.
SWITCHABLE = {
    "cpuid.1.0.ecx": frozenset((5, 6, 25)),  # VMX, SMX, AES
    "cpuid.7.0.ebx": frozenset((2, 4, 11, 25)),  # SGX, HLE, RTM, Processor Trace
    "cpuid.7.0.ecx": frozenset((13, 30)),  # TME, SGX launch control
    "cpuid.7.0.edx": frozenset((18,)),  # PCONFIG
}

_RECORD = re.compile(
    r"\w+\.([0-9a-f]+)\.([0-9a-f]+)\.(e[abcd]x)(?:\.|\[)(\d+)(?::(\d+))?\]?(?:=(\d+))?"
)


def read_xed(datafiles: Path, version: str) -> dict[str, Silicon]:
    """Read XED's chip lists and CPUID records: code name to silicon."""
    sets = _xed_chips(datafiles)
    records = _xed_records(datafiles)
    found = {}
    for codename, chip in XED_CHIPS.items():
        bits: dict[str, set[int]] = {}
        numbers: dict[str, int] = {}
        isa = _expand(chip, sets, frozenset())
        avx10 = any(name.startswith("AVX10") for name in isa)
        for name in isa:
            for group, record in records.get(name, ()):
                if group == "AVX10" and not avx10:
                    continue
                fact, low, value = record
                if value:
                    numbers[fact] = max(numbers.get(fact, 0), value)
                else:
                    bits.setdefault(fact, set()).add(low)
        for fact, bit in (*_SYSTEM.items(), *_NOT_INHERITED.get(codename, {}).items()):
            bits.get(fact, set()).discard(bit)
        source = f"intelxed/xed {version} datafiles ({chip})"
        found[codename] = Silicon(source, {k: frozenset(v) for k, v in bits.items()}, {}, numbers)
    return found


def _xed_chips(datafiles: Path) -> dict[str, tuple[str, ...]]:
    chips: dict[str, tuple[str, ...]] = {}
    for file in sorted(datafiles.rglob("*chips*.txt")):
        text = re.sub(r"#.*", "", file.read_text())
        text = re.sub(r"\\\s*\n", " ", text)
        for name, words in re.findall(r"^\s*([A-Z0-9_]+)\s*:(.*)$", text, re.MULTILINE):
            chips[name] = tuple(words.split())
    return chips


def _expand(
    chip: str, chips: Mapping[str, tuple[str, ...]], above: frozenset[str]
) -> frozenset[str]:
    found: set[str] = set()
    for word in chips.get(chip, ()) if chip not in above else ():
        if match := re.fullmatch(r"ALL_OF\((\w+)\)", word):
            found |= _expand(match[1], chips, above | {chip})
        elif match := re.fullmatch(r"NOT\((\w+)\)", word):
            found.discard(match[1])
        else:
            found.add(word)
    return frozenset(found)


def _xed_records(datafiles: Path) -> dict[str, list[tuple[str, tuple[str, int, int]]]]:
    records: dict[str, list[tuple[str, tuple[str, int, int]]]] = {}
    for file in sorted(datafiles.rglob("*cpuid*.txt")):
        for line in file.read_text().splitlines():
            match = re.match(r"\s*XED_ISA_SET_(\w+)\s*(?:,\s*(\w+))?\s*:(.*)", line.split("#")[0])
            if match:
                found = records.setdefault(match[1], [])
                found.extend((match[2] or "", record) for record in _fields(match[3]))
    return records


def _fields(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield fact, lowest bit and, where the record gives one, the field's value."""
    for match in _RECORD.finditer(text):
        leaf, subleaf, register, low, _, value = match.groups()
        fact = f"cpuid.{leaf.lower()}.{int(subleaf, 16):x}.{register}"
        yield fact, int(low), int(value or 0)


def read_llvm(llvm: Path, version: str) -> dict[str, Silicon]:
    """Read LLVM's feature sets: set name to silicon."""
    base = llvm / "lib" / "TargetParser"
    text = (base / "X86TargetParser.cpp").read_text()
    sets = {
        name: re.findall(r"\b(Features?\w+)\b", body)
        for name, body in re.findall(r"FeatureBitset (Features\w+)\s*=\s*(.*?);", text, re.DOTALL)
    }
    where = _host_bits((base / "Host.cpp").read_text())
    spelled = _spelling((llvm / "include/llvm/TargetParser/X86TargetParser.def").read_text())
    source = f"llvm {version} llvm/lib/TargetParser/X86TargetParser.cpp"
    found = {}
    for name in sets:
        bits: dict[str, set[int]] = {}
        for feature in _expand_llvm(name, sets):
            for fact, bit in where.get(spelled.get(feature[7:], ""), ()):
                if _SYSTEM.get(fact) != bit:
                    bits.setdefault(fact, set()).add(bit)
        short = name[8:]
        frozen = {fact: frozenset(numbers) for fact, numbers in bits.items()}
        found[short] = Silicon(f"{source} ({short})", frozen, {}, {})
    return found


def _expand_llvm(name: str, sets: Mapping[str, list[str]]) -> frozenset[str]:
    found: set[str] = set()
    for word in sets.get(name, ()):
        found |= _expand_llvm(word, sets) if word in sets else {word}
    return frozenset(found)


def _spelling(definitions: str) -> dict[str, str]:
    """Return LLVM's identifier of a feature to its option's name: ``AVX512BW`` to ``avx512bw``."""
    pairs = re.findall(r"X86_FEATURE(?:_COMPAT)?\s*\((\w+),\s*\"([\w.+-]+)\"", definitions)
    return dict(pairs)


def _host_bits(host: str) -> dict[str, list[tuple[str, int]]]:
    """Read which CPUID bit LLVM takes a feature's name from."""
    body = host[host.index("sys::getHostCPUFeatures() {") :]
    leaf, found = (0, 0), dict[str, list[tuple[str, int]]]()
    pattern = re.compile(
        r"getX86CpuIDAndInfo(?:Ex)?\((0x[0-9a-fA-F]+|\d+), (?:(0x[0-9a-fA-F]+|\d+), )?&"
        r"|Features\[\"([\w.-]+)\"\]\s*=([^;]*);"
    )
    for match in pattern.finditer(body):
        number, subleaf, name, value = match.groups()
        if number:
            leaf = (int(number, 0), int(subleaf or "0", 0))
            continue
        for register, bit in re.findall(r"(E[A-D]X) >>\s*(\d+)", value):
            fact = f"cpuid.{leaf[0]:x}.{leaf[1]:x}.{register.lower()}"
            found.setdefault(name, []).append((fact, int(bit)))
    found.setdefault("avx", [("cpuid.1.0.ecx", 28)])
    return found
