"""Which functions a file keeps for processors that have more: how each is reached, told by what.

A machine of the baseline is put before the file's own tests of features: words that compilers,
libraries and the file itself keep, answers of CPUID, of the kernel's hints, of resolvers. What
such a machine still comes to is reached always, or nobody saw how; what it does not come to,
while another does, is dispatched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from uplift.isa import compared_addresses, unfollowed
from uplift.isa.elf import Ints
from uplift.isa.feature_words import Features
from uplift.isa.flow import Outcome
from uplift.isa.judge import Judge
from uplift.isa.program import Program
from uplift.isa.reachability import Reached, Records, frontier, lonely, reached

#: Architectures whose guards are followed; on others what asks the processor is in doubt.
GUARDS = frozenset({"x86-64"})
_ROUNDS = 8  #: until it is settled what nobody holds; in the last one, all may be held
NONE: Ints = np.empty(0, np.int64)


@dataclass(frozen=True)
class Verdicts:
    """How the functions of a file are reached on one kind of machine.

    :param outcomes: of functions whose flow was followed, by number.
    :param loses_track: what was asked is kept where any branch may ask for it.
    :param origin: for functions that only guarded code leads to, the function with the guard.
    """

    reached: Reached
    outcomes: Mapping[int, Outcome]
    origin: Mapping[int, int]
    resolvers: frozenset[int]
    sources: Mapping[int, str] = field(default_factory=dict)
    loses_track: bool = False


def judge(program: Program, features: Features, variants: Ints, perhaps: Ints = NONE) -> Verdicts:
    """Say how each function is reached on machines of ``features``.

    :param features: plain names of what the machine has above the base.
    :param variants: functions that others can call by name, whose names say that they are one
        processor's: taken for what the file itself chooses from.
    :param perhaps: those of them that are not left to guarded code alone.
    """
    places = program.places
    start = np.setdiff1d(places.roots, variants)
    alone = lonely(places, (places.code_edges, places.pointer_edges))
    starts = (start, np.union1d(np.setdiff1d(alone, start), perhaps))
    outcomes: Mapping[int, Outcome]
    lost = False
    if places.elf.arch in GUARDS:
        result, judged = _settled(program, features, starts)
        outcomes, pruned, lost = judged.outcomes, judged.edges(), judged.loses_track
    else:
        outcomes, pruned = unfollowed.outcomes(program), unfollowed.edges(program)
        result = reached(places, pruned, places.pointer_edges, starts)
    origin = frontier(places, result, pruned)
    resolvers = frozenset(places.resolvers.tolist())
    return Verdicts(result, outcomes, origin, resolvers, loses_track=lost)


def _settled(
    program: Program, features: Features, starts: tuple[Ints, Ints]
) -> tuple[Reached, Judge]:
    """Take addresses that are compared with for held by nobody, as far as that bears out."""
    addresses, _ = _compared(program)
    chosen = dict.fromkeys(addresses, True)  #: whether nobody holds them
    for left in reversed(range(_ROUNDS)):
        judged = _followed(program, features, chosen)
        kept = Records(program.places).without_refused(judged.refusing())
        result = reached(program.places, judged.edges(), kept.edges, starts)
        now = compared_addresses.chosen(program, chosen, result)
        if now == chosen:
            break
        chosen = now if left > 1 else dict.fromkeys(now, False)
    return result, judged


def _followed(program: Program, features: Features, chosen: Mapping[int, bool]) -> Judge:
    key = features, tuple(sorted(chosen.items()))
    judged: Judge | None = program.judges.get(key)
    if judged is None:
        judged = program.judges[key] = Judge(program, features, chosen)
        _, comparing = _compared(program)
        judged.run({*program.places.resolvers.tolist(), *comparing})
    return judged


def _compared(program: Program) -> tuple[frozenset[int], frozenset[int]]:
    if program.compared is None:
        program.compared = compared_addresses.compared(program)
    return program.compared
