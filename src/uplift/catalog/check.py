"""Check catalog data: schema, known facts, sources, ids; every problem in one pass."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from uplift.catalog.labels import labels_of
from uplift.catalog.load import DATA, read_tables, written_catalog
from uplift.catalog.model import Catalog, Chip, Feature, LayerNeed, strictest_first
from uplift.catalog.predicate import tests
from uplift.errors import CatalogError
from uplift.facts.model import Facts, Parser, Snapshot

SCHEMAS = DATA / "schema"


def check_catalog(
    data: Path, parsers: Iterable[Parser], overlays: Sequence[Path] = ()
) -> list[str]:
    """Return every problem found, one line each; empty when all is well.

    :param overlays: private directories; a problem of what comes from one carries its label.
    :raises CatalogError: an overlay is not well formed.
    """
    problems = list(_against_schema(data))
    try:
        catalog = written_catalog(data)
    except CatalogError as error:
        return [*problems, f"{error.problem}: {error.cause}"]
    if overlays:
        catalog = written_catalog(data, overlays=overlays)
    declared = Facts(Snapshot({}), parsers)
    for feature in catalog.features:
        problems.extend(_check_feature(feature, declared))
    problems.extend(_check_chips(catalog))
    problems.extend(_check_releases(data, declared))
    return problems


#: Schema and directory of every kind of data.
_KINDS = (("feature", "features"), ("chip", "chips"), ("release", "releases"))
#: What documents state of a release beyond what parsers read: what was backported or taken out.
_ADJUSTED = re.compile(
    r"(image\.(flags|xfeatures|hwcaps|riscv_isa)|qemu\.(properties|models)"
    r"|libvirt\.map_(features|models))_(added|removed)"
)


def _check_releases(data: Path, declared: Facts) -> Iterator[str]:
    for name, table in read_tables(sorted((data / "releases").glob("*.toml"))).items():
        for one in table.get("set", ()):
            for fact in dict.fromkeys(str(entry.get("name")) for entry in one.get("fact", ())):
                try:
                    declared.parser_of(fact)
                except KeyError:
                    if not _ADJUSTED.fullmatch(fact):
                        yield f"{name}: {one.get('name')}: no parser declares the fact {fact}"


def _against_schema(data: Path) -> Iterator[str]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to import, used here only

    for kind, directory in _KINDS:
        schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text("utf-8"))
        validator = Draft202012Validator(schema)
        for name, table in read_tables(sorted((data / directory).glob("*.toml"))).items():
            for error in validator.iter_errors(table):
                where = "/".join(str(step) for step in error.absolute_path)
                yield f"{name}: {where}: {error.message[:300]}"


def _check_feature(feature: Feature, declared: Facts) -> Iterator[str]:
    for layer in feature.layers:
        for fact in sorted(_facts_of(layer)):
            try:
                declared.parser_of(fact)
            except KeyError:
                where = f"{_origin(feature)}: {feature.id}: {layer.name.value}"
                yield f"{where}: no parser declares the fact {fact}"


def _facts_of(layer: LayerNeed) -> set[str]:
    predicates = [layer.needs, layer.used, layer.applies, *(c.when for c in layer.causes)]
    return {test.fact for predicate in predicates if predicate for test in tests(predicate)}


def _check_chips(catalog: Catalog) -> Iterator[str]:
    ids = {feature.id for feature in catalog.features}
    for chip in catalog.chips:
        for unknown in sorted(chip.features - ids):
            yield f"{_origin(chip)}: {chip.codename}: lists {unknown}, which no feature file has"


def _origin(entry: Feature | Chip) -> str:
    labels = labels_of(entry)
    return f"[{'; '.join(strictest_first(labels))}] {entry.origin}" if labels else entry.origin
