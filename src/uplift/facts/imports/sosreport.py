"""A sosreport, as a directory or a tarball, of any sos from 3.0 on.

Its ``proc``, ``sys``, ``boot`` and ``etc`` become the captures that the collector would have made.
Outputs of commands keep their bytes; those in another notation than the collector's have ids of
their own, listed in ``_COMMANDS``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from uplift.errors import RecordingError
from uplift.facts.imports import lscpu_dump, root_tree
from uplift.facts.model import Capture, Snapshot

NAME = "sosreport"

#: File names below ``sos_commands``, whatever the plugin's name, the capture's id and its format.
_COMMANDS = tuple(
    (re.compile(pattern), capture, notation)
    for pattern, capture, notation in (
        (r"(?:.*/)?lscpu", "cmd:lscpu/text", ""),
        (r"(?:.*/)?lscpu_-J", "cmd:lscpu/json", ""),
        (r"(?:.*/)?cpuid_-r", "probe:cpuid", "cpuid-r"),
        (r"(?:.*/)?cpuid", "cmd:cpuid/text", ""),
        (r"(?:.*/)?x86info_-a", "cmd:x86info/text", ""),
        (r"(?:.*/)?turbostat_.*", "cmd:turbostat/text", ""),
        (r"(?:.*/)?cpupower_(frequency-info|idle-info|info)", "cmd:cpupower/{}", ""),
        (r"kernel/uname_-a", "cmd:uname/all", ""),
        (r"kernel/sysctl_-a", "cmd:sysctl/all", ""),
        (r"kernel/lsmod", "cmd:lsmod/text", ""),
        (r"kernel/dmesg(?:_-T)?", "cmd:dmesg/excerpt", ""),
        (r"(?:hardware|devices)/dmidecode", "cmd:dmidecode/text", ""),
        (r"pci/lspci_-nn?vv", "cmd:lspci/nnvv", ""),
        (r"rpm/package-data", "cmd:rpm/packages", ""),
        (r"snap/snap_list_--all", "cmd:snap/list", ""),
        (r"boot/mokutil_--sb-state", "cmd:mokutil/sb-state", ""),
        (r"boot/efibootmgr_-v", "cmd:efibootmgr/text", ""),
        (r"(?:.*/)?virsh_(?:-r_)?(domcapabilities|capabilities|version)", "cmd:virsh/{}", ""),
        (r"(?:.*/)?systemd-detect-virt", "cmd:systemd-detect-virt", ""),
        (r"(?:.*/)?hostnamectl_status", "cmd:hostnamectl/status", ""),
        (r"(?:.*/)?numactl_--hardware", "cmd:numactl/hardware", ""),
        (r"networking/ethtool_-k_([\w.@:+-]+)", "cmd:ethtool/{}", ""),
        (r"networking/ethtool_-i_([\w.@:+-]+)", "cmd:ethtool-i/{}", ""),
        (r"openvswitch/ovs-vsctl_(?:-t_5_)?show", "cmd:ovs-vsctl/show", ""),
        (r"openvswitch/ovs-vsctl_(?:-t_5_)?list_Open_vSwitch", "cmd:ovs-vsctl/list", ""),
        (
            r"openvswitch/ovs-vsctl_(?:-t_5_)?get_Open_vSwitch_\._other_config",
            "cmd:ovs-vsctl/other-config",
            "",
        ),
        (r"openvswitch/ovs-appctl_dpctl.dump-dps", "cmd:ovs-appctl/dump-dps", ""),
        (r"(?:.*/)?nvidia-smi_-q_-x", "cmd:nvidia-smi/query", ""),
        (r"(?:.*/)?nvidia-smi", "cmd:nvidia-smi/text", ""),
        (r"(?:.*/)?rocm-smi.*", "cmd:rocm-smi/text", ""),
        (r"docker/docker_info", "cmd:docker/info", ""),
    )
)
_PACKAGES = "sos_commands/dpkg/dpkg_-l"
#: The second letter of a row of ``dpkg -l``.
_STATES = {"i": "installed", "c": "config-files", "n": "not-installed", "u": "unpacked"}
_DATES = ("sos_commands/date/date_--utc", "sos_commands/date/date", "date")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def wanted(name: str) -> bool:
    """Whether ``load_tree`` reads the file ``name``."""
    if name.startswith("sos_commands/"):
        return _command(name) is not None or name in (*_DATES, _PACKAGES)
    return name == "date" or root_tree.wanted(name)


def recognises_tree(names: frozenset[str]) -> bool:
    """Whether a tree with these names is a sosreport."""
    return any(name.startswith(("sos_commands/", "sos_reports/")) for name in names)


def load_tree(name: str, files: Mapping[str, bytes]) -> Snapshot:
    """Turn a report's files into captures.

    :raises RecordingError: it holds nothing that a parser reads.
    """
    captures = {**root_tree.captures(files), **{c.id: c for c in _command_captures(files)}}
    if not captures:
        raise RecordingError(
            f"cannot read {name}",
            "it holds neither /proc nor /sys nor the output of a command that is known",
            "make the report with: sos report -o processor,kernel,hardware,pci,boot,networking",
        )
    return Snapshot(
        captures, origin=f"{NAME} {name}", collected_at=_collected_at(files), arch=_arch(files)
    )


def _command(name: str) -> tuple[str, str] | None:
    """Return the id and the format of a command's capture; None where it is not wanted."""
    rest = name.removeprefix("sos_commands/")
    for pattern, capture, notation in _COMMANDS:
        found = pattern.fullmatch(rest)
        if found:
            return capture.format(*found.groups()), notation
    return None


def _command_captures(files: Mapping[str, bytes]) -> Iterator[Capture]:
    for name in sorted(files):
        known = _command(name) if name.startswith("sos_commands/") else None
        if known and not _failed(files[name]):
            yield root_tree.file_capture(files, name, *known)
    if _PACKAGES in files:
        yield _packages(root_tree.file_capture(files, _PACKAGES, "cmd:dpkg-query/packages"))


def _packages(listed: Capture) -> Capture:
    """Write ``dpkg -l`` as the collector's ``dpkg-query`` does: a fixed table, without widths."""
    rows = (line.split(None, 4) for line in listed.text.split("\n"))
    lines = [
        f"{row[1].partition(':')[0]}\t{row[2]}\t{row[3]}\t\t{_STATES.get(row[0][1], 'other')}\n"
        for row in rows
        if len(row) > 3 and re.fullmatch(r"[uihrp][nicufhtW]R?", row[0])
    ]
    return replace(listed, data="".join(lines).encode(), how="dpkg -l, its columns as a table")


def _failed(data: bytes) -> bool:
    """Whether sos wrote an error instead of a command's output."""
    start = data[:400].lower()
    return not data.strip() or b"command not found" in start or start.startswith(b"timeout: failed")


def _arch(files: Mapping[str, bytes]) -> str:
    words = files.get("sos_commands/kernel/uname_-a", b"").decode("utf-8", "replace").split()
    known = re.compile(r"x86_64|i[3-6]86|aarch64|armv\w{1,8}|riscv64|s390x|ppc64(le)?|loongarch64")
    return next((word for word in words if known.fullmatch(word)), "") or lscpu_dump.arch_of(files)


def _collected_at(files: Mapping[str, bytes]) -> str:
    """Read ``Thu Feb 10 16:19:21 UTC 2022``; empty where it is not in UTC or not English."""
    for name in _DATES:
        text = files.get(name, b"").decode("utf-8", "replace")[:200]
        found = re.search(r"\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) UTC (\d{4})", text)
        if found and found[1] in _MONTHS:
            month, day = _MONTHS.index(found[1]) + 1, int(found[2])
            return f"{found[6]}-{month:02}-{day:02}T{found[3]}:{found[4]}:{found[5]}Z"
    return ""
