"""What is read of an upstream project: its files, the version they are, the names in them.

A project's module says all three as one :class:`Project`. It sees texts, never a disk: the same
reading serves an unpacked tree, a tarball and a commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

Key = tuple[str, str, str]  #: kind, architecture, name
UNTOLD = "untold"  #: the version of sources whose files tell none: only a tag does
Files = Mapping[str, str]  #: path in the tree, with slashes, to its text


@dataclass(frozen=True, order=True)
class Known:
    """A name that one version of a project has.

    :param kind: as in the tables: ``x86-flag``, ``option``, ``property``, …
    :param arch: ``x86``, ``arm64``, ``riscv64``; empty for any.
    :param source: the path where it stands.
    """

    kind: str
    arch: str
    name: str
    source: str

    @property
    def key(self) -> Key:
        """What it is, wherever it stands."""
        return self.kind, self.arch, self.name


@dataclass(frozen=True)
class Project:
    """How one upstream project is read.

    :param marks: files that tell the project and its version.
    :param version_files: those of them that change with every release.
    :param version: the version that the files tell; empty where they are not this project's.
    :param paths: patterns of the files that have names; a mark that has some is among them.
    :param names: every name in them.
    :param many: patterns of files that are too many to be read at every commit of a history.
    :param tag: a release's tag; its groups are the version's numbers.
    :param release: the version of a release, as the marks tell it.
    """

    name: str
    marks: tuple[str, ...]
    version_files: tuple[str, ...]
    version: Callable[[Files], str]
    paths: tuple[str, ...]
    names: Callable[[Files], Iterator[Known]]
    tag: re.Pattern[str]
    many: tuple[str, ...] = ()
    release: re.Pattern[str] = re.compile(r"\d+(?:\.\d+)*")

    def version_of_tag(self, tag: str) -> str:
        """Return the version that a tag names; empty where it names no release."""
        found = self.tag.fullmatch(tag)
        return ".".join(part for part in found.groups() if part) if found else ""

    def is_release(self, version: str) -> bool:
        """Whether a version that the marks tell is a release, no candidate or snapshot."""
        return self.release.fullmatch(version) is not None

    @property
    def wanted(self) -> re.Pattern[str]:
        """What the path of a file that is read matches."""
        return patterns((*self.marks, *self.paths, *self.many))


def patterns(globs: tuple[str, ...]) -> re.Pattern[str]:
    """Compile patterns of paths into one: ``*`` crosses no slash, ``**/`` any number of them."""
    return re.compile("|".join(_TOKEN.sub(_expression, glob) for glob in globs))


_TOKEN = re.compile(r"\*\*/|\*|\[\w+\]|[^*\[]+")


def _expression(token: re.Match[str]) -> str:
    text = token[0]
    if text.startswith("["):
        return text
    return {"**/": "(?:.*/)?", "*": "[^/]*"}.get(text) or re.escape(text)


class History(Protocol):
    """A repository that knows which commit brought what."""

    def introduced(
        self, project: Project, old: str, new: str, keys: frozenset[Key]
    ) -> Mapping[Key, str]:
        """Return the first commit after ``old``, up to ``new``, that has each name."""
        ...


@dataclass(frozen=True)
class SourceTree:
    """One version of one project, as far as it is read.

    :param origin: where a copy that is no release comes from: repository and commit.
    :param commit: in ``history``, where the tree was read from one.
    """

    project: Project
    version: str
    files: Files
    origin: str = ""
    commit: str = ""
    history: History | None = None

    def names(self) -> frozenset[Known]:
        """Return every name that this version has."""
        return frozenset(self.project.names(self.files))


def text_of(files: Files, *paths: str) -> tuple[str, str]:
    """Return path and text of the first of ``paths`` that is there; empty where none is."""
    path = next((path for path in paths if path in files), "")
    return path, files[path] if path else ""


_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def without_comments(text: str) -> str:
    """Return C or C++ text without its comments."""
    return _COMMENT.sub("", text)
