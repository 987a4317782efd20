"""Record this machine: run the collector in an interpreter of its own."""

from __future__ import annotations

import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from struct import unpack

from uplift.errors import TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.lab import process
from uplift.lab.model import Options

MAX_SNAPSHOT = snapshot_file.MAX_STREAM


def snapshot(options: Options | None = None, stop: threading.Event | None = None) -> Snapshot:
    """Record this machine.

    A process of its own: what the collector tries (instructions, ioctls) may end a process.

    :param stop: set from another thread, it ends the collector.
    :raises TargetError: the collector did not answer.
    """
    options = options or Options()
    argv = [sys.executable, "-I", "-S", str(_compiled(options.collector)), *options.arguments]
    try:
        ended = process.run(argv, timeout=options.timeout, max_stdout=MAX_SNAPSHOT, stop=stop)
    except OSError as error:
        raise _failed(options.collector, str(error)) from error
    if not ended.ok and not ended.stdout:
        raise _failed(
            options.collector,
            f"no answer within {options.timeout:g} s"
            if ended.timed_out
            else ended.complaint or f"it exited {ended.returncode}",
        )
    return snapshot_file.read_bytes(ended.stdout, "this machine")


def _failed(collector: Path, why: str) -> TargetError:
    return TargetError(
        "cannot record this machine",
        f"the collector gave no snapshot: {why}",
        f"run it by hand: {sys.executable} {collector}",
    )


def _compiled(source: Path) -> Path:
    """Return the collector's byte code where Python can cache it: it starts 0.1 s sooner."""
    try:
        SourceFileLoader("collector", str(source)).get_code("collector")
        cached = Path(cache_from_source(str(source)))
    except (OSError, SyntaxError, NotImplementedError):
        return source
    return cached if _is_current(cached, source) else source


def _is_current(cached: Path, source: Path) -> bool:
    """Whether byte code was made of ``source`` as it is now (PEP 552: by time and size)."""
    try:
        head, stat = cached.read_bytes()[:16], source.stat()
    except OSError:
        return False
    made_of = (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    return head[:8] == MAGIC_NUMBER + bytes(4) and unpack("<II", head[8:16]) == made_of
