"""Ask this machine's QEMU what one of its CPU models is."""

from __future__ import annotations

import json

from uplift.errors import TargetError
from uplift.facts.model import Capture, CaptureStatus
from uplift.lab import process

_PROGRAM = "qemu-system-x86_64"
_SECONDS = 30
_MAX_OUTPUT = 16 << 20


def x86_expansion(model: str) -> Capture:
    """Return QEMU's answers on one x86 model, as the collector records them.

    :raises TargetError: QEMU is not installed, or does not know the model.
    """
    argv = [
        *(_PROGRAM, "-S", "-machine", "none,accel=tcg", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-qmp", "stdio"),
    ]
    arguments = {"type": "full", "model": {"name": model}}
    questions: list[dict[str, object]] = [
        {"execute": "qmp_capabilities"},
        {"execute": "query-version", "id": "version"},
        {"execute": "query-cpu-definitions", "id": "cpu-definitions"},
        {
            "execute": "query-cpu-model-expansion",
            "id": f"expansion-{model}",
            "arguments": arguments,
        },
        {"execute": "quit"},
    ]
    stdin = "".join(f"{json.dumps(question)}\n" for question in questions).encode()
    try:
        ended = process.run(argv, stdin=stdin, timeout=_SECONDS, max_stdout=_MAX_OUTPUT)
    except OSError as error:
        raise TargetError(
            f"cannot ask QEMU for {model!r}", f"{_PROGRAM}: {error}", "install qemu-system-x86"
        ) from error
    answers = _answers(ended.stdout)
    if not answers:
        why = ended.complaint or "it gave no answer"
        raise TargetError(f"cannot ask QEMU for {model!r}", why, "check that it starts")
    data = json.dumps(answers, sort_keys=True, separators=(",", ":")).encode()
    return Capture(f"cmd:{_PROGRAM}/qmp", CaptureStatus.OK, data, f"{' '.join(argv)} (QMP)")


def _answers(output: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("id"), str) and "return" in row:
            found[row["id"]] = row["return"]
    return found
