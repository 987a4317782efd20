"""A version of which only a lower bound is known: older words are there, newer ones unknown."""

from __future__ import annotations

from tests.resolve.plan_values import release, under
from uplift.catalog.model import Test
from uplift.catalog.releases import AtLeast
from uplift.facts.model import Missing
from uplift.resolve.predicate import judge

QEMU = AtLeast("10.2.1")


def holds(fact: str, op: str, operand: str) -> bool | None:
    facts = under(release(kernel__release="7.0.0", qemu__version=QEMU))
    return judge(Test(fact, op, operand), facts).holds


def test_a_bound_answers_what_it_reaches_and_nothing_above():
    assert holds("qemu.version", "at-least", "10.2") is True
    assert holds("qemu.version", "at-least", "11.0") is None
    assert holds("qemu.version", "equals", "10.2.1") is None


def test_words_of_the_bound_are_there_and_later_ones_unknown():
    assert holds("qemu.models", "has", "GraniteRapids") is True
    assert holds("qemu.models", "has", "DiamondRapids") is None


def test_the_reason_says_that_no_document_tells_the_version():
    found = under(release(qemu__version=QEMU)).get("qemu.models")
    assert not isinstance(found, Missing)
    assert found.value.open("DiamondRapids") == (
        "this release has 10.2.1 or later, and no document says which"
    )
