"""Commits and the paths they touch, read from git: one process where all objects are there.

``git log`` goes through history once and compares trees only. Where it meets an object that is
missing it ends; then history is walked object by object, and what is missing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from uplift.backport.commit_text import decode, message_of, read_commit
from uplift.lab.git import MissingObject, RepositoryError, Workspace
from uplift.lab.process import Pipe

MAX_PATHS = 200_000  #: of one commit that are kept
MAX_MESSAGE = 1 << 20  #: bytes of one commit that are read
_PIECE = 1 << 18
_TOGETHER = 500  #: commits whose trees are compared by one process in a damaged repository
#: A field cannot hold a NUL: git cuts a message there. Every commit has seven, the last one empty.
_FORMAT = "%x01%H%x00%P%x00%at%x00%ct%x00%ae%x00%B%x00"
_RAW = ("--raw", "-z", "-r", "--root", "--no-renames", "--abbrev=4")
_LOG = ("log", "--stdin", "--ignore-missing", "--no-mailmap", "--no-diff-merges", *_RAW)


@dataclass(frozen=True)
class Logged:
    """One commit; ``paths`` is None where its trees, or the commits before it, are missing."""

    sha: str
    parents: int
    authored: int
    committed: int
    email: str
    message: str
    paths: tuple[bytes, ...] | None


class Interrupted(RepositoryError):
    """Git ended before it had listed all commits: an object is missing or damaged."""


def read_log(
    workspace: Workspace, wanted: Iterable[str], without: Iterable[str], cut: Collection[str]
) -> Iterator[Logged]:
    """Yield the commits reachable from ``wanted`` and not from ``without``, children first.

    :param cut: commits of a shallow clone whose parents are not there: their paths are not told.
    :raises Interrupted: git met an object that it cannot read.
    """
    asked = (f"{sha}\n".encode() for sha in (*wanted, *(f"^{sha}" for sha in without)))
    with workspace.stream(*_LOG, f"--format={_FORMAT}", feed=asked) as log:
        fields = _fields(log)
        field = next(fields, None)
        while field is not None and field.startswith(b"\x01"):
            head = field, *(next(fields, b"") for _ in range(5))
            next(fields, None)
            field, paths = _paths(fields)
            yield _logged(head, None if head[0][1:].decode() in cut else paths)
        if log.finish() or field is not None:
            raise Interrupted("cannot list the commits", log.complaint, "git fsck")


def _fields(log: Pipe) -> Iterator[bytes]:
    rest = b""
    while piece := log.stdout.read1(_PIECE):  # type: ignore[attr-defined]
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole


def _paths(fields: Iterator[bytes]) -> tuple[bytes | None, tuple[bytes, ...]]:
    """Read pairs of fields, a mode line and a path; return the field after them and the paths."""
    found: list[bytes] = []
    field = next(fields, None)
    while field is not None and field.startswith((b":", b"\n:")):
        path = next(fields, b"")
        if len(found) < MAX_PATHS:
            found.append(path)
        field = next(fields, None)
    return field, tuple(found)


def _logged(head: tuple[bytes, ...], paths: tuple[bytes, ...] | None) -> Logged:
    sha, parents, authored, committed, email, message = head
    return Logged(
        sha=sha[1:].decode("ascii"),
        parents=parents.count(b" ") + 1 if parents else 0,
        authored=_seconds(authored),
        committed=_seconds(committed),
        email=decode(email, "").casefold(),
        message=decode(message[:MAX_MESSAGE], ""),
        paths=paths,
    )


def _seconds(text: bytes) -> int:
    """Return a time; one that no calendar knows counts as none."""
    return int(text) if text.lstrip(b"-").isdigit() and len(text) < 16 else 0


def salvage(
    workspace: Workspace,
    tips: Iterable[str],
    cut: Collection[str],
    missing: Callable[[str, str], None],
) -> Iterator[Logged]:
    """Yield every commit that can still be reached from ``tips``, whatever else is missing.

    :param missing: called with the name and the kind of each object that is not there.
    """
    together: list[tuple[str, bytes]] = []
    for found in _reachable(workspace, tips, cut, missing):
        together.append(found)
        if len(together) == _TOGETHER:
            yield from _with_paths(workspace, together, cut, missing)
            together = []
    yield from _with_paths(workspace, together, cut, missing)


def _reachable(
    workspace: Workspace,
    tips: Iterable[str],
    cut: Collection[str],
    missing: Callable[[str, str], None],
) -> Iterator[tuple[str, bytes]]:
    waiting = list(tips)
    met = {bytes.fromhex(sha) for sha in waiting}
    while waiting:
        sha = waiting.pop()
        try:
            kind, raw = workspace.objects.read(f"{sha}^{{commit}}", MAX_MESSAGE)
        except MissingObject:
            missing(sha, "commit")
            continue
        except RepositoryError:  # damaged, or larger than any message
            missing(sha, "damaged")
            continue
        commit = read_commit(sha, raw)
        yield sha, raw
        for parent in () if sha in cut or kind != "commit" else commit.parents:
            if (name := _name(parent)) and name not in met:
                met.add(name)
                waiting.append(parent)


def _name(sha: str) -> bytes:
    try:
        return bytes.fromhex(sha)
    except ValueError:  # a commit object may hold anything
        return b""


def _with_paths(
    workspace: Workspace,
    found: list[tuple[str, bytes]],
    cut: Collection[str],
    missing: Callable[[str, str], None],
) -> Iterator[Logged]:
    commits = [(read_commit(sha, raw), message_of(raw)) for sha, raw in found]
    trees = dict.fromkeys(commit.tree for commit, _ in commits if commit.tree)
    asked = "".join(f"{tree}\n" for tree in trees).encode()
    answers = workspace.git("cat-file", "--batch-check", stdin=asked).decode().splitlines()
    lost = {answer.split()[0] for answer in answers if answer.endswith(" missing")}
    for tree in lost:
        missing(tree, "tree")
    whole = [commit.sha for commit, _ in commits if commit.tree not in lost | {""}]
    paths = _touched(workspace, whole, missing)
    for commit, message in commits:
        yield Logged(
            sha=commit.sha,
            parents=len(commit.parents),
            authored=commit.author.time,
            committed=commit.committer.time,
            email=commit.author.email.casefold(),
            message=message,
            paths=None if commit.sha in cut else paths.get(commit.sha),
        )


def _touched(
    workspace: Workspace, shas: list[str], missing: Callable[[str, str], None]
) -> dict[str, tuple[bytes, ...]]:
    """Return the paths of commits; git ends at one whose trees it lacks, and starts again after."""
    found: dict[str, tuple[bytes, ...]] = {}
    while shas:
        answers, whole = _answers(workspace, shas)
        found.update(answers)
        if whole:
            break
        # the last answer may be cut short, and git may have died of it or of the next
        at = max(0, len(answers) - 1)
        for sha in shas[at : at + 2]:
            answer, read = _answers(workspace, [sha])
            found.update(answer)
            if not read:
                found.pop(sha, None)
                missing(sha, "trees")
        shas = shas[at + 2 :]
    return found


def _answers(workspace: Workspace, shas: list[str]) -> tuple[dict[str, tuple[bytes, ...]], bool]:
    """Return the paths of ``shas`` as far as git came, and whether it came to the end."""
    feed = [f"{sha}\n".encode() for sha in shas]
    found: dict[str, tuple[bytes, ...]] = {}
    with workspace.stream("diff-tree", "--stdin", "--always", *_RAW, feed=feed) as diff:
        fields = _fields(diff)
        field = next(fields, None)
        while field is not None:
            sha = field.decode("ascii", "replace").strip()
            field, found[sha] = _paths(fields)
        return found, not diff.finish()
