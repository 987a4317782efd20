"""Redaction: a snapshot with something secret in every place leaks none of it."""

from __future__ import annotations

import gzip
import json

import pytest

from uplift.facts import collector
from uplift.facts.model import Capture, CaptureStatus

MAC = "3c:ec:ef:12:34:5a"
UUID = "4c4c4544-0042-3510-8052-b7c04f4a5a31"
MACHINE_ID = "9a8b7c6d5e4f40718293a4b5c6d7e8f9"

CANARIES = (
    MAC,
    "3cecef12345a",
    "3C-EC-EF-12-34-5A",
    UUID,
    MACHINE_ID,
    "10.20.30.41",
    "2001:db8:17::4:1",
    "fe80::3eec:efff:fe12:345a",
    "whitehouse7",
    "examplecorp.internal",
    "alicek",
    "SRL7788XYZ",
    "ASSET-00451",
    "naa.5000c500a1b2c3d4",
    "0x5000c500a1b2c3d5",
    "iqn.2004-10.com.example:01:abcdef",
    "OpenSSH_9.6p1",
    "hunter2hunter2",
    "GPU-8a1b2c3d-1111-2222-3333-444455556666",
    "b4969103008fa21c",
    "bob.builder@",
)

PLACES = {
    "probe:identity": (
        f"hostname whitehouse7.examplecorp.internal\nuser alicek\nmachine-id {MACHINE_ID}\n"
    ),
    "probe:uname": "sysname Linux\nnodename whitehouse7\nrelease 6.8.0-40-generic\n",
    "file:/proc/cmdline": (
        f"BOOT_IMAGE=/vmlinuz root=UUID={UUID} ip=10.20.30.41::10.20.30.1:255.255.255.0:whitehouse7"
        f":eth0 BOOTIF=01-3C-EC-EF-12-34-5A rd.iscsi.initiator=iqn.2004-10.com.example:01:abcdef\n"
    ),
    "file:/proc/version": "Linux version 6.8.0 (bob.builder@host9) (gcc 13.2.0) #40-Ubuntu SMP\n",
    "file:/proc/sys/kernel/hostname": "whitehouse7\n",
    "file:/proc/ppc64/lparcfg": "serial_number=IBM,SRL7788XYZ\npartition_id=1\n",
    "file:/proc/driver/nvidia/gpus/x/information": (
        "GPU UUID: GPU-8a1b2c3d-1111-2222-3333-444455556666\n"
    ),
    "file:/etc/containerd/config.toml": 'password = "hunter2hunter2"\n',
    "tree:/sys/class/dmi/id": json.dumps(
        {
            "product_serial": "SRL7788XYZ\n",
            "product_uuid": UUID + "\n",
            "chassis_asset_tag": "ASSET-00451\n",
            "bios_version": "2.10.4.1\n",
            "board_serial": {"error": "EACCES"},
        }
    ),
    "tree:/sys/class/net": json.dumps(
        {
            "enx3cecef12345a/address": MAC + "\n",
            "lo/address": "00:00:00:00:00:00\n",
            "eth0/phys_switch_id": "b4969103008fa21c\n",
            "eth0/mtu": "1500\n",
        }
    ),
    "cmd:ethtool/enx3cecef12345a": "Features for enx3cecef12345a:\nrx-checksumming: on\n",
    "cmd:nvidia-smi/query": (
        "<nvidia_smi_log><driver_version>550.54.15</driver_version><gpu><serial>SRL7788XYZ</serial>"
        "<uuid>GPU-8a1b2c3d-1111-2222-3333-444455556666</uuid></gpu></nvidia_smi_log>"
    ),
    "cmd:docker/info": json.dumps({"Name": "whitehouse7", "ServerVersion": "26.1.3"}),
    "cmd:ovs-vsctl/show-config": json.dumps(
        {"data": [["map", [["ovn-encap-ip", "10.20.30.41"], ["r", "tcp:10.20.30.41:6642"]]]]}
    ),
    "cmd:dmesg/excerpt": (
        f"[    1.0] e1000e eth0: {MAC}\n[    2.0] scsi 0:0:0:0: naa.5000c500a1b2c3d4\n"
        "[    2.1] target 0x5000c500a1b2c3d5\n[    3.0] IPv6 fe80::3eec:efff:fe12:345a\n"
        "[    4.0] nfs: server 2001:db8:17::4:1 (whitehouse7.examplecorp.internal)\n"
        "[    5.0] SSH-2.0-OpenSSH_9.6p1\n"
    ),
    "cmd:dpkg-query/packages": (
        "libfoo\t1.2.3.4\tamd64\t\tinstalled\nlinux\t6.8.0\tamd64\tamd64v3\tinstalled\n"
    ),
}


def ok(name: str, data: bytes) -> Capture:
    return Capture(name, CaptureStatus.OK, data)


def snapshot() -> list[Capture]:
    rows = [
        Capture(
            name, CaptureStatus.OK, text.encode(), "/home/alicek/bin/tool", "exit 0 on whitehouse7"
        )
        for name, text in PLACES.items()
    ]
    packed = gzip.compress(b'CONFIG_X=y\nCONFIG_LOCALVERSION="-whitehouse7"\n')
    rows.append(ok("file:/proc/config.gz", packed))
    rows.append(
        Capture(
            "file:/sys/binary", CaptureStatus.OK, b"\xff\xfe\x00 whitehouse7 SRL7788XYZ \x00\x90"
        )
    )
    return rows


@pytest.fixture(scope="module")
def redacted() -> dict[str, collector.Capture]:
    rows = collector.redact(snapshot())
    return {before.id: after for before, after in zip(snapshot(), rows, strict=True)}


@pytest.mark.parametrize("canary", CANARIES)
def test_no_canary_is_left_anywhere(canary: str, redacted: dict[str, collector.Capture]) -> None:
    for row in redacted.values():
        data = gzip.decompress(row.data) if row.data[:2] == b"\x1f\x8b" else row.data
        text = " ".join((row.id, data.decode("utf-8", "replace"), row.how, row.detail))
        assert canary.lower() not in text.lower(), row.id


def test_json_stays_json_and_keeps_what_names_nobody(
    redacted: dict[str, collector.Capture],
) -> None:
    dmi = json.loads(redacted["tree:/sys/class/dmi/id"].data)
    assert dmi["board_serial"] == {"error": "EACCES"}
    net = json.loads(redacted["tree:/sys/class/net"].data)
    assert net["lo/address"] == "00:00:00:00:00:00\n"
    assert net["eth0/mtu"] == "1500\n"
    for name, text in PLACES.items():
        if text.startswith("{"):
            json.loads(redacted[name].data)


def test_a_version_of_four_numbers_is_no_address(redacted: dict[str, collector.Capture]) -> None:
    assert b"libfoo\t1.2.3.4\t" in redacted["cmd:dpkg-query/packages"].data


def test_the_same_thing_has_the_same_placeholder_in_every_spelling(
    redacted: dict[str, collector.Capture],
) -> None:
    net = json.loads(redacted["tree:/sys/class/net"].data)
    name = next(key for key in net if key.startswith("enx"))
    placeholder = net[name].strip()
    assert placeholder.startswith("«mac-")
    assert name == f"enx{placeholder}/address"
    assert redacted["cmd:ethtool/enx3cecef12345a"].id == f"cmd:ethtool/enx{placeholder}"


def test_redacting_twice_changes_nothing_more(redacted: dict[str, collector.Capture]) -> None:
    rows = list(redacted.values())
    assert collector.redact(rows) == rows


def test_a_host_that_is_called_as_everything_is_stays_where_it_is_no_host() -> None:
    rows = [
        Capture("probe:uname", CaptureStatus.OK, b"sysname Linux\nnodename vm\nmachine x86_64\n"),
        Capture("file:/proc/filesystems", CaptureStatus.OK, b"vm swappiness of a vm\n"),
    ]
    uname, other = collector.redact(rows)
    assert uname.data.decode().splitlines()[1] == "nodename «host-1»"
    assert other.data == rows[1].data


def test_cpuid_and_the_kernels_numbers_are_left_alone() -> None:
    text = (
        b"CPU 0:\n   0x00000000 0x00: eax=0x0000000d ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n"
    )
    rows = [
        ok("probe:cpuid", text),
        ok("probe:xcr0", b"0x5000000000000007\n"),
        Capture(
            "file:/proc/cpuinfo",
            CaptureStatus.OK,
            b"vendor_id\t: AuthenticAMD\nflags\t\t: fpu vme de\n",
        ),
        Capture(
            "tree:/sys/bus/pci/devices", CaptureStatus.OK, b'{"0000:3b:00.0/vendor":"0x8086\\n"}'
        ),
    ]
    assert [row.data for row in collector.redact(rows)] == [row.data for row in rows]
