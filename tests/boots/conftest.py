"""Emulated machines, booted once per test run, two at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from uplift.errors import TargetError
from uplift.facts.model import Snapshot
from uplift.lab.packages import Kernel, fetch_kernel
from uplift.lab.qemu import MACHINES, BootRequest, BootResult, BootStatus, boot

from .promises import PROMISES

AT_ONCE = 2
#: Where this machine's own release may have no packages of an architecture.
SUITES = {"riscv64": "trixie"}
#: Ten times what an idle machine takes; a boot that needs longer is lost, and the test says so.
TIMEOUT = 240


def require_emulator(arch: str) -> None:
    machine = MACHINES[arch]
    if shutil.which(machine.program) is None:
        pytest.skip(f"install {machine.package}")


def kernel_of(arch: str) -> Kernel:
    """Return the distribution's kernel; without a way to fetch one, skip and say why."""
    require_emulator(arch)
    try:
        return fetch_kernel(arch, suite=SUITES.get(arch, ""))
    except TargetError as error:
        pytest.skip(f"no kernel of {arch} to boot: {error.cause}; {error.fix}")


class Boots:
    """Boots every promised model from the first question on, and answers as they end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._started: dict[tuple[str, str], Future[BootResult]] = {}

    def result(self, arch: str, model: str) -> BootResult:
        """Return how the machine booted; ``model`` as in PROMISES, or any other."""
        require_emulator(arch)
        if not self._started:
            for promise in PROMISES:
                if shutil.which(MACHINES[promise.arch].program):
                    self._start(promise.arch, promise.model)
        return self._start(arch, model).result()

    def snapshot(self, arch: str, model: str) -> Snapshot:
        """Return what the collector recorded inside."""
        result = self.result(arch, model)
        assert result.status is BootStatus.BOOTED, f"{result.why}\n{result.console}"
        assert result.snapshot is not None
        return result.snapshot

    def _start(self, arch: str, model: str) -> Future[BootResult]:
        if (arch, model) not in self._started:
            request = BootRequest.of(kernel_of(arch), model, timeout=TIMEOUT)
            self._started[arch, model] = self._pool.submit(boot, request)
        return self._started[arch, model]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def boots() -> Iterator[Boots]:
    """Snapshots of emulated machines by (arch, model)."""
    boots = Boots()
    yield boots
    boots.close()
