"""What a rebuild changed: functions that gained instruction sets, sizes, dispatch, violations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.isa.model import Confidence, FileAudit, FunctionAudit, Reach, SetUse, Violation

SetNames = tuple[str, ...]


@dataclass(frozen=True)
class Audited:
    """One file before or after.

    :param text: bytes of its ``.text``.
    :param names: of all functions that it names, with or without such instructions.
    """

    result: FileAudit
    text: int
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gained:
    """A function with instruction sets that it did not use before.

    :param new: the file did not name such a function before, so that nothing is known of it.
    """

    name: str
    sets: SetNames
    new: bool


@dataclass(frozen=True)
class FileChange:
    """One file, before and after.

    :param functions: how many held instructions above the base, before and after.
    :param gained: at the level; most sets first.
    :param redundant: functions that are still chosen at run time for what the level always has.
    :param violations: code above the level that no guard protects.
    :param sets: each set above the base: how many instructions before and after.
    """

    path: str
    text: tuple[int, int]
    functions: tuple[int, int]
    needs: tuple[str, str]
    runs: tuple[str, str]
    gained: tuple[Gained, ...]
    redundant: SetNames
    violations: tuple[Violation, ...]
    sets: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...] = ()

    @property
    def proven(self) -> tuple[Gained, ...]:
        """Functions that were there by name before, without the sets."""
        return tuple(each for each in self.gained if not each.new)


def compare(before: Audited | None, after: Audited, allowed: frozenset[str]) -> FileChange:
    """Compare a file with its rebuild.

    :param before: None: the archive's package has no such file.
    :param allowed: the instruction sets of the level that it was rebuilt for.
    """
    old = before.result if before else None
    had = _sets_by_name(old.functions if old else ())
    known = (before.names if before else frozenset()) | had.keys()
    return FileChange(
        path=after.result.path,
        text=(before.text if before else 0, after.text),
        functions=(len(_sure(old)) if old else 0, len(_sure(after.result))),
        needs=(old.needs if old else "", after.result.needs),
        runs=(old.level if old else "", after.result.level),
        gained=tuple(_gained(after.result, had, known)),
        redundant=tuple(f.name for f in after.result.functions if _is_redundant(f, allowed)),
        violations=tuple(violations(after.result, allowed)),
        sets=_counts(old.sets if old else {}, after.result.sets),
        notes=after.result.notes,
    )


def _sure(result: FileAudit) -> list[FunctionAudit]:
    """What was seen to be code."""
    return [f for f in result.functions if f.confidence != Confidence.UNREACHED]


def _sets_by_name(functions: Iterable[FunctionAudit]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for function in functions:
        found[function.name] = found.get(function.name, frozenset()) | function.sets.keys()
    return found


def _gained(
    result: FileAudit, had: Mapping[str, frozenset[str]], known: frozenset[str]
) -> Iterator[Gained]:
    rows = []
    for name, sets in _sets_by_name(_sure(result)).items():
        more = sets - had.get(name, frozenset())
        if more:
            rows.append(Gained(name, tuple(sorted(more)), name not in known))
    yield from sorted(rows, key=lambda row: (row.new, -len(row.sets), row.name))


def _is_redundant(function: FunctionAudit, allowed: frozenset[str]) -> bool:
    return (
        function.reach == Reach.DISPATCHED
        and function.confidence != Confidence.UNREACHED
        and function.sets.keys() <= allowed
    )


def violations(result: FileAudit, allowed: frozenset[str]) -> Iterator[Violation]:
    """Yield code beyond ``allowed`` that is reached without a guard, or nobody saw how."""
    for function in _sure(result):
        beyond = {
            name: use.reach
            for name, use in function.sets.items()
            if name not in allowed and use.reach != Reach.DISPATCHED
        }
        if beyond:
            certain = Reach.ALWAYS in beyond.values()
            yield Violation(function.name, function.address, tuple(sorted(beyond)), certain)


def _counts(
    before: Mapping[str, SetUse], after: Mapping[str, SetUse]
) -> dict[str, tuple[int, int]]:
    return {
        name: (
            before[name].count if name in before else 0,
            after[name].count if name in after else 0,
        )
        for name in sorted(before.keys() | after.keys())
    }


def matched(paths: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return, for each rebuilt path, the archive's path of the same file.

    A library's file may carry a version in its name, and ``/lib`` may be ``/usr/lib``.
    """
    known = {path: path for path in others}
    merged = {path.removeprefix("/usr"): path for path in known}
    return {
        path: known.get(path) or merged[path.removeprefix("/usr")]
        for path in paths
        if path in known or path.removeprefix("/usr") in merged
    }
