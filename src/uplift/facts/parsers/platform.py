"""What the machine is a part of: bare metal or a guest, of which hypervisor, in which cloud.

Several sources speak, and the most direct wins: the hypervisor's own CPUID signature, then what
``systemd-detect-virt`` found, s390x's control program, Xen's files, the device tree, the firmware's
names, virtual hardware on the PCI bus, and last what lscpu printed. On x86 a cpuinfo without the
flag ``hypervisor`` says bare metal.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import cpuid_notation, cpuinfo, lscpu_output
from uplift.facts.parsers.sysfs import SysTree

CPUID = "probe:cpuid"
DETECT_VIRT = "cmd:systemd-detect-virt"
HOSTNAMECTL = "cmd:hostnamectl/status"
DMI = "tree:/sys/class/dmi/id"
SYSINFO = "file:/proc/sysinfo"
DEVICE_TREE = "file:/proc/device-tree/"
MACHINE = DEVICE_TREE + "compatible"
HOST = DEVICE_TREE + "hypervisor/compatible"
PARTITION = DEVICE_TREE + "ibm,partition-name"
MANAGED = DEVICE_TREE + "hmc-managed?"
CLOUD_ID = "file:/run/cloud-init/cloud-id"
XEN_TYPE = "file:/sys/hypervisor/type"
XEN_ROLE = "file:/proc/xen/capabilities"
XEN_FEATURES = "file:/sys/hypervisor/properties/features"
PROC_NAMES = "list:/proc"
PCI_TREE = "tree:/sys/bus/pci/devices"
PCI_LIST = "file:/proc/bus/pci/devices"
LOG = "cmd:dmesg/excerpt"
STATUS = "file:/proc/self/status"

_HYPERVISOR_BIT = 1 << 31
_LOWEST_LEAF = 0x40000000

#: CPUID signatures. Sources: linux arch/x86/kernel/cpu/{vmware,mshyperv,acrn}.c, arch/x86/xen,
#: arch/x86/kernel/kvm.c; qemu target/i386/kvm/kvm.c; systemd src/basic/virt.c.
_SIGNATURES = {
    "KVMKVMKVM": "kvm",
    "Linux KVM Hv": "kvm",
    "TCGTCGTCGTCG": "qemu-tcg",
    "VMwareVMware": "vmware",
    "Microsoft Hv": "hyperv",
    "XenVMMXenVMM": "xen",
    "bhyve bhyve": "bhyve",
    "VBoxVBoxVBox": "virtualbox",
    "ACRNACRNACRN": "acrn",
    "prl hyperv": "parallels",
    "lrpepyh vr": "parallels",
    "QNXQVMBSQG": "qnx",
    "Jailhouse": "jailhouse",
    "SRESRESRESRE": "sre",
    "UnisysSpar64": "spar",
}

#: What ``systemd-detect-virt`` prints. Source: systemd src/basic/virt.c (virtualization_table).
_DETECTED = {
    "kvm": "kvm",
    "amazon": "kvm",
    "google": "kvm",
    "qemu": "qemu-tcg",
    "vmware": "vmware",
    "microsoft": "hyperv",
    "oracle": "virtualbox",
    "xen": "xen",
    "zvm": "z/vm",
    "powervm": "phyp",
    "bhyve": "bhyve",
    "parallels": "parallels",
    "acrn": "acrn",
    "apple": "apple",
    "uml": "uml",
    "bochs": "bochs",
    "qnx": "qnx",
    "sre": "sre",
}
_CONTAINERS = {
    *("docker", "podman", "lxc", "lxc-libvirt", "systemd-nspawn", "openvz", "rkt", "wsl", "proot"),
    *("pouch", "container-other"),
}

#: Words in the firmware's names, the first that is found counts. Source: systemd src/basic/virt.c.
_FIRMWARE = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Google Compute Engine", "kvm"),
    ("Alibaba Cloud ECS", "kvm"),
    ("DigitalOcean", "kvm"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Microsoft Corporation Virtual Machine", "hyperv"),
    ("Apple Virtualization", "apple"),
    ("QEMU", "qemu"),
)
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
_CLOUDS = (
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("Alibaba Cloud", "alibaba"),
    ("OracleCloud.com", "oracle"),
    ("DigitalOcean", "digitalocean"),
    ("Hetzner", "hetzner"),
    ("Scaleway", "scaleway"),
    ("OpenStack", "openstack"),
)

#: Virtual graphics and bus devices (vendor:device). Source: pci.ids.
_VIRTUAL_PCI = {
    "5853:0001": "xen",
    "15ad:0710": "vmware",
    "15ad:0405": "vmware",
    "80ee:beef": "virtualbox",
    "1414:5353": "hyperv",
}
_LSCPU_VENDORS = {
    "KVM": "kvm",
    "Xen": "xen",
    "Microsoft": "hyperv",
    "VMware": "vmware",
    "Oracle": "virtualbox",
    "pHyp": "phyp",
    "Parallels": "parallels",
}
#: Bits of Xen's feature word: what only a paravirtual domain, and only a PVH domain has.
_XEN_PV = 1 << 5
_XEN_PVH = 1 << 3 | 1 << 8


@dataclass(frozen=True)
class Finding:
    """What one source says of the hypervisor.

    :param hypervisor: empty: there is none; ``?`` where there is one and nobody says which.
    :param text: the source's own words.
    :param kind: ``full``, ``para`` or ``container``, where the source says.
    """

    hypervisor: str
    text: str = ""
    kind: str = "full"


Captures = Mapping[str, Capture]
Source = Callable[[Captures], "Finding | None"]


def _from_cpuid(captures: Captures) -> Finding | None:
    capture = captures[CPUID]
    with suppress(ValueError):  # its own parser reports what is broken
        cores = cpuid_notation.read(capture.data, capture.format or "cpuid-r")
        return _signature(cores[0].leaves) if cores else None
    return None


def _signature(leaves: cpuid_notation.Leaves) -> Finding | None:
    """Read the hypervisor's names; KVM shows Hyper-V's first and its own 256 leaves above."""
    basic = leaves.get((1, 0))
    if basic is None:
        return None
    if not basic[2] & _HYPERVISOR_BIT:
        return Finding("")
    names = [
        _name(leaves[leaf, 0])
        for leaf in (_LOWEST_LEAF + 0x100, _LOWEST_LEAF)
        if (leaf, 0) in leaves
    ]
    known = [Finding(_SIGNATURES[name], name) for name in names if name in _SIGNATURES]
    return known[0] if known else Finding("?", names[-1] if names else "")


def _name(registers: cpuid_notation.Registers) -> str:
    raw = struct.pack("<3I", *registers[1:])
    return raw.decode("latin-1").strip("\0 ")


def _from_detect_virt(captures: Captures) -> Finding | None:
    for word in captures[DETECT_VIRT].text.split():
        if word in _DETECTED:
            return Finding(_DETECTED[word], word)
    return Finding("", "none") if "none" in captures[DETECT_VIRT].text.split() else None


def _from_hostnamectl(captures: Captures) -> Finding | None:
    found = re.search(r"Virtualization: (\S+)", captures[HOSTNAMECTL].text)
    return Finding(_DETECTED[found[1]], found[1]) if found and found[1] in _DETECTED else None


_CONTROL_PROGRAM = re.compile(r"Control Program:[ \t]*(\S[^\n]{0,80})")


def _from_sysinfo(captures: Captures) -> Finding | None:
    """Read s390x's stack of machines: without a control program it is a logical partition."""
    found = _CONTROL_PROGRAM.search(captures[SYSINFO].text)
    if found is None:
        return Finding("pr/sm", "PR/SM")
    text = " ".join(found[1].split())
    names = {"KVM": "kvm", "z/VM": "z/vm"}
    return Finding(next((names[word] for word in names if word in text), "?"), text)


def _from_xen(captures: Captures) -> Finding | None:
    kind = captures[XEN_TYPE].text.strip() if XEN_TYPE in captures else ""
    listed = PROC_NAMES in captures and "xen" in captures[PROC_NAMES].text.split()
    if kind not in ("", "xen") or not (kind or listed or XEN_ROLE in captures):
        return None
    if XEN_ROLE in captures and "control_d" in captures[XEN_ROLE].text:
        return Finding("", "Xen control domain", "")
    return Finding("xen", "Xen", _xen_kind(captures))


def _xen_kind(captures: Captures) -> str:
    """Say how a Xen guest runs; without its feature word the guest is taken for paravirtual."""
    text = captures[XEN_FEATURES].text.strip() if XEN_FEATURES in captures else ""
    if not re.fullmatch(r"[0-9a-fA-F]{1,16}", text):
        return "para"
    features = int(text, 16)
    return "para" if features & _XEN_PV or features & _XEN_PVH == _XEN_PVH else "full"


def _from_device_tree(captures: Captures) -> Finding | None:
    machine = captures[MACHINE].text.split("\0") if MACHINE in captures else []
    host = captures[HOST].text.partition("\0")[0] if HOST in captures else ""
    if "ibm,powernv" in machine:
        return Finding("", "PowerNV")
    if "qemu,pseries" in machine:
        return Finding("kvm", "qemu,pseries", "para")
    for word, name in (("linux,kvm", "kvm"), ("xen,", "xen")):
        if host.startswith(word):
            return Finding(name, host)
    if PARTITION in captures and MANAGED in captures:
        whole = captures[PARTITION].text.strip("\0\n ") == "full"
        return Finding("phyp", "pHyp", "" if whole else "para")
    return Finding("?", "linux,dummy-virt") if "linux,dummy-virt" in machine else None


def _dmi(captures: Captures) -> str:
    if DMI not in captures:
        return ""
    tree = SysTree.of(captures[DMI])
    names = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "product_version")
    return " ".join(text for name in names if (text := tree.text(name)))


def _from_firmware(captures: Captures) -> Finding | None:
    names = _dmi(captures)
    if "Amazon EC2" in names:
        return Finding("" if ".metal" in names else "kvm", names)
    return next((Finding(name, names) for word, name in _FIRMWARE if word in names), None)


def _from_log(captures: Captures) -> Finding | None:
    text = captures[LOG].text
    if "FIRECK" in text:  # the maker of the ACPI tables
        return Finding("firecracker", "ACPI tables of Firecracker")
    found = re.search(r"Hypervisor detected: (\w+)", text)
    names = {"KVM": "kvm", "VMware": "vmware", "Microsoft": "hyperv", "Xen": "xen", "ACRN": "acrn"}
    return Finding(names[found[1]], found[0]) if found and found[1] in names else None


def _from_pci(captures: Captures) -> Finding | None:
    ids = set(_pci_ids(captures))
    return next((Finding(name, pci) for pci, name in _VIRTUAL_PCI.items() if pci in ids), None)


def _pci_ids(captures: Captures) -> Iterator[str]:
    if PCI_LIST in captures:
        for line in captures[PCI_LIST].text.split("\n"):
            words = line.split("\t", 2)
            if len(words) > 1 and re.fullmatch(r"[0-9a-f]{8}", words[1]):
                yield f"{words[1][:4]}:{words[1][4:]}"
    if PCI_TREE in captures:
        tree = SysTree.of(captures[PCI_TREE])
        for slot in tree.names():
            vendor, device = (tree.text(f"{slot}/{name}") or "" for name in ("vendor", "device"))
            yield f"{vendor[2:].lower()}:{device[2:].lower()}"


def _from_lscpu(captures: Captures) -> Finding | None:
    name = next(name for name in lscpu_output.CAPTURES if name in captures)
    report = lscpu_output.platform_values(lscpu_output.read(captures[name]))
    vendor = report.get("Hypervisor vendor", "")
    if not vendor:
        return None
    text = report.get("Hypervisor") or vendor
    known = {"PR/SM": "pr/sm"}.get(text) or ("z/vm" if "z/VM" in text else "")
    return Finding(
        known or _LSCPU_VENDORS.get(vendor, "?"), text, report.get("Virtualization type", "full")
    )


def _from_container(captures: Captures) -> Finding | None:
    """Read containers that own the whole kernel's view: OpenVZ and Linux-VServer."""
    names = captures[PROC_NAMES].text.split() if PROC_NAMES in captures else []
    if "vz" in names and "bc" not in names:
        return Finding("", "OpenVZ", "container")
    if STATUS in captures and re.search(r"^VxID:\s*\d+\s*$", captures[STATUS].text, re.MULTILINE):
        return Finding("", "Linux-VServer", "container")
    return None


#: Sources in the order of their weight, and the captures that each needs one of.
_SOURCES: tuple[tuple[tuple[str, ...], Source], ...] = (
    ((CPUID,), _from_cpuid),
    ((DETECT_VIRT,), _from_detect_virt),
    ((HOSTNAMECTL,), _from_hostnamectl),
    ((SYSINFO,), _from_sysinfo),
    ((XEN_TYPE, XEN_ROLE, PROC_NAMES), _from_xen),
    ((MACHINE, HOST, PARTITION), _from_device_tree),
    ((DMI,), _from_firmware),
    ((LOG,), _from_log),
    ((PCI_LIST, PCI_TREE), _from_pci),
    (lscpu_output.CAPTURES, _from_lscpu),
    ((PROC_NAMES, STATUS), _from_container),
)


def _findings(captures: Captures) -> Iterator[tuple[str, Finding]]:
    for names, source in _SOURCES:
        here = [name for name in names if name in captures]
        finding = source(captures) if here else None
        if finding is not None:
            yield here[0], finding


def _parse(captures: Captures) -> Iterator[Reading]:
    findings = list(_findings(captures))
    flagged = _flagged(captures)
    yield from _hypervisor(findings, flagged)
    if CLOUD_ID in captures:
        yield Reading(CLOUD_ID, {"platform.cloud": _cloud_id(captures[CLOUD_ID].text)})
    elif DMI in captures:
        yield Reading(DMI, dict(_cloud(captures)))
    if DETECT_VIRT in captures:
        words = _CONTAINERS.intersection(captures[DETECT_VIRT].text.split())
        yield Reading(DETECT_VIRT, {"platform.container": min(words) if words else ""})
    if SYSINFO in captures:
        found = re.search(r"^Type:\s*(\w{1,16})", captures[SYSINFO].text, re.MULTILINE)
        if found:
            yield Reading(SYSINFO, {"platform.machine_type": found[1]})


def _flagged(captures: Captures) -> bool | None:
    """Say whether x86's cpuinfo has the flag ``hypervisor``; None where it cannot tell."""
    if cpuinfo.CAPTURE not in captures:
        return None
    with suppress(ValueError):
        info = cpuinfo.read(captures[cpuinfo.CAPTURE].text)
        fields = cpuinfo.kinds(info)[0].fields
        return "hypervisor" in fields["flags"].split() if "flags" in fields else None
    return None


def _hypervisor(findings: list[tuple[str, Finding]], flagged: bool | None) -> Iterator[Reading]:
    """Choose among the findings: a name beats the mere knowledge that there is one."""
    named = [(name, f) for name, f in findings if f.hypervisor not in ("", "?", "qemu")]
    some = [(name, f) for name, f in findings if f.hypervisor in ("?", "qemu")]
    if named or some:
        capture, finding = (named or some)[0]
        yield Reading(capture, _guest_values(_sharper(finding, findings)))
    elif flagged is not None:
        yield Reading(cpuinfo.CAPTURE, _native_values(findings, flagged))
    elif findings:
        yield Reading(findings[0][0], _native_values(findings, False))


def _sharper(finding: Finding, findings: list[tuple[str, Finding]]) -> Finding:
    """Firecracker answers as KVM; only its ACPI tables give it away."""
    names = {found.hypervisor for _, found in findings}
    if finding.hypervisor == "kvm" and "firecracker" in names:
        return Finding("firecracker", finding.text, finding.kind)
    return finding


def _guest_values(finding: Finding) -> dict[str, Value]:
    values: dict[str, Value] = {"platform.guest": True}
    if finding.hypervisor != "?":
        values["platform.hypervisor"] = finding.hypervisor
    if finding.text:
        values["platform.hypervisor_text"] = finding.text
    if finding.kind:
        values["platform.virtualization_type"] = finding.kind
    return values


def _native_values(findings: list[tuple[str, Finding]], guest: bool) -> dict[str, Value]:
    """Return what holds when no source names a hypervisor: none, unless cpuinfo flags one."""
    values: dict[str, Value] = {"platform.guest": guest}
    if not guest:
        values["platform.hypervisor"] = ""
    texts = [f for _, f in findings if f.text and f.kind != "full"]
    if texts:
        values["platform.hypervisor_text"] = texts[0].text
        values["platform.virtualization_type"] = texts[0].kind or "none"
    return values


def _cloud_id(text: str) -> str:
    """Read what cloud-init found, in the words that DMI's names are given here."""
    word = text.strip()[:40]
    names = {"aws": "amazon", "gce": "google", "aliyun": "alibaba", "none": "", "nocloud": ""}
    return names.get(word, word)


def _cloud(captures: Captures) -> Iterator[tuple[str, Value]]:
    names = _dmi(captures)
    tag = SysTree.of(captures[DMI]).text("chassis_asset_tag") or ""
    if tag == _AZURE_TAG:
        yield "platform.cloud", "azure"
        return
    found = [cloud for word, cloud in _CLOUDS if word in f"{names} {tag}"]
    yield "platform.cloud", found[0] if found else ""


PARSER = Parser(
    name="platform",
    declares=("platform.",),
    reads=(
        *(
            CPUID,
            DETECT_VIRT,
            HOSTNAMECTL,
            DMI,
            SYSINFO,
            DEVICE_TREE + "*",
            CLOUD_ID,
            XEN_TYPE,
            XEN_ROLE,
            XEN_FEATURES,
        ),
        *(PROC_NAMES, PCI_TREE, PCI_LIST, LOG, STATUS, cpuinfo.CAPTURE, *lscpu_output.CAPTURES),
    ),
    parse=_parse,
)
