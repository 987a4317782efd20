"""Which commits lie in the history of another: asked of git, many at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from uplift.lab.git import Workspace


def listed(workspace: Workspace, wanted: Sequence[str], without: Sequence[str]) -> list[str]:
    """Return what is reachable from ``wanted`` and not from ``without``, newest first."""
    asked = "".join([*(f"{sha}\n" for sha in wanted), *(f"^{sha}\n" for sha in without)])
    options = ("rev-list", "--ignore-missing", "--topo-order", "--stdin")
    return workspace.git(*options, stdin=asked.encode()).decode("ascii").split()


def unreachable(workspace: Workspace, shas: Collection[str], tip: str) -> frozenset[str]:
    """Return those of ``shas`` that are not in the history of ``tip``."""
    wanted = frozenset(shas)
    if len(wanted) == 1:
        answer = workspace.attempt("merge-base", "--is-ancestor", *wanted, tip)
        return frozenset() if answer.returncode == 0 else wanted
    return wanted.intersection(listed(workspace, sorted(wanted), [tip]) if wanted else ())


def reachable(workspace: Workspace, shas: Collection[str], tip: str) -> frozenset[str]:
    """Return those of ``shas`` that are in the history of ``tip``."""
    return frozenset(shas) - unreachable(workspace, shas, tip)
