"""What GCC and LLVM say of each arm64 core's silicon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from uplift.catalog.derive.silicon import Said, Silicon

#: Code name here to GCC's core; where they are not the same.
GCC_CORES = {
    "graviton": "cortex-a72",
    "graviton2": "neoverse-n1",
    "altra": "neoverse-n1",
    "graviton3": "neoverse-v1",
    "graviton4": "neoverse-v2",
    "axion": "neoverse-v2",
    "axion-n3": "neoverse-n3",
    "yitian-710": "neoverse-n2",
    "graviton5": "neoverse-v3",
    "cobalt-200": "neoverse-v3",
    "ampere-one": "ampere1",
    "ampere-one-a": "ampere1a",
    "ampere-one-b": "ampere1b",
    "ampere-one-c": "ampere1c",
    "kunpeng-920": "tsv110",
    "kunpeng-950": "hip12",
    "monaka": "fujitsu-monaka",
    "thunderx2": "thunderx2t99",
    "thunderx3": "thunderx3t110",
    "oryon": "oryon-1",
}
#: Code name here to LLVM's core; where it is not GCC's.
LLVM_CORES = {
    "kunpeng-950": "",
    "apple-m1": "apple-a14",
    "apple-m2": "apple-a15",
    "apple-m3": "apple-a16",
    "apple-m4": "apple-m4",
    "cobalt-100": "neoverse-n2",
}
_WORDS = "arm64.words"
_LICENSED_CORES = ("neoverse-", "cortex-", "c1-")

#: What a licensee of Arm's cores may leave out: no list of such a core denies it.
_LICENSED = frozenset(
    [
        "aes",
        "pmull",
        "sha1",
        "sha2",
        "sha3",
        "sha512",
        "sm3",
        "sm4",
        "sveaes",
        "svepmull",
        "svesha3",
        "svesm4",
        "rng",
        "mte",
        "mte3",
    ]
)

#: What LLVM's features show: HWCAP words, and fields of ID registers as REGISTER[HIGH:LOW]>=VALUE.
#: The fields are those of Arm ARM DDI 0487, D24 (AArch64 System register descriptions). What an
#: architecture version only allows (nested virtualization, MPAM, activity monitors) is left out.
_LLVM_SHOWS = {
    "FPARMv8": "fp",
    "NEON": "asimd",
    "CRC": "crc32",
    "LSE": "atomics",
    "RDM": "asimdrdm",
    "PAN": "id_aa64mmfr1_el1[23:20]>=1",
    "PAN_RWV": "id_aa64mmfr1_el1[23:20]>=2",
    "VH": "id_aa64mmfr1_el1[11:8]>=1",
    "PsUAO": "id_aa64mmfr2_el1[7:4]>=1",
    "RAS": "id_aa64pfr0_el1[31:28]>=1",
    "RASv2": "id_aa64pfr0_el1[31:28]>=3",
    "CCPP": "dcpop",
    "CacheDeepPersist": "dcpodp",
    "RCPC": "lrcpc",
    "RCPC_IMMO": "ilrcpc",
    "RCPC3": "lrcpc3",
    "PAuth": "paca pacg",
    "JS": "jscvt",
    "ComplxNum": "fcma",
    "DotProd": "asimddp",
    "DIT": "dit",
    "TLB_RMI": "id_aa64isar0_el1[59:56]>=2",
    "FlagM": "flagm",
    "AltFPCmp": "flagm2",
    "FRInt3264": "frint",
    "LSE2": "uscat",
    "LSE128": "lse128",
    "SB": "sb",
    "SSBS": "ssbs",
    "BranchTargetId": "bti",
    "FullFP16": "fphp asimdhp",
    "FP16FML": "asimdfhm",
    "BF16": "bf16",
    "MatMulInt8": "i8mm",
    "FineGrainedTraps": "id_aa64mmfr0_el1[59:56]>=1",
    "EnhancedCounterVirtualization": "ecv",
    "XS": "id_aa64isar1_el1[59:56]>=1",
    "WFxT": "wfxt",
    "HCX": "id_aa64mmfr1_el1[43:40]>=1",
    "HBC": "hbc",
    "MOPS": "mops",
    "NMI": "id_aa64pfr1_el1[39:36]>=1",
    "CSSC": "cssc",
    "CMPBR": "cmpbr",
    "LSUI": "id_aa64isar3_el1[27:24]>=1",
    "SVE": "sve",
    "SVE2": "sve2",
    "SVE2p1": "sve2p1",
    "SVE2p2": "sve2p2",
    "SVEBitPerm": "svebitperm",
    "SVEAES": "sveaes svepmull",
    "SVESHA3": "svesha3",
    "SVESM4": "svesm4",
    "SME": "sme",
    "SME2": "sme2",
    "SME2p1": "sme2p1",
    "FAMINMAX": "faminmax",
    "LUT": "lut",
    "FP8": "f8cvt",
    "FP8FMA": "f8fma",
    "FP8DOT2": "f8dp2",
    "FP8DOT4": "f8dp4",
    "RandGen": "rng",
    "MTE": "mte",
    "GCS": "gcs",
    "SHA2": "sha1 sha2",
    "SHA3": "sha3 sha512",
    "AES": "aes pmull",
    "SM4": "sm3 sm4",
    "LS64": "ls64",
    "PerfMon": "id_aa64dfr0_el1[11:8]>=1",
    "SPE": "id_aa64dfr0_el1[35:32]>=1",
    "TRBE": "id_aa64dfr0_el1[47:44]>=1",
    "BRBE": "id_aa64dfr0_el1[55:52]>=1",
    "RME": "id_aa64pfr0_el1[55:52]>=1",
}
#: GCC's options without a word in /proc/cpuinfo, the same way.
_GCC_SHOWS = {
    "MEMTAG": "mte",
    "PROFILE": "id_aa64dfr0_el1[35:32]>=1",
    "LS64": "ls64",
    "XS": "id_aa64isar1_el1[59:56]>=1",
}
#: With SVE its registers have what the Advanced SIMD ones have: Arm ARM DDI 0487, ID_AA64ZFR0_EL1.
_WITH_SVE = {"i8mm": "svei8mm", "bf16": "svebf16"}
_FIELD = re.compile(r"(\w+)\[(\d+):(\d+)\]>=(\d+)")


def read_gcc(gcc: Path, version: str) -> dict[str, Silicon]:
    """Read GCC's arm64 cores: GCC's name to what its options stand for."""
    base = gcc / "gcc" / "config" / "aarch64"
    options, words = _extensions((base / "aarch64-option-extensions.def").read_text())
    options.update(_architectures((base / "aarch64-arches.def").read_text()))
    source = f"gcc {version} gcc/config/aarch64/aarch64-cores.def"
    speaks = _spoken_of(word for shown in words.values() for word in shown)
    found = {}
    for name, arch, extra in re.findall(
        r"^AARCH64_CORE\(\"([\w.-]+)\",\s*\w+,\s*\w+,\s*(\w+),\s*\(([^)]*)\)",
        (base / "aarch64-cores.def").read_text(),
        re.MULTILINE,
    ):
        idents = _closure({arch, *re.findall(r"\w+", extra)}, options)
        shown = [word for ident in idents for word in words.get(ident, ())]
        found[name] = _silicon(f"{source} ({name})", shown, _for_core(name, speaks))
    return found


def _for_core(name: str, speaks: frozenset[Said]) -> frozenset[Said]:
    if not name.startswith(_LICENSED_CORES):
        return speaks
    return frozenset(said for said in speaks if said[1] not in _LICENSED)


def _silicon(source: str, shown: Iterable[str], speaks: frozenset[Said]) -> Silicon:
    shown = set(shown)
    words = {word for word in shown if not _FIELD.fullmatch(word)}
    words |= {sve for word, sve in _WITH_SVE.items() if {word, "sve"} <= words}
    fields = tuple(
        (match[1], int(match[3]), int(match[2]), int(match[4]))
        for match in map(_FIELD.fullmatch, sorted(shown))
        if match
    )
    return Silicon(source, {}, {_WORDS: frozenset(words)}, {}, fields, speaks)


def _spoken_of(shown: Iterable[str]) -> frozenset[Said]:
    words = {word for word in shown if not _FIELD.fullmatch(word)}
    return frozenset((_WORDS, word) for word in words | set(_WITH_SVE.values()))


def _extensions(text: str) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    requires: dict[str, set[str]] = {}
    words: dict[str, list[str]] = {}
    for ident, needs, shown in re.findall(
        r"AARCH64_OPT_(?:FMV_)?EXTENSION(?:_ALIAS)?\s*\(\"[\w+-]+\",\s*(\w+),\s*\(([^)]*)\),"
        r"\s*\([^)]*\),\s*\([^)]*\),(?:\s*\([^)]*\),)?\s*\"([^\"]*)\"\)",
        text,
    ):
        requires[ident] = set(re.findall(r"\w+", needs))
        # "sveaes | smeaes": either of two may stand for it, so none is told
        words[ident] = [] if "|" in shown else (shown or _GCC_SHOWS.get(ident, "")).split()
    return requires, words


def _architectures(text: str) -> dict[str, set[str]]:
    return {
        ident: set(re.findall(r"\w+", needs))
        for ident, needs in re.findall(
            r"AARCH64_ARCH\(\"[\w.-]+\",\s*\w+,\s*(\w+)\s*,\s*\d+,\s*\(([^)]*)\)\)", text
        )
    }


def _closure(start: Iterable[str], requires: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = set(start)
    while waiting:
        ident = waiting.pop()
        if ident not in found:
            found.add(ident)
            waiting |= requires.get(ident, set())
    return found


def read_llvm(llvm: Path, version: str) -> dict[str, Silicon]:
    """Read LLVM's arm64 cores: LLVM's name to what its features stand for."""
    base = llvm / "lib" / "Target" / "AArch64"
    requires = _llvm_requires((base / "AArch64Features.td").read_text())
    text = (base / "AArch64Processors.td").read_text()
    lists = dict(re.findall(r"list<SubtargetFeature> (\w+)\s*=\s*([^;]*);", text))
    source = f"llvm {version} llvm/lib/Target/AArch64/AArch64Processors.td"
    speaks = _spoken_of(word for shown in _LLVM_SHOWS.values() for word in shown.split())
    found = {}
    for name, features in re.findall(
        r"ProcessorModel<\"([\w.-]+)\",\s*\w+,\s*ProcessorFeatures\.(\w+)", text
    ):
        idents = _closure(_listed_by_llvm(features, lists), requires)
        shown = [w for i in idents for w in _LLVM_SHOWS.get(i.removeprefix("Feature"), "").split()]
        found[name] = _silicon(f"{source} ({name})", shown, _for_core(name, speaks))
    return found


def _llvm_requires(text: str) -> dict[str, set[str]]:
    """Return what each feature and each architecture version requires."""
    extensions = re.findall(
        r"def (Feature\w+)\s*:\s*Extension\w*<([^<>]*?(?:\[([^\]]*)\])?)>;", text, re.DOTALL
    )
    versions = re.findall(
        r"def (Has\w+Ops)\s*:\s*Architecture64<[^\[]*\[([^\]]*)\]", text, re.DOTALL
    )
    found = {name: set(re.findall(r"Feature\w+", needs)) for name, _, needs in extensions}
    found |= {name: set(re.findall(r"(?:Feature|Has)\w+", needs)) for name, needs in versions}
    return found


def _listed_by_llvm(name: str, lists: Mapping[str, str]) -> set[str]:
    """Return a core's features; ``!listremove(A, [B])`` takes away, ``!listconcat`` adds."""
    text = lists.get(name, "")
    removed: set[str] = set()
    for body in re.findall(r"!listremove\(\w+,\s*\[([^\]]*)\]\)", text):
        removed |= set(re.findall(r"\w+", body))
    text = re.sub(r"(!listremove\((\w+)),\s*\[[^\]]*\]\)", r"\1", text)
    words = set(re.findall(r"\w+", text))
    found = {word for word in words if word.startswith(("Feature", "Has"))}
    for word in words & lists.keys():
        found |= _listed_by_llvm(word, lists)
    return found - removed
