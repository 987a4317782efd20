"""Source packages, and what building them needs, from the machine's own apt configuration.

apt works in directories of its own, with source entries derived from the machine's binary ones;
it checks signatures and digests. Nothing of a source package is unpacked or run here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab import apt, release_sources

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~-]*")
_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_MAX_STANZAS = 4096

Fields = Mapping[str, str]


@dataclass(frozen=True)
class SourcePackage:
    """One version of a source package.

    :param binaries: the packages made of it that are built for one architecture at a time.
    :param fields: of its stanza in the archive's list.
    """

    name: str
    version: str
    binaries: tuple[str, ...]
    fields: Fields


def stanzas(text: str) -> Iterator[Fields]:
    """Yield the fields of each stanza of deb822 text, names in lower case."""
    for number, block in enumerate(re.split(r"\n(?:[ \t]*\n)+", text)):
        if number >= _MAX_STANZAS:
            return
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(block)}
        if fields:
            yield fields


def archive(
    debian: str,
    cache: Path,
    suites: Sequence[str] = (),
    mirror: str = "",
    keyring: Path | None = None,
    repository: str = "",
) -> tuple[apt.Apt, tuple[str, ...]]:
    """Return apt for an archive with its source packages, and the suites that it reads.

    :param debian: Debian's name of the architecture.
    :param suites: empty: those of the distribution that the machine uses.
    :param repository: a further source entry, in deb822 style, with the suite ``uplift``.
    :raises TargetError: the machine uses no distribution's archive and none is named.
    """
    known = release_sources.machine_archives()
    wanted = tuple(suites) or release_sources.machine_suites(known)
    if not wanted:
        raise TargetError(
            "cannot find source packages",
            "apt on this machine uses no archive of Debian or Ubuntu",
            "name one: --suite SUITE --mirror URI --keyring FILE",
        )
    keyrings = release_sources.KEYRINGS if keyring is None else (keyring,)
    entries = release_sources.sources(wanted, debian, known, mirror, keyrings, "deb deb-src")
    place = cache / "apt" / f"{debian}-{'+'.join(wanted)}"
    if repository:
        entries = apt.Sources(f"{entries.entries}\n{repository}", (*wanted, "uplift"))
        fetched, place = place, place.with_name(f"{place.name}+repository")
        if (fetched / "lists").is_dir() and not place.exists():
            shutil.copytree(fetched / "lists", place / "lists")  # apt asks what is newer
    return apt.Apt(debian, place, entries), wanted


def find(store: apt.Apt, name: str, debian: str) -> SourcePackage:
    """Return the newest version of a source package, named by itself or by a binary package.

    :raises TargetError: there is none, or it has nothing to build for ``debian``.
    """
    wanted, _, version = name.partition("=")
    if not _NAME.fullmatch(wanted) or (version and not _VERSION.fullmatch(version)):
        raise TargetError(
            f"cannot look for the source package {name[:80]!r}",
            "that is no name of a package",
            "name it as the archive does: zstd, or zstd=1.5.4+dfsg2-5",
        )
    found = [f for f in stanzas(store.stanzas("showsrc", [wanted])) if f.get("package")]
    exact = [f for f in found if f["package"] == wanted] or found
    fitting = [f for f in exact if not version or f.get("version") == version]
    chosen = max(fitting, key=lambda f: order(f.get("version", "")), default=None)
    if chosen is None:
        raise TargetError(
            f"there is no source package {name[:80]}",
            "no suite that was read has it",
            "check its name, or name another suite: --suite",
        )
    binaries = built_for(chosen, debian)
    if not binaries:
        raise TargetError(
            f"{chosen['package']} has nothing to rebuild",
            f"none of its packages is built for {debian} alone",
            "choose a package with machine code",
        )
    return SourcePackage(chosen["package"], chosen.get("version", ""), binaries, chosen)


def order(version: str) -> tuple[object, ...]:
    """Return what versions are sorted by: deb-version(7)."""
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    parts = (upstream, revision) if dash else (rest, "")
    return (int(epoch) if colon and epoch.isdigit() else 0, *map(_order_of_part, parts))


def _order_of_part(part: str) -> tuple[object, ...]:
    found: list[object] = []
    for text, number in re.findall(r"(\D*)(\d*)", part):
        found += [(*map(_order_of_letter, text), 0), int(number or 0)]
    return tuple(found)


def _order_of_letter(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256


def built_for(fields: Fields, debian: str) -> tuple[str, ...]:
    """Return a source package's binary packages that are made for one architecture at a time."""
    found, wanted = [], {"any", "linux-any", debian, f"any-{debian}"}
    for line in fields.get("package-list", "").splitlines():
        words = line.split()
        arch = next((w.partition("=")[2] for w in words[4:] if w.startswith("arch=")), "")
        fits = not wanted.isdisjoint(arch.split(","))
        only_in_profile = "profile=" in line.replace("profile=!", "")
        if fits and words[1] == "deb" and not only_in_profile:
            found.append(words[0])
    return tuple(found)


def published(store: apt.Apt, source: SourcePackage) -> dict[str, str]:
    """Return name and version of its binary packages as the archive has them now."""
    found: dict[str, str] = {}
    for name in source.binaries:
        version = store.candidate(name)
        if version:
            found[name] = version
    return found


def build_dependencies(
    store: apt.Apt, description: Path, status: bytes, tests: bool
) -> list[tuple[str, str]]:
    """Return (name, version) of what a root lacks to build a source package.

    :param description: its ``.dsc``.
    :param status: dpkg's status file in the root.
    :param tests: whether the package's tests shall run.
    :raises TargetError: something it needs is not in the archive.
    """
    store.take_as_installed(status)
    words = ["build-dep", "--arch-only", "--no-install-recommends"]
    if not tests:
        words += ["--build-profiles", "nocheck"]
    try:
        return store.simulate([*words, str(description.resolve())])
    except TargetError as error:
        raise TargetError(
            f"cannot satisfy the build dependencies of {description.stem.partition('_')[0]}",
            error.cause,
            "name the suites that have them: --suite, repeatedly",
        ) from None


def fetch(store: apt.Apt, packages: Sequence[tuple[str, str]], to: Path) -> list[Path]:
    """Fetch packages into an empty directory; apt checks their digests."""
    to.mkdir(parents=True)
    if not packages:
        return []
    return store.download([f"{name}={version}" for name, version in packages], to)
