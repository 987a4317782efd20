"""Rules about what a series lacks: later fixes, reverts, stated prerequisites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from uplift.backport.follow_ups import FollowUp, FollowUpKind, follow_ups
from uplift.backport.lint.context import Context, bare_title, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import State
from uplift.backport.patches import changed_lines
from uplift.backport.pick import is_documentation
from uplift.backport.presence import presences
from uplift.backport.titles import plain_title

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_THERE = (State.PRESENT, State.REVERTED)


def follow(context: Context) -> Iterator[Finding]:
    """Find upstream's fixes and reverts of what the series carries."""
    if context.index is None or not context.upstream or not context.origins:
        return
    found = [
        item
        for item in follow_ups(context.index, context.origins, context.upstream)
        if item.kind is not FollowUpKind.MENTION
    ]
    roots = _roots(context, found)
    lacking = [item for item in found if not _carried(context, item.sha)]
    states = _states(context, [item.sha for item in lacking])
    for item in lacking:
        if states[item.sha] not in _THERE:
            yield _lacking(context, item, roots[item.sha], states[item.sha])


def _states(context: Context, shas: Sequence[str]) -> dict[str, State]:
    """Return where commits stand on the branch, the series included where it is known."""
    if not shas or context.index is None:
        return {}
    tip = context.submission.tip
    known = context.index.known([tip])
    branch = context.target or (tip if known else context.submission.base)
    found = presences(context.view, context.index, branch, shas, context.upstream)
    return {presence.sha: presence.state for presence in found}


def _carried(context: Context, sha: str) -> bool:
    if sha in context.origins:
        return True
    upstream = context.commit(sha)
    title = plain_title(upstream.subject) if upstream else ""
    return any(plain_title(bare_title(commit.title)) == title for commit in context.commits)


def _lacking(context: Context, item: FollowUp, root: str, state: State) -> Finding:
    commit = next(c for c in context.commits if root in context.carried[c.place])
    upstream = context.commit(item.sha)
    title = upstream.subject if upstream else ""
    revert = item.kind is FollowUpKind.REVERT
    told = "upstream reverted it" if revert else "upstream's fix is missing"
    fix = "leave both out, or say why the branch differs" if revert else f"add {item.sha}"
    detail = [f"{item.sha[:12]}: {item.reason}", f"on the branch: {state.value}"]
    if item.for_commit != root:
        detail.append(f"it follows {item.for_commit[:12]}, which follows {root[:12]}")
    severity = ERROR if state is State.ABSENT else WARNING
    return finding(
        "reverted-upstream" if revert else "fix-missing",
        NOTE if not revert and _only_words(context, item.sha) else severity,
        commit,
        f"{told}: {item.sha[:12]} “{title}”",
        fix,
        detail=detail,
    )


_COMMENT = re.compile(
    r"^[+-]\s*(?:$|/\*|\*(?:[\s/]|$)|//|#(?!\s*(?:if|el|en|de|un|in|pr|er))|--\s)"
)


def _only_words(context: Context, sha: str) -> bool:
    """Whether a fix changes documents and comments only."""
    if context.index is None:
        return False
    paths = [path.decode("utf-8", "replace") for path in context.index.paths_of(sha)]
    if paths and all(map(is_documentation, paths)):
        return True
    lines = changed_lines(context.view, [sha]).get(sha, ())
    return bool(lines) and all(map(_COMMENT.match, lines))


def _roots(context: Context, found: Sequence[FollowUp]) -> dict[str, str]:
    """Return, for each follow-up, the commit of the series from which the chain begins."""
    above = {item.sha: item.for_commit for item in found}
    roots = {}
    for item in found:
        at = item.for_commit
        while at not in context.origins:
            at = above[at]
        roots[item.sha] = at
    return roots


_STABLE = re.compile(
    r"(?im)^\s*cc:\s*<?stable@[^>\s]{0,80}>?\s*#[^\n]{0,100}?:\s*([0-9a-f]{7,40})\s*:\s*([^\n]{0,300})$"
)
_NEEDS = re.compile(
    r"(?im)^\s*(?:depends[- ]on|prerequisite|requires)(?:[- ](?:patch|commit))?:?\s+"
    r"(?:commit\s+)?([0-9a-f]{12,40})\b(?:\s*\(?[\"“](.*?)[\"”])?"
)


def prerequisites(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find what the upstream message says must come before, and neither branch nor series has."""
    if context.index is None or not context.upstream:
        return
    for carried in context.carried[commit.place]:
        origin = context.commit(carried)
        if origin is None:
            continue
        named = [*_STABLE.findall(origin.body), *_NEEDS.findall(origin.body)]
        shas = {context.index.expand(sha.lower()): title for sha, title in named}
        lacking = [sha for sha in shas if sha and not _carried(context, sha)]
        for sha, state in _states(context, lacking).items():
            if state not in _THERE:
                title = shas[sha] or getattr(context.commit(sha), "subject", "")
                problem = f"upstream says it needs {sha[:12]} “{title}”, which is missing"
                fix = f"put {sha} before it"
                yield finding("prerequisite-missing", ERROR, commit, problem, fix)
