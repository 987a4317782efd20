"""What an audit says of a file: the instruction sets of its functions, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Confidence(str, Enum):
    """How sure it is that bytes are code: best first."""

    FDE = "fde"  #: call-frame information describes the function
    REACHED = "reached"  #: a symbol names it, or a path of calls and jumps leads there
    UNREACHED = "unreached"  #: decoded in a gap that nothing was seen to reach; often data


class Reach(str, Enum):
    """How code is reached on a machine of the architecture's baseline: worst first."""

    ALWAYS = "always"  #: from outside or at start, with no guard on the way
    UNKNOWN = "unknown"  #: nobody saw how; never taken for safe
    DISPATCHED = "dispatched"  #: only where a test of the processor's features lets it


@dataclass(frozen=True)
class SetUse:
    """The instructions of one set: how many, how sure, how reached.

    :param first: address of the first one; within a file, of the first of the worst reach.
    """

    count: int
    confidence: Confidence
    reach: Reach
    first: int


@dataclass(frozen=True)
class FunctionAudit:
    """One function that holds instructions above the architecture's base set.

    :param name: of its symbol; ``0x…`` where it has none.
    :param reach: the worst of its sets.
    :param evidence: what the reach was told by, one short sentence each.
    """

    name: str
    address: int
    size: int
    confidence: Confidence
    reach: Reach
    sets: Mapping[str, SetUse]
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Violation:
    """Code that is reached without a guard, above the baseline.

    :param certain: it is always reached; else nobody saw how it is.
    """

    function: str
    address: int
    sets: tuple[str, ...]
    certain: bool


@dataclass(frozen=True)
class Identity:
    """What a file says about itself.

    :param package: of ``.note.package``, as its JSON has it.
    :param properties: of ``.note.gnu.property``: ``needed x86-64-v2``, ``ibt``, ``bti`` …
    :param producers: compilers, of ``.comment``.
    :param languages: told by sections only their compilers write: go, rust.
    """

    kind: str
    build_id: str = ""
    soname: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    runpath: str = ""
    package: Mapping[str, str] = field(default_factory=dict)
    properties: tuple[str, ...] = ()
    producers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileAudit:
    """What one file holds.

    :param sets: each set above the base: the sum over functions, worst reach, best confidence.
    :param functions: those with such instructions, by address.
    :param level: the lowest level of the architecture at which it surely runs; empty where no
        level has all it needs.
    :param needs: the lowest level that holds all that is always reached: below it, it dies.
    :param violations: of the baseline that was asked about; nothing where none was.
    :param undetermined: why no level is sure; then ``level`` is empty.
    :param notes: what limits the answer, one sentence each.
    """

    path: str
    arch: str
    identity: Identity
    sets: Mapping[str, SetUse]
    functions: tuple[FunctionAudit, ...]
    level: str
    needs: str
    violations: tuple[Violation, ...] = ()
    function_count: int = 0
    instructions: int = 0
    undecodable: int = 0
    engine: str = ""
    notes: tuple[str, ...] = ()
    undetermined: str = ""

    def unused(self, features: frozenset[str]) -> tuple[str, ...]:
        """Return which of a chip's instruction sets it holds no instruction of."""
        return tuple(sorted(features - self.sets.keys()))
