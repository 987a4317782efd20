"""Annotations and kernel configurations on disk; nothing outside the kernel's tree is read."""

from __future__ import annotations

from pathlib import Path

from uplift.errors import RecordingError
from uplift.facts.annotations import MAX_BYTES, Annotations, read_annotations
from uplift.facts.config_text import read_config
from uplift.facts.model import Capture, CaptureStatus
from uplift.facts.parsers.kernel_config import text_of


def load_annotations(path: Path) -> Annotations:
    """Read an annotations file and what it includes from the tree that it lies in.

    :raises RecordingError: a file cannot be read, or is malformed; names file, line and column.
    """
    root = tree_of(path)
    inside = path.resolve().relative_to(root).as_posix()

    def include(name: str) -> str:
        target = (root / name).resolve()
        if not target.is_relative_to(root):
            raise ValueError(f"{name} leads out of {root}")
        return _text(target)

    try:
        return read_annotations(_text(path), include, inside)
    except ValueError as error:
        raise RecordingError(
            f"cannot read the annotations {path}", str(error), "correct the line"
        ) from None


def tree_of(path: Path) -> Path:
    """Return the root of a kernel's tree: where ``debian.<kernel>/config/annotations`` stands.

    Of a file that does not lie so, its own directory.
    """
    absolute = path.resolve()
    above = absolute.parents
    if above[0].name == "config" and above[1].name.startswith("debian"):
        return above[2]
    return above[0]


def load_config(path: Path) -> dict[str, str]:
    """Read a kernel's configuration, ``/proc/config.gz`` included: option to value.

    :raises RecordingError: it cannot be read, or is no configuration; names the line.
    """
    capture = Capture(f"file:{path}", CaptureStatus.OK, _bytes(path))
    try:
        return dict(read_config(text_of(capture)[0]))
    except ValueError as error:
        raise RecordingError(
            f"cannot read the configuration {path}",
            str(error),
            "pass a kernel's .config, /boot/config-RELEASE or /proc/config.gz",
        ) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"cannot read {path}", f"byte {error.start} is not UTF-8", "pass a text file"
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        cause = error.strerror or str(error)
        raise RecordingError(f"cannot read {path}", cause, "pass a file that exists") from None
    if len(data) > MAX_BYTES:
        raise RecordingError(
            f"cannot read {path}", f"it has more than {MAX_BYTES} bytes", "pass the right file"
        )
    return data
