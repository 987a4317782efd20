"""What compiles no more: names that commits use, upstream defines, and a branch does not have.

A name counts as lacking only where it occurs nowhere in the branch's code, no commit of the series
seems to define it, and upstream plainly defines it just before the commit that uses it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uplift.backport.code_names import Name, NameKind, defines, is_code, may_define, used, words
from uplift.backport.model import MissingSymbol
from uplift.backport.patches import file_lines
from uplift.lab.git import RepositoryError, Workspace

_CODE = ("*.c", "*.h", "*.cc", "*.cpp", "*.hh", "*.hpp", "*.S", "*.in", "*.inc", "*.l", "*.y")
_MOST = 300  #: names that are looked for
_MOST_FILES = 60  #: files that are searched for the definition of one name
_MAX_FILE = 4 << 20  #: bytes
_MAX_OUTPUT = 32 << 20
_MOVES = 3  #: how often a definition is followed to where it was moved from
_UP = re.compile(r"^(?:\.{1,2}/)+")


@dataclass(frozen=True)
class _Use:
    name: Name
    sha: str
    path: str


def lacking(
    workspace: Workspace, target: str, shas: Sequence[str], upstream: Callable[[str], str]
) -> tuple[MissingSymbol, ...]:
    """Find names that the commits use and that ``target`` lacks, with what brought each upstream.

    Of each name only the first commit that uses it is told.

    :param shas: in the order in which they come onto ``target``.
    :param upstream: of one of ``shas``, a name of the commit that defines what it uses.
    """
    lines = _code_lines(workspace, shas)
    seeker = _Seeker(workspace, target)
    uses = seeker.not_in_target(_not_defined_by(lines, list(_uses(lines))))
    found: list[MissingSymbol] = []
    for sha in shas:
        mine = [use for use in uses if use.sha == sha]
        if mine:
            found += seeker.brought(mine, upstream(sha))
    return tuple(found)


_Lines = Mapping[str, Mapping[str, Sequence[str]]]  # by sha and path


def _code_lines(workspace: Workspace, shas: Sequence[str]) -> _Lines:
    return {
        sha: {path: lines for path, lines in files.items() if is_code(path)}
        for sha, files in file_lines(workspace, shas)
    }


def _uses(lines: _Lines) -> Iterator[_Use]:
    """Yield each name once, where it is first used."""
    seen: set[str] = set()
    for sha, files in lines.items():
        removed = [line[1:] for file in files.values() for line in file if line[0] == "-"]
        for path, file in files.items():
            for name in used((line[1:] for line in file if line[0] == "+"), removed):
                if name.text not in seen:
                    seen.add(name.text)
                    yield _Use(name, sha, path)


def _not_defined_by(lines: _Lines, uses: Sequence[_Use]) -> list[_Use]:
    """Leave out what the commit itself, or one before it, may define."""
    wanted = frozenset(use.name.text for use in uses)
    holding: dict[str, list[str]] = defaultdict(list)
    made: set[str] = set()
    left: list[_Use] = []
    for sha, files in lines.items():
        made.update(files)
        for line in (line[1:] for file in files.values() for line in file if line[0] == "+"):
            for word in words(line) & wanted:
                holding[word].append(line)
        left += [use for use in uses if use.sha == sha and not _defined_by(use, holding, made)]
    return left


def _defined_by(use: _Use, holding: Mapping[str, Sequence[str]], made: Collection[str]) -> bool:
    if use.name.kind is NameKind.HEADER:
        return bool(_ending(use.name.text, made))
    return any(may_define(use.name, line) for line in holding.get(use.name.text, ()))


def _ending(header: str, paths: Iterable[str]) -> list[str]:
    """Return the paths that an ``#include`` could mean."""
    name = _UP.sub("", header)
    return [path for path in paths if path == name or path.endswith(f"/{name}")]


class _Seeker:
    """Looks for names in the code of commits."""

    def __init__(self, workspace: Workspace, target: str) -> None:
        self._workspace = workspace
        self._target = target
        self._texts: dict[tuple[str, str], str] = {}
        self._listed: dict[str, tuple[str, ...]] = {}

    def not_in_target(self, uses: Sequence[_Use]) -> list[_Use]:
        """Leave out names that the target has: in the files that use them, then in any."""
        headers = [use for use in uses if use.name.kind is NameKind.HEADER]
        left = [use for use in uses if use not in headers and not self._in_its_file(use)][:_MOST]
        there = self._places(self._target, [use.name.text for use in left])
        names = [use for use in left if there is not None and use.name.text not in there]
        paths = self._paths(self._target) if headers else ()
        return [*names, *(use for use in headers if not _ending(use.name.text, paths))]

    def _in_its_file(self, use: _Use) -> bool:
        return use.name.text in self._words(self._target, use.path)

    def _words(self, commit: str, path: str) -> frozenset[str]:
        return words(self._text(commit, path))

    def _text(self, commit: str, path: str) -> str:
        key = commit, path
        if key not in self._texts:
            try:
                raw = self._workspace.objects.read(f"{commit}:{path}", _MAX_FILE)[1]
            except RepositoryError:
                raw = b""
            self._texts[key] = raw.decode("utf-8", "replace")
        return self._texts[key]

    def _paths(self, commit: str) -> tuple[str, ...]:
        if commit not in self._listed:
            told = self._workspace.attempt("ls-tree", "-r", "-z", "--name-only", commit)
            names = told.stdout.decode("utf-8", "surrogateescape").split("\0")
            self._listed[commit] = tuple(names[:-1])
        return self._listed[commit]

    def _places(self, commit: str, names: Collection[str]) -> dict[str, list[str]] | None:
        """Return in which files of a commit each name occurs; None where that cannot be told."""
        if not names:
            return {}
        asked = [word for name in names for word in ("-e", name)]
        options = ("-F", "-w", "-o", "-z", "-I", "--no-color", *asked)
        told = self._workspace.attempt(
            "grep", *options, commit, "--", *_CODE, max_stdout=_MAX_OUTPUT
        )
        if told.truncated or told.returncode > 1:
            return None
        found: dict[str, list[str]] = defaultdict(list)
        for line in dict.fromkeys(told.stdout.decode("utf-8", "surrogateescape").split("\n")):
            place, _, name = line.partition("\0")
            if name:
                found[name].append(place.partition(":")[2])
        return found

    def brought(self, uses: Sequence[_Use], upstream: str) -> Iterator[MissingSymbol]:
        """Yield those of ``uses`` that upstream defines, with the commit that brought them."""
        for use, path in self._defined(uses, upstream):
            origin = self._origin(use, path, upstream)
            name = use.name
            yield MissingSymbol(name.text, name.kind.value, use.sha, use.path, path, origin)

    def _defined(self, uses: Sequence[_Use], upstream: str) -> Iterator[tuple[_Use, str]]:
        names = [use.name.text for use in uses if use.name.kind is not NameKind.HEADER]
        places = self._places(upstream, names) or {}
        for use in uses:
            path = self._definition(use, upstream, places.get(use.name.text, ()))
            if path:
                yield use, path

    def _definition(self, use: _Use, commit: str, places: Sequence[str]) -> str:
        """Return the file that defines a name for the file that uses it; empty without one."""
        if use.name.kind is NameKind.HEADER:
            found = _ending(use.name.text, self._paths(commit))
            return found[0] if len(found) == 1 else ""
        # what another C file keeps to itself is of no use
        near = sorted(places, key=lambda path: (path != use.path, not path.endswith(".h")))
        for path in near[:_MOST_FILES]:
            lines = self._text(commit, path).split("\n")
            for number, line in enumerate(lines):
                if use.name.text not in line or not defines(use.name, lines, number):
                    continue
                if path == use.path or not _is_private(lines, number, path):
                    return path
        return ""

    def _origin(self, use: _Use, path: str, upstream: str) -> str:
        """Return the commit since the target that brought a name; empty where none surely did."""
        for _ in range(_MOVES):
            sha = self._first(use.name, path, upstream)
            if not sha:
                return ""
            before = self._before(use, sha)
            if not before:
                return sha if before is not None else ""
            path, upstream = before, f"{sha}^"
        return ""

    def _first(self, name: Name, path: str, upstream: str) -> str:
        how = ("--diff-filter=AR",) if name.kind is NameKind.HEADER else _pickaxe(name)
        options = ("--reverse", "--no-merges", "--format=%H", *how)
        span = f"{self._target}..{upstream}"
        told = self._workspace.attempt("--literal-pathspecs", "log", *options, span, "--", path)
        return told.stdout.decode("ascii", "replace").partition("\n")[0] if told.ok else ""

    def _before(self, use: _Use, sha: str) -> str | None:
        """Return the file from which a commit moved a definition; None: it was there, somehow."""
        commit = f"{sha}^"
        if use.name.kind is NameKind.HEADER:
            return None if _ending(use.name.text, self._paths(commit)) else ""
        places = self._places(commit, [use.name.text])
        if not places:
            return None if places is None else ""
        return self._definition(use, commit, places[use.name.text]) or None


def _pickaxe(name: Name) -> tuple[str, ...]:
    return ("--pickaxe-regex", f"-S\\b{name.text}\\b")


def _is_private(lines: Sequence[str], number: int, path: str) -> bool:
    """Whether a definition in a C file is static or a macro."""
    if path.endswith((".h", ".hh", ".hpp")):
        return False
    head = " ".join(lines[max(0, number - 1) : number + 1])
    return bool(re.search(r"\bstatic\b|#\s*define", head)) or not lines[number][:1].strip()


def only_certain(found: Iterable[MissingSymbol]) -> tuple[MissingSymbol, ...]:
    """Return those of which it is known what brought them."""
    return tuple(symbol for symbol in found if symbol.brought_by)
