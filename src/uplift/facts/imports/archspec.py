"""The machines that archspec-json records for its tests: one small file each.

``linux-*`` and ``bgq-*`` are the first block of /proc/cpuinfo, ``darwin-*`` the output of
``sysctl``, ``windows-cpuid-*`` CPUID as rows of six decimal numbers: leaf, subleaf, eax, ebx, ecx,
edx.
"""

from __future__ import annotations

import re

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import cpuinfo

NAME = "archspec"
_MAX_BYTES = 1 << 20
_NAME = re.compile(r"(linux|bgq)-[a-z0-9.]+-\w+$")
_DARWIN = re.compile(rb"^(?:machdep\.cpu|hw)\.[\w.]+: ", re.MULTILINE)
_CPUINFO = re.compile(rb"^(?:processor|COMMENT)[ \t]*:", re.MULTILINE)
_ROW = re.compile(r"(\d{1,10}), (\d{1,10}), (\d{1,10}), (\d{1,10}), (\d{1,10}), (\d{1,10})")
_WORD = 1 << 32


def recognises(name: str, head: bytes) -> bool:
    """Whether it is one of archspec's files: by content, on Linux by the name too."""
    if b"\0" in head:
        return False
    if _is_darwin(head) or _is_rows(head):
        return True
    return bool(_NAME.match(name) and _CPUINFO.search(head))


def load(name: str, data: bytes) -> Snapshot:
    """Turn one file into the capture it would have been on that machine.

    :raises RecordingError: it is too large, or none of the three notations.
    """
    if len(data) > _MAX_BYTES:
        raise _refused(name, "it is larger than 1 MiB")
    if _is_rows(data):
        return _windows(name, data)
    if _is_darwin(data):
        return _snapshot(name, "cmd:sysctl/machdep.cpu", data, _darwin_arch(data))
    if _CPUINFO.search(data):
        return _snapshot(name, "file:/proc/cpuinfo", data, _linux_arch(data))
    raise _refused(name, "it is neither cpuinfo, nor sysctl output, nor rows of CPUID")


def _is_darwin(data: bytes) -> bool:
    return len(_DARWIN.findall(data[: 64 << 10])) >= 3


def _is_rows(data: bytes) -> bool:
    lines = data[:512].decode("ascii", "replace").splitlines()[:3]
    return len(lines) == 3 and all(_ROW.fullmatch(line.strip()) for line in lines)


def _darwin_arch(data: bytes) -> str:
    return "aarch64" if re.search(rb"hw\.optional\.arm|: Apple ", data) else "x86_64"


def _linux_arch(data: bytes) -> str:
    try:
        fields = cpuinfo.kinds(cpuinfo.read(data.decode("utf-8", "replace")))[0].fields
    except ValueError:
        return ""
    return cpuinfo.arch_of(fields)


def _windows(name: str, data: bytes) -> Snapshot:
    """Write the rows as ``cpuid -r`` does; the original bytes stay beside them."""
    lines = ["CPU 0:"]
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        if not line.strip():
            continue
        match = _ROW.fullmatch(line.strip())
        words = [int(word) for word in match.groups()] if match else []
        if not words or max(words) >= _WORD:
            raise _refused(name, f"line {number}: {line[:60]!r} is no row of six 32-bit numbers")
        leaf, subleaf, eax, ebx, ecx, edx = words
        lines.append(
            f"   0x{leaf:08x} 0x{subleaf:02x}: "
            f"eax=0x{eax:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x}"
        )
    text = "\n".join(lines) + "\n"
    captures = (
        Capture("import:archspec", CaptureStatus.OK, data, how=name),
        Capture(
            "probe:cpuid",
            CaptureStatus.OK,
            text.encode(),
            how=f"rewritten from the rows of {name}",
            format="cpuid-r",
        ),
    )
    return Snapshot({c.id: c for c in captures}, origin=f"{NAME} {name}", arch="x86_64")


def _snapshot(name: str, capture: str, data: bytes, arch: str) -> Snapshot:
    recorded = Capture(capture, CaptureStatus.OK, data, how=name)
    return Snapshot({capture: recorded}, origin=f"{NAME} {name}", arch=arch)


def _refused(name: str, cause: str) -> RecordingError:
    return RecordingError(
        f"cannot read {name}", cause, "pass a file of archspec-json's tests/targets as it is"
    )
