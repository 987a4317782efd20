"""Unpacked source trees as arguments: a few of their files, their version, where they are from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from uplift.catalog.derive.upstream import Files
from uplift.catalog.since import version_key
from uplift.errors import CatalogError


@dataclass(frozen=True)
class Tree:
    """One unpacked tree.

    :param project: ``linux`` or ``qemu``.
    :param origin: where a copy that is no release's own comes from: repository and commit.
    """

    project: str
    version: str
    files: Files
    origin: str = ""


def trees(arguments: Iterable[str], names: Iterable[str]) -> list[Tree]:
    """Read ``PATH`` or ``PATH=ORIGIN`` of trees of Linux and QEMU; oldest first, by project.

    :param names: the files that are read of each, where they are there.
    :raises CatalogError: one is no source of either.
    """
    found = [_tree(argument, (*names, "Makefile", "VERSION")) for argument in arguments]
    return sorted(found, key=lambda tree: (tree.project, version_key(tree.version)))


def _tree(argument: str, names: Iterable[str]) -> Tree:
    path, _, origin = argument.partition("=")
    files = read(Path(path), names)
    if "VERSION" in files:
        return Tree("qemu", files["VERSION"].strip(), files, origin)
    return Tree("linux", linux_version(files, path), files, origin)


def heading(found: Iterable[Tree]) -> Iterator[str]:
    """Yield a comment line for each tree that was read."""
    for tree in found:
        origin = f" ({tree.origin})" if tree.origin else ""
        yield f"# derived: {tree.project} {tree.version}{origin}\n"


def read(tree: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the text of those files of a tree that are there."""
    return {
        name: (tree / name).read_text("utf-8", "replace")
        for name in names
        if (tree / name).is_file()
    }


def linux_version(files: Files, tree: str) -> str:
    """Return ``6.1.176`` or ``7.0.0-rc6``, from the Makefile.

    :param tree: how to name it in the error.
    :raises CatalogError: it is no source of Linux.
    """
    parts = dict(re.findall(r"^([A-Z]+) = *(\S*)$", files.get("Makefile", ""), re.MULTILINE))
    numbers = [parts.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(number.isdigit() for number in numbers):
        raise CatalogError(
            f"cannot derive from {tree}",
            "it is no source tree of Linux or QEMU",
            "name unpacked source trees",
        )
    candidate = re.fullmatch(r"-rc\d+", parts.get("EXTRAVERSION", ""))
    return ".".join(numbers) + (candidate[0] if candidate else "")
