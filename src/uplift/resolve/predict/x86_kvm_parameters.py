"""What KVM's modules on x86 are loaded with where nobody sets a parameter."""

from __future__ import annotations

from uplift.catalog.kvm_parameters import DefaultParameter, load_kvm_parameters
from uplift.facts.model import Fact, Missing, PartialRegister
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.answers import Answer, every
from uplift.resolve.predict.versions import between, table_of

_PARAMETER = "kvm.parameter."
#: What a parameter reads that this version of Linux, or the module of another vendor, has not.
NO_PARAMETER = "none"
_OFF = {"Y": "N", "1": "0", "zen4": "N"}
_AMD = ("AuthenticAMD", "HygonGenuine")
_X2AVIC = "cpuid.8000000a.0.edx.18"
_ZEN5_FAMILY = 0x1A
_ZEN4_FAMILY = 0x19
#: Models of family 0x19 that are Zen 4: bsp_init_amd in arch/x86/kernel/cpu/amd.c of Linux 7.2.6.
_ZEN4_MODELS = (range(0x10, 0x20), range(0x60, 0xB0))


def predict_parameter(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``kvm.parameter.<module>.<name>``; None for those whose default no table tells."""
    parameter = name.removeprefix(_PARAMETER)
    defaults = load_kvm_parameters().get(parameter)
    if defaults is None:
        return None
    module = parameter.partition(".")[0]
    vendor = facts.chip.get("cpuid.vendor")
    kernel = facts.get("kernel.release")
    if not isinstance(vendor, Fact) or not isinstance(kernel, Fact):
        return Missing(name, "the chip's vendor or the kernel's version is not known")
    if (module == "kvm_amd") is not (vendor.value in _AMD):
        how = f"{module} is not loaded on {vendor.value}"
        return Prediction(NO_PARAMETER, (vendor.capture,), how)
    inputs = (kernel.capture, table_of("linux", "kvm-parameters"))
    return _by_version(facts, name, defaults, str(kernel.value), inputs)


def _by_version(
    facts: PlanFacts,
    name: str,
    defaults: tuple[DefaultParameter, ...],
    version: str,
    inputs: tuple[str, ...],
) -> Prediction | Missing:
    for default in defaults:
        has = default.since.has(version)
        if has is None:
            return Missing(name, between("Linux", default.since, version), inputs)
        if has:
            return _on_chip(facts, name, default, version, inputs)
    return Prediction(NO_PARAMETER, inputs, f"KVM of Linux {version} has no such parameter")


def _on_chip(
    facts: PlanFacts, name: str, default: DefaultParameter, version: str, inputs: tuple[str, ...]
) -> Prediction | Missing:
    on = _can_be_on(facts, default)
    if isinstance(on, str):
        return Missing(name, on, inputs)
    value = "Y" if default.default == "zen4" else default.default
    if not on:
        value = _OFF.get(default.default, default.default)
    how = f"KVM's default as of Linux {version}, on what the chip has"
    return Prediction(value, (*inputs, "probe:cpuid"), how)


def _can_be_on(facts: PlanFacts, default: DefaultParameter) -> Answer:
    asked = [_bit(facts, default.bit)] if default.bit else []
    if default.default == "zen4":
        asked += [_bit(facts, _X2AVIC), _is_zen4_or_later(facts)]
    return every(asked)


def _bit(facts: PlanFacts, place: str) -> Answer:
    register, _, bit = place.rpartition(".")
    value = facts.chip.value(register)
    if not isinstance(value, int):
        return f"{register} of this chip is not known"
    if isinstance(value, PartialRegister) and value.unknown >> int(bit) & 1:
        return value.why
    return bool(value >> int(bit) & 1)


def _is_zen4_or_later(facts: PlanFacts) -> Answer:
    family, model = facts.chip.value("cpuid.family"), facts.chip.value("cpuid.model")
    if family is None or model is None:
        return "the chip's family and model are not known"
    if int(str(family)) != _ZEN4_FAMILY:
        return int(str(family)) >= _ZEN5_FAMILY
    return any(int(str(model)) in models for models in _ZEN4_MODELS)
