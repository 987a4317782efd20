"""Files of which no level is sure: nobody follows what lets their code run, or finds all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from uplift.isa.model import Confidence, FunctionAudit, Reach

NO_FRAMES = "it has no call-frame information"
_OF_KERNELS = frozenset({"kernel", "module"})
#: Linux ``arch/x86/include/asm/alternative.h``, ``arch/arm64/include/asm/alternative.h``.
_PATCHED = "the kernel writes its tests of features into code when it starts: they are not followed"


def without_certainty(function: FunctionAudit, evidence: str) -> FunctionAudit:
    """Take back that a function is always reached."""
    if function.reach != Reach.ALWAYS:
        return function
    sets = {
        name: replace(use, reach=Reach.UNKNOWN) if use.reach == Reach.ALWAYS else use
        for name, use in function.sets.items()
    }
    return replace(function, reach=Reach.UNKNOWN, sets=sets, evidence=(evidence,))


def of_kernels(kind: str, functions: tuple[FunctionAudit, ...]) -> tuple[FunctionAudit, ...]:
    """Take back what is always reached in kernels and modules."""
    if kind not in _OF_KERNELS:
        return functions
    return tuple(without_certainty(function, _PATCHED) for function in functions)


def cause(kind: str, notes: Iterable[str], functions: Iterable[FunctionAudit]) -> str:
    """Say why no level of a file is sure; empty where one is.

    :param kind: of the file; ``notes``: what limits the audit.
    """
    every = tuple(functions)
    lost = [f for f in every if f.confidence == Confidence.UNREACHED]
    if lost and NO_FRAMES in notes:
        count = sum(use.count for function in lost for use in function.sets.values())
        told = "instruction lies" if count == 1 else "instructions lie"
        seen = f"{count} {told} above the base where nothing was seen to lead"
        return f"{NO_FRAMES}, and {seen}"
    if kind in _OF_KERNELS and any(f.reach != Reach.DISPATCHED for f in every):
        return _PATCHED
    return ""
