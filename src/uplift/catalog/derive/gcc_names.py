"""Options that GCC accepts for an architecture: ``-mamx-tile``, ``-march=…``, ``-mcpu=…``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.riscv_march import options_of_extension
from uplift.catalog.derive.upstream import Files, Known, Project, text_of, without_comments

BASE_VERSION = "gcc/BASE-VER"
X86_OPTIONS = "gcc/config/i386/i386.opt"
X86_CPUS = ("gcc/common/config/i386/i386-common.cc", "gcc/common/config/i386/i386-common.c")
ARM64_CORES = "gcc/config/aarch64/aarch64-cores.def"
ARM64_ARCHES = "gcc/config/aarch64/aarch64-arches.def"
ARM64_EXTENSIONS = "gcc/config/aarch64/aarch64-option-extensions.def"
ARM64_OPTIONS = "gcc/config/aarch64/aarch64.opt"
RISCV_CORES = "gcc/config/riscv/riscv-cores.def"
RISCV_COMMON = (
    "gcc/common/config/riscv/riscv-common.cc",
    "gcc/common/config/riscv/riscv-common.c",
)
RISCV_PROFILES = "gcc/config/riscv/riscv-profiles.def"
POWER_CPUS = ("gcc/config/rs6000/rs6000-cpus.def",)
S390_OPTIONS = "gcc/config/s390/s390.opt"


def version(files: Files) -> str:
    """Return ``15.2.0``."""
    return files.get(BASE_VERSION, "").strip()


def names(files: Files) -> Iterator[Known]:
    """Yield every option."""
    for arch, option, path in _options(files):
        yield Known("option", arch, option, path)


def _options(files: Files) -> Iterator[tuple[str, str, str]]:
    for path, option in x86_options(files):
        yield "x86", option, path
    for path, option in arm64_options(files):
        yield "arm64", option, path
    for path, option in riscv_options(files):
        yield "riscv64", option, path
    path, text = text_of(files, *POWER_CPUS)
    for name in re.findall(r"^RS6000_CPU \(\"(\w+)\"", text, re.MULTILINE):
        yield "ppc64el", f"-mcpu={name}", path
    text = files.get(S390_OPTIONS, "")
    for name in re.findall(r"^Enum\(processor_type\) String\((\w+)\)", text, re.MULTILINE):
        yield "s390x", f"-march={name}", S390_OPTIONS


#: A record of an options file: the name, then on the next line its properties.
_RECORD = re.compile(r"^(m[\w.-]+)\n(?:Target|Common Target)\b", re.MULTILINE)
#: The generic and Intel's own are for -mtune= and __builtin_cpu_is only.
_CPU = re.compile(r'^\s*\{"([^"]+)",\s*PROCESSOR_(?!GENERIC\b|INTEL\b)\w+', re.MULTILINE)
_ALIAS_TABLE = re.compile(r"processor_alias_table\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.MULTILINE)


def x86_options(files: Files) -> Iterator[tuple[str, str]]:
    """Yield the switches of i386.opt and the names that ``-march=`` takes."""
    for name in _RECORD.findall(files.get(X86_OPTIONS, "")):
        if not name.startswith("mno-"):
            yield X86_OPTIONS, f"-{name}"
    path, text = text_of(files, *X86_CPUS)
    table = _ALIAS_TABLE.search(text)
    for name in _CPU.findall(table[1] if table else ""):
        yield path, f"-march={name}"


def arm64_options(files: Files) -> Iterator[tuple[str, str]]:
    """Yield cores, architectures, extensions as ``-march=armv8-a+NAME``, branch protection."""
    for path, macro, option in (
        (ARM64_CORES, "CORE", "-mcpu="),
        (ARM64_ARCHES, "ARCH", "-march="),
        (ARM64_EXTENSIONS, r"OPT_(?:FMV_)?EXTENSION(?:_ALIAS)?", "-march=armv8-a+"),
    ):
        text = without_comments(files.get(path, ""))
        for name in re.findall(rf"^AARCH64_{macro}\s*\(\"([^\"]+)\"", text, re.MULTILINE):
            yield path, option + name
    if _BRANCH_PROTECTION.search(files.get(ARM64_OPTIONS, "")):
        yield ARM64_OPTIONS, "-mbranch-protection=standard"


#: Its values are in C code, ``standard`` among them from the first on.
_BRANCH_PROTECTION = re.compile(r"^mbranch-protection=\nTarget\b", re.MULTILINE)


_OLD_EXTENSIONS = re.compile(r"riscv_ext_version_table\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.M)
_NEW_EXTENSION = re.compile(r"^DEFINE_RISCV_EXT\s*\(\s*/\* NAME \*/\s*(\w+)\s*,", re.MULTILINE)


def riscv_options(files: Files) -> Iterator[tuple[str, str]]:
    """Yield cores, profiles, and extensions as ``-march=rv64gc_NAME``."""
    for name in re.findall(r"^RISCV_CORE\s*\(\"([^\"]+)\"", files.get(RISCV_CORES, ""), re.M):
        yield RISCV_CORES, f"-mcpu={name}"
    for name in re.findall(r"^RISCV_PROFILE\s*\(\"([^\"]+)\"", files.get(RISCV_PROFILES, ""), re.M):
        yield RISCV_PROFILES, f"-march={name}"
    path, text = text_of(files, *RISCV_COMMON)
    table = _OLD_EXTENSIONS.search(text)
    for name in re.findall(r'^\s*\{"(\w+)",', table[1] if table else "", re.MULTILINE):
        yield from ((path, option) for option in options_of_extension(name))
    for path in sorted(files):
        if path.startswith("gcc/config/riscv/riscv-ext"):
            for name in _NEW_EXTENSION.findall(files[path]):
                yield from ((path, option) for option in options_of_extension(name))


GCC = Project(
    name="gcc",
    marks=(BASE_VERSION,),
    version_files=(BASE_VERSION,),
    version=version,
    paths=(
        X86_OPTIONS,
        *X86_CPUS,
        ARM64_CORES,
        ARM64_ARCHES,
        ARM64_EXTENSIONS,
        ARM64_OPTIONS,
        RISCV_CORES,
        RISCV_PROFILES,
        *RISCV_COMMON,
        "gcc/config/riscv/riscv-ext*.def",
        *POWER_CPUS,
        S390_OPTIONS,
    ),
    names=names,
    tag=re.compile(r"releases/gcc-(\d+)\.(\d+)\.(\d+)"),
)
