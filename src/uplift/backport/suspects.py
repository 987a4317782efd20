"""Which commits of a range a regression is likely to come from, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from uplift.backport.reachable import listed
from uplift.lab.git import RepositoryError, Workspace

_MAX_TEXT = 1 << 20  #: characters of a report that are read
_MAX_PATCH = 64 << 20  #: bytes of all patches that are read
_NAMES = 400  #: different names of a report that are looked for
_MOST = 5000  #: commits of a range
_SAME_FILE, _SAME_FOLDER, _FUNCTION, _LINE, _TITLE = 4.0, 1.0, 5.0, 1.0, 2.0
_LINES = 5  #: changed lines with a name that count

_FRAME = re.compile(r"\b([A-Za-z_]\w{2,})(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?|\()")
_PATH = re.compile(r"(?:[\w.+-]+/)*[\w.+-]+\.(?:c|h|cc|cpp|py|rs|S|dts|sh)\b")
_WORD = re.compile(r"[A-Za-z_]\w{2,}")
_DIFF = (
    "diff-tree",
    "--stdin",
    "--always",
    "-p",
    "-r",
    "--root",
    "-U0",
    "--no-ext-diff",
    "--no-textconv",
)


@dataclass(frozen=True)
class Hints:
    """What is known of a regression.

    :param symbols: functions of a stack trace, names of an error message.
    """

    paths: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    @classmethod
    def of_text(cls, text: str, paths: Iterable[str] = (), symbols: Iterable[str] = ()) -> Hints:
        """Read functions of stack frames and paths out of a log or a report."""
        read = text[:_MAX_TEXT]
        named = [*symbols, *(match[1] for match in _FRAME.finditer(read))]
        files = [*paths, *(match[0] for match in _PATH.finditer(read))]
        return cls(tuple(dict.fromkeys(files))[:_NAMES], tuple(dict.fromkeys(named))[:_NAMES])


@dataclass(frozen=True)
class Suspect:
    """One commit; ``reasons`` say what its score is made of. A score of 0: nothing speaks of it."""

    sha: str
    subject: str
    score: float
    reasons: tuple[str, ...]


@dataclass
class Change:
    """What a commit touches: ``functions`` of hunk headers, ``lines`` with their sign."""

    sha: str
    subject: str = ""
    paths: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)


def suspects(workspace: Workspace, base: str, tip: str, hints: Hints) -> tuple[Suspect, ...]:
    """Order the commits that ``tip`` adds to ``base``; equal ones the newest first.

    :raises RepositoryError: a name is no commit, or the range is too long to be read.
    """
    shas = listed(workspace, [workspace.resolve(tip)], [workspace.resolve(base)])
    if len(shas) > _MOST:
        cause = f"it has {len(shas)} commits, more than {_MOST}"
        raise RepositoryError(f"cannot order {base}..{tip}", cause, "name a shorter range")
    made = changes(workspace, shas)
    order = {sha: number for number, sha in enumerate(shas)}
    found = [_weighed(change, hints) for change in made]
    return tuple(sorted(found, key=lambda one: (-one.score, order[one.sha])))


def changes(workspace: Workspace, shas: Sequence[str]) -> list[Change]:
    """Return what each commit touches, in the order of ``shas``; a merge touches nothing."""
    asked = "".join(f"{sha}\n" for sha in shas).encode()
    output = workspace.git(*_DIFF, "--format=%H%n%s", stdin=asked, max_stdout=_MAX_PATCH)
    return list(_read(output.decode("utf-8", "replace").split("\n"), frozenset(shas)))


def _read(lines: Sequence[str], shas: frozenset[str]) -> Iterator[Change]:
    change: Change | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if line in shas:
            if change is not None:
                yield change
            change = Change(line, lines[at + 1] if at + 1 < len(lines) else "")
            at += 1
        elif change is not None:
            _take(change, line)
        at += 1
    if change is not None:
        yield change


def _take(change: Change, line: str) -> None:
    if line.startswith(("--- a/", "+++ b/")):
        change.paths.add(line[6:])
    elif line.startswith("@@ "):
        change.functions.update(_WORD.findall(line.partition(" @@")[2]))
    elif line[:1] in ("+", "-"):
        change.lines.append(line)


def _weighed(change: Change, hints: Hints) -> Suspect:
    parts = [*_by_path(change, hints.paths), *_by_symbol(change, hints.symbols)]
    score = sum(weight for weight, _ in parts)
    return Suspect(change.sha, change.subject, score, tuple(reason for _, reason in parts))


def _by_path(change: Change, paths: Sequence[str]) -> Iterator[tuple[float, str]]:
    for path in paths:
        if any(_is(own, path) for own in change.paths):
            yield _SAME_FILE, f"it touches {path}"
        elif any(own.rpartition("/")[0] == path.rpartition("/")[0] != "" for own in change.paths):
            yield _SAME_FOLDER, f"it touches the folder of {path}"


def _is(own: str, path: str) -> bool:
    """Whether two paths name one file: a report may leave out or add folders above it."""
    return own == path or own.endswith(f"/{path}") or path.endswith(f"/{own}")


def _by_symbol(change: Change, symbols: Sequence[str]) -> Iterator[tuple[float, str]]:
    words = [set(_WORD.findall(line)) for line in change.lines] if symbols else []
    title = set(_WORD.findall(change.subject))
    for symbol in symbols:
        if symbol in change.functions:
            yield _FUNCTION, f"it changes {symbol}()"
        lines = min(_LINES, sum(symbol in line for line in words))
        if lines:
            yield lines * _LINE, f"{lines} changed lines name {symbol}"
        if symbol in title:
            yield _TITLE, f"its title names {symbol}"
