"""Which upstream commits changed a file between a target and a commit, and what in it.

One ``git log`` a path, kept: a plan asks for the same files again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uplift.lab.git import Workspace

_MAX_LOG = 64 << 20  #: bytes of patches of one path
_RENAMES_FOLLOWED = 3
_COMMIT = b"\n\x01commit "
_LOG = (
    "--literal-pathspecs",
    "log",
    "--topo-order",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "-U0",
    "-p",
)


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
    """

    def __init__(self, workspace: Workspace, target: str, tips: Sequence[str]) -> None:
        self._workspace = workspace
        self._target = target
        self._tips = tuple(tips)
        self._changes: dict[str, tuple[PathChange, ...]] = {}
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

    def _range(self) -> tuple[str, ...]:
        return (*self._tips, "--not", self._target)

    def _followed(self, path: str) -> Iterator[PathChange]:
        start: tuple[str, ...] = self._tips
        for _ in range(_RENAMES_FOLLOWED):
            changes = self._logged(path, start)
            first = next((change for change in reversed(changes) if change.creates), None)
            renamed = self._renamed(first) if first else None
            if first is None or renamed is None:
                yield from changes
                return
            old, real = renamed
            yield from (real if change is first else change for change in changes)
            path, start = old, (f"{first.sha}^",)

    def _logged(self, path: str, tips: Sequence[str]) -> list[PathChange]:
        text = self._workspace.git(
            *_LOG,
            "--no-renames",
            "--no-merges",
            "--format=%x01commit %H",
            *tips,
            "--not",
            self._target,
            "--",
            path,
            max_stdout=_MAX_LOG,
        )
        return list(read_changes(text, path))

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
