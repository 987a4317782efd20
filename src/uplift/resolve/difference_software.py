"""Compare software: what components know, their versions, and what is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from uplift.catalog.defaults import Defaults, Versioned, Vocabulary
from uplift.facts.model import Facts
from uplift.resolve.difference_model import (
    Cause,
    Counted,
    Kind,
    PlatformDifference,
    Row,
    Side,
    same_system,
)

_PACKAGE = "package."
#: A rebuild without a change of source (Debian policy, 3.2.1), and what Ubuntu calls its own.
_REBUILD = re.compile(r"\+b\d+$|build\d+$")
_ARCHITECTURE = re.compile(
    r"(?:^|[-.])(?:amd64|x86(?:-64)?|i386|intel|arm64|aarch64|arm|riscv(?:64)?)(?:[-.]|$)"
)


def compare_words(sides: Sequence[Side], defaults: Defaults) -> Iterator[PlatformDifference]:
    """Yield the vocabularies that differ between sides of one architecture."""
    for vocabulary in defaults.vocabularies:
        sets = [_words(vocabulary, side) for side in sides]
        known = [number for number, words in enumerate(sets) if words is not None]
        other = next((n for n in known[1:] if sets[n] != sets[known[0]]), None)
        if other is None or sides[known[0]].arch != sides[other].arch:
            continue
        a, b = sides[known[0]], sides[other]
        versions = a.text(vocabulary.version), b.text(vocabulary.version)
        if vocabulary.of_processor or (all(versions) and versions[0] != versions[1]):
            yield _differing(vocabulary, sides, sets, a, b)


def _words(vocabulary: Vocabulary, side: Side) -> frozenset[str] | None:
    if vocabulary.arch and side.arch not in vocabulary.arch:
        return None
    value = side.value(vocabulary.fact)
    if not isinstance(value, (frozenset, tuple)):
        return None
    if not vocabulary.matching:
        return frozenset(value)
    matched = (re.fullmatch(vocabulary.matching, word) for word in value)
    return frozenset(found[1] for found in matched if found)


def _differing(
    vocabulary: Vocabulary,
    sides: Sequence[Side],
    sets: Sequence[frozenset[str] | None],
    a: Side,
    b: Side,
) -> PlatformDifference:
    known = [words for words in sets if words is not None]
    common = frozenset.intersection(*known)
    cause, why, change = _whose_words(vocabulary, a, b)
    return PlatformDifference(
        kind=Kind.WORDS,
        id=vocabulary.id,
        title=vocabulary.title,
        values=tuple("" if words is None else _more(words - common) for words in sets),
        cause=cause,
        why=why,
        change=change,
        source=f"recorded: {vocabulary.fact}",
        worth=vocabulary.worth,
        names=tuple(sorted(frozenset().union(*known) - common)),
    )


def _more(words: frozenset[str]) -> str:
    return f"and {', '.join(sorted(words))}" if words else "no more"


def _whose_words(vocabulary: Vocabulary, a: Side, b: Side) -> tuple[Cause, str, str]:
    versions = [side.text(vocabulary.version) for side in (a, b)]
    if not all(versions) or versions[0] == versions[1]:
        return Cause.INHERENT, "one version on both: the processor decides", ""
    why = f"it comes with {versions[0]} and {versions[1]}"
    if not same_system(a, b):
        return Cause.RELEASE, why, ""
    older, newer = (0, 1) if _key(versions[0]) < _key(versions[1]) else (1, 0)
    change = f"{(a, b)[older].name}: install {vocabulary.package or 'it'} {versions[newer]}"
    return Cause.AVOIDABLE, why, change


def compare_versions(sides: Sequence[Side], defaults: Defaults) -> Iterator[PlatformDifference]:
    """Yield the components that decide much and whose versions differ."""
    for component in defaults.versions:
        versions = [_version(component, side) for side in sides]
        known = [number for number, version in enumerate(versions) if version]
        other = next((n for n in known[1:] if versions[n] != versions[known[0]]), None)
        if other is not None:
            a, b = sides[known[0]], sides[other]
            one, two = versions[known[0]], versions[other]
            older, newer = (a, two) if _key(one) < _key(two) else (b, one)
            same = same_system(a, b)
            yield PlatformDifference(
                kind=Kind.VERSION,
                id=f"version-{component.title.lower()}",
                title=component.title,
                values=tuple(versions),
                cause=Cause.AVOIDABLE if same else Cause.RELEASE,
                why="one release, two versions" if same else "each release has its own",
                change=f"{older.name}: install {component.title} {newer}" if same else "",
                source=f"recorded: {', '.join(component.facts)}",
                worth=3,
            )


def _version(component: Versioned, side: Side) -> str:
    text = next((text for fact in component.facts if (text := side.text(fact))), "")
    found = re.fullmatch(component.matching, text)
    return found[1] if found else text


def _key(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


class Compared(NamedTuple):
    """The groups of packages, and how many were looked at."""

    groups: tuple[Counted, ...]
    packages: int


def compare_packages(sides: Sequence[Side]) -> Compared:
    """Group packages that are not installed in one version everywhere."""
    if not all(_listed(side) for side in sides):
        return Compared((), 0)
    installed = [_installed(side.facts) for side in sides]
    every = sorted(set().union(*installed))
    one_system = all(same_system(sides[0], side) for side in sides[1:])
    groups: dict[str, list[Row]] = {}
    for name in every:
        versions = tuple(found.get(name) for found in installed)
        if len({_source_version(v) for v in versions}) > 1:
            groups.setdefault(_package_group(name, versions, sides), []).append(Row(name, versions))
    counted = [_package_counted(group, rows, one_system) for group, rows in groups.items()]
    return Compared(tuple(counted), len(every))


def _listed(side: Side) -> bool:
    return bool(side.value("package_list.count"))


def _installed(facts: Facts) -> Mapping[str, str]:
    found = facts.under(_PACKAGE)
    return {name[len(_PACKAGE) :]: str(version) for name, version in found.items()}


def _source_version(version: str | None) -> str | None:
    return None if version is None else _REBUILD.sub("", version)


def _package_group(name: str, versions: Sequence[str | None], sides: Sequence[Side]) -> str:
    """Name the group; of releases, one recipe decides what is installed on every architecture."""
    if None not in versions:
        return "versions"
    several = len({side.arch for side in sides}) > 1
    recorded = all(side.kind == "release" for side in sides)
    if several and (recorded or _ARCHITECTURE.search(name)):
        return "architecture"
    return "presence"


def _package_counted(group: str, rows: Sequence[Row], one_system: bool) -> Counted:
    titles = {
        "versions": "packages in another version",
        "presence": "packages that only some sides have",
        "architecture": "packages that only one architecture's software needs",
    }
    cause = Cause.AVOIDABLE if one_system else Cause.RELEASE
    if group == "architecture":
        cause = Cause.INHERENT
    return Counted(Kind.PACKAGE, f"package-{group}", titles[group], cause, tuple(rows))
