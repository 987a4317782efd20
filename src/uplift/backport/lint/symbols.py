"""Functions and macros that a series calls, and neither the branch nor the series defines.

Read from text, so only what is plain: a name before a bracket that occurs nowhere in the branch's
code, and that upstream defines at the start of a line. Members of structures, types and what
macros put together are left to the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uplift.backport.lint.context import Context, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.patches import changed_lines
from uplift.lab.git import RepositoryError

_CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w{3,80})\s*\(")
_WORD = re.compile(r"[A-Za-z_]\w*")
_CODE = ("*.c", "*.h", "*.cc", "*.cpp", "*.hpp", "*.S")
_IS_CODE = re.compile(rb"\.(?:c|h|cc|cpp|hpp|S)$")
_COMMENT = re.compile(r"^[+-]\s*(?:/?\*|//)|\"(?:\\.|[^\"\\])*\"|/\*.*?\*/")
_LONGEST = 4000  #: characters of a line that is looked at
_MOST = 300  #: names that are looked for
_MAX_FILE = 4 << 20  #: bytes
_MAX_OUTPUT = 32 << 20


@dataclass(frozen=True)
class Use:
    """A name that a commit begins to call."""

    name: str
    commit: SeriesCommit


def lacking(context: Context) -> Iterator[Finding]:
    """Find calls of what is defined upstream only."""
    if not context.upstream:
        return
    made = [c for c in context.commits if c.sha and any(map(_IS_CODE.search, c.paths))]
    lines = changed_lines(context.view, [commit.sha for commit in made])
    uses = _unknown_in_files(context, list(_uses(made, lines)))
    wanted = list(dict.fromkeys(use.name for use in uses))[:_MOST]
    own = _defined(line[1:] for found in lines.values() for line in found if line[0] == "+")
    asked = [name for name in wanted if name not in own]
    there = _found(context, asked, context.submission.base)
    places = _definitions(context, [name for name in asked if name not in there])
    for commit in made:
        names = [use.name for use in uses if use.commit is commit and use.name in places]
        if names:
            yield _finding(context, commit, {name: places.pop(name) for name in names})


def _uses(commits: Iterable[SeriesCommit], lines: Mapping[str, Sequence[str]]) -> Iterator[Use]:
    for commit in commits:
        short = (line for line in lines.get(commit.sha, ()) if len(line) <= _LONGEST)
        plain = [_COMMENT.sub(" ", line) for line in short]
        before = {word for line in plain if line[:1] == "-" for word in _WORD.findall(line)}
        called = dict.fromkeys(
            name for line in plain if line[:1] == "+" for name in _CALL.findall(line)
        )
        yield from (Use(name, commit) for name in called if name not in before)


def _unknown_in_files(context: Context, uses: Sequence[Use]) -> list[Use]:
    """Leave out names that the changed files themselves had before the series."""
    known: dict[bytes, frozenset[str]] = {}
    left = []
    for use in uses:
        for path in use.commit.paths:
            if path not in known:
                known[path] = _words(context, path)
        if not any(use.name in known[path] for path in use.commit.paths):
            left.append(use)
    return left


def _words(context: Context, path: bytes) -> frozenset[str]:
    name = f"{context.submission.base}:{path.decode('utf-8', 'surrogateescape')}"
    try:
        text = context.view.objects.read(name, _MAX_FILE)[1]
    except RepositoryError:
        return frozenset()
    return frozenset(_WORD.findall(text.decode("utf-8", "replace")))


_DEFINITION = re.compile(
    r"(?:#\s*define\s+|(?![#*/])\S.*?\b|)([A-Za-z_]\w*)\s*\(|#\s*define\s+(\w+)"
)


def _defined(lines: Iterable[str]) -> frozenset[str]:
    """Return the names before a bracket, and of macros, in lines that are not indented."""
    found: set[str] = set()
    for line in lines:
        if line[:1].strip() and len(line) <= _LONGEST:
            found.update(name for pair in _DEFINITION.findall(line) for name in pair if name)
    return frozenset(found)


def _found(context: Context, names: Sequence[str], commit: str) -> frozenset[str]:
    """Return those of ``names`` that occur anywhere in the code of a commit."""
    if not names:
        return frozenset()
    options = ("-h", "-o", "-w", "-I", "--no-color", *_patterns(names))
    told = context.view.attempt("grep", *options, commit, "--", *_CODE, max_stdout=_MAX_OUTPUT)
    if told.truncated:
        return frozenset(names)
    return frozenset(told.stdout.decode("utf-8", "replace").split())


def _patterns(names: Sequence[str]) -> list[str]:
    return [word for name in names for word in ("-e", name)]


def _definitions(context: Context, names: Sequence[str]) -> dict[str, str]:
    """Return where upstream defines each of ``names`` that it does define."""
    if not names:
        return {}
    found: dict[str, str] = {}
    options = ("-I", "-w", "-z", "--no-color", *_patterns(names))
    upstream = context.upstream
    told = context.view.attempt("grep", *options, upstream, "--", *_CODE, max_stdout=_MAX_OUTPUT)
    for line in told.stdout.decode("utf-8", "replace").split("\n"):
        place, _, text = line.partition("\0")
        if text[:1].strip() and not text.rstrip().endswith(";"):
            for name in _defined([text]) & frozenset(names):
                found.setdefault(name, place.partition(":")[2])
    return found


def _finding(context: Context, commit: SeriesCommit, places: Mapping[str, str]) -> Finding:
    name, path = next(iter(places.items()))
    more = f", and {len(places) - 1} more names" if len(places) > 1 else ""
    problem = f"{name} is called, and only upstream defines it{more}"
    origin = _origin(context, name, path)
    fix = f"put {origin} before it" if origin else "take the commit that defines it, or do without"
    detail = [f"{name}: {place}" for name, place in places.items()]
    return finding("symbol-missing", Severity.ERROR, commit, problem, fix, detail=detail)


def _origin(context: Context, name: str, path: str) -> str:
    """Return the upstream commit, since the branch left, that brought a name into a file."""
    span = f"{context.submission.base}..{context.upstream}"
    options = ("--reverse", "--no-merges", "--format=%H %s", f"-S{name}")
    told = context.view.attempt("log", *options, span, "--", path)
    first = told.stdout.decode("utf-8", "replace").partition("\n")[0]
    sha, _, title = first.partition(" ")
    return f"{sha} (“{title}”)" if told.ok and sha else ""
