"""An emulator's CPU model as a chip: registers made from what the emulator says of the model.

QEMU answers ``query-cpu-model-expansion`` with one property for each CPUID bit that it knows. A bit
that it has no property for is 0 in every guest, so nothing of such a chip is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from uplift.catalog.kvm_exposure import load_exposures
from uplift.catalog.made_registers import Made
from uplift.catalog.model import Catalog
from uplift.catalog.predicate import shown_by_cpuid
from uplift.facts.hwcap_tables import arm64_rules
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import arm64, cpuid, read_facts
from uplift.resolve.chip import judge_silicon, silicon_features
from uplift.resolve.chip_side import ChipSide
from uplift.resolve.made_chip import cpuid_text, states_of
from uplift.resolve.resolve import Silicon
from uplift.resolve.scan import features_for

Properties = Mapping[str, "bool | int | str"]

#: QEMU's older names of bits, beside those of the table (target/i386/cpu.c, x86_cpu_initfn).
_ALIASES = {"sse3": "pni", "pclmuldq": "pclmulqdq", "ffxsr": "fxsr-opt", "xd": "nx", "i64": "lm"}
_FULL_64 = (1 << 64) - 1
_NUMBERS = ("family", "model", "stepping", "level", "xlevel", "avx10-version")
_HYPERVISOR = "cpuid.1.0.ecx"  #: bit 31: QEMU sets it of its own, it is nothing of the model's


@dataclass(frozen=True)
class Told:
    """What QEMU told of one CPU model.

    :param name: as the user names it: ``qemu:EPYC-Genoa@trixie``.
    :param version: of QEMU, empty where it was not told.
    :param answer: the capture that holds it.
    """

    name: str
    model: str
    version: str
    answer: Capture

    @property
    def title(self) -> str:
        """The model's name with whose it is."""
        return f"QEMU {self.version}'s CPU model {self.model}".replace(" 's", "'s")


def x86_model(told: Told, props: Properties, catalog: Catalog) -> ChipSide:
    """Return QEMU's x86 CPU model as a chip.

    :param props: the properties of the model's full expansion.
    """
    bits = dict(_bits(props))
    identity = _identity(props)
    names = _shown(_snapshot(told, cpuid_text(identity, bits, 0)), catalog)
    for place, number in states_of(names):
        made = bits.get(place.register, Made(0, 0))
        bits[place.register] = Made(made.value | number << place.low, 0)
    return _side(told, _snapshot(told, cpuid_text(identity, bits, 0)), catalog)


def _bits(props: Properties) -> Iterator[tuple[str, Made]]:
    """Yield the registers that the properties make up."""
    named = {name.replace("_", "-").replace(".", "-"): value for name, value in props.items()}
    named |= {_ALIASES[name]: value for name, value in named.items() if name in _ALIASES}
    words: dict[str, int] = {}
    for exposure in load_exposures():
        if exposure.property and named.get(exposure.property) is True:
            words[exposure.fact] = words.get(exposure.fact, 0) | 1 << exposure.bit
    if _HYPERVISOR in words:
        words[_HYPERVISOR] &= ~(1 << 31)
    subleaf = 2 if "cpuid.7.2.edx" in words else int(any(n.startswith("cpuid.7.1.") for n in words))
    words["cpuid.7.0.eax"] = max(subleaf, int(named.get("level-func7", 0)))
    words["cpuid.24.0.ebx"] = words.get("cpuid.24.0.ebx", 0) | int(named.get("avx10-version", 0))
    yield from ((name, Made(word, 0)) for name, word in words.items())


def _identity(props: Properties) -> dict[str, int | str]:
    numbers = {
        f"cpuid.{name}": value for name in _NUMBERS if isinstance(value := props.get(name), int)
    }
    texts = {
        "cpuid.vendor": str(props.get("vendor", "")),
        "cpuid.brand": str(props.get("model-id", "")),
    }
    return {**numbers, **texts}


def _snapshot(told: Told, text: str) -> Snapshot:
    how = f"made from the properties of {told.title}, as in {told.answer.id}"
    capture = Capture(
        cpuid.CAPTURE, CaptureStatus.OK, text.encode(), how, format=cpuid.DEFAULT_NOTATION
    )
    return Snapshot({capture.id: capture}, "chip", told.title, arch="x86_64")


def _shown(snapshot: Snapshot, catalog: Catalog) -> frozenset[str]:
    features = features_for(catalog.features, "x86-64")
    shown = silicon_features(judge_silicon(read_facts(snapshot), features))
    return frozenset(name for name, there in shown.items() if there)


def _side(told: Told, snapshot: Snapshot, catalog: Catalog) -> ChipSide:
    by_cpuid = frozenset(feature.id for feature in catalog.features if shown_by_cpuid(feature))
    names = _shown(snapshot, catalog)
    return ChipSide(
        name=told.name,
        title=told.title,
        arch="x86-64",
        facts=read_facts(snapshot),
        listed=Silicon(told.title, names, by_cpuid | names, _source(told), masked_by=""),
        basis="recorded",
        made=True,
    )


def _source(told: Told) -> str:
    where = told.name.partition("@")[2]
    return f"{told.answer.id} of {where or 'this machine'}"


def arm64_model(told: Told) -> ChipSide:
    """Return QEMU's arm64 CPU model as a chip.

    :param told: with ID registers as QEMU tells them; of those that it leaves out nothing is known.
    """
    answer = told.answer
    text = answer.text + "".join(f"{line}\n" for line in _not_told(answer))
    captures = {
        name: replace(answer, id=name, data=text.encode()) for name in (arm64.RAW, arm64.REGISTERS)
    }
    snapshot = Snapshot(captures, "chip", told.title, arch="aarch64")
    return ChipSide(
        name=told.name,
        title=told.title,
        arch="arm64",
        facts=read_facts(snapshot),
        listed=Silicon(told.title, source=_source(told), masked_by=""),
        basis="recorded",
        made=False,
    )


def _not_told(answer: Capture) -> Iterator[str]:
    """Yield a line for each register that QEMU left out; ID_AA64PFR0_EL1 is one of them.

    Where ID_AA64ZFR0_EL1 is not 0 and there is no SME there is SVE: it reads as 0 without either
    (Arm ARM DDI 0487, ID_AA64ZFR0_EL1).
    """
    registers = arm64.parse_registers(answer.text)
    rules = arm64_rules().values()
    asked = {condition.register for rule in rules for group in rule for condition in group}
    for name in sorted(asked - registers.keys()):
        value = 0
        if name == "id_aa64pfr0_el1" and registers.get("id_aa64zfr0_el1"):
            value = 1 << 32 if not registers.get("id_aa64smfr0_el1") else 0
        yield f"{name.upper()} {value:#x} open={_FULL_64 ^ value:#x}"
