"""Which commits' lines a tree may have already: a cheap look before a merge tells."""

from __future__ import annotations

from collections.abc import Sequence

from uplift.backport.patches import added_lines, levelled
from uplift.lab.git import MissingObject, RepositoryError, Workspace

_MAX_FILE = 4 << 20  #: bytes of a file that is looked into; a larger one may have any line
_AT_HAND = 500  #: files whose lines are kept


def may_be_there(workspace: Workspace, tip: str, shas: Sequence[str]) -> list[str]:
    """Return those of ``shas`` all of whose added lines the tree of ``tip`` has in its files.

    What is left out would change the tree if it were picked; of what is returned a merge tells.
    """
    tree = _Lines(workspace, tip)
    return [
        sha
        for sha, files in added_lines(workspace, shas)
        if all(tree.has(path, lines) for path, lines in files.items() if lines)
    ]


class _Lines:
    """The lines of the files of one tree."""

    def __init__(self, workspace: Workspace, tip: str) -> None:
        self._workspace = workspace
        self._tip = tip
        self._at_hand: dict[bytes, frozenset[bytes] | None] = {}

    def has(self, path: bytes, lines: Sequence[bytes]) -> bool:
        """Whether the file has all of ``lines``, or cannot be read whole."""
        if path not in self._at_hand:
            if len(self._at_hand) >= _AT_HAND:
                self._at_hand.clear()
            self._at_hand[path] = self._of(path)
        there = self._at_hand[path]
        return there is None or there.issuperset(lines)

    def _of(self, path: bytes) -> frozenset[bytes] | None:
        name = f"{self._tip}:{path.decode('utf-8', 'surrogateescape')}"
        try:
            kind, content = self._workspace.objects.read(name, _MAX_FILE)
        except MissingObject:
            return frozenset()
        except RepositoryError:
            return None
        return levelled(content) if kind == "blob" else None
