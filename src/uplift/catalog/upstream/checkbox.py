"""Teach checkbox the CPUID of a chip: the list in ``providers/base/bin/cpuid.py``.

The list maps a name to beginnings of CPUID leaf 1's eax in hexadecimal; the first entry of which
one occurs in a machine's number names it. So what is added goes to the end of its maker's part and
must not begin like a number that another chip has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from uplift.catalog.model import Chip, Signature
from uplift.catalog.upstream.model import (
    Addition,
    Subject,
    UpstreamPatch,
    subject_labels,
)
from uplift.errors import UpliftError

PATH = "providers/base/bin/cpuid.py"

#: What stands before a chip's name, by CPUID vendor; Intel's chips stand last and without.
_PREFIXES = {
    "AuthenticAMD": "AMD ",
    "HygonGenuine": "Hygon ",
    "GenuineIntel": "",
    "CentaurHauls": "Zhaoxin ",
    "  Shanghai  ": "Zhaoxin ",
}
_STEPPINGS = range(16)
_LINE = 79
_COMMENT_COLUMN = 73


@dataclass(frozen=True)
class _Entry:
    """One entry of the list and where its value stands; lines count from 1."""

    name: str
    values: tuple[str, ...]
    line: int
    column: int
    last_line: int
    last_column: int


def teach(text: str, subjects: Sequence[Subject], chips: Sequence[Chip]) -> UpstreamPatch:
    """Return the patch that adds the chips that checkbox does not name.

    :param text: of ``cpuid.py``.
    :param chips: of the catalog: no number may name another of them.
    :raises UpliftError: ``text`` holds no such list.
    """
    after = text
    added: list[Addition] = []
    skipped: dict[str, str] = {}
    for subject in subjects:
        chip = subject.chip
        if chip is None or chip.arch != "x86-64" or chip.vendor not in _PREFIXES:
            skipped[subject.origin or (chip.codename if chip else "unknown")] = "no x86 chip"
            continue
        entries = _entries(after)
        values, why = _values(subject, chip, entries, chips)
        if not values:
            skipped[chip.codename] = why
            continue
        named = _name(chip, entries)
        after = _with(after, named, values, chip.announced[:4])
        known = f"{chip.source.kind}: {chip.source.text}"
        origin = f"recorded: {subject.origin}" if subject.facts else known
        name = f"{named} ({', '.join(values)})"
        added.append(Addition(name, origin, subject_labels(subject)))
    names = ", ".join(addition.name.partition(" (0x")[0] for addition in added)
    return UpstreamPatch(
        subject=f"base/cpuid: name {names}" if len(names) < 60 else "base/cpuid: name new CPUs",
        body="These processors are not named by their CPUID yet. Where a value ends before the "
        "stepping it stands for every stepping.",
        changes={PATH: (text, after)},
        added=tuple(added),
        skipped=skipped,
    )


def _name(chip: Chip, entries: Iterable[_Entry]) -> str:
    """Return what checkbox calls the chip, or would."""
    prefix = _PREFIXES[chip.vendor]
    name = prefix + re.sub(r"\s*\(.*?\)", "", chip.title).removeprefix(prefix)
    same = (entry.name for entry in entries if entry.name.lower() == name.lower())
    return next(same, name)


def _values(
    subject: Subject, chip: Chip, entries: Sequence[_Entry], chips: Sequence[Chip]
) -> tuple[list[str], str]:
    """Return the values that name the chip and are missing; else why there are none."""
    if subject.facts is not None:
        number = subject.facts.value("cpuid.1.0.eax")
        if not isinstance(number, int):
            return [], "its recording holds no CPUID leaf 1"
        return ([], "it is named already") if _named(hex(number), entries) else ([hex(number)], "")
    why = "its CPUID is known only together with its brand"
    values: list[str] = []
    for signature in chip.signatures:
        if signature.kind != "x86" or signature.text or _field(signature, "package"):
            continue
        for value in _beginnings(signature):
            why = _obstacle(value, chip, entries, chips)
            if why:
                return [], why
            values.append(value)
    return list(dict.fromkeys(values)), why


def _obstacle(value: str, chip: Chip, entries: Sequence[_Entry], chips: Sequence[Chip]) -> str:
    """Return why a value cannot be added; empty where it can."""
    if any(_named(number, entries) for number in _numbers_from(value)):
        return "it is named already; a recording adds a stepping"
    for other in chips:
        plain = (s for s in other.signatures if s.kind == "x86" and not s.text)
        numbers = (n for s in plain for n in _samples(s))
        if other.codename != chip.codename and any(value in number for number in numbers):
            return f"its CPUID {value} is {other.title}'s, too"
    return ""


def _named(number: str, entries: Iterable[_Entry]) -> bool:
    return any(value.lower() in number for entry in entries for value in entry.values)


def _numbers_from(value: str) -> Iterator[str]:
    """Yield the numbers that a value stands for: itself, every stepping, every low model."""
    yield value
    for more in (1, 2):
        for tail in range(16**more):
            yield f"{value}{tail:0{more}x}"


def _beginnings(signature: Signature) -> Iterator[str]:
    """Yield the shortest beginnings that stand for the whole signature and nothing else."""
    family, (low, high) = _range(signature, "family")[0], _range(signature, "model")
    if _field(signature, "stepping"):
        first, last = _range(signature, "stepping")
        for model in range(low, high + 1):
            yield from (hex(_eax(family, model, step)) for step in range(first, last + 1))
    elif low % 16 == 0 and high == low + 15:
        yield hex(_eax(family, low, 0) >> 8)
    else:
        yield from (hex(_eax(family, model, 0) >> 4) for model in range(low, high + 1))


def _samples(signature: Signature) -> Iterator[str]:
    family, (low, high) = _range(signature, "family")[0], _range(signature, "model")
    for model in range(low, min(high, low + 255) + 1):
        yield from (hex(_eax(family, model, step)) for step in _steppings(signature))


def _steppings(signature: Signature) -> Iterable[int]:
    if not _field(signature, "stepping"):
        return _STEPPINGS
    low, high = _range(signature, "stepping")
    return range(low, high + 1)


def _eax(family: int, model: int, stepping: int) -> int:
    """Encode CPUID leaf 1's eax (Intel SDM vol. 2A; AMD APM vol. 3, appendix E)."""
    base, extended = min(family, 15), max(family - 15, 0)
    return extended << 20 | (model >> 4) << 16 | base << 8 | (model & 15) << 4 | stepping


def _field(signature: Signature, name: str) -> bool:
    return any(field == name for field, _, _ in signature.fields)


def _range(signature: Signature, name: str) -> tuple[int, int]:
    found = ((low, high) for field, low, high in signature.fields if field == name)
    return next(found, (0, 15 if name == "stepping" else 255))


def _entries(text: str) -> list[_Entry]:
    """Return the list's entries in order."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unknown(str(error)[:200]) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            if "CPUIDS" in names and node.value.keys:
                return [
                    _entry(k, v) for k, v in zip(node.value.keys, node.value.values, strict=True)
                ]
    raise _unknown("there is no dictionary called CPUIDS")


def _entry(key: ast.expr | None, value: ast.expr) -> _Entry:
    if not isinstance(key, ast.Constant) or not isinstance(value, ast.List):
        raise _unknown("an entry of CPUIDS is no name with a list")
    values = tuple(str(e.value) for e in value.elts if isinstance(e, ast.Constant))
    last = (value.end_lineno or value.lineno, value.end_col_offset or value.col_offset)
    return _Entry(str(key.value), values, value.lineno, value.col_offset, *last)


def _unknown(cause: str) -> UpliftError:
    return UpliftError(
        "cannot teach checkbox",
        cause,
        f"pass --tree a checkout of canonical/checkbox, or its {PATH}; or its form has changed",
    )


def _with(text: str, name: str, values: Sequence[str], year: str) -> str:
    """Return ``text`` with the values under ``name``."""
    entries = _entries(text)
    same = next((entry for entry in entries if entry.name == name), None)
    lines = text.split("\n")
    if same is not None:
        _extend(lines, same, values)
    else:
        _insert(lines, _anchor(entries, name), entries, _written(name, values, year, entries))
    changed = "\n".join(lines)
    told = {entry.name: entry.values for entry in _entries(changed)}
    before = {entry.name: entry.values for entry in entries}
    if told != {**before, name: (*before.get(name, ()), *values)}:
        raise _unknown("after the change the list would not say what it should")
    return changed


def _anchor(entries: Sequence[_Entry], name: str) -> _Entry:
    """Return the entry to follow: the last of the same maker, else the last."""
    maker = _maker(name)
    kin = [entry for entry in entries if maker and entry.name.startswith(maker)]
    return (kin or list(entries))[-1]


def _maker(name: str) -> str:
    makers = (prefix for prefix in _PREFIXES.values() if prefix)
    return next((prefix for prefix in makers if name.startswith(prefix)), "")


def _extend(lines: list[str], entry: _Entry, values: Sequence[str]) -> None:
    """Add values to a list, each on the last line while it has room."""
    at = entry.last_line - 1
    line = lines[at]
    head, tail = line[: entry.last_column - 1], line[entry.last_column - 1 :]
    added = "".join(f", '{value}'" for value in values)
    bracket, comment = re.fullmatch(r"(\],?)(\s*#.*|\s*)", tail, re.S).groups()  # type: ignore[union-attr]
    if len(head) + len(added) + len(bracket) < _COMMENT_COLUMN:
        lines[at] = _commented(f"{head}{added}{bracket}", comment.strip())
    else:
        more = ", ".join(f"'{value}'" for value in values)
        lines[at] = _commented(f"{head},", comment.strip())
        lines.insert(at + 1, f"{' ' * (entry.column + 1)}{more}{bracket}")


def _insert(
    lines: list[str], anchor: _Entry, entries: Sequence[_Entry], new: Sequence[str]
) -> None:
    at = anchor.last_line - 1
    written = list(new)
    maker = _maker(new[0].split('"')[1])
    if maker and not anchor.name.startswith(maker):
        written = ["", f"        # {maker.strip()}", *written]
    if anchor is entries[-1]:  # it has no comma yet, and the new one needs none
        line, column = lines[at], anchor.last_column
        if not line[column:].lstrip().startswith(","):
            spaced = (
                line[column:].replace(" ", "", 1)
                if line[column:].startswith("  ")
                else line[column:]
            )
            lines[at] = f"{line[:column]},{spaced}"
            written[-1] = re.sub(r"\],( ?)", r"]\1\1", written[-1], count=1)
    lines[at + 1 : at + 1] = written


def _written(name: str, values: Sequence[str], year: str, entries: Sequence[_Entry]) -> list[str]:
    """Return the lines of a new entry, in the columns of the others."""
    maker = _maker(name)
    column = min(entry.column for entry in entries if _maker(entry.name) in (maker, ""))
    head = f'        "{name}":'.ljust(column - 1) + " ["
    room = _COMMENT_COLUMN - len(head) - 2
    rows: list[str] = []
    for value in values:
        quoted = f"'{value}'"
        if rows and len(rows[-1]) + len(quoted) + 2 <= room:
            rows[-1] += f", {quoted}"
        else:
            rows.append(quoted)
    texts = [head + rows[0], *(" " * len(head) + row for row in rows[1:])]
    ends = [","] * (len(rows) - 1) + ["],"]
    lines = [text + end for text, end in zip(texts, ends, strict=True)]
    lines[0] = _commented(lines[0], f"# {year}" if year else "")
    return lines


def _commented(line: str, comment: str) -> str:
    return f"{line:<{_COMMENT_COLUMN}}{comment}" if comment else line
