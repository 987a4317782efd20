"""Recordings made by other programs, as snapshots: recognise the notation, keep the bytes.

A new notation is one new module with ``NAME`` and either ``recognises`` and ``load`` (a file) or
``recognises_tree`` and ``load_tree`` (a directory or a tarball).
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from uplift.errors import RecordingError
from uplift.facts import snapshot_file
from uplift.facts.imports import tree_reader
from uplift.facts.model import Snapshot

HEAD = 64 << 10
_GZIP = b"\x1f\x8b"
FILE_LIMIT = 64 << 20  #: no recording of one machine by another program comes near this


@cache
def importers() -> tuple[ModuleType, ...]:
    """Return every importer module, in order of name."""
    names = sorted(module.name for module in iter_modules(__path__))
    loaded = (import_module(f"{__name__}.{name}") for name in names)
    return tuple(module for module in loaded if hasattr(module, "NAME"))


def load_path(path: Path) -> Snapshot:
    """Load a snapshot file, or anybody's recording of a machine: a file, a directory, a tarball.

    :raises RecordingError: it cannot be read, is of no known notation, or is broken.
    """
    try:
        if path.is_dir():
            return _load_tree(path)
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise RecordingError(
            f"cannot read {path}",
            error.strerror or str(error),
            "name a snapshot, a recording, or a target such as ssh:host",
        ) from None
    if snapshot_file.recognises(_unzipped(head)):
        return snapshot_file.load(path)
    if tree_reader.recognises(path.name, head):
        return _load_tree(path)
    return _load_file(path, head)


def _unzipped(head: bytes) -> bytes:
    """Return the beginning of what gzip packed; ``head`` itself where it is no gzip."""
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return head


def _load_file(path: Path, head: bytes) -> Snapshot:
    for importer in importers():
        if hasattr(importer, "recognises") and importer.recognises(path.name, head):
            snapshot: Snapshot = importer.load(path.name, _read(path))
            return snapshot
    raise _unknown(path, "its notation is none that uplift knows")


def _load_tree(path: Path) -> Snapshot:
    """Read the tree once, keeping what any importer wants, then ask each whether it is its own."""
    mine = [importer for importer in importers() if hasattr(importer, "recognises_tree")]
    tree = tree_reader.read(path, lambda name: any(importer.wanted(name) for importer in mine))
    for importer in mine:
        if importer.recognises_tree(tree.names):
            snapshot: Snapshot = importer.load_tree(path.name, tree)
            return snapshot
    raise _unknown(path, "it holds no recording that uplift knows")


def _unknown(path: Path, cause: str) -> RecordingError:
    known = ", ".join(importer.NAME for importer in importers())
    return RecordingError(
        f"cannot read {path}",
        cause,
        f"pass a snapshot of `uplift scan --save`, or a recording that one of these reads: {known}",
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise RecordingError(
            f"cannot read {path}",
            f"it is larger than {FILE_LIMIT >> 20} MiB",
            "pass the recording of one machine",
        )
    return data
