"""A few files of an unpacked source tree, and which version of Linux it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from uplift.catalog.derive.upstream import Files
from uplift.errors import CatalogError


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
