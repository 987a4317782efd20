"""One feature, layer by layer, with the bytes that prove each verdict."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.facts.model import Capture, Snapshot
from uplift.report.scan_json import resolution_to_json
from uplift.report.terminal import GLYPHS, safe
from uplift.resolve.account import Evidence
from uplift.resolve.model import Resolution, Verdict

SCHEMA = "uplift-explain/1"

_EXCERPT = 160


def explanation(resolution: Resolution, snapshot: Snapshot) -> dict[str, Any]:
    """Return the feature, its catalog sources, and how each cited capture was obtained."""
    cited = {e.capture for verdict in resolution.verdicts for e in verdict.evidence}
    captures = [snapshot.captures[name] for name in sorted(cited) if name in snapshot.captures]
    return {
        "schema": SCHEMA,
        "snapshot": snapshot.digest,
        **resolution_to_json(resolution),
        "summary": resolution.feature.summary,
        "sources": {
            need.name.value: {"kind": need.source.kind, "text": need.source.text}
            for need in resolution.feature.layers
        },
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


def print_explanation(resolution: Resolution, snapshot: Snapshot, console: Console) -> None:
    """Print the feature's way through the layers."""
    feature = resolution.feature
    console.print(Text.assemble((feature.id, "bold"), f"  {feature.title}"))
    if feature.summary:
        console.print(Text(feature.summary, style="dim"))
    for need, verdict in zip(feature.layers, resolution.verdicts, strict=True):
        _print_verdict(verdict, snapshot, console)
        source = f"{need.source.kind}: {need.source.text}"
        console.print(Text(f"      asked because  {safe(source)}", style="dim"))
        if need.since:
            since = f"{need.since.project} {need.since.version} {need.since.commit}".rstrip()
            console.print(Text(f"      upstream since {safe(since)}", style="dim"))
        if need.note:
            console.print(Text(f"      note           {safe(need.note)}", style="dim"))
    _print_stop(resolution, console)


def _print_verdict(verdict: Verdict, snapshot: Snapshot, console: Console) -> None:
    style = GLYPHS[verdict.status][2]
    console.print()
    console.print(
        Text.assemble((f"  {verdict.layer.value:<15}", "bold"), (verdict.status.value, style))
    )
    console.print(Text(f"      why            {safe(verdict.why)}"))
    for evidence in verdict.evidence:
        for line in _evidence_lines(evidence, snapshot):
            console.print(Text(f"      {line}"))


def _evidence_lines(evidence: Evidence, snapshot: Snapshot) -> list[str]:
    capture = snapshot.captures.get(evidence.capture)
    if capture is None:
        return [f"not collected  {safe(evidence.capture)}"]
    value = hex(evidence.value) if type(evidence.value) is int else evidence.value
    lines = [f"fact           {safe(evidence.fact)} = {safe(str(value))}"]
    lines.append(
        f"capture        {safe(capture.id)} ({capture.status.value}) sha256 {capture.sha256}"
    )
    if capture.how:
        lines.append(f"obtained by    {safe(capture.how)}")
    excerpt = _excerpt(capture, evidence.fact)
    if excerpt:
        lines.append(f"bytes          {excerpt}")
    return lines


def _excerpt(capture: Capture, fact: str) -> str:
    """Return the line of the capture that speaks of ``fact``, as far as text can tell."""
    if not capture.usable:
        return safe(capture.detail)
    words = [word for word in fact.split(".") if len(word) > 2][-1:]
    lines = capture.text[: 1 << 20].splitlines()
    leaf = fact.split(".")[1].zfill(8) if fact.startswith("cpuid.") and fact.count(".") == 3 else ""
    for line in lines:
        if (leaf and leaf in line.lower()) or (words and words[0].lower() in line.lower()):
            return safe(line.strip()[:_EXCERPT])
    return safe(lines[0][:_EXCERPT]) if lines else ""


def _print_stop(resolution: Resolution, console: Console) -> None:
    console.print()
    stop = resolution.stop
    if stop is None:
        console.print(Text("  nothing that was looked at stops it", style="green"))
        return
    console.print(Text(f"  stops at {stop.layer.value}: {safe(stop.cause)}", style="bold red"))
    console.print(Text(f"  owner    {safe(stop.owner)}"))
    if stop.remedy:
        console.print(Text(f"  lifted   {stop.remedy.kind}: {safe(stop.remedy.do)}"))
