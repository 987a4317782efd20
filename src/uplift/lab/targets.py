"""From what a user types to snapshots: this machine, machines over ssh, recordings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from uplift.errors import UpliftError
from uplift.facts.model import Snapshot
from uplift.lab import local, ssh
from uplift.lab.model import Local, Options, Recording, Ssh, Target

__all__ = ["Local", "Options", "Recording", "Ssh", "Target", "parse_target", "take_snapshots"]

MAX_AT_ONCE = 16
_SSH = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)

_Answer = Future["Snapshot | UpliftError"]
Taken = tuple[Target, "Snapshot | UpliftError"]


def parse_target(text: str) -> Target:
    """Return what ``text`` names: nothing or ``local``, ``ssh:[user@]host[:port]``, or a path.

    :raises UpliftError: an ssh target that is not well formed. Nothing is looked up.
    """
    if text in ("", "local"):
        return Local()
    if text.startswith("ssh:"):
        return _parse_ssh(text)
    return Recording(Path(text))


def _parse_ssh(text: str) -> Ssh:
    match = _SSH.fullmatch(text.removeprefix("ssh:").removeprefix("//"))
    port = int(match["port"]) if match and match["port"] else None
    if match is None or port == 0 or (port or 0) > 65535:
        raise UpliftError(
            f"cannot tell which machine {text[:100]!r} is",
            "it does not read ssh:[user@]host[:port]",
            "write for example ssh:admin@rack7:2222, ssh:[2001:db8::7], or a name that your "
            "OpenSSH configuration knows",
        )
    return Ssh(match["host"] or match["six"], match["user"] or "", port)


def snapshot(
    target: Target, options: Options | None = None, stop: threading.Event | None = None
) -> Snapshot:
    """Record ``target``, or load its recording.

    :param stop: set from another thread, it ends what is being recorded.
    :raises UpliftError: there is no snapshot of it.
    """
    options = options or Options()
    if isinstance(target, Ssh):
        return ssh.snapshot(target, options, stop=stop)
    if isinstance(target, Recording):
        from uplift.facts.imports import load_path  # noqa: PLC0415  forty modules, for files only

        return load_path(target.path)
    return local.snapshot(options, stop=stop)


def attempt(
    target: Target, options: Options, stop: threading.Event | None = None
) -> Snapshot | UpliftError:
    """Return the snapshot of ``target``, or why there is none."""
    try:
        return snapshot(target, options, stop)
    except UpliftError as error:
        return error


def take_snapshots(
    targets: Iterable[Target],
    options: Options | None = None,
    executor: Executor | None = None,
    ordered: bool = True,
) -> Iterator[Taken]:
    """Yield each target with its snapshot, or with why there is none; many are taken at once.

    One that fails never costs the others.

    :param executor: where to take them, such as a cluster's; None: up to 16 threads here, which
        end what they are recording when the iteration ends early.
    :param ordered: yield in the order of ``targets``; else as they arrive.
    """
    take = partial(attempt, options=options or Options())
    if executor is not None:
        yield from _collected(
            {executor.submit(take, target): target for target in targets}, ordered
        )
        return
    wanted = list(targets)
    with _threads(len(wanted)) as (pool, stop):
        submitted = {pool.submit(take, target, stop=stop): target for target in wanted}
        yield from _collected(submitted, ordered)


def _collected(submitted: dict[_Answer, Target], ordered: bool) -> Iterator[Taken]:
    """Yield what was taken, keeping nothing that was yielded."""
    for future in _in_order(submitted) if ordered else as_completed(submitted):
        yield submitted.pop(future), future.result()


def _in_order(submitted: dict[_Answer, Target]) -> Iterator[_Answer]:
    while submitted:
        yield next(iter(submitted))


@contextmanager
def _threads(wanted: int) -> Iterator[tuple[Executor, threading.Event]]:
    """Give a pool that does not outlive its use: whatever still runs is stopped."""
    stop = threading.Event()
    pool = ThreadPoolExecutor(max_workers=max(1, min(wanted, MAX_AT_ONCE)))
    try:
        yield pool, stop
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
