"""The facts of a chip under a release: recorded, stated or predicted, never seen on a machine.

What only a running machine tells (``/proc/cpuinfo``, what KVM offers, what the C library uses) is
predicted from what the chip and the release recorded. A prediction is a fact like any other: it has
a capture, whose text says what it was predicted from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Union

from uplift.facts.model import (
    Capture,
    CaptureStatus,
    Fact,
    Facts,
    Missing,
    ParserIndex,
    PartialRegister,
    PartialWords,
    Snapshot,
    Value,
)

PREDICTED = "predicted:"
LISTED = "listed:"
#: Facts that are the chip's, by how their names begin; every other fact is the release's.
_OF_CHIP = ("cpuid.", "arm64.", "riscv.", "pci.", "firmware.", "topology.", "cache.", "numa.")


#: Facts that a release's recording tells; of every other one only a machine knows.
_OF_RELEASE = (
    *("kernel.config", "image.", "compiler.", "assembler.", "qemu.", "libvirt.", "libc."),
    *("library.", "python.", "package", "ovs.", "dpdk.", "postgresql.", "isa."),
)


class Prediction(NamedTuple):
    """What a fact is expected to be on the chip under the release.

    :param inputs: captures that it was predicted from.
    :param how: by which rule, in words.
    """

    value: Value
    inputs: tuple[str, ...]
    how: str


Predictor = Callable[["PlanFacts", str], Union[Prediction, Missing, None]]


class Predictors:
    """Which predictor answers for a fact: the longest declared beginning of its name wins."""

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self._by_prefix = sorted(predictors.items(), key=lambda item: -len(item[0]))
        self._known: dict[str, Predictor | None] = {}

    def of(self, name: str) -> Predictor | None:
        """Return who predicts ``name``; None where nobody does."""
        if name not in self._known:
            found = (p for prefix, p in self._by_prefix if name.startswith(prefix))
            self._known[name] = next(found, None)
        return self._known[name]


@dataclass(frozen=True)
class ReleaseFacts:
    """A release's facts: what was recorded of it, and what documents state.

    :param stated: fact name to the fact; it stands above what was recorded of the same name.
    """

    recorded: Facts
    stated: Mapping[str, Fact]

    def get(self, name: str) -> Fact | Missing:
        """Return a fact of the release, or why nobody knows it."""
        found = self.stated.get(name)
        if found is not None:
            return found
        try:
            return self.recorded.get(name)
        except KeyError:  # only a document states it: no capture could tell
            return Missing(name, f"no document states {name}")

    def value(self, name: str) -> Value | None:
        """Return a fact's value; None where nobody knows it."""
        found = self.get(name)
        return found.value if isinstance(found, Fact) else None


class CompletedFacts(Facts):
    """What a dump shows of a chip, completed by what lists say of it where the dump is silent.

    :param dump: as recorded; it stands wherever it answers.
    :param listed: of registers made from the list of the same chip.
    """

    def __init__(self, dump: Facts, listed: Facts, index: ParserIndex) -> None:
        more = {
            LISTED + name: replace(c, id=LISTED + name)
            for name, c in listed.snapshot.captures.items()
        }
        captures = {**dump.snapshot.captures, **more}
        super().__init__(replace(dump.snapshot, captures=captures), index)
        self._dump = dump
        self._listed = listed

    def _find(self, name: str) -> Fact | Missing:
        found = self._dump.get(name)
        other = self._listed.get(name) if isinstance(found, Missing) else found
        if other is found or isinstance(other, Missing):
            return found
        return other._replace(capture=LISTED + other.capture)


class PlanFacts(Facts):
    """The facts of ``chip`` under ``release``.

    :param chip: facts of silicon; of anything else the snapshot holds nothing is taken.
    :param index: of every parser; says which names exist.
    """

    def __init__(
        self, chip: Facts, release: ReleaseFacts, predictors: Predictors, index: ParserIndex
    ) -> None:
        captures = {**release.recorded.snapshot.captures, **chip.snapshot.captures}
        arch = release.recorded.snapshot.arch or chip.snapshot.arch
        super().__init__(Snapshot(captures, kind="plan", arch=arch), index)
        self._captures_so_far = captures
        self.chip = chip
        self.release = release
        self._predictors = predictors
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, Prediction | Missing] = {}

    @cached_property
    def collected(self) -> frozenset[str]:
        """Every parser: of each fact there is an answer, or a reason why there is none."""
        return frozenset(parser.name for parser in self._index.parsers)

    def once(self, what: str, made: Callable[[], Prediction | Missing]) -> Prediction | Missing:
        """Return what ``made`` gives, asked once: what several predictions rest on."""
        if what not in self._kept:
            self._kept[what] = made()
        return self._kept[what]

    def inputs_of(self, capture_id: str) -> frozenset[str]:
        """Return the captures that ``capture_id`` rests on: itself, unless it is a prediction."""
        if capture_id not in self._inputs:
            return frozenset({capture_id})
        return frozenset().union(*(self.inputs_of(name) for name in self._inputs[capture_id]))

    def _find(self, name: str) -> Fact | Missing:
        stated = self.release.stated.get(name)
        if stated is not None:
            return stated
        predictor = self._predictors.of(name)
        predicted = predictor(self, name) if predictor else None
        if isinstance(predicted, Prediction):
            return self._predicted(name, predicted)
        if predicted is not None:
            return predicted
        self.parser_of(name)  # a name that nobody declares is a mistake of the catalog
        if name.startswith(_OF_CHIP):
            return self.chip.get(name)
        found = self.release.get(name)
        if isinstance(found, Missing) and not name.startswith(_OF_RELEASE):
            return Missing(name, f"only a machine shows {name}", found.captures)
        return found

    def _predicted(self, name: str, prediction: Prediction) -> Fact:
        """Keep the prediction as a capture, so that a verdict can cite it."""
        capture_id = PREDICTED + name
        self._inputs[capture_id] = prediction.inputs
        self._captures_so_far[capture_id] = Capture(
            capture_id,
            CaptureStatus.OK,
            "\n".join(_lines(name, prediction.value)).encode(),
            f"predicted: {prediction.how}; from {', '.join(prediction.inputs) or 'no capture'}",
        )
        return Fact(name, prediction.value, capture_id)


def _lines(name: str, value: Value) -> Iterable[str]:
    if isinstance(value, frozenset):
        yield f"{name} = {' '.join(sorted(value))}"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield f"{name} = {value:#x}"
    else:
        yield f"{name} = {value}"
    if isinstance(value, PartialWords):
        yield from (f"open: {word}: {why}" for word, why in sorted(value.why.items()))
        if value.otherwise:
            yield f"open: every other word: {value.otherwise}"
    elif isinstance(value, PartialRegister):
        yield f"open: {value.unknown:#x}: {value.why}"
