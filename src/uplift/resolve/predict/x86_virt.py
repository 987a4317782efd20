"""What a KVM guest on x86 is expected to get: KVM's bits, QEMU's properties, the CPU models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from uplift.catalog.kvm_exposure import Exposure, load_exposures
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve import kvm_model
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.versions import by_version, table_of

_KVM = "kvm.cpuid."
_HOST = "qemu.host."
#: KVM's modules, the CPUID bit that each one needs, and the option that builds it.
_MODULES = {
    "intel": ("kvm_intel", "cpuid.1.0.ecx", 5, "CONFIG_KVM_INTEL"),
    "amd": ("kvm_amd", "cpuid.80000001.0.ecx", 2, "CONFIG_KVM_AMD"),
}


def predict_kvm(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``kvm.available`` and a register of ``kvm.cpuid.``."""
    if name == "kvm.available":
        return _available(facts)
    if not name.startswith(_KVM):
        return None
    host = _host(facts)
    chip = facts.chip.get(name.removeprefix("kvm."))
    if host is None or not isinstance(chip, Fact) or not isinstance(chip.value, int):
        return Missing(name, "no CPUID of this chip is known")
    exposures = _of_register(name.removeprefix("kvm."))
    if not exposures:
        return Missing(name, "no source read here says what KVM makes of this leaf")
    mask = facts.release.get(f"image.kvm.{host.vendor}.{name.removeprefix(_KVM)}")
    if isinstance(mask, Fact) and isinstance(mask.value, int):
        return _by_image(chip, mask, exposures, host)
    return _by_version(facts, name, chip, exposures, host)


def _by_image(
    chip: Fact, mask: Fact, exposures: Sequence[Exposure], host: kvm_model.Host
) -> Prediction:
    """Take what the image's KVM lets through, less what its modules withhold by default."""
    assert isinstance(chip.value, int) and isinstance(mask.value, int)
    offered = chip.value & mask.value
    for exposure in exposures:
        bit = 1 << exposure.bit
        if exposure.kvm in ("emulated", "set"):
            offered |= mask.value & bit
        elif offered & bit and not kvm_model.conditions_answer(exposure, host).offered:
            offered &= ~bit
    how = "what the kernel image's KVM passes on of the chip's bits"
    return Prediction(offered, (chip.capture, mask.capture), how)


def _by_version(
    facts: PlanFacts, name: str, chip: Fact, exposures: Sequence[Exposure], host: kvm_model.Host
) -> Prediction | Missing:
    assert isinstance(chip.value, int)
    if not host.kernel:
        return Missing(name, "neither the kernel's image nor its version is known")
    offered, unknown, why = 0, 0, ""
    for exposure in exposures:
        bit = 1 << exposure.bit
        if not chip.value & bit and exposure.kvm not in ("emulated", "set"):
            continue
        answer = kvm_model.kvm_answer(exposure, host)
        offered |= bit if answer.offered else 0
        unknown |= bit if answer.offered is None else 0
        why = why or (answer.why if answer.offered is None else "")
    value = PartialRegister(offered, unknown, why) if unknown else offered
    kernel = facts.get("kernel.release")
    table = table_of("linux", "kvm-exposure")
    inputs = (chip.capture, table, *((kernel.capture,) if isinstance(kernel, Fact) else ()))
    how = f"what Linux {host.kernel}'s KVM passes on of the chip's bits"
    return Prediction(value, inputs, how)


def _host(facts: PlanFacts) -> kvm_model.Host | None:
    kernel = facts.value("kernel.release")
    qemu = facts.release.value("qemu.version")
    host = kvm_model.host_of(facts.chip, str(kernel or ""), str(qemu or ""))
    return replace(host, ospke=_uses_keys(facts)) if host else None


def _uses_keys(facts: PlanFacts) -> bool:
    """Say whether the kernel uses protection keys: CPUID tells that of a running machine only."""
    flags = facts.value("cpuinfo.flags")
    return isinstance(flags, frozenset) and "ospke" in flags


def _available(facts: PlanFacts) -> Prediction | Missing:
    """KVM is there when the chip can and the kernel was built with it: a machine may differ."""
    vendor = facts.chip.value("cpuid.vendor")
    module, register, bit, option = _MODULES[
        "amd" if vendor in ("AuthenticAMD", "HygonGenuine") else "intel"
    ]
    word, built = facts.chip.get(register), facts.release.get(f"kernel.config.{option}")
    if not isinstance(word, Fact) or not isinstance(word.value, int):
        return Missing("kvm.available", "no CPUID of this chip is known")
    if not isinstance(built, Fact):
        # every distribution's server kernel has it; a version alone does not show that
        modules = facts.release.get("image.modules")
        if not isinstance(modules, Fact) or not isinstance(modules.value, frozenset):
            return Missing("kvm.available", f"whether the kernel has {module} is not known")
        there, built = module in modules.value, modules
    else:
        there = built.value in ("y", "m")
    value = bool(word.value >> bit & 1) and there
    return Prediction(value, (word.capture, built.capture), f"the chip's bit and {module}")


def predict_qemu(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``qemu.host.<property>`` and, where only QEMU's version is known, its models."""
    if name == "qemu.models" and not isinstance(facts.release.get(name), Fact):
        return _of_version(facts, name, "cpu-model", "qemu.models")
    if not name.startswith(_HOST):
        return None
    known = facts.once("qemu.properties", lambda: _properties(facts))
    if isinstance(known, Missing):
        return known
    wanted = name.removeprefix(_HOST).replace("_", "-").replace(".", "-")
    assert isinstance(known.value, frozenset)
    open_ = known.value.open(wanted) if isinstance(known.value, PartialWords) else ""
    if wanted not in known.value and not open_:
        return Prediction(False, known.inputs, "this QEMU has no such property")
    found = _host_property(facts, name, wanted, known)
    stopped = isinstance(found, Prediction) and found.value is False
    return Missing(name, open_, known.inputs) if open_ and not stopped else found


def _host_property(
    facts: PlanFacts, name: str, wanted: str, known: Prediction
) -> Prediction | Missing:
    exposure = _by_property().get(wanted)
    host = _host(facts)
    if exposure is None or host is None:
        return Missing(name, f"no source says which CPUID bit {wanted} stands for", known.inputs)
    why = kvm_model.qemu_leaves_out(exposure)
    if why:
        return Prediction(False, known.inputs, why)
    bit = facts.chip.value(exposure.fact)
    if kvm_model.qemu_adds(exposure, host) and isinstance(bit, int) and bit >> exposure.bit & 1:
        return Prediction(True, known.inputs, "QEMU gives it without KVM's word")
    return _through_kvm(facts, name, exposure, known)


def _through_kvm(
    facts: PlanFacts, name: str, exposure: Exposure, known: Prediction
) -> Prediction | Missing:
    register = facts.get(f"kvm.{exposure.fact}")
    if not isinstance(register, Fact):
        return Missing(name, register.why, known.inputs)
    value = register.value
    if isinstance(value, PartialRegister) and value.unknown >> exposure.bit & 1:
        return Missing(name, value.why, (register.capture,))
    assert isinstance(value, int)
    how = "the property is there, and KVM's bit decides"
    return Prediction(bool(value >> exposure.bit & 1), (*known.inputs, register.capture), how)


def _properties(facts: PlanFacts) -> Prediction | Missing:
    """Return the names of QEMU's CPU properties: recorded, else by version."""
    recorded = facts.release.recorded.under("qemu.max.")
    if recorded:
        first = facts.release.recorded.get(next(iter(recorded)))
        assert isinstance(first, Fact)
        names = frozenset(name.removeprefix("qemu.max.") for name in recorded)
        return Prediction(names, (first.capture,), "the properties that QEMU lists")
    return _of_version(facts, "qemu.host.", "property", "qemu.properties")


def _of_version(facts: PlanFacts, name: str, kind: str, adjusted: str) -> Prediction | Missing:
    told = by_version(facts, "qemu", kind, "x86-64", "qemu.version", adjusted)
    if isinstance(told, Missing):
        return Missing(name, "neither QEMU's answers nor its version are known")
    return told


def predict_libvirt(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict what libvirt's CPU map knows, where only its version is told."""
    if name not in _CPU_MAP or isinstance(facts.release.get(name), Fact):
        return None
    return by_version(facts, "libvirt", _CPU_MAP[name], "x86-64", "libvirt.version", name)


_CPU_MAP = {"libvirt.map_features": "cpu-map-feature", "libvirt.map_models": "cpu-map-model"}


@cache
def _of_register(fact: str) -> tuple[Exposure, ...]:
    return tuple(exposure for exposure in load_exposures() if exposure.fact == fact)


@cache
def _by_property() -> Mapping[str, Exposure]:
    return dict(_named(load_exposures()))


def _named(exposures: tuple[Exposure, ...]) -> Iterator[tuple[str, Exposure]]:
    for exposure in reversed(exposures):
        if exposure.property:
            yield exposure.property.replace(".", "-").replace("_", "-"), exposure
