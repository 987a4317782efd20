"""The files with instructions of installed packages, as dpkg's database names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import sources
from uplift.isa.file_list import Skipped, Wanted, file_at


def wanted(packages: Sequence[str], root: Path = Path("/")) -> Iterator[Wanted | Skipped]:
    """Yield programs, libraries, kernels and modules of packages; links are not followed.

    :param packages: names, with or without an architecture: ``libc6``, ``libc6:i386``.
    :raises UpliftError: one is not installed, or there is no dpkg's database.
    """
    if not packages:
        return
    seen: set[tuple[int, int]] = set()
    met: set[str] = set()
    for one in sources.installed(root):
        names = {one.package.name, f"{one.package.name}:{one.package.arch}"} & set(packages)
        met |= names
        for name in one.files if names else ():
            found = file_at(root / name, seen)
            if found is not None:
                yield found
    missing = sorted(set(packages) - met)
    if missing:
        raise UpliftError(
            f"cannot audit the installed package {missing[0][:120]!r}",
            "dpkg's database has no installed package of this name",
            "install it, or name its .deb file",
        )
