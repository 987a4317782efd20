"""Rules about the upstream commits that a series names: do they exist, where, in what order?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from uplift.backport.lint.claims import Claim
from uplift.backport.lint.content import Verdict, judge
from uplift.backport.lint.context import Context, bare_title, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import ReferenceKind
from uplift.backport.patches import read_patches
from uplift.backport.reachable import reachable, unreachable
from uplift.backport.tree_names import NEXT, tree_name

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_ALIKE = 0.5  #: of the lines: the same change, adapted
_PAIRS = 2000  #: pairs of commits whose order is compared


def exists(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a sha that no repository has."""
    for claim in context.claims[commit.place]:
        if claim.sha or not claim.named:
            continue
        if claim.place and context.profile.provenance.name_tree:
            problem = f"{claim.named[:12]} of {claim.place} is in none of the repositories"
            fix = "give that repository, too"
            yield finding("not-checked", NOTE, commit, problem, fix, line=claim.line)
        elif context.upstream:
            yield _unknown(context, commit, claim)


def _unknown(context: Context, commit: SeriesCommit, claim: Claim) -> Finding:
    same = context.upstream_titled(bare_title(commit.title))
    fix = f"upstream's commit of this title is {same[0]}" if same else "look up the right sha"
    certain = context.profile.provenance.required
    problem = f"no repository has a commit {claim.named[:16]}"
    severity = ERROR if certain else WARNING
    return finding("sha-unknown", severity, commit, problem, fix, line=claim.line)


def tree(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a tree that is not named and should be, or the other way round."""
    if not context.profile.provenance.name_tree or not context.upstream:
        return
    for claim in context.claims[commit.place]:
        if claim.sha and claim.kind is not ReferenceKind.UPSTREAM:
            yield from _tree(context, commit, claim)


def _tree(context: Context, commit: SeriesCommit, claim: Claim) -> Iterator[Finding]:
    name = context.trees.of(claim.sha)
    if name == "" and claim.place:
        if tree_name(f"refs/heads/{claim.place}") or claim.place in (NEXT, "linux-stable"):
            problem = f"the commit is in mainline; {claim.place} need not be named"
            fix = f"take {claim.place} off"
            yield finding("tree-needless", WARNING, commit, problem, fix, line=claim.line)
    elif name != "" and not claim.place:
        tree = name or "the git address or SERIES:SOURCE that it was taken from"
        problem = f"{claim.sha[:12]} is not in mainline, and no tree is named"
        fix = f"put {tree} after the sha"
        yield finding("tree-not-named", ERROR, commit, problem, fix, line=claim.line)
    elif name and claim.place != name and tree_name(f"refs/heads/{claim.place}"):
        problem = f"{claim.sha[:12]} is in {name}, not in {claim.place}"
        yield finding("tree-not-named", WARNING, commit, problem, f"write {name}", line=claim.line)


def now_upstream(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a commit that was taken from elsewhere, or is the team's own, and is upstream now."""
    if context.index is None or not context.upstream or not context.profile.provenance.required:
        return
    claims = context.claims[commit.place]
    if any(claim.sha and context.trees.of(claim.sha) == "" for claim in claims):
        return
    own = context.profile.is_own(commit.title) and bare_title(commit.title) != commit.title
    if not own and not any(claim.sha or claim.place for claim in claims):
        return
    title = bare_title(commit.title)
    there = [(sha, "mainline") for sha in context.upstream_titled(title)]
    if own and not there:
        there = [(sha, NEXT) for sha in _in_next(context, title)]
    for sha, where in there:
        if sha != commit.sha and _same(context, commit, sha):
            rules = context.profile.provenance
            line = rules.picked.format(sha=sha, tree="" if where == "mainline" else f" {where}")
            fix = f"pick it anew, with {line}"
            problem = f"this commit is in {where} now: {sha[:12]}"
            yield finding("now-upstream", ERROR, commit, problem, fix)
            return


def _in_next(context: Context, title: str) -> Iterator[str]:
    assert context.index is not None
    tips = [sha for ref, sha in context.view.refs().items() if tree_name(ref) == NEXT]
    found = context.index.titled(title)
    for tip in tips if len(found) <= 50 else ():
        yield from sorted(reachable(context.view, found, tip))


def _same(context: Context, commit: SeriesCommit, sha: str) -> bool:
    other = context.commit(sha)
    if other is None:
        return False
    if other.author.email.casefold() == commit.author.email.casefold() or not commit.sha:
        return True
    made = {patch.sha: patch for patch in read_patches(context.view, [sha, commit.sha])}
    return len(made) == 2 and made[sha].similarity(made[commit.sha]) >= _ALIKE


def twice(context: Context) -> Iterator[Finding]:
    """Find an upstream commit that two commits say they are."""
    first: dict[str, SeriesCommit] = {}
    for commit in context.commits:
        if context.profile.split.paths and commit.title.startswith(context.profile.subject.config):
            continue
        for claim in context.claims[commit.place]:
            other = first.get(claim.sha)
            if other and other is not commit and other.title == commit.title:
                problem = f"{claim.sha[:12]} is carried by {other.place}, too"
                fix = "leave one out, or say which part each carries"
                yield finding("duplicate", WARNING, commit, problem, fix, line=claim.line)
            elif claim.sha:
                first[claim.sha] = commit


def order(context: Context) -> Iterator[Finding]:
    """Find commits that touch the same lines and stand in another order than upstream."""
    carried = [
        (commit, context.carried[commit.place][0])
        for commit in context.commits
        if len(context.carried[commit.place]) == 1 and commit.sha
    ]
    pairs = [
        (before, after)
        for before, after in combinations(carried, 2)
        if before[1] != after[1] and not set(before[0].paths).isdisjoint(after[0].paths)
    ][:_PAIRS]
    told: set[str] = set()
    for sha in dict.fromkeys(before[1] for before, _ in pairs):
        afters = {after[1]: (before[0], after[0]) for before, after in pairs if before[1] == sha}
        swapped = set(afters) - unreachable(context.view, afters, sha)
        for other in sorted(swapped - told):
            told.add(other)
            yield _swapped(context, sha, *afters[other])


def _swapped(context: Context, sha: str, first: SeriesCommit, second: SeriesCommit) -> Finding:
    """Weigh a pair: where git picks the first as it is, the order did no harm."""
    harmless = judge(context, first, [sha]) is Verdict.SAME
    harmless = harmless or context.picker.pick(first.parent, second.sha).clean
    problem = f"upstream has it before {sha[:12]}, which comes first here"
    problem += "" if harmless else "; both change the same lines, and that one is adapted"
    fix = f"put it before {first.place}"
    wanted = context.profile.series.upstream_order and not harmless
    return finding("order", WARNING if wanted else NOTE, second, problem, fix)
