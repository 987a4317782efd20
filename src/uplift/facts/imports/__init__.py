"""Recordings made by other programs, as snapshots: recognise the notation, keep the bytes.

A new notation is one new module with ``NAME`` and either ``recognises`` and ``load`` (a file) or
``recognises_tree`` and ``load_tree`` (a directory or a tarball).
"""

from __future__ import annotations

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
    if snapshot_file.recognises(head):
        return snapshot_file.load(path)
    if tree_reader.recognises(path.name, head):
        return _load_tree(path)
    return _load_file(path, head)


def _load_file(path: Path, head: bytes) -> Snapshot:
    for importer in importers():
        if hasattr(importer, "recognises") and importer.recognises(path.name, head):
            return importer.load(path.name, _read(path))
    raise RecordingError(
        f"cannot read {path}",
        "its notation is none that uplift knows",
        f"pass a snapshot of `uplift scan --save`, or one of: {_known()}",
    )


def _load_tree(path: Path) -> Snapshot:
    names = frozenset(tree_reader.names(path))
    for importer in importers():
        if hasattr(importer, "recognises_tree") and importer.recognises_tree(names):
            files = tree_reader.read(path, getattr(importer, "wanted", lambda name: True))
            return importer.load_tree(path.name, files)
    raise RecordingError(
        f"cannot read {path}",
        "it holds no recording that uplift knows",
        f"pass a directory or tarball of: {_known()}",
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


def _known() -> str:
    return ", ".join(importer.NAME for importer in importers())
