"""What two or more platforms do differently for a user, and whose difference it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from uplift.catalog.kernel_options import KernelOptions, Offer
from uplift.catalog.labels import union
from uplift.catalog.model import UNLABELLED, Labels
from uplift.facts.annotations import GENERIC, Annotations
from uplift.facts.config_text import read_config
from uplift.facts.model import Fact, Facts, Value
from uplift.facts.parsers.kernel_config import text_of
from uplift.resolve.scan import architecture

CONFIG = "CONFIG_"
_OPTION_FACT = "kernel.config."
#: Debian's names of architectures, as annotations use them.
_DEBIAN = {"x86-64": "amd64"}


class Cause(str, Enum):
    """Whose difference it is."""

    AVOIDABLE = "avoidable"  #: a change to one side removes it
    INTENDED = "intended"  #: somebody wrote down why
    RELEASE = "release"  #: it comes with the newer release's versions
    INHERENT = "inherent"  #: the silicon or its architecture differs
    UNKNOWN = "unknown"  #: one side does not offer it, and no source was read that says why


CAUSES: Mapping[Cause, str] = {
    Cause.AVOIDABLE: "a change to one side removes it",
    Cause.INTENDED: "somebody wrote down why",
    Cause.RELEASE: "it comes with newer versions",
    Cause.INHERENT: "the silicon or its architecture differs",
    Cause.UNKNOWN: "no source was read that says why one side lacks it",
}


class Kind(str, Enum):
    """What differs, the nearest to a user first."""

    DEFAULT = "default"
    FEATURE = "feature"
    WORDS = "words"
    VERSION = "version"
    OPTION = "option"
    PACKAGE = "package"


class Configuration(NamedTuple):
    """One side's kernel options.

    :param options: name without ``CONFIG_`` to ``y``, ``m``, ``n``, number or text.
    :param whole: every option that the kernel has is in it; otherwise only what documents state.
    """

    options: Mapping[str, str]
    whole: bool
    capture: str


@dataclass(frozen=True, eq=False)
class Side:
    """One platform of a comparison.

    :param name: as the user named it: ``trixie/arm64``, ``ssh:rack7``.
    :param kind: ``machine`` or ``release``.
    :param release: the release's id; empty for a machine that does not tell.
    :param stated: facts that documents state, kernel options among them.
    :param annotations: the policy of its kernel, where one was given.
    :param labels: of the overlays that it comes from.
    """

    name: str
    kind: str
    facts: Facts
    release: str = ""
    stated: Mapping[str, Fact] = field(default_factory=dict)
    annotations: Annotations | None = None
    flavour: str = GENERIC
    labels: Labels = UNLABELLED

    @cached_property
    def arch(self) -> str:
        """The architecture's name in the catalog."""
        return architecture(self.facts)

    @cached_property
    def config(self) -> Configuration | None:
        """The kernel's options; None where nobody recorded or stated any."""
        stated = {
            name[len(_OPTION_FACT + CONFIG) :]: str(fact.value)
            for name, fact in self.stated.items()
            if name.startswith(_OPTION_FACT + CONFIG)
        }
        found = self.facts.get("kernel.config_whole")
        captures = self.facts.snapshot.captures
        capture = captures.get(found.capture) if isinstance(found, Fact) else None
        if capture is None:
            return Configuration(stated, False, "stated") if stated else None
        text, whole = text_of(capture)
        options = read_config(text if whole else text.rpartition("\n")[0])
        named = {name[len(CONFIG) :]: value.strip('"') for name, value in options.items()}
        return Configuration({**named, **stated}, whole, capture.id)

    @cached_property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's version as ``(6, 12)``, empty where it is not known."""
        for fact in ("image.release", "kernel.config_release", "kernel.release"):
            found = re.match(r"(\d+)\.(\d+)", self.text(fact))
            if found:
                return int(found[1]), int(found[2])
        return ()

    @cached_property
    def system(self) -> str:
        """The release whose software it runs: ``trixie``."""
        return self.release or self.text("os.codename") or self.text("os.version")

    def value(self, fact: str) -> Value | None:
        """Return a fact's value; None where nobody knows it, or no parser reads it."""
        try:
            return self.facts.value(fact)
        except KeyError:
            return None

    def text(self, fact: str) -> str:
        """Return a fact that is one word or number as text; empty where nobody knows it."""
        value = self.value(fact) if fact else None
        return "" if value is None or isinstance(value, (frozenset, tuple)) else str(value)

    def named(self, option: str) -> str | None:
        """Return an option's value; None where the kernel does not name it."""
        return self.config.options.get(option) if self.config else None

    def note(self, option: str) -> str:
        """Return why an option is as it is, from the annotations; empty where nobody noted it."""
        if self.annotations is None:
            return ""
        arch = _DEBIAN.get(self.arch, self.arch)
        spoken_of = self.annotations.value(CONFIG + option, arch, self.flavour) is not None
        return self.annotations.note(CONFIG + option) if spoken_of else ""


def same_kernel(a: Side, b: Side) -> bool:
    """Say whether both kernels have the same options on offer, architecture aside."""
    return bool(a.kernel) and a.kernel == b.kernel


def offer(kernel: KernelOptions, option: str, side: Side, other: Side) -> Offer:
    """Return whether a side's kernel could have an option, from its version's source.

    What one version cannot have and another can on the same architecture came with the version.
    """
    found = kernel.offer(option, side.kernel, side.arch)
    if (
        found is Offer.NOT_THIS_VERSION
        and same_kernel(side, other)
        and other.named(option) is not None
    ):
        return Offer.UNKNOWN  # a later point release than the one that was read
    if found is Offer.NOT_THIS_ARCHITECTURE and side.arch == other.arch:
        return Offer.NOT_THIS_VERSION
    return found


def linux(side: Side) -> str:
    """Return the kernel's name and version as a reader knows it."""
    return f"Linux {'.'.join(map(str, side.kernel))}"


def same_system(a: Side, b: Side) -> bool:
    """Say whether both run the software of one release."""
    return bool(a.system) and a.system == b.system


@dataclass(frozen=True)
class PlatformDifference:
    """One thing that a user meets differently.

    :param values: what it is on each side, in words; empty where it is not known.
    :param why: whose difference it is, in one sentence.
    :param change: what removes it; empty where nothing is known to.
    :param source: the document, note or file that ``why`` rests on.
    :param worth: 1 (little) to 5 (much).
    :param names: the options, features or words that it is about.
    """

    kind: Kind
    id: str
    title: str
    values: tuple[str, ...]
    cause: Cause
    why: str
    change: str = ""
    source: str = ""
    worth: int = 3
    area: str = ""
    names: tuple[str, ...] = ()
    labels: Labels = UNLABELLED


class Row(NamedTuple):
    """One of many things that are counted: its value on each side, None where it is not there."""

    name: str
    values: tuple[str | None, ...]
    note: str = ""


@dataclass(frozen=True)
class Counted:
    """Differences that are counted first, and listed when asked for."""

    kind: Kind
    id: str
    title: str
    cause: Cause
    rows: tuple[Row, ...]
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class Comparison:
    """What differs between the sides.

    :param differences: what a user meets, the most worth first.
    :param counted: what nobody wants to read row by row.
    :param not_compared: what could not be compared, and why.
    :param compared: how much was looked at: kind to count.
    """

    sides: tuple[Side, ...]
    differences: tuple[PlatformDifference, ...]
    counted: tuple[Counted, ...]
    not_compared: tuple[str, ...]
    compared: Mapping[Kind, int]

    @property
    def labels(self) -> Labels:
        """The labels of every overlay that the comparison was made from."""
        labelled: list[Labels] = [side.labels for side in self.sides]
        labelled += [difference.labels for difference in self.differences]
        labelled += [group.labels for group in self.counted]
        return union(*labelled)
