"""Functions with whose addresses code compares a pointer, to tell which of them was chosen.

Where a machine never comes to what takes such an address, no pointer is equal to it: the comparison
is a test of features, by way of what was stored after one. OpenSSL so asks whether both halves of
AES-GCM were chosen for a processor (``AES_GCM_ASM`` of ``crypto/evp/e_aes.c``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from uplift.isa.elf import Ints
from uplift.isa.program import Program
from uplift.isa.range_rows import ADDRESS, FLAG_TEST, LOAD
from uplift.isa.reachability import Reached
from uplift.isa.x86_steps import Step

_NEAR = 4  #: instructions between taking an address and comparing with it
_LEVELS = 2  #: of calls between the function compared with and one above the base
_MOST = 4096  #: places that take addresses of code in question


def compared(program: Program) -> tuple[frozenset[int], frozenset[int]]:
    """Return the addresses of functions that are compared with, and the functions that compare.

    Only those that other files cannot name: who holds them is seen.
    """
    at, target = _takers(program)
    open_ = frozenset(program.found.start[program.places.roots].tolist())
    addresses, functions = set(), set()
    numbers = program.found.index(at)
    for place, address, number in zip(at.tolist(), target.tolist(), numbers.tolist(), strict=True):
        if number >= 0 and address not in open_ and _is_compared(program, number, place):
            addresses.add(address)
            functions.add(number)
    return frozenset(addresses), frozenset(functions)


def chosen(program: Program, before: Mapping[int, bool], result: Reached) -> dict[int, bool]:
    """Return which of the addresses no code of a machine holds, and leave out what always runs.

    :param before: the same as it was assumed: what was held stays so.
    """
    every = np.array(sorted(before), np.int64)
    number = program.found.index(every)
    held = result.always[number] | result.perhaps[number]
    columns = (every.tolist(), number.tolist(), held.tolist())
    return {
        address: before[address] and not is_held
        for address, row, is_held in zip(*columns, strict=True)
        if not result.always[row]
    }


def _near_above(program: Program) -> Ints:
    """Return the functions that hold sets above the base, and what calls them directly."""
    edges, near = program.places.code_edges, program.above
    for _ in range(_LEVELS):
        callers = edges.source[edges.by_code & np.isin(edges.target, near)]
        near = np.union1d(near, callers)
    return near


def _takers(program: Program) -> tuple[Ints, Ints]:
    """Return where code takes the start of such a function."""
    refs, starts = program.refs, program.found.start[_near_above(program)]
    taken = (refs.kind == ADDRESS) & np.isin(refs.target, starts)
    loads = np.isin(refs.kind, (LOAD, FLAG_TEST))
    slots, there = program.places.pointed(refs.target[loads])
    read = np.flatnonzero(loads)[there & np.isin(slots, starts)]
    rows = np.concatenate([np.flatnonzero(taken), read])
    target = np.concatenate([refs.target[taken], slots[there & np.isin(slots, starts)]])
    if len(rows) > _MOST:
        rows, target = rows[:0], target[:0]
    return refs.at[rows], target


def _is_compared(program: Program, number: int, at: int) -> bool:
    """Whether the instruction at ``at``, or one that uses its register soon, is a comparison."""
    steps = list(_steps(program, number, at))
    if not steps:
        return False
    if steps[0].kind == "cmp":
        return True
    register = steps[0].operands[0] if steps[0].operands else None
    return any(step.kind == "cmp" and register in step.operands for step in steps[1:])


def _steps(program: Program, number: int, at: int) -> Iterator[Step]:
    body = program.body(number)
    for _ in range(1 + _NEAR):
        step = body.step(at) if body is not None else None
        if step is None:
            return
        yield step
        at = step.end
