"""How well stops at KVM and QEMU are predicted from CPUID, against QEMU's recorded answers.

    python -m bench.kvm_prediction DIRECTORY

DIRECTORY holds libvirt's pairs (tests/cputestdata): ``x86_64-cpuid-NAME.xml``, raw CPUID of a host,
and ``x86_64-cpuid-NAME.json``, what QEMU's host model came to there. A stop is a bit that the
silicon has and the host model lacks, of those that QEMU has a property for.

Two predictions. *Blind* knows nothing but CPUID and takes the newest Linux and QEMU. *Dated* is
told versions: QEMU's as the *names* of the recording's properties date it (never a value), Linux's
as the one that was current then. The model was developed on every second recording in order of
name; the others were held out. Whether a guest gets VMX or SVM is a module's parameter, which CPUID
cannot tell; the last way leaves these two bits out of the count.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from uplift.catalog.kvm_exposure import load_exposures
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Feature, Layer, Not, Predicate, Test
from uplift.facts.imports import libvirt_model
from uplift.facts.model import Facts
from uplift.facts.parsers import read_facts
from uplift.resolve.kvm_model import NEWEST, Prediction, predict_guest
from uplift.resolve.model import Status
from uplift.resolve.predicate import version_key
from uplift.resolve.scan import scan

#: Which Linux was current when the first QEMU came out that could know a property that the tree of
#: this version has and the one before it lacks: of 2.9, 2.11, 3.0, 4.0, 4.2 (qemu.org, kernel.org).
CONTEMPORARY = {
    "2.8": "4.8",
    "2.10": "4.10",
    "2.12": "4.14",
    "3.1": "4.17",
    "4.1": "5.0",
    "5.2": "5.4",
}


#: What the modules' parameter ``nested`` decides, which no CPUID recording holds.
_NESTED = frozenset({"vmx", "svm"})
_WAYS = (
    ("blind", False, frozenset[str]()),
    ("dated", True, frozenset[str]()),
    ("dated, without vmx and svm", True, _NESTED),
)


@dataclass
class Count:
    """Bits of the silicon, by what was said and what was so."""

    hit: int = 0
    missed: int = 0
    false: int = 0
    right_offer: int = 0

    def add(self, predicted: bool, actual: bool) -> None:
        """Count one bit; True is a stop."""
        if actual:
            self.hit, self.missed = self.hit + predicted, self.missed + (not predicted)
        else:
            self.false, self.right_offer = (
                self.false + predicted,
                self.right_offer + (not predicted),
            )

    def __str__(self) -> str:
        stops, told = self.hit + self.missed, self.hit + self.false
        return (
            f"{self.hit}/{stops} stops predicted ({_percent(self.hit, stops)}), "
            f"{self.false}/{told} predicted stops false ({_percent(self.false, told)}; "
            f"{_percent(self.false, self.false + self.right_offer)} of what is offered)"
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


def main(directory: Path, *options: str) -> None:
    """Print recall and false rate, for both halves and both predictions; ``-v`` lists errors."""
    names = sorted(path.stem for path in directory.glob("x86_64-cpuid-*.json"))
    print(f"{len(names)} pairs; {len(load_exposures())} bits in the table")
    for half, chosen in (("development", names[0::2]), ("held out", names[1::2]), ("all", names)):
        for label, dated, without in _WAYS:
            count, wrong = _judge(directory, chosen, dated, without)
            print(f"{half:11} {label}: {count}")
            if "-v" in options and label == "dated" and half == "development":
                print("\n".join(wrong))
    verdicts = sum((_verdicts(directory, name) for name in names), Counter[str]())
    print("verdicts on QEMU's answers: " + ", ".join(f"{n} {k}" for k, n in verdicts.items()))
    agree = sum(_observed_agrees(directory, name) for name in names)
    print(f"read directly as qemu.host.*: {agree}/{len(names)} recordings agree in every property")


def _judge(
    directory: Path, names: Iterable[str], dated: bool, without: frozenset[str]
) -> tuple[Count, list[str]]:
    count, wrong = Count(), []
    for name in names:
        facts = _facts(directory, name)
        kernel, qemu = _versions(facts) if dated else (NEWEST, NEWEST)
        predicted = predict_guest(facts, load_exposures(), kernel, qemu)
        for prediction, actual in _compared(predicted, facts):
            if prediction.property in without:
                continue
            count.add(not prediction.offered, actual)
            if prediction.offered == actual:
                kind = "missed" if actual else "FALSE"
                wrong.append(f"  {kind:6} {prediction.property:18} {name[13:]:28} {prediction.why}")
    return count, sorted(wrong)


def _facts(directory: Path, name: str) -> Facts:
    pair = {suffix: (directory / f"{name}.{suffix}").read_bytes() for suffix in ("xml", "json")}
    return read_facts(libvirt_model.pair(name, pair["xml"], pair["json"]))


def _compared(
    predicted: Mapping[str, Prediction], facts: Facts
) -> Iterator[tuple[Prediction, bool]]:
    for prediction in predicted.values():
        if prediction.property:
            yield prediction, facts.value(f"qemu.host.{prediction.property}") is not True


def _versions(facts: Facts) -> tuple[str, str]:
    """Date a recording by the property names that it lists, whatever their values.

    A version counts as reached where at least half of the names are there that came with it:
    distributions backport single ones.
    """
    names = {name.partition("qemu.host.")[2] for name in facts.under("qemu.host.")}
    qemu = ""
    for version, added in sorted(_additions().items(), key=lambda item: version_key(item[0])):
        if 2 * len(added & names) >= len(added):
            qemu = ".".join(version.split(".")[:2])
    return CONTEMPORARY.get(qemu, NEWEST), qemu


def _additions() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for exposure in load_exposures():
        if exposure.qemu_since.version:
            found.setdefault(exposure.qemu_since.version, set()).add(exposure.property)
    return found


_catalog = cache(load_catalog)


def _verdicts(directory: Path, name: str) -> Counter[str]:
    """Hold the catalog's virtualization verdicts against the recorded host model.

    Of features that the silicon has and whose layer asks for one property of QEMU.
    """
    truth = libvirt_model.truth((directory / f"{name}.json").read_bytes())
    found: Counter[str] = Counter()
    for resolution in scan(_catalog(), _facts(directory, name)).resolutions:
        layers = {verdict.layer: verdict for verdict in resolution.verdicts}
        verdict = layers.get(Layer.VIRTUALIZATION)
        asked = _properties_asked(resolution.feature)
        if verdict and len(asked) == 1 and layers[Layer.SILICON].status.passes:
            has = any(truth.get(n.replace(".", "-"), truth.get(n)) is True for n in asked)
            right = verdict.status.passes == has or verdict.status is Status.UNKNOWN
            found[f"{verdict.status.value}{'' if right else ' (WRONG)'}"] += 1
    return found


def _properties_asked(feature: Feature) -> set[str]:
    needs = [need.needs for need in feature.layers if need.name is Layer.VIRTUALIZATION]
    silicon = any(need.name is Layer.SILICON for need in feature.layers)
    facts = {test.fact for need in needs for test in _tests(need)} if silicon else set()
    return {f.partition("qemu.host.")[2] for f in facts if f.startswith("qemu.host.")}


def _tests(predicate: Predicate) -> Iterator[Test]:
    if isinstance(predicate, Test):
        yield predicate
    else:
        parts = (predicate.part,) if isinstance(predicate, Not) else predicate.parts
        for part in parts:
            yield from _tests(part)


def _observed_agrees(directory: Path, name: str) -> bool:
    facts = _facts(directory, name)
    return libvirt_model.truth((directory / f"{name}.json").read_bytes()) == {
        fact.partition("qemu.host.")[2]: value for fact, value in facts.under("qemu.host.").items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
