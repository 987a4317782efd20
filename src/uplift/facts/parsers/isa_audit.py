"""Which instruction sets a system's programs and libraries hold, as an audit of them told.

``isa.held`` are the sets of which some file holds code, ``isa.used`` those whose code runs where
the processor has them: a function that is always reached, or after a test of the processor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from uplift.facts.model import Capture, Parser, ProvenWords, Reading
from uplift.facts.parsers.qemu import read_json

CAPTURE = "probe:isa-audit"
SCHEMA = "uplift-isa-use/1"
_SET = re.compile(r"[\w.+-]{1,40}")
_RUNS = ("dispatched", "always")
_MAX_NAME = 200


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    report = read_json(captures[CAPTURE].data)
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ValueError(f"it is no {SCHEMA} document")
    files = [_file(number, file) for number, file in enumerate(_list(report, "files"))]
    none = f"none of {len(files)} files has code of it"
    held: dict[str, list[tuple[str, str]]] = {}
    for path, sets in files:
        for name, reach, words in sets:
            held.setdefault(name, []).append((reach, f"{path.rpartition('/')[2]}: {words}"))
    runs = {name: [u for u in uses if u[0] in _RUNS] for name, uses in held.items()}
    idle = f"no function of {len(files)} files is seen to run it"
    yield Reading(
        CAPTURE,
        {
            "isa.files": tuple(path for path, _ in files),
            "isa.held": ProvenWords({name: _told(uses) for name, uses in held.items()}, none),
            "isa.used": ProvenWords({n: _told(uses) for n, uses in runs.items() if uses}, idle),
        },
    )


def _told(uses: list[tuple[str, str]]) -> str:
    """Name the file that shows most: one whose code runs, before others."""
    best = next((words for reach, words in uses if reach in _RUNS), uses[0][1])
    return f"{best}; {len(uses) - 1} more" if len(uses) > 1 else best


def _file(number: int, file: Any) -> tuple[str, list[tuple[str, str, str]]]:
    where = f"files[{number}]"
    if not isinstance(file, dict):
        raise ValueError(f"{where} is no object")
    sets = file.get("sets")
    if not isinstance(sets, dict):
        raise ValueError(f"{where}.sets is no object")
    return _text(file, "path", where), [
        _set(name, use, f"{where}.sets") for name, use in sorted(sets.items())
    ]


def _set(name: str, use: Any, where: str) -> tuple[str, str, str]:
    if not _SET.fullmatch(name) or not isinstance(use, dict):
        raise ValueError(f"{where} has no instruction set {name[:40]!r}")
    at = f"{where}.{name}"
    reach, function = _text(use, "reach", at), _text(use, "function", at)
    first = f"{_text(use, 'code', at)} at {_text(use, 'address', at)}"
    return name, reach, f"{function} ({reach}; {first})"


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    text = table.get(key)
    if not isinstance(text, str):
        raise ValueError(f"{where}.{key} is no text")
    return text[:_MAX_NAME]


def _list(table: Mapping[str, Any], key: str) -> list[Any]:
    found = table.get(key)
    if not isinstance(found, list):
        raise ValueError(f"{key} is no list")
    return found


PARSER = Parser(
    name="audited files",
    declares=("isa.files", "isa.held", "isa.used"),
    reads=(CAPTURE,),
    parse=_parse,
)
