"""Captures out of the ``proc``, ``sys``, ``boot`` and ``etc`` of a recorded root directory.

A sosreport, an lscpu dump and an hwloc dump hold different parts of the same file system; here its
files become the captures that the collector would have made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from uplift.facts.imports.tree_reader import Tree
from uplift.facts.model import Capture, CaptureStatus

MAX_TREE = 10 << 20  #: bytes of one ``tree:`` capture
MAX_TEXT = 8 << 10  #: bytes kept of one file in a ``tree:`` capture

#: Files that become ``file:`` captures of the same path.
_FILES = re.compile(
    r"""
    proc/(?:cpuinfo|cmdline|meminfo|modules|version|filesystems|sysinfo|config\.gz|self/status
        |bus/pci/devices|xen/capabilities|devices|crypto|iomem|interrupts
        |sys/(?:kernel|vm|net/core|net/ipv4|fs|abi)/[\w./-]{1,80})
    |boot/config-[^/]+ | (?:usr/)?lib/modules/[^/]+/config
    |etc/(?:os-release|lsb-release|debian_version|default/grub|modprobe\.d/[^/]+\.conf)
    |sys/kernel/(?:cpu_byteorder|security/lockdown)
    |sys/hypervisor/(?:type|properties/features)
    |run/cloud-init/cloud-id
    |proc/device-tree/(?:model|compatible|ibm,partition-name|hmc-managed\?|hypervisor/compatible)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Rule:
    """Which files become one ``tree:`` capture, under which relative names.

    :param pattern: of the whole name; its group ``rel`` is the relative name.
    """

    capture: str
    pattern: re.Pattern[str]


def _rule(capture: str, pattern: str) -> _Rule:
    return _Rule(capture, re.compile(pattern, re.VERBOSE))


_BDF = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_RULES = (
    _rule(
        "tree:/sys/devices/system/cpu/vulnerabilities",
        r"sys/devices/system/cpu/vulnerabilities/(?P<rel>[^/]+)",
    ),
    _rule(
        "tree:/sys/devices/system/cpu",
        r"""sys/devices/system/cpu/(?P<rel>
            online|offline|possible|present|kernel_max|isolated|nohz_full|dispatching|modalias
            |(?:smt|intel_pstate|amd_pstate|cpuidle|hotplug|microcode|cpufreq)/[\w./-]+
            |cpu\d+/(?:online|polarization|address|configure|l[12]_\w*cache\w*|cpufreq|cpuidle
                |(?:topology|hotplug|microcode|regs/identification|acpi_cppc)/[^/]+
                |cache/index\d+/[^/]+
                |cpufreq/[^/]+
                |cpuidle/state\d+/(?:name|desc|disable|latency|residency|default_status)))""",
    ),
    _rule(
        "tree:/sys/devices/system/node",
        r"""sys/devices/system/node/(?P<rel>
            [a-z_]+|node\d+/(?:cpulist|cpumap|distance|meminfo|numastat
            |(?:hugepages|access\d+|memory_side_cache)/.+))""",
    ),
    _rule("tree:/sys/class/dmi/id", r"sys/(?:class|devices/virtual)/dmi/id/(?P<rel>\w+)"),
    _rule(
        "tree:/sys/bus/pci/devices",
        rf"""sys/(?:bus/pci/devices|devices/.*)/(?P<rel>{_BDF}/(?:
            vendor|device|class|revision|subsystem_vendor|subsystem_device|driver|numa_node
            |current_link_speed|current_link_width|max_link_speed|max_link_width
            |sriov_totalvfs|sriov_numvfs|iommu_group|physfn))""",
    ),
    _rule(
        "tree:/sys/class/net",
        r"""sys/(?:class|devices/.*)/net/(?P<rel>[^/]+/(?:
            type|speed|duplex|mtu|operstate|carrier|address|device|device/driver|device/vendor
            |device/device|dev_port|phys_port_name|tx_queue_len))""",
    ),
    _rule("tree:/sys/module/kvm", r"sys/module/kvm/(?P<rel>parameters/\w+|srcversion)"),
    _rule("tree:/sys/module/kvm_intel", r"sys/module/kvm_intel/(?P<rel>parameters/\w+|srcversion)"),
    _rule("tree:/sys/module/kvm_amd", r"sys/module/kvm_amd/(?P<rel>parameters/\w+|srcversion)"),
    _rule("tree:/sys/kernel/mm/hugepages", r"sys/kernel/mm/hugepages/(?P<rel>[^/]+/\w+)"),
    _rule(
        "tree:/sys/kernel/mm/transparent_hugepage",
        r"sys/kernel/mm/transparent_hugepage/(?P<rel>[\w/-]+)",
    ),
    _rule("tree:/sys/fs/resctrl/info", r"sys/fs/resctrl/info/(?P<rel>.+)"),
    _rule(
        "tree:/sys/class/iommu",
        r"sys/(?:class|devices/.*)/iommu/(?P<rel>[^/]+/(?:intel|amd)-iommu/\w+)",
    ),
    _rule("tree:/sys/class/tpm", r"sys/(?:class|devices/.*)/tpm/(?P<rel>tpm\d+/\w+)"),
    _rule("tree:/sys/bus/cxl/devices", r"sys/(?:bus/cxl/devices)/(?P<rel>[^/]+/[^/]+)"),
    _rule("tree:/sys/bus/dsa/devices", r"sys/(?:bus/dsa/devices)/(?P<rel>[^/]+/[^/]+)"),
)

#: Directories whose names alone become ``list:`` captures.
_LISTS = re.compile(
    r"(sys/firmware/acpi/tables|sys/firmware/efi|sys/class/iommu|sys/kernel/iommu_groups"
    r"|proc(?=/(?:xen|vz|bc|iSeries|device-tree)\b))/([^/]+)(?:/.*)?"
)


def wanted(name: str) -> bool:
    """Whether a file of a root directory becomes part of a capture."""
    if not name.startswith(("proc/", "sys/", "boot/", "etc/", "lib/", "usr/", "run/")):
        return False
    if _FILES.fullmatch(name):
        return True
    return name.startswith("sys/") and any(rule.pattern.fullmatch(name) for rule in _RULES)


def looks_like_one(names: frozenset[str]) -> bool:
    """Whether a tree holds a part of ``/proc`` or ``/sys`` that says something."""
    return any(
        name == "proc/cpuinfo" or name.startswith("sys/devices/system/cpu/") for name in names
    )


def captures(tree: Mapping[str, bytes]) -> dict[str, Capture]:
    """Return the captures of a tree's ``proc``, ``sys``, ``boot`` and ``etc``."""
    found: dict[str, Capture] = {}
    for name in sorted(tree):
        if _FILES.fullmatch(name):
            found[f"file:/{name}"] = file_capture(tree, name, f"file:/{name}")
    for rule in _RULES:
        capture = _tree_capture(tree, rule)
        if capture is not None:
            found[capture.id] = capture
    for capture in _list_captures(tree):
        found[capture.id] = capture
    return found


def file_capture(tree: Mapping[str, bytes], name: str, capture: str, format: str = "") -> Capture:
    """Return one file of ``tree`` as the capture ``capture``."""
    cut = isinstance(tree, Tree) and name in tree.truncated
    status = CaptureStatus.TRUNCATED if cut else CaptureStatus.OK
    return Capture(capture, status, tree[name], how=f"recorded file {name}", format=format)


def _tree_capture(tree: Mapping[str, bytes], rule: _Rule) -> Capture | None:
    entries: dict[str, object] = {}
    size = 0
    for name, entry in sorted(_entries(tree, rule)):
        size += len(name) + len(str(entry)) + 8
        if size > MAX_TREE:
            break
        entries.setdefault(name, entry)
    if not entries:
        return None
    data = json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()
    status = CaptureStatus.TRUNCATED if size > MAX_TREE else CaptureStatus.OK
    return Capture(rule.capture, status, data, how="recorded files")


def _entries(tree: Mapping[str, bytes], rule: _Rule) -> Iterator[tuple[str, str | dict[str, str]]]:
    for name, data in tree.items():
        found = rule.pattern.fullmatch(name)
        if found:
            yield found["rel"], data[:MAX_TEXT].decode("utf-8", "replace")
    links = tree.links if isinstance(tree, Tree) else {}
    for name, target in links.items():
        found = rule.pattern.fullmatch(name)
        if found:
            yield found["rel"], {"link": target}


def _list_captures(tree: Mapping[str, bytes]) -> Iterator[Capture]:
    listed: dict[str, set[str]] = {}
    for name in tree.names if isinstance(tree, Tree) else tree:
        found = _LISTS.fullmatch(name) if name.startswith(("sys/", "proc/")) else None
        if found:
            listed.setdefault(found[1], set()).add(found[2])
    for directory, names in sorted(listed.items()):
        text = "".join(f"{name}\n" for name in sorted(names))
        yield Capture(f"list:/{directory}", CaptureStatus.OK, text.encode(), how="recorded names")
