"""An emulator's CPU model as a chip: registers made from what the emulator says of the model.

QEMU answers ``query-cpu-model-expansion`` with one property for each CPUID bit that it knows. A bit
that it has no property for is 0 in every guest, so nothing of such a chip is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

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


def x86_model(model: str, props: Properties, answer: Capture, catalog: Catalog) -> ChipSide:
    """Return QEMU's x86 CPU model as a chip.

    :param props: the properties of the model's full expansion.
    :param answer: the capture that they were read from.
    """
    how = f"made from QEMU's properties of the model {model}, which {answer.how} told"
    bits = dict(_bits(props))
    identity = _identity(props)
    names = _shown(_snapshot(model, cpuid_text(identity, bits, 0), how), catalog)
    for place, number in states_of(names):
        made = bits.get(place.register, Made(0, 0))
        bits[place.register] = Made(made.value | number << place.low, 0)
    return _side(model, _snapshot(model, cpuid_text(identity, bits, 0), how), catalog, answer)


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
    words["cpuid.7.0.eax"] = 2
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


def _snapshot(model: str, text: str, how: str) -> Snapshot:
    capture = Capture(
        cpuid.CAPTURE, CaptureStatus.OK, text.encode(), how, format=cpuid.DEFAULT_NOTATION
    )
    return Snapshot({capture.id: capture}, "chip", f"QEMU model {model}", arch="x86_64")


def _shown(snapshot: Snapshot, catalog: Catalog) -> frozenset[str]:
    features = features_for(catalog.features, "x86-64")
    shown = silicon_features(judge_silicon(read_facts(snapshot), features))
    return frozenset(name for name, there in shown.items() if there)


def _side(model: str, snapshot: Snapshot, catalog: Catalog, answer: Capture) -> ChipSide:
    by_cpuid = frozenset(feature.id for feature in catalog.features if shown_by_cpuid(feature))
    names = _shown(snapshot, catalog)
    snapshot = replace(snapshot, captures={**snapshot.captures, answer.id: answer})
    title = f"QEMU's CPU model {model}"
    source = f"{answer.id} ({answer.how})"
    return ChipSide(
        name=f"qemu:{model}",
        title=title,
        arch="x86-64",
        facts=read_facts(snapshot),
        listed=Silicon(title, names, by_cpuid | names, source, masked_by=""),
        basis="recorded",
        made=True,
    )


def arm64_model(model: str, told: Capture, catalog: Catalog) -> ChipSide:
    """Return QEMU's arm64 CPU model as a chip.

    :param told: ID registers as QEMU tells them; of those that it does not tell nothing is known.
    """
    text = told.text + "".join(f"{line}\n" for line in _not_told(told))
    captures = {
        name: replace(told, id=name, data=text.encode()) for name in (arm64.RAW, arm64.REGISTERS)
    }
    snapshot = Snapshot(captures, "chip", f"QEMU model {model}", arch="aarch64")
    title = f"QEMU's CPU model {model}"
    return ChipSide(
        name=f"qemu:{model}",
        title=title,
        arch="arm64",
        facts=read_facts(snapshot),
        listed=Silicon(title, source=f"{told.id} ({told.how})", masked_by=""),
        basis="recorded",
        made=False,
    )


def _not_told(told: Capture) -> Iterator[str]:
    """Yield a line for each register that QEMU left out; ID_AA64PFR0_EL1 is one of them.

    Where ID_AA64ZFR0_EL1 is not 0 and there is no SME there is SVE: it reads as 0 without either
    (Arm ARM DDI 0487, ID_AA64ZFR0_EL1).
    """
    registers = arm64.parse_registers(told.text)
    rules = arm64_rules().values()
    asked = {condition.register for rule in rules for group in rule for condition in group}
    for name in sorted(asked - registers.keys()):
        value = 0
        if name == "id_aa64pfr0_el1" and registers.get("id_aa64zfr0_el1"):
            value = 1 << 32 if not registers.get("id_aa64smfr0_el1") else 0
        yield f"{name.upper()} {value:#x} open={_FULL_64 ^ value:#x}"
