"""Levels of an architecture as sets of instruction sets, lowest first."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

from uplift.errors import UpliftError
from uplift.isa.feature_words import plain

_FILES = {"x86-64": "x86", "aarch64": "aarch64", "riscv64": "riscv"}
_LADDERS = {"x86-64": "x86-64", "aarch64": "armv", "riscv64": "rv"}
#: System V ABI for AMD64, section 3.1.1, "Micro-Architecture Levels".
_X86 = {
    "x86-64": (),
    "x86-64-v2": ("cx16", "lahf", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"),
    "x86-64-v3": ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
#: Names of Debian's architectures, and of Ubuntu's variants of them.
_ALIASES = {
    "amd64": "x86-64",
    "x86-64-v1": "x86-64",
    "amd64v2": "x86-64-v2",
    "amd64v3": "x86-64-v3",
    "amd64v4": "x86-64-v4",
    "arm64": "armv8-a",
    "riscv64": "rv64gc",
}


@lru_cache(maxsize=8)
def _levels(arch: str) -> dict[str, frozenset[str]]:
    if arch == "x86-64":
        return _x86_levels()
    path = files("uplift.isa") / "data" / f"{_FILES[arch]}-levels.csv"
    lines = (line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    found: dict[str, set[str]] = {}
    for row in csv.DictReader(lines):
        found.setdefault(row["level"], set()).add(row["set"])
    return {name: frozenset(sets) for name, sets in found.items()}


def _x86_levels() -> dict[str, frozenset[str]]:
    from uplift.isa.functions import classes  # noqa: PLC0415 - the decoder's names

    by_plain = {plain(name): name for name in classes("x86-64").names}
    found: dict[str, frozenset[str]] = {}
    every: frozenset[str] = frozenset({"base"})
    for level_, sets in _X86.items():
        every |= {by_plain.get(plain(each), each) for each in sets}
        found[level_] = every
    return found


def ladder(arch: str) -> tuple[str, ...]:
    """Return the names of levels, lowest first, of an architecture's main line."""
    return tuple(name for name in _levels(arch) if name.startswith(_LADDERS[arch]))


def lowest(arch: str) -> str:
    """Return the level that every machine of the architecture has."""
    return {"x86-64": "x86-64", "aarch64": "armv8-a", "riscv64": "rv64gc"}[arch]


def base(arch: str) -> frozenset[str]:
    """Return the sets that every machine of the architecture has."""
    return _levels(arch)[lowest(arch)]


def level(arch: str, name: str) -> frozenset[str]:
    """Return the sets of a level.

    :raises UpliftError: the architecture has no level of that name.
    """
    known = _levels(arch)
    found = known.get(_ALIASES.get(name, name))
    if found is None:
        raise UpliftError(
            f"cannot judge against the baseline {name[:40]!r}",
            f"{arch} has no such level",
            f"name one of {', '.join(known)}",
        )
    return found


def named(arch: str, name: str) -> frozenset[str] | None:
    """Return the sets of a level; None where the architecture has none of that name."""
    return _levels(arch).get(_ALIASES.get(name, name))


def architectures(name: str) -> tuple[str, ...]:
    """Return which architectures have a level of that name.

    :raises UpliftError: none has.
    """
    found = tuple(arch for arch in _FILES if _ALIASES.get(name, name) in _levels(arch))
    if not found:
        raise UpliftError(
            f"cannot judge against the baseline {name[:40]!r}",
            "no architecture has such a level",
            f"name one of {', '.join([*_ALIASES, *(n for a in _FILES for n in ladder(a))])}",
        )
    return found


def holding(arch: str, sets: frozenset[str]) -> str:
    """Return the lowest level that has all of ``sets``; empty where none has."""
    known = _levels(arch)
    names = [lowest(arch), *sorted(known, key=lambda name: (len(known[name]), name))]
    return next((name for name in names if sets <= known[name] | {"base"}), "")
