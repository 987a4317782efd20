"""Compare what plans take along with the smallest set that maintainers' own backports show.

    python -m bench.backport_truth REPO > TRUTH.json
    python -m bench.backport_plan REPO TRUTH.json [--most 50] [--upstream main]

Each case is a commit that conflicts where its branch left upstream, and merges at the place where
its maintainers put it; the truth is the smallest set of backports in between that makes it merge.
The truth knows of text only, so the plan is made without looking for names that the branch lacks;
*with names* is the same plan with them. Beside it, in the same run: blame of the lines that the
commit touches (with 1 and 3 lines of context), and blame followed on (what git-deps does). Printed
for each: how many cases find all that is needed (*sufficient*: the series merges), find just the
smallest set, recall, precision, and the time of one case.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.backport_truth import Case, load
from uplift.backport.index import Index
from uplift.backport.model import Role
from uplift.backport.pick import picking
from uplift.backport.place import open_workspace
from uplift.backport.plan import Options, plan
from uplift.lab.git import Workspace

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+", re.M)
_DEPTH = 200  #: commits that blame is followed to


@dataclass
class Score:
    """One method over all cases."""

    cases: int = 0
    sufficient: int = 0
    same: int = 0
    found: int = 0
    needed: int = 0
    right: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, needed: set[str], got: set[str], applies: bool, seconds: float) -> None:
        """Count one case."""
        self.cases += 1
        self.sufficient += applies
        self.same += applies and got == needed
        self.needed += len(needed)
        self.found += len(got)
        self.right += len(needed & got)
        self.seconds.append(seconds)

    def line(self, name: str) -> str:
        """Return one row of the table."""
        times = sorted(self.seconds)
        p95 = times[int(len(times) * 0.95)]
        return (
            f"{name:18} {self.sufficient / self.cases:10.1%} {self.same / self.cases:8.1%} "
            f"{self.right / max(1, self.needed):7.1%} {self.right / max(1, self.found):9.1%} "
            f"{self.found / max(1, self.needed):6.2f} {statistics.median(times):7.2f} {p95:7.2f}"
        )


def blamed(workspace: Workspace, sha: str, fork: str, context: int) -> set[str]:
    """Return the commits after ``fork`` that wrote the lines which ``sha`` touches."""
    options = ("-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", f"-U{context}")
    patch = workspace.git("diff-tree", "--no-commit-id", *options, sha)
    found: set[str] = set()
    for part in re.split(rb"^diff --git ", patch, flags=re.M)[1:]:
        old = re.search(rb"^--- a/(.*)$", part, re.M)
        spans = [(int(a), int(n or 1)) for a, n in _HUNK.findall(part)]
        ranges = [f"-L{a},+{n}" for a, n in spans if n]
        if old is None or not ranges:
            continue
        path = old[1].decode("utf-8", "surrogateescape").split("\t")[0]
        answer = workspace.attempt("blame", "-s", "-l", *ranges, f"{fork}..{sha}^", "--", path)
        for line in answer.stdout.splitlines():
            if not line.startswith(b"^"):
                found.add(line.split(b" ", 1)[0].decode())
    return found


def followed(workspace: Workspace, sha: str, fork: str, context: int) -> set[str]:
    """Return what :func:`blamed` gives, and what it gives for that, and so on."""
    found: set[str] = set()
    left = [sha]
    while left and len(found) < _DEPTH:
        new = blamed(workspace, left.pop(), fork, context) - found
        found |= new
        left += sorted(new)
    return found


def applies(workspace: Workspace, case: Case, shas: set[str]) -> bool:
    """Whether the commits, in upstream's order, and then the backported one merge on the fork."""
    wanted = {*shas, case.backport.upstream}
    listed = workspace.git(
        "rev-list", "--topo-order", "--reverse", case.backport.upstream, f"^{case.backport.fork}"
    )
    order = [sha for sha in listed.decode().split() if sha in wanted]
    with picking(workspace) as picker:
        picks = list(picker.series(picker.tree_of(case.backport.fork), order))
    return len(picks) == len(order) and all(picked.clean for picked in picks)


def planned(
    workspace: Workspace, index: Index, case: Case, upstream: str, *, symbols: bool = False
) -> tuple[set[str], bool, bool]:
    """Return the prerequisites of the plan, whether it applies, and whether each prefix does."""
    options = Options(follow_ups=False, symbols=symbols)
    made = plan(workspace, index, case.backport.fork, [case.backport.upstream], upstream, options)
    got = {commit.sha for commit in made.series if commit.role is Role.PREREQUISITE}
    shas = [commit.sha for commit in made.series]
    with picking(workspace) as picker:
        picks = list(picker.series(picker.tree_of(made.onto), shas))
    whole = len(picks) == len(shas) and all(picked.clean for picked in picks)
    return got, made.applies, whole or not made.applies


def main() -> int:
    """Print the table; 1 where a plan that says it applies does not."""
    arguments = _arguments()
    truth = load(arguments.truth)
    cases: Sequence[Case] = list(truth.cases)
    if len(cases) > arguments.most:
        cases = random.Random(20261126).sample(cases, arguments.most)
    scores: dict[str, Score] = {}
    broken = 0
    with (
        open_workspace([arguments.repository]) as workspace,
        Index.open(workspace) as index,
    ):
        methods: dict[str, Callable[[str, str], set[str]]] = {
            "blame, 1 line": lambda sha, fork: blamed(workspace, sha, fork, 1),
            "blame, 3 lines": lambda sha, fork: blamed(workspace, sha, fork, 3),
            "blame followed": lambda sha, fork: followed(workspace, sha, fork, 3),
        }
        for case in cases:
            needed = set(case.needed)
            for name, symbols in (("plan", False), ("plan with names", True)):
                began = time.perf_counter()
                got, whole, prefixes = planned(
                    workspace, index, case, arguments.upstream, symbols=symbols
                )
                seconds = time.perf_counter() - began
                scores.setdefault(name, Score()).add(needed, got, whole, seconds)
                broken += not prefixes
                if arguments.show and (got != needed or not whole):
                    told = [name, case.backport.upstream, sorted(needed), sorted(got), whole]
                    print(json.dumps(told))
            for name, method in methods.items():
                began = time.perf_counter()
                got = method(case.backport.upstream, case.backport.fork)
                seconds = time.perf_counter() - began
                fits = applies(workspace, case, got)
                scores.setdefault(name, Score()).add(needed, got, fits, seconds)
    print(f"{arguments.repository}: {len(cases)} of {len(truth.cases)} cases")
    print("method             sufficient     same  recall precision   size  p50 s   p95 s")
    for name, score in scores.items():
        print(score.line(name))
    print(f"plans that say they apply and do not: {broken}")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--upstream", default="HEAD")
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--show", action="store_true", help="the cases that differ")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
