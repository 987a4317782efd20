"""What a KVM guest on x86 is expected to get: KVM's bits, QEMU's properties, the CPU models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from uplift.catalog.kvm_exposure import Exposure, load_exposures
from uplift.catalog.releases import AtLeast
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve import kvm_model
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predicate import version_key
from uplift.resolve.predict.versions import by_version, table_of
from uplift.resolve.predict.x86_flags import cleared

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
    chip = _left(facts, facts.chip.get(name.removeprefix("kvm.")))
    if host is None or not isinstance(chip, Fact) or not isinstance(chip.value, int):
        return Missing(name, "no CPUID of this chip is known")
    exposures = _of_register(name.removeprefix("kvm."))
    if not exposures:
        return Missing(name, "no source read here says what KVM makes of this leaf")
    mask = facts.release.get(f"image.kvm.{host.vendor}.{name.removeprefix(_KVM)}")
    if isinstance(mask, Fact) and isinstance(mask.value, int):
        made: Prediction | Missing = _by_image(chip, mask, exposures, host)
    else:
        made = _by_version(facts, name, chip, exposures, host)
    return _with_avx10(facts, chip.value, made, host) if name == _AVX10 else made


_AVX10 = "kvm.cpuid.24.0.ebx"
_AVX10_FIELD = 0xFF  #: the version of AVX10, a number beside bits
#: Since which Linux KVM passes version 2 on: cpuid.c of 6.19.6 caps it at 1, of 7.0 at 2.
_AVX10_2_SINCE = "7.0"


def _with_avx10(
    facts: PlanFacts, chip: int, made: Prediction | Missing, host: kvm_model.Host
) -> Prediction | Missing:
    """Add the version of AVX10, which KVM caps, where KVM passes AVX10 on."""
    offers = facts.get("kvm.cpuid.7.1.edx")
    if isinstance(made, Missing) or not isinstance(offers, Fact):
        return made
    assert isinstance(offers.value, int) and isinstance(made.value, int)
    if isinstance(offers.value, PartialRegister) and offers.value.unknown >> 19 & 1:
        unknown = getattr(made.value, "unknown", 0) | _AVX10_FIELD
        return made._replace(value=PartialRegister(made.value, unknown, offers.value.why))
    newest = 2 if version_key(host.kernel) >= version_key(_AVX10_2_SINCE) else 1
    version = min(chip & _AVX10_FIELD, newest) if offers.value >> 19 & 1 else 0
    return made._replace(value=_with_bits(made.value, version))


def _left(facts: PlanFacts, chip: Fact | Missing) -> Fact | Missing:
    """Return a register of the chip as the kernel leaves it: without what it clears."""
    if not isinstance(chip, Fact) or not isinstance(chip.value, int):
        return chip
    gone = cleared(facts, chip.name)
    mask = sum(1 << bit for bit in gone)
    open_ = sum(1 << bit for bit, why in gone.items() if why) & chip.value
    why = next((why for why in gone.values() if why), "")
    unknown = open_ | (chip.value.unknown if isinstance(chip.value, PartialRegister) else 0)
    left = chip.value & ~mask
    return chip._replace(value=PartialRegister(left, unknown, why) if open_ else left)


def _by_image(
    chip: Fact, mask: Fact, exposures: Sequence[Exposure], host: kvm_model.Host
) -> Prediction:
    """Take what the image's KVM lets through, less what its modules withhold by default."""
    assert isinstance(chip.value, int) and isinstance(mask.value, int)
    known = sum(1 << exposure.bit for exposure in exposures)
    lets = mask.value

    def answer(exposure: Exposure) -> kvm_model.Answer:
        if not lets >> exposure.bit & 1:
            return kvm_model.Answer(False, "the image's KVM does not let it through")
        return kvm_model.conditions_answer(exposure, host)

    offered = _register(chip.value, exposures, host, answer)
    unnamed = chip.value & lets & ~known  # bits that the image lets through and no table names
    how = "what the kernel image's KVM passes on of the chip's bits"
    return Prediction(_with_bits(offered, unnamed), (chip.capture, mask.capture), how)


def _by_version(
    facts: PlanFacts, name: str, chip: Fact, exposures: Sequence[Exposure], host: kvm_model.Host
) -> Prediction | Missing:
    assert isinstance(chip.value, int)
    if not host.kernel:
        return Missing(name, "neither the kernel's image nor its version is known")
    value = _register(chip.value, exposures, host, lambda one: kvm_model.kvm_answer(one, host))
    kernel = facts.get("kernel.release")
    table = table_of("linux", "kvm-exposure")
    inputs = (chip.capture, table, *((kernel.capture,) if isinstance(kernel, Fact) else ()))
    how = f"what Linux {host.kernel}'s KVM passes on of the chip's bits"
    return Prediction(value, inputs, how)


def _register(
    chip: int,
    exposures: Sequence[Exposure],
    host: kvm_model.Host,
    answer: Callable[[Exposure], kvm_model.Answer],
) -> int:
    """Return a register of KVM's: its bits as ``answer`` says, for what the host has."""
    offered, unknown, why = 0, 0, ""
    for exposure in exposures:
        bit = 1 << exposure.bit
        found = answer(exposure)
        seen = chip & bit or (isinstance(chip, PartialRegister) and chip.unknown & bit and chip.why)
        if not (seen or exposure.kvm in ("emulated", "set") or _synthesized(exposure, host)):
            if not (found.offered and kvm_model.may_set(exposure, host)):
                continue
            found = kvm_model.Answer(None, "KVM sets it by what else the host has")
        if isinstance(chip, PartialRegister) and chip.unknown & bit and found.offered:
            found = kvm_model.Answer(None, chip.why)
        offered |= bit if found.offered else 0
        unknown |= bit if found.offered is None else 0
        why = why or (found.why if found.offered is None else "")
    return PartialRegister(offered, unknown, why) if unknown else offered


def _with_bits(register: int, more: int) -> int:
    if isinstance(register, PartialRegister):
        return PartialRegister(register | more, register.unknown, register.why)
    return register | more


#: Bits that Linux sets on every AMD processor, whatever CPUID says (init_amd in
#: arch/x86/kernel/cpu/amd.c of Linux 7.1.13), and KVM takes from Linux.
_LINUX_SETS = {("cpuid.80000021.0.eax", 2): "amd"}


def _synthesized(exposure: Exposure, host: kvm_model.Host) -> bool:
    return _LINUX_SETS.get((exposure.fact, exposure.bit)) == host.vendor


def _host(facts: PlanFacts) -> kvm_model.Host | None:
    kernel = facts.value("kernel.release")
    qemu = facts.release.value("qemu.version")
    host = kvm_model.host_of(facts.chip, str(kernel or ""), str(qemu or ""))
    return replace(host, ospke=_uses_keys(facts)) if host else None


def _uses_keys(facts: PlanFacts) -> bool | None:
    """Say whether the kernel uses protection keys: CPUID tells that of a running machine only."""
    flags = facts.value("cpuinfo.flags")
    if isinstance(flags, PartialWords) and flags.open("ospke"):
        return None
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
    wanted = _dashed(name.removeprefix(_HOST))
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
    version = facts.release.value("qemu.version")
    if exposure.qemu_adds and isinstance(version, AtLeast):
        return Missing(name, version.why, known.inputs)  # a later one may give it by itself
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
        names = frozenset(_dashed(name.removeprefix("qemu.max.")) for name in recorded)
        return Prediction(names, (first.capture,), "the properties that QEMU lists")
    told = _of_version(facts, "qemu.host.", "property", "qemu.properties")
    if isinstance(told, Missing) or not isinstance(told.value, PartialWords):
        return told
    spelled = (_dashed(name) for name in told.value)
    why = {_dashed(name): reason for name, reason in told.value.why.items()}
    return told._replace(value=PartialWords(spelled, why, told.value.otherwise))


def _dashed(name: str) -> str:
    """Return the one spelling of a property's name; QEMU takes several."""
    return name.replace("_", "-").replace(".", "-")


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
            yield _dashed(exposure.property), exposure
