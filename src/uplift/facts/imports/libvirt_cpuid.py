"""libvirt's CPUID data: ``<cpudata arch='x86'><cpuid eax_in='0x7' ecx_in='0x0' …/></cpudata>``."""

from __future__ import annotations

from uplift.facts.imports import cpuid_recording
from uplift.facts.model import Snapshot
from uplift.facts.parsers.cpuid_notation import as_text

NAME = "libvirt CPUID data"


def recognises(name: str, head: bytes) -> bool:
    """Whether the text opens the element that libvirt writes."""
    text = as_text(head)
    return "<cpudata " in text and "<cpuid " in text


def load(name: str, data: bytes) -> Snapshot:
    """Return the recording as a snapshot.

    :raises RecordingError: it is no XML, or an element is broken.
    """
    return cpuid_recording.snapshot(name, data, "libvirt-xml", NAME)
