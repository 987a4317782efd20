"""Upstream sources as files on this machine: unpacked trees, tarballs, and git repositories.

Only the files that a project's module names are read, each with a cap. A tarball is read as a
stream and never unpacked; git is asked for trees and blobs, runs none of the repository's own
programs, and fetches nothing.
"""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO

from uplift.catalog.derive.upstream import UNTOLD, Files, Key, Project, SourceTree, patterns
from uplift.errors import UpliftError
from uplift.lab import process

MAX_FILE = 8 << 20  #: bytes of one file; the largest that any project names has under 1 MiB
MAX_TREE = 96 << 20  #: bytes of all files that are read of one version
MAX_MEMBERS = 500_000
MAX_UNPACKED = 12 << 30  #: bytes that a tarball may unpack to
_NESTED = re.compile(r"[^/]+/[^/]+\.tar\.(?:xz|gz|bz2)")
_GIT_SECONDS = 300.0
#: A stranger's repository may not run programs, ask for passwords, or fetch what it lacks.
_GIT_ENV = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
_GIT_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_HISTORY = 20  #: commits between two releases of a project, and no copy's imports
_KEPT_BLOBS = 4096  #: texts that are kept of one repository
_HEX = 12  #: digits of a commit that the catalog keeps


def read_trees(argument: str, projects: Sequence[Project]) -> Iterator[SourceTree]:
    """Yield every version that one argument holds, with the files that its project's module reads.

    :param argument: an unpacked tree, a tarball, or a git repository; of a repository all
        releases, or ``REPOSITORY@REVISION`` for one revision. ``=VERSION`` after the revision
        counts it as that version: the commit at which a release's branch begins.
    :raises UpliftError: it cannot be read, or is none of ``projects``.
    """
    path, _, told = (argument, "", "") if Path(argument).exists() else argument.rpartition("@")
    place = Path(path or argument)
    revision, _, version = told.partition("=")
    if place.is_dir() and revision:
        tree = _repository(place).revision(revision, projects)
        yield _told(argument, replace(tree, version=version or tree.version))
    elif place.is_dir() and _is_repository(place):
        yield from _repository(place).releases(projects)
    elif place.is_dir():
        files = _from_directory(place, _wanted(projects))
        yield _told(argument, recognise(argument, files, projects))
    elif place.is_file():
        files = _from_tarball(place, _wanted(projects))
        yield _told(argument, recognise(argument, files, projects))
    else:
        raise _unreadable(argument, "there is no such file or directory")


def recognise(argument: str, files: Files, projects: Sequence[Project]) -> SourceTree:
    """Return the tree as the version of the project that it is.

    :raises UpliftError: it is none of ``projects``.
    """
    for project in projects:
        version = project.version(files)
        if version:
            wanted = project.wanted
            own = {path: text for path, text in files.items() if wanted.fullmatch(path)}
            return SourceTree(project, version, own)
    known = ", ".join(project.name for project in projects)
    raise _unreadable(argument, f"it is not the source of one of {known}")


def _told(argument: str, tree: SourceTree) -> SourceTree:
    """Return the tree; refuse one of which nobody says the version."""
    if tree.version == UNTOLD:
        raise _unreadable(
            argument, f"the files of {tree.project.name} tell no version, its tags do"
        )
    return tree


def _wanted(projects: Sequence[Project]) -> re.Pattern[str]:
    return patterns(tuple(glob for p in projects for glob in (*p.marks, *p.paths, *p.many)))


def _unreadable(argument: str, cause: str) -> UpliftError:
    return UpliftError(
        f"cannot derive from {process.printable(argument)}",
        cause,
        "name an unpacked source tree, a source tarball, or a git repository",
    )


class _Gathered(dict[str, str]):
    """Files of one version, up to the cap."""

    def __init__(self, argument: str) -> None:
        super().__init__()
        self._argument = argument
        self._left = MAX_TREE

    def add(self, path: str, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise _unreadable(self._argument, f"what is to be read has over {MAX_TREE >> 20} MiB")
        self[path] = data.decode("utf-8", "replace")


def _from_directory(root: Path, wanted: re.Pattern[str]) -> Files:
    found = _Gathered(str(root))
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != ".git")
        for name in sorted(files):
            file = Path(directory, name)
            path = file.relative_to(root).as_posix()
            if wanted.fullmatch(path) and file.is_file() and not file.is_symlink():
                found.add(path, _capped(str(file), file.open("rb")))
    return found


def _capped(name: str, stream: IO[bytes]) -> bytes:
    with stream:
        data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise _unreadable(name, f"it has over {MAX_FILE >> 20} MiB")
    return data


def _from_tarball(file: Path, wanted: re.Pattern[str]) -> Files:
    found = _Gathered(str(file))
    try:
        with tarfile.open(file, "r|*") as tar:
            _gather(tar, wanted, found, nested=True)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise _unreadable(str(file), f"it is no tarball, or a broken one: {error}") from None
    return found


def _gather(
    tar: tarfile.TarFile, wanted: re.Pattern[str], found: _Gathered, nested: bool = False
) -> None:
    """Read the wanted members; of a tarball of tarballs (GCC's) the inner ones', too."""
    unpacked = 0
    for number, member in enumerate(tar):
        unpacked += member.size
        if number > MAX_MEMBERS or unpacked > MAX_UNPACKED:
            raise tarfile.ReadError("it has too many members or unpacks to too much")
        if not member.isfile():
            continue
        stream = None
        if nested and _NESTED.fullmatch(member.name):
            stream = tar.extractfile(member)
            if stream is not None:
                with tarfile.open(fileobj=stream, mode="r|*") as inner:
                    _gather(inner, wanted, found)
            continue
        path = member.name.removeprefix("./").partition("/")[2]
        if wanted.fullmatch(path):
            stream = tar.extractfile(member)
            if stream is not None:
                found.add(path, _capped(member.name, stream))


def _is_repository(place: Path) -> bool:
    return (place / ".git").exists() or all(
        (place / part).exists() for part in ("HEAD", "objects", "refs")
    )


@dataclass(frozen=True)
class _Release:
    """A revision to read, and the version that its tag names, where it has one."""

    commit: str
    version: str = ""
    tagged: bool = False


@lru_cache(maxsize=64)
def _repository(place: Path) -> _Repository:
    """Return one object for each repository, so that its revisions have one history."""
    return _Repository(place)


class _Repository:
    """A git repository, asked by its plumbing."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._texts: dict[str, str] = {}  # by blob: a history has most of them many times

    def revision(self, revision: str, projects: Sequence[Project]) -> SourceTree:
        """Read one revision."""
        commit = self.git("rev-parse", "--verify", "--end-of-options", revision + "^{commit}")
        return self.tree(commit.strip(), projects)

    def releases(self, projects: Sequence[Project]) -> Iterator[SourceTree]:
        """Yield every release, or the newest commit where there is none."""
        newest = self.tree("HEAD", projects)
        releases = self._releases(newest.project)
        for release in releases:
            files = self.files(release.commit, newest.project.wanted)
            if newest.project.version(files):  # else older than the files that are read
                yield self._release(release, newest.project, files)
        if not releases:
            yield _told(str(self.place), newest)

    def introduced(
        self, project: Project, old: str, new: str, keys: frozenset[Key]
    ) -> Mapping[Key, str]:
        """Return the first commit after ``old``, up to ``new``, that has each name.

        None where so few lie between that they import whole releases: those brought nothing.
        Only commits that touch the project's files are read, oldest first; of a merge, both sides.
        """
        if int(self.git("rev-list", "--count", f"{old}..{new}")) < _HISTORY:
            return {}
        wanted = patterns((*project.marks, *project.paths))
        paths = list(self.files(new, patterns(project.paths)))
        commits = self.git("rev-list", "--reverse", "--topo-order", f"{old}..{new}", "--", *paths)
        found: dict[Key, str] = {}
        left = set(keys)
        for commit in commits.split():
            if not left:
                break
            names = {known.key for known in project.names(self.files(commit, wanted))}
            found.update(dict.fromkeys(left & names, commit[:_HEX]))
            left -= names
        return found

    def tree(self, commit: str, projects: Sequence[Project]) -> SourceTree:
        """Read one commit."""
        files = self.files(commit, _wanted(projects))
        tree = recognise(f"{self.place}@{commit}", files, projects)
        full = self.git("rev-parse", "--verify", commit).strip()
        return replace(tree, origin=self._origin(full), commit=full, history=self)

    def _release(self, release: _Release, project: Project, files: Files) -> SourceTree:
        version = release.version or project.version(files)
        origin = "" if release.tagged else self._origin(release.commit)
        return SourceTree(project, version, files, origin, release.commit, self)

    def _origin(self, commit: str) -> str:
        return f"{self._name()} {commit[:_HEX]}"

    def _name(self) -> str:
        """Return owner/name: of the remote, without its host, or else the directory's name."""
        told = self.git("config", "--default", "", "--get", "remote.origin.url").strip()
        parts = re.split(r"[/:]", told.removesuffix(".git")) if told else []
        if len(parts) >= 2 and not told.startswith(("/", ".")):
            return "/".join(parts[-2:])
        place = self.place.resolve()
        own = place.name if place.name not in (".git", "repo") else place.parent.name
        return own.removesuffix(".git").replace("+", "/", 1)

    def _releases(self, project: Project) -> list[_Release]:
        """Return the releases: the tags, or else the commits that set a release's version."""
        tags = self.git("for-each-ref", "--format=%(refname:short)", "refs/tags").split()
        tagged = {project.version_of_tag(tag): tag for tag in tags}
        tagged.pop("", None)
        if tagged:
            return [_Release(tag, version, True) for version, tag in tagged.items()]
        if not project.version_files:
            return []
        changed = self.git("log", "--format=%H", "HEAD", "--", *project.version_files).split()
        found: dict[str, _Release] = {}
        marks = patterns(project.marks)
        for commit in changed:
            version = project.version(self.files(commit, marks))
            if version and project.is_release(version) and version not in found:
                found[version] = _Release(commit, version)
        return list(found.values())

    def files(self, commit: str, wanted: re.Pattern[str]) -> Files:
        """Return the texts of a commit's wanted files."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", commit)
        blobs: dict[str, str] = {}
        for line in listed.split("\0"):
            kind, _, path = line.partition("\t")
            if path and wanted.fullmatch(path) and " blob " in kind and not kind.startswith("12"):
                blobs[path] = kind.split()[2]
        missing = {path: blob for path, blob in blobs.items() if blob not in self._texts}
        if len(self._texts) + len(missing) > _KEPT_BLOBS:
            self._texts.clear()
            missing = blobs
        for path, text in self._blobs(missing).items():
            self._texts[blobs[path]] = text
        return {path: self._texts[blob] for path, blob in blobs.items()}

    def _blobs(self, blobs: Mapping[str, str]) -> Files:
        """Read blobs by one process; its answer: ``ID blob SIZE``, the bytes, a newline."""
        found = _Gathered(str(self.place))
        if not blobs:
            return found
        asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
        answer = self._run(["cat-file", "--batch"], asked)
        at = 0
        for path, blob in blobs.items():
            end = answer.index(b"\n", at)
            told, kind, *size = answer[at:end].split(b" ")
            if told.decode() != blob or kind != b"blob":
                raise _unreadable(str(self.place), f"git has not got {path}")
            at = end + 1 + int(size[0]) + 1
            found.add(path, answer[end + 1 : at - 1])
        return found

    def git(self, *words: str) -> str:
        """Return what git writes.

        :raises UpliftError: git fails, or is not installed.
        """
        return self._run(words, b"").decode("utf-8", "replace")

    def _run(self, words: Iterable[str], stdin: bytes) -> bytes:
        argv = ["git", *_GIT_SETTINGS, "-c", f"safe.directory={self.place.resolve()}"]
        argv += ["-C", str(self.place), *words]
        env = {"PATH": os.environ.get("PATH", os.defpath), **_GIT_ENV}
        try:
            result = process.run(
                argv, stdin=stdin, timeout=_GIT_SECONDS, max_stdout=2 * MAX_TREE, env=env
            )
        except OSError as error:
            raise _unreadable(str(self.place), f"git cannot be started: {error}") from None
        if not result.ok:
            raise _unreadable(str(self.place), f"git: {result.complaint or result.returncode}")
        return result.stdout
