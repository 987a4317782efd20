"""What upstream's tables say of a chip's silicon, in the terms that predicates ask in.

A source knows some bits and words: whether the chip has them. Everything else it cannot speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from uplift.catalog.model import All, Any, Feature, Layer, Not, Predicate, Test
from uplift.facts.model import Facts

Answer = Callable[[Test], "bool | None"]


Said = tuple[str, "int | str"]  #: a fact, and the bit or the word of it


@dataclass(frozen=True)
class Silicon:
    """What one source knows of one chip.

    :param bits: ``cpuid.7.0.edx`` to the bits that the chip has.
    :param words: ``arm64.words`` or ``riscv.isa`` to the words that it has.
    :param numbers: fields given as a value: ``cpuid.24.0.ebx`` to 1.
    :param fields: of arm64 ID registers: register, lowest bit, highest bit, least value.
    :param source: for the catalog's source cell.
    :param speaks: what the source would list if the chip had it: what of it is not listed, is not
        there. Empty for a source that lists only some of what it knows.
    """

    source: str
    bits: Mapping[str, frozenset[int]]
    words: Mapping[str, frozenset[str]]
    numbers: Mapping[str, int]
    fields: tuple[tuple[str, int, int, int], ...] = ()
    speaks: frozenset[Said] = field(default_factory=frozenset)

    @property
    def says(self) -> frozenset[Said]:
        """Everything that the source lists for the chip."""
        bits = {(fact, bit) for fact, found in self.bits.items() for bit in found}
        return frozenset(bits | {(fact, w) for fact, found in self.words.items() for w in found})

    def answer(self, test: Test) -> bool | None:
        """Return True where the source lists it, False where it would and does not."""
        if test.op in ("bit", "has"):
            said = (test.fact, int(test.operand) if test.op == "bit" else str(test.operand))
            return True if said in self.says else (False if said in self.speaks else None)
        if test.op == "bits-at-least" and test.fact in self.numbers:
            number = self.numbers[test.fact] >> test.low & ((1 << test.high - test.low + 1) - 1)
            return number >= int(test.operand)
        return None


def together(sources: Iterable[Silicon]) -> Answer:
    """Answer from several lists; where one names what another denies, nobody knows."""
    answers = [source.answer for source in sources]

    def answer(test: Test) -> bool | None:
        told = {ask(test) for ask in answers} - {None}
        return told.pop() if len(told) == 1 else None

    return answer


def calibrated(speaks: frozenset[Said], lists: Iterable[tuple[Silicon, Answer]]) -> frozenset[Said]:
    """Return of what a source speaks reliably: where its silence never hid what a chip has.

    :param lists: what the source lists for a chip, and what recordings of that chip answer.
    """
    left = set(speaks)
    for listed_for, show in lists:
        left -= {said for said in left - listed_for.says if show(_test_of(said))}
    return frozenset(left)


def _test_of(said: Said) -> Test:
    fact, what = said
    return Test(fact, "bit" if isinstance(what, int) else "has", what)


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
