"""Package lists of apt, read as streams, and packages fetched one by one; apt checks digests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab import apt, process

_HELPER = "/usr/lib/apt/apt-helper"
_SECONDS = 600
_MAX_LIST = 1 << 30
_FIELD = re.compile(r"^([\w-]+): (\S.*)$", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PackageList:
    """One list of packages that apt has.

    :param uri: what file names in it begin at.
    """

    uri: str
    suite: str
    component: str
    arch: str
    file: Path


def package_lists(listing: str) -> tuple[PackageList, ...]:
    """Read what ``apt-get indextargets`` prints of package lists."""
    found = []
    for block in listing.split("\n\n"):
        fields: dict[str, str] = dict(_FIELD.findall(block))
        if {"Repo-URI", "Filename"} <= fields.keys():
            found.append(
                PackageList(
                    fields["Repo-URI"],
                    fields.get("Release", ""),
                    fields.get("Component", ""),
                    fields.get("Architecture", ""),
                    Path(fields["Filename"]),
                )
            )
    return tuple(dict.fromkeys(found))


def lines(found: PackageList) -> Iterator[str]:
    """Yield the lines of a list, unpacked by apt's own helper.

    :raises TargetError: it cannot be read.
    """
    result = process.run(
        [_HELPER, "cat-file", str(found.file)], timeout=_SECONDS, max_stdout=_MAX_LIST
    )
    if not result.ok:
        raise TargetError(
            f"cannot read the package list of {found.suite}",
            result.complaint or "apt-helper failed",
            "run apt-get update",
        )
    start, data = 0, result.stdout
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield data[start:end].decode("utf-8", "replace")
        start = end + 1


def fetch(uri: str, sha256: str, to: Path) -> None:
    """Fetch one package with apt's own transports; apt compares its digest.

    :raises TargetError: it cannot be fetched, or is another than the list says.
    """
    if not _SHA256.fullmatch(sha256):
        raise TargetError(
            f"cannot fetch {process.printable(uri)}",
            "its list gives no SHA256",
            "use an archive that has such digests",
        )
    words = ["-o", "APT::Sandbox::User=", "download-file", uri, str(to), f"SHA256:{sha256}"]
    apt.checked([_HELPER, *words], _SECONDS)
