"""Follow a feature through the layers: verdicts, the first stop, its owner and what lifts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.catalog.model import Catalog, Cause, Chip, Feature, Layer, LayerNeed, Remedy, Test
from uplift.catalog.predicate import words
from uplift.facts.model import Fact, Facts, Missing, Snapshot, Value
from uplift.resolve.chip import identify
from uplift.resolve.model import ChipIdentity, Evidence, Resolution, Status, Stop, Verdict
from uplift.resolve.predicate import Outcome, ask, judge

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

_ARCH_OF_MACHINE = {
    "x86_64": "x86-64",
    "i686": "x86-64",
    "i386": "x86-64",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64el",
    "ppc64": "ppc64el",
}


@dataclass(frozen=True)
class Silicon:
    """What the catalog says of this chip's silicon, and who may mask it.

    :param features: ids that a source lists for the chip.
    :param covered: ids that the source can speak of at all: it lists them for some chip.
    :param masked_by: the hypervisor's name, empty on bare metal, None where nobody knows.
    """

    title: str = ""
    features: frozenset[str] = frozenset()
    covered: frozenset[str] = frozenset()
    source: str = ""
    masked_by: str | None = None


@dataclass(frozen=True)
class Scan:
    """One snapshot judged against the whole catalog."""

    snapshot: Snapshot
    identity: ChipIdentity
    resolutions: tuple[Resolution, ...]


def scan(catalog: Catalog, facts: Facts) -> Scan:
    """Judge every feature of the catalog that exists on the snapshot's architecture."""
    features = tuple(features_for(catalog.features, architecture(facts)))
    identity = identify(facts, catalog.chips, features)
    silicon = silicon_of(identity, catalog.chips, facts)
    return Scan(facts.snapshot, identity, tuple(resolve(f, facts, silicon) for f in features))


def resolve_one(catalog: Catalog, feature: Feature, facts: Facts) -> Resolution:
    """Judge one feature, with what the catalog knows of the snapshot's chip."""
    features = tuple(features_for(catalog.features, architecture(facts)))
    identity = identify(facts, catalog.chips, features)
    return resolve(feature, facts, silicon_of(identity, catalog.chips, facts))


def architecture(facts: Facts) -> str:
    """Return the architecture's name in the catalog, empty where the snapshot does not tell."""
    machine = facts.snapshot.arch
    if not machine and "probe:cpuid" in facts.snapshot.captures:
        return "x86-64"
    return _ARCH_OF_MACHINE.get(machine, machine)


def features_for(features: Iterable[Feature], arch: str) -> Iterator[Feature]:
    """Yield the features that exist on ``arch``; all of them where it is not known."""
    for feature in features:
        if not arch or not feature.arch or arch in feature.arch:
            yield feature


def silicon_of(identity: ChipIdentity, chips: Iterable[Chip], facts: Facts) -> Silicon:
    """Return what the catalog lists for the identified chip."""
    chips = tuple(chips)
    chip = next((c for c in chips if c.codename == identity.codename), None)
    masked_by = _hypervisor(facts)
    if chip is None or not chip.features:
        return Silicon(title=identity.title, masked_by=masked_by)
    covered: set[str] = set()
    for other in chips:
        if other.vendor == chip.vendor:
            covered |= other.features
    source = chip.features_source or chip.source
    return Silicon(chip.title, chip.features, frozenset(covered), source.text, masked_by)


def _hypervisor(facts: Facts) -> str | None:
    """Return who stands between the silicon and this recording: empty for nobody."""
    for name in ("platform.hypervisor", "cpuid.hypervisor"):
        value = facts.value(name)
        if isinstance(value, str) and value:
            return value
    known = facts.value("platform.guest"), facts.value("cpuid.hypervisor")
    if known[0] is True:
        return "a hypervisor"
    return "" if known[0] is False or known[1] == "" else None


def resolve(feature: Feature, facts: Facts, silicon: Silicon | None = None) -> Resolution:
    """Judge each layer of ``feature`` on one snapshot, silicon first.

    :param facts: as recorded; a fact never collected gives UNKNOWN, never ABSENT.
    :param silicon: what the catalog lists for the identified chip, to tell masked from lacking.
    :return: one verdict per layer, each naming the capture that decided it, and the first stop.
    :raises KeyError: a layer names a fact that no parser declares.
    """
    silicon = silicon or Silicon()
    verdicts: list[Verdict] = []
    stop: Stop | None = None
    for need in feature.layers:
        verdict = _judge_layer(feature, need, facts, silicon, stop)
        verdicts.append(verdict)
        stop = stop or verdict.stop
    return Resolution(feature, tuple(verdicts))


def _judge_layer(
    feature: Feature, need: LayerNeed, facts: Facts, silicon: Silicon, earlier: Stop | None
) -> Verdict:
    if need.applies is not None:
        applies = judge(need.applies, facts)
        if applies.holds is False:
            return _verdict(need, Status.NOT_APPLICABLE, _reason(applies), applies, facts)
    outcome = judge(need.needs, facts)
    if outcome.holds is None:
        return _verdict(need, Status.UNKNOWN, _reason(outcome), outcome, facts)
    if outcome.holds:
        return _passing(need, outcome, facts)
    return _failing(feature, need, outcome, facts, silicon, earlier)


def _passing(need: LayerNeed, outcome: Outcome, facts: Facts) -> Verdict:
    if need.used is not None:
        used = judge(need.used, facts)
        if used.holds:
            return _verdict(need, Status.USED, _reason(used), used, facts)
    return _verdict(need, Status.OFFERED, _reason(outcome), outcome, facts)


def _failing(
    feature: Feature,
    need: LayerNeed,
    outcome: Outcome,
    facts: Facts,
    silicon: Silicon,
    earlier: Stop | None,
) -> Verdict:
    for cause in need.causes:
        when = judge(cause.when, facts)
        if when.holds:
            return _explained(need, cause, outcome, when, facts)
    if need.name is Layer.SILICON:
        return _silicon_lacks(feature, need, outcome, facts, silicon)
    if earlier is not None:
        why = f"nothing reaches this layer: stopped at {earlier.layer.value}"
        return _verdict(need, Status.NOT_APPLICABLE, why, outcome, facts)
    why = _reason(outcome)
    stop = Stop(need.name, why, "not-passed-on", _owner(need), need.remedy)
    return _verdict(need, Status.STOPPED, why, outcome, facts, stop)


def _explained(
    need: LayerNeed, cause: Cause, outcome: Outcome, when: Outcome, facts: Facts
) -> Verdict:
    both = Outcome(False, (*outcome.because, *when.because))
    why = f"{cause.cause} ({_reason(when)})"
    owner = cause.owner or _owner(need)
    stop = Stop(need.name, cause.cause, cause.kind, owner, cause.remedy or need.remedy)
    return _verdict(need, Status(cause.status), why, both, facts, stop)


def _silicon_lacks(
    feature: Feature, need: LayerNeed, outcome: Outcome, facts: Facts, silicon: Silicon
) -> Verdict:
    reason = _reason(outcome)
    if feature.id in silicon.features:
        return _hidden(need, reason, outcome, facts, silicon)
    if silicon.masked_by and feature.id not in silicon.covered:
        why = (
            f"{reason}, but {silicon.masked_by} may mask it: "
            f"no source lists whether {silicon.title or 'this chip'} has it"
        )
        return _verdict(need, Status.UNKNOWN, why, outcome, facts)
    stop = Stop(need.name, "the hardware lacks it", "hardware", _owner(need), need.remedy)
    return _verdict(need, Status.ABSENT, reason, outcome, facts, stop)


def _hidden(
    need: LayerNeed, reason: str, outcome: Outcome, facts: Facts, silicon: Silicon
) -> Verdict:
    if silicon.masked_by:
        who, kind, owner = silicon.masked_by, "hypervisor", "host administrator"
        remedy = Remedy("cpu-model", "expose it in the guest's CPU model, or use host-passthrough")
    else:
        who, kind, owner = "firmware or microcode", "firmware", "platform vendor"
        remedy = Remedy(
            "firmware-setting", "look for it in the firmware's setup; update firmware and microcode"
        )
    cause = f"{who} hides it: {silicon.title} has it"
    stop = Stop(need.name, cause, kind, owner, remedy)
    why = f"{cause} ({silicon.source}); {reason}"
    return _verdict(need, Status.HIDDEN, why, outcome, facts, stop)


def _owner(need: LayerNeed) -> str:
    return need.owner or OWNERS[need.name]


def _verdict(
    need: LayerNeed,
    status: Status,
    why: str,
    outcome: Outcome,
    facts: Facts,
    stop: Stop | None = None,
) -> Verdict:
    return Verdict(need.name, status, why, tuple(_evidence(outcome, facts)), stop)


def _evidence(outcome: Outcome, facts: Facts) -> Iterator[Evidence]:
    for test, found in outcome.because:
        if isinstance(found, Fact):
            capture = facts.snapshot.captures[found.capture]
            yield Evidence(found.name, _shown(test, found.value), found.capture, capture.sha256)
        else:
            for capture_id in found.captures:
                yield Evidence(found.name, None, capture_id)


def _shown(test: Test, value: Value) -> Value:
    """Return what of ``value`` the test looked at: one word's presence, not the whole set."""
    if isinstance(value, (frozenset, tuple)):
        return bool(ask(test, value))
    return value


def _reason(outcome: Outcome) -> str:
    return "; ".join(dict.fromkeys(_clause(test, found) for test, found in outcome.because))


def _clause(test: Test, found: Fact | Missing) -> str:
    if isinstance(found, Missing):
        return found.why
    holds = ask(test, found.value)
    if test.op == "bit":
        return f"{test.fact} bit {test.operand} is {int(bool(holds))} in {found.capture}"
    if test.op == "has":
        return f"{test.fact} {'has' if holds else 'lacks'} {test.operand} in {found.capture}"
    if test.op.startswith("bits-"):
        field = int(found.value) >> test.low & (1 << test.high - test.low + 1) - 1  # type: ignore[arg-type]
        return f"{test.fact}[{test.high}:{test.low}] is {field} in {found.capture}"
    value = found.value if found.value != "" else "empty"
    wanted = "" if holds else f", not {words(test).split(' ', 1)[1]}"
    return f"{test.fact} is {value}{wanted} in {found.capture}"
