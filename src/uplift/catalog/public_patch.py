"""The part of overlays that may go public, as a patch against the catalog's own files.

Nothing else of an overlay may be in it: the entries are written anew from their values, so that
comments, file names, marks and labels stay behind, and the finished patch is searched for every
text of what is left out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from uplift.catalog import toml_edit, toml_text
from uplift.catalog.entries import Table
from uplift.catalog.load import build_catalog
from uplift.catalog.model import Catalog, Chip, Feature, Policy
from uplift.catalog.overlay import lay_over
from uplift.catalog.overlay_files import Marks, OverlayData, PrivateEntry
from uplift.catalog.patch_text import git_patch
from uplift.errors import CatalogError, UpliftError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Where the catalog's files lie in its repository.
PREFIX = "src/uplift/catalog/data"

_SHORTEST = 3  #: a private text below this length may stand in the patch by chance


@dataclass(frozen=True)
class PublicPatch:
    """What may go public.

    :param text: the patch; empty where nothing may.
    :param taken: how many entries are in it, by kind.
    :param left_out: how many entries of the overlays are not, by kind; ``recording`` too.
    """

    text: str
    taken: Mapping[str, int]
    left_out: Mapping[str, int]


def public_patch(
    base: Mapping[str, str],
    overlays: Sequence[OverlayData],
    allow: frozenset[str] = frozenset(),
    as_of: str = "",
    prefix: str = PREFIX,
) -> PublicPatch:
    """Return the public part of ``overlays`` as a patch.

    An entry may go public when it is marked ``public``, when the day that its overlay or the entry
    itself sets has come, or when somebody allows it by name.

    :param base: the catalog's files, ``chips/intel.toml`` to its text.
    :param allow: ids and code names.
    :param as_of: the day, ISO 8601; empty: none has come yet.
    :raises UpliftError: a name to allow is unknown, a public entry does not fit into the files, or
        a text of what is not public would be in the patch.
    """
    _refuse_unknown(allow, overlays)
    before = _catalog(base)
    lay_over(before, overlays)  # refused here rather than half-way
    public, left_out = _public_part(_known(before, base), overlays, allow, as_of)
    files = dict(base)
    for data in public:
        for entry in data.entries:
            _put(files, entry)
    _check(files, lay_over(before, public))
    changes = {f"{prefix}/{name}": (base.get(name, ""), text) for name, text in files.items()}
    text = git_patch({path: pair for path, pair in changes.items() if pair[0] != pair[1]})
    _refuse_leak(text, base, overlays, public)
    taken = Counter(entry.kind for data in public for entry in data.entries)
    return PublicPatch(text, taken, left_out)


def _refuse_unknown(allow: Iterable[str], overlays: Sequence[OverlayData]) -> None:
    known = {entry.id for data in overlays for entry in data.entries}
    unknown = sorted(set(allow) - known)
    if unknown:
        raise UpliftError(
            f"cannot allow {', '.join(unknown)}",
            "no overlay has an entry of this name",
            "name a feature's id, a chip's code name, a release, or release+set",
        )


def _public_part(
    known: set[tuple[str, str]],
    overlays: Sequence[OverlayData],
    allow: frozenset[str],
    as_of: str,
) -> tuple[list[OverlayData], Counter[str]]:
    """Return the overlays with their public entries only, and how many others there are."""
    public: list[OverlayData] = []
    left_out: Counter[str] = Counter()
    for data in overlays:
        wanted = [e for e in data.entries if e.id in allow or _may_go(e, data, as_of)]
        kept = list(_applicable(wanted, known))
        known |= {(entry.kind, entry.id) for entry in kept}
        left_out.update(entry.kind for entry in data.entries)
        left_out.subtract(entry.kind for entry in kept)
        left_out["recording"] += data.recordings
        public.append(replace(data, entries=tuple(kept)))
    ids = {name for kind, name in known if kind == "feature"}
    trimmed = [replace(d, entries=tuple(_with_public_ids(d.entries, ids))) for d in public]
    return trimmed, +left_out


def _may_go(entry: PrivateEntry, data: OverlayData, as_of: str) -> bool:
    if entry.marks.public:
        return True
    day = entry.marks.lifts_at or data.overlay.lifts_at
    return bool(day and as_of and day <= as_of) and data.overlay.policy is not Policy.CONFIDENTIAL


def _known(catalog: Catalog, base: Mapping[str, str]) -> set[tuple[str, str]]:
    known = {("feature", feature.id) for feature in catalog.features}
    for chip in catalog.chips:
        known |= {("chip", chip.codename)} | ({("list", chip.codename)} if chip.features else set())
    stems = (name[9:-5] for name in base if name.startswith("releases/"))
    return known | {("release", stem) for stem in stems}


def _applicable(
    entries: Sequence[PrivateEntry], known: set[tuple[str, str]]
) -> Iterator[PrivateEntry]:
    """Yield the entries whose ground is public, too: what they extend, list for or belong to."""
    there = known | {(entry.kind, entry.id) for entry in entries if not entry.marks.extend}
    for entry in entries:
        owner = entry.id.partition("+")[0]
        if entry.marks.extend and (entry.kind, entry.id) not in known:
            continue
        if entry.kind == "list" and ("chip", entry.id) not in there:
            continue
        if entry.kind == "set" and ("release", owner) not in there:
            continue
        if entry.marks.replace and (entry.kind, entry.id) not in known:
            yield replace(entry, marks=Marks())
        else:
            yield entry


def _with_public_ids(entries: Iterable[PrivateEntry], ids: set[str]) -> Iterator[PrivateEntry]:
    """Yield the entries without ids of features that stay private."""
    for entry in entries:
        key = {"chip": "features", "list": "list"}.get(entry.kind, "")
        if key not in entry.table:
            yield entry
            continue
        kept = [name for name in entry.table[key] if name in ids]
        table = {**entry.table, key: kept}
        for other in ("unsure", "lacks"):
            if other in table:
                table[other] = [name for name in table[other] if name in ids]
        if kept:
            yield replace(entry, table=table)
        elif entry.kind == "chip" and (not entry.marks.extend or "signature" in table):
            yield replace(entry, table={k: v for k, v in table.items() if k != key})


def _put(files: dict[str, str], entry: PrivateEntry) -> None:
    """Write one entry into the files."""
    try:
        _PUT[entry.kind](files, entry)
    except ValueError:
        raise UpliftError(
            f"cannot put {entry.id} into the catalog's files",
            "what it extends or replaces is not where it is looked for",
            "write this entry by hand",
        ) from None


def _put_feature(files: dict[str, str], entry: PrivateEntry) -> None:
    if entry.marks.extend:
        name = _file_with(files, "feature", entry.id)
        for layer in entry.table["layer"]:
            files[name] = toml_edit.with_layer(files[name], entry.id, layer)
    elif entry.marks.replace:
        name = _file_with(files, "feature", entry.id)
        text = toml_text.feature_text(entry.table)
        files[name] = toml_edit.replaced(files[name], "feature", entry.id, text)
    else:
        name = _file_for_feature(files, entry)
        files[name] = toml_edit.appended(files.get(name, ""), toml_text.feature_text(entry.table))


def _put_chip(files: dict[str, str], entry: PrivateEntry) -> None:
    if entry.marks.extend:
        _extend_chip(files, entry)
    elif entry.marks.replace:
        name = _file_with(files, "chip", entry.id)
        text = toml_text.chip_text(entry.table)
        files[name] = toml_edit.replaced(files[name], "chip", entry.id, text)
    else:
        name = _file_for_chip(files, str(entry.table["vendor"]))
        files[name] = toml_edit.appended(files.get(name, ""), toml_text.chip_text(entry.table))


def _extend_chip(files: dict[str, str], entry: PrivateEntry) -> None:
    name = _file_with(files, "chip", entry.id)
    chip = _raw(files[name], "chip", entry.id)
    source = entry.table["source"]
    changed: dict[str, Any] = {}
    if "signature" in entry.table:
        changed["signature"] = [*chip["signature"], *entry.table["signature"]]
        changed["source"] = _joint(chip["source"], source)
    listed = entry.table.get("features", [])
    if listed and _has_list(files, entry.id):
        _extend_list(files, entry.id, listed, source)
    elif listed:
        changed["features"] = _all_of(chip.get("features", []), listed)
        changed["source"] = _joint(chip["source"], source)
    files[name] = _with_values(files[name], "chip", entry.id, **changed)


def _put_list(files: dict[str, str], entry: PrivateEntry) -> None:
    text = toml_text.list_text(entry.id, entry.table)
    if entry.marks.extend:
        _extend_list(files, entry.id, entry.table["list"], entry.table["source"])
    elif _has_list(files, entry.id):
        name = _file_with(files, "list", entry.id)
        files[name] = toml_edit.replaced(files[name], "list", entry.id, text)
    else:
        name = _file_with(files, "chip", entry.id)
        files[name] = toml_edit.appended(files[name], text)


def _extend_list(
    files: dict[str, str], codename: str, listed: Sequence[str], source: Table
) -> None:
    if not _has_list(files, codename):  # the chip's own entry lists them
        name = _file_with(files, "chip", codename)
        chip = _raw(files[name], "chip", codename)
        files[name] = _with_values(
            files[name],
            "chip",
            codename,
            features=_all_of(chip["features"], listed),
            source=_joint(chip["source"], source),
        )
        return
    name = _file_with(files, "list", codename)
    table = _parse(files[name])["features"][codename]
    files[name] = _with_values(
        files[name],
        "list",
        codename,
        list=_all_of(table["list"], listed),
        source=_joint(table["source"], source),
    )


def _put_release(files: dict[str, str], entry: PrivateEntry) -> None:
    name = f"releases/{entry.id}.toml"
    if name not in files:
        files[name] = toml_text.release_text(entry.table)


def _put_set(files: dict[str, str], entry: PrivateEntry) -> None:
    name = f"releases/{entry.id.partition('+')[0]}.toml"
    files[name] = toml_edit.appended(files[name], toml_text.set_text(entry.table))


_PUT = {
    "feature": _put_feature,
    "chip": _put_chip,
    "list": _put_list,
    "release": _put_release,
    "set": _put_set,
}


def _with_values(text: str, kind: str, name: str, **values: Any) -> str:
    for key, value in values.items():
        text = toml_edit.with_value(text, kind, name, key, toml_text.pair_text(key, value))
    return text


def _all_of(before: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*before, *more})


def _joint(before: Table, more: Table) -> dict[str, str]:
    """Return one source that names both: an entry of the base has only one."""
    ((kind, text),) = before.items()
    ((other, added),) = more.items()
    if added in text:
        return {kind: text}
    return {kind: f"{text}; {added}" if kind == other else f"{text}; {other}: {added}"}


def _parse(text: str) -> Table:
    table: Table = tomllib.loads(text)
    return table


def _raw(text: str, kind: str, name: str) -> Table:
    key = {"feature": "id", "chip": "codename"}[kind]
    found: Table = next(entry for entry in _parse(text)[kind] if entry[key] == name)
    return found


def _has_list(files: Mapping[str, str], codename: str) -> bool:
    return any(
        codename in _parse(text).get("features", {})
        for name, text in files.items()
        if name.startswith("chips/") and f'"{codename}"' in text
    )


def _file_with(files: Mapping[str, str], kind: str, name: str) -> str:
    """Return the file that holds an entry.

    :raises ValueError: none does.
    """
    for path, text in files.items():
        if f'"{name}"' not in text:
            continue
        table = _parse(text)
        if kind == "list" and name in table.get("features", {}):
            return path
        key = "id" if kind == "feature" else "codename"
        if kind != "list" and any(entry[key] == name for entry in table.get(kind, ())):
            return path
    raise ValueError(name)


def _file_for_feature(files: Mapping[str, str], entry: PrivateEntry) -> str:
    """Return the file that holds the most features of the same family and area."""
    family, area = entry.id.partition("/")[0], entry.table["area"]
    counted: Counter[str] = Counter()
    for path, text in files.items():
        if path.startswith("features/"):
            kin = (one for one in _parse(text)["feature"] if one["id"].startswith(f"{family}/"))
            counted[path] = sum(one["area"] == area for one in kin)
    best = max(sorted(counted), key=lambda path: counted[path], default="")
    return best if counted[best] else f"features/{family}-{area}.toml"


def _file_for_chip(files: Mapping[str, str], vendor: str) -> str:
    """Return the file that holds the most chips of the same maker."""
    counted: Counter[str] = Counter()
    for path, text in files.items():
        if path.startswith("chips/") and vendor in text:
            counted[path] = sum(one["vendor"] == vendor for one in _parse(text).get("chip", ()))
    best = max(sorted(counted), key=lambda path: counted[path], default="")
    slug = re.sub(r"[^a-z0-9]+", "-", vendor.lower()).strip("-")
    return best if counted[best] else f"chips/{slug or 'other'}.toml"


def _catalog(files: Mapping[str, str]) -> Catalog:
    return build_catalog(
        {name: _parse(text) for name, text in files.items() if not name.startswith("releases/")}
    )


def _check(files: Mapping[str, str], wanted: Catalog) -> None:
    """Refuse a patch after which the catalog would not say what the public part says."""
    try:
        after = _catalog(files)
    except (CatalogError, tomllib.TOMLDecodeError):
        after = None
    if after is None or _plain(after) != _plain(wanted):
        raise UpliftError(
            "cannot write the patch",
            "after it the catalog would not say what the public entries say",
            "write these entries by hand, or report this as an error of uplift",
        )


def _plain(catalog: Catalog) -> dict[str, object]:
    """Return what a catalog says: no labels, no files, no sources of lists."""
    features = {feature.id: _plain_feature(feature) for feature in catalog.features}
    return {**features, **{chip.codename: _plain_chip(chip) for chip in catalog.chips}}


def _plain_feature(feature: Feature) -> Feature:
    bare = frozenset[str]()
    layers = tuple(
        replace(
            need,
            labels=bare,
            source=replace(need.source, labels=bare),
            causes=tuple(replace(cause, labels=bare) for cause in need.causes),
        )
        for need in feature.layers
    )
    return replace(feature, layers=layers, labels=bare, origin="")


def _plain_chip(chip: Chip) -> tuple[object, ...]:
    signatures = tuple(replace(one, labels=frozenset()) for one in chip.signatures)
    said = (chip.title, chip.vendor, chip.arch, chip.microarchitecture, chip.segment)
    return *said, signatures, chip.features, chip.unsure, chip.lacks, chip.archspec, chip.announced


def _refuse_leak(
    text: str,
    base: Mapping[str, str],
    overlays: Sequence[OverlayData],
    public: Sequence[OverlayData],
) -> None:
    """Refuse a patch in which a text of what is left out stands."""
    told = {word for data in public for entry in data.entries for word in _texts(entry.table)}
    told |= {entry.id for data in public for entry in data.entries}
    shipped = "\n".join((*base, *base.values()))
    added = "\n".join(line for line in text.splitlines() if line[:1] == "+" or line[:5] == "diff ")
    for word in _private_texts(overlays, public) - told:
        if len(word) < _SHORTEST or word in shipped:
            continue
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", added, re.I):
            raise UpliftError(
                "cannot write the patch",
                "a public entry speaks of something that is not public (which is not said here)",
                "reword the public entry, or allow both",
            )


def _private_texts(
    overlays: Sequence[OverlayData], public: Sequence[OverlayData]
) -> frozenset[str]:
    found: set[str] = set()
    ids = {entry.id for data in public for entry in data.entries}
    known = ids | {name.rpartition("/")[2] for name in ids}
    for data, open_part in zip(overlays, public, strict=True):
        overlay = data.overlay
        found |= {overlay.name, overlay.label, overlay.lifts_at}
        stems = {name: name.partition(".")[0] for name in data.files}
        found |= {text for pair in stems.items() for text in pair if pair[1] not in known}
        kept = {(entry.kind, entry.id) for entry in open_part.entries}
        for entry in data.entries:
            if (entry.kind, entry.id) not in kept:
                found |= {entry.id, entry.id.rpartition("/")[2], *_texts(entry.table)}
    return frozenset(found - known)


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a value, keys left out: these are the catalog's own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
