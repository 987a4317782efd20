"""What the kernel tells every program about the processor: HWCAP words and AT_PLATFORM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.hwcap_tables import bit_names
from uplift.facts.model import Capture, Parser, Reading, Value

AUXV = "probe:auxv"
UNAME = "probe:uname"
CPUINFO = "file:/proc/cpuinfo"
_LINE = re.compile(r"(AT_[A-Z0-9_]{2,20})(?: (\S{1,64}))?(?: |$)")
_ARCH_OF_MACHINE = {
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64el",
    "ppc64": "ppc64el",
    "x86_64": "x86-64",
}


def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read the auxiliary vector; where it was not recorded the words that cpuinfo prints."""
    if AUXV in captures:
        values = parse_auxv(captures[AUXV].text, _machine(captures))
        yield Reading(AUXV, values)
        if "hwcap.words" in values:
            return
    words = parse_cpuinfo(captures[CPUINFO].text) if CPUINFO in captures else None
    if words is not None:
        yield Reading(CPUINFO, {"hwcap.words": words})


def parse_auxv(text: str, machine: str) -> dict[str, Value]:
    """Read ``AT_… value`` lines; the words only where the architecture's bits are known.

    :param machine: of ``uname``, empty where it was not recorded.
    :raises ValueError: a line is no entry.
    """
    entries: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise ValueError(f"line {number}: {line[:60]!r} is no entry of the auxiliary vector")
        entries[match[1]] = match[2] or ""
    platform = entries.get("AT_PLATFORM", "")
    values: dict[str, Value] = {"hwcap.platform": platform} if platform else {}
    for name in ("AT_HWCAP", "AT_HWCAP2", "AT_HWCAP3", "AT_HWCAP4"):
        if name in entries:
            values[f"hwcap.{name[3:].lower()}"] = _number(name, entries[name])
    names = bit_names(_arch(machine, platform))
    if names:
        values["hwcap.words"] = frozenset(_words(names, values))
    return values


def _words(names: Mapping[str, Mapping[int, str]], values: Mapping[str, Value]) -> Iterator[str]:
    for entry, bits in names.items():
        mask = values.get(f"hwcap.{entry[3:].lower()}", 0)
        for bit, name in bits.items():
            if isinstance(mask, int) and mask >> bit & 1:
                yield name


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{name} is {text[:40]!r}, no number") from None


def _machine(captures: Mapping[str, Capture]) -> str:
    uname = captures[UNAME].text if UNAME in captures else ""
    found = re.search(r"^machine (\S+)$", uname, re.MULTILINE)
    return found[1] if found else ""


def _arch(machine: str, platform: str) -> str:
    if machine:
        return _ARCH_OF_MACHINE.get(machine, "")
    if re.fullmatch(r"z\d+|zEC12", platform):
        return "s390x"
    if platform.startswith("power"):
        return "ppc64el"
    return _ARCH_OF_MACHINE.get(platform, "")


def parse_cpuinfo(text: str) -> frozenset[str] | None:
    """Return the words of arm64's ``Features`` line or s390x's ``features`` line, if it has one.

    On a machine with several kinds of core: what every one of them has.
    """
    lines = re.findall(r"^[Ff]eatures[ \t]*:(.*)$", text, re.MULTILINE)
    if not lines:
        return None
    return frozenset.intersection(*(frozenset(line.split()) for line in set(lines)))


PARSER = Parser(
    name="hwcap",
    declares=("hwcap.",),
    reads=(AUXV, UNAME, CPUINFO),
    parse=parse,
)
