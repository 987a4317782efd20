"""Which files a running process executes code of, from the kernel's list of its mappings.

Format: proc_pid_maps(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa.file_list import Skipped, Wanted

PROC = Path("/proc")
MAX_BYTES = 64 << 20
_LINE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) ([rwxsp-]{4}) [0-9a-f]+ [0-9a-f:]+ \d+ *(.*)")
_DELETED = " (deleted)"
_IN_MEMORY = "/memfd:"  #: a file that memfd_create(2) made
_KERNELS_OWN = ("[vdso]", "[vsyscall]", "[vvar]")


def mapped(pid: int, proc: Path = PROC) -> Iterator[Wanted | Skipped]:
    """Return the files of which a process has code mapped, and what code is in no file.

    :param proc: where the kernel tells of processes.
    :raises UpliftError: there is no such process, or it may not be looked at.
    """
    home = proc / str(pid)
    try:
        with (home / "maps").open("rb") as stream:
            text = stream.read(MAX_BYTES)
    except OSError as error:
        raise UpliftError(
            f"cannot audit process {pid}",
            error.strerror or str(error),
            "name a process that runs and is yours, or become root",
        ) from None
    return _mapped(home, text)


def _mapped(home: Path, text: bytes) -> Iterator[Wanted | Skipped]:
    found: dict[str, str] = {}
    anonymous = 0
    for start, end, name in _executable(text):
        if name.startswith("/"):
            found.setdefault(name, f"{start:x}-{end:x}")
        elif name not in _KERNELS_OWN:
            anonymous += end - start
    for name, place in found.items():
        yield _file(home, name, place)
    if anonymous:
        why = f"{anonymous} bytes of code that were made while it ran lie in no file"
        yield Skipped(f"[process {home.name}]", why)


def _executable(text: bytes) -> Iterator[tuple[int, int, str]]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and b"x" in match[3]:
            yield int(match[1], 16), int(match[2], 16), os.fsdecode(_unescaped(match[4]))


def _unescaped(name: bytes) -> bytes:
    """Take back the one escape that the kernel writes: of a new line."""
    return name.replace(b"\\012", b"\n")


def _file(home: Path, name: str, place: str) -> Wanted | Skipped:
    """Say where the file can be read: as it is mapped, or in the process's own file system."""
    as_mapped = home / "map_files" / place
    if name.startswith(_IN_MEMORY):
        return _in_memory(as_mapped, name)
    if os.access(as_mapped, os.R_OK):
        return Wanted(name, str(as_mapped))
    if name.endswith(_DELETED):
        return Skipped(name, "it was removed or replaced, and only root may read it as mapped")
    inside = home / "root" / name.lstrip("/")
    return Wanted(name, str(inside)) if os.access(inside, os.R_OK) else Wanted(name)


def _in_memory(as_mapped: Path, name: str) -> Wanted | Skipped:
    """Say whether a file that was made in memory is a program; engines that translate code, and
    container runtimes that copy themselves, make such files.
    """
    try:
        with as_mapped.open("rb") as stream:
            is_elf = stream.read(4) == b"\x7fELF"
    except OSError:
        return Skipped(name, "it lies in memory only (memfd), and only root may read it as mapped")
    why = "it lies in memory only (memfd) and is no ELF file: code that was made while it ran"
    return Wanted(name, str(as_mapped)) if is_elf else Skipped(name, why)
