"""What a target's team asks of a series, read from data: tags, links, sign-offs, cover letter."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from uplift.errors import UpliftError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "data" / "profiles"
MAX_PROFILE = 1 << 20  #: bytes


@dataclass(frozen=True)
class Provenance:
    """How a commit says where it comes from.

    :param required: whether a commit without it must say that it is the team's own.
    :param place: ``before-signoff`` (above the sender's), ``top`` (above the text), ``dep3`` (a
        header of a patch file) or ``any``.
    :param picked: the line; ``{sha}``, and ``{tree}`` with a space before it or empty.
    :param note: the line that explains a change: ``{name}``, ``{what}``.
    :param changed: a change that is not upstream's must be marked (``mark``), explained
        (``explain``), or may stand as it is (``free``).
    :param local: a commit that upstream does not have needs no such line.
    :param forms: patterns of the lines that are accepted.
    :param also: patterns that count as the line where none of ``forms`` is there.
    :param drop: patterns of upstream's lines that mean nothing on the branch and are left out.
    """

    required: bool
    place: str = "any"
    picked: str = ""
    backported: str = ""
    note: str = "[{name}: {what}]"
    changed: str = "free"
    local: bool = False
    full_sha: bool = False
    name_tree: bool = False
    forms: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class BugLine:
    """The line that links the bug.

    :param form: pattern of the address that is accepted.
    :param instead: pattern of a line that makes it unnecessary.
    """

    required: bool = False
    line: str = ""
    key: str = ""
    form: str = ""
    instead: str = ""


@dataclass(frozen=True)
class SignOff:
    """Whose ``Signed-off-by:`` is wanted.

    :param by: ``sender``, ``somebody`` or ``nobody``.
    :param last: it is the last line.
    :param keep: those of the upstream commit must stay.
    """

    by: str = "nobody"
    last: bool = False
    keep: bool = False


@dataclass(frozen=True)
class Subject:
    """What stands before the title.

    :param tags: of a mail: ``{series}``, ``{version}``, ``{number}``, ``{total}``.
    :param series: ``letters`` (first letters of release names) or ``branch``.
    :param own: prefix of a change that upstream does not have.
    :param config: prefix of a change of the kernel's configuration.
    :param accepted: patterns of titles that need no provenance.
    :param foreign: patterns of other teams' prefixes.
    """

    tags: str = "[PATCH{version} {number}/{total}]"
    pull: str = ""
    series: str = "branch"
    own: str = ""
    config: str = ""
    accepted: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cover:
    """The cover letter.

    :param sections: the titles of its parts, in order; those in ``optional`` may be missing.
    :param risk: the part that must say what could go wrong.
    """

    required: bool = False
    heading: str = ""
    sections: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    risk: str = ""


@dataclass(frozen=True)
class SeriesRules:
    """What holds for a series as a whole.

    :param pull_beyond: more commits than that are sent as a pull request; 0 sets no limit.
    :param newer_releases: newer supported releases must have the change, too.
    :param upstream_order: another order than upstream's, that did harm, is worth a warning.
    """

    pull_beyond: int = 0
    newer_releases: bool = False
    upstream_order: bool = False


@dataclass(frozen=True)
class Split:
    """Paths (shell patterns) whose changes stand in a commit of their own."""

    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What one target's team asks for.

    :param output: ``commits`` or ``debian-patches``.
    :param address: where mails go.
    :param sources: the documents that the rules were read in.
    """

    id: str
    title: str
    sources: tuple[str, ...]
    provenance: Provenance
    bug: BugLine = BugLine()
    signoff: SignOff = SignOff()
    subject: Subject = Subject()
    cover: Cover = Cover()
    series: SeriesRules = SeriesRules()
    split: Split = Split()
    output: str = "commits"
    address: str = ""

    @cached_property
    def forms(self) -> tuple[re.Pattern[str], ...]:
        """The accepted provenance lines."""
        return tuple(map(re.compile, self.provenance.forms))

    @cached_property
    def also(self) -> tuple[re.Pattern[str], ...]:
        """The lines that count where none of ``forms`` is there."""
        return tuple(map(re.compile, self.provenance.also))

    def is_own(self, title: str) -> bool:
        """Whether a title says that the change is not upstream's."""
        return any(re.match(pattern, title) for pattern in self.subject.accepted)


_PARTS: Mapping[str, type] = {
    "provenance": Provenance,
    "bug": BugLine,
    "signoff": SignOff,
    "subject": Subject,
    "cover": Cover,
    "series": SeriesRules,
    "split": Split,
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "provenance.place": ("before-signoff", "top", "dep3", "any"),
    "provenance.changed": ("mark", "explain", "free"),
    "signoff.by": ("sender", "somebody", "nobody"),
    "subject.series": ("letters", "branch"),
    "profile.output": ("commits", "debian-patches"),
}
_PATTERNS = frozenset({"forms", "also", "drop", "form", "instead", "accepted", "foreign"})


def profile_names(places: tuple[Path, ...] = (SHIPPED,)) -> tuple[str, ...]:
    """Return the names of all profiles."""
    return tuple(sorted({path.stem for place in places for path in place.glob("*.toml")}))


def load_profile(name: str, places: tuple[Path, ...] = (SHIPPED,)) -> Profile:
    """Return the profile ``name``; a later place wins over an earlier one.

    :raises UpliftError: there is none of that name, or its file is not well formed.
    """
    for place in reversed(places):
        path = place / f"{name}.toml"
        if re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and path.is_file():
            return read_profile(path)
    raise UpliftError(
        f"no profile is called {name!r}"[:200],
        f"there are: {', '.join(profile_names(places))}",
        "name one of these, or write your own TOML file beside them",
    )


@lru_cache(maxsize=32)
def read_profile(path: Path) -> Profile:
    """Read one profile.

    :raises UpliftError: the file is not well formed; ``cause`` names the place in it.
    """
    try:
        if path.stat().st_size > MAX_PROFILE:
            raise ValueError(f"it has more than {MAX_PROFILE} bytes")
        return profile_of(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:  # bad TOML and bad UTF-8 are ValueErrors, too
        raise UpliftError(
            f"cannot read the profile {path.name}", str(error), "correct the file"
        ) from None


def profile_of(document: Mapping[str, Any]) -> Profile:
    """Return the profile that a TOML document describes.

    :raises ValueError: a key is unknown, missing or of the wrong type.
    """
    unknown = sorted(document.keys() - _PARTS.keys() - {"profile"})
    if unknown:
        raise ValueError(f"[{unknown[0]}] is no part of a profile")
    values = _values(Profile, "profile", _table("profile", document.get("profile")), _PARTS.keys())
    for name, kind in _PARTS.items():
        if name in document or name == "provenance":
            values[name] = kind(**_values(kind, name, _table(name, document.get(name))))
    return Profile(**values)


def _table(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"[{name}] is missing or no table")
    return value


def _values(
    kind: type, name: str, table: Mapping[str, Any], skip: Any = frozenset()
) -> dict[str, Any]:
    known = {field.name: field for field in fields(kind) if field.name not in skip}
    for key in table:
        if key not in known:
            raise ValueError(f"{name}.{key} is unknown; known are {', '.join(known)}")
    for key, field in known.items():
        if field.default is MISSING and key not in table:
            raise ValueError(f"{name}.{key} is missing")
    hints = get_type_hints(kind)
    return {key: _value(f"{name}.{key}", value, hints[key]) for key, value in table.items()}


def _value(place: str, value: Any, hint: Any) -> Any:
    if hint in (bool, int, str):
        if type(value) is not hint:
            raise ValueError(f"{place} must be a {hint.__name__}")
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = tuple(value)
    else:
        raise ValueError(f"{place} must be a list of strings")
    choices = _CHOICES.get(place)
    if choices and value not in choices:
        raise ValueError(f"{place} must be one of {', '.join(choices)}")
    if place.rpartition(".")[2] in _PATTERNS:
        _compile(place, value)
    return value


def _compile(place: str, value: str | tuple[str, ...]) -> None:
    for pattern in (value,) if isinstance(value, str) else value:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{place}: {pattern!r} is no pattern: {error}") from None
