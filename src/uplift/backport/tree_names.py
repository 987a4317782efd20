"""What the tree is called that an upstream commit is taken from, where that is not mainline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from uplift.backport.reachable import unreachable
from uplift.lab.git import Workspace

#: Names of branches by which teams name a tree; a stable branch is named by its version.
_KNOWN = (
    (re.compile(r"(?:^|/)(?:linux-next(?:/.*)?|next-\d{8})$"), "linux-next"),
    (re.compile(r"(?:^|/)(linux-\d[\d.]*\.y)$"), ""),
)
NEXT = "linux-next"


@dataclass(frozen=True)
class TreeNames:
    """Names of trees, by commit: empty for mainline; a commit in no known tree is not here."""

    names: Mapping[str, str]

    def of(self, sha: str) -> str | None:
        """Return the name of the tree, empty for mainline, None where nothing says it."""
        return self.names.get(sha)


def tree_names(workspace: Workspace, shas: Iterable[str], mainline: str = "") -> TreeNames:
    """Find out in which tree each commit lies: mainline first, then the branches known by name.

    :param mainline: a commit; empty: nothing is known to be mainline.
    :param shas: commits that the workspace has.
    """
    left = list(dict.fromkeys(shas))
    found: dict[str, str] = {}
    for name, tip in _trees(workspace, mainline):
        if not left:
            break
        outside = unreachable(workspace, left, tip)
        found.update({sha: name for sha in left if sha not in outside})
        left = [sha for sha in left if sha in outside]
    return TreeNames(found)


def _trees(workspace: Workspace, mainline: str) -> Iterable[tuple[str, str]]:
    if mainline:
        yield "", mainline
    named = [(tree_name(ref), sha) for ref, sha in sorted(workspace.refs().items())]
    yield from ((name, sha) for name, sha in named if name and name != NEXT)
    yield from ((name, sha) for name, sha in named if name == NEXT)


def tree_name(ref: str) -> str:
    """Return what a branch of that name is called in a provenance line; empty where unknown."""
    if ref.startswith("refs/tags/"):
        return ""
    for pattern, name in _KNOWN:
        match = pattern.search(ref)
        if match:
            return name or match[1]
    return ""
