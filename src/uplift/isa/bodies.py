"""The code of one function, ready to be followed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from uplift.isa.elf import Ints
from uplift.isa.functions import References
from uplift.isa.range_rows import BRANCH, INDIRECT, JUMP, JUMP_MEMORY, STORE
from uplift.isa.x86_steps import Step, read


@dataclass(frozen=True)
class Body:
    """A function's code and where something happens in it.

    :param stops: sorted addresses of instructions that refer to something, or that end a block.
    :param leaders: addresses that jumps in the function lead to.
    :param orphans: addresses behind an end of the flow that no jump in the function leads to.
    :param boundaries: where instructions start.
    :param writes: addresses of instructions that write to a fixed address.
    """

    start: int
    end: int
    code: memoryview
    stops: Sequence[int]
    leaders: frozenset[int]
    orphans: Sequence[int]
    boundaries: Sequence[int]
    writes: frozenset[int] = frozenset()
    steps: dict[int, Step] = field(default_factory=dict)

    def step(self, at: int) -> Step | None:
        """Return the instruction at ``at``; None where none starts."""
        found = self.steps.get(at)
        if found is None:
            index = bisect_left(self.boundaries, at)
            if index >= len(self.boundaries) or self.boundaries[index] != at:
                return None
            last = index + 1 >= len(self.boundaries)
            end = self.end if last else self.boundaries[index + 1]
            found = read(bytes(self.code[at - self.start : end - self.start]), at)
            self.steps[at] = found
        return found


def body_of(
    start: int, end: int, raw: memoryview, offsets: Ints, refs: References, entries: Ints
) -> Body:
    """Return a function's code with the places where something happens.

    :param offsets: of its instructions; ``refs``: what they refer to.
    :param entries: addresses at which others enter it.
    """
    code = np.frombuffer(raw, np.uint8)
    op = code[offsets]
    after = code[np.minimum(offsets + 1, len(code) - 1)]
    ends = np.isin(op, (0xC3, 0xC2, 0xCC, 0xF4)) | ((op == 0xF3) & (after == 0xC3))
    ends |= (op == 0xF2) & (after == 0xC3) | (op == 0x0F) & (after == 0x0B)
    ending = offsets[ends] + start
    leaves = np.isin(refs.kind, (JUMP, JUMP_MEMORY)) | _indirect_jumps(code, refs, start)
    bounds = offsets + start
    behind = np.searchsorted(bounds, np.concatenate([ending, refs.at[leaves]]), side="right")
    behind = bounds[behind[behind < len(bounds)]]
    inner = refs.target[np.isin(refs.kind, (JUMP, BRANCH))]
    leaders = np.unique(np.concatenate([inner[(inner >= start) & (inner < end)], entries]))
    orphans = np.setdiff1d(behind, leaders)
    stops = np.intersect1d(np.concatenate([refs.at, ending, leaders]), bounds)
    return Body(
        start,
        end,
        raw,
        stops.tolist(),
        frozenset(leaders.tolist()),
        orphans.tolist(),
        bounds.tolist(),
        frozenset(refs.at[refs.kind == STORE].tolist()),
    )


def _indirect_jumps(
    code: np.ndarray[tuple[int], np.dtype[np.uint8]], refs: References, start: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell jumps through a register from calls: both are one kind to the decoder."""
    found = np.zeros(len(refs), np.bool_)
    for index in np.flatnonzero(refs.kind == INDIRECT).tolist():
        at = int(refs.at[index]) - start
        window = bytes(code[at : at + 4])
        place = window.find(b"\xff")
        found[index] = (
            0 <= place < 3 and len(window) > place + 1 and window[place + 1] >> 3 & 7 == 4
        )
    return found
