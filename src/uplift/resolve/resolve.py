"""Follow a feature through the layers: verdicts, the first stop, its owner and what lifts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from uplift.catalog.labels import union
from uplift.catalog.model import UNLABELLED, Cause, Feature, Labels, Layer, LayerNeed, Remedy
from uplift.catalog.predicate import tests
from uplift.facts.model import Facts
from uplift.resolve.account import reason
from uplift.resolve.model import Resolution, Status, Stop, Verdict, Why
from uplift.resolve.predicate import Outcome, judge

#: Whose layer it is, unless the catalog says otherwise.
OWNERS: Mapping[Layer, str] = {
    Layer.SILICON: "silicon vendor",
    Layer.FIRMWARE: "platform vendor",
    Layer.KERNEL_BUILD: "distribution kernel team",
    Layer.KERNEL: "distribution kernel team",
    Layer.VIRTUALIZATION: "host administrator",
    Layer.TOOLCHAIN: "distribution toolchain team",
    Layer.LIBC: "distribution C library team",
    Layer.LIBRARY: "distribution package team",
    Layer.NETWORK: "network administrator",
    Layer.WORKLOAD: "system administrator",
}


@dataclass(frozen=True)
class Silicon:
    """What the catalog says of this chip's silicon, and who may mask it.

    :param features: ids that a source lists for the chip.
    :param covered: ids of which the source says whether the chip has them.
    :param masked_by: the hypervisor's name, empty on bare metal, None where nobody knows.
    :param labels: of the overlays that name the chip or list its features.
    :param private: ids that only an overlay lists, to its labels.
    """

    title: str = ""
    features: frozenset[str] = frozenset()
    covered: frozenset[str] = frozenset()
    source: str = ""
    masked_by: str | None = None
    labels: Labels = UNLABELLED
    private: Mapping[str, Labels] = field(default_factory=dict)

    def labels_for(self, feature: str) -> Labels:
        """Return the labels of what is said here of one feature."""
        return self.labels | self.private.get(feature, UNLABELLED)


class _Above(NamedTuple):
    """The layers above a feature's first, and what each comes to where nothing was recorded."""

    feature: Feature  #: kept, so that its identity is not given to another
    parsers: tuple[frozenset[str], ...]
    any_parser: frozenset[str]
    verdicts: tuple[Verdict, ...]


class Unasked:
    """Verdicts of layers of which nothing at all was recorded: the same for every such snapshot.

    A recording of silicon leaves most layers above it so; judging many recordings asks them once.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Above] = {}

    def above(self, feature: Feature, facts: Facts) -> _Above:
        """Return what the layers above the first come to where nobody looked."""
        known = self._known.get(id(feature))
        if known is None:
            known = self._known[id(feature)] = _ask_nobody(feature, facts.emptied())
        return known


def _ask_nobody(feature: Feature, nothing: Facts) -> _Above:
    above = feature.layers[1:]
    parsers = tuple(frozenset(_parsers_of(need, nothing)) for need in above)
    verdicts = tuple(_unasked(need, nothing) for need in above)
    return _Above(feature, parsers, frozenset().union(*parsers), verdicts)


def _unasked(need: LayerNeed, nothing: Facts) -> Verdict:
    outcome = judge(need.needs, nothing)
    return Verdict(need.name, Status.UNKNOWN, outcome, {}, labels=need.labels)


def _parsers_of(need: LayerNeed, facts: Facts) -> Iterator[str]:
    """Yield the names of the parsers whose facts can decide ``need``."""
    for predicate in (need.needs, need.applies):
        if predicate is not None:
            yield from (facts.parser_of(test.fact).name for test in tests(predicate))


def resolve(feature: Feature, facts: Facts, silicon: Silicon | None = None) -> Resolution:
    """Judge each layer of ``feature`` on one snapshot, silicon first.

    :param facts: as recorded; a fact never collected gives UNKNOWN, never ABSENT.
    :param silicon: what the catalog lists for the identified chip, to tell masked from lacking.
    :return: one verdict per layer, each naming the capture that decided it, and the first stop.
    :raises KeyError: a layer names a fact that no parser declares.
    """
    return Resolver(facts, silicon or Silicon(), Unasked()).resolve(feature)


class Resolver:
    """Judges features on one snapshot.

    :param silicon: what the catalog lists for the identified chip.
    :param unasked: shared by the resolvers of many snapshots, to save time.
    :param asked: what the silicon's own predicates came to, where somebody judged them already.
    """

    def __init__(
        self,
        facts: Facts,
        silicon: Silicon,
        unasked: Unasked,
        asked: Mapping[str, Outcome] | None = None,
    ) -> None:
        self._asked = asked or {}
        self._facts = facts
        self._silicon = silicon
        self._unasked = unasked

    def resolve(self, feature: Feature) -> Resolution:
        """Judge each layer of ``feature``; see :func:`resolve`."""
        if not feature.layers:
            return Resolution(feature, ())
        judge_layer = _Judge(feature, self._facts, self._silicon).layer
        first = judge_layer(feature.layers[0], (), self._asked.get(feature.id))
        above = self._unasked.above(feature, self._facts)
        collected = self._facts.collected
        if above.any_parser.isdisjoint(collected):
            return Resolution(feature, (first, *above.verdicts))
        verdicts = [first]
        for need, parsers, nobody in zip(
            feature.layers[1:], above.parsers, above.verdicts, strict=True
        ):
            looked = not parsers.isdisjoint(collected)
            verdicts.append(judge_layer(need, verdicts) if looked else nobody)
        return Resolution(feature, tuple(verdicts))

    def lacking(self, feature: Feature) -> Resolution:
        """Judge the silicon alone: what it lacks reaches no other layer."""
        judge_layer = _Judge(feature, self._facts, self._silicon).layer
        return Resolution(
            feature, (judge_layer(feature.layers[0], (), self._asked.get(feature.id)),)
        )


class _Judge(NamedTuple):
    """Judges the layers of one feature on one snapshot."""

    feature: Feature
    facts: Facts
    silicon: Silicon

    def layer(
        self, need: LayerNeed, below: Sequence[Verdict], outcome: Outcome | None = None
    ) -> Verdict:
        """Judge one layer, given the verdicts below it and, if known, what its needs came to."""
        if need.applies is not None:
            applies = judge(need.applies, self.facts)
            if applies.holds is False:
                return self._verdict(need, Status.NOT_APPLICABLE, applies)
        outcome = outcome or judge(need.needs, self.facts)
        if outcome.holds is None:
            return self._verdict(need, Status.UNKNOWN, outcome)
        if outcome.holds:
            return self._passing(need, outcome)
        return self._failing(need, outcome, below)

    def _passing(self, need: LayerNeed, outcome: Outcome) -> Verdict:
        if need.used is not None:
            used = judge(need.used, self.facts)
            if used.holds:
                return self._verdict(need, Status.USED, used)
        return self._verdict(need, Status.OFFERED, outcome)

    def _failing(self, need: LayerNeed, outcome: Outcome, below: Sequence[Verdict]) -> Verdict:
        for cause in need.causes:
            when = judge(cause.when, self.facts)
            if when.holds:
                return self._explained(need, cause, outcome, when)
        if need.name is Layer.SILICON:
            told = self.silicon.labels_for(self.feature.id)
            return self._silicon_lacks(need, outcome).labelled(told)
        if need.name in _BUILT:
            return self._not_passed_on(need, outcome)
        inherited = union(*(verdict.labels for verdict in below))
        return self._over(below, need, outcome).labelled(inherited)

    def _over(self, below: Sequence[Verdict], need: LayerNeed, outcome: Outcome) -> Verdict:
        """Judge a layer that lacks the feature by what the layers below it came to."""
        stopped = next((v for v in below if v.stop and v.layer not in STOPS_NOTHING_ABOVE), None)
        if stopped is not None:
            why = Why(f"nothing reaches this layer: stopped at {stopped.layer.value}", None)
            return self._verdict(need, Status.NOT_APPLICABLE, outcome, why)
        if below and below[0].layer is Layer.SILICON and below[0].status is Status.UNKNOWN:
            return self._over_unknown_silicon(need, outcome)
        return self._not_passed_on(need, outcome)

    def _over_unknown_silicon(self, need: LayerNeed, outcome: Outcome) -> Verdict:
        told = self.silicon.labels_for(self.feature.id)
        if self.feature.id in self.silicon.features:
            has = f"; {self.silicon.title} has it ({self.silicon.source})"
            return self._not_passed_on(need, outcome, has).labelled(told)
        why = Why("", outcome, "; whether the silicon has it was not recorded")
        return self._verdict(need, Status.UNKNOWN, outcome, why).labelled(told)

    def _not_passed_on(self, need: LayerNeed, outcome: Outcome, after: str = "") -> Verdict:
        told = reason(outcome, cite=False)
        stop = Stop(need.name, told, NOT_PASSED_ON, self._owner(need), need.remedy)
        return self._verdict(need, Status.STOPPED, outcome, Why("", outcome, after), stop)

    def _explained(self, need: LayerNeed, cause: Cause, outcome: Outcome, when: Outcome) -> Verdict:
        both = Outcome(False, (*outcome.because, *when.because))
        owner = cause.owner or self._owner(need)
        stop = Stop(need.name, cause.cause, cause.kind, owner, cause.remedy or need.remedy)
        why = Why(f"{cause.cause} (", when, ")")
        return self._verdict(need, Status(cause.status), both, why, stop).labelled(cause.labels)

    def _silicon_lacks(self, need: LayerNeed, outcome: Outcome) -> Verdict:
        masked_by = self.silicon.masked_by
        if self.feature.id in self.silicon.features:
            return self._hidden(need, outcome)
        if masked_by and self.feature.id not in self.silicon.covered:
            title = self.silicon.title or "this chip"
            may = f", but {masked_by} may mask it: no source lists whether {title} has it"
            return self._verdict(need, Status.UNKNOWN, outcome, Why("", outcome, may))
        stop = Stop(need.name, "the hardware lacks it", "hardware", self._owner(need), need.remedy)
        return self._verdict(need, Status.ABSENT, outcome, stop=stop)

    def _hidden(self, need: LayerNeed, outcome: Outcome) -> Verdict:
        chip = self.silicon
        if not chip.masked_by and "x86-64" not in self.feature.arch:
            return self._optional(need, outcome)
        kind = "hypervisor" if chip.masked_by else "firmware"
        who = chip.masked_by or _WHO_ELSE[chip.masked_by is None]
        owner = "host administrator" if chip.masked_by else OWNERS[Layer.FIRMWARE]
        cause = f"{who} hides it: {chip.title} has it"
        stop = Stop(need.name, cause, kind, owner, _UNMASK[kind])
        why = Why(f"{cause} ({chip.source}); ", outcome)
        return self._verdict(need, Status.HIDDEN, outcome, why, stop)

    def _optional(self, need: LayerNeed, outcome: Outcome) -> Verdict:
        """Say that nobody can tell: a core's licensee may leave out what its lists name."""
        title, source = self.silicon.title, self.silicon.source
        after = f"; {source} lists it for {title}, where it may be optional or hidden below Linux"
        return self._verdict(need, Status.UNKNOWN, outcome, Why("", outcome, after))

    def _owner(self, need: LayerNeed) -> str:
        """Return whose layer it is; a guest's firmware belongs to who runs the host."""
        if need.name is Layer.FIRMWARE and self.silicon.masked_by:
            return OWNERS[Layer.VIRTUALIZATION]
        return need.owner or OWNERS[need.name]

    def _verdict(
        self,
        need: LayerNeed,
        status: Status,
        outcome: Outcome,
        why: Why | None = None,
        stop: Stop | None = None,
    ) -> Verdict:
        captures = self.facts.snapshot.captures
        stop = stop._replace(labels=need.labels) if stop and need.labels else stop
        return Verdict(need.name, status, outcome, captures, why, stop, need.labels)


#: The kind of a stop for which the catalog knows no cause.
NOT_PASSED_ON = "not-passed-on"

#: What guests do not get stops nothing on the host, and what this compiler cannot build stops no
#: package: others were built elsewhere, and assembly or an older option may do without it.
STOPS_NOTHING_ABOVE = frozenset({Layer.VIRTUALIZATION, Layer.TOOLCHAIN})

#: Built before any machine is seen: what these layers lack does not depend on the silicon here.
_BUILT = frozenset({Layer.KERNEL_BUILD, Layer.TOOLCHAIN})

#: Who may hide a bit of bare metal, and of a recording that does not say whether it was a guest.
_WHO_ELSE = (
    "firmware, microcode or the product's segment",
    "a hypervisor, firmware, microcode or the product's segment",
)

_UNMASK = {
    "hypervisor": Remedy(
        "cpu-model", "expose it in the guest's CPU model, or use host-passthrough"
    ),
    "firmware": Remedy(
        "firmware-setting", "look for it in the firmware's setup; update firmware and microcode"
    ),
}
