"""What is said of upstream commits and a branch: frozen values, no reading, no git."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """Where an upstream commit stands on a branch."""

    PRESENT = "present"  #: its change is there, by whatever name
    REVERTED = "reverted"  #: it came, and a later commit took it back
    PARTIAL = "partial"  #: a part of its change is there, or another form of it
    ABSENT = "absent"  #: looked for in every way, and not there
    UNDETERMINED = "undetermined"  #: objects that would tell are missing


class Role(str, Enum):
    """Why a commit is in a series."""

    REQUESTED = "requested"
    PREREQUISITE = "prerequisite"
    FOLLOW_UP = "follow-up"


class ReferenceKind(str, Enum):
    """What one commit message says of another commit."""

    FIXES = "fixes"  #: ``Fixes: SHA ("subject")``
    REVERTS = "reverts"  #: ``This reverts commit SHA``
    PICKED = "picked"  #: ``(cherry picked from commit SHA)``
    BACKPORTED = "backported"  #: ``(backported from commit SHA)``
    UPSTREAM = "upstream"  #: ``commit SHA upstream.``, ``[ Upstream commit SHA ]``
    DEPENDENCY = "dependency"  #: ``Stable-dep-of: SHA``
    MENTION = "mention"  #: a sha in running text


@dataclass(frozen=True)
class Person:
    """Who, and when in seconds since 1970 with the offset as written (``+0200``)."""

    name: str
    email: str
    time: int
    zone: str


@dataclass(frozen=True)
class Commit:
    """One commit as git holds it; the message decoded, line ends kept as ``\\n``."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    subject: str
    body: str


@dataclass(frozen=True)
class Reference:
    """One commit named in a message.

    :param named: the sha as written, at least 7 hexadecimal digits, lower case.
    :param title: the subject written beside it, where there is one.
    :param place: what else stands there: a repository or release (``linux-next``, ``OVS``).
    :param line: which line of the message, from 1.
    """

    kind: ReferenceKind
    named: str
    title: str = ""
    place: str = ""
    line: int = 0


@dataclass(frozen=True)
class Evidence:
    """One reason for a state.

    :param kind: ``sha``, ``trailer``, ``patch-id``, ``diff``, ``title``, ``author-time``, ``near``,
        ``revert``, ``missing-object``.
    :param commit: the commit of the branch that shows it; empty where none does.
    :param text: one line a person can check.
    """

    kind: str
    commit: str
    text: str


@dataclass(frozen=True)
class Presence:
    """Where one upstream commit stands on a branch, and why.

    :param confidence: 0 to 1.
    :param differences: for a near match, the lines in which the two changes differ.
    """

    sha: str
    subject: str
    state: State
    confidence: float
    evidence: tuple[Evidence, ...]
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hunk:
    """One place of a file where the branch and a commit of upstream change the same lines.

    :param line: where it begins in the file as merged, with the branch's lines in it; from 1.
    :param function: the last line before it that begins a function, as git's hunk headers have it.
    :param ours: the branch's lines.
    :param base: upstream's before the commit.
    :param theirs: upstream's after it.
    :param left_out: lines that are not shown, of all three.
    :param because_of: upstream's commits that the branch lacks and that made the branch's lines
        differ, the likeliest first; empty where nobody looked.
    """

    line: int
    function: str
    ours: tuple[str, ...]
    base: tuple[str, ...]
    theirs: tuple[str, ...]
    left_out: int = 0
    because_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """Where a commit of a plan does not merge by itself.

    :param kind: as git names it: ``contents``, ``modify/delete``, ``add/add``, ``rename/delete``…
    :param documentation: only NEWS, ChangeLog or documentation is touched.
    :param hunks: the places in the file, where it is one of contents.
    """

    sha: str
    path: str
    kind: str
    documentation: bool = False
    hunks: tuple[Hunk, ...] = ()


@dataclass(frozen=True)
class PlannedCommit:
    """One commit of a series, its role, and why it is there.

    :param for_commit: the commit of the series that needs it or that it repairs.
    """

    sha: str
    subject: str
    role: Role
    reason: str
    for_commit: str = ""


@dataclass(frozen=True)
class Alternative:
    """Another way to the same end: more commits, or hunks adapted by hand.

    :param commits: what would be taken in addition.
    :param conflicts: what would be left to a person.
    """

    title: str
    commits: tuple[PlannedCommit, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True)
class MissingSymbol:
    """A name that a commit of a series uses, that upstream has and the target has not.

    :param kind: ``function`` (or macro), ``member``, ``constant``, ``type`` or ``header``.
    :param commit: the first of the series that uses it, in the file ``path``.
    :param defined_in: upstream's file that defines it.
    :param brought_by: the upstream commit that brought it; empty where that is not certain.
    """

    name: str
    kind: str
    commit: str
    path: str
    defined_in: str
    brought_by: str = ""


@dataclass(frozen=True)
class Plan:
    """A series in an order in which it applies.

    :param onto: the full sha of the commit it applies to.
    :param applies: every commit of the series merges without a conflict.
    :param tree: the tree that results; empty where it does not apply.
    :param present: commits asked for that the branch already has.
    :param symbols: names that the series uses and the result does not define.
    :param unsearched: commits that conflict, and time was up before it was known what they need.
    """

    onto: str
    series: tuple[PlannedCommit, ...]
    conflicts: tuple[Conflict, ...]
    applies: bool
    tree: str
    present: tuple[Presence, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    symbols: tuple[MissingSymbol, ...] = ()
    notes: tuple[str, ...] = ()
    unsearched: tuple[str, ...] = ()
