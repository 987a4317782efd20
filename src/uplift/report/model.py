"""What every rendering of a scan shows: counts, stops grouped by owner, what was not looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from uplift.catalog.labels import labels_of, union
from uplift.catalog.model import UNLABELLED, Labels, Layer
from uplift.facts.model import Capture, CaptureStatus
from uplift.resolve.model import Resolution, Status, Stop
from uplift.resolve.scan import Scan

#: The order of the features, until measurements say what each is worth on this machine.
ORDER = "catalog"


@dataclass(frozen=True)
class StopGroup:
    """Features that one owner lifts by one remedy at one layer."""

    owner: str
    layer: Layer
    stop: Stop
    features: tuple[Resolution, ...]

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return union(labels_of(self.stop), *(labels_of(found) for found in self.features))


def owner_labels(groups: Iterable[StopGroup]) -> Labels:
    """Return the labels of an owner's name; none where a stop that no overlay made has it."""
    labels = [labels_of(group.stop) for group in groups]
    return union(*labels) if all(labels) else UNLABELLED


@dataclass(frozen=True)
class ScanReport:
    """A scan with what a reader needs first.

    :param target: what the user asked for, in the user's words.
    :param headline: facts for the first lines: name to text.
    """

    target: str
    scan: Scan
    headline: Mapping[str, str]

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return labels_of(self.scan)

    @cached_property
    def ordered(self) -> tuple[Resolution, ...]:
        """Features by worth, then area and id."""
        return tuple(
            sorted(
                self.scan.resolutions,
                key=lambda r: (-r.feature.worth, r.feature.area, r.feature.id),
            )
        )

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many features ended how; see :func:`ending`."""
        counted = Counter(ending(resolution) for resolution in self.scan.resolutions)
        return {name: counted[name] for name in ENDINGS}

    @cached_property
    def lifted(self) -> tuple[StopGroup, ...]:
        """Stops that somebody can lift, the most worth first."""
        groups: dict[tuple[str, Layer, str, str, Labels], list[Resolution]] = {}
        for resolution in self.ordered:
            stop = resolution.stop
            if stop is None or ending(resolution) not in ("stopped", "hidden"):
                continue
            do = stop.remedy.do if stop.remedy else ""
            key = (stop.owner, stop.layer, stop.cause, do, labels_of(stop))
            groups.setdefault(key, []).append(resolution)
        return tuple(
            StopGroup(owner, layer, found[0].stop, tuple(found))
            for (owner, layer, *_), found in groups.items()
            if found[0].stop is not None
        )

    @cached_property
    def left_to_deep(self) -> tuple[Capture, ...]:
        """What `--deep` would add."""
        return tuple(c for c in self.scan.snapshot.captures.values() if c.left_to_deep)

    @cached_property
    def denied(self) -> tuple[Capture, ...]:
        """What root would add."""
        captures = self.scan.snapshot.captures.values()
        return tuple(c for c in captures if c.status is CaptureStatus.DENIED)

    @cached_property
    def broken(self) -> tuple[Capture, ...]:
        """What was looked at and could not be recorded whole."""
        bad = (CaptureStatus.FAILED, CaptureStatus.TIMEOUT, CaptureStatus.TRUNCATED)
        return tuple(c for c in self.scan.snapshot.captures.values() if c.status in bad)


#: How a feature can end, best first.
ENDINGS: Mapping[str, str] = {
    "used": "some layer is seen to use it",
    "offered": "passed on by every layer that was looked at",
    "stopped": "the silicon has it, a layer stops it",
    "hidden": "the silicon has it, something masks it",
    "absent": "the hardware lacks it",
    "unknown": "nobody looked, or it cannot be told from here",
}


def ending(resolution: Resolution) -> str:
    """Return how a feature ends on this machine, a key of :data:`ENDINGS`.

    Where nobody knows whether the silicon has it, what a layer above lacks is no stop yet.
    """
    first = resolution.verdicts[0] if resolution.verdicts else None
    if first and first.layer is Layer.SILICON and first.status is Status.UNKNOWN:
        seen = any(v.status.passes and v.layer in _RUNNING for v in resolution.verdicts)
        return "offered" if seen else "unknown"
    stopping = next((verdict for verdict in resolution.verdicts if verdict.stop), None)
    if stopping is not None:
        return stopping.status.value
    statuses = {verdict.status for verdict in resolution.verdicts}
    if Status.USED in statuses:
        return "used"
    return "offered" if Status.OFFERED in statuses else "unknown"


#: Layers that can only pass on what the silicon below them has.
_RUNNING = frozenset({Layer.KERNEL, Layer.VIRTUALIZATION})
