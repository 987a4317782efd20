"""The report of Arm's ``sysreport``: fields ``Name:  value`` under headings, written for people.

Source of the fields: ArmDeveloperEcosystem/sysreport ``src/sysreport.py`` (show) and
``src/cpulist.py`` at 4b739a2cb857.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from uplift.facts.model import Value
from uplift.facts.parsers import arm_parts

CAPTURE = "import:arm-sysreport"
HEADING = "System feature report:"
MAX_LINES = 100_000

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FIELD = re.compile(r"  (?! )([^:=]{1,40}):\s*(.*)$")
_KIND = re.compile(r"(\d{1,5}) x ([^,]+?)(?: \([^)]*\))?(?: r(\d{1,2})p(\d{1,2}))?(?:,|$)")
_SIZE = re.compile(r"([\d.]{1,12})\s*([KMGT]?)i?B?$")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Kind:
    """One kind of core: how many, and its name."""

    count: int
    implementer: str
    model: str
    variant: int | None
    revision: int | None


@dataclass(frozen=True)
class Report:
    """A report's fields by name, lower case, and the lists that options add below it."""

    fields: dict[str, str]
    config: dict[str, str]
    vulnerabilities: dict[str, str]


def read(text: str) -> Report:
    """Read a report, with or without colours and with any of the tool's options.

    :raises ValueError: it does not begin as one, or says nothing of the hardware.
    """
    lines = _COLOUR.sub("", text).replace("\r", "").split("\n")[:MAX_LINES]
    if HEADING not in lines:
        raise ValueError(f"line 1: {HEADING!r} is not there")
    fields: dict[str, str] = {}
    config: dict[str, str] = {}
    vulnerabilities: dict[str, str] = {}
    for line in lines:
        option = re.match(r"  (CONFIG_\w{1,100})\s+= (.{0,400})$", line)
        weakness = re.match(
            r"  ([a-z][a-z0-9_]{2,40})\s+((?:Mitigation|Vulnerable|Not aff).*)$", line
        )
        found = _FIELD.match(line)
        if option:
            config[option[1]] = option[2].strip()
        elif weakness:
            vulnerabilities[weakness[1]] = weakness[2].strip()
        elif found:
            fields.setdefault(found[1].strip().lower(), found[2].strip())
    if not fields.get("architecture"):
        raise ValueError("the report names no architecture")
    return Report(fields, config, vulnerabilities)


def kinds(report: Report) -> list[Kind]:
    """Return the kinds of core that ``CPU types`` lists."""
    found = []
    for match in _KIND.finditer(report.fields.get("cpu types", "")):
        implementer, _, model = match[2].partition(" ")
        stepping = [int(text) if text else None for text in (match[3], match[4])]
        found.append(Kind(int(match[1]), implementer, model.strip(), *stepping))
    return found


def cpuinfo_values(report: Report) -> dict[str, Value]:
    """Return the facts of ``cpuinfo.`` that a report holds: which cores, but not their features."""
    found = kinds(report)
    values: dict[str, Value] = {"cpuinfo.arch": arch_of(report)}
    for number, kind in enumerate(found):
        for fact, value in _kind_values(kind):
            values[f"cpuinfo.kind{number}.{fact}"] = value
            if number == 0:
                values[f"cpuinfo.{fact}"] = value
    if found:
        values["cpuinfo.kinds"] = len(found)
        values["cpuinfo.cpus"] = sum(kind.count for kind in found)
    return values


def _kind_values(kind: Kind) -> Iterator[tuple[str, Value]]:
    yield "vendor", kind.implementer
    yield "model_name", kind.model
    for implementer, name in arm_parts.IMPLEMENTERS.items():
        if name.lower() == kind.implementer.lower():
            yield "implementer", implementer
            for part, model in arm_parts.PARTS.get(implementer, {}).items():
                if model.lower() == kind.model.lower():
                    yield "part", part
    if kind.variant is not None:
        yield "variant", kind.variant
    if kind.revision is not None:
        yield "revision", kind.revision


def topology_values(report: Report) -> dict[str, Value]:
    """Return the facts of ``topology.`` that a report holds."""
    values: dict[str, Value] = {}
    for fact, name in (
        ("cpus_online", "cpus"),
        ("numa_nodes", "numa nodes"),
        ("sockets", "sockets"),
    ):
        text = report.fields.get(name, "").split(" ")[0]
        if text.isascii() and text.isdigit() and len(text) < 7:
            values[f"topology.{fact}"] = int(text)
    found = kinds(report)
    if found:
        values["topology.kinds"] = len(found)
    return values


def memory_values(report: Report) -> dict[str, Value]:
    """Return the facts of ``memory.`` that a report holds."""
    values: dict[str, Value] = {}
    found = _SIZE.match(report.fields.get("system memory", ""))
    if found and re.fullmatch(r"\d+(\.\d+)?", found[1]):
        values["memory.total"] = round(float(found[1]) * _UNITS[found[2]])
    thp = report.fields.get("transparent hp")
    if thp:
        values["memory.thp"] = thp if thp != "disabled" else "never"
    return values


def arch_of(report: Report) -> str:
    """Return ``uname -m``: an ``ARMv8.2`` is an aarch64."""
    arch = report.fields["architecture"]
    return "aarch64" if re.match(r"ARMv([89]|\d\d)", arch) else arch
