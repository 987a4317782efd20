"""PCI devices, their drivers and links: from sysfs, else from ``lspci -nnvv``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

TREE = "tree:/sys/bus/pci/devices"
TEXT = "cmd:lspci/nnvv"
MAX_DEVICES = 20_000


@dataclass(frozen=True)
class Device:
    """One PCI function.

    :param id: vendor and device, ``8086:0b25``.
    :param kind: class and subclass, ``0880``.
    :param link: speed in GT/s and width now; (0, 0) where not recorded.
    :param best: what the device could do.
    :param functions: virtual functions that exist and that could.
    """

    slot: str
    id: str
    kind: str
    driver: str = ""
    node: int = -1
    link: tuple[float, int] = (0, 0)
    best: tuple[float, int] = (0, 0)
    functions: tuple[int, int] = (0, 0)
    virtual: bool = False

    @property
    def degraded(self) -> bool:
        """Whether the link is narrower or slower than the device could have it."""
        return 0 < self.link[0] < self.best[0] or 0 < self.link[1] < self.best[1]


def devices(captures: Mapping[str, Capture]) -> list[Device]:
    """Return the machine's PCI devices in order of slot.

    :raises ValueError: the recording is broken.
    """
    if TREE in captures:
        return list(_from_tree(SysTree.of(captures[TREE])))
    if TEXT in captures:
        return list(_from_text(captures[TEXT].text))
    return []


def _from_tree(tree: SysTree) -> Iterator[Device]:
    for slot in tree.names()[:MAX_DEVICES]:
        vendor, device, kind = (_hexadecimal(tree, slot, n) for n in ("vendor", "device", "class"))
        if not vendor or not device:
            continue
        yield Device(
            slot=slot,
            id=f"{vendor}:{device}",
            kind=kind[:4],
            driver=tree.link(f"{slot}/driver") or tree.text(f"{slot}/driver") or "",
            node=_number(tree.text(f"{slot}/numa_node"), -1),
            link=_link(tree, slot, "current"),
            best=_link(tree, slot, "max"),
            functions=(
                _number(tree.text(f"{slot}/sriov_numvfs")),
                _number(tree.text(f"{slot}/sriov_totalvfs")),
            ),
            virtual=tree.has(f"{slot}/physfn"),
        )


def _hexadecimal(tree: SysTree, slot: str, name: str) -> str:
    """Read ``0x8086`` as ``8086``."""
    text = (tree.text(f"{slot}/{name}") or "").lower()
    if text and not re.fullmatch(r"0x[0-9a-f]{4,8}", text):
        raise ValueError(f"{slot}/{name}: {text[:40]!r} is no identifier")
    return text[2:]


def _number(text: str | None, otherwise: int = 0) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,8}", text) else otherwise


_SPEED = re.compile(r"(\d{1,3}(?:\.\d)?) ?GT/s")


def _link(tree: SysTree, slot: str, which: str) -> tuple[float, int]:
    speed = _SPEED.match(tree.text(f"{slot}/{which}_link_speed") or "")
    width = _number(tree.text(f"{slot}/{which}_link_width"))
    return (float(speed[1]) if speed else 0, width if 0 < width < 64 else 0)


_HEADER = re.compile(
    r"(?P<slot>(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) .*?\[(?P<kind>[0-9a-f]{4})\]: "
    r".*\[(?P<id>[0-9a-f]{4}:[0-9a-f]{4})\]"
)
_TEXT_LINK = re.compile(r"Lnk(Cap|Sta):.*?Speed (\d{1,3}(?:\.\d)?)GT/s[^,]*, Width x(\d{1,2})")
_TEXT_FUNCTIONS = re.compile(r"Initial VFs: \d+, Total VFs: (\d{1,5}), Number of VFs: (\d{1,5})")


def _from_text(text: str) -> Iterator[Device]:
    blocks = re.split(r"\n(?=\S)", text)
    found = [device for block in blocks[:MAX_DEVICES] if (device := _block(block))]
    if not found and text.strip():
        raise ValueError("line 1: it is no output of lspci -nn")
    yield from found


def _block(block: str) -> Device | None:
    lines = block[: 64 << 10].split("\n")
    header = _HEADER.match(lines[0][:1000])
    if header is None:
        return None
    links: dict[str, tuple[float, int]] = {}
    driver, functions = "", (0, 0)
    for line in lines[1:]:
        link = _TEXT_LINK.search(line[:500])
        if link:
            links.setdefault(link[1], (float(link[2]), int(link[3])))
        counted = _TEXT_FUNCTIONS.search(line[:500])
        if counted:
            functions = (int(counted[2]), int(counted[1]))
        if line.strip().startswith("Kernel driver in use:"):
            driver = line.partition(":")[2].strip()
    slot = header["slot"] if header["slot"].count(":") > 1 else f"0000:{header['slot']}"
    return Device(
        slot,
        header["id"],
        header["kind"],
        driver,
        link=links.get("Sta", (0, 0)),
        best=links.get("Cap", (0, 0)),
        functions=functions,
    )


def _values(found: Iterable[Device]) -> dict[str, Value]:
    every = list(found)
    degraded = [d for d in every if d.degraded]
    makers = [(f"{d.id[:4]}:{d.kind}", d.driver) for d in every if d.kind]
    return {
        "pci.devices": len(every),
        "pci.ids": frozenset(d.id for d in every),
        "pci.classes": frozenset(d.kind for d in every if d.kind),
        "pci.drivers": frozenset(f"{d.id}={d.driver}" for d in every if d.driver),
        "pci.vendor_classes": frozenset(maker for maker, _ in makers),
        "pci.vendor_drivers": frozenset(f"{maker}={driver}" for maker, driver in makers if driver),
        "pci.unbound": frozenset(d.id for d in every if not d.driver),
        "pci.degraded": frozenset(f"{d.slot} {d.id} {_said(d.link, d.best)}" for d in degraded),
        "pci.degraded_count": len(degraded),
        "pci.sriov_capable": sum(bool(d.functions[1]) for d in every),
        "pci.sriov_functions": sum(d.functions[0] for d in every),
        "pci.sriov": frozenset(
            f"{d.id} {d.functions[0]}/{d.functions[1]}" for d in every if d.functions[1]
        ),
    }


def _said(link: tuple[float, int], best: tuple[float, int]) -> str:
    return f"{link[0]:g} GT/s x{link[1]} of {best[0]:g} GT/s x{best[1]}"


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    yield Reading(TREE if TREE in captures else TEXT, _values(devices(captures)))


PARSER = Parser(name="pci", declares=("pci.",), reads=(TREE, TEXT), parse=_parse)
