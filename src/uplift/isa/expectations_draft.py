"""A first expectations file: everything that a check found, each to be looked at by a person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from uplift.errors import UpliftError
from uplift.isa.expectations import (
    ADDRESS,
    MAX_BYTES,
    MAX_ENTRIES,
    UNREVIEWED,
    Expectation,
    Finding,
)
from uplift.isa.model import Violation

_CERTAIN = f"{UNREVIEWED}: reached with no guard on the way"
_OPEN = f"{UNREVIEWED}: nobody saw how it is reached"
_SIGNS = re.compile(r"[*?[]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNNAMED = "0x*"  #: functions without a name: their addresses change with every build


def draft(findings: Iterable[Finding], baseline: str) -> str:
    """Return an expectations file that covers ``findings``, with reasons that say it is a draft.

    :raises UpliftError: it would be larger than what is read.
    """
    entries = list(_entries(findings))
    text = "\n".join([_head(baseline), *(line for entry in entries for line in _lines(entry))])
    if len(text.encode()) > MAX_BYTES or len(entries) > MAX_ENTRIES:
        raise UpliftError(
            "cannot write the expectations",
            f"{len(entries)} entries of {len(text.encode())} bytes are more than are read back",
            "check fewer files at once, or against a higher baseline",
        )
    return text


def _entries(findings: Iterable[Finding]) -> Iterator[Expectation]:
    """Yield one entry for the functions of a file that are alike, and one for all without name."""
    named: dict[tuple[str, tuple[str, ...], bool], dict[str, None]] = {}
    unnamed: dict[str, list[Violation]] = {}
    for finding in findings:
        found, file = finding.violation, _file(finding)
        if ADDRESS.fullmatch(found.function):
            unnamed.setdefault(file, []).append(found)
        else:
            named.setdefault((file, found.sets, found.certain), {})[_literal(found.function)] = None
    for (file, sets, certain), names in named.items():
        yield Expectation(file, tuple(names), _CERTAIN if certain else _OPEN, sets)
    for file, every in unnamed.items():
        sets = tuple(sorted({name for found in every for name in found.sets}))
        sure = sum(found.certain for found in every)
        told = f"{len(every)} functions without a name, {sure} with no guard on the way"
        yield Expectation(file, (_UNNAMED,), f"{UNREVIEWED}: {told}", sets)


def write(path: Path, text: str) -> None:
    """Write a new expectations file; one that is there is never written over.

    :raises UpliftError: it is there, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        there = isinstance(error, FileExistsError)
        raise UpliftError(
            f"cannot write the expectations to {str(path)!r}",
            "the file is there, and may hold what people wrote" if there else str(error.strerror),
            "name a new file" + ("; to use this one, write --expect" if there else ""),
        ) from None


def _head(baseline: str) -> str:
    return (
        f"# Functions that may be above {baseline}, as `uplift isa check` found them.\n"
        "# Look at each: where a guard stands before it, say in `reason` which; where none does,\n"
        "# mend the code and take the entry out. Patterns may stand for versions of names.\n"
    )


def _file(finding: Finding) -> str:
    name = finding.audit.identity.soname or PurePath(finding.audit.path).name
    return _SURROGATE.sub("?", _literal(name))


def _literal(name: str) -> str:
    """Return a pattern that matches a name as it is."""
    return _SIGNS.sub(lambda sign: f"[{sign[0]}]", name)


def _lines(entry: Expectation) -> Iterator[str]:
    yield "[[expect]]"
    yield f"file = {_text(entry.file)}"
    if entry.functions == (_UNNAMED,):
        yield "# every function without a name; --debug gives names, from the debug file"
        yield f"functions = [{_text(_UNNAMED)}]"
    else:
        yield "functions = ["
        yield from (f"    {_text(name)}," for name in entry.functions)
        yield "]"
    yield f"sets = [{', '.join(map(_text, entry.sets))}]"
    yield f"reason = {_text(entry.reason)}"
    yield ""


def _text(value: str) -> str:
    """Return a TOML string: as JSON's, but DEL is escaped, too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
