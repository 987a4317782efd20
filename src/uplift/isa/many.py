"""Audits of many files at once, in the order in which they were asked for."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import baseline, contents, sources, static_library
from uplift.isa.audit import audit
from uplift.isa.elf import Buffer, Elf
from uplift.isa.file_list import Skipped, Wanted, is_package, machine
from uplift.isa.model import FileAudit
from uplift.isa.notes import identity
from uplift.isa.symbols import debug_path

_AHEAD = 64  #: files that are on their way at once
_HEAD = 64  #: bytes that tell what a file is


@dataclass(frozen=True)
class Question:
    """What is asked of each file.

    :param baseline: a level; files of architectures without it are not judged.
    :param debug: a detached debug file, or a directory with ``.build-id/``.
    """

    baseline: str = ""
    debug: str = ""


@dataclass(frozen=True)
class Refused:
    """A file that could not be audited."""

    path: str
    problem: str
    cause: str
    fix: str


Answer = FileAudit | Refused | Skipped


def answers(wanted: Wanted, question: Question) -> tuple[Answer, ...]:
    """Audit one file, or every one in a package; what is wrong is an answer, too."""
    if is_package(wanted.source):
        return tuple(_packed(wanted, question))
    if static_library.is_static_library(_head(wanted.source)):
        return tuple(_objects(wanted, question))
    return (_answer(wanted, wanted.source, question),)


def _packed(wanted: Wanted, question: Question) -> Iterator[Answer]:
    """Audit what is in a package, called as if the package were a directory."""
    try:
        with sources.opened(wanted.source) as inside:
            for found in inside.files:
                path = f"{wanted.path}/{contents.printable(found.name)}"
                yield _answer(Wanted(path), found.data, question)
    except UpliftError as error:
        yield Refused(wanted.path, error.problem, error.cause, error.fix)


def _objects(wanted: Wanted, question: Question) -> Iterator[Answer]:
    """Audit the object files in a static library, each called ``library(object)``."""
    try:
        with wanted.source.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
        for member in static_library.objects(data, wanted.path):
            path = f"{wanted.path}({member.name})"
            if machine(bytes(member.data[:_HEAD])) is None:
                yield Skipped(path, "it is no ELF file: no code of it was looked at")
            else:
                yield _answer(Wanted(path), member.data, question)
    except UpliftError as error:
        yield Refused(wanted.path, error.problem, error.cause, error.fix)


def _answer(wanted: Wanted, source: Path | Buffer, question: Question) -> Answer:
    try:
        return audit(
            source,
            baseline=_baseline(_head(source), question.baseline),
            debug=debug_for(source, question.debug) if isinstance(source, Path) else None,
            path=wanted.path,
        )
    except UpliftError as error:
        return Refused(wanted.path, error.problem, error.cause, error.fix)
    except MemoryError:
        return Refused(
            wanted.path,
            f"cannot audit {wanted.path!r}",
            "there is not enough memory",
            "audit it alone, with --jobs 1",
        )


def _head(source: Path | Buffer) -> bytes:
    if not isinstance(source, Path):
        return bytes(source[:_HEAD])
    try:
        with source.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError:
        return b""  # the audit says what is wrong


def _baseline(head: bytes, level: str) -> str | None:
    """Return the level that the file is judged against; none where it is another architecture's."""
    if not level:
        return None
    arch = machine(head)
    return level if not arch or arch in baseline.architectures(level) else None


def debug_for(path: Path, debug: str) -> Path | None:
    """Return a file's detached debug file: the one named, or its own in a directory of them."""
    if not debug:
        return None
    if not Path(debug).is_dir():
        return Path(debug)
    build_id = _build_id(path)
    found = debug_path(build_id, Path(debug)) if build_id else None
    return found if found is not None and found.is_file() else None


def _build_id(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
        return identity(Elf(data)).build_id
    except (OSError, ValueError, UpliftError):
        return ""


def audit_all(
    files: Iterable[Wanted], question: Question, executor: Executor | None = None
) -> Iterator[Answer]:
    """Audit files one after the other, or with ``executor``; answers come in the files' order.

    A worker that dies costs the file it died of, and no other.
    """
    if executor is None:
        for wanted in files:
            yield from answers(wanted, question)
        return
    waiting: deque[tuple[Wanted, Future[tuple[Answer, ...]] | None]] = deque()
    for wanted in files:
        waiting.append((wanted, _submitted(executor, wanted, question)))
        if len(waiting) >= _AHEAD:
            yield from _result(*waiting.popleft(), question)
    while waiting:
        yield from _result(*waiting.popleft(), question)


def _submitted(
    executor: Executor, wanted: Wanted, question: Question
) -> Future[tuple[Answer, ...]] | None:
    try:
        return executor.submit(answers, wanted, question)
    except BrokenProcessPool:
        return None


def _result(
    wanted: Wanted, future: Future[tuple[Answer, ...]] | None, question: Question
) -> tuple[Answer, ...]:
    if future is not None:
        try:
            return future.result()
        except BrokenProcessPool:
            pass
    return _alone(wanted, question)


def _alone(wanted: Wanted, question: Question) -> tuple[Answer, ...]:
    """Audit a file in a process of its own, after the shared ones died of one file."""
    with ProcessPoolExecutor(1) as executor:
        try:
            return executor.submit(answers, wanted, question).result()
        except BrokenProcessPool:
            refused = Refused(
                wanted.path,
                f"cannot audit {wanted.path!r}",
                "the process that audited it died: it may have been out of memory",
                "audit it alone, with --jobs 1, where there is more memory",
            )
            return (refused,)
