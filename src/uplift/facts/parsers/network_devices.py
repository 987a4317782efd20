"""Network interfaces: driver, speed, firmware and offloads, from sysfs and ``ethtool``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

TREE = "tree:/sys/class/net"
FEATURES = "cmd:ethtool/"
DRIVER = "cmd:ethtool-i/"
DRIVERS = "probe:net-drivers"
MAX_INTERFACES = 4096

_FEATURE = re.compile(
    r"\s*([a-z0-9-]{1,60}): (on|off)(?: \[(fixed|requested on|requested off)\])?$"
)
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


def _features(interface: str, text: str) -> dict[str, Value]:
    """Read ``ethtool -k``: one feature a line, ``[fixed]`` where nobody can change it.

    :raises ValueError: there is no such line.
    """
    values: dict[str, Value] = {}
    prefix = f"net.interface.{_slug(interface)}."
    fixed = set()
    for line in text.split("\n"):
        found = _FEATURE.match(line.rstrip())
        if found:
            values[f"{prefix}offload.{found[1]}"] = found[2] == "on"
            if found[3] == "fixed" and found[2] == "off":
                fixed.add(found[1])
    if not values and text.strip():
        raise ValueError(f"ethtool of {interface}: no line is a feature and 'on' or 'off'")
    values[f"{prefix}impossible"] = frozenset(fixed)
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
    on: dict[str, set[str]] = {}
    for name, capture in captures.items():
        head, interface = name.rpartition("/")[0] + "/", name.rpartition("/")[2]
        if head in (FEATURES, DRIVER) and _NAME.fullmatch(interface.replace(".", "_")):
            read = _features if head == FEATURES else _driver
            values = read(interface, capture.text)
            yield Reading(name, values)
            words = {n.rpartition(".")[2] for n, value in values.items() if value is True}
            on.setdefault(name, set()).update(words)
    features = [(name, words) for name, words in on.items() if words]
    if features:
        yield Reading(
            features[0][0], {"net.offloads": frozenset().union(*(w for _, w in features))}
        )


PARSER = Parser(
    name="network_devices",
    declares=("net.interface.", "net.interfaces", "net.drivers", "net.offloads"),
    reads=(TREE, DRIVERS, FEATURES + "*", DRIVER + "*"),
    parse=_parse,
)
