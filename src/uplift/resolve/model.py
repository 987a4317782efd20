"""Verdicts, stops and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from uplift.catalog.labels import union
from uplift.catalog.model import UNLABELLED, Feature, Labels, Layer, Remedy
from uplift.facts.model import Capture
from uplift.resolve.account import Evidence, evidence, reason
from uplift.resolve.predicate import Outcome


class Status(str, Enum):
    """One layer's answer for one feature."""

    USED = "used"  #: passed on, and the layer itself is seen to use it
    OFFERED = "offered"  #: passed on
    STOPPED = "stopped"  #: it reaches the layer, which does not pass it on
    ABSENT = "absent"  #: this layer has never had it: the hardware lacks it
    HIDDEN = "hidden"  #: it is there below, and something masks it
    UNKNOWN = "unknown"  #: nobody looked
    NOT_APPLICABLE = "not-applicable"

    @property
    def passes(self) -> bool:
        """Whether the feature gets through this layer."""
        return self in (Status.USED, Status.OFFERED)

    @property
    def stops(self) -> bool:
        """Whether the feature is known to end at this layer."""
        return self in (Status.STOPPED, Status.ABSENT, Status.HIDDEN)


class Stop(NamedTuple):
    """A layer that does not pass the feature on; a resolution's stop is the first of them.

    :param kind: what sort of cause it is: hypervisor, firmware, kernel-build, command-line, …
    """

    layer: Layer
    cause: str
    kind: str
    owner: str
    remedy: Remedy | None
    labels: Labels = UNLABELLED


class Why(NamedTuple):
    """What a verdict says for itself: words around the reason that ``outcome`` gives.

    :param outcome: None where the words say all.
    """

    before: str
    outcome: Outcome | None
    after: str = ""


class Verdict(NamedTuple):
    """One layer's answer, why, and what proves it.

    Words and evidence are made when asked for: a fleet's verdicts are counted more often than read.

    :param outcome: the tests that decided, with what they found.
    :param captures: of the snapshot, to cite from.
    :param stop: whose stop it is and what lifts it, where ``status`` is one that stops.
    :param labels: of the overlays that it was made from.
    """

    layer: Layer
    status: Status
    outcome: Outcome
    captures: Mapping[str, Capture]
    told: Why | None = None
    stop: Stop | None = None
    labels: Labels = UNLABELLED

    def labelled(self, more: Labels) -> Verdict:
        """Return the verdict, and its stop, with more labels."""
        if more <= self.labels:
            return self
        labels = self.labels | more
        stop = self.stop._replace(labels=labels) if self.stop else None
        return self._replace(labels=labels, stop=stop)

    @property
    def why(self) -> str:
        """The reason in one line; it names the capture of each value."""
        if self.told is None:
            return reason(self.outcome)
        middle = reason(self.told.outcome) if self.told.outcome else ""
        return f"{self.told.before}{middle}{self.told.after}"

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The facts that decided, each with its capture and that capture's digest."""
        return tuple(evidence(self.outcome, self.captures))


class Resolution(NamedTuple):
    """One feature followed through every layer of one snapshot."""

    feature: Feature
    verdicts: tuple[Verdict, ...]

    @property
    def stop(self) -> Stop | None:
        """The first stop, None where nothing is known to stop the feature."""
        return next((verdict.stop for verdict in self.verdicts if verdict.stop), None)

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return union(self.feature.labels, *(verdict.labels for verdict in self.verdicts))


@dataclass(frozen=True)
class Difference:
    """A feature that tells two chips apart: which of them has it."""

    feature: str
    expected: bool


@dataclass(frozen=True)
class ChipIdentity:
    """What chip this is and how sure that is.

    :param codename: of the chip, ``unknown`` where its signature is in no catalog.
    :param confidence: ``exact`` (signature and features agree), ``signature`` (the signature names
        it, some features differ), ``features`` (only features were recorded), ``nearest`` (the
        signature is in no catalog; ``nearest`` says what comes closest), ``none``.
    :param differs: features that the (nearest) chip has and this one lacks, or the reverse.
    :param named_by: labels of the overlays that the name rests on.
    :param labels: of every overlay that had a part in any of it.
    :param removed_by: who removed the missing ones: ``hypervisor``, ``firmware``, or empty.
    """

    codename: str
    title: str
    confidence: str
    why: str
    vendor: str = ""
    microarchitecture: str = ""
    segment: str = ""
    signature: str = ""
    nearest: str = ""
    differs: tuple[Difference, ...] = ()
    removed_by: str = ""
    candidates: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    named_by: Labels = UNLABELLED
    labels: Labels = UNLABELLED
