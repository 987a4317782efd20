"""QEMU's own answers over QMP: version, CPU models, what ``-cpu host`` and ``-cpu max`` come to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from uplift.facts.model import Capture, Parser, Reading, Value

_READS = "cmd:qemu-system-*"
_MAX_BYTES = 32 << 20
_MAX_NESTING = 400_000  #: brackets: a nested value costs thirty times its bytes
_VERSION = re.compile(r"version (\d+(?:\.\d+){1,3})")
_WORD = re.compile(r"[A-Za-z0-9._+-]{1,64}")


def read_json(data: bytes) -> Any:
    """Read a QMP document.

    :raises ValueError: it is no JSON, or too large to be one of QEMU's answers.
    """
    if len(data) > _MAX_BYTES or data.count(b"{") + data.count(b"[") > _MAX_NESTING:
        raise ValueError(f"the document is larger than {_MAX_BYTES} bytes or nested too often")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("the document is nested too deep") from error


def properties(answer: object) -> dict[str, bool]:
    """Return the boolean properties of a ``query-cpu-model-expansion`` answer.

    QEMU spells old names several ways (``sse4_1``, ``sse4.1``, ``sse4-1``); the one with dashes
    stands for all.
    """
    props = _at(answer, "model", "props")
    if not isinstance(props, Mapping):
        return {}
    booleans = ((n, v) for n, v in props.items() if isinstance(v, bool) and _WORD.fullmatch(n))
    return {name.replace("_", "-"): value for name, value in booleans}


def _at(document: object, *path: str) -> object:
    for key in path:
        if isinstance(document, Mapping) and key not in document and "return" in document:
            document = document["return"]
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _listed(document: object) -> list[Mapping[str, object]]:
    if isinstance(document, Mapping):
        document = document.get("return")
    rows = document if isinstance(document, list) else []
    return [row for row in rows if isinstance(row, Mapping)]


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read the answers of the machine's own architecture: the one whose QEMU can use KVM."""
    programs = sorted({name[len("cmd:") :].partition("/")[0] for name in captures})
    documents = {
        program: _document(captures[f"cmd:{program}/qmp"])
        for program in programs
        if f"cmd:{program}/qmp" in captures
    }
    chosen = _native(documents) or (programs[0] if programs else "")
    for program in sorted(programs, key=lambda name: name != chosen):
        if program == chosen:
            yield from _readings(program, documents.get(program, {}), captures)
    names = frozenset(program.removeprefix("qemu-system-") for program in programs)
    yield Reading(next(iter(captures)), {"qemu.targets": names})


def _document(capture: Capture) -> Mapping[str, object]:
    document = read_json(capture.data)
    if not isinstance(document, Mapping):
        raise ValueError(f"{capture.id} is no JSON object")
    return document


def _native(documents: Mapping[str, Mapping[str, object]]) -> str:
    def rank(program: str) -> tuple[bool, bool]:
        return _at(documents[program], "kvm", "enabled") is not True, "x86_64" not in program

    return min(documents, key=rank, default="")


def _readings(
    program: str, document: Mapping[str, object], captures: Mapping[str, Capture]
) -> Iterator[Reading]:
    told = f"cmd:{program}/version"
    if told in captures:
        found = _VERSION.search(captures[told].text[:1000])
        if not found:
            raise ValueError(f"{told}: line 1 states no version")
        yield Reading(told, {"qemu.version": found[1]})
    if document:
        yield Reading(f"cmd:{program}/qmp", dict(_answers(document)))


def _answers(document: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    yield from _version(document.get("version"))
    models = _listed(document.get("cpu-definitions"))
    names = [str(row["name"]) for row in models if isinstance(row.get("name"), str)]
    if names:
        yield "qemu.models", frozenset(names)
    for row in models:
        missing = row.get("unavailable-features")
        if isinstance(missing, list):
            yield f"qemu.unavailable.{row.get('name')}", frozenset(_texts(missing))
    kvm = _at(document, "kvm", "enabled")
    if isinstance(kvm, bool):
        yield "qemu.kvm", kvm
    for model in ("host", "max"):
        answer = properties(document.get(f"expansion-{model}"))
        for name, value in answer.items():
            yield f"qemu.{model}.{name}", value
        if answer:
            yield f"qemu.{model}_properties", len(answer)


def _version(answer: object) -> Iterator[tuple[str, Value]]:
    if isinstance(answer, str):
        found = re.match(r"\d+(?:\.\d+){1,3}", answer)
        if found:
            yield "qemu.version", found[0]
        return
    parts = [_at(answer, "qemu", part) for part in ("major", "minor", "micro")]
    if all(isinstance(part, int) for part in parts):
        yield "qemu.version", ".".join(str(part) for part in parts)


def _texts(values: Iterable[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    """A property that QEMU's answer does not list is one that this QEMU cannot give a guest."""
    for model in ("host", "max"):
        prefix = f"qemu.{model}."
        if name.startswith(prefix) and f"qemu.{model}_properties" in values:
            return values.get(prefix + name[len(prefix) :].replace("_", "-"), False)
    return None


PARSER = Parser(
    name="qemu",
    declares=(
        *("qemu.version", "qemu.models", "qemu.kvm", "qemu.targets"),
        *("qemu.host.", "qemu.max.", "qemu.unavailable."),
        *("qemu.host_properties", "qemu.max_properties"),
    ),
    reads=(_READS,),
    parse=_parse,
    implied=_implied,
)
