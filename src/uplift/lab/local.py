"""Record this machine: run the collector in an interpreter of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path

import uplift.facts
from uplift.errors import TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.lab import process

COLLECTOR = Path(uplift.facts.__file__).with_name("collector.py")
MAX_SNAPSHOT = snapshot_file.MAX_STREAM
QUICK_SECONDS = 60.0
DEEP_SECONDS = 600.0
_GRACE = 15.0  #: the collector keeps its own budget; this is for one that does not


@dataclass(frozen=True)
class Options:
    """How to collect.

    :param deep: also what takes longer than a second.
    :param redact: leave out serials, UUIDs, addresses, host and user names.
    :param budget: seconds after which the collector stops; None: its own.
    """

    deep: bool = False
    redact: bool = False
    budget: float | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The collector's command line."""
        budget = () if self.budget is None else ("--budget", f"{self.budget:g}")
        return (*(["--deep"] * self.deep), *(["--redact"] * self.redact), *budget)

    @property
    def timeout(self) -> float:
        """Seconds after which the collector is killed."""
        default = DEEP_SECONDS if self.deep else QUICK_SECONDS
        return (default if self.budget is None else self.budget) + _GRACE


def snapshot(options: Options | None = None, collector: Path = COLLECTOR) -> Snapshot:
    """Record this machine.

    A process of its own: what the collector tries (instructions, ioctls) may end a process.

    :raises TargetError: the collector did not answer.
    """
    options = options or Options()
    argv = [sys.executable, "-I", "-S", str(_compiled(collector)), *options.arguments]
    try:
        ended = process.run(argv, timeout=options.timeout, max_stdout=MAX_SNAPSHOT)
    except OSError as error:
        raise _failed(str(error)) from error
    if not ended.ok and not ended.stdout:
        raise _failed(
            f"no answer within {options.timeout:g} s"
            if ended.timed_out
            else ended.complaint or f"it exited {ended.returncode}"
        )
    return snapshot_file.read_bytes(ended.stdout, "this machine")


def _failed(why: str) -> TargetError:
    return TargetError(
        "cannot record this machine",
        f"the collector gave no snapshot: {why}",
        f"run it by hand: {sys.executable} {COLLECTOR}",
    )


def _compiled(source: Path) -> Path:
    """Return the collector's byte code where Python can cache it: it starts 0.1 s sooner."""
    try:
        SourceFileLoader("collector", str(source)).get_code("collector")
        cached = Path(cache_from_source(str(source)))
    except (OSError, SyntaxError, NotImplementedError):
        return source
    return cached if cached.is_file() else source
