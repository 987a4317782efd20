"""What a RISC-V kernel is expected to report of a hart."""

from __future__ import annotations

import re

from uplift.catalog.kvm_guests import Extension, GuestState, riscv_extensions
from uplift.facts.model import Fact, Missing, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.answers import Answer, every, kernel_version, word_of
from uplift.resolve.predict.versions import by_version, table_of

#: Options without which Linux reports none of these: arch/riscv/kernel/cpufeature.c and
#: arch/riscv/Kconfig of Linux 7.1.13. Of Zicbom, Zicboz and Zicbop it asks a block size only: their
#: options say what the kernel itself uses.
_OPTIONS = {
    "v": "CONFIG_RISCV_ISA_V",
    "zicfilp": "CONFIG_RISCV_USER_CFI",
    "zicfiss": "CONFIG_RISCV_USER_CFI",
    "supm": "CONFIG_RISCV_ISA_SUPM",
}
_SINGLE = frozenset("imafdcqhv")  #: one-letter extensions: every kernel prints those it runs with


def predict_isa(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``riscv.isa``: the hart's extensions that the kernel knows and was built for."""
    if name != "riscv.isa":
        return None
    chip = facts.chip.get(name)
    if not isinstance(chip, Fact) or not isinstance(chip.value, frozenset):
        return Missing(name, "what the hart has is not known")
    known = _known(facts)
    if isinstance(known, Missing):
        return known
    assert isinstance(known.value, frozenset)
    words: set[str] = set()
    why: dict[str, str] = {}
    inputs: dict[str, None] = dict.fromkeys((*known.inputs, chip.capture))
    for word in chip.value:
        reason = known.value.open(word) if isinstance(known.value, PartialWords) else ""
        if word in _SINGLE or word in known.value:
            built = _built(facts, word, inputs)
            if built is True:
                words.add(word)
            elif built is not False:
                why[word] = built
        elif reason:
            why[word] = reason
    return Prediction(PartialWords(words, why), tuple(inputs), known.how)


def _known(facts: PlanFacts) -> Prediction | Missing:
    image = facts.release.get("image.riscv_isa")
    if isinstance(image, Fact):
        return Prediction(image.value, (image.capture,), "the extensions in the kernel's image")
    told = by_version(facts, "linux", "riscv-isa", "riscv64", "kernel.release", "image.riscv_isa")
    if isinstance(told, Missing):
        return Missing("riscv.isa", "neither the kernel's image nor its version is known")
    return told


def _built(facts: PlanFacts, word: str, inputs: dict[str, None]) -> bool | str:
    option = _OPTIONS.get(word, "")
    return _configured(facts, option, inputs) if option else True


def _configured(facts: PlanFacts, option: str, inputs: dict[str, None]) -> bool | str:
    found = facts.release.get(f"kernel.config.{option}")
    if isinstance(found, Missing):
        return f"whether the kernel was built with {option} is not known"
    inputs[found.capture] = None
    return found.value == "y"


def predict_kvm(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``kvm.available`` and ``kvm.isa``: what a guest gets of the host's extensions."""
    if name == "kvm.available":
        return _available(facts)
    return _guest_isa(facts, name) if name == "kvm.isa" else None


def _available(facts: PlanFacts) -> Prediction | Missing:
    built = facts.release.get("kernel.config.CONFIG_KVM")
    inputs: dict[str, None] = {}
    hypervisor = word_of(facts, "riscv.isa", "h", inputs)
    if isinstance(built, Missing):
        return Missing("kvm.available", "whether the kernel was built with KVM is not known")
    if isinstance(hypervisor, str):
        return Missing("kvm.available", hypervisor, tuple(inputs))
    value = hypervisor and built.value in ("y", "m")
    return Prediction(value, (*inputs, built.capture), "a hart with H, and CONFIG_KVM")


def _guest_isa(facts: PlanFacts, name: str) -> Prediction | Missing:
    kernel, qemu = kernel_version(facts), facts.release.get("qemu.version")
    if isinstance(kernel, Missing):
        return Missing(name, "neither the kernel's image nor its version is known")
    inputs = dict.fromkeys((kernel.capture, table_of("linux", "kvm-riscv")))
    if isinstance(qemu, Fact):
        inputs[qemu.capture] = None
    words: set[str] = set()
    why: dict[str, str] = {}
    for word, extension in riscv_extensions().items():
        has = word_of(facts, "riscv.isa", extension.host, inputs)
        told = _told(extension, qemu)
        passed = _passed(extension, str(kernel.value), facts, inputs) if has else False
        answer = every((has, told, passed))
        if answer is True:
            words.add(word)
        elif answer:
            why[word] = str(answer)
    how = f"what KVM of Linux {kernel.value} passes on, and QEMU tells of, of the host's extensions"
    return Prediction(PartialWords(words, why), tuple(inputs), how)


def _told(extension: Extension, qemu: Fact | Missing) -> Answer:
    """Say whether the release's QEMU writes the extension into the guest's device tree."""
    if isinstance(qemu, Missing):
        return "which QEMU runs the guest is not known"
    if not extension.qemu_since.version:
        return False  # no QEMU that was read
    has = extension.qemu_since.has(str(qemu.value))
    return f"nobody read whether QEMU {qemu.value} knows it" if has is None else has


def _passed(extension: Extension, kernel: str, facts: PlanFacts, inputs: dict[str, None]) -> Answer:
    states = extension.history.possible(kernel)
    answers = {holds(state, facts, inputs) for state in states}
    if len(answers) == 1:
        return answers.pop()
    newest = states[0].since
    return (
        f"KVM came to know it between Linux {newest.without} and {newest.version}, "
        f"and nobody read {kernel}"
    )


_VECTORS_ALLOWED = "riscv_v_vstate_ctrl_user_allowed()"
_UPDATES_ACCESSED = "arch_has_hw_pte_young()"
_HOST_HAS = re.compile(r"!kvm_riscv_isa_check_host\((\w+)\)|.*\bRISCV_ISA_EXT_(\w+)\)")


def holds(state: GuestState, facts: PlanFacts, inputs: dict[str, None]) -> Answer:
    """Say whether KVM in a state passes the extension on: its conditions, not its version."""
    if not state.passed or not state.when:
        return state.passed
    told = _HOST_HAS.fullmatch(state.when)
    if told:
        return word_of(facts, "riscv.isa", (told[1] or told[2]).lower(), inputs)
    if state.when == _VECTORS_ALLOWED:
        return _configured(facts, "CONFIG_RISCV_ISA_V_DEFAULT_ENABLE", inputs)
    if state.when == _UPDATES_ACCESSED:
        return word_of(facts, "riscv.isa", "svadu", inputs)
    return f"nobody said what follows from {state.when}"
