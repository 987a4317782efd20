"""Registers made so that predicates come out as a list says, with what nobody says left open.

A list names features; predicates ask registers. Each feature that the list names demands that its
predicate holds, each one that it denies that its predicate does not hold. What no demand settles
stays open, bit by bit, so that a question about it is answered with unknown, never with absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from uplift.catalog.model import All, Any, Not, Predicate, Test
from uplift.facts.hwcap_tables import Condition, arm64_rules


@dataclass(frozen=True)
class Place:
    """A field of a register: its lowest and highest bit, and whether it is two's complement."""

    register: str
    low: int
    high: int
    signed: bool = False

    @property
    def largest(self) -> int:
        """The largest number that the field can hold."""
        width = self.high - self.low + 1
        return (1 << width - 1) - 1 if self.signed else (1 << width) - 1

    @property
    def smallest(self) -> int:
        """The smallest number that the field can hold."""
        return -(1 << self.high - self.low) if self.signed else 0


@dataclass
class Bounds:
    """Between which numbers a field is known to be, both inclusive."""

    least: int
    most: int


@dataclass(frozen=True)
class Made:
    """A register: its bits, and the mask of those that nobody knows (they read as 0)."""

    value: int
    open: int


#: What a test asks of registers: fields to compare, or another predicate in its place; None where
#: no register answers it.
Expand = Callable[[Test], "Predicate | Place | None"]


@dataclass
class MadeRegisters:
    """Registers under construction.

    :param expand: what each test asks of them.
    :param known: answers to tests that ask no register (vendor, family, model).
    :param empty: registers known to be 0 as a whole.
    """

    expand: Expand
    known: Callable[[Test], bool | None]
    bounds: dict[Place, Bounds] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)

    def demand(self, predicate: Predicate, holds: bool) -> bool:
        """Settle what is open so that ``predicate`` comes to ``holds``; say whether it now does."""
        now = self.state(predicate)
        if now is not None:
            return now is holds
        if isinstance(predicate, Test):
            return self._settle(predicate, holds)
        if isinstance(predicate, Not):
            return self.demand(predicate.part, not holds)
        if isinstance(predicate, All) is holds:
            settled = [self.demand(part, holds) for part in predicate.parts]
            return all(settled)
        return self._demand_one(predicate, holds)

    def _demand_one(self, predicate: All | Any, holds: bool) -> bool:
        """Settle one part: the first that can be; of several suspects in an all, none is guilty."""
        left = [part for part in predicate.parts if self.state(part) is None]
        if not holds and len(left) > 1:
            return False
        return any(self.demand(part, holds) for part in left if self._can_settle(part))

    def state(self, predicate: Predicate) -> bool | None:
        """Judge ``predicate`` on what is settled so far."""
        if isinstance(predicate, Test):
            return self._state_of_test(predicate)
        if isinstance(predicate, Not):
            inner = self.state(predicate.part)
            return None if inner is None else not inner
        deciding = isinstance(predicate, Any)
        states = [self.state(part) for part in predicate.parts]
        if deciding in states:
            return deciding
        return None if None in states else not deciding

    def put(self, place: Place, number: int) -> None:
        """State that a field holds ``number``."""
        self.bounds[place] = Bounds(number, number)

    def raise_to(self, place: Place, least: int) -> None:
        """State that a field holds at least ``least``."""
        bounds = self.bounds.setdefault(place, Bounds(place.smallest, place.largest))
        bounds.least = max(bounds.least, least)

    def registers(self) -> Mapping[str, Made]:
        """Return every register that anything is known of."""
        parts: dict[str, dict[Place, Bounds]] = {}
        for place, bounds in self.bounds.items():
            parts.setdefault(place.register, {})[place] = bounds
        made = {name: _register(fields) for name, fields in parts.items()}
        return {**made, **dict.fromkeys(self.empty, Made(0, 0))}

    def _state_of_test(self, test: Test) -> bool | None:
        asked = self.expand(test)
        if asked is None:
            return self.known(test)
        if not isinstance(asked, Place):
            return self.state(asked)
        bounds = self._bounds(asked)
        wanted = _wanted(test)
        if test.op == "bits-equals":
            if bounds.least == bounds.most:
                return bounds.least == wanted
            return None if bounds.least <= wanted <= bounds.most else False
        if bounds.least >= wanted:
            return True
        return False if bounds.most < wanted else None

    def _bounds(self, place: Place) -> Bounds:
        if place.register in self.empty:
            return Bounds(0, 0)
        return self.bounds.get(place) or Bounds(place.smallest, place.largest)

    def _can_settle(self, predicate: Predicate) -> bool:
        """Say whether registers answer every part that is open."""
        if isinstance(predicate, Test):
            asked = self.expand(predicate)
            open_elsewhere = asked is None and self.known(predicate) is None
            return not open_elsewhere
        if isinstance(predicate, Not):
            return self._can_settle(predicate.part)
        return all(self._can_settle(part) for part in predicate.parts)

    def _settle(self, test: Test, holds: bool) -> bool:
        asked = self.expand(test)
        if asked is None:
            return False
        if not isinstance(asked, Place):
            return self.demand(asked, holds)
        bounds = self.bounds.setdefault(asked, Bounds(asked.smallest, asked.largest))
        wanted = _wanted(test)
        if test.op == "bits-equals":
            if not holds:
                return False
            bounds.least = bounds.most = wanted
        elif holds:
            bounds.least = wanted
        else:
            bounds.most = wanted - 1
        return True


#: Registers that read as 0 without these extensions: Arm ARM DDI 0487, the registers' own pages.
_DESCRIBED_BY = {"id_aa64zfr0_el1": ("sve", "sme"), "id_aa64smfr0_el1": ("sme",)}


def empty_arm64(registers: MadeRegisters) -> None:
    """Settle as 0 the registers that describe extensions which the core is known to lack."""
    for register, words in _DESCRIBED_BY.items():
        states = [registers.state(Test("arm64.words", "has", word)) for word in words]
        if not any(state is not False for state in states):
            registers.empty.add(register)


def place_of(test: Test, register: str) -> Place | None:
    """Return the field of ``register`` that ``test`` asks for; None where it asks for none."""
    if test.op == "bit":
        return Place(register, int(test.operand), int(test.operand))
    if test.op.startswith("bits-"):
        return Place(register, test.low, test.high, test.signed)
    return None


def arm64_place(test: Test) -> Predicate | Place | None:
    """Return the field of an ID register; for a HWCAP word the rule by which they imply it."""
    if test.fact == "arm64.words" and test.op == "has":
        rule = arm64_rules().get(str(test.operand))
        return Any(tuple(All(tuple(map(_as_test, group))) for group in rule)) if rule else None
    register = test.fact.removeprefix("arm64.").removeprefix("raw.")
    if test.fact.startswith("arm64.") and register.startswith("id_"):
        return place_of(test, register)
    return None


def _as_test(condition: Condition) -> Test:
    width = condition.high - condition.low + 1
    minimum = condition.minimum
    if condition.signed and minimum >> width - 1:
        minimum -= 1 << width
    return Test(
        f"arm64.raw.{condition.register}",
        "bits-at-least",
        minimum,
        condition.low,
        condition.high,
        condition.signed,
    )


def _wanted(test: Test) -> int:
    return 1 if test.op == "bit" else int(test.operand)


def _register(fields: Mapping[Place, Bounds]) -> Made:
    """Put fields together; where one holds another's bits, the wider one's come first."""
    value, settled = 0, 0
    for place in sorted(fields, key=lambda place: place.low - place.high):
        number, unknown = _as_bits(place, fields[place])
        mask = ((1 << place.high - place.low + 1) - 1) << place.low
        value = value & ~mask | number << place.low
        settled = settled & ~mask | mask & ~(unknown << place.low)
    return Made(value & settled, ~settled)


def _as_bits(place: Place, bounds: Bounds) -> tuple[int, int]:
    """Return a field's bits and which of them are open, so that no answer outruns its bounds.

    The open bits are those that can be added to the least number without leaving the bounds.
    """
    width = place.high - place.low + 1
    if (bounds.least, bounds.most) == (place.smallest, place.largest):
        return 0, (1 << width) - 1
    least = bounds.least & (1 << width) - 1
    unknown = 0
    for bit in range(width - 1 if place.signed else width):
        if not least >> bit & 1 and bounds.least + (unknown | 1 << bit) <= bounds.most:
            unknown |= 1 << bit
    return least, unknown


def demand_all(
    registers: MadeRegisters, predicates: Iterable[tuple[str, Predicate]], holds: bool
) -> list[str]:
    """Settle several named predicates, those without a choice first; return which fail.

    A predicate with alternatives may come true by what others settle; only then is one chosen.
    """
    waiting = sorted(predicates, key=lambda named: (_choices(named[1], holds), named[0]))
    return [name for name, predicate in waiting if not registers.demand(predicate, holds)]


def _choices(predicate: Predicate, holds: bool) -> int:
    """Return how many choices it takes to make ``predicate`` come to ``holds``."""
    if isinstance(predicate, Test):
        return 0
    if isinstance(predicate, Not):
        return _choices(predicate.part, not holds)
    inner = sum(_choices(part, holds) for part in predicate.parts)
    return inner + (len(predicate.parts) if isinstance(predicate, Any) is holds else 0)
