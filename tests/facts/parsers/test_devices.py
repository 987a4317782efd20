"""PCI, accelerators, CXL, network interfaces, IOMMUs."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import values_of, why_unknown
from uplift.facts.parsers import cxl, iommu, network_devices, pci

SLOT = "0000:3b:00.0"
CARD = {
    f"{SLOT}/vendor": "0x8086\n",
    f"{SLOT}/device": "0x1592\n",
    f"{SLOT}/class": "0x020000\n",
    f"{SLOT}/driver": {"link": "../../../bus/pci/drivers/ice"},
    f"{SLOT}/current_link_speed": "16.0 GT/s PCIe\n",
    f"{SLOT}/current_link_width": "8\n",
    f"{SLOT}/max_link_speed": "16.0 GT/s PCIe\n",
    f"{SLOT}/max_link_width": "16\n",
    f"{SLOT}/sriov_numvfs": "4\n",
    f"{SLOT}/sriov_totalvfs": "256\n",
}
ACCELERATORS = {
    "0000:e7:01.0/vendor": "0x8086\n",
    "0000:e7:01.0/device": "0x0b25\n",
    "0000:e7:01.0/class": "0x088000\n",
    "0000:e7:01.0/driver": {"link": "../../../bus/pci/drivers/idxd"},
    "0000:e7:02.0/vendor": "0x8086\n",
    "0000:e7:02.0/device": "0x0cfe\n",
    "0000:6b:00.0/vendor": "0x8086\n",
    "0000:6b:00.0/device": "0x4940\n",
    "0000:6b:00.0/driver": {"link": "../../../bus/pci/drivers/4xxx"},
    "0000:0d:00.0/vendor": "0x1af4\n",
    "0000:0d:00.0/device": "0x1100\n",
    "0000:0d:00.0/class": "0x050210\n",
}
LSPCI = """3b:00.0 Ethernet controller [0200]: Intel Corporation E810-C [8086:1592] (rev 02)
\t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16, ASPM L1
\t\tLnkSta:\tSpeed 16GT/s (ok), Width x8 (downgraded)
\t\tInitial VFs: 256, Total VFs: 256, Number of VFs: 4, Function Dependency Link: 00
\tKernel driver in use: ice
"""


def devices(tree: object) -> dict[str, object]:
    found = values_of(pci.PARSER, {pci.TREE: tree})
    return {name.removeprefix("pci."): value for name, value in found.items()}


def test_a_device_is_named_with_its_driver() -> None:
    found = devices(CARD)
    assert found["ids"] == {"8086:1592"}
    assert found["classes"] == {"0200"}
    assert found["drivers"] == {"8086:1592=ice"}
    assert found["sriov"] == {"8086:1592 4/256"}


def test_a_link_below_what_the_device_can_do_is_degraded() -> None:
    assert devices(CARD)["degraded"] == {f"{SLOT} 8086:1592 16 GT/s x8 of 16 GT/s x16"}
    assert devices({**CARD, f"{SLOT}/current_link_width": "16"})["degraded"] == frozenset()
    assert devices({**CARD, f"{SLOT}/current_link_width": "0"})["degraded"] == frozenset()


def test_a_device_without_a_driver_is_unbound() -> None:
    bare = {name: text for name, text in CARD.items() if not name.endswith("driver")}
    assert devices(bare)["unbound"] == {"8086:1592"}


def test_lspci_tells_the_same_as_sysfs() -> None:
    text = values_of(pci.PARSER, {pci.TEXT: LSPCI})
    assert text == values_of(pci.PARSER, {pci.TREE: CARD})


def test_no_device_is_no_device_and_nothing_recorded_is_unknown() -> None:
    assert devices({})["ids"] == frozenset()
    assert "was not collected" in why_unknown(pci.PARSER, {}, "pci.ids")


@pytest.mark.parametrize(
    ("captures", "cause"),
    [
        (
            {pci.TREE: {"a/vendor": "Intel", "a/device": "0x1"}},
            "a/vendor: 'intel' is no identifier",
        ),
        ({pci.TEXT: "lspci: Cannot open /proc\n"}, "no output of lspci"),
    ],
)
def test_a_broken_list_of_devices_is_unknown(captures: dict[str, object], cause: str) -> None:
    assert cause in why_unknown(pci.PARSER, captures, "pci.ids")


def test_accelerators_are_counted_by_their_identifiers() -> None:
    found = values_of(cxl.PARSER, {pci.TREE: ACCELERATORS})
    assert (found["device.dsa.count"], found["device.dsa.drivers"]) == (1, {"idxd"})
    assert (found["device.iaa.count"], found["device.iaa.drivers"]) == (1, frozenset())
    assert (found["device.qat.count"], found["device.qat.drivers"]) == (1, {"4xxx"})
    assert found["device.cxl.memory_devices"] == 1


def test_work_queues_belong_to_the_bus_of_their_device() -> None:
    tree = {
        "dsa0/state": "enabled\n",
        "iax1/state": "disabled\n",
        "wq0.0/state": "enabled\n",
        "wq0.0/type": "kernel\n",
        "wq0.1/state": "disabled\n",
        "wq1.0/state": "enabled\n",
        "wq1.0/type": "user\n",
    }
    found = values_of(cxl.PARSER, {cxl.DSA: tree})
    assert (found["device.dsa.enabled"], found["device.iaa.enabled"]) == (1, 0)
    assert (found["device.dsa.queues_enabled"], found["device.iaa.queues_enabled"]) == (1, 1)
    assert found["device.dsa.queue_types"] == {"kernel"}


def test_memory_on_cxl_is_summed() -> None:
    tree = {"mem0/ram/size": "0x40000000\n", "mem1/ram/size": "0x40000000\n", "region0/size": "1"}
    found = values_of(cxl.PARSER, {cxl.CXL: tree})
    assert found["device.cxl.ram_bytes"] == 2 << 30
    assert (found["device.cxl.mem"], found["device.cxl.region"]) == (2, 1)


def test_no_cxl_bus_is_unknown_and_a_broken_size_too() -> None:
    assert "was not collected" in why_unknown(cxl.PARSER, {}, "device.cxl.mem")
    broken = {cxl.CXL: {"mem0/ram/size": "many"}}
    assert "could not be read" in why_unknown(cxl.PARSER, broken, "device.cxl.mem")


NET = {
    "eth0/device/driver": {"link": "../../../../bus/pci/drivers/ice"},
    "eth0/operstate": "up\n",
    "eth0/mtu": "9000\n",
    "eth0/speed": "100000\n",
    "eth1/operstate": "down\n",
    "eth1/speed": "-1\n",
    "lo/mtu": "65536\n",
}


def test_interfaces_have_a_driver_and_a_speed_when_they_are_up() -> None:
    found = values_of(network_devices.PARSER, {network_devices.TREE: NET})
    assert found["net.interfaces"] == ("eth0", "eth1")
    assert found["net.drivers"] == {"ice"}
    assert (found["net.interface.eth0.speed"], found["net.interface.eth0.mtu"]) == (100000, 9000)
    assert "net.interface.eth1.speed" not in found


def test_drivers_and_firmware_are_read_from_the_probe_and_from_ethtool() -> None:
    line = "eth0 driver=ice version=6.8.0 firmware=4.40 0x8001c967 1.3534.0 bus=0000:3b:00.0\n"
    probe = values_of(network_devices.PARSER, {"probe:net-drivers": line})
    text = "driver: ice\nversion: 6.8.0\nfirmware-version: 4.40 0x8001c967 1.3534.0\n"
    assert probe == {**values_of(network_devices.PARSER, {"cmd:ethtool-i/eth0": text})}
    assert probe["net.interface.eth0.firmware"] == "4.40 0x8001c967 1.3534.0"


def test_broken_network_captures_are_unknown() -> None:
    why = why_unknown(network_devices.PARSER, {"probe:net-drivers": "hello\n"}, "net.drivers")
    assert "line 1: 'hello' names no driver" in why


def test_interfaces_that_nobody_recorded_are_unknown() -> None:
    assert "was not collected" in why_unknown(network_devices.PARSER, {}, "net.drivers")


def test_iommus_are_counted_and_their_groups_typed() -> None:
    found = values_of(
        iommu.PARSER,
        {
            iommu.UNITS: "dmar0\ndmar1\nsmmu3.0x00000000fff00000\n",
            iommu.GROUPS: {
                "0/type": "DMA-FQ\n",
                "1/type": "identity\n",
                "1/devices/x": {"link": "y"},
            },
        },
    )
    assert (found["iommu.units"], found["iommu.kinds"]) == (3, {"dmar", "smmu3"})
    assert (found["iommu.groups"], found["iommu.types"]) == (2, {"DMA-FQ", "identity"})


def test_capabilities_are_those_of_every_unit() -> None:
    tree = {"dmar0/intel-iommu/ecap": "f0\n", "dmar1/intel-iommu/ecap": "30\n"}
    found = values_of(iommu.PARSER, {iommu.REGISTERS: tree})
    assert found == {"iommu.intel.ecap": 0x30}
    broken = {iommu.REGISTERS: {"dmar0/intel-iommu/ecap": "xyz"}}
    assert "could not be read" in why_unknown(iommu.PARSER, broken, "iommu.intel.ecap")


def test_an_iommu_list_that_is_empty_means_none() -> None:
    assert values_of(iommu.PARSER, {iommu.UNITS: ""})["iommu.units"] == 0
    assert "was not collected" in why_unknown(iommu.PARSER, {}, "iommu.units")
    assert "no JSON object" in why_unknown(iommu.PARSER, {iommu.GROUPS: "[]"}, "iommu.groups")
