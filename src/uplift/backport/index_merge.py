"""The same merge for a git older than 2.39: in a private index, file by file, blind to renames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from uplift.backport.merge_answer import Clash, MergeAnswer
from uplift.lab.git import Workspace


@dataclass
class _Unmerged:
    """What base, ours and theirs have at one path: (mode, sha) by stage."""

    path: bytes
    stages: dict[int, tuple[bytes, str]] = field(default_factory=dict)


def merge_in_index(workspace: Workspace, base: str, ours: str, theirs: str) -> MergeAnswer:
    """Merge the change from ``base`` to ``theirs`` onto ``ours`` (three trees).

    :raises RepositoryError: git could not read them.
    """
    with tempfile.TemporaryDirectory(prefix="uplift-index-") as folder:
        index = Path(folder) / "index"
        view = workspace.with_index(index)
        view.git("read-tree", "-i", "-m", "--aggressive", base, ours, theirs)
        clashes, lines = [], b""
        for entry in _unmerged(view):
            merged = _merge_file(workspace, entry, Path(folder))
            lines += merged if isinstance(merged, bytes) else _as_ours(entry)
            if not isinstance(merged, bytes):
                clashes.append(merged)
        if lines:
            view.git("update-index", "-z", "--index-info", stdin=lines)
        tree = view.git("write-tree").decode().strip()
    return MergeAnswer(not clashes, tree, tuple(clashes))


def _unmerged(view: Workspace) -> Iterator[_Unmerged]:
    found: dict[bytes, _Unmerged] = {}
    for record in view.git("ls-files", "-u", "-z").split(b"\0")[:-1]:
        meta, _, path = record.partition(b"\t")
        mode, sha, stage = meta.split()
        entry = found.setdefault(path, _Unmerged(path))
        entry.stages[int(stage)] = (mode, sha.decode())
    yield from found.values()


def _as_ours(entry: _Unmerged) -> bytes:
    """Return index lines that leave the path as the target has it."""
    width = len(next(iter(entry.stages.values()))[1])
    gone = b"0 %s\t%s\0" % (b"0" * width, entry.path)
    if 2 not in entry.stages:
        return gone
    mode, sha = entry.stages[2]
    return gone + b"%s %s\t%s\0" % (mode, sha.encode(), entry.path)


def _merge_file(workspace: Workspace, entry: _Unmerged, folder: Path) -> bytes | Clash:
    path = os.fsdecode(entry.path)
    if set(entry.stages) != {1, 2, 3}:
        return Clash(path, "add/add" if 1 not in entry.stages else "modify/delete")
    modes = {mode for mode, _ in entry.stages.values()}
    if not all(mode.startswith(b"100") for mode in modes):
        return Clash(path, "submodule" if b"160000" in modes else "contents")
    names = []
    for stage, (_, sha) in sorted(entry.stages.items()):
        names.append(str(folder / f"stage-{stage}"))
        Path(names[-1]).write_bytes(workspace.objects.read(sha)[1])
    merged = workspace.attempt("merge-file", "-p", "-q", names[1], names[0], names[2])
    if merged.returncode != 0:
        kind = "contents" if 0 < merged.returncode < 128 else "binary"
        return Clash(path, kind)
    sha = workspace.write("blob", merged.stdout)
    return b"%s %s\t%s\0" % (_mode(entry), sha.encode(), entry.path)


def _mode(entry: _Unmerged) -> bytes:
    """The mode that one side changed, as a three-way merge has it."""
    base, ours, theirs = (entry.stages[stage][0] for stage in (1, 2, 3))
    return theirs if ours == base else ours
