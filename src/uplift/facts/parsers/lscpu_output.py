"""What ``lscpu`` prints, as text or as JSON, of any version; for recordings that hold nothing else.

Old versions print one level of ``Name:   value`` lines, newer ones indent them in groups and print
nested JSON; some fields changed their names. Localised output is refused: the names are its only
structure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from uplift.facts.model import Capture, Value
from uplift.facts.parsers import sysfs

JSON = "cmd:lscpu/json"
TEXT = "cmd:lscpu/text"
CAPTURES = (JSON, TEXT)
MAX_BYTES = 4 << 20

#: Without one of these it is no lscpu output, or one in another language: names that no
#: translation keeps (``CPU(s)`` and ``Architecture`` are French and German too).
_ENGLISH = {
    *("CPU op-mode(s)", "Byte Order", "Address sizes", "On-line CPU(s) list", "Vendor ID"),
    *("Thread(s) per core", "Model name", "CPU family", "Hypervisor vendor", "Socket(s) per book"),
}
_SIZE = re.compile(r"([\d.]+)\s*([KMG]?)i?B?(?:\s*\((\d+) instances?\))?$")
_X_LIST = re.compile(r"(\d+)-(\d+):(\d+)$")
_BITS = re.compile(r"(\d{1,3}) bits physical, (\d{1,3}) bits virtual")


@dataclass(frozen=True)
class Report:
    """The fields of one report in its order; a machine with several kinds of core repeats some."""

    fields: tuple[tuple[str, str], ...]

    def get(self, *names: str) -> str:
        """Return the first field that has one of ``names``; empty where there is none."""
        return next((value for name, value in self.fields if name in names), "")

    def number(self, *names: str) -> int | None:
        """Return a field that is a plain number; None where it is missing or ``-``."""
        text = self.get(*names)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def every(self, name: str) -> list[str]:
        """Return all values of a field that repeats."""
        return [value for found, value in self.fields if found == name]


def read(capture: Capture) -> Report:
    """Read a capture in either notation.

    :raises ValueError: it is no output of lscpu, or one in another language.
    """
    return read_bytes(capture.data)


def read_bytes(data: bytes) -> Report:
    """Read an output of lscpu, JSON or text."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    text = data.decode("utf-8", "replace")
    report = Report(tuple(_json_fields(text) if text.lstrip()[:1] == "{" else _text_fields(text)))
    names = {name for name, _ in report.fields}
    if not names.intersection(_ENGLISH):
        raise ValueError(
            "line 1: none of lscpu's English field names is there; record it with LC_ALL=C"
        )
    return report


def _text_fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if colon:
            yield _named(name), value.strip()


def _named(name: str) -> str:
    """Return a field's name as the newest text output spells it."""
    name = name.strip().rstrip(":")
    return _CACHE_NAMES.get(name, name)


_CACHE_NAMES = {name: f"{name} cache" for name in ("L1d", "L1i", "L2", "L2d", "L2i", "L3", "L4")}


def _json_fields(text: str) -> Iterator[tuple[str, str]]:
    if text.count("{") + text.count("[") > 10_000:
        raise ValueError("the JSON is nested too often")
    try:
        top = json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error
    rows = top.get("lscpu") if isinstance(top, dict) else None
    if not isinstance(rows, list):
        raise ValueError("line 1: the JSON has no list 'lscpu'")
    todo = list(reversed(rows))
    while todo:
        row = todo.pop()
        if not isinstance(row, dict) or not isinstance(row.get("field"), str):
            raise ValueError("an entry of 'lscpu' has no field")
        data = row.get("data")
        if data is not None:
            yield _named(row["field"]), str(data).strip()
        children = row.get("children") or []
        if not isinstance(children, list):
            raise ValueError("'children' is no list")
        todo.extend(reversed(children))


def cpuinfo_values(report: Report) -> dict[str, Value]:
    """Return the facts of ``cpuinfo.`` that lscpu repeats."""
    flags = [frozenset(text.split()) for text in report.every("Flags")]
    values: dict[str, Value] = {}
    if flags:
        values["cpuinfo.flags"] = frozenset.intersection(*flags)
    for fact, name in (("vendor", "Vendor ID"), ("model_name", "Model name"), ("isa", "ISA")):
        text = report.get(name)
        if text and text != "-":
            values[f"cpuinfo.{fact}"] = text
    for fact, name in (("family", "CPU family"), ("model", "Model"), ("stepping", "Stepping")):
        number = report.number(name)
        if number is not None:
            values[f"cpuinfo.{fact}"] = number
    values.update(_typed(report))
    values["cpuinfo.kinds"] = max(1, len(report.every("Model name")))
    return values


def _typed(report: Report) -> Iterator[tuple[str, Value]]:
    microcode = report.get("Microcode version", "Microcode")
    if re.fullmatch(r"0x[0-9a-fA-F]{1,16}", microcode):
        yield "cpuinfo.microcode", int(microcode, 16)
    bits = _BITS.match(report.get("Address sizes"))
    if bits:
        yield "cpuinfo.physical_bits", int(bits[1])
        yield "cpuinfo.virtual_bits", int(bits[2])
    modes = report.get("CPU op-mode(s)")
    if modes:
        yield "cpuinfo.op_modes", frozenset(modes.replace(",", " ").split())
    arch = report.get("Architecture")
    if arch:
        yield "cpuinfo.arch", arch
    bogomips = _float(report.get("BogoMIPS"))
    if bogomips is not None:
        yield "cpuinfo.bogomips", bogomips


def _float(text: str) -> float | None:
    try:
        return float(text) if text and len(text) < 40 else None
    except ValueError:
        return None


#: fact of ``topology.``: the field's names, newest first.
_COUNTS = (
    ("cpus", ("CPU(s)",)),
    ("threads_per_core", ("Thread(s) per core",)),
    ("cores_per_socket", ("Core(s) per socket", "Core(s) per cluster")),
    ("sockets", ("Socket(s)", "CPU socket(s)")),
    ("clusters", ("Cluster(s)",)),
    ("numa_nodes", ("NUMA node(s)",)),
    ("sockets_per_book", ("Socket(s) per book",)),
    ("books_per_drawer", ("Book(s) per drawer",)),
    ("books", ("Book(s)",)),
    ("drawers", ("Drawer(s)",)),
)


def topology_values(report: Report) -> dict[str, Value]:
    """Return the facts of ``topology.``, ``cache.`` and ``numa.`` that lscpu prints."""
    values: dict[str, Value] = {}
    for fact, names in _COUNTS:
        number = report.number(*names)
        if number is not None:
            values[f"topology.{fact}"] = number
    for fact, name in (("mhz_max", "CPU max MHz"), ("mhz_min", "CPU min MHz")):
        mhz = _float(report.get(name))
        if mhz is not None:
            values[f"topology.{fact}"] = mhz
    order = report.get("Byte Order")
    if order:
        values["topology.byte_order"] = order.split()[0].lower()
    values["topology.kinds"] = max(1, len(report.every("Model name")))
    values.update(_online(report))
    values.update(_caches(report))
    values.update(_nodes(report))
    return values


def _online(report: Report) -> Iterator[tuple[str, Value]]:
    for fact, name in (("online", "On-line CPU(s) list"), ("offline", "Off-line CPU(s) list")):
        text = report.get(name)
        if text:
            mask = cpu_list(text)
            yield f"topology.{fact}", sysfs.listed(mask)
            yield f"topology.cpus_{fact}", mask.bit_count()


def _nodes(report: Report) -> Iterator[tuple[str, Value]]:
    for name, value in report.fields:
        found = re.fullmatch(r"NUMA node(\d{1,5}) CPU\(s\)", name)
        if found:
            yield f"numa.node{found[1]}.cpus", sysfs.listed(cpu_list(value))


def cpu_list(text: str) -> int:
    """Read lscpu's lists, which shorten every n-th CPU to ``1-61:4``."""
    mask = 0
    for part in text.split(","):
        stepped = _X_LIST.match(part)
        if stepped:
            first, last, step = (int(number) for number in stepped.groups())
            if not first <= last < sysfs.MAX_CPU or not step:
                raise ValueError(f"{part[:40]!r} is no list of CPUs")
            mask |= sum(1 << cpu for cpu in range(first, last + 1, step))
        else:
            mask |= sysfs.cpu_list(part)
    return mask


def _caches(report: Report) -> Iterator[tuple[str, Value]]:
    """Yield sizes over all instances; before 2.34 (``32K``) lscpu printed the size of one."""
    for short, name in _CACHE_NAMES.items():
        found = _SIZE.match(report.get(name))
        if found is None or not re.fullmatch(r"\d+(\.\d+)?", found[1]):
            continue
        unit = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[found[2]]
        size = round(float(found[1]) * unit)
        if found[3] is not None:
            yield f"cache.{short.lower()}", size
            yield f"cache.{short.lower()}.instances", int(found[3])
        elif "iB" in report.get(name):
            yield f"cache.{short.lower()}", size
        else:
            yield f"cache.{short.lower()}.each", size


def platform_values(report: Report) -> Mapping[str, str]:
    """Return what lscpu says about virtualization, by its own field names."""
    names = ("Hypervisor", "Hypervisor vendor", "Virtualization type", "Virtualization")
    return {name: text for name in names if (text := report.get(name))}
