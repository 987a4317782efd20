"""How CPU models are written for an emulator, and which names of its are near a wrong one."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence

from uplift.errors import TargetError
from uplift.lab import process

_SECONDS = 30
_MAX_OUTPUT = 16 << 20
_NEAREST = 5
_WORD = re.compile(r"[\w.+-]+(?:=[\w.:+-]*)?")
#: What QEMU says of names that it does not know: hw/core/cpu, qom/object.c.
_NO_MODEL = re.compile(r"unable to find CPU model '([^']{1,100})'")
_NO_PROPERTY = re.compile(r"[Pp]roperty '([\w.-]{1,100}?-cpu)\.([^']{1,100})' not found")


def qemu_model(text: str) -> str:
    """Return a CPU model as QEMU's ``-cpu`` takes it on every architecture.

    ``Skylake-Server,-avx512f,+la57`` becomes ``Skylake-Server,avx512f=off,la57=on``: only the x86
    models know signs.

    :raises TargetError: it is no model, or a part of it is no property.
    """
    model, *properties = text.split(",")
    if model in ("help", "?", "") or not all(_WORD.fullmatch(word) for word in text.split(",")):
        raise TargetError(
            f"cannot boot the CPU model {text[:100]!r}",
            "it is not written as a model with properties",
            "write MODEL, MODEL,+feature,-feature or MODEL,property=value",
        )
    return ",".join([model, *(_property(word) for word in properties)])


def _property(word: str) -> str:
    if word[0] in "+-":
        return f"{word[1:]}={'on' if word[0] == '+' else 'off'}"
    return word


def nearest_names(program: str, complaint: str) -> tuple[str, ...]:
    """Return the names known to QEMU that are nearest to the one it complains of.

    :param complaint: what QEMU said as it refused a ``-cpu``; anything else gives nothing.
    """
    model, found = _NO_MODEL.search(complaint), _NO_PROPERTY.search(complaint)
    if model:
        return _near(model[1], _asked(program, "query-cpu-definitions", {}))
    if found:
        names = _asked(program, "device-list-properties", {"typename": found[1]})
        return _near(found[2], names)
    return ()


def _near(wrong: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return similar names; then those that begin alike."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=_NEAREST, cutoff=0.6)
    alike = [low for low in by_lower if wrong[:4].lower() in low and low not in close]
    return tuple(by_lower[low] for low in [*close, *alike][:_NEAREST])


def _asked(program: str, question: str, arguments: dict[str, str]) -> tuple[str, ...]:
    """Return the names in QEMU's answer to one question; none where it gives none."""
    lines = [
        {"execute": "qmp_capabilities"},
        {"execute": question, "arguments": arguments, "id": "answer"},
        {"execute": "quit"},
    ]
    argv = [
        *(program, "-S", "-machine", "none,accel=tcg", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-qmp", "stdio"),
    ]
    stdin = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    try:
        ended = process.run(argv, stdin=stdin, timeout=_SECONDS, max_stdout=_MAX_OUTPUT)
    except OSError:
        return ()
    return _names(ended.stdout)


def _names(output: bytes) -> tuple[str, ...]:
    for line in output.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("id") == "answer":
            rows = row.get("return")
            known = rows if isinstance(rows, list) else []
            return tuple(r["name"] for r in known if isinstance(r, dict) and "name" in r)
    return ()
