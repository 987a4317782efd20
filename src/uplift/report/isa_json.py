"""An audit of binaries as JSON: the contract for scripts, ``uplift-isa-audit/1``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Feature
from uplift.isa.model import FunctionAudit, Reach, SetUse
from uplift.isa.tally import Tally
from uplift.isa.unused import Chip, Fit, given_by
from uplift.report.isa import AuditReport, FileReport, address
from uplift.report.labels import label_list, with_labels

SCHEMA = "uplift-isa-audit/1"

Json = dict[str, Any]


def audit_to_json(report: AuditReport) -> Json:
    """Return the whole audit; keys are only ever added within one schema version."""
    chip = report.chip
    return {
        "schema": SCHEMA,
        "labels": label_list(report.labels),
        "baseline": report.baseline or None,
        "chip": _chip(chip) if chip else None,
        "files": [file_to_json(file) for file in report.files],
        "refused": [vars(refused) for refused in report.refused],
        "skipped": [vars(skipped) for skipped in report.skipped],
    }


def _chip(chip: Chip) -> Json:
    return with_labels({"name": chip.name, "title": chip.title, "arch": chip.arch}, chip.labels)


def file_to_json(file: FileReport) -> Json:
    """Return one file."""
    audit, about = file.audit, file.audit.identity
    return {
        "path": audit.path,
        "arch": audit.arch,
        "kind": about.kind,
        "build_id": about.build_id or None,
        "soname": about.soname or None,
        "package": dict(about.package),
        "properties": list(about.properties),
        "producers": list(about.producers),
        "languages": list(about.languages),
        "level": audit.level or None,
        "needs": audit.needs or None,
        "sets": {name: _tally(tally) for name, tally in file.sets.items()},
        "functions": [_function(f) for f in sorted(file.functions, key=lambda f: f.address)],
        "unreached": {name: tally.count for name, tally in file.unreached.items()},
        "violations": [
            {
                "function": violation.function,
                "address": address(violation.address),
                "sets": list(violation.sets),
                "certain": violation.certain,
            }
            for violation in audit.violations
        ],
        "chip": _fit(file.fit, audit.arch) if file.fit else None,
        "function_count": audit.function_count,
        "instructions": audit.instructions,
        "undecodable": audit.undecodable,
        "engine": audit.engine,
        "notes": list(audit.notes),
        "undetermined": audit.undetermined or None,
    }


def _tally(tally: Tally) -> Json:
    return {
        "count": tally.count,
        "confidence": tally.confidence.value,
        "reach": tally.reach.value,
        "functions": {reach.value: count for reach, count in tally.functions.items()},
        "first": address(tally.first),
        "function": tally.function,
    }


def _function(function: FunctionAudit) -> Json:
    return {
        "name": function.name,
        "address": address(function.address),
        "size": function.size,
        "confidence": function.confidence.value,
        "reach": function.reach.value,
        "sets": {name: use_to_json(use) for name, use in function.sets.items()},
        "evidence": list(function.evidence),
    }


def use_to_json(use: SetUse) -> Json:
    """Return a function's use of one set."""
    return {
        "count": use.count,
        "confidence": use.confidence.value,
        "reach": use.reach.value,
        "first": address(use.first),
    }


def _fit(fit: Fit, arch: str) -> Json:
    return {
        "runs": fit.runs,
        "used": [_feature(feature, arch) for feature in fit.used],
        "unused": [_feature(feature, arch) for feature in fit.unused],
        "missing": _reaches(fit.missing),
        "open": _reaches(fit.open),
    }


def _feature(feature: Feature, arch: str) -> Json:
    given = given_by(feature, arch)
    row = {
        "id": feature.id,
        "title": feature.title,
        "worth": feature.worth,
        "sets": list(given.sets) if given else [],
    }
    return with_labels(row, labels_of(feature))


def _reaches(found: Mapping[str, Reach]) -> Json:
    return {name: reach.value for name, reach in found.items()}
