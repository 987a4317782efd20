"""CPUID recordings of other programs become snapshots that keep the bytes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from uplift.errors import RecordingError
from uplift.facts.imports import cpuid_raw, instlatx64, libcpuid, libvirt_cpuid
from uplift.facts.model import Facts
from uplift.facts.parsers.cpuid import PARSER

RECORDINGS = Path(__file__).parents[2] / "recordings" / "libcpuid"
IMPORTERS = (cpuid_raw, instlatx64, libcpuid, libvirt_cpuid)

AIDA = b"CPU#000 AffMask: 0x01\r\nCPUID 00000000: 00000016-756E6547-6C65746E-49656E69 [Gen]\r\n"
RAW = b"CPU:\n   0x00000000 0x00: eax=0x16 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n".replace(
    b"0x16 ", b"0x00000016 "
)
ARRAY = b"version=0.8.0\nbasic_cpuid[0]=00000016 756e6547 6c65746e 49656e69\n"
XML = (
    b"<cpudata arch='x86'><cpuid eax_in='0x0' eax='0x16' ebx='0x756e6547' ecx='0x6c65746e'"
    b" edx='0x49656e69'/></cpudata>"
)
SAMPLES = (
    (cpuid_raw, "raw.txt", RAW),
    (instlatx64, "dump.txt", AIDA),
    (libcpuid, "raw.txt", ARRAY),
    (libcpuid, "machine.test", AIDA),
    (libvirt_cpuid, "cpu.xml", XML),
)


@pytest.mark.parametrize(("importer", "name", "data"), SAMPLES)
def test_each_notation_is_recognised_by_one_importer(
    importer: ModuleType, name: str, data: bytes
) -> None:
    assert [module for module in IMPORTERS if module.recognises(name, data)] == [importer]


@pytest.mark.parametrize(("importer", "name", "data"), SAMPLES)
def test_the_bytes_are_kept_and_can_be_read(importer: ModuleType, name: str, data: bytes) -> None:
    snapshot = importer.load(name, data)
    assert snapshot.captures["probe:cpuid"].data == data
    assert snapshot.arch == "x86_64"
    assert Facts(snapshot, [PARSER]).value("cpuid.vendor") == "GenuineIntel"


def test_utf_16_text_is_recognised_and_kept() -> None:
    data = AIDA.decode().encode("utf-16")
    assert instlatx64.recognises("dump.txt", data)
    assert instlatx64.load("dump.txt", data).captures["probe:cpuid"].data == data


@pytest.mark.parametrize("data", [b"", b"processor\t: 0\n", b"CPUID Manufacturer: GenuineIntel\n"])
def test_other_text_is_not_recognised(data: bytes) -> None:
    assert not any(module.recognises("some.txt", data) for module in IMPORTERS)


def test_a_broken_file_is_refused_with_the_line_and_what_to_do() -> None:
    with pytest.raises(RecordingError) as caught:
        instlatx64.load("dump.txt", AIDA.replace(b"49656E69", b"49656E6"))
    assert caught.value.problem == "cannot read the CPUID recording dump.txt"
    assert caught.value.cause.startswith("line 2: ")
    assert caught.value.fix


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.test")), ids=lambda path: path.stem)
def test_libcpuids_recordings_load(path: Path) -> None:
    data = path.read_bytes()
    assert libcpuid.recognises(path.name, data[: 64 << 10])
    assert libcpuid.load(path.name, data).captures["probe:cpuid"].format == "libcpuid"
