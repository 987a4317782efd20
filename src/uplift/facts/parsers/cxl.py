"""Accelerators and memory expanders: CXL, DSA, IAA and QAT, by device, driver and state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import pci
from uplift.facts.parsers.sysfs import SysTree

CXL = "tree:/sys/bus/cxl/devices"
DSA = "tree:/sys/bus/dsa/devices"

#: PCI identifiers. Sources: linux drivers/dma/idxd/registers.h; drivers/crypto/intel/qat
#: (adf_accel_devices.h and the drivers' probe tables).
_IDS = {
    "dsa": frozenset(("8086:0b25", "8086:11fb", "8086:1212")),
    "iaa": frozenset(("8086:0cfe", "8086:1216", "8086:b02d", "8086:fd2d")),
    "qat": frozenset(
        "8086:" + device
        for device in ("0435", "37c8", "19e2", "6f54", "4940", "4942", "4944", "4946", "4948")
    ),
}
_CXL_KINDS = ("mem", "root", "port", "endpoint", "region", "decoder", "nvdimm-bridge")
_BUS_NAMES = {"dsa": "dsa", "iax": "iaa"}


def _by_pci(captures: Mapping[str, Capture]) -> dict[str, Value]:
    """Count each kind of accelerator and name the drivers bound to it."""
    found = pci.devices(captures)
    values: dict[str, Value] = {}
    for kind, ids in _IDS.items():
        mine = [device for device in found if device.id in ids]
        values[f"device.{kind}.count"] = len(mine)
        values[f"device.{kind}.drivers"] = frozenset(d.driver for d in mine if d.driver)
        values[f"device.{kind}.functions"] = sum(device.functions[0] for device in mine)
    values["device.cxl.memory_devices"] = sum(device.kind == "0502" for device in found)
    return values


def _dsa(tree: SysTree) -> dict[str, Value]:
    """Count the devices and work queues that idxd offers, and those switched on."""
    values: dict[str, Value] = {}
    for prefix, kind in _BUS_NAMES.items():
        numbers = tree.numbered(prefix)
        states = [tree.text(f"{prefix}{number}/state") for number in numbers]
        values[f"device.{kind}.enabled"] = states.count("enabled")
        queues = [name for number in numbers for name in tree.names() if _queue_of(name, number)]
        on = [q for q in queues if tree.text(f"{q}/state") == "enabled" and numbers]
        values[f"device.{kind}.queues_enabled"] = len(on)
        values[f"device.{kind}.queue_types"] = frozenset(
            text for q in on if (text := tree.text(f"{q}/type"))
        )
    return values


def _queue_of(name: str, device: int) -> bool:
    return name.startswith(f"wq{device}.")


def _cxl(tree: SysTree) -> dict[str, Value]:
    values: dict[str, Value] = {
        f"device.cxl.{kind.replace('-', '_')}": len(tree.numbered(kind)) for kind in _CXL_KINDS
    }
    sizes = (tree.text(f"mem{number}/ram/size") for number in tree.numbered("mem"))
    values["device.cxl.ram_bytes"] = sum(int(text, 0) for text in sizes if text)
    return values


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name in (pci.TREE, pci.TEXT):
        if name in captures:
            yield Reading(name, _by_pci(captures))
            break
    if DSA in captures:
        yield Reading(DSA, _dsa(SysTree.of(captures[DSA])))
    if CXL in captures:
        yield Reading(CXL, _cxl(SysTree.of(captures[CXL])))


PARSER = Parser(
    name="cxl",
    declares=tuple(f"device.{kind}." for kind in ("cxl", "dsa", "iaa", "qat")),
    reads=(CXL, DSA, pci.TREE, pci.TEXT),
    parse=_parse,
)
