"""What a RISC-V kernel is expected to report of a hart."""

from __future__ import annotations

from uplift.facts.model import Fact, Missing, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.versions import by_version

#: Options without which Linux reports none of these: arch/riscv/kernel/cpufeature.c and
#: arch/riscv/Kconfig of Linux 7.1.13.
_OPTIONS = {
    "v": "CONFIG_RISCV_ISA_V",
    "zicbom": "CONFIG_RISCV_ISA_ZICBOM",
    "zicboz": "CONFIG_RISCV_ISA_ZICBOZ",
    "zicbop": "CONFIG_RISCV_ISA_ZICBOP",
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
    if not option:
        return True
    found = facts.release.get(f"kernel.config.{option}")
    if isinstance(found, Missing):
        return f"whether the kernel was built with {option} is not known"
    inputs[found.capture] = None
    return found.value == "y"
