"""Read the catalog's TOML into the model; refuse whole what is not well formed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any as Json
from typing import NamedTuple

from uplift.catalog.model import (
    Catalog,
    Cause,
    Chip,
    Feature,
    Layer,
    LayerNeed,
    Remedy,
    Signature,
    Since,
    Source,
)
from uplift.catalog.predicate import parse_predicate
from uplift.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).parent / "data"
_FILE_LIMIT = 4 << 20
_LAYER_ORDER = {layer: place for place, layer in enumerate(Layer)}

Table = Mapping[str, Json]


def load_catalog(data: Path = DATA, cache: Path | None = None) -> Catalog:
    """Read every feature and chip below ``data``.

    :param cache: a directory for the TOML as JSON, which reads far faster; None for none.
    :raises CatalogError: a file is not TOML, or not of the catalog's form; names file and entry.
    """
    files = [*sorted((data / "features").glob("*.toml")), *sorted((data / "chips").glob("*.toml"))]
    tables = _cached(files, cache) if cache else read_tables(files)
    return build_catalog(tables)


def build_catalog(tables: Mapping[str, Table]) -> Catalog:
    """Build the catalog from file names and their parsed TOML.

    :raises CatalogError: an entry is not of the catalog's form, or an id stands twice.
    """
    features: dict[str, Feature] = {}
    chips: dict[str, Chip] = {}
    silicon: dict[str, _Silicon] = {}
    for name, table in tables.items():
        for entry in table.get("feature", []):
            feature = _entry(name, entry, "id", _feature)
            _add(features, feature.id, feature, name)
        for entry in table.get("chip", []):
            chip = _entry(name, entry, "codename", _chip)
            _add(chips, chip.codename, chip, name)
        for codename, entry in table.get("features", {}).items():
            silicon[codename] = _entry(name, {**entry, "codename": codename}, "codename", _silicon)
    _refuse_unknown_chips(silicon, chips)
    return Catalog(
        tuple(features.values()), tuple(_with_features(c, silicon) for c in chips.values())
    )


def _refuse_unknown_chips(silicon: Iterable[str], chips: Mapping[str, Chip]) -> None:
    strangers = sorted(set(silicon) - set(chips))
    if strangers:
        raise CatalogError(
            "cannot load the catalog",
            f"features are listed for chips that no file names: {', '.join(strangers[:5])}",
            "name the chip in data/chips, or correct the code name",
        )


def _with_features(chip: Chip, silicon: Mapping[str, _Silicon]) -> Chip:
    if chip.codename not in silicon:
        return chip
    found = silicon[chip.codename]
    return replace(chip, features=found.features, features_source=found.source, unsure=found.unsure)


def _add(into: dict[str, Json], key: str, value: Json, name: str) -> None:
    if key in into:
        raise CatalogError(
            f"cannot load {name}",
            f"{key} stands twice, here and in {into[key].origin}",
            "keep one of the two",
        )
    into[key] = value


def _entry(name: str, entry: Json, key: str, build: Json) -> Json:
    label = entry.get(key, "an entry without " + key) if isinstance(entry, dict) else repr(entry)
    try:
        return build(entry, Path(name).name)
    except KeyError as error:
        cause = f"{label}: {error.args[0]} is missing"
    except (ValueError, TypeError, AttributeError) as error:
        cause = f"{label}: {error}"
    raise CatalogError(
        f"cannot load {name}", cause, "correct the entry; `uplift catalog check` tells all"
    )


def _feature(entry: Table, origin: str) -> Feature:
    layers = tuple(_layer(layer) for layer in entry["layer"])
    order = [_LAYER_ORDER[layer.name] for layer in layers]
    if order != sorted(set(order)):
        raise ValueError("its layers are not in order, or one stands twice")
    return Feature(
        id=entry["id"],
        title=entry["title"],
        arch=tuple(entry.get("arch", ())),
        area=entry["area"],
        layers=layers,
        worth=entry.get("worth", 3),
        summary=entry.get("summary", ""),
        origin=origin,
    )


def _layer(entry: Table) -> LayerNeed:
    name = Layer(entry["name"])
    return LayerNeed(
        name=name,
        needs=parse_predicate(entry["needs"]),
        source=_source(entry["source"]),
        used=parse_predicate(entry["used"]) if "used" in entry else None,
        applies=parse_predicate(entry["applies"]) if "applies" in entry else None,
        since=Since(**entry["since"]) if "since" in entry else None,
        owner=entry.get("owner", ""),
        causes=tuple(_cause(cause) for cause in entry.get("cause", ())),
        remedy=Remedy(**entry["remedy"]) if "remedy" in entry else None,
        note=entry.get("note", ""),
    )


def _cause(entry: Table) -> Cause:
    status = entry.get("status", "stopped")
    if status not in ("stopped", "hidden", "absent"):
        raise ValueError(f"a cause's status is stopped, hidden or absent, not {status!r}")
    return Cause(
        when=parse_predicate(entry["when"]),
        cause=entry["cause"],
        kind=entry["kind"],
        owner=entry.get("owner", ""),
        status=status,
        remedy=Remedy(**entry["remedy"]) if "remedy" in entry else None,
    )


def _source(entry: Table) -> Source:
    if len(entry) != 1 or not set(entry) <= {"recorded", "derived", "cited"}:
        raise ValueError(f"a source is one of recorded, derived, cited, not {dict(entry)!r}")
    ((kind, text),) = entry.items()
    return Source(kind, text)


def _chip(entry: Table, origin: str) -> Chip:
    return Chip(
        codename=entry["codename"],
        title=entry["title"],
        vendor=entry["vendor"],
        arch=entry["arch"],
        microarchitecture=entry.get("microarchitecture", ""),
        segment=entry.get("segment", ""),
        signatures=tuple(_signature(s, entry["vendor"]) for s in entry["signature"]),
        source=_source(entry["source"]),
        features=frozenset(entry.get("features", ())),
        archspec=entry.get("archspec", ""),
        announced=entry.get("announced", ""),
        origin=origin,
    )


_KIND_OF_FIELD = {"family": "x86", "implementer": "midr", "mvendorid": "riscv", "text": "platform"}
_TEXTS = ("text", "brand", "system")


def _signature(entry: Table, vendor: str) -> Signature:
    kinds = [kind for field, kind in _KIND_OF_FIELD.items() if field in entry]
    if len(kinds) != 1:
        raise ValueError(f"a signature has one of {', '.join(_KIND_OF_FIELD)}, not {dict(entry)!r}")
    fields = []
    for field, value in entry.items():
        if field not in _TEXTS:
            low, high = value if isinstance(value, list) else (value, value)
            fields.append((field, int(low), int(high)))
    text = next((entry[name] for name in _TEXTS if name in entry), "")
    return Signature(kinds[0], vendor, tuple(fields), text)


class _Silicon(NamedTuple):
    """What a source lists for one chip."""

    features: frozenset[str]
    source: Source
    unsure: frozenset[str] | None


def _silicon(entry: Table, origin: str) -> _Silicon:
    unsure = frozenset(entry["unsure"]) if "unsure" in entry else None
    return _Silicon(frozenset(entry["list"]), _source(entry["source"]), unsure)


def read_tables(files: Iterable[Path]) -> Mapping[str, Table]:
    """Read TOML files: name to table.

    :raises CatalogError: one of them is not TOML, or too large.
    """
    return {str(file): _read(file) for file in files}


def _read(file: Path) -> Table:
    if file.stat().st_size > _FILE_LIMIT:
        raise CatalogError(f"cannot load {file}", "it is larger than 4 MiB", "split it")
    try:
        table: Table = tomllib.loads(file.read_text("utf-8"))
        return table
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"cannot load {file}", str(error), "correct the TOML") from None


def _cached(files: Iterable[Path], cache: Path) -> Mapping[str, Table]:
    files = list(files)
    stamp = sha256()
    for file in files:
        stat = file.stat()
        stamp.update(f"{file}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    kept = cache / f"catalog-{stamp.hexdigest()[:16]}.json"
    try:
        tables: Mapping[str, Table] = json.loads(kept.read_bytes())
        return tables
    except (OSError, ValueError):
        tables = read_tables(files)
        _keep(kept, tables)
        return tables


def _keep(kept: Path, tables: Mapping[str, Table]) -> None:
    """Write the cache; a cache that cannot be written costs time, never the answer."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in kept.parent.glob("catalog-*.json"):
            old.unlink()
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(tables), "utf-8")
        part.replace(kept)
    except OSError:
        return
