"""apt in directories of our own: nothing is installed, no root is needed.

What apt is asked for one architecture or one suite does not touch this machine's own lists. Where
packages come from is the machine's own apt configuration, or sources that the caller names; apt
checks the signatures and digests of what it fetches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab import process

UNPACK_SECONDS = 120
_FETCH_SECONDS = 300
_DOWNLOAD_SECONDS = 3600
_INSTALL_LINE = re.compile(r"Inst (\S+) (?:\[\S+\] )?\((\S+) ")
_NO_RECOMMENDS = ("install", "--simulate", "--no-install-recommends", "--")


@dataclass(frozen=True)
class Sources:
    """Where packages come from, instead of the machine's own configuration.

    :param entries: deb822 text, as in ``/etc/apt/sources.list.d/*.sources``.
    :param suites: whose packages all count alike, so that a backport wins by its version.
    """

    entries: str
    suites: tuple[str, ...]


class Apt:
    """apt with lists and a cache of its own, for one architecture.

    :param debian: Debian's name of the architecture.
    :param root: a directory for its lists; made where it is not there.
    :param sources: None: the machine's own.
    """

    def __init__(self, debian: str, root: Path, sources: Sources | None = None) -> None:
        self._root = root
        self._sources = sources
        self._updated = False
        settings = {
            "APT::Architecture": debian,
            "APT::Architectures": debian,
            "APT::Sandbox::User": "",
            "APT::Get::List-Cleanup": "false",
            "Acquire::Languages": "none",
            "Dir::State": str(root),
            "Dir::State::lists": str(root / "lists"),
            "Dir::State::status": str(root / "status"),
            "Dir::Cache": str(root / "cache"),
            **(self._source_settings() if sources else {}),
        }
        self._options = [word for k, v in settings.items() for word in ("-o", f"{k}={v}")]

    def _source_settings(self) -> dict[str, str]:
        return {
            "Dir::Etc::sourcelist": str(self._root / "release.sources"),
            "Dir::Etc::sourceparts": str(self._root / "none"),
            "Dir::Etc::preferences": str(self._root / "preferences"),
            "Dir::Etc::preferencesparts": str(self._root / "none"),
            "APT::Default-Release": "",
        }

    def dependencies(self, package: str) -> tuple[str, ...]:
        """Return ``package`` and what it depends on, all the way down; empty if unknown."""
        words = ["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]
        more = ["--no-breaks", "--no-replaces", "--no-enhances", "--", package]
        result = self._run("apt-cache", [*words, *more])
        return tuple(line for line in result.splitlines() if line[:1].strip(" |<"))

    def names(self) -> frozenset[str]:
        """Return the name of every package that there is."""
        return frozenset(self._run("apt-cache", ["pkgnames"]).split())

    def candidate(self, package: str) -> str:
        """Return the version that installing ``package`` would choose; empty where none is."""
        found = re.search(
            r"^  Candidate: (\S+)$", self._run("apt-cache", ["policy", package]), re.M
        )
        return found[1] if found and found[1] != "(none)" else ""

    def to_install(self, packages: Sequence[str]) -> list[tuple[str, str]]:
        """Return (name, version) of everything that installing ``packages`` would bring."""
        return _INSTALL_LINE.findall(self._run("apt-get", [*_NO_RECOMMENDS, *packages]))

    def download(self, packages: Sequence[str], to: Path) -> list[Path]:
        """Fetch packages into ``to``; apt checks their digests."""
        self._run("apt-get", ["download", "--", *packages], to, _DOWNLOAD_SECONDS)
        return sorted(to.glob("*.deb"))

    def simulate(self, words: Sequence[str]) -> list[tuple[str, str]]:
        """Return (name, version) of everything that an ``apt-get`` command would install."""
        return _INSTALL_LINE.findall(self._run("apt-get", ["--simulate", *words]))

    def stanzas(self, command: str, names: Sequence[str]) -> str:
        """Return what ``apt-cache show`` or ``showsrc`` tells of packages."""
        return self._run("apt-cache", [command, *names])

    def index_targets(self) -> str:
        """Return what ``apt-get indextargets`` tells of package lists; they are up to date."""
        return self._run("apt-get", ["indextargets", "Created-By: Packages"])

    def download_source(self, package: str, to: Path) -> Path:
        """Fetch a source package into ``to``; apt checks digests. Return its description."""
        words = ["source", "--download-only", "--only-source", "--", package]
        self._run("apt-get", words, to, _DOWNLOAD_SECONDS)
        return next(iter(sorted(to.glob("*.dsc"))))

    def take_as_installed(self, status: bytes) -> None:
        """Let apt choose as if a root's packages were installed.

        :param status: dpkg's status file there.
        """
        self._update()
        (self._root / "status").write_bytes(status)

    def _run(
        self, program: str, words: Iterable[str], cwd: Path | None = None, seconds: float = 0
    ) -> str:
        self._update()
        return self._apt(program, words, cwd, seconds or _FETCH_SECONDS)

    def _update(self) -> None:
        if self._updated:
            return
        for part in ("lists/partial", "cache/archives/partial", "none"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        if self._sources:
            (self._root / "release.sources").write_text(self._sources.entries)
            (self._root / "preferences").write_text(_preferences(self._sources.suites))
        try:
            self._apt("apt-get", ["update"])
        except TargetError as error:
            if self._sources:
                raise _no_suite(self._sources, error) from error
            # one source out of several may be down or lack this architecture
            if not any((self._root / "lists").glob("*Release")):
                raise
        self._updated = True

    def _apt(
        self,
        program: str,
        words: Iterable[str],
        cwd: Path | None = None,
        seconds: float = _FETCH_SECONDS,
    ) -> str:
        env = {**os.environ, "LC_ALL": "C"}
        return checked([program, *self._options, *words], seconds, cwd, env)


def _preferences(suites: Sequence[str]) -> str:
    """Give every suite the same rank: backports are otherwise below all others."""
    rows = (f"Package: *\nPin: release n={suite}\nPin-Priority: 500\n" for suite in suites)
    return "\n".join(rows)


def _no_suite(sources: Sources, error: TargetError) -> TargetError:
    return TargetError(
        f"cannot read the package lists of {', '.join(sources.suites)}",
        error.cause,
        "check the suites' names and that each has this architecture; for another archive: "
        "--mirror URI and --keyring FILE",
    )


def unpack(package: Path, to: Path) -> None:
    """Unpack a package's files below ``to``; nothing of it runs."""
    to.mkdir(exist_ok=True)
    checked(["dpkg-deb", "-x", str(package), str(to)], UNPACK_SECONDS)


def _complaint(result: process.Result) -> str:
    """Return the first error that apt tells: its last one only says that there were some."""
    errors = re.findall(r"^E: .*", result.stderr.decode("utf-8", "replace"), re.M)
    return process.printable(errors[0]) if errors else result.complaint


def checked(
    argv: Sequence[str],
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a packaging program and return its output.

    :raises TargetError: it failed; with what it complained of.
    """
    try:
        result = process.run(argv, timeout=seconds, cwd=cwd, env=env)
    except OSError as error:
        raise TargetError(
            f"cannot run {argv[0]}", str(error), "this needs a machine that has apt and dpkg"
        ) from error
    if not result.ok:
        why = "it took too long" if result.timed_out else _complaint(result)
        raise TargetError(
            f"cannot fetch packages with {Path(argv[0]).name}",
            why or f"it exited {result.returncode}",
            "check that `apt-get update` works on this machine",
        )
    return result.stdout.decode("utf-8", "replace")
