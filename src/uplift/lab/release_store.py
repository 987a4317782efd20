"""Where recordings of releases lie, and how a newer one takes the place of an older.

``NAME.ARCH.jsonl.gz`` is the newest recording of a release's base, ``NAME+SET.ARCH.jsonl.gz`` of
another set; ``…@YYYY-MM-DD.jsonl.gz`` is what it was on that day. A file is written whole beside
its place and renamed, so a reader sees the old one or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from uplift.errors import UpliftError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot

BASE = "base"
_SUFFIX = ".jsonl.gz"
_KERNEL = ("probe:kernel-image/", "file:/boot/config-", "file:annotations")


def user_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Return where this user's own recordings of releases are kept."""
    variables = os.environ if environment is None else environment
    base = variables.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "uplift" / "releases"


def file_name(release: str, name: str, arch: str, day: str = "") -> str:
    """Return the name of a recording's file.

    :param name: of the set.
    :param arch: Debian's name of the architecture.
    :param day: ISO 8601; empty: the newest.
    """
    chosen = release if name == BASE else f"{release}+{name}"
    return f"{chosen}.{arch}" + (f"@{day}" if day else "") + _SUFFIX


def save(directory: Path, release: str, name: str, arch: str, snapshot: Snapshot) -> Path:
    """Keep a recording as the newest; one of an earlier day stays under that day's name.

    :return: the path of the new file.
    :raises UpliftError: it cannot be written.
    """
    path = directory / file_name(release, name, arch)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _set_aside(path, directory, (release, name, arch), snapshot.collected_at[:10])
    except OSError as error:
        raise UpliftError(
            f"cannot write {path}", error.strerror or str(error), "choose another place: --output"
        ) from error
    snapshot_file.save(snapshot, path)
    path.chmod(0o666 & ~_mask())
    return path


def _set_aside(path: Path, directory: Path, names: tuple[str, str, str], today: str) -> None:
    if not path.exists():
        return
    day = snapshot_file.load(path).collected_at[:10]
    if day and day < today:
        path.replace(directory / file_name(*names, day=day))


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(directory: Path, release: str, name: str, arch: str) -> Snapshot | None:
    """Return the newest recording, None where there is none."""
    path = directory / file_name(release, name, arch)
    return snapshot_file.load(path) if path.is_file() else None


def keep(
    directory: Path, release: str, arch: str, found: Mapping[str, Snapshot], only: str = ""
) -> list[Path]:
    """Keep the recordings of a release's sets on one architecture.

    :param found: set to recording.
    :param only: ``kernel`` or ``software`` where that part was recorded alone: the rest is taken
        from the last recording.
    :return: the files written.
    """
    written = []
    for name, snapshot in found.items():
        last = load(directory, release, name, arch) if only else None
        whole = joined(last, snapshot, only) if last else snapshot
        written.append(save(directory, release, name, arch, whole))
    return written


def joined(last: Snapshot, part: Snapshot, only: str) -> Snapshot:
    """Return ``last`` with its kernel, or all but its kernel, taken from ``part``."""
    kept = {n: c for n, c in last.captures.items() if is_of_kernel(n) != (only == "kernel")}
    return replace(part, captures={**kept, **part.captures})


def is_of_kernel(capture: str) -> bool:
    """Whether a capture's id says that it is of a release's kernel."""
    return capture.startswith(_KERNEL)
