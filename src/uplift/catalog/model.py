"""What features and chips exist and what each layer needs: values read from the TOML data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Union


class Policy(str, Enum):
    """How strictly an overlay's entries are kept, the least strict first."""

    INTERNAL = "internal"
    EMBARGOED = "embargoed"
    CONFIDENTIAL = "confidential"  #: no day lifts it


class Label(str):
    """The words that mark everything made from an overlay.

    :param policy: of the overlay; decides which of several labels comes first.
    """

    policy: Policy

    def __new__(cls, text: str, policy: Policy = Policy.EMBARGOED) -> Label:
        made = super().__new__(cls, text)
        made.policy = policy
        return made


Labels = frozenset[str]
UNLABELLED: Labels = frozenset()


def strictest_first(labels: Iterable[str]) -> tuple[str, ...]:
    """Return ``labels``, the strictest policy first; a plain string counts as the strictest."""
    order = list(Policy)

    def rank(label: str) -> tuple[int, str]:
        policy = label.policy if isinstance(label, Label) else Policy.CONFIDENTIAL
        return -order.index(policy), label

    return tuple(sorted(labels, key=rank))


class Layer(str, Enum):
    """Where a feature can stop, in this order."""

    SILICON = "silicon"
    FIRMWARE = "firmware"
    KERNEL_BUILD = "kernel-build"
    KERNEL = "kernel"
    VIRTUALIZATION = "virtualization"
    TOOLCHAIN = "toolchain"
    LIBC = "libc"
    LIBRARY = "library"
    NETWORK = "network"
    WORKLOAD = "workload"


@dataclass(frozen=True)
class Test:
    """One question to one fact.

    :param op: ``bit``, ``has``, ``equals``, ``at-least``, ``bits-equals`` or ``bits-at-least``.
    :param operand: the bit number, the word, or the value to compare with.
    :param low: lowest bit of the field, for ``bits-…``.
    :param high: highest bit of the field, for ``bits-…``.
    :param signed: whether the field is two's complement (arm64 ID registers: FP, AdvSIMD).
    """

    __test__ = False  # not a test case for pytest

    fact: str
    op: str
    operand: int | float | str | bool
    low: int = 0
    high: int = 0
    signed: bool = False


@dataclass(frozen=True)
class All:
    """Holds when every part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Any:
    """Holds when one part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Not:
    """Holds when the part is known not to hold."""

    part: Predicate


Predicate = Union[Test, All, Any, Not]


@dataclass(frozen=True)
class Source:
    """Where a cell comes from.

    :param kind: ``recorded``, ``derived`` or ``cited``.
    :param text: the capture, the repository with path and version, or the document's title.
    """

    kind: str
    text: str
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class Since:
    """The first upstream release with it: for backports and forecasts, never a verdict."""

    project: str
    version: str
    commit: str = ""


@dataclass(frozen=True)
class Remedy:
    """The change that lifts a stop.

    :param kind: boot-parameter, sysctl, module, package, kernel, kernel-config, backport, rebuild,
        cpu-model, firmware-setting, microcode, library-knob, hardware.
    :param do: the change itself, in words or as the line to add.
    :param reversible: whether it can be undone without a reinstall or a visit to the machine.
    """

    kind: str
    do: str
    reversible: bool = False


@dataclass(frozen=True)
class Cause:
    """One known reason why a layer does not pass a feature on.

    :param status: ``stopped``, ``hidden`` or ``absent``.
    :param kind: hypervisor, firmware, kernel-build, command-line, mitigation, microcode,
        library-version, tunable, module, permission, not-upstream, policy, not-installed.
    """

    when: Predicate
    cause: str
    kind: str
    owner: str
    status: str
    remedy: Remedy | None
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class LayerNeed:
    """What one layer needs in order to pass a feature on.

    :param needs: when it holds the layer offers the feature.
    :param used: when it holds too the layer itself uses the feature.
    :param applies: when it is known not to hold the layer is not applicable.
    """

    name: Layer
    needs: Predicate
    source: Source
    used: Predicate | None = None
    applies: Predicate | None = None
    since: Since | None = None
    owner: str = ""
    causes: tuple[Cause, ...] = ()
    remedy: Remedy | None = None
    note: str = ""
    labels: Labels = UNLABELLED  #: of the layer's own cells; a cause may have more


@dataclass(frozen=True)
class Feature:
    """Something silicon can do that software must pick up.

    :param id: ``x86/amx-bf16``.
    :param arch: ``x86-64``, ``arm64``, ``riscv64``, ``s390x``, ``ppc64el``; empty for any.
    :param area: compute, crypto, memory, security, virtualization, power, observability, network,
        accelerator, storage, reliability.
    :param worth: 1 (little) to 5 (much): the order of reports until there are measurements.
    """

    id: str
    title: str
    arch: tuple[str, ...]
    area: str
    layers: tuple[LayerNeed, ...]
    worth: int = 3
    summary: str = ""
    origin: str = ""  #: the file it was read from
    labels: Labels = UNLABELLED  #: of title, summary and so on; a layer may have more


@dataclass(frozen=True)
class Signature:
    """What identifies a chip: x86 family/model/stepping, or implementer/part, or a platform string.

    :param kind: ``x86``, ``midr``, ``riscv``, ``s390x``, ``ppc``.
    :param low: lowest matching value per field; a field left out matches anything.
    """

    kind: str
    vendor: str
    fields: tuple[tuple[str, int, int], ...]  #: (field, lowest, highest), inclusive
    #: What the platform string starts with; x86: what the brand string contains; midr: what the
    #: DMI vendor, product or board contains.
    text: str = ""
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class Listed:
    """Features that an overlay lists for a chip beside those that the base lists."""

    features: frozenset[str]
    source: Source
    labels: Labels


@dataclass(frozen=True)
class Chip:
    """One chip by code name.

    :param codename: lower case with dashes: ``granite-rapids``.
    :param microarchitecture: of the core: ``Redwood Cove``, ``Zen 5``, ``Neoverse V2``.
    :param features: ids of the features that its silicon implements, where a source lists them.
    :param unsure: where bare recordings of the chip were read: ids that they leave open; of every
        other feature that CPUID shows, they say whether the chip has it. None without recordings.
    :param lacks: ids that lists of the chip would name if it had them.
    :param added: what overlays list; ``features`` holds these, too.
    :param archspec: the name archspec gives this microarchitecture, empty where it has none.
    """

    codename: str
    title: str
    vendor: str
    arch: str
    microarchitecture: str
    segment: str
    signatures: tuple[Signature, ...]
    source: Source
    features: frozenset[str] = frozenset()
    features_source: Source | None = None
    unsure: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()
    archspec: str = ""
    announced: str = ""
    origin: str = ""
    added: tuple[Listed, ...] = ()
    labels: Labels = UNLABELLED  #: of title, maker and so on; a signature or a list may have more


@dataclass(frozen=True)
class Overlay:
    """A private directory of catalog data.

    :param name: what it is called among people who know of it.
    :param lifts_at: the day on which all of it may go public, ISO 8601; empty where none is set.
    :param releases: the directory of its releases, empty where it has none.
    """

    name: str
    label: Label
    lifts_at: str = ""
    releases: str = ""

    @property
    def policy(self) -> Policy:
        """How strictly its entries are kept."""
        return self.label.policy


@dataclass(frozen=True, eq=False)
class Catalog:
    """Every feature and chip, base data and overlays merged. Equal only to itself."""

    features: tuple[Feature, ...]
    chips: tuple[Chip, ...]
    overlays: tuple[Overlay, ...] = ()
