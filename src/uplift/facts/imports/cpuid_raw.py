"""Text of ``cpuid -r``: ``0x00000007 0x00: eax=0x… ebx=0x… ecx=0x… edx=0x…``."""

from __future__ import annotations

import re

from uplift.facts.imports import cpuid_recording
from uplift.facts.model import Snapshot
from uplift.facts.parsers.cpuid_notation import as_text

NAME = "cpuid -r"

_LEAF_0 = re.compile(r"^\s*0x0{8}(?: 0x0+)?: eax=0x", re.MULTILINE)


def recognises(name: str, head: bytes) -> bool:
    """Whether the text has a line of CPUID leaf 0 in this notation."""
    return _LEAF_0.search(as_text(head)) is not None


def load(name: str, data: bytes) -> Snapshot:
    """Return the recording as a snapshot.

    :raises RecordingError: a line is broken.
    """
    return cpuid_recording.snapshot(name, data, "cpuid-r", NAME)
