"""The ``proc`` and ``sys`` that ``hwloc-gather-topology`` records.

Such trees hold topology only; the oldest know no list of possible CPUs. An output of lstopo beside
them is not read: the files say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from uplift.facts.imports import lscpu_dump, root_tree
from uplift.facts.model import Snapshot

NAME = "hwloc-tree"


def wanted(name: str) -> bool:
    """Whether ``load_tree`` reads the file ``name``."""
    return root_tree.wanted(name)


def recognises_tree(names: frozenset[str]) -> bool:
    """Whether a tree with these names holds a part of ``/sys`` or ``/proc`` that hwloc reads."""
    if "proc/hwloc-nofile-info" not in names and lscpu_dump.recognises_tree(names):
        return False
    return root_tree.looks_like_one(names) and not any(
        name.startswith("sos_commands/") for name in names
    )


def load_tree(name: str, files: Mapping[str, bytes]) -> Snapshot:
    """Turn the recorded files into captures.

    :raises RecordingError: none of them is one that a parser reads.
    """
    return lscpu_dump.snapshot_of(NAME, name, files)
