"""DMI, ACPI, EFI, TPM, microcode, MSRs, memory, power, resctrl."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import facts_of, values_of, why_unknown
from uplift.facts.parsers import acpi, cpuinfo, dmi, firmware, memory, msr, power, resctrl

SECURE_BOOT = firmware.VARIABLES + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
DMIDECODE = """# dmidecode 3.2
SMBIOS 2.8 present.

Handle 0x0000, DMI type 0, 24 bytes
BIOS Information
\tVendor: SeaBIOS
\tVersion: 1.10.2

Handle 0x0100, DMI type 1, 27 bytes
System Information
\tManufacturer: OpenStack Foundation
\tProduct Name: OpenStack Nova

Handle 0x0400, DMI type 4, 42 bytes
Processor Information
\tManufacturer: QEMU

Handle 0x0101, DMI type 1, 27 bytes
System Information
\tManufacturer: Somebody else
"""


def test_dmi_is_read_from_sysfs() -> None:
    tree = {"sys_vendor": "Dell Inc.\n", "product_serial": {"error": "EACCES"}, "uevent": "x"}
    assert values_of(dmi.PARSER, {dmi.TREE: tree}) == {"firmware.dmi.sys_vendor": "Dell Inc."}


def test_dmidecode_gives_the_first_of_each_section() -> None:
    found = values_of(dmi.PARSER, {dmi.TEXT: DMIDECODE})
    assert found == {
        "firmware.dmi.bios_vendor": "SeaBIOS",
        "firmware.dmi.bios_version": "1.10.2",
        "firmware.dmi.sys_vendor": "OpenStack Foundation",
        "firmware.dmi.product_name": "OpenStack Nova",
    }


def test_dmi_that_is_broken_or_missing_is_unknown() -> None:
    name = "firmware.dmi.sys_vendor"
    assert "no output of dmidecode" in why_unknown(dmi.PARSER, {dmi.TEXT: "hello"}, name)
    assert "was not collected" in why_unknown(dmi.PARSER, {}, name)


def test_acpi_tables_lose_their_numbers() -> None:
    names = "APIC\nSSDT1\nSSDT23\nBERT\nOEM1\ndata\ndynamic\n"
    found = values_of(acpi.PARSER, {acpi.LIST: names})["firmware.acpi_tables"]
    assert found == {"APIC", "SSDT", "BERT", "OEM1"}


def test_acpi_tables_that_nobody_listed_are_unknown() -> None:
    assert "was not collected" in why_unknown(acpi.PARSER, {}, "firmware.acpi_tables")


def values(**captures: object) -> dict[str, object]:
    found = values_of(firmware.PARSER, captures)
    return {name.removeprefix("firmware."): value for name, value in found.items()}


@pytest.mark.parametrize(
    ("captures", "efi"),
    [
        ({firmware.EFI: "efivars\nruntime\n"}, True),
        ({firmware.FIRMWARE: "acpi\nmemmap\n"}, False),
        ({firmware.FIRMWARE: "acpi\nefi\n"}, True),
        ({firmware.BOOT_MANAGER: "BootCurrent: 0001\nBootOrder: 0001\n"}, True),
        ({firmware.BOOT_MANAGER: "EFI variables are not supported on this system.\n"}, False),
    ],
)
def test_efi_is_proved_or_disproved(captures: dict[str, object], efi: bool) -> None:
    assert values(**captures)["efi"] is efi


def test_secure_boot_is_the_fifth_byte_of_its_variable() -> None:
    assert values(**{SECURE_BOOT: b"\x06\0\0\0\x01"})["secure_boot"] is True
    assert values(**{SECURE_BOOT: b"\x06\0\0\0\x00"})["secure_boot"] is False
    assert values(**{firmware.MOKUTIL: "SecureBoot disabled\n"})["secure_boot"] is False


@pytest.mark.parametrize("data", [b"", b"\x06\0\0\0", b"\x06\0\0\0\x07", b"\x06\0\0\0\x01\0"])
def test_a_variable_of_another_form_is_unknown(data: bytes) -> None:
    why = why_unknown(firmware.PARSER, {SECURE_BOOT: data}, "firmware.secure_boot")
    assert "is not four bytes" in why


def test_a_tpm_has_a_version_or_is_none() -> None:
    assert values(**{firmware.TPM: {"tpm0/tpm_version_major": "2\n"}})["tpm"] == "2.0"
    assert values(**{firmware.TPM: {}})["tpm"] == ""
    assert "was not collected" in why_unknown(firmware.PARSER, {}, "firmware.tpm")


def test_the_lowest_microcode_counts() -> None:
    text = "processor : 0\nmicrocode : 0x20\n\nprocessor : 1\nmicrocode : 0x1f\n"
    assert values(**{cpuinfo.CAPTURE: text})["microcode"] == 0x1F
    tree = {"cpu0/microcode/version": "0x2b\n", "cpu1/microcode/version": "0x2a\n"}
    assert values(**{firmware.CPU_TREE: tree})["microcode"] == 0x2A


def test_registers_that_the_cpu_refuses_stay_unknown() -> None:
    found = values_of(msr.PARSER, {msr.CAPTURE: "0x3a 0x5\n0x982 errno EIO\n"})
    assert found == {"firmware.msr.3a": 5}


def test_broken_or_missing_registers_are_unknown() -> None:
    why = why_unknown(msr.PARSER, {msr.CAPTURE: "0x3a 0x5\nhello\n"}, "firmware.msr.3a")
    assert "line 2: 'hello' is no register" in why
    assert "was not collected" in why_unknown(msr.PARSER, {}, "firmware.msr.3a")


def test_memory_is_in_bytes_and_pools_in_pages() -> None:
    found = values_of(
        memory.PARSER,
        {
            memory.MEMINFO: "MemTotal:       16384 kB\nHugePages_Total:       8\nbroken\n",
            memory.POOLS: {"hugepages-1048576kB/nr_hugepages": "4\n", "x": "y"},
            memory.THP: {
                "enabled": "always [madvise] never\n",
                "hugepages-64kB/enabled": "[never]",
            },
            memory.NODES: {
                "node0/cpulist": "0-3\n",
                "node0/meminfo": "Node 0 MemTotal:  1024 kB\n",
                "node1/cpulist": "\n",
                "node1/meminfo": "Node 1 MemTotal:  2048 kB\n",
                "node2/cpulist": "\n",
            },
        },
    )
    assert (found["memory.total"], found["memory.hugepages_total"]) == (16384 << 10, 8)
    assert found["memory.hugepages.1048576"] == 4
    assert (found["memory.thp"], found["memory.thp_sizes"]) == ("madvise", ("64=never",))
    assert (found["memory.nodes"], found["memory.nodes_without_cpus"]) == (2, ("1",))


def test_broken_or_missing_memory_is_unknown() -> None:
    why = why_unknown(memory.PARSER, {memory.MEMINFO: "hello\n"}, "memory.total")
    assert "line 1: there is no MemTotal" in why
    assert "was not collected" in why_unknown(memory.PARSER, {}, "memory.total")


def test_power_names_drivers_governors_and_idle_states() -> None:
    tree = {
        "cpufreq/policy0/scaling_driver": "intel_pstate\n",
        "cpufreq/policy0/scaling_governor": "powersave\n",
        "cpu1/cpufreq/scaling_governor": "performance\n",
        "cpu0/cpufreq/energy_performance_available_preferences": "default performance\n",
        "intel_pstate/no_turbo": "1\n",
        "intel_pstate/status": "active\n",
        "cpuidle/current_driver": "intel_idle\n",
        "cpu0/cpuidle/state0/name": "POLL\n",
        "cpu0/cpuidle/state1/name": "C6\n",
        "cpu0/cpuidle/state1/disable": "1\n",
    }
    found = values_of(power.PARSER, {power.CPU_TREE: tree})
    assert (found["power.driver"], found["power.pstate"]) == ("intel_pstate", "active")
    assert found["power.governor"] == {"powersave", "performance"}
    assert found["power.energy_preferences"] == {"default", "performance"}
    assert found["power.boost"] is False
    assert (found["idle.driver"], found["idle.states"]) == ("intel_idle", ("POLL", "C6"))
    assert found["idle.disabled"] == {"C6"}


def test_no_driver_in_a_tree_that_was_read_means_none() -> None:
    facts = facts_of(power.PARSER, {power.CPU_TREE: {"present": "0"}})
    assert facts.value("power.driver") == ""
    assert facts.value("power.boost") is None
    assert "was not collected" in why_unknown(power.PARSER, {}, "power.driver")
    assert "no JSON" in why_unknown(power.PARSER, {power.CPU_TREE: "7"}, "power.driver")


def test_resctrl_lists_what_can_be_controlled_and_watched() -> None:
    tree = {
        "L3/num_closids": "16\n",
        "L3/cbm_mask": "7fff\n",
        "L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\n",
        "MB/min_bandwidth": "10\n",
        "last_cmd_status": "ok\n",
    }
    found = values_of(resctrl.PARSER, {resctrl.TREE: tree})
    assert found["resctrl.info"] == {"L3", "L3_MON", "MB"}
    assert found["resctrl.monitors"] == {"llc_occupancy", "mbm_total_bytes"}
    assert (found["resctrl.l3.num_closids"], found["resctrl.l3.cbm_mask"]) == (16, "7fff")


def test_broken_or_missing_resctrl_is_unknown() -> None:
    assert "was not collected" in why_unknown(resctrl.PARSER, {}, "resctrl.info")
    assert "no JSON" in why_unknown(resctrl.PARSER, {resctrl.TREE: "3"}, "resctrl.info")
