"""Other people's recordings become captures: sosreports, sysreports, lscpu and cpuinfo texts."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.facts.parsers.reading import RECORDINGS
from uplift.errors import RecordingError
from uplift.facts import imports, snapshot_file
from uplift.facts.imports import (
    arm_sysreport,
    cpuinfo_text,
    hwloc_tree,
    lscpu_dump,
    lscpu_text,
    root_tree,
    sosreport,
    tree_reader,
)
from uplift.facts.model import CaptureStatus, Facts, Snapshot
from uplift.facts.parsers import all_parsers, cpuinfo, read_facts

SOSREPORT = RECORDINGS / "hotsos" / "sosreport-k8stest.tar.xz"
HWLOC = RECORDINGS / "hwloc" / "16em64t-4s2c2t-offlines.tar.bz2"

LSCPU = b"""Architecture:        x86_64
CPU op-mode(s):      32-bit, 64-bit
CPU(s):              4
Vendor ID:           GenuineIntel
CPU family:          6
Model:               173
Flags:               fpu lm amx_tile
"""
SYSREPORT = """System feature report:
  Collected:           2026-02-27 15:40:54.123456
  Script version:      2026-02-27 15:00:00
  Running as root:     \x1b[31mFalse\x1b[0m
System hardware:
  Architecture:        ARMv9.0
  CPUs:                72
  CPU types:           71 x ARM Neoverse-V2 r0p0, 1 x ARM Cortex-X3 r1p1
  cache info:          full
  Caches:
    72 x L1D 64KB 4-way 64b-line
  System memory:       480.5G
  NUMA nodes:          2
    node 0:            size:  491520000kB, cpu_list: [0]
  Sockets:             1
OS configuration:
  Kernel:              6.8.0
  config:              /boot/config-6.8.0-49-generic
  transparent HP:      madvise
  Mitigations:         spectre_v1: __user pointer sanitization
Performance features:
  perf tools:          True

Actions that can be taken to improve performance tools experience:
  perf cannot be used
    do something
  CONFIG_ARM64_SVE               = y
  CONFIG_ARM_SPE_PMU             = m
  CONFIG_NUMA                    = n
  meltdown             Not affected
  spectre_v2           Mitigation: CSV2, BHB
"""
CPUINFO = b"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu lm amx_tile\n"


def names_of(path: Path) -> frozenset[str]:
    return tree_reader.read(path, lambda name: False).names


def refused(load: object, name: str, data: bytes) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        load(name, data)  # type: ignore[operator]
    return caught.value


# -- sosreport


def test_a_sosreport_gives_the_collectors_captures_and_those_of_its_commands() -> None:
    snapshot = imports.load_path(SOSREPORT)
    assert snapshot.origin.startswith("sosreport ")
    assert (snapshot.arch, snapshot.collected_at) == ("x86_64", "2022-02-11T19:23:39Z")
    assert {
        "file:/proc/cpuinfo",
        "file:/proc/cmdline",
        "tree:/sys/devices/system/cpu",
        "tree:/sys/devices/system/cpu/vulnerabilities",
        "tree:/sys/class/dmi/id",
        "tree:/sys/kernel/mm/hugepages",
        "cmd:lscpu/text",
        "cmd:lspci/nnvv",
        "cmd:ethtool/ens3",
        "cmd:mokutil/sb-state",
    } <= set(snapshot.captures)


def test_a_sosreports_facts_agree_with_its_lscpu() -> None:
    snapshot = imports.load_path(SOSREPORT)
    facts = read_facts(snapshot)
    assert facts.value("topology.cpus") == 2
    assert facts.value("topology.sockets") == 2
    assert facts.value("cache.l2") == 8 << 20
    assert facts.value("cpuinfo.model_name") == "Intel Core Processor (Haswell, no TSX, IBRS)"
    assert facts.value("platform.hypervisor") == "kvm"
    assert facts.value("platform.cloud") == "openstack"
    assert facts.value("firmware.dmi.product_name") == "OpenStack Nova"
    assert facts.value("firmware.efi") is False
    assert facts.value("pci.devices") == 10
    assert facts.value("net.interface.ens3.driver") == "virtio_net"


def test_a_sosreport_as_a_directory_is_the_same(tmp_path: Path) -> None:
    with tarfile.open(SOSREPORT) as archive:
        archive.extractall(tmp_path)  # our own recording; Python 3.10 has no filter
    (top,) = tmp_path.iterdir()
    unpacked, packed = imports.load_path(top), imports.load_path(SOSREPORT)
    assert unpacked.captures == packed.captures
    assert unpacked.digest == packed.digest


def test_a_command_that_failed_is_no_capture() -> None:
    files = {
        "sos_commands/processor/lscpu": b"bash: lscpu: command not found\n",
        "sos_commands/kernel/dmesg": b"[0.0] Linux version 6.8\n",
    }
    assert set(sosreport.load_tree("x", files).captures) == {"cmd:dmesg/excerpt"}


def test_the_raw_cpuid_of_a_sosreport_is_one() -> None:
    text = b"CPU 0:\n   0x00000000 0x00: eax=0x1 ...\n"
    snapshot = sosreport.load_tree("x", {"sos_commands/processor/cpuid_-r": text})
    assert snapshot.captures["probe:cpuid"].format == "cpuid-r"
    assert snapshot.captures["probe:cpuid"].data == text


def test_the_package_list_of_a_sosreport_is_read_like_the_collectors() -> None:
    listed = (
        b"||/ Name           Version      Architecture Description\n"
        b"+++-==============-============-============-=====\n"
        b"ii  libc6:amd64    2.31-0ubuntu9.2 amd64     GNU C Library\n"
        b"rc  nano           4.8-1        amd64        small editor\n"
    )
    snapshot = sosreport.load_tree("x", {"sos_commands/dpkg/dpkg_-l": listed})
    facts = read_facts(snapshot)
    assert facts.value("package.libc6") == "2.31-0ubuntu9.2"
    assert facts.value("package.nano") == ""


def test_an_empty_sosreport_is_refused() -> None:
    with pytest.raises(RecordingError) as caught:
        sosreport.load_tree("x", {})
    assert "neither /proc nor /sys" in caught.value.cause


def test_what_a_sosreport_does_not_hold_was_not_collected() -> None:
    facts = read_facts(imports.load_path(SOSREPORT))
    assert "was not collected" in str(facts.get("resctrl.info"))


# -- trees of /proc and /sys


def test_each_tree_is_recognised_by_one_importer() -> None:
    dump = frozenset({"proc/cpuinfo", "sys/devices/system/cpu/possible"})
    for names, importer in (
        (names_of(SOSREPORT), sosreport),
        (names_of(HWLOC), hwloc_tree),
        (dump, lscpu_dump),
    ):
        found = [m for m in (sosreport, hwloc_tree, lscpu_dump) if m.recognises_tree(names)]
        assert found == [importer]


def test_a_tree_of_something_else_is_refused() -> None:
    with pytest.raises(RecordingError) as caught:
        hwloc_tree.load_tree("x", {"README": b"hello"})
    assert "neither /proc nor /sys" in caught.value.cause


def test_a_file_that_was_cut_is_marked_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "MAX_FILE", 100)
    snapshot = imports.load_path(SOSREPORT)
    assert snapshot.captures["file:/proc/cpuinfo"].status is CaptureStatus.TRUNCATED


def test_links_and_texts_of_one_directory_are_one_capture() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        bdf = "sys/devices/pci0000:00/0000:00:03.0"
        for name, data in ((f"{bdf}/vendor", b"0x1af4\n"), (f"{bdf}/device", b"0x1041\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo(f"{bdf}/driver")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../bus/pci/drivers/virtio-pci"
        archive.addfile(link)
    tree = tree_reader.read_archive(io.BytesIO(raw.getvalue()), "x", root_tree.wanted)
    facts = Facts(Snapshot(root_tree.captures(tree)), all_parsers())
    assert facts.value("pci.drivers") == {"1af4:1041=virtio-pci"}


# -- lscpu and cpuinfo


def test_lscpu_is_kept_whole_and_says_nothing_else() -> None:
    snapshot = lscpu_text.load("lscpu.txt", LSCPU)
    assert set(snapshot.captures) == {"cmd:lscpu/text"}
    assert snapshot.captures["cmd:lscpu/text"].data == LSCPU
    assert snapshot.arch == "x86_64"
    assert read_facts(snapshot).value("cpuinfo.model") == 173
    assert read_facts(snapshot).value("cpuid.7.0.edx") is None


def test_lscpu_json_is_told_from_other_json() -> None:
    data = json.dumps(
        {
            "lscpu": [
                {"field": "Architecture:", "data": "aarch64"},
                {"field": "Byte Order:", "data": "Little Endian"},
            ]
        }
    ).encode()
    assert lscpu_text.recognises("x", data)
    assert lscpu_text.load("x", data).arch == "aarch64"
    assert not lscpu_text.recognises("x", b'{"other": []}')


@pytest.mark.parametrize(
    "text",
    [
        "Architektur:                     x86_64\nCPU Operationsmodus:  32-bit\nCPU(s):  4 x\n",
        "Architecture :                          aarch64\nMode(s) opératoire(s) : 64-bit\n",
        "架构：                           x86_64\nCPU 运行模式：                   32-bit\n",
    ],
)
def test_lscpu_in_another_language_is_recognised_and_refused(text: str) -> None:
    data = text.encode()
    assert lscpu_text.recognises("x", data)
    error = refused(lscpu_text.load, "x", data)
    assert "English" in error.cause
    assert "LC_ALL=C" in error.fix


def test_cpuinfo_is_kept_whole_and_names_its_architecture() -> None:
    snapshot = cpuinfo_text.load("cpuinfo", CPUINFO)
    assert snapshot.arch == "x86_64"
    assert snapshot.captures[cpuinfo.CAPTURE].data == CPUINFO


@pytest.mark.parametrize("data", [b"hello: world\n", b"processor : x\n", b"", b"\0" * 100])
def test_other_texts_are_no_cpuinfo(data: bytes) -> None:
    assert not cpuinfo_text.recognises("x", data)


def test_a_cpuinfo_without_a_field_is_refused() -> None:
    assert "line 1" in refused(cpuinfo_text.load, "x", b"hello\n").cause


# -- Arm sysreport


def test_a_sysreport_gives_cores_topology_and_memory() -> None:
    snapshot = arm_sysreport.load("report.txt", SYSREPORT.encode())
    facts = read_facts(snapshot)
    assert (snapshot.arch, snapshot.collected_at) == ("aarch64", "2026-02-27T15:40:54")
    assert facts.value("cpuinfo.model_name") == "Neoverse-V2"
    assert (facts.value("cpuinfo.implementer"), facts.value("cpuinfo.part")) == (0x41, 0xD4F)
    assert facts.value("cpuinfo.kind1.model_name") == "Cortex-X3"
    assert facts.value("cpuinfo.cpus") == 72
    assert facts.value("topology.numa_nodes") == 2
    assert facts.value("memory.total") == round(480.5 * (1 << 30))


def test_a_sysreports_lists_become_captures_that_parsers_know() -> None:
    snapshot = arm_sysreport.load("report.txt", SYSREPORT.encode())
    config = snapshot.captures["file:/boot/config-6.8.0"].text
    assert config == "CONFIG_ARM64_SVE=y\nCONFIG_ARM_SPE_PMU=m\n"
    tree = snapshot.captures["tree:/sys/devices/system/cpu/vulnerabilities"].text
    assert json.loads(tree) == {
        "meltdown": "Not affected",
        "spectre_v2": "Mitigation: CSV2, BHB",
    }


def test_a_sysreport_says_no_feature_words() -> None:
    facts = read_facts(arm_sysreport.load("x", SYSREPORT.encode()))
    assert facts.value("cpuinfo.flags") is None


def test_a_broken_sysreport_is_refused() -> None:
    assert (
        "names no architecture"
        in refused(arm_sysreport.load, "x", b"System feature report:\n").cause
    )


# -- hostile input


LOADERS = (
    (lscpu_text, LSCPU),
    (cpuinfo_text, CPUINFO),
    (arm_sysreport, SYSREPORT.encode()),
)


def read_all(snapshot: Snapshot) -> None:
    for parser in all_parsers():
        for name in parser.declares:
            read_facts(snapshot).get(name)


@pytest.mark.parametrize(("importer", "data"), LOADERS)
def test_a_recording_cut_anywhere_is_read_or_refused(importer: object, data: bytes) -> None:
    for end in range(len(data)):
        try:
            importer.load("x", data[:end])  # type: ignore[attr-defined]
        except RecordingError as error:
            assert error.cause
            assert error.fix


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_flipped_bits_in_a_recording_are_read_or_refused(data: st.DataObject) -> None:
    importer, whole = data.draw(st.sampled_from(LOADERS))
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        snapshot = importer.load("x", bytes(broken))
    except RecordingError as error:
        assert error.cause
    else:
        read_all(snapshot)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_flipped_bits_in_a_tarball_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([SOSREPORT, HWLOC])).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        tree = tree_reader.read_archive(io.BytesIO(bytes(whole)), "x", root_tree.wanted)
        snapshot = sosreport.load_tree("x", tree)
    except RecordingError as error:
        assert error.cause
    else:
        read_all(snapshot)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(names_of(SOSREPORT))), st.binary(max_size=60)))
def test_any_bytes_in_a_sosreports_files_give_facts_or_unknown(files: dict[str, bytes]) -> None:
    try:
        snapshot = sosreport.load_tree("x", files)
    except RecordingError as error:
        assert error.cause
    else:
        read_all(snapshot)


def test_a_tarball_in_a_directory_of_tarballs_is_not_opened(tmp_path: Path) -> None:
    shutil.copy(SOSREPORT, tmp_path / "inner.tar.xz")
    with pytest.raises(RecordingError):
        imports.load_path(tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_flipped_bits_in_a_snapshot_give_facts_or_a_refusal(data: st.DataObject) -> None:
    own = RECORDINGS / "own" / "firecracker-milan.jsonl.gz"
    whole = bytearray(gzip.decompress(own.read_bytes()))
    for _ in range(data.draw(st.integers(1, 30))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        snapshot = snapshot_file.read_bytes(bytes(whole), "fuzz")
    except RecordingError as error:
        assert error.cause.startswith("line ")
    else:
        read_all(snapshot)
