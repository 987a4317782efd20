"""Boot every kernel on every CPU model: as many at once as cores and memory allow."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab.cpu_names import nearest_names
from uplift.lab.qemu import MACHINES, BootRequest, BootResult, BootStatus, boot

KVM_SECONDS = 15.0  #: what a boot under KVM needs many times over
_START_SECONDS = 0.3  #: until a machine has been put together and runs
#: QEMU itself: translated code (a quarter of the guest's memory at most) and the initramfs.
_OVERHEAD_MIB = 400
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Ended:
    """One boot of a grid.

    :param number: its place among the requests.
    :param result: why nothing could be booted, where that is an error and not a result.
    """

    number: int
    request: BootRequest
    result: BootResult | TargetError


class Accelerators:
    """What runs machines here: whether KVM really does is found out once, by booting."""

    def __init__(self, boot_one: Callable[..., BootResult] = boot) -> None:
        self._boot = boot_one
        self._lock = threading.Lock()
        self._works: bool | None = None
        self._why = ""

    def boot(self, request: BootRequest, stop: threading.Event | None = None) -> BootResult:
        """Boot with what the request asks for; ``auto`` is KVM where it works, else emulation."""
        if request.accel != "auto":
            return self._boot(request, stop)
        if not _has_kvm(request.arch):
            return self._boot(replace(request, accel="tcg"), stop)
        if self._kvm_works(request, stop):
            return self._boot(replace(request, accel="kvm"), stop)
        return replace(self._boot(replace(request, accel="tcg"), stop), before=self._why)

    def _kvm_works(self, request: BootRequest, stop: threading.Event | None) -> bool:
        """Boot the kernel on the CPU that is here: with KVM a guest may start and then hang."""
        with self._lock:
            if self._works is None:
                result = self._boot(_plain(request), stop)
                self._works = result.status is BootStatus.BOOTED
                self._why = "" if self._works else f"kvm: {result.why}"
            return self._works


def _plain(request: BootRequest) -> BootRequest:
    """Return the boot that shows whether KVM works, whatever is asked of the CPU model."""
    return replace(
        request,
        accel="kvm",
        cpu_model="max",
        append="",
        enforce=False,
        everything=False,
        kvm_modules=False,
        timeout=min(request.timeout, KVM_SECONDS),
    )


def _has_kvm(arch: str) -> bool:
    return arch == os.uname().machine and os.access("/dev/kvm", os.R_OK | os.W_OK)


def at_once(requests: Sequence[BootRequest], memory: Path = _MEMORY) -> int:
    """Return how many machines this one can run side by side: by its cores and free memory."""
    each = max((request.memory_mib for request in requests), default=0) + _OVERHEAD_MIB
    by_memory = _available_mib(memory) // each
    return max(1, min(len(os.sched_getaffinity(0)), by_memory, len(requests)))


def _available_mib(memory: Path) -> int:
    """Return the memory that could be used now, by the kernel's own reckoning."""
    try:
        lines = memory.read_text().splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(next(found, "0")) >> 10


def boot_all(
    requests: Sequence[BootRequest],
    jobs: int = 0,
    accelerators: Accelerators | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Generator[Ended, None, None]:
    """Yield every boot as it ends.

    Whoever stops asking ends the machines that still run.

    :param jobs: machines at once; 0: what :func:`at_once` says.
    :param meanwhile: called once while the first machines start.
    """
    accelerators = accelerators or Accelerators()
    with _pool(jobs or at_once(requests)) as (pool, stop):
        waiting: dict[Future[BootResult], int] = {
            pool.submit(_boot_named, accelerators, request, stop): number
            for number, request in enumerate(requests)
        }
        if meanwhile is not None:
            wait(waiting, _START_SECONDS, FIRST_COMPLETED)
            meanwhile()
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                number = waiting.pop(future)
                yield Ended(number, requests[number], _result(future))


@contextmanager
def _pool(size: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    stop = threading.Event()
    pool = ThreadPoolExecutor(size)
    try:
        yield pool, stop
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _result(future: Future[BootResult]) -> BootResult | TargetError:
    try:
        return future.result()
    except TargetError as error:
        return error


def _boot_named(
    accelerators: Accelerators, request: BootRequest, stop: threading.Event
) -> BootResult:
    """Boot; where QEMU does not know a name, add those that it knows."""
    result = accelerators.boot(request, stop)
    if result.status is not BootStatus.REFUSED or result.lacking:
        return result
    near = nearest_names(request.program or MACHINES[request.arch].program, result.why)
    words = f"{result.why}; nearest: {', '.join(near)}" if near else result.why
    return replace(result, why=words)
