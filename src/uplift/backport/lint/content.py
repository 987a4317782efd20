"""Rules about what a commit changes, next to the upstream commit that it says it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from uplift.backport.lint.claims import Claim, signatures
from uplift.backport.lint.context import Context, bare_title, finding
from uplift.backport.lint.hunks import belongs, moved, name_of
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import ReferenceKind
from uplift.backport.patches import Patch
from uplift.backport.range_diff import range_diff
from uplift.backport.titles import plain_title
from uplift.lab.git import RepositoryError

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_OTHER = 0.3  #: of the lines: below, and with another title, it is another commit
_MAX_FILE = 8 << 20  #: bytes


class Verdict(Enum):
    """What git's own pick of the upstream commit says."""

    SAME = "same"  #: it gives the very tree of the commit
    CHANGED = "changed"  #: it merges by itself, and the commit differs from that
    ADAPTED = "adapted"  #: it does not merge by itself


def content(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Compare a commit with what it says it carries."""
    claims = context.claims[commit.place]
    shas = context.carried[commit.place]
    if not commit.sha or not commit.parent or not shas or not all(claim.sha for claim in claims):
        return
    verdict = judge(context, commit, shas)
    line = claims[0].line if claims else 0
    if verdict is None:
        problem = f"{shas[0][:12]} cannot be picked for comparison: objects are missing"
        fix = "give a full clone of its repository"
        yield finding("not-checked", NOTE, commit, problem, fix, line=line)
        return
    yield from _compared(context, commit, claims, verdict)
    if len(shas) == 1:  # equal patch-ids tell nothing: git's own merge can misplace lines, too
        yield from _elsewhere(context, commit, shas[0], line)


def _compared(
    context: Context, commit: SeriesCommit, claims: Sequence[Claim], verdict: Verdict
) -> Iterator[Finding]:
    made = context.patches
    if not claims or not made.keys() >= {commit.sha, *(claim.sha for claim in claims)}:
        return
    if _equal(made, [claim.sha for claim in claims], commit.sha):
        return
    if verdict is Verdict.SAME:
        yield from _same(context, commit, claims)
    elif len(claims) == 1 and _is_other(context, commit, claims[0], made):
        yield _other(context, commit, claims[0])
    else:
        yield from _unmarked(context, commit, claims, verdict)


def _equal(made: Mapping[str, Patch], shas: Sequence[str], carried: str) -> bool:
    return len(shas) == 1 and made[shas[0]].patch_id == made[carried].patch_id


def judge(context: Context, commit: SeriesCommit, shas: Sequence[str]) -> Verdict | None:
    """Pick ``shas`` in turn onto the commit's parent; None where objects are missing."""
    try:
        tree = context.picker.tree_of(commit.parent)
    except RepositoryError:
        return None
    for sha in shas:
        picked = context.picker.pick(tree, sha)
        if picked.problem:
            return None
        if picked.conflicts:
            return Verdict.ADAPTED
        tree = picked.tree
    return Verdict.SAME if tree == commit.tree else Verdict.CHANGED


def _same(context: Context, commit: SeriesCommit, claims: Sequence[Claim]) -> Iterator[Finding]:
    picked = len(claims) == 1 and claims[0].kind is ReferenceKind.PICKED
    if context.profile.provenance.changed == "mark" and picked:
        problem = "it picks cleanly; the lines around the change differ from upstream's"
        fix = "nothing, where reviewers accept that; else mark it as backported"
        yield finding("context-differs", NOTE, commit, problem, fix, line=claims[0].line)


def _is_other(
    context: Context, commit: SeriesCommit, claim: Claim, made: Mapping[str, Patch]
) -> bool:
    origin = context.commit(claim.sha)
    if origin is None or _titles_agree(origin.subject, commit.title):
        return False
    theirs, mine = made[claim.sha], made[commit.sha]
    return max(theirs.similarity(mine), theirs.covered_by(mine), mine.covered_by(theirs)) < _OTHER


def _titles_agree(upstream: str, carried: str) -> bool:
    title, other = plain_title(upstream), plain_title(bare_title(carried))
    return title == other or title in other or (bool(other) and other in title)


def _other(context: Context, commit: SeriesCommit, claim: Claim) -> Finding:
    origin = context.commit(claim.sha)
    there = origin.subject if origin else ""
    same = context.upstream_titled(bare_title(commit.title))
    fix = f"the commit of this title is {same[0]}" if same else "look up the right sha"
    problem = f"{claim.sha[:12]} is another commit: “{there}”"
    detail = range_diff(context.view, claim.sha, commit.sha)
    return finding("sha-other", ERROR, commit, problem, fix, line=claim.line, detail=detail)


def _unmarked(
    context: Context, commit: SeriesCommit, claims: Sequence[Claim], verdict: Verdict
) -> Iterator[Finding]:
    claim, rules = claims[-1], context.profile.provenance
    if rules.changed == "free":
        return
    explained = _is_explained(commit, claim, rules.place)
    how = "does not merge by itself" if verdict is Verdict.ADAPTED else "merges to another tree"
    detail = () if len(claims) > 1 else range_diff(context.view, claim.sha, commit.sha)
    if rules.changed == "mark" and claim.kind is ReferenceKind.PICKED:
        tree = f" {claim.place}" if claim.place else ""
        problem = f"it is not what picking {claim.sha[:12]} gives: that {how}"
        fix = f"write {rules.backported.format(sha=claim.sha, tree=tree)}"
        fix += "" if explained else f" and {rules.note.format(name='name', what='what changed')}"
        yield finding(
            "content-differs", ERROR, commit, problem, fix, line=claim.line, detail=detail
        )
    elif not explained and not _same_lines(context, commit, claims):
        problem = f"the change differs from {claim.sha[:12]}, and no line says how"
        fix = f"add {rules.note.format(name='name', what='what changed and why')} below that line"
        yield finding(
            "change-unexplained", WARNING, commit, problem, fix, line=claim.line, detail=detail
        )


def _same_lines(context: Context, commit: SeriesCommit, claims: Sequence[Claim]) -> bool:
    made = context.patches
    same = made[claims[0].sha].counted == made[commit.sha].counted
    return context.profile.provenance.changed == "explain" and same


_NOTE_LINE = re.compile(r"\s*\[\s*(?!upstream commit)[^\[\]:]{1,80}:\s*\S", re.I)


def _is_explained(commit: SeriesCommit, claim: Claim, place: str) -> bool:
    """Whether a note in brackets stands below the line, above the signature that follows it."""
    first = claim.line
    if place == "top":
        signed = [number for number, _ in signatures(commit)]
        first = signed[0] - 1 if signed else first
    below = commit.lines[first:]
    return any(_NOTE_LINE.match(line) for line in below)


def _elsewhere(context: Context, commit: SeriesCommit, sha: str, line: int) -> Iterator[Finding]:
    pairs = moved(context.hunks.get(sha, ()), context.hunks.get(commit.sha, ()))
    for theirs, mine in pairs:
        if belongs(
            theirs,
            _lines(context, f"{sha}^", theirs.path),
            _lines(context, commit.parent, mine.path),
        ):
            names = name_of(theirs.function), name_of(mine.function)
            problem = f"{mine.path}: lines that upstream changes in {names[0]} stand in {names[1]}"
            fix = f"move them into {names[0]}, or say why they belong into {names[1]}"
            lines = [f"in {mine.function}:", *mine.lines[:20]]
            yield finding("hunk-elsewhere", WARNING, commit, problem, fix, line=line, detail=lines)
            return


def _lines(context: Context, commit: str, path: str) -> list[str]:
    try:
        text = context.view.objects.read(f"{commit}:{path}", _MAX_FILE)[1]
    except RepositoryError:
        return []
    return text.decode("utf-8", "replace").split("\n")
