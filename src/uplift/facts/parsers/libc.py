"""The C library: its version, and what its loader takes from the CPU (``ld.so`` speaks for it).

``libc.active`` holds what glibc will use; ``libc.present`` what CPUID told it. A feature that is
present and not active was switched off: by a tunable, by missing kernel state, or by glibc itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.glibc_bits import names
from uplift.facts.model import Capture, Parser, Reading, Value

_DIAGNOSTICS = "cmd:ld.so/diagnostics"
_HWCAPS = "cmd:ld.so/hwcaps"
_LDD = "cmd:ldd/version"
_MAX_BYTES = 64 << 20  #: glibc 2.40 and later print each processor's leaves

_LINE = re.compile(r'^([A-Za-z_][\w.\[\]]*)=(?:(0x[0-9a-f]{1,16})|"(.*)")$', re.MULTILINE)
_WORD = re.compile(r"x86\.cpu_features\.features\[0x(\w{1,2})\]\.(cpuid|active)\[0x([0-3])\]")
_PREFERRED = "x86.cpu_features.preferred."
_ARM64 = "aarch64.cpu_features."
_LEAF = re.compile(
    r"x86\.processor\[0x0\]\.cpuid\."
    r"(?:subleaf_eax\[0x([0-9a-f]{1,8})\]\.ecx\[0x([0-9a-f]{1,8})\]|eax\[0x([0-9a-f]{1,8})\])"
    r"\.(e[a-d]x)$"
)
_SETS = {"active": "libc.active", "cpuid": "libc.present"}

Values = dict[str, Value]


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _DIAGNOSTICS in captures:
        yield Reading(_DIAGNOSTICS, diagnosed(captures[_DIAGNOSTICS].text))
    if _LDD in captures:
        yield Reading(_LDD, dict(_ldd(captures[_LDD].text, _DIAGNOSTICS in captures)))
    if _HWCAPS in captures:
        found = _searched(captures[_HWCAPS].text)
        if found is not None:
            yield Reading(_HWCAPS, {"libc.hwcaps": found})


def diagnosed(text: str) -> Values:
    """Read ``ld.so --list-diagnostics`` (glibc 2.33 and later).

    :raises ValueError: it is too long, or no line is ``name=value``.
    """
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES} bytes")
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    for name, number, string in _LINE.findall(text):
        if number:
            numbers[name] = int(number, 16)
        else:
            texts[name] = string
    if "version.version" not in texts:
        raise ValueError("no line states version.version")
    values: Values = {"libc.version": texts["version.version"], "libc.tunables": _tunables(texts)}
    values.update(_words(numbers))
    values.update(_others(numbers))
    if "dl_platform" in texts:
        values["libc.platform"] = texts["dl_platform"]
    values.update(_subdirectories(texts.get("dl_hwcaps_subdirs", ""), numbers))
    return values


def _tunables(texts: Mapping[str, str]) -> str:
    given = (value for name, value in texts.items() if name.startswith("env["))
    found = (v.partition("=")[2] for v in given if v.startswith("GLIBC_TUNABLES="))
    return next(found, "")


def _words(numbers: Mapping[str, int]) -> Iterator[tuple[str, Value]]:
    """Name the bits that are set on x86, and the variables that are not 0 on arm64."""
    found: dict[str, set[str]] = {}
    for name, word in numbers.items():
        match = _WORD.fullmatch(name)
        if match:
            place = int(match[1], 16), int(match[3])
            words = found.setdefault(_SETS[match[2]], set())
            words.update(named for bit, named in names().get(place, {}).items() if word >> bit & 1)
    arm64 = {name[len(_ARM64) :] for name, on in numbers.items() if name.startswith(_ARM64) and on}
    if any(name.startswith(_ARM64) for name in numbers):
        found["libc.active"] = arm64
    yield from ((fact, frozenset(words)) for fact, words in found.items())


def _others(numbers: Mapping[str, int]) -> Iterator[tuple[str, Value]]:
    preferred = {
        n[len(_PREFERRED) :] for n, on in numbers.items() if n.startswith(_PREFERRED) and on
    }
    if any(name.startswith(_PREFERRED) for name in numbers):
        yield "libc.preferred", frozenset(preferred)
    for name in ("isa_1", "xsave_state_size", "non_temporal_threshold", "rep_movsb_threshold"):
        if f"x86.cpu_features.{name}" in numbers:
            yield f"libc.{name}", numbers[f"x86.cpu_features.{name}"]
    for name, number in numbers.items():
        leaf = _LEAF.fullmatch(name)
        if leaf:
            eax, ecx = leaf[1] or leaf[3], leaf[2] or "0"
            yield f"libc.cpuid.{int(eax, 16):x}.{int(ecx, 16):x}.{leaf[4]}", number


def _subdirectories(listed: str, numbers: Mapping[str, int]) -> Iterator[tuple[str, Value]]:
    """Bit n of the mask stands for the n-th subdirectory (elf/dl-hwcaps_split.h)."""
    if listed and "dl_hwcaps_subdirs_active" in numbers:
        mask = numbers["dl_hwcaps_subdirs_active"]
        used = (name for bit, name in enumerate(listed.split(":")[:64]) if mask >> bit & 1)
        yield "libc.hwcaps", frozenset(used)


_SUBDIRECTORY = re.compile(r"^ {2}(\S+)(?: \((.*)\))?$", re.MULTILINE)


def _searched(text: str) -> frozenset[str] | None:
    """Read the list of ``ld.so --help``; None where that loader prints none (before 2.33)."""
    _, heading, rest = text.partition("Subdirectories of glibc-hwcaps directories")
    if not heading:
        if "ld.so" not in text and "ld-linux" not in text and "shared lib" not in text:
            raise ValueError("line 1: it is no help of a loader")
        return None
    rows = _SUBDIRECTORY.findall(rest.partition("\n\n")[0])
    return frozenset(name for name, state in rows if "searched" in state)


_LDD_LINE = re.compile(r"ldd \(([^)\n]*)\) (\d+\.\d+)")


def _ldd(text: str, versioned: bool) -> Iterator[tuple[str, Value]]:
    found = _LDD_LINE.match(text)
    if found:
        yield "libc.package", found[1]
        if not versioned:
            yield "libc.version", found[2]
    elif text.startswith("musl libc"):
        version = re.search(r"^Version (\S+)", text, re.MULTILINE)
        yield "libc.package", "musl"
        if version:
            yield "libc.version", version[1]
    else:
        raise ValueError(f"{_LDD}: line 1 is neither glibc's nor musl's")


PARSER = Parser(
    name="C library",
    declares=("libc.",),
    reads=(_DIAGNOSTICS, _LDD, _HWCAPS),
    parse=_parse,
)
