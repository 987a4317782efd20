"""With how much of its context a commit's patch applies to a tree, where its merge conflicts.

A merge compares whole files: code that moved, or that was written anew beside a change, makes it
conflict. git-apply(1) only looks for the lines around each hunk, wherever they stand. With fewer of
them a hunk can land in another function, so that what comes out is for a person to read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from uplift.backport.pick import Picker
from uplift.lab.git import RepositoryError, Workspace

_CONTEXT = 3  #: lines around a hunk, as git-diff(1) writes them
_MAX_PATCH = 16 << 20  #: bytes; a larger one is no matter of context


@dataclass(frozen=True)
class Fit:
    """A patch that applies.

    :param context: how many lines around each hunk had to be the same, at least; 3 is all of them.
    :param tree: what results.
    """

    context: int
    tree: str


def fit(picker: Picker, onto: str, sha: str) -> Fit | None:
    """Apply the patch of ``sha`` to ``onto``, a commit or a tree, with as much context as it goes.

    :return: nothing where the changed lines themselves are not there, or stand in several places
        that git cannot tell apart.
    :raises RepositoryError: an object is missing.
    """
    trees = picker.trees_of(sha)
    patch = _patch(picker.workspace, trees.base, trees.tree)
    with tempfile.TemporaryDirectory(prefix="uplift-index-") as folder:
        view = picker.workspace.with_index(Path(folder) / "index")
        view.git("read-tree", picker.tree_of(onto))
        for context in range(_CONTEXT, -1, -1) if patch else ():
            applied = view.attempt("apply", "--cached", f"-C{context}", "-", stdin=patch)
            if applied.ok:
                return Fit(context, view.git("write-tree").decode().strip())
    return None


def _patch(workspace: Workspace, base: str, tree: str) -> bytes:
    options = ("-r", "-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv")
    lines = f"-U{_CONTEXT}"
    try:
        return workspace.git("diff-tree", *options, lines, base, tree, max_stdout=_MAX_PATCH)
    except RepositoryError:
        return b""
