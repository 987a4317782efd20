"""One machine's ``proc`` and ``sys`` as ``lscpu --sysroot`` reads them: util-linux's dumps."""

from __future__ import annotations

from collections.abc import Mapping

from uplift.errors import RecordingError
from uplift.facts.imports import root_tree
from uplift.facts.model import Snapshot
from uplift.facts.parsers import cpuinfo

NAME = "lscpu-dump"


def wanted(name: str) -> bool:
    """Whether ``load_tree`` reads the file ``name``."""
    return root_tree.wanted(name)


def recognises_tree(names: frozenset[str]) -> bool:
    """Whether a tree with these names holds what lscpu reads."""
    if any(name.startswith("sos_commands/") for name in names):
        return False
    return "proc/cpuinfo" in names and "sys/devices/system/cpu/possible" in names


def load_tree(name: str, files: Mapping[str, bytes]) -> Snapshot:
    """Turn the recorded files into captures.

    :raises RecordingError: none of them is one that a parser reads.
    """
    return snapshot_of(NAME, name, files)


def snapshot_of(importer: str, name: str, files: Mapping[str, bytes]) -> Snapshot:
    """Return the snapshot of a root directory."""
    captures = root_tree.captures(files)
    if not captures:
        raise RecordingError(
            f"cannot read {name}",
            "it holds neither /proc nor /sys of a machine",
            "pass the directory or archive that holds proc/cpuinfo or sys/devices/system/cpu",
        )
    return Snapshot(captures, origin=f"{importer} {name}", arch=arch_of(files))


def arch_of(files: Mapping[str, bytes]) -> str:
    """Return ``uname -m`` as far as the recorded cpuinfo shows it."""
    try:
        info = cpuinfo.read(files.get("proc/cpuinfo", b"").decode("utf-8", "replace"))
    except ValueError:
        return ""
    return cpuinfo.arch_of(cpuinfo.kinds(info)[0].fields)
