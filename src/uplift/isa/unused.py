"""Which features of a chip a file could use and does not, and which it needs and the chip lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from uplift.catalog.instruction_sets import Given, given_sets
from uplift.catalog.model import UNLABELLED, Feature, Labels
from uplift.isa import baseline
from uplift.isa.feature_words import plain
from uplift.isa.functions import classes
from uplift.isa.model import FileAudit, Reach
from uplift.isa.tally import code, exposed

#: The catalog's names of architectures, by the decoder's.
CATALOG_ARCH = {"x86-64": "x86-64", "aarch64": "arm64", "riscv64": "riscv64"}
_PROGRAM = "program"
#: Areas whose features a program may use by an instruction set of the same name.
_AREAS = ("compute", "crypto")


@lru_cache(maxsize=4)
def _by_plain_name(arch: str) -> Mapping[str, str]:
    return {plain(name): name for name in classes(arch).names}


def given_by(feature: Feature, arch: str) -> Given | None:
    """Return what a feature gives; one of an overlay gives the set that is called as it is."""
    known = given_sets().get(feature.id)
    if known is not None or feature.area not in _AREAS:
        return known
    name = _by_plain_name(arch).get(plain(feature.id.partition("/")[2]))
    return Given((name,), _PROGRAM) if name else None


@dataclass(frozen=True)
class Chip:
    """What a chip has, as far as programs are concerned.

    :param arch: as the decoder names it.
    :param has: features, the most worth first; ``lacks`` and ``unknown`` likewise.
    :param labels: of the overlays that tell of it.
    """

    name: str
    title: str
    arch: str
    has: tuple[Feature, ...]
    lacks: tuple[Feature, ...]
    unknown: tuple[Feature, ...] = ()
    labels: Labels = UNLABELLED

    def sets(self, features: Iterable[Feature]) -> frozenset[str]:
        """Return the instruction sets that some of its features give."""
        found = (given_by(feature, self.arch) for feature in features)
        return frozenset(name for given in found if given for name in given.sets)

    def uses(self, feature: Feature) -> bool:
        """Say whether programs can be built for a feature."""
        given = given_by(feature, self.arch)
        return given is not None and given.for_programs


@dataclass(frozen=True)
class Fit:
    """How one file and one chip fit.

    :param used: features of the chip of which the file holds instructions.
    :param unused: those of which it holds none, though programs can be built for them.
    :param missing: sets that the chip lacks, and the worst way in which code that needs them is
        reached on the architecture's baseline.
    :param open: such sets of which nobody knows whether the chip has them.
    """

    used: tuple[Feature, ...]
    unused: tuple[Feature, ...]
    missing: Mapping[str, Reach]
    open: Mapping[str, Reach]

    @property
    def runs(self) -> bool:
        """Whether it surely runs on the chip."""
        return not self.missing and not self.open


def fit(audit: FileAudit, chip: Chip) -> Fit | None:
    """Compare a file with a chip; None where it is for another architecture."""
    if audit.arch != chip.arch:
        return None
    functions = code(audit)
    held = exposed(functions, *Reach)
    usable = [(f, given_by(f, chip.arch)) for f in chip.has]
    programs = [(f, frozenset(g.sets)) for f, g in usable if g and g.for_programs]
    has = chip.sets(chip.has) | baseline.base(chip.arch)
    lacks = chip.sets(chip.lacks) - has
    reached = _worst(audit)
    return Fit(
        used=tuple(feature for feature, sets in programs if sets & held),
        unused=tuple(feature for feature, sets in programs if not sets & held),
        missing={name: reach for name, reach in reached.items() if name in lacks},
        open={n: reach for n, reach in reached.items() if n not in lacks and n not in has},
    )


def _worst(audit: FileAudit) -> dict[str, Reach]:
    """Return the sets that may be reached with no guard, and whether they surely are."""
    functions = code(audit)
    always = exposed(functions, Reach.ALWAYS)
    perhaps = exposed(functions, Reach.UNKNOWN) - always
    found = dict.fromkeys(always, Reach.ALWAYS) | dict.fromkeys(perhaps, Reach.UNKNOWN)
    return dict(sorted(found.items()))
