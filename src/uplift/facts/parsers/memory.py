"""Memory: how much, on which nodes, in pages of which size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import arm_sysreport, sysfs
from uplift.facts.parsers.sysfs import SysTree

MEMINFO = "file:/proc/meminfo"
NODES = "tree:/sys/devices/system/node"
POOLS = "tree:/sys/kernel/mm/hugepages"
THP = "tree:/sys/kernel/mm/transparent_hugepage"

_LINE = re.compile(r"([\w()]+):\s*(\d{1,18})(?: kB)?\s*$")
#: fact: name in /proc/meminfo, and the unit of what stands there.
_MEMINFO = (
    ("total", "MemTotal", 1024),
    ("available", "MemAvailable", 1024),
    ("swap", "SwapTotal", 1024),
    ("hugepages_total", "HugePages_Total", 1),
    ("hugepages_free", "HugePages_Free", 1),
    ("hugepage_size", "Hugepagesize", 1024),
    ("hugetlb", "Hugetlb", 1024),
    ("anonymous_hugepages", "AnonHugePages", 1024),
)


def _meminfo(text: str) -> dict[str, Value]:
    found = {}
    for line in text.split("\n"):
        match = _LINE.match(line)
        if match:
            found[match[1]] = int(match[2])
    if "MemTotal" not in found:
        raise ValueError("line 1: there is no MemTotal")
    return {f"memory.{fact}": found[name] * unit for fact, name, unit in _MEMINFO if name in found}


def _pools(tree: SysTree) -> Iterator[tuple[str, Value]]:
    """Yield each pool of huge pages by its page size in kB."""
    sizes = tree.numbered_sizes("hugepages-", "kB")
    yield "memory.hugepage_sizes", tuple(str(size) for size in sizes)
    for size in sizes:
        pages = tree.number(f"hugepages-{size}kB/nr_hugepages")
        if pages is not None:
            yield f"memory.hugepages.{size}", pages


def _thp(tree: SysTree) -> Iterator[tuple[str, Value]]:
    for fact, name in (
        ("thp", "enabled"),
        ("thp_defrag", "defrag"),
        ("thp_shmem", "shmem_enabled"),
        ("thp_zero_page", "use_zero_page"),
    ):
        text = tree.text(name)
        if text:
            yield f"memory.{fact}", sysfs.chosen(text)
    sizes = tree.numbered_sizes("hugepages-", "kB")
    if sizes:
        enabled = {
            size: sysfs.chosen(tree.text(f"hugepages-{size}kB/enabled") or "") for size in sizes
        }
        yield "memory.thp_sizes", tuple(f"{size}={word}" for size, word in enabled.items() if word)


def _nodes(tree: SysTree) -> Iterator[tuple[str, Value]]:
    with_memory = []
    for node in tree.numbered("node"):
        found = re.search(r"MemTotal:\s*(\d{1,15}) kB", tree.text(f"node{node}/meminfo") or "")
        if found:
            yield f"memory.node{node}.total", int(found[1]) * 1024
            with_memory.append(node)
    yield "memory.nodes", len(with_memory)
    bare = [node for node in with_memory if tree.text(f"node{node}/cpulist") == ""]
    yield "memory.nodes_without_cpus", tuple(str(node) for node in bare)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if MEMINFO in captures:
        yield Reading(MEMINFO, _meminfo(captures[MEMINFO].text))
    elif arm_sysreport.CAPTURE in captures:
        report = arm_sysreport.read(captures[arm_sysreport.CAPTURE].text)
        yield Reading(arm_sysreport.CAPTURE, arm_sysreport.memory_values(report))
    for name, values in ((POOLS, _pools), (THP, _thp), (NODES, _nodes)):
        if name in captures:
            yield Reading(name, dict(values(SysTree.of(captures[name]))))


PARSER = Parser(
    name="memory",
    declares=("memory.",),
    reads=(MEMINFO, POOLS, THP, NODES, arm_sysreport.CAPTURE),
    parse=_parse,
)
