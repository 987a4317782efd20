"""One feature, layer by layer, with the bytes that prove each verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Source
from uplift.facts.model import Capture, Snapshot
from uplift.report.labels import Marks, label_list, print_banner, with_labels
from uplift.report.scan_json import resolution_to_json
from uplift.report.terminal import GLYPHS, safe
from uplift.resolve.account import Evidence
from uplift.resolve.model import Resolution, Verdict

SCHEMA = "uplift-explain/1"

_NEAR = 3  #: lines: an answer follows the name of what it is about
_OPENING_TAG = re.compile(r"<[\w:.-]+[^<>]*>")
_EXCERPT = 110
_CPUID_FACT = re.compile(r"(?:kvm\.)?cpuid\.(?P<leaf>[0-9a-f]+)\.(?P<subleaf>[0-9a-f]+)\.e[abcd]x")


def explanation(resolution: Resolution, snapshot: Snapshot) -> dict[str, Any]:
    """Return the feature, its catalog sources, and how each cited capture was obtained."""
    cited = {e.capture for verdict in resolution.verdicts for e in verdict.evidence}
    captures = [snapshot.captures[name] for name in sorted(cited) if name in snapshot.captures]
    return {
        "schema": SCHEMA,
        "snapshot": snapshot.digest,
        **resolution_to_json(resolution),
        "labels": label_list(labels_of(resolution)),
        "summary": resolution.feature.summary,
        "sources": {need.name.value: _source(need.source) for need in resolution.feature.layers},
        "captures": [
            {
                "id": capture.id,
                "status": capture.status.value,
                "sha256": capture.sha256,
                "how": capture.how,
                "detail": capture.detail,
            }
            for capture in captures
        ],
    }


def _source(source: Source) -> dict[str, Any]:
    return with_labels({"kind": source.kind, "text": source.text}, labels_of(source))


def print_explanation(resolution: Resolution, snapshot: Snapshot, console: Console) -> None:
    """Print the feature's way through the layers."""
    feature = resolution.feature
    marks = Marks(labels_of(resolution))
    print_banner(marks, console)
    console.print(
        Text.assemble((feature.id, "bold"), f"  {feature.title}{marks.on(feature.labels)}")
    )
    if feature.summary:
        console.print(Text(feature.summary, style="dim"))
    for need, verdict in zip(feature.layers, resolution.verdicts, strict=True):
        _print_verdict(verdict, snapshot, console, marks.of(verdict))
        source = f"{need.source.kind}: {need.source.text}"
        console.print(Text(f"      asked because  {safe(source)}", style="dim"))
        if need.since:
            since = f"{need.since.project} {need.since.version} {need.since.commit}".rstrip()
            console.print(Text(f"      upstream since {safe(since)}", style="dim"))
        if need.note:
            console.print(Text(f"      note           {safe(need.note)}", style="dim"))
    _print_stop(resolution, console, marks)


def _print_verdict(verdict: Verdict, snapshot: Snapshot, console: Console, mark: str) -> None:
    style = GLYPHS[verdict.status][2]
    console.print()
    console.print(
        Text.assemble((f"  {verdict.layer.value:<15}", "bold"), (verdict.status.value, style), mark)
    )
    console.print(Text(f"      why            {safe(verdict.why)}"))
    for line in _evidence_lines(verdict.evidence, snapshot):
        console.print(Text(f"      {line}"))


def _evidence_lines(evidence: Sequence[Evidence], snapshot: Snapshot) -> Iterator[str]:
    """Yield each fact with its value, then each capture once, then what nobody collected."""
    captures: dict[str, list[Evidence]] = {}
    for piece in dict.fromkeys(evidence):
        captures.setdefault(piece.capture, []).append(piece)
        if piece.capture in snapshot.captures and snapshot.captures[piece.capture].usable:
            yield f"fact           {safe(piece.fact)} {_value(piece)}"
    for name, pieces in captures.items():
        if name in snapshot.captures:
            yield from _capture_lines(snapshot.captures[name], pieces)
    missing = ", ".join(safe(name) for name in captures if name not in snapshot.captures)
    if missing:
        yield f"not collected  {missing}"


def _value(piece: Evidence) -> str:
    if piece.word:
        return f"{'has' if piece.value else 'lacks'} {safe(piece.word)}"
    return f"= {hex(piece.value) if type(piece.value) is int else safe(str(piece.value))}"


def _capture_lines(capture: Capture, pieces: Sequence[Evidence]) -> Iterator[str]:
    yield f"capture        {safe(capture.id)} ({capture.status.value}) sha256 {capture.sha256}"
    if capture.how:
        yield f"obtained by    {_cut(safe(capture.how), 0)}"
    for excerpt in dict.fromkeys(_excerpt(capture, piece) for piece in pieces):
        if excerpt:
            yield f"bytes          {excerpt}"


def _excerpt(capture: Capture, piece: Evidence) -> str:
    """Return the line of the capture that speaks of the fact, as far as text can tell."""
    if not capture.usable:
        return safe(capture.detail)
    spoken = _spoken_of(piece.fact)
    wanted = spoken
    if piece.word:
        wanted = _whole_word(piece.word) if piece.value else _label(piece.fact)
    lines = capture.text[: 1 << 20].splitlines()
    found = _nearest(lines, wanted, spoken) if wanted else None
    if found is None:
        return ""
    at, start = found
    line = lines[at]
    if _OPENING_TAG.fullmatch(line.strip()) and at + 1 < len(lines):
        line = f"{line.strip()} {lines[at + 1].strip()}"
    line = " ".join(line.split("\t")).strip()
    return _cut(safe(line), max(0, start - _EXCERPT // 2))


def _nearest(
    lines: Sequence[str], wanted: re.Pattern[str], spoken: re.Pattern[str] | None
) -> tuple[int, int] | None:
    """Return where ``wanted`` stands first, best below the words that the fact is named after."""
    first = None
    named = -_NEAR
    for at, line in enumerate(lines):
        if spoken and spoken.search(line):
            named = at
        found = wanted.search(line)
        if found and at - named < _NEAR:
            return at, found.start()
        if found and first is None:
            first = at, found.start()
    return first


def _cut(text: str, start: int) -> str:
    """Return ``text`` from ``start`` on, in one line of readable length."""
    shown = text[start : start + _EXCERPT]
    return f"{'… ' if start else ''}{shown.strip()}{' …' if len(text) > start + _EXCERPT else ''}"


def _whole_word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w]){re.escape(word)}(?![\w])", re.I)


def _spoken_of(fact: str) -> re.Pattern[str] | None:
    """Return what the line that a fact was read from looks like; None where only a parser knows."""
    cpuid = _CPUID_FACT.fullmatch(fact)
    if cpuid:
        leaf, subleaf = cpuid["leaf"].zfill(8), cpuid["subleaf"]
        return re.compile(rf"{leaf}(?: +0x0*{subleaf})?:(?!.*\[SL (?!0*{subleaf}\]))", re.I)
    word = fact.rpartition(".")[2]
    return _whole_word(word) if len(word) > 2 else None


def _label(fact: str) -> re.Pattern[str]:
    """Return what a list that lacks a word is headed by: ``flags :`` or ``<mig_mode>``."""
    name = re.escape(fact.rpartition(".")[2])
    return re.compile(rf"<{name}>|\b{name}\s*[:=]", re.I)


def _print_stop(resolution: Resolution, console: Console, marks: Marks) -> None:
    console.print()
    stop = resolution.stop
    if stop is None:
        console.print(Text("  nothing that was looked at stops it", style="green"))
        return
    cause = f"{safe(stop.cause)}{marks.of(stop)}"
    console.print(Text(f"  stops at {stop.layer.value}: {cause}", style="bold red"))
    console.print(Text(f"  owner    {safe(stop.owner)}"))
    if stop.remedy:
        console.print(Text(f"  lifted   {stop.remedy.kind}: {safe(stop.remedy.do)}"))
