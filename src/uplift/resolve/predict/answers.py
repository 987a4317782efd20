"""Yes, no, or why nobody knows: answers of predictors, and how they combine (Kleene)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from uplift.facts.model import Fact, Missing, PartialWords
from uplift.resolve.plan_facts import PlanFacts

Answer = Union[bool, str]  #: text says why nobody knows


def every(answers: Iterable[Answer]) -> Answer:
    """Return whether all hold: no beats not knowing, which beats yes."""
    held = list(answers)
    if any(answer is False for answer in held):
        return False
    return next((answer for answer in held if isinstance(answer, str)), True)


def some(answers: Iterable[Answer]) -> Answer:
    """Return whether one of them holds: yes beats not knowing, which beats no."""
    held = list(answers)
    if any(answer is True for answer in held):
        return True
    return next((answer for answer in held if isinstance(answer, str)), False)


def word_in(words: frozenset[str], word: str) -> Answer:
    """Say whether a set has a word, which may be known in part only."""
    reason = words.open(word) if isinstance(words, PartialWords) else ""
    return word in words or reason or False


def word_of(facts: PlanFacts, name: str, word: str, inputs: dict[str, None]) -> Answer:
    """Say whether the set fact ``name`` has a word; adds its capture to ``inputs``."""
    found = facts.get(name)
    if isinstance(found, Missing) or not isinstance(found.value, frozenset):
        return found.why if isinstance(found, Missing) else f"{name} is no set of words"
    inputs[found.capture] = None
    return word_in(found.value, word)


def kernel_version(facts: PlanFacts) -> Fact | Missing:
    """Return the release's kernel's version: of the package, else of the image."""
    return facts.get("kernel.release")
