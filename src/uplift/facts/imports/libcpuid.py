"""libcpuid's raw dumps and ``.test`` files: ``basic_cpuid[7]=00000000 029c6fbb …``.

A ``.test`` file ends with what libcpuid expects to decode; that part is kept and not read.
"""

from __future__ import annotations

import re

from uplift.facts.imports import cpuid_recording
from uplift.facts.model import Snapshot
from uplift.facts.parsers.cpuid_notation import as_text

NAME = "libcpuid"

_LEAF_0 = re.compile(r"^\s*(?:basic_cpuid\[0\]=|CPUID 0{8}[ \t:]+[0-9A-Fa-f]{8}-)", re.MULTILINE)
_OWN_LEAF_0 = re.compile(r"^\s*basic_cpuid\[0\]=", re.MULTILINE)


def recognises(name: str, head: bytes) -> bool:
    """Whether the text has leaf 0 in libcpuid's notation, or in AIDA64's in a ``.test`` file."""
    pattern = _LEAF_0 if name.endswith(".test") else _OWN_LEAF_0
    return pattern.search(as_text(head)) is not None


def load(name: str, data: bytes) -> Snapshot:
    """Return the recording as a snapshot.

    :raises RecordingError: a line is broken.
    """
    return cpuid_recording.snapshot(name, data, "libcpuid", NAME)
