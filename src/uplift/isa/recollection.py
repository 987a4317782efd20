"""What following a function asked of the world, so that it need not be followed twice.

A function is followed for several machines and in several rounds. Most of what it asks is answered
alike each time, and then it does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uplift.isa import guards
from uplift.isa.bodies import Body
from uplift.isa.flow import Outcome, World
from uplift.isa.values import State, Value

_KEPT = 8  #: pasts of one function
Question = tuple[str | int, ...]
Answer = Value | bool | None


@dataclass(frozen=True)
class Past:
    """One time that a function was followed: from where, what was asked, what it did."""

    entries: Mapping[int, State]
    asked: Mapping[Question, Answer]
    outcome: Outcome


class Witness:
    """A world that writes down what is asked of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: dict[Question, Answer] = {}

    def load(self, address: int, size: int) -> Value | None:
        """See :class:`flow.World`."""
        return self._kept(("load", address, size), self.world.load(address, size))

    def load_of(self, name: str, offset: int, size: int) -> Value | None:
        """See :class:`flow.World`."""
        return self._kept(("load_of", name, offset, size), self.world.load_of(name, offset, size))

    def call(self, target: int) -> Value | None:
        """See :class:`flow.World`."""
        return self._kept(("call", target), self.world.call(target))

    def call_slot(self, slot: int) -> Value | None:
        """See :class:`flow.World`."""
        return self._kept(("call_slot", slot), self.world.call_slot(slot))

    def asks(self, target: int) -> bool:
        """See :class:`flow.World`."""
        answer = self.world.asks(target)
        self.asked["asks", target] = answer
        return answer

    def chosen(self, address: int) -> tuple[str, bool]:
        """See :class:`flow.World`."""
        answer = self.world.chosen(address)
        self.asked["chosen", address] = answer
        return answer

    def cpuid(self, leaf: int, subleaf: int) -> tuple[Value | None, ...]:
        """See :class:`flow.World`."""
        answer = self.world.cpuid(leaf, subleaf)
        self.asked["cpuid", leaf, subleaf] = answer
        return answer

    def comes_back(self, target: int) -> bool:
        """See :class:`flow.World`; the same on every machine."""
        return self.world.comes_back(target)

    def is_place(self, value: int) -> bool:
        """See :class:`flow.World`; the same on every machine."""
        return self.world.is_place(value)

    def _kept(self, question: Question, answer: Value | None) -> Value | None:
        self.asked[question] = answer
        return answer


@dataclass
class Recollection:
    """The pasts of all functions of one file, the latest first."""

    pasts: dict[int, list[Past]] = field(default_factory=dict)

    def follow(
        self, number: int, body: Body, world: World, entries: Mapping[int, State]
    ) -> Outcome:
        """Follow a function, or recall what it did when it was answered alike."""
        pasts = self.pasts.setdefault(number, [])
        for past in pasts:
            if past.entries == entries and _is_answered_alike(past, world):
                return past.outcome
        witness = Witness(world)
        outcome = guards.evaluate(body, witness, entries)
        pasts.insert(0, Past(entries, witness.asked, outcome))
        del pasts[_KEPT:]
        return outcome


def _is_answered_alike(past: Past, world: World) -> bool:
    return all(
        getattr(world, question[0])(*question[1:]) == answer  # type: ignore[arg-type]
        for question, answer in past.asked.items()
    )
