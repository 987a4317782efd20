"""Work a queue of rebuilds off: the state is on the disk after each step, and no failure stops."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import rebuild_queue
from uplift.isa.rebuild import BuildFailed, Rebuilt
from uplift.isa.rebuild_queue import Item, Progress, Queue
from uplift.lab.process import printable

STATE = "queue.json"
_MAX_STATE = 64 << 20
Build = Callable[[str], Rebuilt]
Seen = Callable[[Queue, Item], None]


def load(directory: Path) -> Queue | None:
    """Return the queue that a directory holds, or None where it holds none.

    :raises UpliftError: its state is not what was written.
    """
    path = directory / STATE
    if not path.is_file():
        return None
    with path.open("r", encoding="utf-8") as stream:
        return rebuild_queue.from_text(stream.read(_MAX_STATE))


def save(directory: Path, queue: Queue) -> None:
    """Write a queue's state whole, so that a crash leaves the old or the new one."""
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f".{STATE}.{os.getpid()}.part"
    with part.open("w", encoding="utf-8") as stream:
        stream.write(rebuild_queue.to_text(queue))
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(directory / STATE)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep others from working at the same queue.

    :raises UpliftError: somebody does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".queue.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UpliftError(
                "cannot go on with the queue",
                f"another process works at the one in {directory}",
                "wait for it, or choose another directory: --into",
            ) from None
        yield


def work_off(queue: Queue, directory: Path, build: Build, seen: Seen) -> Queue:
    """Rebuild every package that waits, in order.

    :param build: rebuilds one; whatever it raises but an interruption is that package's failure.
    :param seen: told after each.
    """
    while (item := queue.next()) is not None:
        queue = queue.with_item(replace(item, progress=Progress.STARTED))
        save(directory, queue)
        ended = _built(item, build)
        queue = queue.with_item(ended)
        save(directory, queue)
        seen(queue, ended)
    return queue


def _built(item: Item, build: Build) -> Item:
    started = time.monotonic()
    why = tests = ""
    try:
        tests = build(item.source).tests.status.value
    except UpliftError as error:
        why = f"{error.problem}: {error.cause}"
        if isinstance(error, BuildFailed):
            tests = error.tests.status.value
    except Exception as error:  # the night goes on, and the state names it
        why = f"{type(error).__name__}: {error}"
    progress = Progress.FAILED if why else Progress.DONE
    seconds = round(time.monotonic() - started, 1)
    return Item(item.source, progress, printable(why, 600), seconds, tests)
