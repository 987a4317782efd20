"""Topology: from sysfs, from lscpu's output, from cpuinfo."""

from __future__ import annotations

import json

import pytest

from tests.facts.parsers.reading import RECORDINGS, values_of, why_unknown
from uplift.facts import imports
from uplift.facts.model import Facts
from uplift.facts.parsers import cpuinfo, lscpu_output, sysfs, topology

TREE = topology.CPU_TREE


def cpu(number: int, threads: str, package: str = "", **more: str) -> dict[str, str]:
    files = {"topology/thread_siblings_list": threads, **more}
    if package:
        files["topology/core_siblings_list"] = package
    return {f"cpu{number}/{name}": f"{text}\n" for name, text in files.items()}


TWO_SOCKETS = {
    "present": "0-7\n",
    "online": "0-6\n",
    **cpu(0, "0,4", "0-1,4-5"),
    **cpu(1, "1,5", "0-1,4-5"),
    **cpu(2, "2,6", "2-3,6"),
    **cpu(3, "3", "2-3,6"),
    **cpu(4, "0,4", "0-1,4-5"),
    **cpu(5, "1,5", "0-1,4-5"),
    **cpu(6, "2,6", "2-3,6"),
}


def counts(tree: dict[str, object], **more: object) -> dict[str, object]:
    found = values_of(topology.PARSER, {TREE: tree, **more})
    return {name.removeprefix("topology."): value for name, value in found.items()}


def test_cores_and_sockets_are_distinct_sets_of_siblings() -> None:
    found = counts(TWO_SOCKETS)
    assert (found["cpus"], found["cpus_online"], found["offline"]) == (8, 7, "7")
    assert (found["cores"], found["sockets"], found["threads_per_core"]) == (4, 2, 2)
    assert found["cores_per_socket"] == 2


def test_sockets_are_counted_by_number_where_few_sets_are_recorded() -> None:
    tree = {"present": "0-3\n"}
    for number in range(4):
        ids = {"topology/physical_package_id": str(number // 2), "topology/die_id": "0"}
        tree |= cpu(number, str(number), "0-1" if number == 0 else "", **ids)
    found = counts(tree)
    assert (found["sockets"], found["dies"], found["cores"]) == (2, 2, 4)


def test_masks_are_read_where_lists_are_not_recorded() -> None:
    tree = {"present": "0-1\n"}
    tree |= {f"cpu{n}/topology/thread_siblings": "00000000,00000003\n" for n in (0, 1)}
    assert counts(tree)["cores"] == 1


def test_a_cpu_that_is_half_plugged_in_does_not_count() -> None:
    tree = {**TWO_SOCKETS, "hotplug/states": "0: offline\n231: online\n", "cpu3/hotplug/state": "5"}
    assert counts(tree)["cores"] == 3


def test_s390x_counts_its_machine_not_its_partition() -> None:
    sysinfo = "CPU Topology SW:      0 0 4 2 3 8\n"
    found = counts(TWO_SOCKETS, **{topology.SYSINFO: sysinfo})
    assert (found["drawers"], found["books_per_drawer"], found["sockets_per_book"]) == (4, 2, 3)
    assert found["cores_per_socket"] == 8


def test_s390x_without_drawers_counts_books() -> None:
    found = counts(TWO_SOCKETS, **{topology.SYSINFO: "CPU Topology SW: 0 0 0 4 6 4\n"})
    assert found["books"] == 4
    assert "drawers" not in found


def cache(
    index: int, level: int, kind: str, size: str, shared: str, number: str = ""
) -> dict[str, str]:
    path = f"cache/index{index}"
    found = {f"{path}/level": str(level), f"{path}/type": kind, f"{path}/shared_cpu_list": shared}
    return {
        **found,
        **({f"{path}/size": size} if size else {}),
        **({f"{path}/id": number} if number else {}),
    }


def test_caches_are_summed_over_their_instances() -> None:
    tree = {"present": "0-1\n"}
    for number in (0, 1):
        own = cache(0, 1, "Data", "32K", str(number)) | cache(1, 3, "Unified", "8192K", "0-1")
        tree |= cpu(number, str(number), "0-1", **own)
    found = values_of(topology.PARSER, {TREE: tree})
    assert (found["cache.l1d"], found["cache.l1d.instances"]) == (65536, 2)
    assert (found["cache.l3"], found["cache.l3.instances"]) == (8 << 20, 1)


def test_caches_with_numbers_are_told_apart_by_them() -> None:
    tree = {"present": "0-1\n"}
    for number in (0, 1):
        own = cache(0, 2, "Unified", "1M", "0-1", str(number))
        tree |= cpu(number, str(number), "0-1", **own)
    assert values_of(topology.PARSER, {TREE: tree})["cache.l2.instances"] == 2


def test_a_cache_of_unknown_size_is_unknown_and_not_empty() -> None:
    tree = {"present": "0\n", **cpu(0, "0", "0", **cache(0, 1, "Data", "", "0"))}
    assert "l1d" in why_unknown(topology.PARSER, {TREE: tree}, "cache.l1d")


def test_shared_caches_of_s390x_come_from_cpuinfo() -> None:
    text = "vendor_id : IBM/S390\ncache4 : level=3 type=Unified scope=Shared size=65536K\n"
    found = values_of(topology.PARSER, {TREE: TWO_SOCKETS, cpuinfo.CAPTURE: text})
    assert found["cache.l3"] == 64 << 20


def test_frequencies_follow_a_link_to_the_policy() -> None:
    tree: dict[str, object] = {
        "present": "0\n",
        **cpu(0, "0", "0"),
        "cpu0/cpufreq": {"link": "../cpufreq/policy0"},
        "cpufreq/policy0/cpuinfo_max_freq": "3000000\n",
        "cpufreq/policy0/cpuinfo_min_freq": "800000\n",
        "cpufreq/policy0/scaling_cur_freq": "1500000\n",
    }
    found = counts(tree)
    assert (found["mhz_min"], found["mhz_max"], found["mhz_scaling"]) == (800.0, 3000.0, 50)


def test_numa_nodes_name_their_cpus() -> None:
    tree = {"node0/cpulist": "0-3\n", "node2/cpumap": "f0\n", "node2/distance": "20 10\n"}
    found = values_of(topology.PARSER, {topology.NODE_TREE: tree})
    assert found["topology.numa_nodes"] == 2
    assert (found["numa.node0.cpus"], found["numa.node2.cpus"]) == ("0-3", "4-7")
    assert found["numa.node2.distances"] == ("20", "10")


@pytest.mark.parametrize(
    ("tree", "cause"),
    [
        ({"present": "0-99999999\n"}, "is no number of a CPU"),
        ({"present": "3-1\n"}, "runs backwards"),
        ({"present": "0\n", "cpu0/topology/thread_siblings": "xyz"}, "is no mask"),
        ({"present": "0", **cpu(0, "0", "0", **cache(0, 1, "Data", "huge", "0"))}, "is no size"),
        ("[]", "no JSON object"),
        ('{"a": 3}', "neither text nor an object"),
        ("[" * 100_000, "nested too deep"),
        ("{" * 500_000, "nested too often"),
        ("{", "Expecting"),
    ],
)
def test_a_broken_tree_is_unknown_with_the_place(tree: object, cause: str) -> None:
    assert cause in why_unknown(topology.PARSER, {TREE: tree}, "topology.cpus")


def test_a_tree_that_nobody_recorded_is_unknown() -> None:
    assert "was not collected" in why_unknown(topology.PARSER, {}, "topology.cpus")


def test_x86_cpuinfo_alone_tells_sockets_and_threads() -> None:
    block = "processor : {}\nphysical id : {}\nsiblings : 4\ncpu cores : 2\nflags : lm\n\n"
    text = "".join(block.format(n, n // 4) for n in range(8))
    found = values_of(topology.PARSER, {cpuinfo.CAPTURE: text})
    assert (found["topology.cpus_online"], found["topology.sockets"]) == (8, 2)
    assert (found["topology.cores_per_socket"], found["topology.threads_per_core"]) == (2, 2)


NEW = """Architecture:             x86_64
  CPU op-mode(s):         32-bit, 64-bit
CPU(s):                   8
  On-line CPU(s) list:    0-7
Vendor ID:                AuthenticAMD
  Model name:             AMD EPYC 9965
    Thread(s) per core:   2
    Core(s) per socket:   4
    Socket(s):            1
    Flags:                fpu lm
Caches (sum of all):
  L1d:                    192 KiB (4 instances)
  L3:                     1.5 MiB (1 instance)
NUMA:
  NUMA node(s):           2
  NUMA node0 CPU(s):      0-6:2
"""
OLD = "Architecture:          aarch64\nByte Order:            Little Endian\n"
OLD += "CPU(s):                4\n"
OLD += "On-line CPU(s) list:   0-3\nCPU socket(s):         2\nL1d cache:             32K\n"
JSON = json.dumps(
    {
        "lscpu": [
            {"field": "Architecture:", "data": "s390x"},
            {"field": "Byte Order:", "data": "Big Endian"},
            {"field": "CPU(s):", "data": "2", "children": [{"field": "Drawer(s):", "data": "4"}]},
            {
                "field": "Caches (sum of all):",
                "data": None,
                "children": [{"field": "L2:", "data": "4 MiB"}],
            },
        ]
    }
)


def test_the_newest_text_of_lscpu_is_read() -> None:
    found = values_of(topology.PARSER, {lscpu_output.TEXT: NEW})
    assert (found["topology.cpus"], found["topology.threads_per_core"]) == (8, 2)
    assert (found["cache.l1d"], found["cache.l1d.instances"]) == (192 << 10, 4)
    assert found["cache.l3"] == 3 << 19
    assert found["numa.node0.cpus"] == "0,2,4,6"


def test_an_old_text_of_lscpu_gives_the_size_of_one_cache() -> None:
    found = values_of(topology.PARSER, {lscpu_output.TEXT: OLD})
    assert found["topology.sockets"] == 2
    assert found["cache.l1d.each"] == 32 << 10
    assert "cache.l1d" not in found


def test_nested_json_of_lscpu_is_read() -> None:
    found = values_of(topology.PARSER, {lscpu_output.JSON: JSON})
    assert (found["topology.drawers"], found["cache.l2"]) == (4, 4 << 20)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Architektur: x86_64\nCPU(en): 8\n", "record it with LC_ALL=C"),
        ('{"lscpu": 3}', "no list 'lscpu'"),
        ('{"lscpu": [{"data": 1}]}', "has no field"),
        ('{"lscpu": [{"field": "CPU(s):", "children": 5}]}', "is no list"),
        ("{" * 20_000, "nested too often"),
        ("Byte Order: ?\nOn-line CPU(s) list: 0-99999:1\n", "is no list of CPUs"),
    ],
)
def test_broken_or_foreign_lscpu_output_is_refused(text: str, cause: str) -> None:
    name = lscpu_output.JSON if text.startswith("{") else lscpu_output.TEXT
    assert cause in why_unknown(topology.PARSER, {name: text}, "topology.cpus")


@pytest.mark.parametrize("text", [NEW, OLD, JSON])
def test_lscpu_output_cut_anywhere_is_read_or_refused(text: str) -> None:
    for end in range(len(text)):
        name = lscpu_output.JSON if text.startswith("{") else lscpu_output.TEXT
        try:
            values_of(topology.PARSER, {name: text[:end]})
        except ValueError as error:
            assert str(error)


HWLOC = {
    "16em64t-4s2c2t-offlines": {"cpus_online": 12, "cores": 7, "sockets": 4, "threads_per_core": 2},
    "20em64t-hybrid-1p6c2t+2ca4co1t": {
        "cpus_online": 20,
        "cores": 14,
        "sockets": 1,
        "numa_nodes": 1,
    },
    "20s390-2g6s4c": {"cpus_online": 20, "cores": 20, "books": 4},
    "fakememinitiators-1np2c+1npp+gi": {"cpus_online": 8, "numa_nodes": 11},
}


@pytest.mark.parametrize("name", HWLOC)
def test_recorded_machines_are_counted(name: str) -> None:
    snapshot = imports.load_path(RECORDINGS / "hwloc" / f"{name}.tar.bz2")
    facts = Facts(snapshot, (topology.PARSER,))
    found = {fact: facts.value(f"topology.{fact}") for fact in HWLOC[name]}
    assert found == HWLOC[name]


def test_lists_of_cpus_are_written_as_they_are_read() -> None:
    for text in ("", "0", "0-3,8", "5,7-9,100-140"):
        assert sysfs.listed(sysfs.cpu_list(text)) == text
