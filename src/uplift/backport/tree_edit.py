"""Trees that are put together from two others, in a private index; nothing is checked out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uplift.lab.git import Workspace


@contextmanager
def _index(workspace: Workspace, tree: str) -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="uplift-index-") as folder:
        view = workspace.with_index(Path(folder) / "index")
        view.git("read-tree", tree)
        yield view


@dataclass(frozen=True)
class Applied:
    """A tree with patches applied; empty, with the reason, where git refuses one.

    :param number: how many patches were applied.
    """

    tree: str
    problem: str = ""
    number: int = 1


def applied(workspace: Workspace, tree: str, *patches: bytes) -> Applied:
    """Apply patches to a tree as git-am(1) does: no fuzz, no path outside the tree."""
    with _index(workspace, tree) as view:
        for number, patch in enumerate(patches):
            done = view.attempt("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch)
            if not done.ok:
                cause = done.complaint.removeprefix("error: ") or "git apply refuses it"
                return Applied("", cause, number)
        return Applied(view.git("write-tree").decode().strip(), "", len(patches))


def changed_paths(workspace: Workspace, before: str, after: str) -> tuple[bytes, ...]:
    """Return the paths in which two trees differ."""
    listed = workspace.git("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after)
    return tuple(listed.split(b"\0")[:-1])


def with_paths_of(workspace: Workspace, tree: str, other: str, paths: Sequence[bytes]) -> str:
    """Return ``tree`` with ``paths`` (files) as ``other`` has them; what it lacks goes."""
    if not paths:
        return tree
    listed = workspace.git("ls-tree", "-r", "-z", "--full-tree", other)
    entries = dict(_entry(record) for record in listed.split(b"\0")[:-1])
    gone = b"0 " + b"0" * len(tree)
    with _index(workspace, tree) as view:
        # what goes goes first: a file may stand where a folder was
        for missing in (True, False):
            lines = [
                entries.get(path, gone) + b"\t" + path + b"\0"
                for path in paths
                if (path not in entries) is missing
            ]
            view.git("update-index", "-z", "--index-info", stdin=b"".join(lines))
        return view.git("write-tree").decode().strip()


def _entry(record: bytes) -> tuple[bytes, bytes]:
    head, _, path = record.partition(b"\t")
    mode, _, sha = head.split(b" ")
    return path, mode + b" " + sha


def with_files(workspace: Workspace, tree: str, files: Mapping[bytes, bytes]) -> str:
    """Return ``tree`` with ``files`` (path to content) written into it; modes are kept."""
    if not files:
        return tree
    with _index(workspace, tree) as view:
        staged = view.git("ls-files", "-s", "-z")
        modes = {
            path: head.split()[0]
            for head, _, path in (line.partition(b"\t") for line in staged.split(b"\0")[:-1])
            if path in files
        }
        lines = [
            b"%s %s\t%s\0"
            % (modes.get(path, b"100644"), workspace.write("blob", content).encode(), path)
            for path, content in sorted(files.items())
        ]
        view.git("update-index", "--add", "-z", "--index-info", stdin=b"".join(lines))
        return view.git("write-tree").decode().strip()
