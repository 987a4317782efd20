"""Judge one snapshot against the whole catalog: what chip it is, then every feature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from uplift.catalog.labels import list_labels, listed_labels, union
from uplift.catalog.model import UNLABELLED, Catalog, Chip, Feature, Labels
from uplift.catalog.predicate import shown_by_cpuid
from uplift.facts.model import Facts, Snapshot
from uplift.resolve.chip import identify, judge_silicon
from uplift.resolve.model import ChipIdentity, Resolution
from uplift.resolve.resolve import Resolver, Silicon, Unasked, resolve

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
class Scan:
    """One snapshot judged against the whole catalog."""

    snapshot: Snapshot
    identity: ChipIdentity
    resolutions: tuple[Resolution, ...]

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return union(self.identity.labels, *(found.labels for found in self.resolutions))


def scan(catalog: Catalog, facts: Facts) -> Scan:
    """Judge every feature of the catalog that exists on the snapshot's architecture."""
    features = tuple(features_for(catalog.features, architecture(facts)))
    asked = judge_silicon(facts, features)
    identity = identify(facts, catalog.chips, asked, private_silicon(catalog))
    silicon = silicon_of(identity, catalog, facts)
    resolver = Resolver(facts, silicon, _unasked(catalog), asked)
    resolutions = tuple(resolver.resolve(feature) for feature in features)
    return Scan(facts.snapshot, identity, resolutions)


@lru_cache(maxsize=4)
def private_silicon(catalog: Catalog) -> Mapping[str, Labels]:
    """Return the features whose silicon layer is an overlay's, with its labels."""
    return {f.id: f.layers[0].labels for f in catalog.features if f.layers and f.layers[0].labels}


@lru_cache(maxsize=4)
def _unasked(catalog: Catalog) -> Unasked:
    return Unasked()


def resolve_one(catalog: Catalog, feature: Feature, facts: Facts) -> Resolution:
    """Judge one feature, with what the catalog knows of the snapshot's chip."""
    features = tuple(features_for(catalog.features, architecture(facts)))
    asked = judge_silicon(facts, features)
    identity = identify(facts, catalog.chips, asked, private_silicon(catalog))
    return resolve(feature, facts, silicon_of(identity, catalog, facts))


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


def silicon_of(identity: ChipIdentity, catalog: Catalog, facts: Facts) -> Silicon:
    """Return what the catalog lists for the identified chip."""
    masked_by = _hypervisor(facts)
    found = listed_silicon(catalog).get(identity.codename)
    named_by = identity.named_by
    if found is None:
        return Silicon(title=identity.title, masked_by=masked_by, labels=named_by)
    return replace(found, masked_by=masked_by, labels=found.labels | named_by)


@lru_cache(maxsize=4)
def listed_silicon(catalog: Catalog) -> Mapping[str, Silicon]:
    """Return what is listed for each chip; ``covered`` is what its sources speak of, yes or no."""
    by_cpuid = frozenset(feature.id for feature in catalog.features if shown_by_cpuid(feature))
    return {
        chip.codename: Silicon(
            chip.title,
            chip.features,
            _covered(chip, by_cpuid),
            (chip.features_source or chip.source).text,
            labels=_own_labels(chip),
            private=_private(chip, catalog) if catalog.overlays else {},
        )
        for chip in catalog.chips
        if chip.features
    }


def _covered(chip: Chip, by_cpuid: frozenset[str]) -> frozenset[str]:
    told = chip.features | chip.lacks
    return told if chip.unsure is None else told | by_cpuid - chip.unsure


def _own_labels(chip: Chip) -> Labels:
    """Return the labels of a chip's list, without what overlays add to it."""
    return union(chip.labels, chip.features_source.labels if chip.features_source else ())


def _private(chip: Chip, catalog: Catalog) -> Mapping[str, Labels]:
    """Return what overlays alone list for the chip, or for others of its maker."""
    found: dict[str, Labels] = {}
    public: set[str] = set()
    for other in catalog.chips:
        if other.vendor == chip.vendor and list_labels(other):
            for name in other.features:
                labels = listed_labels(other, name)
                found[name] = found.get(name, UNLABELLED) | labels
                public.update(() if labels else (name,))
        elif other.vendor == chip.vendor:
            public |= other.features
    added = {name for listed in chip.added for name in listed.features}
    return {name: labels for name, labels in found.items() if labels and name not in public - added}


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
