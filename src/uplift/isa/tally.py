"""A file's instruction sets over all its functions: how many, how sure, how each is reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from uplift.isa.model import Confidence, FileAudit, FunctionAudit, Reach, SetUse

WORST_FIRST = (Reach.ALWAYS, Reach.UNKNOWN, Reach.DISPATCHED)
BEST_FIRST = (Confidence.FDE, Confidence.REACHED, Confidence.UNREACHED)


@dataclass(frozen=True)
class Tally:
    """One instruction set in a file.

    :param count: instructions that need it; one that needs two sets counts for both.
    :param reach: the worst of the functions that hold it.
    :param functions: how many functions hold it in each way of being reached.
    :param first: address of the first one of the worst reach, in ``function``.
    """

    count: int
    confidence: Confidence
    reach: Reach
    functions: Mapping[Reach, int]
    first: int
    function: str


def is_code(function: FunctionAudit) -> bool:
    """Whether it is sure to be code; what nothing was seen to reach is often data."""
    return function.confidence is not Confidence.UNREACHED


def code(audit: FileAudit) -> tuple[FunctionAudit, ...]:
    """Return the functions that are sure to be code."""
    return tuple(function for function in audit.functions if is_code(function))


def perhaps_data(audit: FileAudit) -> tuple[FunctionAudit, ...]:
    """Return what looks like such code, but nothing was seen to reach."""
    return tuple(function for function in audit.functions if not is_code(function))


def tallies(functions: Iterable[FunctionAudit]) -> dict[str, Tally]:
    """Sum the sets of functions, by name of the set."""
    uses: dict[str, list[tuple[FunctionAudit, SetUse]]] = {}
    for function in functions:
        for name, use in function.sets.items():
            uses.setdefault(name, []).append((function, use))
    return {name: _tally(uses[name]) for name in sorted(uses)}


def _tally(uses: list[tuple[FunctionAudit, SetUse]]) -> Tally:
    function, worst = min(uses, key=lambda item: (WORST_FIRST.index(item[1].reach), item[1].first))
    reaches = [use.reach for _, use in uses]
    return Tally(
        count=sum(use.count for _, use in uses),
        confidence=min((use.confidence for _, use in uses), key=BEST_FIRST.index),
        reach=worst.reach,
        functions={reach: reaches.count(reach) for reach in WORST_FIRST},
        first=worst.first,
        function=function.name,
    )


def exposed(functions: Iterable[FunctionAudit], *reaches: Reach) -> frozenset[str]:
    """Return the sets that functions use in one of these ways."""
    return frozenset(
        name
        for function in functions
        for name, use in function.sets.items()
        if use.reach in reaches
    )
