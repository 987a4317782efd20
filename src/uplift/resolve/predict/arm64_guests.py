"""What a KVM guest on arm64 is expected to get with ``-cpu host``: the fields that KVM passes on.

A guest's kernel takes its HWCAP words from the virtual processor's ID registers. These have the
fields that the host's kernel keeps in its sanitised copies, less what KVM hides; whether the
host's own kernel has a word for a field does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uplift.catalog.kvm_guests import GuestState, arm64_fields
from uplift.facts.hwcap_tables import Condition, Rule, arm64_rules
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.answers import Answer, every, kernel_version, some, word_in, word_of
from uplift.resolve.predict.versions import table_of

_BY_DEFAULT = "by default"
#: The words that the host's kernel must report for a condition: arch/arm64/include/asm/kvm_host.h
#: and cpufeature.h of Linux 7.2.13. What no word tells is an erratum of a few cores, or follows
#: from the field itself.
_CONDITIONS = {
    "vcpu_has_sve(vcpu)": ("sve",),
    "vcpu_has_ptrauth(vcpu)": ("paca", "pacg"),
    "kvm_has_mte(vcpu->kvm)": ("mte",),
    "system_supports_poe()": ("poe",),
    "cpus_have_final_cap(ARM64_HAS_WFXT)": (),
    "!has_broken_cntvoff()": (),
}
_PROPERTIES = {"qemu.host.pauth": ("paca", "pacg"), "qemu.host.sve": ("sve",)}


@dataclass(frozen=True)
class _Host:
    """The host that the guest runs on.

    :param inputs: gathers the captures that were asked.
    :param asked: whether QEMU is told to give what it does not give by default.
    """

    facts: PlanFacts
    kernel: str
    inputs: dict[str, None]
    asked: bool


def predict_words(facts: PlanFacts, name: str) -> Prediction | Missing:
    """Predict ``kvm.words``: HWCAP words of a guest that has whatever QEMU gives unasked.

    ``kvm.asked_words`` has also what ``-machine virt,mte=on`` gives.
    """
    chip = facts.chip.get("arm64.words")
    if not isinstance(chip, Fact) or not isinstance(chip.value, frozenset):
        return Missing(name, "what the core has is not known")
    kernel = kernel_version(facts)
    if isinstance(kernel, Missing):
        return Missing(name, "neither the kernel's image nor its version is known")
    inputs = dict.fromkeys((chip.capture, kernel.capture, table_of("linux", "kvm-arm64")))
    host = _Host(facts, str(kernel.value), inputs, name == "kvm.asked_words")
    words: set[str] = set()
    why: dict[str, str] = {}
    for word, rule in arm64_rules().items():
        has = word_in(chip.value, word)
        answer = every((has, _passed(rule, host))) if has else False
        if answer is True:
            words.add(word)
        elif answer:
            why[word] = str(answer)
    how = f"what KVM of Linux {kernel.value} passes on of the chip's ID registers"
    return Prediction(PartialWords(words, why), tuple(inputs), how)


def predict_host_property(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``qemu.host.pauth`` and ``qemu.host.sve``: QEMU has them on where KVM gave them."""
    needed = _PROPERTIES.get(name)
    if needed is None:
        return None
    inputs: dict[str, None] = {}
    answer = every(word_of(facts, "kvm.words", word, inputs) for word in needed)
    if isinstance(answer, str):
        return Missing(name, answer, tuple(inputs))
    return Prediction(answer, tuple(inputs), "on where KVM gives it to the virtual processor")


def _passed(rule: Rule, host: _Host) -> Answer:
    groups = [group for group in rule if all(_may_hold(c, host) for c in group)] or rule
    return some(every(_field(c, host) for c in group) for group in groups)


def _may_hold(condition: Condition, host: _Host) -> bool:
    """Whether the chip's register, where it was recorded whole, allows for the condition."""
    for prefix in ("arm64.raw.", "arm64."):
        value = host.facts.chip.value(f"{prefix}{condition.register}")
        if isinstance(value, int) and not isinstance(value, PartialRegister):
            return condition.holds(value)
    return True


def _field(condition: Condition, host: _Host) -> Answer:
    history = arm64_fields().get((condition.register, condition.low))
    if history is None:
        return f"no source read here says what KVM makes of {condition.register}"
    states = history.possible(host.kernel)
    answers = {_state(state, host) for state in states}
    if len(answers) == 1:
        return answers.pop()
    newest = states[0].since
    return (
        f"KVM came to pass it on or to hide it between Linux {newest.without} and "
        f"{newest.version}, and nobody read {host.kernel}"
    )


def _state(state: GuestState, host: _Host) -> Answer:
    if not state.passed:
        return False
    return every(_conditions(state, host))


def _conditions(state: GuestState, host: _Host) -> Iterator[Answer]:
    for condition in filter(None, state.when.split(" && ")):
        if condition not in _CONDITIONS:
            yield f"nobody said what follows from {condition}"
        for word in _CONDITIONS.get(condition, ()):
            yield word_of(host.facts, "hwcap.words", word, host.inputs)
    if state.qemu:
        yield _asked(state, host)


def _asked(state: GuestState, host: _Host) -> Answer:
    """Say whether the release's QEMU asks KVM for it, by default or when it is told to."""
    if state.qemu != _BY_DEFAULT and not host.asked:
        return False
    if not state.qemu_since.without:
        return True  # the oldest QEMU that was read
    qemu = host.facts.release.get("qemu.version")
    if isinstance(qemu, Missing):
        return "which QEMU runs the guest is not known"
    host.inputs[qemu.capture] = None
    has = state.qemu_since.has(str(qemu.value))
    return f"nobody read whether QEMU {qemu.value} asks KVM for it" if has is None else has
