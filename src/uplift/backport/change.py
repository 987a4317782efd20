"""What a commit changes, without where: lines added and removed, so that two can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from uplift.lab.git import Workspace

_MAX_PATCH = 8 << 20  #: bytes of one patch that are compared
_SHOWN = 40  #: differing lines that are shown
_DIFF = ("diff-tree", "--stdin", "-p", "-r", "--root", "-U0", "--no-ext-diff", "--no-textconv")


@dataclass(frozen=True)
class Change:
    """The lines of one commit, each as ``+text`` or ``-text`` with its spaces levelled.

    :param whole: False where the patch was larger than is compared.
    """

    sha: str
    lines: tuple[str, ...]
    whole: bool = True

    @cached_property
    def counted(self) -> Counter[str]:
        """How often each line occurs; lines without a letter or digit count for nothing."""
        return Counter(line for line in self.lines if any(map(str.isalnum, line)))

    def similarity(self, other: Change) -> float:
        """Return the share of lines that both have, of the larger of the two: 0 to 1."""
        larger = max(self.counted.total(), other.counted.total())
        if not larger:
            return 1.0 if self.lines == other.lines else 0.0
        return (self.counted & other.counted).total() / larger

    def covered_by(self, other: Change) -> float:
        """Return the share of this change's lines that ``other`` has too: 0 to 1."""
        total = self.counted.total()
        return (self.counted & other.counted).total() / total if total else 0.0

    def difference(self, other: Change) -> tuple[str, ...]:
        """Return the lines that only one has: ``- `` before those of this, ``+ `` of the other."""
        mine = (self.counted - other.counted).elements()
        theirs = (other.counted - self.counted).elements()
        lines = [f"- {line}" for line in mine] + [f"+ {line}" for line in theirs]
        more = len(lines) - _SHOWN
        return tuple(lines[:_SHOWN]) + ((f"… {more} more lines",) if more > 0 else ())


def read_changes(workspace: Workspace, shas: Sequence[str]) -> dict[str, Change]:
    """Return the changes of commits, made by one git; an empty commit and a merge have no lines.

    :raises RepositoryError: git cannot make a patch, of a missing object for instance.
    """
    wanted = list(dict.fromkeys(shas))
    found: dict[str, Change] = {}
    feed = [f"{sha}\n".encode() for sha in wanted]
    with workspace.stream(*_DIFF, "--no-renames", feed=feed) as patches:
        for change in _changes(patches.stdout, frozenset(wanted)):
            found[change.sha] = change
        failed = patches.finish()
    if failed:
        return found  # what git could not read is missing from the answer
    return {sha: found.get(sha, Change(sha, ())) for sha in wanted}


def _changes(lines: Iterable[bytes], wanted: frozenset[str]) -> Iterator[Change]:
    kept: list[str] = []
    sha, size, in_hunk = "", 0, False
    for raw in lines:
        text = raw.decode("utf-8", "replace").rstrip("\n")
        if text in wanted:
            if sha:
                yield Change(sha, tuple(kept), size <= _MAX_PATCH)
            sha, kept, size, in_hunk = text, [], 0, False
            continue
        size += len(raw)
        if size > _MAX_PATCH:
            continue
        if text.startswith("diff --git "):
            in_hunk = False
        elif text.startswith("@@ "):
            in_hunk = True
        elif in_hunk and text[:1] in ("+", "-"):
            kept.append(text[0] + "".join(text[1:].split()))
        elif text.startswith(("old mode", "new mode", "Binary files", "rename ")):
            kept.append(f"+{text}")
    if sha:
        yield Change(sha, tuple(kept), size <= _MAX_PATCH)
