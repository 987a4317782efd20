"""Where the workspace and the index of a set of repositories lie: in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from uplift.errors import UpliftError
from uplift.lab.git import Workspace


def workspace_directory(paths: Sequence[Path]) -> Path:
    """Return the folder that belongs to these repositories, in this order."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    names = "\0".join(str(path.resolve()) for path in paths)
    key = sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return base / "uplift" / "backport" / key


def open_workspace(paths: Sequence[Path]) -> Workspace:
    """Make or bring up to date the workspace over the repositories ``paths``.

    :raises UpliftError: a repository cannot be read, or the cache cannot be written.
    """
    directory = workspace_directory(paths)
    try:
        return Workspace.make(directory, paths)
    except OSError as error:
        raise UpliftError(
            f"cannot write the workspace {directory}",
            error.strerror or str(error),
            "set XDG_CACHE_HOME to a directory that you may write to",
        ) from error
