"""What a level of an architecture is called by compilers, and what a compiler says it holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from uplift.errors import UpliftError
from uplift.isa.feature_words import plain
from uplift.isa.functions import classes

#: Languages of dpkg-buildflags(1) whose compilers take the flag.
LANGUAGES = ("CFLAGS", "CXXFLAGS", "FFLAGS", "FCFLAGS", "OBJCFLAGS", "OBJCXXFLAGS")
DEBIAN_ARCH = {"x86-64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}
_MACRO = re.compile(r"#define __(?:ARM_FEATURE_|ARM_|riscv_)?(\w+?)(?:__)? \S")
#: GCC's macros whose names are not the instruction set's.
_MACROS = {
    "bmi": "bmi1", "lahfsahf": "lahf", "gcchavesynccompareandswap16": "cx16", "abm": "lzcnt",
    "3dnowa": "3dnowp", "atomics": "lse", "sve2": "sve2", "dotprod": "asimddp",
    "fp16vectorarithmetic": "asimdhp", "fp16scalararithmetic": "fphp", "qrdmx": "asimdrdm",
    "complex": "fcma", "matmulint8": "i8mm", "bf16vectorarithmetic": "bf16", "crypto": "aes",
    "fp16fml": "asimdfhm", "sha512": "sha512", "rcpc": "lrcpc", "pauth": "paca",
    "apxf": "apx-f", "avx101": "avx10.1", "avx102": "avx10.2", "shstk": "shstk",
    "sve2bitperm": "svebitperm", "sve2aes": "sveaes", "sve2sha3": "svesha3", "sve2sm4": "svesm4",
    "svebf16": "svebf16", "svematmulint8": "svei8mm", "memorytagging": "mte",
}  # fmt: skip


@dataclass(frozen=True)
class Level:
    """A level, or a chip, that packages can be built for.

    :param march: the compilers' option.
    :param since: GCC's and Clang's release that first knew it.
    :param environment: for compilers of other languages.
    :param variant: Ubuntu's name of an architecture variant of it, if there is one.
    """

    name: str
    arch: str
    march: str
    since: tuple[str, str]
    environment: Mapping[str, str]
    variant: str

    @property
    def suffix(self) -> str:
        """Its short name, for versions: ``v3``, ``znver5``, ``armv9-a`` without the dash."""
        return re.sub(r"[^a-z0-9.]", "", self.name.removeprefix("x86-64-"))


@lru_cache(maxsize=1)
def levels() -> tuple[Level, ...]:
    """Return every level that there is data for."""
    text = (files("uplift.isa") / "data" / "rebuild-levels.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(_level(row) for row in csv.DictReader(lines))


def _level(row: Mapping[str, str]) -> Level:
    environment = {"RUSTFLAGS": f"-C target-cpu={row['rust']}"} if row["rust"] else {}
    name, _, value = row["go"].partition("=")
    if name:
        environment[name] = value
    since = (row["gcc"], row["clang"])
    return Level(row["level"], row["arch"], row["march"], since, environment, row["variant"])


def find(name: str, arch: str) -> Level:
    """Return the level of that name.

    :raises UpliftError: there is none for this architecture.
    """
    known = [level for level in levels() if level.arch == arch]
    for level in known:
        if name in (level.name, level.suffix):
            return level
    others = sorted({level.arch for level in levels() if level.name == name})
    cause = f"it is one of {', '.join(others)}" if others else "nothing is known of it"
    raise UpliftError(
        f"cannot rebuild for {name[:40]!r} on {arch}",
        cause,
        f"build on a machine of that architecture, or name one of "
        f"{', '.join(level.name for level in known)}",
    )


def variant_of(level: Level, name: str) -> str:
    """Return the architecture variant that was asked for.

    :raises UpliftError: it is not this level's.
    """
    if not name or name == level.variant:
        return name
    known = ", ".join(f"{each.variant} ({each.name})" for each in levels() if each.variant)
    raise UpliftError(
        f"cannot name the packages for the variant {name[:40]!r}",
        f"{level.name} is not what a machine of that variant has",
        f"known variants: {known}",
    )


def environment(level: Level, tests: bool, jobs: int, variant: str = "") -> dict[str, str]:
    """Return what a build's environment says of the level.

    :param variant: where the root's own dpkg knows variants, and adds the flags by itself.
    """
    options = [f"parallel={jobs}", *(() if tests else ("nocheck",))]
    flags = {f"DEB_{language}_APPEND": level.march for language in LANGUAGES}
    told = {"DEB_HOST_ARCH_VARIANT": variant} if variant else {}
    profiles = {} if tests else {"DEB_BUILD_PROFILES": "nocheck"}
    return {
        **flags,
        **level.environment,
        "DEB_BUILD_OPTIONS": " ".join(options),
        **profiles,
        **told,
    }


def plain_environment(jobs: int) -> dict[str, str]:
    """Return the environment of a build with the archive's own flags, without tests."""
    return {"DEB_BUILD_OPTIONS": f"parallel={jobs} nocheck", "DEB_BUILD_PROFILES": "nocheck"}


def sets_of(arch: str, macros: str) -> frozenset[str]:
    """Return the instruction sets that a compiler's predefined macros speak of.

    :param macros: what ``gcc -march=… -E -dM`` prints.
    """
    names = classes(arch).names
    by_plain = {plain(name): name for name in names}
    said = {plain(word) for word in _MACRO.findall(macros)}
    said |= {plain(_MACROS[word]) for word in said if word in _MACROS}
    if arch == "x86-64" and "avx" in said:
        said.add("xsave")
    return frozenset({"base", *(by_plain[word] for word in said if word in by_plain)})


def refused(level: Level, compiler: str, complaint: str) -> UpliftError:
    """Return the error for a compiler that does not know a level.

    :param compiler: its name and version.
    """
    return UpliftError(
        f"cannot build for {level.name}",
        f"{compiler} does not know {level.march}: {complaint}",
        f"GCC knows it since {level.since[0]}, Clang since {level.since[1]}: name a newer suite "
        "with --suite, or another level",
    )
