"""A pool of processes for audits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from uplift.errors import UpliftError

if TYPE_CHECKING:
    from concurrent.futures import Executor


@contextmanager
def workers(jobs: int | None, files: int) -> Iterator[Executor | None]:
    """Offer a pool of processes; none where one process does.

    :param jobs: how many; None: one for each processor.
    :raises UpliftError: less than one is asked for.
    """
    wanted = len(os.sched_getaffinity(0)) if jobs is None else jobs
    if wanted < 1:
        raise UpliftError(
            f"cannot work with {wanted} processes", "one is the least", "leave --jobs out"
        )
    if min(wanted, files) <= 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(min(wanted, files)) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
