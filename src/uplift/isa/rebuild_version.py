"""What a rebuilt package is called: a version that any later one of the archive replaces.

Order of versions: deb-version(7). A letter sorts before every other character but ``~``, and the
end of a version before a letter. So ``5a~uplift1.v3`` comes after ``5`` and before ``5+b1``,
``5+deb12u1``, ``5build1``, ``5ubuntu0.1``, ``5.1`` and ``6``: a security update is never masked
by a rebuild. (``5+uplift1`` would come after all but the last two.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from uplift.errors import UpliftError

MARK = "a~uplift"
_VERSION = re.compile(r"(?:[0-9]+:)?[0-9A-Za-z][0-9A-Za-z.+~-]*")
_HEADER = re.compile(r"^(?P<source>[a-z0-9][a-z0-9+.-]+) \((?P<version>[^)\s]+)\) (?P<rest>.+)$")
_TRAILER = re.compile(r"^ -- .*?>  (?P<date>\S.*)$", re.MULTILINE)
_WRITTEN_BY = "uplift rebuild <uplift@localhost>"


def rebuilt_version(source: str, binaries: Iterable[str], suffix: str, number: int = 1) -> str:
    """Return the version of rebuilt binary packages.

    :param source: version of the source package.
    :param binaries: versions of its binary packages in the archive: a rebuild there (``+b2``)
        must be outbid, too.
    :param suffix: short name of the level.
    """
    rebuilds = (re.fullmatch(re.escape(source) + r"\+b([0-9]+)", text) for text in binaries)
    newest = max((int(match[1]) for match in rebuilds if match), default=0)
    start = f"{source}+b{newest}" if newest else source
    return f"{start}{MARK}{number}.{suffix}"


def with_entry(changelog: str, version: str, reason: str) -> str:
    """Return a Debian changelog with an entry for a rebuild of binary packages only.

    The entry has the date of the one before, so that what a build writes of its time stays.

    :raises UpliftError: it does not start as a changelog does.
    """
    first = changelog.partition("\n")[0]
    header, trailer = _HEADER.match(first), _TRAILER.search(changelog)
    if header is None or trailer is None or not _VERSION.fullmatch(version):
        raise UpliftError(
            "cannot give the rebuilt package a version",
            f"debian/changelog starts with {first[:80]!r}",
            "build it by hand; this is no changelog that dpkg reads",
        )
    suite = header["rest"].partition(";")[0]
    return (
        f"{header['source']} ({version}) {suite}; urgency=low, binary-only=yes\n\n"
        f"  * {reason}\n\n -- {_WRITTEN_BY}  {trailer['date']}\n\n{changelog}"
    )
