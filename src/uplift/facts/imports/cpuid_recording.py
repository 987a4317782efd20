"""A CPUID recording as a snapshot: the bytes are kept, and must be readable."""

from __future__ import annotations

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers.cpuid import CAPTURE
from uplift.facts.parsers.cpuid_notation import read


def snapshot(name: str, data: bytes, notation: str, importer: str) -> Snapshot:
    """Return a snapshot that holds ``data`` as the CPUID capture and nothing else.

    :param notation: the capture's ``format``.
    :raises RecordingError: ``data`` cannot be read; the cause names the line.
    """
    try:
        read(data, notation)
    except ValueError as error:
        raise RecordingError(
            f"cannot read the CPUID recording {name}",
            str(error),
            "check that the file is whole and is a text dump of CPUID",
        ) from error
    capture = Capture(CAPTURE, CaptureStatus.OK, data, how=f"imported from {name}", format=notation)
    return Snapshot({CAPTURE: capture}, kind="chip", origin=f"{importer} {name}", arch="x86_64")
