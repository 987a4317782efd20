"""arm64 ID registers and the processor's MIDR.

The kernel shows ID registers to programs (``/sys/devices/system/cpu/cpu*/regs/identification`` and
emulated ``mrs``) with the fields masked that it does not let them use. Registers that nobody masked
(a virtual CPU's of KVM, an emulator's, a debugger's) stand in ``probe:arm64-raw-registers``: they
become ``arm64.raw.`` facts.

Registers that were made from a list rather than read state which bits nobody knows, as a mask after
the value: ``ID_AA64PFR0_EL1 0x11 open=0xf000``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.hwcap_tables import implied_hwcaps, open_hwcaps
from uplift.facts.model import Capture, Parser, PartialRegister, PartialWords, Reading, Value
from uplift.facts.parsers.hwcap import parse_cpuinfo

REGISTERS = "probe:arm64-id-registers"
RAW = "probe:arm64-raw-registers"
CPUINFO = "file:/proc/cpuinfo"
_MAX_LINES = 4096
_REGISTER = re.compile(
    r"([A-Z][A-Z0-9_]{2,30}) (0x[0-9a-fA-F]{1,16})(?: open=(0x[0-9a-fA-F]{1,16}))?"
)
NOT_LISTED = "no source says whether the chip has it"
_ARCHITECTURE_BY_ID = 0xF  # MIDR_EL1[19:16]: features are told by ID registers


def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read ``probe:arm64-id-registers``; MIDR also from the lines of ``/proc/cpuinfo``."""
    values: dict[str, Value] = {}
    yield from _words(captures)
    if REGISTERS in captures:
        registers = parse_registers(captures[REGISTERS].text)
        values = {f"arm64.{name}": value for name, value in registers.items()}
        if "midr_el1" in registers:
            values["arm64.midr"] = registers["midr_el1"]
        values["arm64.implied_hwcaps"] = implied_hwcaps(registers)
        yield Reading(REGISTERS, values)
    if RAW in captures:
        raw = parse_registers(captures[RAW].text)
        yield Reading(RAW, {f"arm64.raw.{name}": value for name, value in raw.items()})
    if "arm64.midr" not in values and CPUINFO in captures:
        midrs = parse_midrs(captures[CPUINFO].text)
        if midrs:
            yield Reading(CPUINFO, {"arm64.midr": midrs[0], "arm64.kinds": len(set(midrs))})


def _words(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read ``arm64.words``: the HWCAP words that any recording shows the silicon to have.

    Registers and cpuinfo tell the same; a recording that holds one of the two is enough.
    """
    read = {n: parse_registers(captures[n].text) for n in (REGISTERS, RAW) if n in captures}
    told = {name: implied_hwcaps(registers) for name, registers in read.items()}
    unknown = frozenset().union(*(open_hwcaps(registers) for registers in read.values()))
    cpuinfo = parse_cpuinfo(captures[CPUINFO].text) if CPUINFO in captures else None
    if cpuinfo is not None and "CPU implementer" in captures[CPUINFO].text:
        told[CPUINFO] = cpuinfo
    if told:
        words = frozenset().union(*told.values())
        partly = PartialWords(words, dict.fromkeys(unknown - words, NOT_LISTED))
        yield Reading(next(iter(told)), {"arm64.words": partly if unknown - words else words})


def parse_registers(text: str) -> dict[str, int]:
    """Read ``NAME 0x…`` lines; a value with an open mask is known in part.

    :raises ValueError: a line is none, or one register has two values.
    """
    registers: dict[str, int] = {}
    for number, line in enumerate(text.splitlines()[:_MAX_LINES], 1):
        if not line.strip():
            continue
        match = _REGISTER.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number}: {line[:60]!r} is no register")
        name, value = match[1].lower(), int(match[2], 16)
        if match[3]:
            value = PartialRegister(value, int(match[3], 16), NOT_LISTED)
        if registers.setdefault(name, value) != value:
            raise ValueError(f"line {number}: {match[1]} stands twice with different values")
    return registers


def parse_midrs(cpuinfo: str) -> list[int]:
    """Put each processor's MIDR_EL1 together from its lines in cpuinfo; empty where it has none."""
    fields = ("CPU implementer", "CPU variant", "CPU part", "CPU revision")
    pattern = re.compile(rf"({'|'.join(fields)})\s*:\s*(0x[0-9a-fA-F]{{1,4}}|\d{{1,3}})\s*$", re.M)
    midrs: list[int] = []
    seen: dict[str, int] = {}
    for name, value in pattern.findall(cpuinfo):
        if name == fields[0]:
            seen = {}
        seen[name] = int(value, 0)
        if name == fields[3] and {fields[0], fields[2]} <= set(seen):
            midrs.append(
                (seen[fields[0]] & 0xFF) << 24
                | (seen.get(fields[1], 0) & 0xF) << 20
                | _ARCHITECTURE_BY_ID << 16
                | (seen[fields[2]] & 0xFFF) << 4
                | (seen[fields[3]] & 0xF)
            )
    return midrs


PARSER = Parser(
    name="arm64",
    declares=("arm64.",),
    reads=(REGISTERS, RAW, CPUINFO),
    parse=parse,
)
