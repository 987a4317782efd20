"""Which version of Linux offers a kernel option on which architecture, as derived from Kconfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from importlib.resources import files

Version = tuple[int, ...]  #: (6, 12)


class Offer(Enum):
    """Whether a kernel's source lets an option be switched on."""

    YES = "yes"
    NOT_THIS_ARCHITECTURE = "not this architecture"
    NOT_THIS_VERSION = "not this version"
    UNKNOWN = "unknown"  #: no source was read that tells


class KernelOptions:
    """The table.

    :param versions: that were read.
    :param asked: options that a person can set; other options decide the rest.
    :param cells: option without ``CONFIG_`` to the architectures of each version: ``all``,
        ``none``, names, or empty where the version has no such option.
    """

    def __init__(
        self,
        versions: Sequence[Version],
        asked: frozenset[str],
        cells: Mapping[str, Sequence[str]],
    ) -> None:
        self.versions = tuple(versions)
        self.asked = asked
        self.cells = cells

    def is_asked(self, option: str) -> bool:
        """Say whether a person can set ``option``; True where no source was read that knows it."""
        return option in self.asked or option not in self.cells

    def offer(self, option: str, version: Version, arch: str) -> Offer:
        """Return whether Linux ``version`` offers ``option`` on ``arch``.

        Between two versions that were read, what both say holds.
        """
        cells = self.cells.get(option)
        if cells is None or not version or not arch:
            return Offer.UNKNOWN
        found = {_offer(cells[place], arch) for place in self._around(version)}
        return found.pop() if len(found) == 1 else Offer.UNKNOWN

    def _around(self, version: Version) -> tuple[int, ...]:
        """Return which versions read speak for ``version``: itself, or those on both sides."""
        if version in self.versions:
            return (self.versions.index(version),)
        below = [place for place, read in enumerate(self.versions) if read < version]
        above = [place for place, read in enumerate(self.versions) if read > version]
        return (*below[-1:], *above[:1])


def _offer(cell: str, arch: str) -> Offer:
    if not cell:
        return Offer.NOT_THIS_VERSION
    return Offer.YES if cell == "all" or arch in cell.split() else Offer.NOT_THIS_ARCHITECTURE


@lru_cache(maxsize=1)
def load_kernel_options() -> KernelOptions:
    """Return the table that is shipped."""
    text = files("uplift.catalog").joinpath("data/kernel-options.csv").read_text("utf-8")
    return parse_kernel_options(text)


def parse_kernel_options(text: str) -> KernelOptions:
    """Read the table's text."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    versions = [tuple(map(int, column.split("."))) for column in lines[0].split(",")[2:]]
    rows = [line.split(",") for line in lines[1:]]
    return KernelOptions(
        versions,
        frozenset(row[0] for row in rows if row[1]),
        {row[0]: row[2:] for row in rows},
    )
