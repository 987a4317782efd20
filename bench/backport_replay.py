"""Plan each backport at the moment before it happened, and compare with what was then done.

    python -m bench.backport_truth REPO > TRUTH.json
    python -m bench.backport_replay REPO TRUTH.json [--most 200] [--upstream main] [--show 30]

For each backport the plan is made onto the commit that it was put on. What comes out:

  same      the plan applies alone, and its tree is the maintainers' tree
  adapted   the plan applies alone; the maintainers' tree differs in the files of the commit
  needs     the plan takes prerequisites; the maintainers adapted the commit by hand instead
  conflict  the plan leaves a conflict, which the maintainers resolved by hand
  held      the plan says the branch has it already

The worst disagreements are shown, largest first: by the lines in which the two results differ.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.backport_truth import Backport, load
from uplift.backport.index import Index
from uplift.backport.model import Plan, Role
from uplift.backport.pick import picking
from uplift.backport.place import open_workspace
from uplift.backport.plan import Options, plan
from uplift.backport.prerequisites import Limits
from uplift.lab.git import Workspace


@dataclass(frozen=True)
class Replay:
    """One backport and what the plan said of it."""

    backport: Backport
    outcome: str
    lines: int
    told: str


def replay(workspace: Workspace, index: Index, backport: Backport, upstream: str) -> Replay:
    """Plan one backport onto its own parent."""
    options = Options(follow_ups=False, limits=Limits(seconds=10))
    made = plan(workspace, index, backport.parent, [backport.upstream], upstream, options)
    outcome = _outcome(workspace, backport, made)
    needs = [commit.sha[:12] for commit in made.series if commit.role is Role.PREREQUISITE]
    paths = sorted({conflict.path for conflict in made.conflicts})
    told = " ".join([*needs, *paths, *made.notes])
    return Replay(backport, outcome, _differing(workspace, backport), told)


def _outcome(workspace: Workspace, backport: Backport, made: Plan) -> str:
    if made.present:
        return "held"
    if made.conflicts:
        return "conflict"
    if len(made.series) > 1:
        return "needs"
    tree = workspace.git("rev-parse", "--verify", f"{backport.sha}^{{tree}}").decode().strip()
    return "same" if tree == made.tree else "adapted"


def _differing(workspace: Workspace, backport: Backport) -> int:
    """Return in how many lines the maintainers' tree differs from a plain pick."""
    with picking(workspace) as picker:
        picked = picker.pick(backport.parent, backport.upstream)
        if picked.problem:
            return 0
        listed = picker.workspace.git("diff-tree", "-r", "--numstat", picked.tree, backport.sha)
    counts = (line.split(b"\t")[:2] for line in listed.splitlines())
    return sum(int(count) for pair in counts for count in pair if count.isdigit())


def main() -> int:
    """Print the counts and the worst."""
    arguments = _arguments()
    backports = list(load(arguments.truth).backports)
    if len(backports) > arguments.most:
        backports = random.Random(20261126).sample(backports, arguments.most)
    began = time.perf_counter()
    with (
        open_workspace([arguments.repository]) as workspace,
        Index.open(workspace) as index,
    ):
        done = [replay(workspace, index, one, arguments.upstream) for one in backports]
    counts = Counter(one.outcome for one in done)
    shares = ", ".join(f"{name} {n} ({n / len(done):.1%})" for name, n in counts.most_common())
    seconds = (time.perf_counter() - began) / len(done)
    print(f"{arguments.repository}: {len(done)} backports, {seconds:.2f} s each: {shares}")
    worst = sorted((one for one in done if one.outcome != "same"), key=lambda one: -one.lines)
    for one in worst[: arguments.show]:
        names = f"{one.backport.branch} {one.backport.sha[:12]} of {one.backport.upstream[:12]}"
        print(f"  {one.outcome:8} {one.lines:6} {names} {one.told[:160]}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--upstream", default="HEAD")
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--show", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
