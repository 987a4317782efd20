"""The one place that starts processes: no shell, a group of its own, capped in time and bytes."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

DEFAULT_MAX_STDOUT = 64 << 20
MAX_STDERR = 64 << 10
_CHUNK = 64 << 10
_STOP_SECONDS = 0.2  #: how often somebody's wish to stop is looked for
_DRAIN_SECONDS = 0.5  #: what a child left behind may go on writing after its parent ended


@dataclass(frozen=True)
class Result:
    """How a process ended and what it wrote.

    :param returncode: negative where a signal ended it, as in :mod:`subprocess`.
    :param timed_out: it was killed because its time was over.
    :param truncated: it was killed because it wrote more than the cap; ``stdout`` holds the cap.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with success."""
        return self.returncode == 0 and not self.timed_out and not self.truncated

    @property
    def complaint(self) -> str:
        """The last line of standard error that says something, safe to print."""
        return _last_line(self.stderr)


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").splitlines()
    return printable(next((line for line in reversed(lines) if line.strip()), ""))


def printable(text: str, limit: int = 300) -> str:
    """Return what another program wrote as one short line that cannot steer a terminal."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text[: limit + 1])
    return " ".join(kept.split())[:limit]


def run(  # noqa: PLR0913 - each is a limit or a part of what is started
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float,
    max_stdout: int = DEFAULT_MAX_STDOUT,
    max_file: int = 0,
    stop: threading.Event | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run a program to its end, or to the end of its time or of its bytes.

    The program gets a session of its own: it cannot touch the terminal, and what it starts ends
    with it. Standard error is kept up to 64 KiB; what comes after that is read and dropped.

    :param timeout: seconds; then the whole process group is killed.
    :param max_stdout: bytes; more kills the process group.
    :param max_file: bytes that any one file it writes may reach; 0 sets no limit.
    :param stop: set from another thread, it ends the program as if its time were over.
    :raises OSError: the program cannot be started.
    """
    started = time.monotonic()
    with _child(argv, bool(stdin), env, cwd) as child:
        if max_file:
            with suppress(ProcessLookupError):
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (max_file, max_file))
        exchange = _Exchange(child, stdin, started + timeout, max_stdout, stop)
        exchange.run()
    return Result(
        argv=tuple(argv),
        returncode=child.returncode,
        stdout=bytes(exchange.stdout),
        stderr=bytes(exchange.stderr),
        seconds=time.monotonic() - started,
        timed_out=exchange.timed_out,
        truncated=exchange.truncated,
    )


class Pipe:
    """A running program that is fed and read piece by piece.

    ``stdin`` and ``stdout`` block; a watchdog kills the group when its time is over, so that a
    read then sees the end. Standard error is drained by a thread and kept up to 64 KiB.
    """

    def __init__(self, child: subprocess.Popen[bytes], timeout: float) -> None:
        assert child.stdin is not None and child.stdout is not None
        self.stdin: IO[bytes] = child.stdin
        self.stdout: IO[bytes] = child.stdout
        self.timed_out = False
        self._child = child
        self._stderr = bytearray()
        self._drain = threading.Thread(target=self._keep_stderr, daemon=True)
        self._drain.start()
        self._watchdog = threading.Timer(timeout, self._end)
        self._watchdog.daemon = True
        self._watchdog.start()

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Write ``pieces`` from a thread of their own, then close standard input."""
        threading.Thread(target=self._feed, args=(pieces,), daemon=True).start()

    def finish(self) -> int:
        """Close what is open, wait for the end, and return the exit status."""
        for stream in (self.stdin, self.stdout):
            with suppress(OSError, ValueError):
                stream.close()
        self._drain.join()
        self._child.wait()
        self._watchdog.cancel()
        return self._child.returncode

    @property
    def complaint(self) -> str:
        """The last line of standard error that says something, safe to print."""
        return _last_line(bytes(self._stderr))

    def _feed(self, pieces: Iterable[bytes]) -> None:
        with suppress(OSError, ValueError):  # the program ended, or was ended, before it read all
            for piece in pieces:
                self.stdin.write(piece)
        with suppress(OSError, ValueError):
            self.stdin.close()

    def _keep_stderr(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        with suppress(OSError, ValueError):
            while piece := os.read(stream.fileno(), _CHUNK):
                self._stderr += piece
                del self._stderr[: max(0, len(self._stderr) - MAX_STDERR)]

    def _end(self) -> None:
        self.timed_out = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)


@contextmanager
def pipe(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Pipe]:
    """Start a program that is fed and read piece by piece; its group ends with the block.

    :param timeout: seconds; then the whole process group is killed.
    :raises OSError: the program cannot be started.
    """
    with _child(argv, True, env, cwd) as child:
        running = Pipe(child, timeout)
        try:
            yield running
        finally:
            running._watchdog.cancel()


@contextmanager
def _child(
    argv: Sequence[str], feed: bool, env: Mapping[str, str] | None, cwd: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the program; on the way out kill its group, then collect its exit status.

    The order matters: the number of a group cannot be given to others before its leader is
    collected.
    """
    child = subprocess.Popen(  # noqa: S603 - an argument vector, never a shell's text
        list(argv),
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        child.wait()


class _Exchange:
    """Feeds a child and keeps what it writes, until it ends or a cap is reached."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        stdin: bytes,
        deadline: float,
        max_stdout: int,
        stop: threading.Event | None,
    ) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.timed_out = self.truncated = False
        self._child = child
        self._unsent = memoryview(stdin)
        self._deadline = deadline
        self._max_stdout = max_stdout
        self._stop = stop
        self._selector = selectors.DefaultSelector()
        self._open = 0

    def run(self) -> None:
        """Exchange bytes until both outputs ended and the child exited."""
        with self._selector, _exit_signal(self._child) as exited:
            if exited is not None:
                self._selector.register(exited, selectors.EVENT_READ, self._see_exit)
            self._watch(self._child.stdout, selectors.EVENT_READ, self._read_stdout)
            self._watch(self._child.stderr, selectors.EVENT_READ, self._read_stderr)
            if self._child.stdin is not None:
                self._watch(self._child.stdin, selectors.EVENT_WRITE, self._feed)
            while self._open and not self.truncated and self._step():
                pass
            if not self.timed_out and not self.truncated:
                self._wait_for_exit()

    def _watch(self, stream: IO[bytes] | None, event: int, action: object) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, event, action)
        self._open += 1

    def _step(self) -> bool:
        left = self._left()
        if left <= 0:
            self.timed_out = not self._has_exited()
            return False
        for key, _ in self._selector.select(min(left, _STOP_SECONDS) if self._stop else left):
            key.data(key.fileobj)
        return True

    def _left(self) -> float:
        if self._stop is not None and self._stop.is_set():
            return 0
        return self._deadline - time.monotonic()

    def _see_exit(self, exited: int) -> None:
        """The child ended: what it left behind must not keep us."""
        self._selector.unregister(exited)
        self._deadline = min(self._deadline, time.monotonic() + _DRAIN_SECONDS)

    def _has_exited(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._child.pid, flags) is not None

    def _wait_for_exit(self) -> None:
        """Give a child that closed its outputs the rest of its time, without collecting it."""
        while not self._has_exited():
            if self._left() <= 0:
                self.timed_out = True
                return
            time.sleep(0.005)

    def _feed(self, stream: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(stream.fileno(), self._unsent[:_CHUNK]) :]
        except BrokenPipeError:  # it does not want the rest
            self._unsent = self._unsent[:0]
        if not self._unsent:
            self._close(stream)

    def _read_stdout(self, stream: IO[bytes]) -> None:
        self.stdout += self._read(stream)
        if len(self.stdout) > self._max_stdout:
            del self.stdout[self._max_stdout :]
            self.truncated = True

    def _read_stderr(self, stream: IO[bytes]) -> None:
        self.stderr += self._read(stream)
        del self.stderr[MAX_STDERR:]

    def _read(self, stream: IO[bytes]) -> bytes:
        data = os.read(stream.fileno(), _CHUNK)
        if not data:
            self._close(stream)
        return data

    def _close(self, stream: IO[bytes]) -> None:
        self._selector.unregister(stream)
        stream.close()
        self._open -= 1


@contextmanager
def _exit_signal(child: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """Give a file descriptor that becomes readable when ``child`` ends, where the kernel has it."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
