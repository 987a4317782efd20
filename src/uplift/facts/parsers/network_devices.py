"""Network interfaces: driver, speed and firmware, from sysfs and ``ethtool -i``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

TREE = "tree:/sys/class/net"
DRIVER = "cmd:ethtool-i/"
DRIVERS = "probe:net-drivers"
MAX_INTERFACES = 4096

_NAME = re.compile(r"[\w@:+-]{1,32}")


def _slug(interface: str) -> str:
    """Return an interface's name as one word of a fact's name (``eth0.7`` has a dot in it)."""
    return interface.replace(".", "_").lower()


def _interfaces(tree: SysTree) -> dict[str, Value]:
    values: dict[str, Value] = {}
    names = [name for name in tree.names()[:MAX_INTERFACES] if name != "lo"]
    drivers = {name: tree.link(f"{name}/device/driver") for name in names}
    for name in names:
        prefix = f"net.interface.{_slug(name)}."
        texts = {fact: tree.text(f"{name}/{fact}") for fact in ("operstate", "mtu", "speed")}
        if drivers[name]:
            values[f"{prefix}driver"] = drivers[name]
        if texts["operstate"]:
            values[f"{prefix}state"] = texts["operstate"]
        for fact in ("mtu", "speed"):
            text = texts[fact] or ""
            if re.fullmatch(r"\d{1,8}", text):  # a link that is down has speed -1
                values[prefix + fact] = int(text)
    values["net.interfaces"] = tuple(names)
    values["net.drivers"] = frozenset(driver for driver in drivers.values() if driver)
    return values


def _driver(interface: str, text: str) -> dict[str, Value]:
    """Read ``ethtool -i``."""
    rows = (line.partition(": ") for line in text.split("\n"))
    fields = {name: value.strip() for name, _, value in rows if value.strip()}
    prefix = f"net.interface.{_slug(interface)}."
    names = (("driver", "driver"), ("version", "driver_version"), ("firmware-version", "firmware"))
    return {prefix + fact: fields[name] for name, fact in names if name in fields}


_DRIVER_LINE = re.compile(r"(\S+) driver=(\S*) version=(.*) firmware=(.*) bus=(\S*)$")


def _drivers(text: str) -> dict[str, Value]:
    """Read one interface a line: ``eth0 driver=ice version=6.8.0 firmware=4.40 bus=0000:3b:00.0``.

    :raises ValueError: a line is something else.
    """
    values: dict[str, Value] = {}
    for number, line in enumerate(text.split("\n")[:MAX_INTERFACES], 1):
        if not line.strip():
            continue
        found = _DRIVER_LINE.match(line)
        if found is None:
            raise ValueError(f"line {number}: {line[:60]!r} names no driver")
        prefix = f"net.interface.{_slug(found[1])}."
        for fact, value in zip(
            ("driver", "driver_version", "firmware"), found.groups()[1:4], strict=True
        ):
            if value.strip():
                values[prefix + fact] = value.strip()
    return values


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if TREE in captures:
        yield Reading(TREE, _interfaces(SysTree.of(captures[TREE])))
    if DRIVERS in captures:
        yield Reading(DRIVERS, _drivers(captures[DRIVERS].text))
    for name, capture in captures.items():
        interface = name[len(DRIVER) :]
        if name.startswith(DRIVER) and _NAME.fullmatch(interface.replace(".", "_")):
            yield Reading(name, _driver(interface, capture.text))


PARSER = Parser(
    name="network_devices",
    declares=("net.interface.", "net.interfaces", "net.drivers"),
    reads=(TREE, DRIVERS, DRIVER + "*"),
    parse=_parse,
)
