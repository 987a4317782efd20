"""What a chip has, and what tells chips apart, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.labels import labels_of, union
from uplift.catalog.model import Catalog, Chip, Feature, Labels
from uplift.catalog.predicate import tests
from uplift.report.labels import Marks, label_list, print_banner, with_labels
from uplift.report.terminal import safe
from uplift.resolve.chip_side import ChipSide, SiliconStatus, silicon_status
from uplift.resolve.scan import features_for

SCHEMA = "uplift-chip/1"
_GLYPHS = {
    # whether the silicon has it: (UTF-8, ASCII, style)
    True: ("●", "o", "green"),
    False: ("–", "-", "dim"),
    None: ("?", "?", "yellow"),
}
_NAMED = 12  #: features that one line names before it only counts


@dataclass(frozen=True)
class ChipReport:
    """One chip with the status of every feature that asks something of its silicon."""

    side: ChipSide
    statuses: Mapping[str, SiliconStatus]
    features: Mapping[str, Feature]

    @property
    def labels(self) -> Labels:
        """The labels of everything in it."""
        return union(self.side.labels, *(labels_of(self.features[name]) for name in self.statuses))

    def having(self, holds: bool | None) -> tuple[Feature, ...]:
        """Return the features of one status, the most worth first."""
        named = (name for name, status in self.statuses.items() if status.holds is holds)
        return _by_worth(self.features[name] for name in named)


@dataclass(frozen=True)
class Comparison:
    """Chips of one architecture side by side."""

    chips: tuple[ChipReport, ...]

    @cached_property
    def differing(self) -> tuple[Feature, ...]:
        """Features that one of the chips has and another lacks."""
        return tuple(f for f in self._features if {True, False} <= self._answers(f))

    @cached_property
    def open(self) -> tuple[Feature, ...]:
        """Features that one of the chips has or lacks, and of which another says nothing."""
        return tuple(
            f
            for f in self._features
            if None in (told := self._answers(f)) and True in told and f not in self.differing
        )

    def only(self, chip: ChipReport, other: ChipReport) -> tuple[Feature, ...]:
        """Return what ``chip`` has and ``other`` is known to lack."""
        return tuple(
            f for f in self.differing if holds(chip, f) is True and holds(other, f) is False
        )

    @property
    def labels(self) -> Labels:
        """The labels of everything in it."""
        return union(*(chip.labels for chip in self.chips))

    @cached_property
    def _features(self) -> tuple[Feature, ...]:
        found = {name: chip.features[name] for chip in self.chips for name in chip.statuses}
        return _by_worth(found.values())

    def _answers(self, feature: Feature) -> set[bool | None]:
        return {holds(chip, feature) for chip in self.chips}


def holds(chip: ChipReport, feature: Feature) -> bool | None:
    """Return whether a chip has a feature; None where nobody knows."""
    status = chip.statuses.get(feature.id)
    return status.holds if status else None


def chip_report(side: ChipSide, catalog: Catalog) -> ChipReport:
    """Judge every feature that asks something of the silicon of ``side``."""
    features = {f.id: f for f in features_for(catalog.features, side.arch)}
    statuses = {name: silicon_status(side, feature) for name, feature in features.items()}
    asked = {
        name: status
        for name, status in statuses.items()
        if status.applies and not _names_the_chip(features[name])
    }
    return ChipReport(side, asked, features)


def _names_the_chip(feature: Feature) -> bool:
    """Whether only the signature is asked: which models a driver knows is no trait of silicon."""
    asked = {test.fact for test in tests(feature.layers[0].needs)}
    return asked <= _SIGNATURE


def _by_worth(features: Iterable[Feature]) -> tuple[Feature, ...]:
    return tuple(sorted(features, key=lambda f: (-f.worth, f.area, f.id)))


def list_to_json(chips: Sequence[Chip]) -> dict[str, Any]:
    """Return the catalog's chips in short."""
    labels = union(*(labels_of(chip) for chip in chips))
    rows = [with_labels(_row(chip), labels_of(chip)) for chip in chips]
    return {"schema": SCHEMA, "labels": label_list(labels), "chips": rows}


def _row(chip: Chip) -> dict[str, Any]:
    source = chip.features_source or chip.source
    return {
        "name": chip.codename,
        "title": chip.title,
        "arch": chip.arch,
        "vendor": chip.vendor,
        "microarchitecture": chip.microarchitecture,
        "segment": chip.segment,
        "listed": len(chip.features),
        "basis": source.kind,
        "source": source.text,
    }


def print_list(chips: Sequence[Chip], console: Console, unicode: bool = True) -> None:
    """Print one line a chip: its name, what it is, how many features its sources list."""
    marks = Marks(union(*(labels_of(chip) for chip in chips)), unicode)
    print_banner(marks, console)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("chip", "title", "core", "for"):
        table.add_column(name, no_wrap=name == "chip")
    table.add_column("listed", justify="right")
    for chip in chips:
        listed = str(len(chip.features)) if chip.features else "none"
        table.add_row(
            safe(chip.codename) + marks.on(labels_of(chip)),
            safe(chip.title),
            safe(chip.microarchitecture),
            chip.segment,
            Text(listed, style="" if chip.features else "yellow"),
        )
    console.print(table)
    known = sum(bool(chip.features) for chip in chips)
    told = f"{len(chips)} chips, {known} with a list of features"
    console.print(Text(told, style="dim"))


def chip_to_json(report: ChipReport) -> dict[str, Any]:
    """Return one chip: what it is, and of every feature whether it has it, and who says so."""
    side = report.side
    return {
        "schema": SCHEMA,
        "labels": label_list(report.labels),
        "chip": {
            **_short(report),
            "made": side.made,
            "source": side.listed.source or None,
            "identity": _identity(side),
            "features": [_status(report, feature) for feature in _asked(report)],
        },
    }


def _asked(report: ChipReport) -> tuple[Feature, ...]:
    return _by_worth(report.features[name] for name in report.statuses)


def _short(report: ChipReport) -> dict[str, Any]:
    side = report.side
    counts = {
        word: len(report.having(state))
        for word, state in (("has", True), ("lacks", False), ("unknown", None))
    }
    return {
        "name": side.name,
        "title": side.title,
        "arch": side.arch,
        "basis": side.basis,
        "counts": counts,
    }


def _identity(side: ChipSide) -> dict[str, str] | None:
    if side.identity is None:
        return None
    found = side.identity
    return {"codename": found.codename, "confidence": found.confidence, "why": found.why}


def _status(report: ChipReport, feature: Feature) -> dict[str, Any]:
    status = report.statuses[feature.id]
    row = {
        "id": feature.id,
        "title": feature.title,
        "area": feature.area,
        "worth": feature.worth,
        "has": status.holds,
        "why": status.why,
        "source": status.source or None,
    }
    return with_labels(row, labels_of(feature))


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Return what tells chips apart, then what is not known of one of them."""
    return {
        "schema": SCHEMA,
        "labels": label_list(comparison.labels),
        "compared": [_short(chip) for chip in comparison.chips],
        "differing": [_compared(comparison, f) for f in comparison.differing],
        "open": [_compared(comparison, f) for f in comparison.open],
    }


def _compared(comparison: Comparison, feature: Feature) -> dict[str, Any]:
    return {
        "id": feature.id,
        "title": feature.title,
        "area": feature.area,
        "worth": feature.worth,
        "has": {chip.side.name: holds(chip, feature) for chip in comparison.chips},
    }


class ChipText:
    """Prints chips on a terminal; ``unicode`` off gives ASCII only."""

    def __init__(self, console: Console, labels: Labels, unicode: bool = True) -> None:
        self._console = console
        self._unicode = unicode
        self._marks = Marks(labels, unicode)
        print_banner(self._marks, console)

    def chip(self, report: ChipReport, show_all: bool = False) -> None:
        """Print what a chip is, what it has by area, and what nobody knows of it."""
        self._head(report)
        self._areas(report.having(True), "has")
        if show_all:
            self._areas(report.having(False), "lacks")
        else:
            self._line("lacks", report.having(False), "`--all` names them")
        self._unknown(report)

    def _head(self, report: ChipReport) -> None:
        side = report.side
        mark = self._marks.on(side.labels)
        head = Text.assemble((safe(side.name), "bold"), f"  {safe(side.title)}{mark}")
        self._console.print(head)
        for name, text in _facts(side):
            line = Text.assemble((f"  {name:<10}", "dim"), safe(text))
            self._console.print(_indented(line, self._console.width, 12))

    def _areas(self, features: Sequence[Feature], word: str) -> None:
        self._console.print(Text(f"  {word} {len(features)}", style="bold"))
        by_area: dict[str, list[Feature]] = {}
        for feature in features:
            by_area.setdefault(feature.area, []).append(feature)
        for area, found in sorted(by_area.items()):
            names = Text(f"    {area:<15}", style="dim")
            names.append_text(Text(", ".join(self._named(f) for f in found), style="default"))
            self._console.print(_indented(names, self._console.width))

    def _named(self, feature: Feature) -> str:
        name = feature.id.partition("/")[2] if feature.id.split("/")[0] in _OWN else feature.id
        return safe(name) + self._marks.on(labels_of(feature))

    def _line(self, word: str, features: Sequence[Feature], more: str) -> None:
        if not features:
            return
        shown = ", ".join(self._named(f) for f in features[:_NAMED])
        rest = len(features) - _NAMED
        tail = f" and {rest} more ({more})" if rest > 0 else ""
        line = Text.assemble((f"  {word} {len(features)}", "bold"), f"  {shown}{tail}")
        self._console.print(_indented(line, self._console.width, 4))

    def _unknown(self, report: ChipReport) -> None:
        """Say what is not known, by reason: a reason stands for all features that share it."""
        unknown = report.having(None)
        if not unknown:
            return
        self._console.print(Text(f"  unknown {len(unknown)}", style="bold"))
        by_reason: dict[str, list[Feature]] = {}
        for feature in unknown:
            why = report.statuses[feature.id].why.partition(" (")[0]
            by_reason.setdefault(why, []).append(feature)
        for why, found in sorted(by_reason.items(), key=lambda item: -len(item[1])):
            shown = ", ".join(self._named(f) for f in found[:_NAMED])
            rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            line = Text.assemble((f"    {safe(why)}: ", "dim"), f"{shown}{rest}")
            self._console.print(_indented(line, self._console.width, 6))

    def comparison(self, comparison: Comparison) -> None:
        """Print what tells the chips apart."""
        for chip in comparison.chips:
            self._head(chip)
        self._console.print()
        if len(comparison.chips) == 2:
            one, other = comparison.chips
            self._areas_only(comparison, other, one)
            self._areas_only(comparison, one, other)
        else:
            self._table(comparison)
        self._open(comparison)

    def _areas_only(self, comparison: Comparison, chip: ChipReport, other: ChipReport) -> None:
        found = comparison.only(chip, other)
        word = f"{safe(chip.side.name)} has, and {safe(other.side.name)} lacks,"
        self._areas(found, word)

    def _table(self, comparison: Comparison) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("feature", no_wrap=True)
        for chip in comparison.chips:
            table.add_column(safe(chip.side.name), justify="center")
        for feature in comparison.differing:
            cells = [self._glyph(holds(chip, feature)) for chip in comparison.chips]
            table.add_row(self._named(feature), *cells)
        self._console.print(table)
        legend = (f"{self._glyph(state).plain} {word}" for state, word in _WORDS.items())
        counted = f"{len(comparison.differing)} features differ; " + ", ".join(legend)
        self._console.print(Text(counted, style="dim"))

    def _glyph(self, state: bool | None) -> Text:
        utf8, ascii_, style = _GLYPHS[state]
        return Text(utf8 if self._unicode else ascii_, style=style)

    def _open(self, comparison: Comparison) -> None:
        for chip in comparison.chips:
            found = [f for f in comparison.open if holds(chip, f) is None]
            if found:
                word = f"not known of {safe(chip.side.name)}, there on another:"
                self._areas(found, word)


_SIGNATURE = frozenset(f"cpuid.{name}" for name in ("vendor", "family", "model", "stepping"))
_OWN = ("x86", "arm64", "riscv", "s390x", "ppc64el")
_WORDS = {True: "has it", False: "lacks it", None: "nobody knows"}
_BASES = {
    "recorded": "read from a recording",
    "derived": "made from a list that was derived",
    "cited": "made from a list that a document states",
}


def _facts(side: ChipSide) -> Iterator[tuple[str, str]]:
    """Yield the lines under a chip's name."""
    if side.identity is not None:
        yield "is", f"{side.identity.title} ({side.identity.confidence}): {side.identity.why}"
    signature = _signature(side)
    if signature:
        yield "signature", signature
    how = _BASES[side.basis] if side.identity or side.basis != "recorded" else "told by QEMU"
    yield "basis", how
    if side.listed.source:
        yield "source", side.listed.source


def _signature(side: ChipSide) -> str:
    values = {name: side.facts.value(f"cpuid.{name}") for name in ("family", "model", "stepping")}
    if isinstance(values["family"], int):
        vendor = side.facts.value("cpuid.vendor")
        return f"{vendor} family {values['family']:#x}, model {values['model']:#x}"
    midr = side.facts.value("arm64.midr")
    if isinstance(midr, int):
        return f"implementer {midr >> 24 & 0xFF:#x}, part {midr >> 4 & 0xFFF:#x}"
    return ""


def _indented(text: Text, width: int, indent: int = 19) -> Text:
    """Wrap ``text`` with every line after the first set in."""
    lines = text.wrap(_PLAIN, max(width - indent, 40))
    rest = [Text(" " * indent).append_text(line) for line in lines[1:]]
    return Text("\n").join([lines[0], *rest]) if lines else text


_PLAIN = Console(width=200)
