"""Predict what of the silicon a KVM guest with QEMU's host model would get: never a verdict.

For a recording that holds nothing but CPUID. Where KVM or QEMU were asked on the machine, their own
answers stand (``kvm.cpuid.…``, ``qemu.host.…``), and a machine's verdict never rests on this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from uplift.catalog.kvm_exposure import Exposure, Since
from uplift.facts.model import Facts
from uplift.resolve.predicate import version_key

NEWEST = ""  #: no version given: that of the newest sources that the table was derived from


#: What guests need against speculation attacks. Every distribution backported KVM's and QEMU's part
#: within days, so that a version number says nothing; a host with the microcode was updated.
MITIGATIONS = frozenset(
    {
        *("spec-ctrl", "stibp", "ssbd", "md-clear", "arch-capabilities"),
        *("ibpb", "virt-ssbd", "amd-ssbd"),
    }
)


@dataclass(frozen=True)
class Prediction:
    """Whether a bit that the silicon has is expected in the guest, and why."""

    offered: bool
    why: str
    property: str = ""


@dataclass(frozen=True)
class Host:
    """What decides beside the bit itself.

    :param vendor: ``intel`` or ``amd``: whose module KVM loads (Hygon's CPUs use AMD's, Zhaoxin's
        Intel's).
    :param ospke: whether the kernel uses protection keys; None where nobody knows.
    :param kernel: version of Linux; :data:`NEWEST` for the table's newest.
    :param nested: the module's parameter; None for the version's default.
    """

    vendor: str
    signature: tuple[int, int, int]
    kernel: str
    qemu: str
    nested: bool | None
    ospke: bool | None


def predict_guest(
    facts: Facts,
    exposures: Iterable[Exposure],
    kernel: str = NEWEST,
    qemu: str = NEWEST,
    nested: bool | None = None,
) -> Mapping[str, Prediction]:
    """Predict the fate of every bit that the recorded CPUID has set and that the table knows.

    :param facts: with CPUID of the silicon; of others only KVM's parameter ``nested`` is looked at.
    :param nested: whether KVM nests; None for what ``facts`` tell, else the version's default.
    :return: ``cpuid.7.0.edx.22`` to a prediction; empty where no CPUID was recorded.
    """
    host = _host(facts, kernel, qemu, nested)
    if host is None:
        return {}
    predicted: dict[str, Prediction] = {}
    for exposure in exposures:
        word = facts.value(exposure.fact)
        if not isinstance(word, int) or not word >> exposure.bit & 1 or _repeats(exposure):
            continue
        predicted[f"{exposure.fact}.{exposure.bit}"] = _predict(exposure, host)
    return _without_dependents(predicted)


def host_of(
    facts: Facts, kernel: str, qemu: str = NEWEST, nested: bool | None = None
) -> Host | None:
    """Return what of ``facts`` decides beside the bits; None where no CPUID was recorded."""
    return _host(facts, kernel, qemu, nested)


class Answer(NamedTuple):
    """Whether a bit that the silicon has is offered: None where nobody knows, and why not."""

    offered: bool | None
    why: str


def kvm_answer(exposure: Exposure, host: Host) -> Answer:
    """Say whether this version of KVM offers a bit that the silicon has."""
    obstacle = _in_kvm(exposure, host)
    if obstacle is None and exposure.property not in MITIGATIONS:
        since = exposure.since.get(host.vendor)
        if since is not None and is_between(host.kernel, since):
            return Answer(None, unread("Linux", host.kernel, since))
    return conditions_answer(exposure, host) if obstacle is None else Answer(False, obstacle)


def conditions_answer(exposure: Exposure, host: Host) -> Answer:
    """Say whether a bit that this KVM knows is withheld by a default of its modules."""
    if exposure.property == "pku" and host.ospke is None:
        return Answer(None, "whether the host's kernel uses protection keys (OSPKE) is not known")
    obstacle = _in_condition(exposure, host)
    return Answer(obstacle is None, obstacle or "KVM offers it")


def may_set(exposure: Exposure, host: Host) -> bool:
    """Say whether KVM's module sets the bit by itself under some condition."""
    return any(verb == "set" and condition for verb, condition in _changes(exposure, host))


def qemu_adds(exposure: Exposure, host: Host) -> bool:
    """Say whether QEMU gives the guest the bit without KVM's word."""
    return _added(exposure, host)


def qemu_leaves_out(exposure: Exposure) -> str:
    """Say why ``-cpu host`` leaves out a property that QEMU knows; empty if it does not."""
    newest = Host("", (0, 0, 0), NEWEST, NEWEST, None, False)
    return _in_qemu(exposure, newest) or ""


def is_between(version: str, since: Since) -> bool:
    """Say whether ``version`` lies between the two that were read."""
    if version == NEWEST or not since.without or not since.version:
        return False
    series = version_key(version)[:2]
    return version_key(since.without)[:2] < series < version_key(since.version)[:2]


def unread(project: str, version: str, since: Since) -> str:
    """Say why nobody knows: the sources of this version were not read."""
    return (
        f"{project} {since.without} lacks it, {since.version} has it, and nobody read "
        f"{project} {version}"
    )


def _host(facts: Facts, kernel: str, qemu: str, nested: bool | None) -> Host | None:
    vendor = facts.value("cpuid.vendor")
    numbers = [facts.value(f"cpuid.{name}") for name in ("family", "model", "stepping")]
    if not isinstance(vendor, str) or None in numbers:
        return None
    family, model, stepping = (int(str(number)) for number in numbers)
    module = "amd" if vendor in ("AuthenticAMD", "HygonGenuine") else "intel"
    word = facts.value("cpuid.7.0.ecx")
    ospke = isinstance(word, int) and bool(word >> 4 & 1)
    if nested is None:
        nested = _recorded_nested(facts, module)
    return Host(module, (family, model, stepping), kernel, qemu, nested, ospke)


def _recorded_nested(facts: Facts, module: str) -> bool | None:
    parameter = facts.value(f"kvm.parameter.kvm_{module}.nested")
    return None if parameter is None else parameter in ("1", "Y")


def _repeats(exposure: Exposure) -> bool:
    """Leaf 0x80000001's edx repeats leaf 1's bits; QEMU copies them without a property."""
    return exposure.fact == "cpuid.80000001.0.edx" and not exposure.property


def _predict(exposure: Exposure, host: Host) -> Prediction:
    obstacle = _in_qemu(exposure, host)
    if obstacle is None and not _added(exposure, host):
        obstacle = _in_kvm(exposure, host) or _in_condition(exposure, host)
    return Prediction(obstacle is None, obstacle or "KVM and QEMU pass it on", exposure.property)


def _in_qemu(exposure: Exposure, host: Host) -> str | None:
    if not exposure.property:
        return "QEMU has no property for it"
    if _lacks(host.qemu, exposure.qemu_since) and exposure.property not in MITIGATIONS:
        return f"QEMU {host.qemu} has no property for it; {exposure.qemu_since.version} has"
    if exposure.qemu_rule == "unmigratable":
        return "QEMU leaves out what cannot be migrated"
    if exposure.qemu_rule == "no-autoenable":
        return "QEMU's host model does not switch it on by itself"
    return None


def _lacks(version: str, since: Since) -> bool:
    """Whether ``version`` is known to lack it; between the two versions read nobody knows."""
    if version == NEWEST or not since.without:
        return False
    return version_key(version)[:2] <= version_key(since.without)[:2]


#: QEMU's own conditions that hold by default, in the source's words.
_QEMU_DEFAULTS = ("kvm_irqchip_in_kernel()",)


def _added(exposure: Exposure, host: Host) -> bool:
    if not exposure.qemu_adds or _lacks(host.qemu, exposure.adds_since):
        return False
    if not exposure.qemu_adds.startswith("if "):
        return True
    return exposure.qemu_adds[3:].startswith(_QEMU_DEFAULTS)


def _in_kvm(exposure: Exposure, host: Host) -> str | None:
    if exposure.kvm == "":
        return "KVM does not expose it"
    if exposure.kvm == "runtime":
        return "KVM never advertises it: it follows the guest's own settings"
    since = exposure.since[host.vendor]
    if not since.version:
        return f"KVM does not expose it on {host.vendor}"
    if _lacks(host.kernel, since) and exposure.property not in MITIGATIONS:
        return f"KVM of Linux {host.kernel} does not expose it; {since.version} does"
    changes = _changes(exposure, host)
    if exposure.kvm == "vendor" and not any(verb == "set" for verb, _ in changes):
        return f"KVM does not expose it on {host.vendor}"
    return None


def _changes(exposure: Exposure, host: Host) -> list[tuple[str, str]]:
    found = []
    for change in exposure.kvm_when:
        vendor, _, rest = change.partition(": ")
        verb, _, condition = rest.partition(" if ")
        if vendor == host.vendor:
            found.append((verb, condition))
    return found


#: Ice Lake-X, -D, Sapphire, Emerald and Granite Rapids, Diamond Rapids: where PEBS can be
#: virtualized (Linux 7.2.8 arch/x86/events/intel/core.c, pebs_ept; asm/intel-family.h).
_PEBS_MODELS = frozenset({0x6A, 0x6C, 0x8F, 0xCF, 0xAD, 0xAE})
_DIAMOND_RAPIDS = 19
#: Since Linux 4.20 (1e58e5e59148, "KVM: VMX: enable nested virtualization by default").
_NESTED_ON_INTEL = Since("4.19", "4.20")


def _in_condition(exposure: Exposure, host: Host) -> str | None:
    """Judge the vendor modules' conditions, which are C, by the few that default to no."""
    for verb, condition in _changes(exposure, host):
        if verb == "clear" and not condition:
            return f"KVM clears it on {host.vendor}"
        if verb == "set" and exposure.kvm == "vendor":
            why = next(_unmet(condition, host), None)
            if why:
                return why
    if exposure.property == "pku" and not host.ospke:
        return "KVM offers PKU only where the host's kernel uses it (OSPKE)"
    if exposure.property in ("hle", "rtm") and _tsx_broken(host):
        return "QEMU hides TSX on CPUs where it is broken (host_tsx_broken)"
    return None


def _unmet(condition: str, host: Host) -> Iterator[str]:
    if "nested" in condition and not _nested(host):
        told = host.nested is not None
        yield f"nested virtualization is off {'here' if told else 'by default before Linux 4.20'}"
    if "vmx_pebs_supported" in condition and not _pebs(host):
        yield "KVM offers PEBS only from Ice Lake-SP on"
    if "vmx_pt_mode_is_host_guest" in condition:
        yield "KVM offers processor trace only with kvm_intel.pt_mode=1"


def _nested(host: Host) -> bool:
    if host.nested is not None:
        return host.nested
    return host.vendor == "amd" or not _lacks(host.kernel, _NESTED_ON_INTEL)


def _pebs(host: Host) -> bool:
    family, model, _ = host.signature
    return family == _DIAMOND_RAPIDS or (family == 6 and model in _PEBS_MODELS)


def _tsx_broken(host: Host) -> bool:
    """Haswell before stepping 4 of its server part (QEMU target/i386/kvm/kvm.c)."""
    family, model, stepping = host.signature
    haswell = model in (60, 69, 70) or (model == 63 and stepping < 4)
    return host.vendor == "intel" and family == 6 and haswell


#: QEMU takes what depends along with what it depends on (cpu.c, feature_dependencies).
_DEPENDENT = {
    "svm": "cpuid.8000000a.0.edx.",
    "sgx": "cpuid.12.",
    "intel-pt": "cpuid.14.",
    "avx10": "cpuid.24.",
}


def _without_dependents(predicted: dict[str, Prediction]) -> dict[str, Prediction]:
    stopped = {p.property for p in predicted.values() if not p.offered}
    for name in stopped & _DEPENDENT.keys():
        for bit, prediction in predicted.items():
            if bit.startswith(_DEPENDENT[name]) and prediction.offered:
                why = f"it depends on {name}, which is not offered"
                predicted[bit] = Prediction(False, why, prediction.property)
    return predicted
