"""The chip's side of a plan: what a chip is and has, from a dump, an emulator's model or a list.

Of each feature it says yes, no or unknown, and where that comes from. A dump answers what it shows;
a list answers what it names and what it denies; nobody else is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from uplift.catalog.labels import labels_of, union
from uplift.catalog.model import UNLABELLED, Catalog, Chip, Feature, Labels, Layer
from uplift.catalog.predicate import tests
from uplift.facts.model import Facts, Snapshot
from uplift.facts.parsers import read_facts
from uplift.resolve.account import reason
from uplift.resolve.chip import identify, judge_silicon
from uplift.resolve.made_chip import SiliconList, make
from uplift.resolve.model import ChipIdentity
from uplift.resolve.predicate import Outcome, judge
from uplift.resolve.resolve import Silicon
from uplift.resolve.scan import architecture, features_for, listed_silicon, silicon_of


@dataclass(frozen=True)
class ChipSide:
    """A chip to plan for.

    :param name: the code name, ``qemu:MODEL``, or the recording's stem.
    :param facts: of the chip's snapshot (kind ``chip``).
    :param listed: what the catalog lists, denies and can speak of.
    :param basis: ``recorded`` (a dump), ``derived`` (upstream's lists) or ``cited`` (a document).
    :param made: the registers were made from the list, not read.
    :param labels: of the overlays that it comes from.
    :param identity: which chip a recording is of; None for a list.
    :param disagree: listed features that the made registers do not show, with the reason.
    """

    name: str
    title: str
    arch: str
    facts: Facts
    listed: Silicon
    basis: str
    made: bool
    labels: Labels = UNLABELLED
    identity: ChipIdentity | None = None
    disagree: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SiliconStatus:
    """Whether the silicon has a feature.

    :param holds: None where nobody knows, or where nothing is asked of the silicon.
    :param source: the capture or the list that says so; empty where nobody does.
    :param applies: False where the feature asks nothing of the silicon, or of this one.
    """

    holds: bool | None
    why: str
    source: str = ""
    applies: bool = True


def chip_side(chip: Chip, catalog: Catalog) -> ChipSide:
    """Return the side of a chip that the catalog lists, its registers made from the list."""
    source = chip.features_source or chip.source
    listed = listed_silicon(catalog).get(chip.codename) or Silicon(chip.title, source=source.text)
    mine = tuple(features_for(catalog.features, chip.arch))
    made = make(
        chip,
        SiliconList(
            has=tuple(f for f in mine if f.id in listed.features),
            lacks=tuple(f for f in mine if f.id in listed.covered - listed.features),
            source=source.text,
        ),
    )
    return ChipSide(
        name=chip.codename,
        title=chip.title,
        arch=chip.arch,
        facts=read_facts(made.snapshot),
        listed=listed,
        basis=source.kind,
        made=True,
        labels=union(labels_of(chip), listed.labels),
        disagree=made.disagree,
    )


def recorded_chip(name: str, snapshot: Snapshot, catalog: Catalog) -> ChipSide:
    """Return the side of a chip that somebody recorded.

    :param snapshot: any that tells of the silicon: a CPUID dump, a machine's snapshot.
    """
    facts = read_facts(snapshot)
    arch = architecture(facts)
    asked = judge_silicon(facts, features_for(catalog.features, arch))
    identity = identify(facts, catalog.chips, asked)
    listed = silicon_of(identity, catalog, facts)
    return ChipSide(
        name=name,
        title=_title(name, identity),
        arch=arch,
        facts=facts,
        listed=listed,
        basis="recorded",
        made=False,
        labels=union(identity.labels, listed.labels),
        identity=identity,
    )


def _title(name: str, identity: ChipIdentity) -> str:
    return name if identity.codename == "unknown" else identity.title


def silicon_status(side: ChipSide, feature: Feature) -> SiliconStatus:
    """Say whether the silicon of ``side`` has ``feature``.

    A list decides for a chip that is made from it; what it does not speak of is unknown. A dump
    decides what it shows; what it does not show (a PCI device, an MSR) the chip's list may tell.
    """
    first = feature.layers[0] if feature.layers else None
    if first is None or first.name is not Layer.SILICON:
        return SiliconStatus(None, "nothing is asked of the silicon", applies=False)
    if side.arch and feature.arch and side.arch not in feature.arch:
        return SiliconStatus(False, f"it exists on {', '.join(feature.arch)} only", applies=False)
    if first.applies is not None:
        applies = judge(first.applies, side.facts)
        if applies.holds is False:
            return SiliconStatus(False, reason(applies), _captures(applies), applies=False)
    outcome = judge(first.needs, side.facts)
    return _of_list(side, feature, outcome) if side.made else _of_dump(side, feature, outcome)


def _of_list(side: ChipSide, feature: Feature, outcome: Outcome) -> SiliconStatus:
    """Answer from the list, or from what follows from it: that shows in the registers."""
    said = _listed(side.listed, feature)
    if outcome.holds is None or (said is not None and said.holds is outcome.holds):
        return said or _nobody_knows(side, feature)
    if said is not None and said.holds:
        return said
    why = f"it follows from the list and the signature: {reason(outcome, cite=False)}"
    return SiliconStatus(outcome.holds, why, side.listed.source)


def _of_dump(side: ChipSide, feature: Feature, outcome: Outcome) -> SiliconStatus:
    """Answer from what was recorded; where a hypervisor may mask it, from the list."""
    said = _listed(side.listed, feature)
    if outcome.holds is None:
        return said or _nobody_knows(side, feature)
    shown = SiliconStatus(outcome.holds, reason(outcome), _captures(outcome))
    if outcome.holds or (said is not None and said.holds is False):
        return shown
    masked_by = side.listed.masked_by
    if said is None:
        why = f"{masked_by} may mask it ({reason(outcome)})"
        return SiliconStatus(None, why) if masked_by else shown
    if masked_by:
        return SiliconStatus(True, f"{said.why}; {masked_by} hides it here", side.listed.source)
    why = f"{shown.why}, though {said.why}: fused off, or off in this machine's firmware"
    return replace(shown, why=why)


def _listed(listed: Silicon, feature: Feature) -> SiliconStatus | None:
    if feature.id in listed.features:
        return SiliconStatus(True, f"listed for {listed.title}", listed.source)
    if feature.id in listed.covered:
        return SiliconStatus(False, f"{listed.title} is known to lack it", listed.source)
    return None


def _nobody_knows(side: ChipSide, feature: Feature) -> SiliconStatus:
    asked = {fact.partition(".")[0] for fact in _facts_asked(feature)}
    if asked <= _DEVICE_FACTS:
        return SiliconStatus(None, f"no source lists this device for {side.title}")
    if asked <= _PLATFORM_FACTS | _DEVICE_FACTS:
        return SiliconStatus(None, "only a machine with its firmware shows it")
    return SiliconStatus(None, f"no source says whether {side.title} has it")


def _facts_asked(feature: Feature) -> Iterable[str]:
    return (test.fact for test in tests(feature.layers[0].needs))


_DEVICE_FACTS = frozenset({"pci", "net"})
_PLATFORM_FACTS = frozenset({"firmware", "iommu", "kernel", "kvm", "perf", "cpuinfo", "hwcap"})


def _captures(outcome: Outcome) -> str:
    named = (getattr(found, "capture", "") for _, found in outcome.because)
    return ", ".join(dict.fromkeys(name for name in named if name))
