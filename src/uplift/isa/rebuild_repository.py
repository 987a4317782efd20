"""A directory of packages as an apt repository: its indexes as text, and the source entry for it.

Format: "Repository Format" of Debian's wiki; deb822 style of sources.list(5). A repository is not
signed: whoever installs from it says that he trusts the directory.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SUITE = "uplift"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One package of a repository.

    :param control: its control file.
    :param filename: below the repository's directory.
    """

    control: str
    filename: str
    size: int
    sha256: str


def entry(control: str, package: Path, repository: Path) -> Entry:
    """Return what an index says of a package file."""
    digest = hashlib.sha256()
    with package.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    name = package.relative_to(repository).as_posix()
    return Entry(control, name, package.stat().st_size, digest.hexdigest())


def packages_text(entries: Iterable[Entry]) -> str:
    """Return the text of a ``Packages`` file."""
    rows = sorted(entries, key=lambda each: each.filename)
    return "\n".join(
        f"{row.control.rstrip()}\nFilename: {row.filename}\nSize: {row.size}\n"
        f"SHA256: {row.sha256}\n"
        for row in rows
    )


def indexes(entries: Iterable[Entry], arch: str, variant: str) -> dict[str, bytes]:
    """Return the files of an index below ``dists/uplift``, without ``Release``.

    A variant's packages have an index of their own, as apt looks for it; the architecture's own
    index is there as well, and empty.
    """
    text = packages_text(entries).encode()
    found = {_place(variant or arch): text}
    if variant:
        found[_place(arch)] = b""
    for name, content in list(found.items()):
        found[f"{name}.gz"] = gzip.compress(content, mtime=0)
    return found


def _place(arch: str) -> str:
    return f"main/binary-{arch}/Packages"


def release_text(
    files: Mapping[str, bytes], archs: Sequence[str], label: str, now: datetime
) -> str:
    """Return the text of a ``Release`` file.

    :param now: with its time zone, UTC.
    """
    rows = "".join(
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n"
        for name, content in sorted(files.items())
    )
    return (
        f"Origin: uplift\nLabel: {label}\nSuite: {SUITE}\nCodename: {SUITE}\n"
        f"Date: {now:%a, %d %b %Y %H:%M:%S} UTC\nArchitectures: {' '.join(archs)}\n"
        f"Components: main\nSHA256:\n{rows}"
    )


def sources_text(repository: Path, arch: str, variant: str) -> str:
    """Return a deb822 entry that lets apt install from the repository."""
    return (
        f"Types: deb\nURIs: file:{repository.resolve()}\nSuites: {SUITE}\nComponents: main\n"
        f"Architectures: {f'{arch} {variant}' if variant else arch}\nTrusted: yes\n"
    )


def variant_setting(variant: str) -> str:
    """Return the line for apt.conf(5) without which apt takes no package of a variant."""
    return f'APT::Architecture-Variants "{variant}";\n'
