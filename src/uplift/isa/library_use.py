"""What a system's files use of its chip: one capture, for the library layer of a scan."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from concurrent.futures import Executor
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from uplift.facts.model import Capture, CaptureStatus
from uplift.facts.parsers.isa_audit import CAPTURE, SCHEMA
from uplift.isa.audit import mapped
from uplift.isa.disassembly import disassemble
from uplift.isa.elf import Elf
from uplift.isa.file_list import Wanted, file_at
from uplift.isa.many import Question, audit_all
from uplift.isa.model import FileAudit, FunctionAudit, Reach, SetUse
from uplift.isa.tally import code

_LARGEST = 64 << 20  #: bytes; an audit of a larger file takes minutes
_MOST = 200  #: files
_CODE = 15  #: bytes; no instruction of any architecture is longer (Intel SDM, volume 2, 2.3.11)
_BLOCK = 1 << 20
#: What shows best that a set is used.
_BEST = {Reach.DISPATCHED: 0, Reach.ALWAYS: 1, Reach.UNKNOWN: 2}
_HOW = "uplift isa audit"

Progress = Callable[[int, int], None]


def key_files(root: Path, machine: str) -> tuple[Wanted, ...]:
    """Return the files of a root that much of a server's run time is spent in.

    :param machine: of the system, as ``uname -m`` says it.
    :return: each by its name below the root; links are not followed, so nothing is outside of it.
    """
    seen: set[tuple[int, int]] = set()
    found: list[Wanted] = []
    for pattern in _patterns():
        for path in sorted(root.glob(pattern.replace("TRIPLET", f"{machine}-linux-gnu"))):
            one = file_at(path, seen) if _fits(path) else None
            if isinstance(one, Wanted):
                found.append(Wanted(f"/{path.relative_to(root)}", str(path)))
    return tuple(found[:_MOST])


def _patterns() -> tuple[str, ...]:
    text = (files("uplift.isa") / "data" / "key-files.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(row["pattern"] for row in csv.DictReader(lines))


def _fits(path: Path) -> bool:
    try:
        return path.lstat().st_size <= _LARGEST
    except OSError:
        return False


def capture(
    root: Path, machine: str, executor: Executor | None = None, say: Progress | None = None
) -> Capture:
    """Audit the key files of a root and return what they use, as one capture.

    :param machine: as ``uname -m`` says it.
    :param executor: for many files at once.
    :param say: is told how many of how many files are done.
    """
    wanted = key_files(root, machine)
    if not wanted:
        return Capture(CAPTURE, CaptureStatus.ABSENT, how=_HOW, detail="none of the files is there")
    opened = {one.path: one.source for one in wanted}
    audited, refused = [], []
    for done, answer in enumerate(audit_all(wanted, Question(), executor), 1):
        if say:
            say(done, len(wanted))
        if isinstance(answer, FileAudit):
            audited.append(_file(answer, opened[answer.path]))
        else:
            refused.append(answer.path)
    document = {"schema": SCHEMA, "files": audited, "refused": refused}
    data = json.dumps(document, indent=1, sort_keys=True).encode()
    return Capture(CAPTURE, CaptureStatus.OK, data, how=_HOW)


def _file(audit: FileAudit, path: Path) -> dict[str, Any]:
    with mapped(path) as data:
        elf = Elf(data)
        return {
            "path": audit.path,
            "arch": audit.arch,
            "sha256": _digest(data),
            "sets": {name: _use(elf, *best) for name, best in _shown(audit).items()},
        }


def _digest(data: Any) -> str:
    digest = sha256()
    for start in range(0, len(data), _BLOCK):
        digest.update(data[start : start + _BLOCK])
    return digest.hexdigest()


def _shown(audit: FileAudit) -> dict[str, tuple[FunctionAudit, SetUse, int]]:
    """Return of each set the function that shows its use best, and how many hold it."""
    uses: dict[str, list[tuple[FunctionAudit, SetUse]]] = {}
    for function in code(audit):
        for name, use in function.sets.items():
            uses.setdefault(name, []).append((function, use))
    return {name: (*min(found, key=_rank), len(found)) for name, found in sorted(uses.items())}


def _rank(found: tuple[FunctionAudit, SetUse]) -> tuple[int, bool, int]:
    """Order by reach; a function with a name, then one with more of the set, tells more."""
    function, use = found
    return _BEST[use.reach], function.name.startswith("0x"), -use.count


def _use(elf: Elf, function: FunctionAudit, use: SetUse, functions: int) -> dict[str, Any]:
    line, *_ = disassemble(elf.arch, bytes(elf.at(use.first, _CODE)), use.first)
    return {
        "function": function.name,
        "reach": use.reach.value,
        "address": f"{use.first:#x}",
        "code": line.raw.hex(" "),
        "functions": functions,
    }
