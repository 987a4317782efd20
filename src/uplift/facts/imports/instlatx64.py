"""CPUID text of InstLatx64 and AIDA64: ``CPUID 00000007: 00000000-…-…-… [SL 00]``."""

from __future__ import annotations

import re

from uplift.facts.imports import cpuid_recording
from uplift.facts.model import Snapshot
from uplift.facts.parsers.cpuid_notation import as_text

NAME = "instlatx64"

_LEAF_0 = re.compile(r"^\s*CPUID 0{8}[ \t:]+[0-9A-Fa-f]{8}[- ]", re.MULTILINE)


def recognises(name: str, head: bytes) -> bool:
    """Whether the text has a line of CPUID leaf 0 in this notation, and is no libcpuid test."""
    text = as_text(head)
    return not name.endswith(".test") and _LEAF_0.search(text) is not None


def load(name: str, data: bytes) -> Snapshot:
    """Return the recording as a snapshot.

    :raises RecordingError: a line is broken.
    """
    return cpuid_recording.snapshot(name, data, "instlatx64", NAME)
