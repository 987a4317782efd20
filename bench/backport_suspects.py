"""How far down a list of suspects is the commit that a fix names as the culprit?

    python -m bench.backport_suspects REPO --upstream main --from v22.11 --to v23.07 --most 60

Takes fixes upstream whose ``Fixes:`` tag names a commit of the range, gives the files and the
functions that the fix touches as what is known of the regression (where it was found, not what
caused it), and says at which place of the ordered range the culprit stands; beside it, where
it stands from newest to oldest, and the tests that plain bisection takes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

from uplift.backport.index import Index
from uplift.backport.model import ReferenceKind
from uplift.backport.place import open_workspace
from uplift.backport.reachable import listed
from uplift.backport.suspects import Hints, changes, suspects


def culprits(index: Index, shas: list[str], upstream: str) -> list[tuple[str, str]]:
    """Return (fix, culprit) for fixes of commits of the range that name just one."""
    wanted = frozenset(shas)
    after = listed(index.workspace, [upstream], [])
    found = []
    for fix, references in index.references(after).items():
        named = {index.resolved(r) for r in references if r.kind is ReferenceKind.FIXES} - {""}
        if len(named) == 1 and named <= wanted:
            found.append((fix, named.pop()))
    return sorted(found)


def main() -> int:
    """Print the figures of one range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path)
    parser.add_argument("--upstream", default="main")
    parser.add_argument("--from", dest="base", required=True)
    parser.add_argument("--to", dest="tip", required=True)
    parser.add_argument("--most", type=int, default=60)
    args = parser.parse_args()
    with open_workspace([args.repo]) as workspace, Index.open(workspace) as index:
        base, tip = workspace.resolve(args.base), workspace.resolve(args.tip)
        shas = listed(workspace, [tip], [base])
        pairs = culprits(index, shas, workspace.resolve(args.upstream))
        step = max(1, len(pairs) // args.most)
        places, newest, seconds = [], [], []
        for fix, culprit in pairs[::step][: args.most]:
            (change,) = changes(workspace, [fix])
            start = time.perf_counter()
            hints = Hints(tuple(sorted(change.paths)), tuple(sorted(change.functions)))
            order = [one.sha for one in suspects(workspace, base, tip, hints)]
            seconds.append(time.perf_counter() - start)
            places.append(order.index(culprit) + 1)
            newest.append(shas.index(culprit) + 1)
    print(f"{args.base}..{args.tip}: {len(shas)} commits, {len(places)} of {len(pairs)} culprits")
    print(f"bisection takes {math.ceil(math.log2(len(shas)))} tests")
    for name, ranks in (("suspects", places), ("newest first", newest)):
        shares = "  ".join(
            f"first {most}: {sum(r <= most for r in ranks) / len(ranks):.0%}" for most in (1, 5, 10)
        )
        print(f"{name:13} median place {statistics.median(ranks):g}  {shares}")
    print(f"{statistics.median(seconds):.2f} s each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
