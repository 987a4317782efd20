"""CPUID bits that QEMU and libvirt name: what they can offer a guest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import defusedxml.ElementTree

from uplift.catalog.derive.cpuid_field import Named, Slot, bit, lines_of, plain

LIBVIRT = "src/cpu_map/x86_features.xml"
QEMU = "target/i386/cpu.c"

_REGISTERS = ("eax", "ebx", "ecx", "edx")


def libvirt_version(tree: Path) -> str:
    """Return the tree's version, ``11.3.0``."""
    text = "\n".join(lines_of(tree, "meson.build"))
    match = re.search(r"^\s*version: '([\d.]+)'", text, re.MULTILINE)
    return match[1] if match else ""


def libvirt(tree: Path) -> Iterator[Named]:
    """Yield the features of libvirt's map; those of MSRs are left out."""
    root = defusedxml.ElementTree.fromstring("\n".join(lines_of(tree, LIBVIRT)))
    for feature in root.iter("feature"):
        for place in feature.iter("cpuid"):
            for slot in _libvirt_slots(place.attrib):
                yield Named(slot, plain(feature.attrib["name"]), "libvirt/x86_features.xml")


def _libvirt_slots(place: dict[str, str]) -> Iterator[Slot]:
    leaf, subleaf = int(place["eax_in"], 16), int(place.get("ecx_in", "0"), 16)
    for index, register in enumerate(_REGISTERS):
        word = int(place.get(register, "0"), 16)
        for number in range(32):
            if word >> number & 1:
                yield bit(leaf, subleaf, index, number)


def qemu_version(tree: Path) -> str:
    """Return the tree's version, ``10.0.13``."""
    return next(iter(lines_of(tree, "VERSION"))).strip()


_QEMU_WORD = re.compile(r"^    \[FEAT_\w+\] = \{$(.*?)^    \},$", re.MULTILINE | re.DOTALL)
_QEMU_NAMES = re.compile(r"\.feat_names = \{(.*?)\n        \},", re.DOTALL)
_QEMU_PLACE = re.compile(r"\.cpuid = \{(.*?)\}", re.DOTALL)
_QEMU_ITEM = re.compile(r'"([^"]+)"|\bNULL\b|\[(\d+)\] =')
_QEMU_CONSTANTS = {"KVM_CPUID_FEATURES": 0x40000001, "CPUID_XSTATE": 0xD}


def qemu(tree: Path) -> Iterator[Named]:
    """Yield the names of QEMU's feature words."""
    text = re.sub(r"/\*.*?\*/", "", "\n".join(lines_of(tree, QEMU)), flags=re.DOTALL)
    for word in _QEMU_WORD.finditer(text):
        names, place = _QEMU_NAMES.search(word[1]), _QEMU_PLACE.search(word[1])
        if not names or not place:
            continue
        leaf, subleaf, register = _qemu_place(place[1])
        vendors = "KVM" if leaf == 0x40000001 else ""
        for number, name in _qemu_items(names[1]):
            slot = bit(leaf, subleaf, register, number)
            yield Named(slot, plain(name), "qemu/cpu.c", "", vendors)


def _qemu_place(text: str) -> tuple[int, int, int]:
    parts = dict(re.findall(r"\.(\w+) = (\w+)", text))
    leaf = parts["eax"]
    number = _QEMU_CONSTANTS[leaf] if leaf in _QEMU_CONSTANTS else int(leaf, 0)
    register = _REGISTERS.index(parts["reg"].removeprefix("R_").lower())
    return number, int(parts.get("ecx", "0"), 0), register


def _qemu_items(text: str) -> Iterator[tuple[int, str]]:
    number = 0
    for item in _QEMU_ITEM.finditer(text):
        if item[2]:
            number = int(item[2])
            continue
        if item[1]:
            yield number, item[1]
        number += 1
