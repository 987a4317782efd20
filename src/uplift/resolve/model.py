"""Verdicts, stops and evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from uplift.catalog.model import Feature, Layer, Remedy
from uplift.facts.model import Value


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


@dataclass(frozen=True)
class Evidence:
    """A fact, and the capture whose bytes prove it; for data, the catalog's source."""

    fact: str
    value: Value | None
    capture: str
    sha256: str = ""


@dataclass(frozen=True)
class Stop:
    """A layer that does not pass the feature on; a resolution's stop is the first of them.

    :param kind: what sort of cause it is: hypervisor, firmware, kernel-build, command-line, …
    """

    layer: Layer
    cause: str
    kind: str
    owner: str
    remedy: Remedy | None


@dataclass(frozen=True)
class Verdict:
    """One layer's answer, why, and what proves it.

    :param stop: whose stop it is and what lifts it, where ``status`` is one that stops.
    """

    layer: Layer
    status: Status
    why: str
    evidence: tuple[Evidence, ...] = ()
    stop: Stop | None = None


@dataclass(frozen=True)
class Resolution:
    """One feature followed through every layer of one snapshot."""

    feature: Feature
    verdicts: tuple[Verdict, ...]

    @property
    def stop(self) -> Stop | None:
        """The first stop, None where nothing is known to stop the feature."""
        return next((verdict.stop for verdict in self.verdicts if verdict.stop), None)


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
