"""A copy of ``/proc/cpuinfo``, of any architecture."""

from __future__ import annotations

import re

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import cpuinfo

NAME = "cpuinfo"

_STARTS = re.compile(
    rb"^(?:processor\s*:\s*\d+\s*$|Processor\s*:\s|vendor_id\s*:\s*IBM/S390|system type\s*:"
    rb"|cpu\s+:\s.*\r?\nfpu\s+:)",
    re.MULTILINE,
)
#: One of these tells a cpuinfo from any other text with a line "processor : 0".
_FIELDS = re.compile(
    rb"^(?:flags|Features|features|isa|CPU implementer|cpu\s+|cpu model|uarch|Model Name|type)\s*:",
    re.MULTILINE,
)


def recognises(name: str, head: bytes) -> bool:
    """Whether a file looks like ``/proc/cpuinfo``."""
    return bool(_STARTS.search(head[:4096]) and _FIELDS.search(head))


def load(name: str, data: bytes) -> Snapshot:
    """Keep the file as ``file:/proc/cpuinfo``.

    :raises RecordingError: it is broken.
    """
    try:
        info = cpuinfo.read(data.decode("utf-8", "replace"))
    except ValueError as error:
        raise RecordingError(
            f"cannot read {name}", str(error), "pass an unchanged copy of /proc/cpuinfo"
        ) from error
    capture = Capture(cpuinfo.CAPTURE, CaptureStatus.OK, data, how=f"copy {name}")
    arch = cpuinfo.arch_of(cpuinfo.kinds(info)[0].fields)
    return Snapshot({capture.id: capture}, origin=f"{NAME} {name}", arch=arch)
