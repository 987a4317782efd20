"""Read the files of another project that a patch is made against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from uplift.errors import UpliftError

MAX_FILE = 16 << 20  #: bytes of one file


def read_tree(tree: Path, paths: Sequence[str]) -> Mapping[str, str]:
    """Return the texts of a project's files, by their path in the project.

    :param tree: a checkout, or the first of the files alone.
    :param paths: the first must be there; others are left out where they are not.
    :raises UpliftError: the first is not there, or one cannot be read, is too large or no text.
    """
    if tree.is_file():
        return {paths[0]: _read(tree)}
    there = {path: tree / path for path in paths if (tree / path).is_file()}
    if paths[0] not in there:
        raise UpliftError(
            f"cannot make a patch against {tree}",
            f"it has no {paths[0]}",
            "pass --tree a checkout of the project, or this one file",
        )
    return {path: _read(file) for path, file in there.items()}


def _read(file: Path) -> str:
    try:
        with file.open("rb") as raw:
            data = raw.read(MAX_FILE + 1)
        if len(data) <= MAX_FILE:
            return data.decode("utf-8")
        cause = "it is larger than 16 MiB"
    except OSError as error:
        cause = error.strerror or str(error)
    except UnicodeDecodeError as error:
        cause = f"it is no UTF-8 text: {error}"
    raise UpliftError(f"cannot read {file}", cause, "pass --tree a checkout of the project")
