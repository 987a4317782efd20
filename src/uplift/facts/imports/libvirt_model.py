"""QEMU's answers on CPU models, as libvirt keeps them beside raw CPUID (tests/cputestdata).

The file is a sequence of QMP replies, one JSON document after the other: first of
``query-cpu-model-expansion`` for the host model, then, in newer ones, ``query-cpu-definitions``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from uplift.errors import RecordingError
from uplift.facts.imports import cpuid_recording
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers.qemu import properties

NAME = "QEMU CPU model answers"
CAPTURE = "cmd:qemu-system-x86_64/qmp"

_MAX_REPLIES = 16
_MAX_BYTES = 8 << 20
_PROPERTIES = re.compile(rb'"props"\s*:\s*\{')
_BLANK = re.compile(r"\s*")


def recognises(name: str, head: bytes) -> bool:
    """Whether the file begins with QEMU's reply on a model's properties."""
    text = head.lstrip()
    return text.startswith(b"{") and b'"return"' in text[:200] and bool(_PROPERTIES.search(text))


def load(name: str, data: bytes) -> Snapshot:
    """Return the answers as one QMP capture; nothing else of the machine is known.

    :raises RecordingError: it is no JSON, or holds no host model.
    """
    return Snapshot(
        captures={CAPTURE: _capture(name, data)},
        origin=f"{NAME}: {name}",
        arch="x86_64",
    )


def recognises_tree(names: frozenset[str]) -> bool:
    """Whether a directory holds one machine's pair: ``NAME.json`` and ``NAME.xml``."""
    return _pair_names(names) is not None


def wanted(name: str) -> bool:
    """Whether a file of the directory is one of the pair."""
    return name.endswith((".json", ".xml"))


def load_tree(name: str, files: Mapping[str, bytes]) -> Snapshot:
    """Return one machine's raw CPUID and QEMU's answers.

    :raises RecordingError: one of the two is broken, or not there.
    """
    names = _pair_names(frozenset(files))
    if names is None:
        raise _broken(name, "it holds no single pair of NAME.json and NAME.xml")
    answers, cpuid = names
    return pair(answers, files[cpuid], files[answers])


def _pair_names(names: frozenset[str]) -> tuple[str, str] | None:
    answers = [name for name in names if re.search(r"(^|/)x86_64-cpuid-[^/]*\.json$", name)]
    if len(answers) != 1:
        return None
    cpuid = f"{answers[0].removesuffix('.json')}.xml"
    return (answers[0], cpuid) if cpuid in names else None


def pair(name: str, cpuid: bytes, answers: bytes) -> Snapshot:
    """Return raw CPUID (libvirt's XML) and QEMU's answers on the same machine as one snapshot.

    :raises RecordingError: one of the two is broken.
    """
    silicon = cpuid_recording.snapshot(name, cpuid, "libvirt-xml", NAME)
    captures = {**silicon.captures, CAPTURE: _capture(name, answers)}
    return Snapshot(captures=captures, origin=f"{NAME}: {name}", arch="x86_64")


def _capture(name: str, data: bytes) -> Capture:
    replies = _replies(name, data)
    document: dict[str, object] = {}
    for reply in replies:
        answer = reply.get("return")
        if isinstance(answer, dict) and "model" in answer:
            document.setdefault("expansion-host", answer)
        elif isinstance(answer, list):
            document.setdefault("cpu-definitions", answer)
    if not properties(document.get("expansion-host")):
        raise _broken(name, "no reply holds the host model's properties")
    text = json.dumps(document, sort_keys=True).encode()
    return Capture(CAPTURE, CaptureStatus.OK, text, how=f"replies in {name}")


def _replies(name: str, data: bytes) -> list[dict[str, object]]:
    if len(data) > _MAX_BYTES:
        raise _broken(name, f"it is larger than {_MAX_BYTES >> 20} MiB")
    text = data.decode("utf-8", "replace")
    decoder, position = json.JSONDecoder(), 0
    replies: list[dict[str, object]] = []
    while (position := _BLANK.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        try:
            reply, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, position) + 1
            raise _broken(name, f"the reply at line {line} is no JSON: {error}") from None
        if not isinstance(reply, dict) or len(replies) == _MAX_REPLIES:
            raise _broken(name, "it is no short sequence of QMP replies")
        replies.append(reply)
    return replies


def _broken(name: str, cause: str) -> RecordingError:
    return RecordingError(
        f"cannot read {name}", cause, "pass QEMU's replies to query-cpu-model-expansion as recorded"
    )


def truth(data: bytes) -> dict[str, bool]:
    """Return the first reply's boolean properties, read without the parser of captures."""
    reply, _ = json.JSONDecoder().raw_decode(data.decode("utf-8").lstrip())
    props = reply["return"]["model"]["props"]
    return {n.replace("_", "-"): v for n, v in props.items() if isinstance(v, bool)}
