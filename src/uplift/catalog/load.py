"""Read the catalog's TOML into the model; refuse whole what is not well formed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any as Json

from uplift.catalog.entries import Silicon, Table, chip_of, feature_of, silicon_of
from uplift.catalog.model import Catalog, Chip, Feature
from uplift.catalog.package_use import with_package_use
from uplift.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).parent / "data"
_FILE_LIMIT = 4 << 20


def load_catalog(
    data: Path = DATA, cache: Path | None = None, overlays: Sequence[Path] = ()
) -> Catalog:
    """Return the catalog as targets are judged by it: what is written, and what all features ask.

    :param cache: a directory for the TOML as JSON, which reads far faster; None for none. Nothing
        of an overlay is ever written there.
    :param overlays: private directories of catalog data.
    :raises CatalogError: a file is not TOML, or not of the catalog's form; names file and entry.
    """
    return with_package_use(written_catalog(data, cache, overlays))


def written_catalog(
    data: Path = DATA, cache: Path | None = None, overlays: Sequence[Path] = ()
) -> Catalog:
    """Read every feature and chip below ``data``, then lay the overlays over them in order.

    The parameters and what is raised are those of :func:`load_catalog`.
    """
    files = [*sorted((data / "features").glob("*.toml")), *sorted((data / "chips").glob("*.toml"))]
    tables = _cached(files, cache) if cache else read_tables(files)
    base = build_catalog(tables)
    if not overlays:
        return base
    from uplift.catalog.overlay import lay_over  # noqa: PLC0415  for those who keep a secret only
    from uplift.catalog.overlay_files import read_overlay  # noqa: PLC0415

    return lay_over(base, [read_overlay(directory) for directory in overlays])


def catalog_texts(data: Path = DATA) -> Mapping[str, str]:
    """Return the catalog's files as they are written: ``chips/intel.toml`` to its text."""
    rooms = ("features", "chips", "releases")
    files = (file for room in rooms for file in sorted((data / room).glob("*.toml")))
    return {file.relative_to(data).as_posix(): file.read_text("utf-8") for file in files}


def build_catalog(tables: Mapping[str, Table]) -> Catalog:
    """Build the catalog from file names and their parsed TOML.

    :raises CatalogError: an entry is not of the catalog's form, or an id stands twice.
    """
    features: dict[str, Feature] = {}
    chips: dict[str, Chip] = {}
    silicon: dict[str, Silicon] = {}
    for name, table in tables.items():
        for entry in table.get("feature", []):
            feature = _entry(name, entry, "id", feature_of)
            _add(features, feature.id, feature, name)
        for entry in table.get("chip", []):
            chip = _entry(name, entry, "codename", chip_of)
            _add(chips, chip.codename, chip, name)
        for codename, entry in table.get("features", {}).items():
            silicon[codename] = _entry(
                name, {**entry, "codename": codename}, "codename", silicon_of
            )
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


def _with_features(chip: Chip, silicon: Mapping[str, Silicon]) -> Chip:
    if chip.codename not in silicon:
        return chip
    found = silicon[chip.codename]
    return replace(
        chip,
        features=found.features,
        features_source=found.source,
        unsure=found.unsure,
        lacks=found.lacks,
    )


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
