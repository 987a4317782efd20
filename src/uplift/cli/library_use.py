"""What this machine's packages, or a release's, use of their chips: one capture for a scan."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from uplift.facts.model import LEFT_TO_DEEP, Capture, CaptureStatus, Snapshot
from uplift.facts.parsers.isa_audit import CAPTURE
from uplift.lab.model import Local, Options, Target

if TYPE_CHECKING:
    from uplift.isa.library_use import Progress


def with_library_use(target: Target, snapshot: Snapshot, options: Options) -> Snapshot:
    """Return the snapshot with an audit of this machine's files where that was asked for.

    Files of machines over ssh are not read: an audit there is one of that machine itself.
    """
    if not isinstance(target, Local):
        return snapshot
    if not options.deep:
        left = Capture(CAPTURE, CaptureStatus.ABSENT, detail=LEFT_TO_DEEP)
        return _with(snapshot, left)
    return audited(snapshot, Path("/"), _progress)


def audited(snapshot: Snapshot, root: Path, say: Progress) -> Snapshot:
    """Return the snapshot of a root with an audit of the files in it."""
    from uplift.cli.worker_pool import workers
    from uplift.isa.library_use import capture, key_files

    with workers(None, len(key_files(root, snapshot.arch))) as executor:
        return _with(snapshot, capture(root, snapshot.arch, executor, say))


def _with(snapshot: Snapshot, capture: Capture) -> Snapshot:
    return replace(snapshot, captures={**snapshot.captures, capture.id: capture})


def _progress(done: int, total: int) -> None:
    """Show how far it is, on a terminal only; the line is wiped at the end."""
    if sys.stderr.isatty():
        text = f"auditing the machine's libraries {done}/{total}" if done < total else ""
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)
