"""Guest or bare metal, of which hypervisor, in which cloud."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, values_of, why_unknown
from uplift.facts import snapshot_file
from uplift.facts.model import Facts
from uplift.facts.parsers import cpuinfo, lscpu_output, platform

PARSER = platform.PARSER
BARE_CPUINFO = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu lm vmx\n"
GUEST_CPUINFO = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu lm hypervisor\n"


def cpuid(ecx: int, *signatures: tuple[int, str]) -> str:
    lines = [
        "CPU 0:",
        "   0x00000000 0x00: eax=0x00000001 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69",
        f"   0x00000001 0x00: eax=0x000a06d1 ebx=0x00000000 ecx=0x{ecx:08x} edx=0x00000000",
    ]
    for leaf, text in signatures:
        raw = text.encode().ljust(12, b"\0")
        words = [int.from_bytes(raw[n : n + 4], "little") for n in (0, 4, 8)]
        lines.append(
            f"   0x{leaf:08x} 0x00: eax=0x40000001 ebx=0x{words[0]:08x}"
            f" ecx=0x{words[1]:08x} edx=0x{words[2]:08x}"
        )
    return "\n".join(lines) + "\n"


def hypervisor(**captures: object) -> object:
    return facts_of(PARSER, captures).value("platform.hypervisor")


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        ("KVMKVMKVM", "kvm"),
        ("TCGTCGTCGTCG", "qemu-tcg"),
        ("VMwareVMware", "vmware"),
        ("Microsoft Hv", "hyperv"),
        ("XenVMMXenVMM", "xen"),
        ("bhyve bhyve ", "bhyve"),
    ],
)
def test_cpuid_names_the_hypervisor(signature: str, name: str) -> None:
    found = values_of(PARSER, {platform.CPUID: cpuid(1 << 31, (0x40000000, signature))})
    assert (found["platform.guest"], found["platform.hypervisor"]) == (True, name)


def test_kvm_behind_the_face_of_hyperv_is_kvm() -> None:
    text = cpuid(1 << 31, (0x40000000, "Microsoft Hv"), (0x40000100, "KVMKVMKVM"))
    assert hypervisor(**{platform.CPUID: text}) == "kvm"


def test_a_signature_without_the_hypervisor_bit_is_bare_metal() -> None:
    assert hypervisor(**{platform.CPUID: cpuid(0, (0x40000000, "KVMKVMKVM"))}) == ""


def test_an_unknown_signature_is_a_guest_of_nobody_knows_what() -> None:
    captures = {platform.CPUID: cpuid(1 << 31, (0x40000000, "NobodyKnows"))}
    found = values_of(PARSER, captures)
    assert found["platform.guest"] is True
    assert found["platform.hypervisor_text"] == "NobodyKnows"
    assert "not in" in why_unknown(PARSER, captures, "platform.hypervisor")


def test_cpuinfo_alone_tells_guest_from_bare_metal() -> None:
    assert hypervisor(**{cpuinfo.CAPTURE: BARE_CPUINFO}) == ""
    guest = facts_of(PARSER, {cpuinfo.CAPTURE: GUEST_CPUINFO})
    assert guest.value("platform.guest") is True
    assert guest.value("platform.hypervisor") is None


def test_a_broken_cpuid_leaves_the_other_sources() -> None:
    captures = {platform.CPUID: "0x0000000 nonsense:", platform.DETECT_VIRT: "vmware\n"}
    assert hypervisor(**captures) == "vmware"


@pytest.mark.parametrize(
    ("captures", "name"),
    [
        ({platform.DETECT_VIRT: "kvm\n"}, "kvm"),
        ({platform.DETECT_VIRT: "qemu\n"}, "qemu-tcg"),
        ({platform.DETECT_VIRT: "none\n"}, ""),
        ({platform.HOSTNAMECTL: "    Virtualization: microsoft\n"}, "hyperv"),
        ({platform.SYSINFO: "Type: 2964\nVM00 Control Program:   KVM/Linux\n"}, "kvm"),
        ({platform.SYSINFO: "VM00 Control Program: z/VM    7.2.0\n"}, "z/vm"),
        ({platform.SYSINFO: "Type: 2964\n"}, "pr/sm"),
        ({platform.XEN_TYPE: "xen\n"}, "xen"),
        ({platform.XEN_ROLE: "control_d\n"}, ""),
        ({platform.MACHINE: "ibm,powernv\0"}, ""),
        ({platform.MACHINE: "qemu,pseries\0"}, "kvm"),
        ({platform.HOST: "linux,kvm\0"}, "kvm"),
        ({platform.PARTITION: "lpar1\0", platform.MANAGED: "1"}, "phyp"),
        ({platform.DMI: {"sys_vendor": "VMware, Inc.\n"}}, "vmware"),
        ({platform.DMI: {"sys_vendor": "Amazon EC2", "product_name": "c7i.metal-24xl"}}, ""),
        ({platform.DMI: {"sys_vendor": "Amazon EC2", "product_name": "c7i.large"}}, "kvm"),
        ({platform.LOG: "ACPI: RSDP 0xE0000 000024 (v02 FIRECK)\n"}, "firecracker"),
        ({platform.PCI_LIST: "0010\t80eebeef\t0\n"}, "virtualbox"),
        ({platform.PCI_TREE: {"a/vendor": "0x15ad\n", "a/device": "0x0405\n"}}, "vmware"),
        ({lscpu_output.TEXT: "Architecture: x86_64\nHypervisor vendor: KVM\n"}, "kvm"),
        (
            {lscpu_output.TEXT: "CPU(s): 1\nHypervisor vendor: IBM\nHypervisor: z/VM 6.1.0\n"},
            "z/vm",
        ),
    ],
)
def test_other_sources_name_the_hypervisor(captures: dict[str, object], name: str) -> None:
    assert hypervisor(**captures) == name


@pytest.mark.parametrize(
    ("features", "kind"), [("000002705", "full"), ("00000020", "para"), ("00000108", "para")]
)
def test_xen_says_how_its_guest_runs(features: str, kind: str) -> None:
    found = values_of(PARSER, {platform.XEN_TYPE: "xen", platform.XEN_FEATURES: features})
    assert found["platform.virtualization_type"] == kind


def test_firecracker_answers_as_kvm_and_is_named_by_its_tables() -> None:
    text = cpuid(1 << 31, (0x40000000, "KVMKVMKVM"))
    assert hypervisor(**{platform.CPUID: text, platform.LOG: "FIRECK"}) == "firecracker"


def test_a_container_is_no_hypervisor() -> None:
    found = values_of(PARSER, {platform.DETECT_VIRT: "docker\n", cpuinfo.CAPTURE: BARE_CPUINFO})
    assert (found["platform.guest"], found["platform.container"]) == (False, "docker")


@pytest.mark.parametrize(
    ("captures", "cloud"),
    [
        ({platform.DMI: {"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}}, "azure"),
        ({platform.DMI: {"product_name": "Google Compute Engine"}}, "google"),
        ({platform.DMI: {"sys_vendor": "Google", "product_name": "Kukui"}}, ""),
        ({platform.CLOUD_ID: "aws\n"}, "amazon"),
        ({platform.CLOUD_ID: "nocloud\n"}, ""),
    ],
)
def test_the_cloud_is_named_by_firmware_or_cloud_init(
    captures: dict[str, object], cloud: str
) -> None:
    assert values_of(PARSER, captures)["platform.cloud"] == cloud


def test_nothing_recorded_is_unknown() -> None:
    assert "was not collected" in why_unknown(PARSER, {}, "platform.guest")


def test_this_projects_own_guest_is_a_firecracker() -> None:
    own = snapshot_file.load(RECORDINGS / "own" / "firecracker-milan.jsonl.gz")
    facts = Facts(own, (PARSER,))
    assert facts.value("platform.hypervisor") == "firecracker"
    assert facts.value("platform.container") == "docker"
