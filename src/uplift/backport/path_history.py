"""Which upstream commits changed a file between a target and a commit, and what in it.

Which commits these are stands in the index, and git makes only their patches; where the index does
not know all of the range, ``git log`` looks through it. Either is done once a path and kept: a plan
asks for the same files again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uplift.backport.index import Index
from uplift.lab.git import Workspace

_MAX_LOG = 64 << 20  #: bytes of patches of one path
_RENAMES_FOLLOWED = 3
_COMMIT = b"\n\x01commit "
_PATCH = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "-U0",
    "-p",
    "--format=%x01commit %H",
)
_LOG = ("--literal-pathspecs", "log", "--topo-order", "--no-merges", *_PATCH)
_DIFF = ("--literal-pathspecs", "diff-tree", "--stdin", "-r", "--root", *_PATCH)


@dataclass(frozen=True)
class PathChange:
    """What one commit did to one file.

    :param added: the lines it added, and ``removed`` those it removed.
    :param creates: the file was not there before, under this name.
    """

    sha: str
    path: str
    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    creates: bool = False
    deletes: bool = False


class PathHistory:
    """Changes of files in the range from a target to the commits that are to be picked.

    :param target: a commit; what it reaches is not in the range.
    :param tips: the commits to be picked.
    :param index: tells which commits touch a path; git is asked without it.
    """

    def __init__(
        self, workspace: Workspace, target: str, tips: Sequence[str], index: Index | None = None
    ) -> None:
        self._workspace = workspace
        self._target = target
        self._tips = tuple(tips)
        self._index = index if index and _knows(index, self._tips) else None
        self._changes: dict[str, tuple[PathChange, ...]] = {}
        self._touched: dict[str, tuple[str, ...]] = {}
        self._order: dict[str, int] | None = None

    @property
    def order(self) -> dict[str, int]:
        """The place of each commit of the range in upstream's topological order, oldest first."""
        if self._order is None:
            listed = self._workspace.git("rev-list", "--topo-order", *self._range())
            shas = listed.decode().split()
            self._order = {sha: number for number, sha in enumerate(reversed(shas))}
        return self._order

    def changes(self, path: str) -> tuple[PathChange, ...]:
        """Return the changes of the file at ``path``, newest first, through renames.

        :raises RepositoryError: an object is missing, or the patches are larger than 64 MiB.
        """
        if path not in self._changes:
            self._changes[path] = tuple(self._followed(path))
        return self._changes[path]

    def before(self, path: str, sha: str) -> tuple[PathChange, ...]:
        """Return the changes of a file that came before a commit of the range."""
        limit = self.order.get(sha)
        if limit is None:
            return self.changes(path)
        return tuple(c for c in self.changes(path) if self.order.get(c.sha, limit) < limit)

    def touched(self, sha: str, base: str, tree: str) -> tuple[str, ...]:
        """Return the paths that a commit touches: in which ``tree`` differs from ``base``."""
        if sha not in self._touched:
            known = self._index.paths_of(sha) if self._index else ()
            paths = tuple(path.decode("utf-8", "surrogateescape") for path in known)
            self._touched[sha] = paths or touched(self._workspace, base, tree)
        return self._touched[sha]

    def _range(self) -> tuple[str, ...]:
        return (*self._tips, "--not", self._target)

    def _followed(self, path: str) -> Iterator[PathChange]:
        since = ""
        for _ in range(_RENAMES_FOLLOWED):
            changes = self._found(path, since)
            first = next((change for change in reversed(changes) if change.creates), None)
            renamed = self._renamed(first) if first else None
            if first is None or renamed is None:
                yield from changes
                return
            old, real = renamed
            yield from (real if change is first else change for change in changes)
            path, since = old, first.sha

    def _found(self, path: str, since: str) -> list[PathChange]:
        """Return what changed a file of that name, before the commit ``since`` if there is one."""
        if self._index is None:
            return self._logged(path, (f"{since}^",) if since else self._tips)
        limit = self.order.get(since, len(self.order))
        inside = [sha for sha in self._index.touching(path) if self.order.get(sha, limit) < limit]
        return self._patched(path, newest_first(inside, self.order))

    def _patched(self, path: str, shas: Sequence[str]) -> list[PathChange]:
        asked = "".join(f"{sha}\n" for sha in shas).encode()
        options = (*_DIFF, "--", path)
        text = self._workspace.git(*options, stdin=asked, max_stdout=_MAX_LOG) if shas else b""
        return list(read_changes(text, path))

    def _logged(self, path: str, tips: Sequence[str]) -> list[PathChange]:
        options = (*_LOG, *tips, "--not", self._target, "--", path)
        return list(read_changes(self._workspace.git(*options, max_stdout=_MAX_LOG), path))

    def _renamed(self, change: PathChange) -> tuple[str, PathChange] | None:
        """Return the old name of a file that a commit renamed, and what it changed in it."""
        listed = self._workspace.git(
            "diff-tree", "-r", "-M", "-z", "--no-commit-id", "--diff-filter=R", change.sha
        )
        fields = listed.decode("utf-8", "surrogateescape").split("\0")
        for old, new in zip(fields[1::3], fields[2::3], strict=False):
            if new == change.path:
                return old, self._real_change(change, old)
        return None

    def _real_change(self, change: PathChange, old: str) -> PathChange:
        options = ("-r", "-M", "-p", "-U0", "--no-commit-id", change.sha, "--", old, change.path)
        text = self._workspace.git(
            "--literal-pathspecs", "diff-tree", *options, max_stdout=_MAX_LOG
        )
        whole = _COMMIT[1:] + change.sha.encode() + b"\n" + text
        real = next(read_changes(whole, change.path), change)
        return replace(real, creates=True)


def _knows(index: Index, tips: Sequence[str]) -> bool:
    """Whether an index tells of all that ``tips`` reach; not so where history or trees lack."""
    cut = any(repository.shallow for repository in index.workspace.repositories)
    return not cut and not index.missing() and len(index.known(tips)) == len(frozenset(tips))


def read_changes(text: bytes, path: str) -> Iterator[PathChange]:
    """Read a ``git log -p -U0`` of one path whose commits start with a line of their own."""
    for record in (b"\n" + text).split(_COMMIT)[1:]:
        sha, _, patch = record.partition(b"\n")
        head, body = _head_and_body(patch)
        added = tuple(line[1:] for line in body if line.startswith(b"+"))
        removed = tuple(line[1:] for line in body if line.startswith(b"-"))
        yield PathChange(
            sha.decode(),
            path,
            added,
            removed,
            creates=any(line.startswith(b"new file mode") for line in head),
            deletes=any(line.startswith(b"deleted file mode") for line in head),
        )


def _head_and_body(patch: bytes) -> tuple[list[bytes], list[bytes]]:
    lines = patch.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"@@"):
            return lines[:number], lines[number:]
    return lines, []


def touched(workspace: Workspace, base: str, tree: str) -> tuple[str, ...]:
    """Return the paths in which two trees differ."""
    named = workspace.git("diff-tree", "-r", "-z", "--name-only", base, tree)
    return tuple(named.decode("utf-8", "surrogateescape").split("\0")[:-1])


def newest_first(shas: Iterable[str], order: dict[str, int]) -> list[str]:
    """Sort commits of a range, newest first; those outside it last."""
    return sorted(shas, key=lambda sha: -order.get(sha, -1))
