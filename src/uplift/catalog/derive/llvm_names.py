"""Options that clang accepts for an architecture, from LLVM's and clang's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.riscv_march import options_of_extension
from uplift.catalog.derive.upstream import Files, Known, Project, text_of, without_comments

VERSIONS = ("cmake/Modules/LLVMVersion.cmake", "llvm/CMakeLists.txt")
OPTIONS = ("clang/include/clang/Options/Options.td", "clang/include/clang/Driver/Options.td")
X86_CPUS = ("llvm/lib/TargetParser/X86TargetParser.cpp", "llvm/lib/Support/X86TargetParser.cpp")
ARM64_DEF = (
    "llvm/include/llvm/TargetParser/AArch64TargetParser.def",
    "llvm/include/llvm/Support/AArch64TargetParser.def",
)
ARM64_HEADER = "llvm/include/llvm/TargetParser/AArch64TargetParser.h"
ARM64_FEATURES = "llvm/lib/Target/AArch64/AArch64Features.td"
ARM64_PROCESSORS = "llvm/lib/Target/AArch64/AArch64Processors.td"
RISCV_ISA = ("llvm/lib/TargetParser/RISCVISAInfo.cpp", "llvm/lib/Support/RISCVISAInfo.cpp")
RISCV_FEATURES = "llvm/lib/Target/RISCV/RISCVFeatures.td"
RISCV_PROFILES = "llvm/lib/Target/RISCV/RISCVProfiles.td"
RISCV_PROCESSORS = "llvm/lib/Target/RISCV/RISCVProcessors.td"
RISCV_DEF = (
    "llvm/include/llvm/TargetParser/RISCVTargetParser.def",
    "llvm/include/llvm/Support/RISCVTargetParser.def",
)


def version(files: Files) -> str:
    """Return ``21.1.8``."""
    text = "".join(files.get(path, "") for path in VERSIONS)
    parts = dict(re.findall(r"set\(LLVM_VERSION_(MAJOR|MINOR|PATCH) (\d+)\)", text))
    numbers = [parts.get(part, "") for part in ("MAJOR", "MINOR", "PATCH")]
    return ".".join(numbers) if all(numbers) else ""


def names(files: Files) -> Iterator[Known]:
    """Yield every option; each is in one of several files, by version."""
    for arch, read in (("x86", _x86), ("arm64", _arm64), ("riscv64", _riscv)):
        for path, option in read(files):
            yield Known("option", arch, option, path)


_SWITCH = re.compile(
    r'Flag<\["-"\],\s*"(m[\w.-]+)">,\s*(?:Group<m_x86_\w*Features_Group>|Alias<mapx_features_EQ>)'
)
_CPU = re.compile(r'^\s*\{\s*\{?"([^"]+)"\}?,\s*CK_\w+,', re.MULTILINE)


def _x86(files: Files) -> Iterator[tuple[str, str]]:
    path, text = text_of(files, *OPTIONS)
    for name in _SWITCH.findall(text):
        if not name.startswith("mno-"):
            yield path, f"-{name}"
    path, text = text_of(files, *X86_CPUS)
    for name in _CPU.findall(without_comments(text)):
        yield path, f"-march={name}"


#: LLVM 14 and 15 have macros, 16 to 18 tables in a header, later ones records of TableGen.
_ARM64_MACROS = (
    ("-mcpu=", r'AARCH64_CPU_NAME\(\s*"([^"]+)"'),
    ("-mcpu=", r'AARCH64_CPU_ALIAS\(\s*"([^"]+)"'),
    ("-march=", r'AARCH64_ARCH\(\s*"([^"]+)"'),
    ("-march=armv8-a+", r'AARCH64_ARCH_EXT_NAME\(\s*"([^"]+)"'),
)
_ARM64_TABLES = (
    ("-mcpu=", r'\{\s*"([\w.-]+)",\s*ARMV\d\w*,'),
    ("-march=", r'"(armv[89][\w.]*-[ar])"'),
    ("-march=armv8-a+", r'\{\s*"([\w.-]+)",\s*(?:\{\},\s*)?(?:AArch64::)?AEK_(?!NONE\b)\w+'),
    ("-march=armv8-a+", r'\{\s*"([\w.-]+)",\s*std::nullopt,\s*(?:AArch64::)?AEK_(?!NONE\b)\w+'),
)


def _arm64(files: Files) -> Iterator[tuple[str, str]]:
    path, text = text_of(files, *ARM64_DEF)
    for option, pattern in _ARM64_MACROS:
        for name in re.findall(pattern, without_comments(text)):
            yield from _named(path, option, name)
    text = without_comments(files.get(ARM64_HEADER, ""))
    for option, pattern in _ARM64_TABLES:
        for name in re.findall(pattern, text):
            yield from _named(ARM64_HEADER, option, name)
    for name in _arm64_extensions(without_comments(files.get(ARM64_FEATURES, ""))):
        yield ARM64_FEATURES, f"-march=armv8-a+{name}"
    text = without_comments(files.get(ARM64_FEATURES, ""))
    for major, minor, profile in re.findall(r'Architecture64<(\d+), (\d+), "([ar])"', text):
        number = f"{major}.{minor}" if minor != "0" else major
        yield ARM64_FEATURES, f"-march=armv{number}-{profile}"
    text = without_comments(files.get(ARM64_PROCESSORS, ""))
    for name in re.findall(r'(?:ProcessorModel|ProcessorAlias)<"([^"]+)"', text):
        yield ARM64_PROCESSORS, f"-mcpu={name}"


def _named(path: str, option: str, name: str) -> Iterator[tuple[str, str]]:
    if name not in ("invalid", "none"):
        yield path, option + name


_EXTENSION = re.compile(
    r"(?:let ([^\n]*?) in\s+)?^def \w+\s*:\s*(Extension|ExtensionWithMArch)<\s*\"([^\"]+)\"",
    re.MULTILINE,
)


def _arm64_extensions(text: str) -> Iterator[str]:
    """Yield the names and aliases that ``-march=`` takes."""
    for settings, kind, feature in _EXTENSION.findall(text):
        told = dict(
            re.findall(
                r'(UserVisibleName|UserVisibleAlias|MArchName|MArchAlias) = "(.*?)"', settings
            )
        )
        name = told.get("UserVisibleName") or told.get("MArchName")
        if name or kind == "ExtensionWithMArch":
            yield name or feature
        alias = told.get("UserVisibleAlias") or told.get("MArchAlias")
        if alias:
            yield alias


_RISCV_TABLE = re.compile(r"SupportedExtensions\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.MULTILINE)
_RISCV_RECORD = re.compile(
    r'^def Feature(?:StdExt|Vendor|Ext)?(\w+)\s*:\s*RISCVExtension<\s*(?:"(\w+)")?', re.MULTILINE
)


def _riscv_records(text: str) -> Iterator[str]:
    for feature, name in _RISCV_RECORD.findall(text):
        yield name or feature.lower()


_LENGTHS = re.compile(r"foreach i = \{ (\d+)-(\d+) \} in \{\s*[^}]*?def FeatureStdExtZvl#")


def _riscv_vector_lengths(text: str) -> Iterator[str]:
    """Yield ``zvl64b`` and its like, which a loop over powers of two defines."""
    for first, last in _LENGTHS.findall(text):
        yield from (f"zvl{1 << power}b" for power in range(int(first), min(int(last), 16) + 1))


def _riscv(files: Files) -> Iterator[tuple[str, str]]:
    path, text = text_of(files, *RISCV_ISA)
    table = _RISCV_TABLE.search(without_comments(text))
    for name in re.findall(r'\{"(\w+)",', table[1] if table else ""):
        yield from ((path, option) for option in options_of_extension(name))
    text = without_comments(files.get(RISCV_FEATURES, ""))
    for name in (*_riscv_records(text), *_riscv_vector_lengths(text)):
        yield from ((RISCV_FEATURES, option) for option in options_of_extension(name))
    for name in re.findall(r'RISCVProfile<"(rv[^"]+)"', files.get(RISCV_PROFILES, "")):
        yield RISCV_PROFILES, f"-march={name}"
    for name in re.findall(r'RISCVProcessorModel<"([^"]+)"', files.get(RISCV_PROCESSORS, "")):
        yield RISCV_PROCESSORS, f"-mcpu={name}"
    path, text = text_of(files, *RISCV_DEF)
    for name in re.findall(r'^PROC\(\w+, \{"([^"]+)"\}', text, re.MULTILINE):
        yield from _named(path, "-mcpu=", name)


LLVM = Project(
    name="llvm",
    marks=VERSIONS,
    version_files=VERSIONS,
    version=version,
    paths=(
        *OPTIONS,
        *X86_CPUS,
        *ARM64_DEF,
        ARM64_HEADER,
        ARM64_FEATURES,
        ARM64_PROCESSORS,
        *RISCV_ISA,
        RISCV_FEATURES,
        RISCV_PROFILES,
        RISCV_PROCESSORS,
        *RISCV_DEF,
    ),
    names=names,
    tag=re.compile(r"llvmorg-(\d+)\.(\d+)\.(\d+)"),
)
