"""Cache and bandwidth control (Intel RDT, AMD QoS, Arm MPAM) as resctrl offers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

TREE = "tree:/sys/fs/resctrl/info"


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    tree = SysTree.of(captures[TREE])
    resources = [name for name in tree.names() if name != "last_cmd_status"]
    monitored = (tree.text(f"{name}/mon_features") or "" for name in resources)
    values: dict[str, Value] = {
        "resctrl.info": frozenset(resources),
        "resctrl.monitors": frozenset(word for text in monitored for word in text.split()),
    }
    for name in resources:
        for file in ("num_closids", "num_rmids", "min_bandwidth", "min_cbm_bits"):
            text = tree.text(f"{name}/{file}") or ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                values[f"resctrl.{name.lower()}.{file}"] = int(text)
        mask = tree.text(f"{name}/cbm_mask")
        if mask:
            values[f"resctrl.{name.lower()}.cbm_mask"] = mask
    yield Reading(TREE, values)


PARSER = Parser(name="resctrl", declares=("resctrl.",), reads=(TREE,), parse=_parse)
