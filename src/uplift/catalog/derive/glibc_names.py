"""CPU features that glibc uses, and the processor models that it tunes for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.catalog.derive.upstream import Files, Known, Project, text_of, without_comments

VERSION = "version.h"
X86 = "sysdeps/x86/cpu-features.c"
X86_HEADERS = (
    "sysdeps/x86/bits/platform/x86.h",
    "sysdeps/x86/sys/platform/x86.h",
    "sysdeps/x86/cpu-features.h",
)
ARM64 = "sysdeps/unix/sysv/linux/aarch64/cpu-features.c"


def version(files: Files) -> str:
    """Return ``2.43``; of a tree between releases ``2.42.9000``."""
    found = re.search(r'#define VERSION "([\d.]+)"', files.get(VERSION, ""))
    return found[1] if found and X86 in files else ""


def names(files: Files) -> Iterator[Known]:
    """Yield what glibc can find usable, what it has names for, and the models it knows."""
    text = without_comments(files.get(X86, ""))
    for name in active(text):
        yield Known("cpu-feature", "x86", name, X86)
    path, header = text_of(files, *X86_HEADERS)
    for name in named(header):
        yield Known("cpu-feature-name", "x86", name, path)
    for chip in sorted(chips(text)):
        yield Known("detects", "x86", chip, X86)
    for name in re.findall(r"\bcpu_features->(\w+)\s*=", without_comments(files.get(ARM64, ""))):
        if name not in _NO_FEATURES:
            yield Known("cpu-feature", "arm64", name, ARM64)


#: Fields of arm64's record that hold numbers.
_NO_FEATURES = frozenset(("midr_el1", "zva_size"))
_SET = re.compile(
    r"CPU_FEATURE_SET(?:_ACTIVE|_USABLE)? \(cpu_features,\s*(\w+)\)"
    r"|\bbit_arch_(\w+)_Usable\b|\bCPU_FEATURE_USABLE_P \(cpu_features, (\w+)\)"
)


#: Code that the source keeps and never compiles: CET between glibc 2.39 and the kernel's interface.
_SWITCHED_OFF = re.compile(r"^#\s*if [^\n]*&& 0\s*$.*?^#\s*endif", re.MULTILINE | re.DOTALL)


def active(text: str) -> frozenset[str]:
    """Return the features that cpu-features.c can mark as usable, lower case."""
    found = {next(filter(None, groups)) for groups in _SET.findall(_SWITCHED_OFF.sub("", text))}
    return frozenset(name.lower() for name in found)


_NAMES = (
    re.compile(r"\bx86_cpu_(\w+)\s*=\s*x86_cpu_index_"),
    re.compile(r"#define bit_cpu_(\w+)\s"),
)


def named(header: str) -> frozenset[str]:
    """Return the features that the header has names for."""
    found = {name for pattern in _NAMES for name in pattern.findall(header)}
    return frozenset(name.lower() for name in found if not name.startswith(("INDEX_", "index_")))


#: Intel's family 6 models, as the enumeration of glibc 2.43 groups them: glibc before 2.42 has
#: cases of numbers only.
MODELS: Mapping[str, tuple[int, ...]] = {
    "bonnell": (0x1C, 0x26, 0x27, 0x35, 0x36),
    "silvermont": (0x37, 0x4A, 0x4D, 0x5D),
    "airmont": (0x4C, 0x5A, 0x75),
    "goldmont": (0x5C, 0x5F),
    "goldmont-plus": (0x7A,),
    "sierra-forest": (0xAF,),
    "clearwater-forest": (0xDD,),
    "grand-ridge": (0xB6,),
    "tremont": (0x86, 0x96, 0x9C),
    "haswell": (0x3C, 0x3F, 0x45, 0x46),
    "broadwell": (0x3D, 0x47, 0x4F, 0x56),
    "skylake": (0x4E, 0x5E),
    "ice-lake": (0x6A, 0x6C, 0x7D, 0x7E, 0x9D),
    "tiger-lake": (0x8C, 0x8D),
    "rocket-lake": (0xA7,),
    "sapphire-rapids": (0x8F,),
    "raptor-lake": (0xB7, 0xBA, 0xBF),
    "emerald-rapids": (0xCF,),
    "meteor-lake": (0xAA, 0xAC),
    "lunar-lake": (0xBD,),
    "arrow-lake": (0xB5, 0xC5, 0xC6),
    "panther-lake": (0xCC,),
    "granite-rapids": (0xAD, 0xAE),
    "alder-lake": (0x97, 0x9A),
}
_TUNED = re.compile(r"(?:\breturn|\bmicroarch =) INTEL_(?:ATOM_|BIGCORE_|MIXED_)?(\w+);")
_WORD = re.compile(r"^(\w{2,}?)(lake|rapids|forest|bridge|ridge)$")
_ONE_WORD = frozenset(("skylake",))


def models(text: str) -> frozenset[int]:
    """Return the family 6 models that have a case."""
    return frozenset(int(number, 16) for number in re.findall(r"\bcase (0x[0-9a-fA-F]+):", text))


def chips(text: str) -> frozenset[str]:
    """Return the chips whose model glibc knows, by their code names."""
    known = models(text)
    by_number = {chip for chip, numbers in MODELS.items() if known.issuperset(numbers)}
    by_name = {_codename(name) for name in _TUNED.findall(text) if name != "UNKNOWN"}
    return frozenset(by_number | by_name)


def _codename(name: str) -> str:
    plain = name.lower().replace("_", "-")
    return plain if plain in _ONE_WORD else _WORD.sub(r"\1-\2", plain)


GLIBC = Project(
    name="glibc",
    marks=(VERSION, X86),
    version_files=(VERSION,),
    version=version,
    paths=(X86, *X86_HEADERS, ARM64),
    names=names,
    tag=re.compile(r"glibc-(\d+)\.(\d+)"),
    release=re.compile(r"\d+\.\d+"),
)
