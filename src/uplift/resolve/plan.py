"""What has to change for a feature to pass every layer: remedies in order, each with its owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from uplift.catalog.model import UNLABELLED, Labels, Layer, Remedy
from uplift.resolve.model import Resolution, Status, Verdict


@dataclass(frozen=True)
class Action:
    """One step of a plan.

    :param remedy: None where nothing is known to lift the layer's stop.
    :param reason: why the step is needed, as the verdict says it.
    """

    layer: Layer
    owner: str
    remedy: Remedy | None
    reason: str
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class Plan:
    """The steps for one feature.

    :param possible: False where the hardware lacks the feature: no step helps.
    :param unknown: verdicts that may turn out to be further stops once somebody looks.
    """

    resolution: Resolution
    actions: tuple[Action, ...]
    possible: bool
    unknown: tuple[Verdict, ...]

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return self.resolution.labels


def plan(resolution: Resolution) -> Plan:
    """Plan the lift of one feature: the first stop's remedy, then those of later known stops."""
    stops = [verdict for verdict in resolution.verdicts if verdict.stop]
    unknown = tuple(v for v in resolution.verdicts if v.status is Status.UNKNOWN)
    if stops and stops[0].status is Status.ABSENT:
        return Plan(resolution, (), False, unknown)
    return Plan(resolution, tuple(_actions(stops)), True, unknown)


def _actions(stops: Iterable[Verdict]) -> Iterator[Action]:
    for verdict in stops:
        if verdict.stop:
            stop = verdict.stop
            yield Action(verdict.layer, stop.owner, stop.remedy, verdict.why, verdict.labels)
