"""What upstream's tables say of a chip's silicon, in the terms that predicates ask in.

A source knows some bits and words: whether the chip has them. Everything else it cannot speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from uplift.catalog.model import All, Any, Feature, Layer, Not, Predicate, Test
from uplift.facts.model import Facts

Answer = Callable[[Test], "bool | None"]


@dataclass(frozen=True)
class Silicon:
    """What one source knows of one chip.

    :param bits: ``cpuid.7.0.edx`` to the bits that the chip has.
    :param words: ``hwcap.words`` or ``riscv.isa`` to the words that it has.
    :param numbers: fields given as a value: ``cpuid.24.0.ebx`` to 1.
    :param source: for the catalog's source cell.
    """

    source: str
    bits: Mapping[str, frozenset[int]]
    words: Mapping[str, frozenset[str]]
    numbers: Mapping[str, int]

    def answer(self, test: Test) -> bool | None:
        """Return True where the source lists it; None otherwise, for lists are never complete."""
        if test.op == "bit":
            return int(test.operand) in self.bits.get(test.fact, ()) or None
        if test.op == "has":
            return str(test.operand) in self.words.get(test.fact, ()) or None
        if test.op == "bits-at-least" and test.fact in self.numbers:
            field = self.numbers[test.fact] >> test.low & ((1 << test.high - test.low + 1) - 1)
            return field >= int(test.operand) or None
        return None


def recorded(facts: Facts) -> Answer:
    """Answer from a recording of the chip itself, without a hypervisor in between."""

    def answer(test: Test) -> bool | None:
        try:
            value = facts.value(test.fact)
        except KeyError:
            return None
        if test.op == "bit":
            return bool(value >> int(test.operand) & 1) if isinstance(value, int) else None
        if test.op == "has":
            return test.operand in value if isinstance(value, frozenset) else None
        if test.op.startswith("bits-") and isinstance(value, int):
            width = test.high - test.low + 1
            field = value >> test.low & (1 << width) - 1
            if test.signed and field >> width - 1:
                field -= 1 << width
            wanted = int(test.operand)
            return field == wanted if test.op == "bits-equals" else field >= wanted
        if test.op == "equals":
            return None if value is None else value == test.operand
        return None

    return answer


def holds(predicate: Predicate, answer: Answer) -> bool | None:
    """Judge a predicate in three values."""
    if isinstance(predicate, Test):
        return answer(predicate)
    if isinstance(predicate, Not):
        inner = holds(predicate.part, answer)
        return None if inner is None else not inner
    return _of_parts(predicate, [holds(part, answer) for part in predicate.parts])


def _of_parts(predicate: All | Any, outcomes: list[bool | None]) -> bool | None:
    deciding = isinstance(predicate, Any)
    if deciding in outcomes:
        return deciding
    return None if None in outcomes else not deciding


def listed(features: tuple[Feature, ...], arch: str, answer: Answer) -> frozenset[str]:
    """Return the features whose silicon layer holds."""
    return frozenset(
        feature.id
        for feature in features
        if arch in feature.arch
        and feature.layers[0].name is Layer.SILICON
        and holds(feature.layers[0].needs, answer)
    )
