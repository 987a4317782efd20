"""Of what follows backported commits upstream, how much did the maintainers take?

    python -m bench.backport_follow_ups REPO --upstream main BRANCH…

For each branch: the upstream commits that it carries (as its trailers say, where they hold), and
what follows them upstream up to the day of the branch's tip. Told by kind and rank: how many there
are and how many of them the branch carries too. Beside it, what tags alone find (``Fixes:`` that
name a carried commit directly). What the maintainers left out is not always wrong to take: a fix
may come after the branch's end of life.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from uplift.backport.follow_ups import FollowUp, follow_ups
from uplift.backport.index import Index
from uplift.backport.model import ReferenceKind, State
from uplift.backport.place import open_workspace
from uplift.backport.presence import Options, presences
from uplift.backport.reachable import listed, reachable
from uplift.backport.trailers import PROVENANCE
from uplift.lab.git import Workspace


def carried(index: Index, side: Sequence[str], upstream: str) -> set[str]:
    """Return the upstream commits that trailers of ``side`` name."""
    named = {
        index.resolved(reference)
        for references in index.references(side).values()
        for reference in references
        if reference.kind in PROVENANCE
    }
    return set(reachable(index.workspace, named - {""}, upstream))


def upstream_then(workspace: Workspace, upstream: str, branch: str) -> str:
    """Return upstream as it was on the day of the branch's tip."""
    when = workspace.git("log", "-1", "--format=%ct", branch, "--").decode().strip()
    found = workspace.git("rev-list", "-1", "--first-parent", f"--before={when}", upstream, "--")
    return found.decode().strip()


def measure(index: Index, branch: str, upstream: str) -> None:
    """Print the figures of one branch."""
    workspace = index.workspace
    then = upstream_then(workspace, upstream, branch)
    tip = workspace.resolve(branch)
    side = listed(workspace, [tip], [workspace.resolve(upstream)])
    there = carried(index, side, then)
    # of one at a time: what is carried itself is a follow-up of another, too
    told = (item for sha in sorted(there) for item in follow_ups(index, [sha], then))
    items = {item.sha: item for item in told}
    taken = there | _present(index, tip, sorted(set(items) - there), upstream)
    print(f"{branch}: {len(there)} upstream commits carried")
    _table(list(items.values()), taken)
    tags = by_tags(index, there, then)
    if tags:
        share = len(tags & taken) / len(tags)
        print(f"  tags alone, one step   {len(tags):6} {len(tags & taken):6} {share:7.1%}")


def by_tags(index: Index, there: set[str], upstream: str) -> set[str]:
    """Return the fixes by tags of carried commits, carried or not."""
    found = {
        later
        for sha in there
        for later, reference in index.references_to(sha)
        if reference.kind is ReferenceKind.FIXES and reference.named
    }
    return set(reachable(index.workspace, found, upstream))


def _present(index: Index, tip: str, shas: Sequence[str], upstream: str) -> set[str]:
    options = Options(tree=False, differences=False)
    found = presences(index.workspace, index, tip, shas, upstream, options)
    return {presence.sha for presence in found if presence.state is not State.ABSENT}


def _table(items: Sequence[FollowUp], taken: set[str]) -> None:
    told = Counter((item.rank, item.kind.value) for item in items)
    right = Counter((item.rank, item.kind.value) for item in items if item.sha in taken)
    print("  rank kind               told  taken   share")
    for key in sorted(told):
        share = right[key] / told[key]
        print(f"  {key[0]:4} {key[1]:16} {told[key]:6} {right[key]:6} {share:7.1%}")


def main() -> int:
    """Print a table for each branch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("branch", nargs="+")
    parser.add_argument("--upstream", default="HEAD")
    arguments = parser.parse_args()
    with (
        open_workspace([arguments.repository]) as workspace,
        Index.open(workspace) as index,
    ):
        for branch in arguments.branch:
            measure(index, branch, arguments.upstream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
