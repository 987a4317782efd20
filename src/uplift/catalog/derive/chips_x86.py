"""What Intel XED and LLVM say of each x86 chip's silicon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from uplift.catalog.derive.silicon import Said, Silicon

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
#: Intel's chips here to LLVM's feature set.
LLVM_INTEL = {
    "rocket-lake": "Rocketlake",
    "cooper-lake": "CooperLake",
    "ice-lake-w": "ICLServer",
    "granite-rapids": "GraniteRapids",
    "diamond-rapids": "DiamondRapids",
    "snow-ridge": "Tremont",
    "grand-ridge": "Sierraforest",
    "sierra-forest": "Sierraforest",
    "clearwater-forest": "Clearwaterforest",
    "panther-lake": "Pantherlake",
    "wildcat-lake": "Pantherlake",
    "nova-lake": "Novalake",
}
#: Chips here to GCC's; by code name, else by microarchitecture.
GCC_CHIPS = {
    "cooper-lake": "COOPERLAKE",
    "ice-lake-w": "ICELAKE_SERVER",
    "granite-rapids": "GRANITERAPIDS",
    "granite-rapids-d": "GRANITERAPIDS_D",
    "diamond-rapids": "DIAMONDRAPIDS",
    "sapphire-rapids": "SAPPHIRERAPIDS",
    "emerald-rapids": "SAPPHIRERAPIDS",
    "ice-lake-sp": "ICELAKE_SERVER",
    "cascade-lake": "CASCADELAKE",
    "skylake-sp": "SKYLAKE_AVX512",
    "haswell-ep": "HASWELL",
    "broadwell-ep": "BROADWELL",
    "alder-lake": "ALDERLAKE",
    "arrow-lake-s": "ARROWLAKE_S",
    "lunar-lake": "ARROWLAKE_S",
    "snow-ridge": "TREMONT",
    "elkhart-lake": "TREMONT",
    "grand-ridge": "GRANDRIDGE",
    "sierra-forest": "SIERRAFOREST",
    "clearwater-forest": "CLEARWATERFOREST",
    "panther-lake": "PANTHERLAKE",
    "wildcat-lake": "PANTHERLAKE",
    "nova-lake": "NOVALAKE",
    "Zen": "ZNVER1",
    "Zen 2": "ZNVER2",
    "Zen 3": "ZNVER3",
    "Zen 4": "ZNVER4",
    "Zen 5": "ZNVER5",
    "Zen 5c": "ZNVER5",
    "Zen 6": "ZNVER6",
}
#: What a feature of LLVM says of the version in CPUID leaf 0x24.
_AVX10 = {"FeatureAVX10_1": 1, "FeatureAVX10_2": 2}

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
#: XED has a list of their elder sibling only: it denies nothing of them.
_BY_ANOTHERS_LIST = frozenset({"granite-rapids-d"})
_AVX10_VERSION = "cpuid.24.0.ebx"
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
    speaks = frozenset(
        (fact, bit)
        for groups in records.values()
        for _, (fact, bit, value) in groups
        if not value and _SYSTEM.get(fact) != bit
    )
    found = {}
    for codename, chip in XED_CHIPS.items():
        bits: dict[str, set[int]] = {}
        numbers: dict[str, int] = {}
        isa = _expand(chip, sets, frozenset())
        for name in isa:
            for fact, low, value in _first_way(records.get(name, ())):
                if value:
                    numbers[fact] = max(numbers.get(fact, 0), value)
                else:
                    bits.setdefault(fact, set()).add(low)
        for fact, bit in (*_SYSTEM.items(), *_NOT_INHERITED.get(codename, {}).items()):
            bits.get(fact, set()).discard(bit)
        source = f"intelxed/xed {version} datafiles ({chip})"
        if codename not in _BY_ANOTHERS_LIST:
            numbers.setdefault(_AVX10_VERSION, 0)
        frozen = {k: frozenset(v) for k, v in bits.items()}
        denies = frozenset[Said]() if codename in _BY_ANOTHERS_LIST else speaks
        found[codename] = Silicon(source, frozen, {}, numbers, speaks=denies)
    return found


def _first_way(
    records: Iterable[tuple[str, tuple[str, int, int]]],
) -> Iterator[tuple[str, int, int]]:
    """Yield the bits of a set's first group: the others are other ways to enumerate it.

    ACE's bit, for one, stands there as another way to have AMX-AVX512.
    """
    records = list(records)
    first = "" if any(not group for group, _ in records) else records[0][0] if records else ""
    yield from (record for group, record in records if group == first)


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
        name: re.findall(r"(\^?)\s*\b(Features?\w+)\b", body)
        for name, body in re.findall(r"FeatureBitset (Features\w+)\s*=\s*(.*?);", text, re.DOTALL)
    }
    sets |= _implied_by_llvm(text)
    where = _host_bits((base / "Host.cpp").read_text())
    spelled = _spelling((llvm / "include/llvm/TargetParser/X86TargetParser.def").read_text())
    source = f"llvm {version} llvm/lib/TargetParser/X86TargetParser.cpp"
    found = {}
    known = frozenset().union(*(_expand_llvm(name, sets) for name in sets))
    speaks = frozenset(_llvm_bits(known, where, spelled))
    for name in (name for name in sets if name.startswith("Features")):
        bits: dict[str, set[int]] = {}
        features = _expand_llvm(name, sets)
        for fact, bit in _llvm_bits(features, where, spelled):
            bits.setdefault(fact, set()).add(bit)
        short = name[8:]
        frozen = {fact: frozenset(numbers) for fact, numbers in bits.items()}
        version_of_avx10 = max((_AVX10.get(feature, 0) for feature in features), default=0)
        found[short] = Silicon(
            f"{source} ({short})", frozen, {}, {_AVX10_VERSION: version_of_avx10}, speaks=speaks
        )
    return found


def _llvm_bits(
    features: Iterable[str],
    where: Mapping[str, list[tuple[str, int]]],
    spelled: Mapping[str, str],
) -> Iterator[tuple[str, int]]:
    for feature in features:
        for fact, bit in where.get(spelled.get(feature[7:], ""), ()):
            if _SYSTEM.get(fact) != bit:
                yield fact, bit


def _expand_llvm(name: str, sets: Mapping[str, list[tuple[str, str]]]) -> frozenset[str]:
    """Return the features of a set; ``^`` before one takes it away again."""
    found: set[str] = set() if name.startswith("Features") else {name}
    for sign, word in sets.get(name, ()):
        part = frozenset({word}) if sign else _expand_llvm(word, sets)
        found = found - part if sign else found | part
    return frozenset(found)


def _implied_by_llvm(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return what each single feature of LLVM implies, as sets are written."""
    return {
        f"Feature{name}": [("", word) for word in re.findall(r"\b(Feature[A-Z0-9]\w*)", body)]
        for name, body in re.findall(r"ImpliedFeatures(\w+)\s*=\s*([^;]*);", text)
        if name != f"Feature{name}"
    }


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
    for name in ("avx10.1", "avx10.2"):
        found.setdefault(name, [("cpuid.7.1.edx", 19)])
    for name in ("egpr", "zu", "ccmp", "push2pop2", "ppx", "ndd", "nf"):
        found.setdefault(name, [("cpuid.7.1.edx", 21)])
    return found


def read_gcc(gcc: Path, version: str) -> dict[str, Silicon]:
    """Read GCC's sets of x86 processors (``PTA_…``): name to silicon."""
    path = "gcc/config/i386/i386.h"
    where = _gcc_bits(gcc / "gcc")
    sets = {
        name: body
        for name, body in re.findall(
            r"wide_int_bitmask PTA_(\w+)\s*=\s*([^;]*);", (gcc / path).read_text(), re.DOTALL
        )
        if "PTA_" in body
    }
    speaks = frozenset(bit for bits in where.values() for bit in bits)
    found = {}
    for name in sets:
        features = _expand_gcc(name, sets)
        bits: dict[str, set[int]] = {}
        for feature in features:
            for fact, bit in where.get(feature, ()):
                bits.setdefault(fact, set()).add(bit)
        version_of_avx10 = max((_AVX10.get(f"Feature{f}", 0) for f in features), default=0)
        found[name] = Silicon(
            f"gcc {version} {path} ({name})",
            {fact: frozenset(numbers) for fact, numbers in bits.items()},
            {},
            {_AVX10_VERSION: version_of_avx10},
            speaks=speaks,
        )
    return found


def _expand_gcc(name: str, sets: Mapping[str, str]) -> frozenset[str]:
    """Return the features of a set; what stands after ``~`` is taken away again."""
    body = sets.get(name)
    if body is None:
        return frozenset({name})
    removed = " ".join(re.findall(r"~\s*(?:\([^)]*\)|PTA_\w+)", body))
    kept = re.sub(r"~\s*(?:\([^)]*\)|PTA_\w+)", "", body)
    found = frozenset[str]().union(
        *(_expand_gcc(word, sets) for word in re.findall(r"PTA_(\w+)", kept) if word != name)
    )
    return found - frozenset(re.findall(r"PTA_(\w+)", removed))


def _gcc_bits(gcc: Path) -> dict[str, list[tuple[str, int]]]:
    """Read which CPUID bit GCC's run-time library takes a feature's name from."""
    numbers = {
        name: int(bit)
        for name, bit in re.findall(
            r"#define bit_(\w+)\s+\(\s*1u?\s*<<\s*(\d+)\s*\)",
            (gcc / "config/i386/cpuid.h").read_text(),
        )
    }
    text = (gcc / "common/config/i386/cpuinfo.h").read_text()
    leaf, found = (1, 0), dict[str, list[tuple[str, int]]]()
    pattern = re.compile(
        r"__cpuid(?:_count)? \((0x[0-9a-fA-F]+|\d+),(?: (0x[0-9a-fA-F]+|\d+),)?"
        r"|(e[abcd]x) & bit_(\w+)\)\s*set_feature \(FEATURE_(\w+)\)"
    )
    for number, subleaf, register, bit, feature in pattern.findall(
        text[text.index("#define set_feature") :]
    ):
        if number:
            leaf = (int(number, 0), int(subleaf or "0", 0))
        elif bit in numbers:
            fact = f"cpuid.{leaf[0]:x}.{leaf[1]:x}.{register}"
            if _SYSTEM.get(fact) != numbers[bit]:
                found.setdefault(feature, []).append((fact, numbers[bit]))
    for feature in ("AVX10_1", "AVX10_2"):
        found[feature] = [("cpuid.7.1.edx", 19)]
    return found
