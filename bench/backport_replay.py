"""Plan each backport at the moment before it happened, and compare with what was then done.

    python -m bench.backport_truth REPO > TRUTH.json
    python -m bench.backport_replay REPO TRUTH.json [--most 200] [--upstream main] [--show 30]

For each backport the plan is made onto the commit that it was put on, with upstream as it was on
that day. What comes out:

  same      the plan applies alone, and its tree is the maintainers' tree
  adapted   the plan applies alone; the maintainers' tree is another
  needs     the plan takes prerequisites; the maintainers' commit stands alone
  conflict  the plan leaves a conflict, which the maintainers resolved by hand
  held      the plan says the branch has it already

A backport is *plain* where git's pick of the upstream commit gives the maintainers' tree; whatever
the plan says of a plain one but *same* is its own mistake, and marked with ``!``. Of prerequisites
and follow-ups it is told how many the branch had, took later, or never took.

The worst are shown first: mistakes, then where the plan applies alone and nobody would look, then
the rest; each by the lines in which the two results differ. Where the plan has a tree, these are
the lines between its tree and the maintainers'; where it has none, the changed lines that only one
of the upstream commit and the backport has. The latter stand beside it (*by hand*): none means that
the maintainers made upstream's very change in other surroundings. Where a plain pick conflicts, it
is told with how many lines of context the upstream patch applies as it is (``git apply -C``), and
whether that gives the maintainers' tree.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench._patch_fit import Fit, fit
from bench.backport_truth import Backport, Upstream, backports_of, load
from uplift.backport.index import Index
from uplift.backport.model import Plan, Role
from uplift.backport.patches import changed_lines
from uplift.backport.pick import Picker, is_documentation, picking
from uplift.backport.place import open_workspace
from uplift.backport.plan import Options, plan
from uplift.backport.prerequisites import Limits
from uplift.backport.reachable import unreachable
from uplift.lab.git import Workspace
from uplift.lab.process import printable

_PATHS_SHOWN = 3


@dataclass(frozen=True)
class Difference:
    """Where two results differ: how many lines, in which files."""

    lines: int
    paths: tuple[str, ...]

    @property
    def documentation(self) -> bool:
        """Whether only people read the files that differ."""
        return bool(self.paths) and all(map(is_documentation, self.paths))


@dataclass(frozen=True)
class Replay:
    """One backport and what the plan said of it.

    :param mistaken: git's own pick gives the maintainers' tree, and the plan does not.
    :param by_hand: changed lines that only one of the upstream commit and the backport has.
    :param fits: what the upstream patch does alone, where the pick conflicts.
    :param needs: prerequisites of the plan; ``follows`` are its fixes and reverts.
    """

    backport: Backport
    subject: str
    outcome: str
    mistaken: bool
    differs: Difference
    by_hand: int
    fits: str
    needs: tuple[str, ...]
    follows: tuple[str, ...]
    told: str


class Carried:
    """Which upstream commits a branch took, and when, as its commits name them."""

    def __init__(self, workspace: Workspace, upstream: str, branches: Iterable[str]) -> None:
        known = Upstream(workspace, upstream)
        self._at: dict[str, dict[str, int]] = {}
        for branch in branches:
            taken = backports_of(workspace, known, upstream, branch)
            self._at[branch] = {one.upstream: n for n, one in reversed([*enumerate(taken)])}

    def when(self, backport: Backport, sha: str) -> str:
        """Say whether the branch took ``sha`` before the backport, after it, or never."""
        at = self._at[backport.branch]
        if sha not in at:
            return "never"
        return "before" if at[sha] < at.get(backport.upstream, 0) else "later"


def upstream_then(workspace: Workspace, upstream: str, backport: Backport) -> str:
    """Return upstream as it was when the backport was committed, if it had the commit then."""
    when = workspace.git("log", "-1", "--format=%ct", backport.sha, "--").decode().strip()
    options = ("rev-list", "-1", "--first-parent", f"--before={when}")
    tip = workspace.git(*options, upstream, "--").decode().strip()
    if not tip or unreachable(workspace, [backport.upstream], tip):
        return backport.upstream
    return tip


def replay(workspace: Workspace, index: Index, backport: Backport, upstream: str) -> Replay:
    """Plan one backport onto its own parent."""
    then = upstream_then(workspace, upstream, backport)
    onto, wanted = backport.parent, [backport.upstream]
    alone = Options(follow_ups=False, limits=Limits(seconds=10))
    made = plan(workspace, index, onto, wanted, then, alone)
    followed = plan(workspace, index, onto, wanted, then, Options(prerequisites=False))
    tree = workspace.git("rev-parse", "--verify", f"{backport.sha}^{{tree}}").decode().strip()
    with picking(workspace) as picker:
        picked = picker.pick(onto, backport.upstream)
        fits = "" if picked.clean else _fits(fit(picker, onto, backport.upstream), tree)
        by_hand = _by_hand(workspace, backport)
        differs = _differing(picker, backport, made, by_hand)
    outcome = _outcome(made, tree)
    commit = index.commit(backport.upstream)
    return Replay(
        backport,
        subject=printable(commit.subject) if commit else "",
        outcome=outcome,
        mistaken=picked.tree == tree and outcome != "same" and tree != _tree_of(workspace, onto),
        differs=differs,
        by_hand=by_hand,
        fits=fits,
        needs=_with_role(made, Role.PREREQUISITE),
        follows=_with_role(followed, Role.FOLLOW_UP),
        told=_told(made),
    )


def _fits(found: Fit | None, tree: str) -> str:
    if found is None:
        return "no"
    return f"context {found.context}, {'' if found.tree == tree else 'not '}the maintainers' tree"


def _tree_of(workspace: Workspace, commit: str) -> str:
    return workspace.git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()


def _with_role(made: Plan, role: Role) -> tuple[str, ...]:
    return tuple(commit.sha for commit in made.series if commit.role is role)


def _told(made: Plan) -> str:
    paths = sorted({f"{conflict.kind} {conflict.path}" for conflict in made.conflicts})
    held = [found.evidence[-1].text for found in made.present if found.evidence]
    return printable("; ".join([*paths, *held, *made.notes]))


def _outcome(made: Plan, tree: str) -> str:
    if made.present:
        return "held"
    if made.conflicts:
        return "conflict"
    if len(made.series) > 1:
        return "needs"
    return "same" if tree == made.tree else "adapted"


def _by_hand(workspace: Workspace, backport: Backport) -> int:
    changed = changed_lines(workspace, [backport.upstream, backport.sha])
    mine, theirs = (Counter(changed.get(s, ())) for s in (backport.upstream, backport.sha))
    return (mine - theirs).total() + (theirs - mine).total()


def _differing(picker: Picker, backport: Backport, made: Plan, by_hand: int) -> Difference:
    if made.conflicts or made.present:
        conflicts = picker.pick(backport.parent, backport.upstream).conflicts
        return Difference(by_hand, tuple(conflict.path for conflict in conflicts))
    picks = list(picker.series(made.onto, [commit.sha for commit in made.series]))
    return _of_trees(picker.workspace, picks[-1].tree, backport.sha)


def _of_trees(workspace: Workspace, ours: str, theirs: str) -> Difference:
    listed = workspace.git("diff-tree", "-r", "--numstat", "-M", ours, theirs)
    rows = [row.split(b"\t", 2) for row in listed.splitlines() if row.count(b"\t") >= 2]
    lines = sum(int(count) for row in rows for count in row[:2] if count.isdigit())
    return Difference(lines, tuple(row[2].decode("utf-8", "replace") for row in rows))


def summary(name: str, done: Sequence[Replay], carried: Carried, seconds: float) -> str:
    """Return the counts of one repository, a line for each question."""
    counts = Counter(one.outcome for one in done)
    shares = ", ".join(f"{kind} {n} ({n / len(done):.1%})" for kind, n in counts.most_common())
    unlike = Counter(one.outcome for one in done if one.differs.documentation)
    alike = Counter(one.outcome for one in done if one.outcome != "same" and not one.by_hand)
    fits = Counter(f"({one.fits})" for one in done if one.fits)
    wrong = sum(one.mistaken for one in done)
    return "\n".join(
        (
            f"{name}: {len(done)} backports, {seconds / len(done):.2f} s each: {shares}",
            f"  mistaken where a plain pick is the maintainers' tree: {wrong}",
            f"  different in documents only: {_counts(unlike)}",
            f"  by hand, with upstream's very lines: {_counts(alike)}",
            f"  where a pick conflicts, the patch alone: {_counts(fits)}",
            f"  prerequisites that the branch took: {_counts(_taken(done, carried, 'needs'))}",
            f"  follow-ups that the branch took: {_counts(_taken(done, carried, 'follows'))}",
        )
    )


def _taken(done: Iterable[Replay], carried: Carried, what: str) -> Counter[str]:
    return Counter(carried.when(one.backport, sha) for one in done for sha in getattr(one, what))


def _counts(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counter.items())) or "none"


def worst_first(done: Iterable[Replay]) -> list[Replay]:
    """Return the replays that disagree: mistakes, what is silent, the rest; by lines."""
    unlike = (one for one in done if one.outcome != "same")
    order = {"adapted": 0}
    return sorted(
        unlike, key=lambda one: (not one.mistaken, order.get(one.outcome, 1), -one.differs.lines)
    )


def shown(one: Replay, carried: Carried) -> str:
    """Return one replay, for a person to read on with git."""
    backport, mark = one.backport, "!" if one.mistaken else " "
    needs = [f"{sha[:12]} ({carried.when(backport, sha)})" for sha in one.needs]
    paths = [*one.differs.paths[:_PATHS_SHOWN], *["…"] * (len(one.differs.paths) > _PATHS_SHOWN)]
    lines = [
        f" {mark}{one.outcome:8} {one.differs.lines:6} {one.by_hand:6} {backport.branch}"
        f" {backport.sha[:12]} of {backport.upstream[:12]} {one.subject}",
        f"    differs: {printable(', '.join(paths))}",
    ]
    lines += [f"    patch alone: {one.fits}"] if one.fits else []
    lines += [f"    needs: {', '.join(needs)}"] if needs else []
    lines += [f"    told: {one.told[:400]}"] if one.told else []
    return "\n".join(lines)


def main() -> int:
    """Print the counts and the worst; 1 where a plan is mistaken."""
    arguments = _arguments()
    backports = list(load(arguments.truth).backports)
    if len(backports) > arguments.most:
        backports = random.Random(20261126).sample(backports, arguments.most)
    with (
        open_workspace([arguments.repository]) as workspace,
        Index.open(workspace) as index,
    ):
        names = sorted({one.branch for one in backports})
        carried = Carried(workspace, arguments.upstream, names)
        began = time.perf_counter()
        done = [replay(workspace, index, one, arguments.upstream) for one in backports]
        seconds = time.perf_counter() - began
    print(summary(str(arguments.repository), done, carried, seconds))
    for one in worst_first(done)[: arguments.show]:
        print(shown(one, carried))
    return 1 if any(one.mistaken for one in done) else 0


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
