"""Say what decided a verdict: the reason in words, and the captures that prove it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from uplift.catalog.model import Test
from uplift.catalog.predicate import words
from uplift.facts.model import Capture, Fact, Missing, ProvenWords, Value
from uplift.resolve.predicate import Outcome, ask


@dataclass(frozen=True)
class Evidence:
    """A fact, and the capture whose bytes prove it.

    :param value: for a set, whether it has ``word``; None where nobody knows.
    :param word: what the set was asked for.
    """

    fact: str
    value: Value | None
    capture: str
    sha256: str = ""
    word: str = ""


def evidence(outcome: Outcome, captures: Mapping[str, Capture]) -> Iterator[Evidence]:
    """Yield the facts that decided, each with its capture's digest; else what was not collected."""
    for test, found in outcome.because:
        if isinstance(found, Fact):
            digest = captures[found.capture].sha256
            word = str(test.operand) if test.op == "has" else ""
            yield Evidence(found.name, _shown(test, found.value), found.capture, digest, word)
        else:
            for capture_id in found.captures:
                yield Evidence(found.name, None, capture_id)


def reason(outcome: Outcome, cite: bool = True) -> str:
    """Say what decided; with ``cite`` each value names the capture that it was read from."""
    by_fact: dict[str, list[tuple[Test, Fact | Missing]]] = {}
    for test, found in outcome.because:
        by_fact.setdefault(test.fact, []).append((test, found))
    asked = by_fact.values()
    clauses = (_clause([test for test, _ in pairs], pairs[0][1], cite) for pairs in asked)
    return "; ".join(dict.fromkeys(clauses))


def _shown(test: Test, value: Value) -> Value:
    """Return what of ``value`` the test looked at: one word's presence, not the whole set."""
    if isinstance(value, (frozenset, tuple)):
        return bool(ask(test, value))
    return value


def _clause(tests: Sequence[Test], found: Fact | Missing, cite: bool) -> str:
    """Say what one fact answered to the tests that were put to it."""
    if isinstance(found, Missing):
        return found.why
    answers = dict.fromkeys(_answer(test, found.value) for test in tests)
    where = f" in {found.capture}" if cite else ""
    compared = [test for test in tests if test.op in ("equals", "at-least")]
    if len(compared) < len(tests):
        return f"{found.name} {' and '.join(answers)}{where}"
    value = found.value if found.value != "" else "empty"
    if any(ask(test, found.value) for test in compared):
        return f"{found.name} is {value}{where}"
    asked = dict.fromkeys(words(test).removeprefix(f"{found.name} = ") for test in compared)
    wanted = " or ".join(asked)
    return f"{found.name} is {value}, not {wanted.replace(found.name + ' ', '')}{where}"


def _answer(test: Test, value: Value) -> str:
    holds = ask(test, value)
    if test.op == "bit":
        return f"bit {test.operand} is {int(bool(holds))}"
    if test.op == "has":
        return f"{'has' if holds else 'lacks'} {test.operand}{_proof(test, value)}"
    if test.op.startswith("bits-") and isinstance(value, int):
        field = value >> test.low & (1 << test.high - test.low + 1) - 1
        return f"[{test.high}:{test.low}] is {field}"
    return f"is {value}"


def _proof(test: Test, value: Value) -> str:
    shown = value.shown(str(test.operand)) if isinstance(value, ProvenWords) else ""
    return f" ({shown})" if shown else ""
