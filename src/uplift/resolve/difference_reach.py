"""How far a kernel is from the options that a feature needs of it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from uplift.catalog.kernel_options import KernelOptions, Offer
from uplift.catalog.model import All, Any, Not, Predicate, Test
from uplift.catalog.predicate import tests
from uplift.resolve.difference_model import CONFIG, Side, offer
from uplift.resolve.predicate import judge

_OPTION = f"kernel.config.{CONFIG}"


class Reach(IntEnum):
    """How far an option is, the nearest first."""

    THERE = 0  #: on, or named in the configuration and off
    BEHIND = 1  #: the source offers it; an option that it needs is off
    UNKNOWN = 2  #: no source was read that tells
    OTHER_ARCHITECTURE = 3
    OTHER_VERSION = 4
    NO_OPTION = 5  #: something else than an option is missing


_REACH = {
    Offer.YES: Reach.BEHIND,
    Offer.UNKNOWN: Reach.UNKNOWN,
    Offer.NOT_THIS_ARCHITECTURE: Reach.OTHER_ARCHITECTURE,
    Offer.NOT_THIS_VERSION: Reach.OTHER_VERSION,
}


class Distance(NamedTuple):
    """How far it is, and the options that it hangs on; none where nothing is missing."""

    reach: Reach
    options: tuple[str, ...] = ()


def distance(needs: Predicate, side: Side, other: Side, kernel: KernelOptions) -> Distance:
    """Return how far ``side`` is from ``needs``.

    :param other: the side that has them.
    """
    if isinstance(needs, (All, Any)):
        parts = [distance(part, side, other, kernel) for part in needs.parts]
        if isinstance(needs, Any):
            return _joined(min(part.reach for part in parts), parts, any_of=True)
        return _joined(max(part.reach for part in parts), parts)
    if isinstance(needs, Test) and needs.fact.startswith(_OPTION):
        return _of_option(needs, side, other, kernel)
    assert isinstance(needs, (Not, Test))
    missing = judge(needs, side.facts).holds is False
    return Distance(Reach.NO_OPTION if missing else Reach.THERE)


def _of_option(test: Test, side: Side, other: Side, kernel: KernelOptions) -> Distance:
    option = test.fact[len(_OPTION) :]
    if judge(test, side.facts).holds:
        return Distance(Reach.THERE)
    if side.named(option) is not None:
        return Distance(Reach.THERE, (option,))
    return Distance(_REACH[offer(kernel, option, side, other)], (option,))


def _joined(reach: Reach, parts: list[Distance], any_of: bool = False) -> Distance:
    """Join the parts that decide; of an any, one part that misses nothing is enough."""
    deciding = [part for part in parts if part.reach is reach]
    if any_of and any(not part.options for part in deciding):
        return Distance(reach)
    return Distance(reach, tuple(option for part in deciding for option in part.options))


def options_off(needs: Predicate, side: Side) -> tuple[str, ...]:
    """Return every option in ``needs`` that is off or not named."""
    asked = {test.fact[len(_OPTION) :] for test in tests(needs) if test.fact.startswith(_OPTION)}
    return tuple(sorted(option for option in asked if side.named(option) in (None, "n")))
