"""The scan as JSON: the contract for scripts, ``uplift-scan/1``."""

from __future__ import annotations

from typing import Any

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Remedy
from uplift.facts.model import Capture
from uplift.report.labels import label_list, with_labels
from uplift.report.model import ORDER, ScanReport, ending
from uplift.resolve.account import Evidence
from uplift.resolve.model import ChipIdentity, Resolution, Stop, Verdict

SCHEMA = "uplift-scan/1"

Json = dict[str, Any]


def scan_to_json(report: ScanReport) -> Json:
    """Return the whole scan; keys are only ever added within one schema version."""
    snapshot = report.scan.snapshot
    return {
        "schema": SCHEMA,
        "labels": label_list(labels_of(report.scan)),
        "target": report.target,
        "snapshot": {
            "digest": snapshot.digest,
            "kind": snapshot.kind,
            "origin": snapshot.origin,
            "collected_at": snapshot.collected_at,
            "arch": snapshot.arch,
            "redacted": snapshot.redacted,
            "complete": snapshot.complete,
        },
        "headline": dict(report.headline),
        "chip": _chip(report.scan.identity),
        "order": ORDER,
        "counts": dict(report.counts),
        "features": [resolution_to_json(resolution) for resolution in report.ordered],
        "captures": [_capture(capture) for _, capture in sorted(snapshot.captures.items())],
    }


def resolution_to_json(resolution: Resolution) -> Json:
    """Return one feature with its layers and its stop."""
    feature = resolution.feature
    document = {
        "id": feature.id,
        "title": feature.title,
        "area": feature.area,
        "worth": feature.worth,
        "ending": ending(resolution),
        "layers": [layer_to_json(verdict) for verdict in resolution.verdicts],
        "stop": stop_to_json(resolution.stop),
    }
    return with_labels(document, labels_of(resolution))


def stop_to_json(stop: Stop | None) -> Json | None:
    """Return where the feature stops; None where nothing is known to stop it."""
    if stop is None:
        return None
    document = {
        "layer": stop.layer.value,
        "kind": stop.kind,
        "cause": f"{stop.kind}: {stop.cause}",
        "owner": stop.owner,
        "remedy": remedy_to_json(stop.remedy),
    }
    return with_labels(document, labels_of(stop))


def remedy_to_json(remedy: Remedy | None) -> Json | None:
    """Return what lifts the stop; None where nothing on this machine does."""
    if remedy is None:
        return None
    return {"kind": remedy.kind, "do": remedy.do, "reversible": remedy.reversible}


def _chip(identity: ChipIdentity) -> Json:
    document = {
        "codename": identity.codename,
        "title": identity.title,
        "confidence": identity.confidence,
        "why": identity.why,
        "vendor": identity.vendor,
        "microarchitecture": identity.microarchitecture,
        "segment": identity.segment,
        "signature": identity.signature,
        "nearest": identity.nearest or None,
        "candidates": list(identity.candidates),
        "differs": [
            {"feature": difference.feature, "expected": difference.expected}
            for difference in identity.differs
        ],
        "removed_by": identity.removed_by or None,
        "evidence": [_evidence(evidence) for evidence in identity.evidence],
    }
    return with_labels(document, labels_of(identity))


def layer_to_json(verdict: Verdict) -> Json:
    document = {
        "name": verdict.layer.value,
        "status": verdict.status.value,
        "why": verdict.why,
        "evidence": [_evidence(evidence) for evidence in verdict.evidence],
    }
    return with_labels(document, labels_of(verdict))


def _evidence(evidence: Evidence) -> Json:
    value = evidence.value
    if isinstance(value, frozenset):
        value = tuple(sorted(value))
    return {
        "fact": evidence.fact,
        "value": value,
        "word": evidence.word or None,
        "capture": evidence.capture,
        "sha256": evidence.sha256 or None,
    }


def _capture(capture: Capture) -> Json:
    return {
        "id": capture.id,
        "status": capture.status.value,
        "size": len(capture.data),
        "sha256": capture.sha256,
        "how": capture.how,
        "detail": capture.detail,
    }
