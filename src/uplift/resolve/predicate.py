"""Judge a predicate on facts, in three values: holds, does not hold, nobody knows."""

from __future__ import annotations

import re
from typing import NamedTuple

from uplift.catalog.model import Any, Not, Predicate, Test
from uplift.catalog.releases import AtLeast
from uplift.facts.model import Fact, Facts, Missing, PartialRegister, PartialWords, Value


class Outcome(NamedTuple):
    """What a predicate came to.

    :param holds: None where a missing fact decides.
    :param because: the tests that decided, with the fact or what is missing.
    """

    holds: bool | None
    because: tuple[tuple[Test, Fact | Missing], ...]


def judge(predicate: Predicate, facts: Facts) -> Outcome:
    """Judge ``predicate`` on ``facts`` (Kleene's strong three-valued logic).

    :raises KeyError: it names a fact that no parser declares.
    """
    if isinstance(predicate, Test):
        found = facts.get(predicate.fact)
        if isinstance(found, Fact):
            found = _settled(predicate, found)
        holds = ask(predicate, found.value) if isinstance(found, Fact) else None
        return Outcome(holds, ((predicate, found),))
    if isinstance(predicate, Not):
        inner = judge(predicate.part, facts)
        return Outcome(None if inner.holds is None else not inner.holds, inner.because)
    return _judge_parts(predicate.parts, isinstance(predicate, Any), facts)


def _settled(test: Test, found: Fact) -> Fact | Missing:
    """Return what of a value known in part answers ``test``, or why nothing does."""
    value = found.value
    why = ""
    if isinstance(value, PartialWords) and test.op == "has":
        why = value.open(str(test.operand))
    elif isinstance(value, PartialRegister):
        why = "" if _answered(test, value) else value.why
    elif isinstance(value, AtLeast):
        why = "" if test.op == "at-least" and ask(test, value) else value.why
    return Missing(found.name, why, (found.capture,)) if why else found


def _answered(test: Test, value: PartialRegister) -> bool:
    """Whether ``test`` comes to the same whatever the bits are that nobody knows."""
    if test.op == "bit":
        return not value.unknown >> int(test.operand) & 1
    if not test.op.startswith("bits-"):
        return False
    sign = 1 << test.high if test.signed else 0
    unknown = value.unknown & ((1 << test.high - test.low + 1) - 1) << test.low
    if not unknown:
        return True
    if test.op == "bits-equals":  # one known bit that differs is enough
        return not _ask_field(test, value | unknown & (int(test.operand) << test.low))
    smallest, largest = value | unknown & sign, value | unknown & ~sign
    return _ask_field(test, smallest) == _ask_field(test, largest)


def _judge_parts(parts: tuple[Predicate, ...], deciding: bool, facts: Facts) -> Outcome:
    """Judge parts of which one that is ``deciding`` decides: True in an any, False in an all."""
    decided: list[Outcome] = []
    unknown: list[Outcome] = []
    for part in parts:
        outcome = judge(part, facts)
        if outcome.holds is deciding:
            return outcome
        (unknown if outcome.holds is None else decided).append(outcome)
    if unknown and decided and deciding:
        unknown = [outcome for outcome in unknown if not _is_not_there(outcome)]
    because = tuple(reason for outcome in unknown or decided for reason in outcome.because)
    return Outcome(None if unknown else not deciding, because)


def _is_not_there(outcome: Outcome) -> bool:
    """Say whether only programs or files that the machine lacks kept ``outcome`` open.

    Of two compilers the one that is not installed leaves the answer to the other.
    """
    return all(isinstance(found, Missing) and found.not_there for _, found in outcome.because)


def ask(test: Test, value: Value) -> bool | None:
    """Ask one question to one value; None where the value's type cannot answer it."""
    if test.op == "bit":
        return bool(value >> int(test.operand) & 1) if isinstance(value, int) else None
    if test.op.startswith("bits-"):
        return _ask_field(test, value) if isinstance(value, int) else None
    if test.op == "has":
        return _has(value, str(test.operand))
    if test.op == "equals":
        return value == test.operand
    return _at_least(value, test.operand)


def _ask_field(test: Test, value: int) -> bool:
    width = test.high - test.low + 1
    field = value >> test.low & (1 << width) - 1
    if test.signed and field >> width - 1:
        field -= 1 << width
    wanted = int(test.operand)
    return field == wanted if test.op == "bits-equals" else field >= wanted


def _has(value: Value, word: str) -> bool | None:
    if isinstance(value, (frozenset, tuple)):
        return word in value
    return word in value.split() if isinstance(value, str) else None


def _at_least(value: Value, wanted: Value) -> bool | None:
    if isinstance(value, (int, float)) and isinstance(wanted, (int, float)):
        return value >= wanted
    if isinstance(value, str):
        return version_key(value) >= version_key(str(wanted))
    return None


def version_key(version: str) -> tuple[int, ...]:
    """Return the leading numeric parts of a version, for comparison: ``6.1.192-2`` → 6, 1, 192."""
    leading = re.match(r"\d+(?:\.\d+)*", version.strip())
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
