"""Read an overlay's directory: capped, no link followed, every entry with its place in its file."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.catalog.entries import Table
from uplift.catalog.model import Label, Overlay, Policy
from uplift.errors import CatalogError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MANIFEST = "overlay.toml"
ROOMS = ("features", "chips", "releases")
MAX_FILES = 512  #: files of one overlay
MAX_FILE = 4 << 20  #: bytes of one TOML file
MAX_TOTAL = 32 << 20  #: bytes of all TOML files
MAX_RECORDING = 256 << 20  #: bytes of one release's recording

_SCHEMAS = Path(__file__).parent / "data" / "schema"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,199}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RECORDING = (".jsonl", ".jsonl.gz")
#: What an overlay may say of an entry beside what the entry says itself.
_MARKS = ("extend", "replace", "public", "lifts_at")


@dataclass(frozen=True)
class Marks:
    """What an overlay says of one of its entries.

    :param public: it may go public now.
    :param lifts_at: the day from which it may, ISO 8601; empty where none is set.
    """

    extend: bool = False
    replace: bool = False
    public: bool = False
    lifts_at: str = ""


@dataclass(frozen=True)
class PrivateEntry:
    """One entry of an overlay.

    :param kind: ``feature``, ``chip``, ``list`` (a chip's features), ``release`` or ``set``.
    :param id: the feature's id, the code name, the release's id or ``release+set``.
    :param table: as the catalog's own files write it, without the marks.
    :param where: ``file:line``.
    """

    kind: str
    id: str
    table: Table
    marks: Marks
    where: str


@dataclass(frozen=True)
class OverlayData:
    """One overlay as read.

    :param files: the names of all its files, recordings too.
    :param recordings: how many releases were recorded for it.
    """

    overlay: Overlay
    entries: tuple[PrivateEntry, ...]
    files: tuple[str, ...]
    recordings: int = 0


def read_overlay(directory: Path) -> OverlayData:
    """Read an overlay whole.

    :param directory: ``overlay.toml`` beside features/, chips/ and releases/.
    :raises CatalogError: it is no overlay, a file is no TOML or not of its form, something in it
        is a link or no plain file, or it is too large; names file and line.
    """
    reader = _Reader(directory)
    overlay = reader.manifest()
    entries: list[PrivateEntry] = []
    for name in reader.names("features"):
        entries.extend(_features(reader.toml("features", name)))
    for name in reader.names("chips"):
        entries.extend(_chips(reader.toml("chips", name)))
    recordings = 0
    for name in reader.names("releases"):
        if name.endswith(_RECORDING):
            reader.check_recording(name)
            recordings += 1
        else:
            entries.extend(_releases(reader.toml("releases", name)))
    _refuse_twice(entries)
    return OverlayData(overlay, tuple(entries), tuple(reader.seen), recordings)


def refusal(where: str, cause: str, fix: str) -> CatalogError:
    """Return the error for one place of an overlay."""
    return CatalogError(f"cannot load the overlay: {where}", cause, fix)


@dataclass(frozen=True)
class _File:
    """One TOML file: its text for line numbers, its table for the rest."""

    path: str
    text: str
    table: Table

    def where(self, header: str, number: int = 0) -> str:
        """Return ``file:line`` of the header's n-th occurrence; the file alone where it has none.

        :param header: a pattern of the line.
        """
        found = list(re.finditer(rf"^[ \t]*{header}", self.text, re.M))
        if number >= len(found):
            return f"{self.path}, entry {number + 1}"
        return f"{self.path}:{self.text.count(chr(10), 0, found[number].start()) + 1}"


class _Reader:
    """Opens what lies in one directory, never through a link."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: list[str] = []
        self._total = 0

    def manifest(self) -> Overlay:
        """Return what ``overlay.toml`` says."""
        with self._directory() as root:
            if MANIFEST not in _names_in(root):
                raise refusal(
                    str(self.directory),
                    f"it has no {MANIFEST}",
                    "name a directory with overlay.toml (name, label, policy) beside features/, "
                    "chips/ and releases/",
                )
            self._refuse_strays(root)
            file = self._file(root, MANIFEST, MANIFEST)
        releases = str(self.directory / "releases") if "releases" in self._rooms() else ""
        return _overlay(file, releases)

    def _rooms(self) -> Iterator[str]:
        with self._directory() as root:
            yield from (room for room in ROOMS if room in _names_in(root))

    def names(self, room: str) -> list[str]:
        """Return the names of the files in one room, in order."""
        if room not in self._rooms():
            return []
        with self._directory(room) as opened:
            names = sorted(name for name in _names_in(opened) if not name.startswith("."))
        for name in names:
            self._check_name(room, name)
        return names

    def toml(self, room: str, name: str) -> _File:
        """Return one file's text and table."""
        with self._directory(room) as opened:
            return self._file(opened, name, f"{room}/{name}")

    def check_recording(self, name: str) -> None:
        """Refuse a release's recording that is no plain file, or too large to be one."""
        shown = str(self.directory / "releases" / name)
        with self._directory("releases") as opened, _opened(opened, name, shown) as raw:
            if os.fstat(raw).st_size > MAX_RECORDING:
                raise refusal(shown, "it is larger than 256 MiB", "record the release again")

    def _file(self, directory: int, name: str, shown: str) -> _File:
        path = str(self.directory / shown)
        with _opened(directory, name, path) as raw:
            data = _read_capped(raw, MAX_FILE)
        self._total += len(data)
        if len(data) > MAX_FILE or self._total > MAX_TOTAL:
            raise refusal(
                path, "a file has at most 4 MiB, an overlay 32 MiB", "split it into several"
            )
        text, table = _parsed(data, path)
        _refuse_unprintable(table, path)
        return _File(path, text, table)

    def _check_name(self, room: str, name: str) -> None:
        self.seen.append(name)
        suffixes = (".toml", *_RECORDING) if room == "releases" else (".toml",)
        if len(self.seen) > MAX_FILES:
            raise refusal(str(self.directory), f"it has more than {MAX_FILES} files", "split it")
        if not _NAME.fullmatch(name) or not name.endswith(suffixes):
            raise refusal(
                f"{self.directory / room}: {name[:100]!r}",
                f"in {room}/ the catalog reads files called NAME{' or NAME'.join(suffixes)}",
                "rename it, or move it out of the overlay",
            )

    def _refuse_strays(self, root: int) -> None:
        """Refuse what somebody may believe to be read and is not: a misspelt directory or file."""
        for name in _names_in(root):
            if name in (MANIFEST, *ROOMS) or name.startswith("."):
                continue
            if name.endswith((".toml", *_RECORDING)) or _near(name):
                raise refusal(
                    f"{self.directory}: {name[:100]!r}",
                    f"the catalog reads {MANIFEST}, features/, chips/ and releases/ only",
                    "rename it, or move it out of the overlay",
                )

    @contextmanager
    def _directory(self, room: str = "") -> Iterator[int]:
        shown = str(self.directory / room)
        try:
            root = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened = root
            try:
                if room:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    opened = os.open(room, flags, dir_fd=root)
                yield opened
            finally:
                for descriptor in {root, opened}:
                    os.close(descriptor)
        except OSError as error:
            raise _unreadable(shown, error) from None


def _names_in(directory: int) -> list[str]:
    with os.scandir(directory) as found:
        return [entry.name for entry in found]


@contextmanager
def _opened(directory: int, name: str, shown: str) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        raw = os.open(name, flags, dir_fd=directory)
    except OSError as error:
        raise _unreadable(shown, error) from None
    try:
        if not stat.S_ISREG(os.fstat(raw).st_mode):
            raise refusal(shown, "it is no plain file", "put a plain file there")
        yield raw
    finally:
        os.close(raw)


def _unreadable(shown: str, error: OSError) -> CatalogError:
    return refusal(
        shown,
        f"it cannot be opened: {error.strerror} (links are not followed)",
        "name a directory of plain files that you may read",
    )


def _read_capped(raw: int, limit: int) -> bytes:
    """Return at most one byte more than ``limit``."""
    parts: list[bytes] = []
    left = limit + 1
    while left > 0:
        part = os.read(raw, min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _parsed(data: bytes, path: str) -> tuple[str, Table]:
    try:
        text = data.decode("utf-8")
        return text, tomllib.loads(text)
    except RecursionError:
        cause = "its values are nested too deeply"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        cause = str(error)[:300]
    raise refusal(path, cause, "correct the TOML") from None


def _refuse_unprintable(value: object, path: str) -> None:
    """Refuse control characters: what an overlay says is shown on terminals."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Mapping):
            stack.extend((*one.keys(), *one.values()))
        elif isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, str) and not one.isprintable():
            raise refusal(path, f"{one[:60]!r} holds a control character", "write plain text")


def _near(name: str) -> bool:
    return any(name.lower().rstrip("s") == room.rstrip("s") for room in ROOMS)


def _overlay(file: _File, releases: str) -> Overlay:
    table = file.table
    unknown = sorted(set(table) - {"name", "label", "policy", "lifts_at"})
    if unknown:
        raise refusal(file.path, f"unknown: {', '.join(unknown)[:200]}", _MANIFEST_FORM)
    for key in ("name", "label"):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise refusal(file.path, f"{key} is missing or no text", _MANIFEST_FORM)
    if table.get("policy") not in [policy.value for policy in Policy]:
        raise refusal(file.path, "policy is missing, or none that is known", _MANIFEST_FORM)
    policy = Policy(table["policy"])
    lifts_at = _day(table, file.path)
    if lifts_at and policy is Policy.CONFIDENTIAL:
        raise refusal(file.path, "no day lifts what is confidential", "drop lifts_at or policy")
    return Overlay(table["name"], Label(table["label"].strip(), policy), lifts_at, releases)


_MANIFEST_FORM = (
    'write name = "…", label = "…", policy = "internal", "embargoed" or "confidential", '
    "and where there is one lifts_at = YYYY-MM-DD"
)


def _features(file: _File) -> Iterator[PrivateEntry]:
    _only(file, {"feature"})
    for number, entry in enumerate(_tables(file, "feature")):
        where = file.where(r"\[\[\s*feature\s*\]\]", number)
        table, marks = _unmarked(entry, where)
        yield PrivateEntry("feature", _id(table, "id", where), table, marks, where)
        if marks.extend:
            _check_extended_feature(table, where)
        else:
            _validate("feature", "feature", table, where)


def _check_extended_feature(table: Table, where: str) -> None:
    _allow_keys(table, {"id", "layer"}, where, "an extension adds layers and causes")
    layers = table.get("layer")
    if not isinstance(layers, list) or not layers:
        raise refusal(where, "the extension has no layer", "write [[feature.layer]]")
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise refusal(where, "a layer is no table", "write [[feature.layer]]")
        plain, marks = _unmarked(layer, where, ("extend", "replace"))
        if not marks.extend:
            _validate("feature", "layer", plain, where)
            continue
        _allow_keys(plain, {"name", "cause"}, where, "an extension of a layer adds causes")
        if not isinstance(plain.get("cause"), list) or "name" not in plain:
            raise refusal(where, "the layer's extension has no name or no cause", _CAUSES)
        for cause in plain["cause"]:
            _validate("feature", "cause", cause, where)


_CAUSES = "write [[feature.layer.cause]] below name and extend"


def _chips(file: _File) -> Iterator[PrivateEntry]:
    _only(file, {"chip", "features"})
    for number, entry in enumerate(_tables(file, "chip")):
        where = file.where(r"\[\[\s*chip\s*\]\]", number)
        table, marks = _unmarked(entry, where)
        yield PrivateEntry("chip", _id(table, "codename", where), table, marks, where)
        if marks.extend:
            _check_extended_chip(table, where)
        else:
            _validate("chip", "chip", table, where)
    lists = file.table.get("features", {})
    if not isinstance(lists, Mapping):
        raise refusal(file.path, "features is no table", 'write [features."code-name"]')
    for codename, entry in lists.items():
        where = file.where(rf'\[\s*features\s*\.\s*["\']?{re.escape(codename)}["\']?\s*\]')
        if not isinstance(entry, Mapping):
            raise refusal(where, f"features.{codename} is no table", 'write [features."code-name"]')
        table, marks = _unmarked(entry, where)
        if marks.extend:
            _allow_keys(table, {"list", "source"}, where, "an extension adds to the list")
        _validate("chip", "list", table, where)
        yield PrivateEntry("list", codename, table, marks, where)


def _check_extended_chip(table: Table, where: str) -> None:
    allowed = {"codename", "signature", "features", "source"}
    _allow_keys(table, allowed, where, "an extension adds signatures and features")
    if not table.get("signature") and not table.get("features"):
        raise refusal(where, "the extension adds nothing", "give signature or features")
    if "source" not in table:
        raise refusal(where, "the extension has no source", 'write source = { cited = "…" }')
    whole = {"title": "x", "vendor": "x", "arch": "x86-64", "signature": [{"text": "x"}], **table}
    _validate("chip", "chip", whole, where)


def _releases(file: _File) -> Iterator[PrivateEntry]:
    _only(file, {"release", "set"})
    release = file.table.get("release")
    if not isinstance(release, Mapping) or not isinstance(release.get("id"), str):
        raise refusal(file.path, "there is no [release] with an id", "write [release] and id")
    where = file.where(r"\[\s*release\s*\]")
    table, marks = _unmarked(release, where, ("public", "lifts_at"))
    yield PrivateEntry("release", table["id"], table, marks, where)
    for number, entry in enumerate(_tables(file, "set")):
        where = file.where(r"\[\[\s*set\s*\]\]", number)
        chosen, marks = _unmarked(entry, where, ("public", "lifts_at"))
        name = _id(chosen, "name", where)
        yield PrivateEntry("set", f"{table['id']}+{name}", chosen, marks, where)


def _only(file: _File, keys: set[str]) -> None:
    unknown = sorted(set(file.table) - keys)
    if unknown:
        raise refusal(
            file.path,
            f"unknown at the top: {', '.join(unknown)[:200]}",
            f"this file holds {' and '.join(sorted(keys))}",
        )


def _tables(file: _File, key: str) -> list[Table]:
    entries = file.table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        raise refusal(file.path, f"{key} is no array of tables", f"write [[{key}]]")
    return entries


def _id(table: Table, key: str, where: str) -> str:
    found = table.get(key)
    if not isinstance(found, str) or not found:
        raise refusal(where, f"{key} is missing or no text", f'write {key} = "…"')
    return found


def _unmarked(
    entry: Table, where: str, known: tuple[str, ...] = _MARKS
) -> tuple[dict[str, Any], Marks]:
    """Return the entry without its marks, and these."""
    marks = {key: entry[key] for key in known if key in entry}
    for key, value in marks.items():
        if key != "lifts_at" and not isinstance(value, bool):
            raise refusal(
                where, f"{key} is {value!r}"[:200], f"write {key} = true, or leave it out"
            )
    if marks.get("extend") and marks.get("replace"):
        raise refusal(where, "it says extend and replace", "choose one of the two")
    marks["lifts_at"] = _day(entry, where) if "lifts_at" in known else ""
    return {key: value for key, value in entry.items() if key not in known}, Marks(**marks)


def _day(table: Table, where: str) -> str:
    value = table.get("lifts_at", "")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if value == "" or (isinstance(value, str) and _DAY.fullmatch(value)):
        return str(value)
    raise refusal(where, f"lifts_at is {value!r}"[:200], "write lifts_at = YYYY-MM-DD")


def _allow_keys(table: Table, keys: set[str], where: str, why: str) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        raise refusal(
            where,
            f"{', '.join(unknown)[:200]}: {why} and nothing else",
            "drop it, or write replace = true and the whole entry",
        )


def _validate(schema: str, part: str, table: Any, where: str) -> None:
    try:
        problem = next(iter(_validator(schema, part).iter_errors(table)), None)
    except RecursionError:
        raise refusal(where, "its values are nested too deeply", "make it flatter") from None
    if problem is not None:
        step = "/".join(str(step) for step in problem.absolute_path)
        cause = f"{step}: {problem.message}" if step else problem.message
        raise refusal(where, cause[:400], "correct the entry; docs/reference/feature-files.md")


@cache
def _validator(schema: str, part: str) -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to import, used here only

    document = json.loads((_SCHEMAS / f"{schema}.schema.json").read_text("utf-8"))
    return Draft202012Validator({"$defs": document["$defs"], "$ref": f"#/$defs/{part}"})


def _refuse_twice(entries: list[PrivateEntry]) -> None:
    first: dict[tuple[str, str], str] = {}
    for entry in entries:
        key = (entry.kind, entry.id)
        if key in first:
            raise refusal(
                entry.where, f"{entry.id} stands twice, here and in {first[key]}", "keep one"
            )
        first[key] = entry.where
