"""CPUs, cores, sockets, caches, NUMA nodes: from sysfs, else from lscpu's output, else cpuinfo.

The counts follow ``lscpu``: a core is a distinct set of thread siblings, a socket a distinct set of
package siblings, and s390x reports its own machine topology in ``/proc/sysinfo`` because the sets
of a logical partition say little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import arm_sysreport, cpuinfo, lscpu_output, sysfs
from uplift.facts.parsers.sysfs import SysTree

CPU_TREE = "tree:/sys/devices/system/cpu"
NODE_TREE = "tree:/sys/devices/system/node"
BYTE_ORDER = "file:/sys/kernel/cpu_byteorder"
SYSINFO = "file:/proc/sysinfo"

#: Names of one set of siblings: as a list or as a mask, new name and old.
_SIBLINGS = {
    "core": ("thread_siblings", "core_cpus"),
    "cluster": ("cluster_cpus",),
    "die": ("die_cpus",),
    "socket": ("core_siblings", "package_cpus"),
    "book": ("book_siblings",),
    "drawer": ("drawer_siblings",),
}
#: Files with a CPU's own number on each level, for trees that hold the sets of few CPUs.
_IDS = {
    "cluster": "cluster_id",
    "die": "die_id",
    "socket": "physical_package_id",
    "book": "book_id",
    "drawer": "drawer_id",
}
_ABOVE = {
    "cluster": ("socket", "die"),
    "die": ("socket",),
    "socket": (),
    "book": (),
    "drawer": (),
}
_CACHE_LETTERS = {"Data": "d", "Instruction": "i"}
_SPARC_CACHES = (("l1_icache_size", "l1i"), ("l1_dcache_size", "l1d"), ("l2_cache_size", "l2"))
_SW_TOPOLOGY = re.compile(r"CPU Topology SW:((?:\s+\d{1,5}){6})")


@dataclass(frozen=True)
class Cache:
    """One instance of a cache.

    :param name: ``l1d``, ``l2``.
    :param size: in bytes; 0 where the recording does not say.
    :param cpus: mask of the CPUs that share it.
    """

    name: str
    size: int
    cpus: int


def _siblings(tree: SysTree, cpu: int, level: str) -> int | None:
    """Return the mask of the CPUs that share a core, a socket, … with ``cpu``."""
    for name in _SIBLINGS[level]:
        path = f"cpu{cpu}/topology/{name}"
        text = tree.text(f"{path}_list")
        if text:
            return sysfs.cpu_list(text)
        text = tree.text(path)
        if text:
            return sysfs.cpu_mask(text)
    return None


def _count(tree: SysTree, cpus: list[int], level: str) -> int:
    """Count the cores, sockets, … of ``cpus``: by sets of siblings, else by their numbers."""
    masks = [_siblings(tree, cpu, level) for cpu in cpus]
    if None in masks and (tree.has(f"cpu{cpus[0]}/topology/{_IDS.get(level, '?')}")):
        return len({_place(tree, cpu, level) for cpu in cpus})
    found = taken = 0
    for mask in masks:
        if mask and not mask & taken:  # one that shares a CPU with an earlier set is no new one
            found += 1
            taken |= mask
    return found


def _place(tree: SysTree, cpu: int, level: str) -> tuple[str | None, ...]:
    """Return the numbers of a CPU's socket, die, …; they count from 0 in each one above."""
    levels = (*_ABOVE.get(level, ()), level)
    return tuple(tree.text(f"cpu{cpu}/topology/{_IDS[above]}") for above in levels)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _present(tree: SysTree) -> int:
    text = tree.text("present") or tree.text("possible")
    if text:
        return sysfs.cpu_list(text)
    return sum(1 << cpu for cpu in tree.numbered("cpu"))


def _online(tree: SysTree, present: int) -> int:
    """Return the CPUs that run; old kernels list them nowhere, and mark those that are off."""
    text = tree.text("online")
    if text is not None:
        return sysfs.cpu_list(text)
    on = (cpu for cpu in _bits(present) if tree.has(f"cpu{cpu}/topology"))
    return sum(1 << cpu for cpu in on if tree.text(f"cpu{cpu}/online") != "0")


def _working(tree: SysTree, cpus: int) -> list[int]:
    """Return the CPUs that have a topology and are past the last step of being plugged in."""
    states = re.search(r"(\d{1,6}): online\b", tree.text("hotplug/states") or "")
    online = int(states[1]) if states else 0
    chosen = []
    for cpu in _bits(cpus):
        if _siblings(tree, cpu, "core") is None:
            continue
        state = tree.text(f"cpu{cpu}/hotplug/state")
        if not online or not state or not state.isdigit() or int(state) == online:
            chosen.append(cpu)
    return chosen


def _counts(tree: SysTree, cpus: int) -> dict[str, int]:
    """Count threads, cores, sockets, … among ``cpus``, a mask."""
    working = _working(tree, cpus)
    if not working:
        return {}
    threads = (_siblings(tree, cpu, "core") or 1 for cpu in working)
    counts = {"cores": _count(tree, working, "core")}
    counts["threads_per_core"] = max(siblings.bit_count() for siblings in threads)
    for level in ("socket", "book", "drawer", "die", "cluster"):
        found = _count(tree, working, level)
        if found:
            counts[f"{level}s"] = found
    counts.update(_ratios(counts))
    return counts


def _ratios(counts: Mapping[str, int]) -> dict[str, int]:
    pairs = (
        ("cores_per_socket", "cores", "sockets"),
        ("sockets_per_book", "sockets", "books"),
        ("books_per_drawer", "books", "drawers"),
    )
    return {
        name: counts[parts] // counts[wholes]
        for name, parts, wholes in pairs
        if counts.get(parts) and counts.get(wholes)
    }


def _sysinfo_counts(text: str) -> dict[str, int]:
    """Read the machine's topology as s390x reports it; empty where it does not."""
    found = _SW_TOPOLOGY.search(text)
    if found is None:
        return {}
    _, _, drawers, books, sockets, cores = (int(word) for word in found[1].split())
    counts = {
        "drawers": drawers,
        "books_per_drawer" if drawers else "books": books,
        "sockets_per_book": sockets,
        "cores_per_socket": cores,
    }
    return {name: count for name, count in counts.items() if count}


def _kind_counts(
    tree: SysTree, info: cpuinfo.CpuInfo, kind: cpuinfo.Kind, sysinfo: str
) -> dict[str, Value]:
    counts = _counts(tree, kind.cpus)
    counts.update(_sysinfo_counts(sysinfo))
    highest_thread = kind.fields.get("max thread id", "")
    if highest_thread.isdigit() and len(highest_thread) < 4:
        counts["threads_per_core"] = int(highest_thread) + 1
    return {**counts, **dict(_speeds(tree, info, kind.cpus & _present(tree)))}


def _speeds(tree: SysTree, info: cpuinfo.CpuInfo, cpus: int) -> Iterator[tuple[str, Value]]:
    """Yield the lowest and highest frequency in MHz, and how much of it was in use, in percent."""
    highest = {cpu: _mhz(tree, cpu, "cpuinfo_max_freq") for cpu in _bits(cpus)}
    lowest = [mhz for cpu in highest if (mhz := _mhz(tree, cpu, "cpuinfo_min_freq"))]
    if lowest:
        yield "mhz_min", min(lowest)
    if any(highest.values()):
        yield "mhz_max", max(mhz for mhz in highest.values() if mhz)
    using = {cpu: _mhz_now(tree, info, cpu) for cpu in highest if highest[cpu]}
    full = sum(highest[cpu] or 0 for cpu, now in using.items() if now)
    if full:
        yield "mhz_scaling", round(100 * sum(now or 0 for now in using.values()) / full)


def _mhz(tree: SysTree, cpu: int, name: str) -> float | None:
    khz = tree.number(f"cpu{cpu}/cpufreq/{name}")
    return khz / 1000 if khz is not None else None


def _mhz_now(tree: SysTree, info: cpuinfo.CpuInfo, cpu: int) -> float | None:
    now = _mhz(tree, cpu, "scaling_cur_freq")
    return now if now is not None else cpuinfo.decimal_point(info.of(cpu).get("cpu mhz", ""))


def caches(tree: SysTree, cpus: int) -> list[Cache]:
    """Return every instance of every cache of ``cpus``, a mask."""
    found: dict[tuple[str, int, int], Cache] = {}
    for cpu in _bits(cpus):
        for index in tree.numbered("index", f"cpu{cpu}/cache"):
            key, cache = _cache(tree, cpu, f"cpu{cpu}/cache/index{index}")
            if cache is not None and key not in found:
                found[key] = cache
        if not tree.has(f"cpu{cpu}/cache"):
            found.update({(c.name, cpu, 0): c for c in _sparc_caches(tree, cpu)})
    return list(found.values())


def _cache(tree: SysTree, cpu: int, path: str) -> tuple[tuple[str, int, int], Cache | None]:
    level, kind = tree.number(f"{path}/level"), tree.text(f"{path}/type")
    if level is None or kind is None:
        return ("", 0, 0), None
    name = f"l{level}{_CACHE_LETTERS.get(kind, '')}"
    mask = _shared(tree, path) or 1 << cpu
    number = tree.number(f"{path}/id")
    size = sysfs.size(tree.text(f"{path}/size") or "0")
    key = (name, 1, number) if number is not None and number >= 0 else (name, 2, mask)
    return key, Cache(name, size, mask)


def _shared(tree: SysTree, path: str) -> int | None:
    text = tree.text(f"{path}/shared_cpu_list")
    if text:
        return sysfs.cpu_list(text)
    text = tree.text(f"{path}/shared_cpu_map")
    return sysfs.cpu_mask(text) if text else None


def _sparc_caches(tree: SysTree, cpu: int) -> Iterator[Cache]:
    """Yield a CPU's own caches as sparc64 records them, in bytes."""
    for file, name in _SPARC_CACHES:
        size = tree.number(f"cpu{cpu}/{file}")
        if size:
            yield Cache(name, size, 1 << cpu)


def _cache_values(found: Iterable[Cache]) -> dict[str, Value]:
    values: dict[str, int] = {}
    for cache in found:
        if not cache.size:
            continue  # firmware did not say: unknown, and not a cache of no bytes
        values[f"cache.{cache.name}"] = values.get(f"cache.{cache.name}", 0) + cache.size
        instances = f"cache.{cache.name}.instances"
        values[instances] = values.get(instances, 0) + 1
        each = f"cache.{cache.name}.each"
        values[each] = max(values.get(each, 0), cache.size)
    return dict(values)


def _machine_caches(info: cpuinfo.CpuInfo) -> Iterator[tuple[str, Value]]:
    """Yield the caches that s390x shares beyond a CPU; nobody can say by which CPUs."""
    for line in info.caches:
        if line.get("scope") != "Private" and line.get("size") and line.get("level", "").isdigit():
            letter = _CACHE_LETTERS.get(line.get("type", ""), "")
            yield f"cache.l{line['level'][:2]}{letter}", sysfs.size(line["size"])


def _cpu_values(tree: SysTree, info: cpuinfo.CpuInfo, sysinfo: str) -> dict[str, Value]:
    present = _present(tree)
    values: dict[str, Value] = {"topology.cpus": present.bit_count()}
    running = _online(tree, present)
    if running:
        values["topology.cpus_online"] = running.bit_count()
        values["topology.online"] = sysfs.listed(running)
        values["topology.offline"] = sysfs.listed(present & ~running)
    values.update(_all_kinds(tree, info, present, sysinfo))
    values.update(_cache_values(caches(tree, present)))
    values.update(_machine_caches(info))
    dispatching = {"0": "horizontal", "1": "vertical"}.get(tree.text("dispatching") or "")
    if dispatching:
        values["topology.dispatching"] = dispatching
    smt = tree.text("smt/control")
    if smt:
        values["topology.smt"] = smt
    return values


def _all_kinds(
    tree: SysTree, info: cpuinfo.CpuInfo, present: int, sysinfo: str
) -> Iterator[tuple[str, Value]]:
    """Yield the counts over the whole machine, and those of each kind of core."""
    kinds = _with_the_rest(cpuinfo.kinds(info), present)
    whole = _kind_counts(tree, info, cpuinfo.Kind(present, kinds[0].fields), sysinfo)
    for name, value in whole.items():
        yield f"topology.{name}", value
    yield "topology.kinds", len(kinds)
    for number, kind in enumerate(kinds):
        counts = whole if kind.cpus == present else _kind_counts(tree, info, kind, sysinfo)
        for name, value in counts.items():
            yield f"topology.kind{number}.{name}", value


def _with_the_rest(kinds: list[cpuinfo.Kind], present: int) -> list[cpuinfo.Kind]:
    """Count CPUs that cpuinfo leaves out (they are offline) as the first kind."""
    named = 0
    for kind in kinds:
        named |= kind.cpus
    return [cpuinfo.Kind(kinds[0].cpus | present & ~named, kinds[0].fields), *kinds[1:]]


def _node_values(tree: SysTree) -> dict[str, Value]:
    nodes = tree.numbered("node")
    values: dict[str, Value] = {"topology.numa_nodes": len(nodes)} if nodes else {}
    for node in nodes:
        text = tree.text(f"node{node}/cpulist")
        mask = tree.text(f"node{node}/cpumap")
        if text is not None or mask:
            cpus = sysfs.cpu_list(text) if text is not None else sysfs.cpu_mask(mask or "0")
            values[f"numa.node{node}.cpus"] = sysfs.listed(cpus)
        distances = tree.text(f"node{node}/distance")
        if distances:
            values[f"numa.node{node}.distances"] = tuple(distances.split())
    return values


def _from_cpuinfo(info: cpuinfo.CpuInfo) -> dict[str, Value]:
    """Return what x86's cpuinfo alone tells of the topology."""
    every = [info.of(cpu) for cpu in info.cpus]
    values: dict[str, Value] = {"topology.cpus_online": len(every)} if every else {}
    sockets = {fields["physical id"] for fields in every if "physical id" in fields}
    if sockets:
        values["topology.sockets"] = len(sockets)
        cores, siblings = (every[0].get(name, "") for name in ("cpu cores", "siblings"))
        if cores.isdigit() and siblings.isdigit() and int(cores[:6]) > 0:
            values["topology.cores_per_socket"] = int(cores[:6])
            values["topology.threads_per_core"] = max(1, int(siblings[:6]) // int(cores[:6]))
    return values


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    info = _info(captures)
    if CPU_TREE in captures:
        sysinfo = captures[SYSINFO].text if SYSINFO in captures else ""
        tree = SysTree.of(captures[CPU_TREE])
        yield Reading(CPU_TREE, _cpu_values(tree, info, sysinfo))
    if NODE_TREE in captures:
        yield Reading(NODE_TREE, _node_values(SysTree.of(captures[NODE_TREE])))
    if BYTE_ORDER in captures:
        order = captures[BYTE_ORDER].text.strip()
        if order:
            yield Reading(BYTE_ORDER, {"topology.byte_order": order})
    if CPU_TREE not in captures:
        yield from _without_sysfs(captures, info)


def _info(captures: Mapping[str, Capture]) -> cpuinfo.CpuInfo:
    if cpuinfo.CAPTURE in captures:
        return cpuinfo.read(captures[cpuinfo.CAPTURE].text)
    return cpuinfo.CpuInfo()


def _without_sysfs(captures: Mapping[str, Capture], info: cpuinfo.CpuInfo) -> Iterator[Reading]:
    for name in lscpu_output.CAPTURES:
        if name in captures:
            report = lscpu_output.read(captures[name])
            yield Reading(name, lscpu_output.topology_values(report))
            return
    if cpuinfo.CAPTURE in captures:
        yield Reading(cpuinfo.CAPTURE, _from_cpuinfo(info))
    elif arm_sysreport.CAPTURE in captures:
        sysreport = arm_sysreport.read(captures[arm_sysreport.CAPTURE].text)
        yield Reading(arm_sysreport.CAPTURE, arm_sysreport.topology_values(sysreport))


PARSER = Parser(
    name="topology",
    declares=("topology.", "cache.", "numa."),
    reads=(
        CPU_TREE,
        NODE_TREE,
        BYTE_ORDER,
        SYSINFO,
        cpuinfo.CAPTURE,
        *lscpu_output.CAPTURES,
        arm_sysreport.CAPTURE,
    ),
    parse=_parse,
)
