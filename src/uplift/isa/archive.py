"""The audit of an archive: packages to any executor, answers to parts, nothing lost on the way."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass

from uplift.isa import archive_work
from uplift.isa.archive_results import Results
from uplift.isa.archive_work import Done, Work, Worker

PER_PART = 64  #: packages
PER_PART_ROWS = 200_000
PART_SECONDS = 30.0  #: what a crash may cost
_AHEAD = 4  #: pieces of work on their way for each worker
_TRIES = 3  #: a package may be under way so often when workers die; then it is tried alone
Executors = Callable[[], Executor]  #: makes a new one when the last is broken


@dataclass(frozen=True)
class Outcome:
    """How an audit ended.

    :param wanted: packages that were asked for; ``before``: of them, done by an earlier run.
    :param refused: of those done now, how many could not be audited.
    :param unreached: how many could not be fetched; the next run tries them again.
    """

    wanted: int
    before: int
    done: int
    refused: int
    unreached: int


def run(
    work: Iterable[Work],
    results: Results,
    executors: Executors,
    workers: int,
    seen: Callable[[int, int], None] = lambda done, total: None,
    worker: Worker = archive_work.do,
) -> Outcome:
    """Audit what is not yet among ``results``, and add it there.

    :param executors: gives a ``concurrent.futures`` executor: local processes, Dask's …
    :param seen: told how many packages are done, of how many.
    """
    every = {one.key: one for one in work}
    todo = [one for key, one in every.items() if key not in results.done]
    before, refused, unreached = len(every) - len(todo), 0, 0
    batch: list[Done] = []
    last = time.monotonic()
    try:
        for count, done in enumerate(_answers(todo, executors, workers * _AHEAD, worker), 1):
            if done.unreached:
                unreached += 1
            else:
                refused += bool(done.package["error"])
                batch.append(done)
            if _full(batch) or time.monotonic() - last > PART_SECONDS:
                results.add(batch)
                batch, last = [], time.monotonic()
            seen(before + count, len(every))
    finally:
        results.add(batch)
    return Outcome(len(every), before, len(todo) - unreached, refused, unreached)


def local(workers: int) -> Executor:
    """Return local processes, which share no threads with the one that writes Parquet."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("forkserver"))


def _full(batch: list[Done]) -> bool:
    rows = sum(len(f) for done in batch for _, f in done.audits.values())
    return len(batch) >= PER_PART or rows >= PER_PART_ROWS


def _answers(todo: list[Work], executors: Executors, ahead: int, worker: Worker) -> Iterator[Done]:
    """Yield an answer for every piece of work, whatever dies on the way."""
    broken: Counter[str] = Counter()
    waiting = list(reversed(todo))
    while waiting:
        lost: list[Work] = []
        executor = executors()
        try:
            yield from _with(executor, waiting, ahead, worker, lost)
        finally:
            executor.shutdown(wait=False)
        for one in lost:
            broken[one.key] += 1
            if broken[one.key] >= _TRIES:
                yield _alone(one, worker)
            else:
                waiting.append(one)


def _with(
    executor: Executor, waiting: list[Work], ahead: int, worker: Worker, lost: list[Work]
) -> Iterator[Done]:
    """Take from ``waiting`` until it is empty or the executor broke, then fill ``lost``."""
    running: dict[Future[Done], Work] = {}
    try:
        while waiting or running:
            while waiting and len(running) < ahead and not lost:
                _submit(executor, waiting.pop(), worker, running, lost)
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                one = running.pop(future)
                done = _result(future)
                if done is None:
                    lost.append(one)
                else:
                    yield done
            if lost and not running:
                return
    finally:
        for future in running:
            future.cancel()


def _submit(
    executor: Executor,
    one: Work,
    worker: Worker,
    running: dict[Future[Done], Work],
    lost: list[Work],
) -> None:
    try:
        running[executor.submit(worker, one)] = one
    except BrokenExecutor:
        lost.append(one)


def _result(future: Future[Done]) -> Done | None:
    """Return the answer; None where whoever worked at it died. ``do`` itself raises nothing."""
    try:
        return future.result()
    except Exception:
        return None


def _alone(one: Work, worker: Worker) -> Done:
    with local(1) as executor:
        try:
            return executor.submit(worker, one).result()
        except Exception as error:
            why = "the process died: it may have been out of memory"
            cause = why if isinstance(error, BrokenExecutor) else f"{type(error).__name__}: {error}"
            return archive_work.refused(one, "cannot audit the package", cause)
