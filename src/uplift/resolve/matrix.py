"""The matrix: what each release does with each feature of a chip, planned from recordings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from uplift.catalog.kernel_options import Offer, load_kernel_options
from uplift.catalog.kvm_exposure import Exposure, load_exposures
from uplift.catalog.labels import union
from uplift.catalog.model import Catalog, Feature, Labels, Layer, Remedy, Since, Test
from uplift.catalog.releases import ARCHITECTURES, CITED, SelectedRelease
from uplift.catalog.since import load_since
from uplift.facts.model import Fact, Facts, Missing
from uplift.resolve.chip_side import ChipSide, chip_side, silicon_status
from uplift.resolve.compose import completed, compose
from uplift.resolve.guest_versions import newer_for_guests
from uplift.resolve.model import Resolution, Status, Stop, Verdict
from uplift.resolve.plan_facts import PlanFacts
from uplift.resolve.predicate import Outcome, ask, judge, version_key
from uplift.resolve.predict.versions import TABLE
from uplift.resolve.resolve import NOT_PASSED_ON, STOPS_NOTHING_ABOVE, Resolver, Unasked
from uplift.resolve.scan import features_for


class Answer(str, Enum):
    """Whether a use of a feature is open on a chip under a release."""

    USABLE = "usable"
    STOPPED = "stopped"  #: the silicon has it, and something above does not pass it on
    ABSENT = "absent"  #: the hardware lacks it
    UNKNOWN = "unknown"  #: nobody looked, or it cannot be told before there is a machine
    NOT_APPLICABLE = "not-applicable"  #: nothing of this kind is asked of the feature


class Use(str, Enum):
    """The four uses that a cell answers for."""

    HOST = "host"  #: by programs on the machine itself
    GUEST = "guest"  #: by programs in a KVM guest
    PACKAGES = "packages"  #: by the release's packages as they were built
    REBUILD = "rebuild"  #: by a package rebuilt with the release's compilers


#: The layers that decide each use, above the silicon.
_LAYERS: Mapping[Use, tuple[Layer, ...]] = {
    Use.HOST: (Layer.FIRMWARE, Layer.KERNEL_BUILD, Layer.KERNEL),
    Use.GUEST: (Layer.VIRTUALIZATION,),
    Use.PACKAGES: (Layer.LIBC, Layer.LIBRARY),
    Use.REBUILD: (Layer.TOOLCHAIN,),
}


class UseVerdict(NamedTuple):
    """One use's answer.

    :param said: the verdict that decided, or the reason where none did.
    :param stop: whose stop it is, where the answer is stopped.
    :param condition: what must hold besides.
    :param since: the first upstream release that lifts the stop, where it is told.
    """

    answer: Answer
    said: Verdict | str
    stop: Stop | None = None
    condition: str = ""
    since: Since | None = None

    @property
    def why(self) -> str:
        """The reason in one line, made when it is asked for."""
        told = self.said if isinstance(self.said, str) else self.said.why
        return told + self.condition


@dataclass(frozen=True)
class Cell:
    """One feature of one chip under one release.

    :param uses: every use with its answer.
    :param basis: what the release's side of it stands on, the weakest of all: ``recorded``,
        ``derived`` (a recorded version and a table of versions) or ``cited``; ``none`` where the
        release was not asked, for the silicon decides.
    :param chip_basis: the same of the chip's side.
    :param since: the first upstream release that lifts the stop.
    """

    chip: str
    release: str
    resolution: Resolution
    uses: Mapping[Use, UseVerdict]
    basis: str
    chip_basis: str
    stop: Stop | None
    since: Since | None
    labels: Labels

    @property
    def feature(self) -> Feature:
        """The feature that the cell is about."""
        return self.resolution.feature

    @property
    def in_silicon(self) -> bool:
        """Whether the silicon is known to have it, or nothing is asked of the silicon."""
        silicon = _at(self.resolution, Layer.SILICON)
        return silicon is None or silicon.status.passes


class ReleaseSide(NamedTuple):
    """A release and its recorded facts, parsed once for all chips."""

    release: SelectedRelease
    recorded: Facts


def plan(
    side: ChipSide,
    release: ReleaseSide,
    catalog: Catalog,
    wanted: Iterable[str] = (),
    asked: Mapping[str, Outcome] | None = None,
) -> Iterator[Cell]:
    """Yield a cell for every feature of the chip's architecture.

    :param wanted: ids of features; empty: all of them that exist on some architectures only.
    :param asked: what :func:`ask_silicon` said of the chip, where many releases are planned.
    """
    chosen = frozenset(wanted)
    asked = ask_silicon(side, catalog) if asked is None else asked
    facts = compose(_chip_facts(side, catalog), release.release, release.recorded)
    resolver = Resolver(facts, side.listed, _unasked(catalog), asked)
    for feature in features_for(catalog.features, side.arch):
        if feature.id in chosen or (not chosen and feature.arch):
            lacking = feature.id in asked and asked[feature.id].holds is False
            resolution = resolver.lacking(feature) if lacking else resolver.resolve(feature)
            yield _cell(side, release.release, resolution, facts)


def _chip_facts(side: ChipSide, catalog: Catalog) -> Facts:
    """Return the chip's facts; where a dump is silent, those that its chip's list comes to."""
    if side.made or side.identity is None:
        return side.facts
    named = side.identity.codename
    chip = next((chip for chip in catalog.chips if chip.codename == named), None)
    return completed(side.facts, chip_side(chip, catalog).facts) if chip else side.facts


def ask_silicon(side: ChipSide, catalog: Catalog) -> Mapping[str, Outcome]:
    """Return what each feature's silicon comes to on a chip."""
    return {
        feature.id: _silicon(side, feature)
        for feature in features_for(catalog.features, side.arch)
        if feature.layers and feature.layers[0].name is Layer.SILICON
    }


@lru_cache(maxsize=4)
def _unasked(catalog: Catalog) -> Unasked:
    return Unasked()


def _silicon(side: ChipSide, feature: Feature) -> Outcome:
    """Return what the silicon's predicate comes to, with the list or the dump as its reason."""
    status = silicon_status(side, feature)
    first = feature.layers[0]
    outcome = judge(first.needs, side.facts)
    if outcome.holds is status.holds and status.holds is not None:
        return outcome
    told = tuple((test, Missing(test.fact, status.why)) for test, _ in outcome.because[:1])
    return Outcome(status.holds, told)


def _cell(
    side: ChipSide, release: SelectedRelease, resolution: Resolution, facts: PlanFacts
) -> Cell:
    uses = {use: _refined(_use(use, resolution), resolution, facts) for use in Use}
    first = next((found for found in uses.values() if found.stop), None)
    stop = first.stop if first else resolution.stop
    return Cell(
        chip=side.name,
        release=release.name,
        resolution=resolution,
        uses=uses,
        basis=_basis(resolution.verdicts, facts),
        chip_basis=side.basis,
        stop=stop,
        since=first.since if first else None,
        labels=union(side.labels, release.labels, resolution.labels),
    )


def _refined(found: UseVerdict, resolution: Resolution, facts: PlanFacts) -> UseVerdict:
    """Say of a stop which upstream release lifts it: that of its own cause, where it is known."""
    stop = found.stop
    if found.answer is not Answer.STOPPED or stop is None:
        return found
    need = next((n for n in resolution.feature.layers if n.name is stop.layer), None)
    verdict = _at(resolution, stop.layer)
    told = found._replace(since=need.since if need else None)
    if verdict is not None and stop.layer is Layer.KERNEL_BUILD:
        return _missing_option(told, stop, verdict, facts)
    if verdict is not None and stop.layer is Layer.VIRTUALIZATION:
        newer = newer_for_guests(need.needs, facts) if need and stop.kind == NOT_PASSED_ON else None
        if newer is not None:
            return told._replace(stop=newer.stop(stop, facts), since=newer.since)
        return _missing_in_kvm(told, stop, verdict, facts)
    return told


def _missing_option(
    found: UseVerdict, stop: Stop, verdict: Verdict, facts: PlanFacts
) -> UseVerdict:
    """Say so where the stop is an option that this version of Linux does not have at all."""
    asked = dict.fromkeys(test.fact for test, _ in verdict.outcome.because)
    options = [name.removeprefix(OPTION) for name in asked if name.startswith(OPTION)]
    later = {option: first for option in options if (first := _comes_later(option, facts))}
    if not later or len(later) < len(options):
        return found
    words = ", ".join(f"CONFIG_{option}" for option in later)
    cause = f"Linux {_series(facts)} does not have {words} yet"
    known = [first for first in later.values() if first != _LATER]
    newest = max(known, key=version_key) if known else ""
    named = f"Linux {newest} or later" if newest else "a newer Linux"
    remedy = Remedy("kernel", f"boot {named}, which has {words}, or backport it")
    since = Since("linux", newest) if newest else None
    return found._replace(stop=stop._replace(cause=cause, remedy=remedy), since=since)


def _missing_in_kvm(
    found: UseVerdict, stop: Stop, verdict: Verdict, facts: PlanFacts
) -> UseVerdict:
    """Say which Linux's KVM offers a bit that this one's does not, and which QEMU knows it."""
    if stop.remedy is None or stop.remedy.kind != "kernel":
        return found
    lacking = next((bit for test in verdict.outcome.because if (bit := _kvm_bit(*test))), None)
    if lacking is None:
        return found
    exposure = _exposure(*lacking)
    vendor = "amd" if facts.chip.value("cpuid.vendor") == "AuthenticAMD" else "intel"
    since = exposure.since.get(vendor) if exposure else None
    if exposure is None or since is None or not since.version:
        return found._replace(since=None)
    if since.has(str(facts.value("kernel.release") or "")) is not False:
        return found._replace(since=None)  # the version has it: something clears it on this host
    cause = re.sub("though Linux [0-9.]+ can", f"Linux {since.version} does", stop.cause)
    do = f"boot Linux {since.version} or later, whose KVM offers it"
    qemu, newer = facts.value("qemu.version"), exposure.qemu_since.version
    if qemu and newer and version_key(str(qemu)) < version_key(newer):
        do += f", and install QEMU {newer} or later"
    told = stop._replace(cause=cause, remedy=Remedy("kernel", do))
    return found._replace(stop=told, since=Since("linux", since.version))


def _kvm_bit(test: Test, fact: Fact | Missing) -> tuple[str, int] | None:
    """Return the register and the bit of CPUID that a test found KVM to lack."""
    if not test.fact.startswith("kvm.cpuid.") or not isinstance(fact, Fact):
        return None
    if test.op == "bit" and ask(test, fact.value) is False:
        return test.fact.removeprefix("kvm."), int(test.operand)
    if test.op.startswith("bits-") and ask(test, fact.value) is False:
        return test.fact.removeprefix("kvm."), test.low
    return None


def _exposure(register: str, bit: int) -> Exposure | None:
    """Return what is known of a bit; of a number's lowest bit, what is known of its register."""
    same = [exposure for exposure in load_exposures() if exposure.fact == register]
    return next((exposure for exposure in same if exposure.bit == bit), next(iter(same), None))


#: How the facts of kernel options begin.
OPTION = "kernel.config.CONFIG_"


_LATER = "later"


def _comes_later(option: str, facts: PlanFacts) -> str:
    """Return the first Linux read that has an option which the release's Linux lacks.

    :return: a version; ``later`` where the bracket is not known; empty where the release's has it.
    """
    since = load_since().get(("linux", "kconfig", ""), {}).get(f"CONFIG_{option}")
    if since is not None:
        lacks = since.has(str(facts.value("kernel.release") or "")) is False
        return since.version if lacks else ""
    series = tuple(int(part) for part in _series(facts).split(".") if part.isdigit())
    offer = load_kernel_options().offer(option, series, _catalog_arch(facts))
    return _LATER if offer is Offer.NOT_THIS_VERSION else ""


def _series(facts: PlanFacts) -> str:
    release = facts.value("kernel.release")
    return ".".join(map(str, version_key(str(release))[:2])) if release else ""


def _catalog_arch(facts: PlanFacts) -> str:
    machine = facts.snapshot.arch
    return next((arch for arch, uname in ARCHITECTURES.values() if uname == machine), machine)


def _use(use: Use, resolution: Resolution) -> UseVerdict:
    silicon = _at(resolution, Layer.SILICON)
    if silicon and silicon.status.stops:
        return UseVerdict(Answer.ABSENT, silicon, silicon.stop)
    asked = [v for v in resolution.verdicts if v.layer in _LAYERS[use]]
    if use is not Use.HOST and not asked:
        return UseVerdict(Answer.NOT_APPLICABLE, _UNASKED[use])
    if silicon and silicon.status is Status.UNKNOWN:
        return UseVerdict(Answer.UNKNOWN, silicon)
    if use is Use.HOST:
        return _host(silicon, asked)
    if use is Use.PACKAGES:
        found = _one_of([v for v in asked if _was_audited(v)] or asked, resolution)
        return _behind_host(found, silicon, resolution)
    found = _one_of(asked, resolution)
    return _behind_firmware(found, resolution) if use is Use.GUEST else found


def _was_audited(verdict: Verdict) -> bool:
    """Whether packages' own code decided: that a library tells of a feature is not yet a use."""
    asked = (test.fact for test, _ in verdict.outcome.because)
    return verdict.status is not Status.UNKNOWN and any(fact.startswith("isa.") for fact in asked)


def _behind_host(found: UseVerdict, silicon: Verdict | None, resolution: Resolution) -> UseVerdict:
    """Bind packages to their host: what no program gets there, those that hold it do not get."""
    if found.answer is not Answer.USABLE:
        return found
    host = _host(silicon, [v for v in resolution.verdicts if v.layer in _LAYERS[Use.HOST]])
    return host if host.answer is Answer.STOPPED else found


def _behind_firmware(found: UseVerdict, resolution: Resolution) -> UseVerdict:
    """Bind a guest to the firmware of its host: what is off there reaches nobody."""
    firmware = _at(resolution, Layer.FIRMWARE)
    if firmware is None or found.answer is not Answer.USABLE:
        return found
    if firmware.status.stops:
        return UseVerdict(Answer.STOPPED, firmware, firmware.stop)
    return found if firmware.status is Status.NOT_APPLICABLE else found._replace(condition=_IF_LEFT)


def _at(resolution: Resolution, layer: Layer) -> Verdict | None:
    return next((v for v in resolution.verdicts if v.layer is layer), None)


def _host(silicon: Verdict | None, asked: Sequence[Verdict]) -> UseVerdict:
    """Every layer must pass it on; what firmware does is seen on a machine, not in a plan."""
    stopped = next((v for v in asked if v.status.stops), None)
    if stopped is not None:
        return UseVerdict(Answer.STOPPED, stopped, stopped.stop)
    open_ = [v for v in asked if v.status is Status.UNKNOWN]
    unknown = next((v for v in open_ if v.layer is not Layer.FIRMWARE), None)
    if unknown is not None:
        return UseVerdict(Answer.UNKNOWN, unknown)
    decided = [v for v in (*asked, silicon) if v is not None and v.status.passes]
    if not decided:
        return UseVerdict(Answer.NOT_APPLICABLE, "nothing is asked of the kernel")
    # a plan takes the flags from CPUID, so firmware that may clear them is always a condition
    firmware = any(v.layer is Layer.FIRMWARE for v in asked)
    return UseVerdict(Answer.USABLE, decided[0], None, _IF_LEFT if firmware else "")


_IF_LEFT = "; if the firmware leaves it on"


def _one_of(asked: Sequence[Verdict], resolution: Resolution) -> UseVerdict:
    """One layer of the use is enough: one library that dispatches to it, one compiler."""
    passing = next((v for v in asked if v.status.passes), None)
    if passing is not None:
        return UseVerdict(Answer.USABLE, passing)
    unknown = next((v for v in asked if v.status is Status.UNKNOWN), None)
    if unknown is not None:
        return UseVerdict(Answer.UNKNOWN, unknown)
    stopped = next((v for v in asked if v.status.stops), None)
    if stopped is not None:
        return UseVerdict(Answer.STOPPED, stopped, stopped.stop)
    below = (v.stop for v in resolution.verdicts if v.layer not in STOPS_NOTHING_ABOVE)
    stop = next(filter(None, below), None)
    if stop is not None:
        return UseVerdict(Answer.STOPPED, asked[0], stop)
    return UseVerdict(Answer.NOT_APPLICABLE, asked[0])


_UNASKED = {
    Use.GUEST: "the catalog asks nothing of virtualization for it",
    Use.PACKAGES: "no package of the catalog is known to dispatch to it",
    Use.REBUILD: "it is no matter of compilers",
}


#: From the weakest to the strongest.
_BASES = ("cited", "derived", "recorded")


def _basis(verdicts: Sequence[Verdict], facts: PlanFacts) -> str:
    """Return the weakest thing that a verdict above the silicon rests on."""
    above = [v for v in verdicts if v.layer is not Layer.SILICON]
    captures = frozenset[str]().union(
        *(facts.inputs_of(found.capture) for v in above for found in _facts_of(v.outcome))
    )
    kinds = {_kind(name) for name in captures if name not in facts.chip.snapshot.captures}
    return next((kind for kind in _BASES if kind in kinds), "none")


def _facts_of(outcome: Outcome) -> Iterator[Fact]:
    return (found for _, found in outcome.because if isinstance(found, Fact))


def _kind(capture: str) -> str:
    if capture.startswith(CITED):
        return "cited"
    return "derived" if capture.startswith(TABLE) else "recorded"
