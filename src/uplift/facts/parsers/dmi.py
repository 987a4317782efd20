"""What the firmware calls the machine: DMI from sysfs, else from ``dmidecode``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

TREE = "tree:/sys/class/dmi/id"
TEXT = "cmd:dmidecode/text"

#: (section, field) of dmidecode: name in sysfs.
_FIELDS = {
    ("BIOS Information", "Vendor"): "bios_vendor",
    ("BIOS Information", "Version"): "bios_version",
    ("BIOS Information", "Release Date"): "bios_date",
    ("BIOS Information", "Firmware Revision"): "ec_firmware_release",
    ("BIOS Information", "BIOS Revision"): "bios_release",
    ("System Information", "Manufacturer"): "sys_vendor",
    ("System Information", "Product Name"): "product_name",
    ("System Information", "Version"): "product_version",
    ("System Information", "SKU Number"): "product_sku",
    ("System Information", "Family"): "product_family",
    ("Base Board Information", "Manufacturer"): "board_vendor",
    ("Base Board Information", "Product Name"): "board_name",
    ("Base Board Information", "Version"): "board_version",
    ("Chassis Information", "Manufacturer"): "chassis_vendor",
    ("Chassis Information", "Type"): "chassis_type",
    ("Chassis Information", "Asset Tag"): "chassis_asset_tag",
}


def _from_tree(tree: SysTree) -> dict[str, Value]:
    texts = {name: tree.text(name) for name in tree.names()}
    return {
        f"firmware.dmi.{name}": text
        for name, text in texts.items()
        if text is not None and name not in ("uevent", "modalias")
    }


def _from_text(text: str) -> dict[str, Value]:
    """Read the first section of each name; a machine may have several boards and processors."""
    if "SMBIOS" not in text and "DMI type" not in text:
        raise ValueError("line 1: it is no output of dmidecode")
    values: dict[str, Value] = {}
    section = ""
    seen: set[str] = set()
    for line in text.split("\n"):
        if line and not line[0].isspace():
            section = ""
            if line.strip() not in seen and line.strip().endswith("Information"):
                section = line.strip()
                seen.add(section)
            continue
        name, colon, value = line.strip().partition(":")
        field = _FIELDS.get((section, name)) if colon else None
        if field:
            values.setdefault(f"firmware.dmi.{field}", value.strip())
    return values


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if TREE in captures:
        yield Reading(TREE, _from_tree(SysTree.of(captures[TREE])))
    elif TEXT in captures:
        yield Reading(TEXT, _from_text(captures[TEXT].text))


PARSER = Parser(name="dmi", declares=("firmware.dmi.",), reads=(TREE, TEXT), parse=_parse)
