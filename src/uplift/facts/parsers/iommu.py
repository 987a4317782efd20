"""IOMMUs that the kernel drives, and the groups of devices behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

UNITS = "list:/sys/class/iommu"
REGISTERS = "tree:/sys/class/iommu"
GROUPS = "tree:/sys/kernel/iommu_groups"
GROUP_NAMES = "list:/sys/kernel/iommu_groups"


def _kind(unit: str) -> str:
    """Return ``dmar`` of ``dmar0``, ``smmu3`` of ``smmu3.0x00000000fff00000``."""
    return unit.partition(".")[0] if "." in unit else unit.rstrip("0123456789")


#: directory of a unit: the maker's name in facts, and the hexadecimal files in it.
_REGISTERS = {"intel-iommu": ("intel", ("cap", "ecap")), "amd-iommu": ("amd", ("features", "cap"))}


def _registers(tree: SysTree) -> Iterator[tuple[str, Value]]:
    """Yield the capability words that every unit of one maker has, without ``0x`` in sysfs."""
    for directory, (maker, files) in _REGISTERS.items():
        for file in files:
            texts = (tree.text(f"{unit}/{directory}/{file}") for unit in tree.names())
            words = [int(text, 16) for text in texts if text]
            if words:
                yield f"iommu.{maker}.{file}", reduce(int.__and__, words)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if UNITS in captures:
        units = captures[UNITS].text.split()
        kinds = frozenset(_kind(unit) for unit in units)
        yield Reading(UNITS, {"iommu.units": len(units), "iommu.kinds": kinds})
    if REGISTERS in captures:
        yield Reading(REGISTERS, dict(_registers(SysTree.of(captures[REGISTERS]))))
    if GROUPS in captures:
        tree = SysTree.of(captures[GROUPS])
        groups = [name for name in tree.names() if name.isascii() and name.isdigit()]
        types = frozenset(text for group in groups if (text := tree.text(f"{group}/type")))
        yield Reading(GROUPS, {"iommu.groups": len(groups), "iommu.types": types})
    elif GROUP_NAMES in captures:
        names = captures[GROUP_NAMES].text.split()
        yield Reading(GROUP_NAMES, {"iommu.groups": len(names)})


PARSER = Parser(
    name="iommu",
    declares=("iommu.",),
    reads=(UNITS, REGISTERS, GROUPS, GROUP_NAMES),
    parse=_parse,
)
