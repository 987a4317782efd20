"""Where a release's packages come from: the machine's own archive with another suite, or a mirror.

No mirror is known to this program. apt tells which archives the machine uses
(``apt-get indextargets``); a suite that the machine does not use lies in the same archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab import apt

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
)
_DISTRIBUTIONS = ("Debian", "Ubuntu")
_COMPONENTS = {"Debian": "main", "Ubuntu": "main universe"}
_FIELD = re.compile(r"^([\w-]+): (\S.*)$", re.MULTILINE)
_SUITE = re.compile(r"[a-z][a-z0-9.+-]*")
_URI = re.compile(r"[a-z][a-z+]*:/[^\s]+")


@dataclass(frozen=True)
class Archive:
    """One suite that this machine's apt uses.

    :param origin: who publishes it, ``Debian``; empty while its lists were never fetched.
    """

    uri: str
    suite: str
    origin: str = ""
    label: str = ""

    @property
    def is_security(self) -> bool:
        """Whether it is a security archive, which may be a place of its own."""
        return self.label.endswith("-Security") or self.suite.endswith("-security")


def machine_archives() -> tuple[Archive, ...]:
    """Return the archives of the machine's own apt configuration.

    :raises TargetError: there is no apt.
    """
    return archives(apt.checked(["apt-get", "indextargets", "Created-By: Packages"], 60))


def archives(listing: str) -> tuple[Archive, ...]:
    """Read what ``apt-get indextargets`` prints of package lists."""
    found = []
    for block in listing.split("\n\n"):
        fields = dict(_FIELD.findall(block))
        if "Repo-URI" in fields and "Release" in fields:
            found.append(
                Archive(
                    fields["Repo-URI"],
                    fields["Release"],
                    fields.get("Origin", ""),
                    fields.get("Label", ""),
                )
            )
    return tuple(dict.fromkeys(found))


def machine_suites(known: Sequence[Archive]) -> tuple[str, ...]:
    """Return the suites of the distribution that the machine's apt uses."""
    return tuple(dict.fromkeys(a.suite for a in known if _is_distribution(a, known)))


def sources(
    suites: Sequence[str],
    arch: str,
    known: Sequence[Archive],
    mirror: str = "",
    keyrings: Iterable[Path] = KEYRINGS,
    kinds: str = "deb",
) -> apt.Sources:
    """Return apt's sources for ``suites``.

    :param arch: Debian's name of the architecture.
    :param known: the machine's own archives.
    :param mirror: the URI of an archive; empty: the machine's own.
    :param keyrings: whose keys sign the archive; those that exist are used.
    :param kinds: ``deb``, or ``deb deb-src`` for source packages, too.
    :raises TargetError: a suite or the mirror is no name or URI, or the machine has no archive.
    """
    for suite in suites:
        _check(suite, _SUITE, "suite")
    if mirror:
        _check(mirror, _URI, "mirror")
    signed = " ".join(str(path) for path in keyrings if path.is_file())
    entries = (_entry(suite, arch, known, mirror, signed) for suite in suites)
    text = "\n".join(entry.replace("Types: deb\n", f"Types: {kinds}\n") for entry in entries)
    return apt.Sources(text, tuple(suites))


def _check(word: str, pattern: re.Pattern[str], what: str) -> None:
    if not pattern.fullmatch(word):
        raise TargetError(
            f"cannot use the {what} {word[:100]!r}",
            "it has letters that no suite or URI has",
            "name a suite such as trixie, and a mirror as apt's sources have it",
        )


def _entry(suite: str, arch: str, known: Sequence[Archive], mirror: str, signed: str) -> str:
    archive = None if mirror else _archive_of(suite, known)
    components = _COMPONENTS.get(archive.origin if archive else "Ubuntu", "main universe")
    fields: Mapping[str, str] = {
        "Types": "deb",
        "URIs": archive.uri if archive else mirror,
        "Suites": suite,
        "Components": components,
        "Architectures": arch,
        **({"Signed-By": signed} if signed else {}),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _archive_of(suite: str, known: Sequence[Archive]) -> Archive:
    """Return the archive that has ``suite``: one with that very suite, or else the like of it."""
    wants_security = suite.endswith("-security")
    for archive in known:
        if archive.suite == suite and archive.origin in (*_DISTRIBUTIONS, ""):
            return archive
    main = [archive for archive in known if _is_distribution(archive, known)]
    security = [archive for archive in main if archive.is_security]
    usual = [archive for archive in main if not archive.is_security]
    found: Archive | None = next(iter((*(security if wants_security else ()), *usual)), None)
    if found is not None:
        return found
    raise TargetError(
        f"cannot fetch packages of {suite}",
        "apt on this machine uses no archive of Debian or Ubuntu",
        "name one: --mirror URI, and --keyring FILE with the keys that sign it",
    )


def _is_distribution(archive: Archive, known: Sequence[Archive]) -> bool:
    """Whether it is a distribution's; where apt fetched no list, one that has updates, too."""
    if archive.origin:
        return archive.origin in _DISTRIBUTIONS
    base = archive.suite.partition("-")[0]
    return any(other.suite in (f"{base}-updates", f"{base}-security") for other in known)
