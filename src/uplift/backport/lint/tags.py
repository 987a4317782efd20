"""Rules about the message of one commit: provenance line, bug link, prefix. No repository."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.backport.lint.claims import Claim, signatures
from uplift.backport.lint.context import Context, bare_title, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import ReferenceKind
from uplift.backport.profiles import Profile
from uplift.backport.trailers import reverted_title

ERROR, WARNING = Severity.ERROR, Severity.WARNING


def provenance(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a provenance line that is missing, malformed or misplaced."""
    claims = context.claims[commit.place]
    if not claims:
        yield from _missing(context, commit)
    for claim in claims:
        yield from _malformed(context.profile, commit, claim)
        yield from _misplaced(context.profile, commit, claim)


def _missing(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    rules = context.profile.provenance
    if not rules.required or rules.place == "dep3" or not commit.title:
        return
    if context.profile.is_own(commit.title) or reverted_title(commit.title):
        return
    if any(re.match(pattern, commit.title) for pattern in context.profile.subject.foreign):
        return
    same = context.upstream_titled(bare_title(commit.title))
    if rules.local and not same:
        return
    if same:
        problem = f"no provenance line, though upstream has this commit: {same[0][:12]}"
        fix = f"add {rules.picked.format(sha=same[0], tree='')}"
    else:
        problem = "no provenance line, and no prefix that says the change is the team's own"
        own = context.profile.subject.own
        fix = f"add {rules.picked.format(sha='SHA', tree='')}"
        fix += f', or "{own.strip()}" where it is not upstream' if own else ""
    yield finding("tag-missing", ERROR, commit, problem, fix)


_SHORT = re.compile(r"\b[0-9a-f]{4,39}\b")


def _malformed(profile: Profile, commit: SeriesCommit, claim: Claim) -> Iterator[Finding]:
    patterns = (*profile.forms, *profile.also)
    if not patterns or any(pattern.fullmatch(claim.text.strip()) for pattern in patterns):
        return
    rules = profile.provenance
    form = rules.backported if claim.kind is ReferenceKind.BACKPORTED else rules.picked
    sha = claim.sha or (claim.named if len(claim.named) >= 40 else "SHA")
    tree = f" {claim.place}" if claim.place and rules.name_tree and " " not in claim.place else ""
    yield finding(
        "tag-form",
        ERROR,
        commit,
        f"the provenance line is not of the wanted form: {_deviation(claim)}",
        f"write {form.format(sha=sha, tree=tree)}",
        line=claim.line,
    )


def _deviation(claim: Claim) -> str:
    text, named = claim.text, claim.named
    tests = (
        (re.search(r"(?i)cherry[-_]pick", text), "hyphen in “cherry picked”"),
        (not named, "it names no commit"),
        (len(named) < 40, f"the sha has {len(named)} digits instead of 40"),
        (not re.search(r"\bcommit\b", text), "the word “commit” is missing"),
        (
            re.search(rf"(?i){named}\s+(?:in|from|of)\s", text),
            "only the tree's name follows the sha",
        ),
        (
            text[:1] not in ("(", "[") or text[-1:] not in (")", "]"),
            "its brackets are missing, or it is not alone on its line",
        ),
    )
    return next((told for found, told in tests if found), "spelling")


def _misplaced(profile: Profile, commit: SeriesCommit, claim: Claim) -> Iterator[Finding]:
    if profile.provenance.place != "before-signoff" or profile.signoff.by == "nobody":
        return
    if any(pattern.fullmatch(claim.text) for pattern in profile.also):
        return
    signed = [number for number, _ in signatures(commit)]
    if signed and signed[-1] < claim.line:
        yield finding(
            "tag-place",
            ERROR,
            commit,
            "no Signed-off-by stands below the provenance line",
            "put the line above your own Signed-off-by",
            line=claim.line,
        )


def bug_link(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a bug link that is missing, of the long form, or not the first text."""
    rules = context.profile.bug
    if not rules.key or context.profile.provenance.place == "dep3":
        return
    pattern = re.compile(rf"(?i)\s*{re.escape(rules.key)}\s*:\s*(\S*)")
    links = [(n, m[1]) for n, line in enumerate(commit.lines, 1) if (m := pattern.match(line))]
    if not links and rules.required and not _instead(context.profile, commit):
        fix = f"add {rules.line.format(bug='NUMBER')} below the title"
        yield finding("bug-missing", ERROR, commit, f"no {rules.key}", fix)
    yield from (
        finding(
            "bug-form",
            ERROR,
            commit,
            f"the address after {rules.key} is not of the short form",
            f"write {rules.line.format(bug=_number(address))}",
            line=number,
        )
        for number, address in links
        if not re.fullmatch(rules.form, address)
    )
    if links and links[0][0] != _first_text(commit):
        fix = "put it right below the title, with an empty line before and after"
        yield finding(
            "bug-place", WARNING, commit, f"{rules.key} is not first", fix, line=links[0][0]
        )


def _first_text(commit: SeriesCommit) -> int:
    return next((n for n, line in enumerate(commit.lines, 1) if n > 1 and line.strip()), 0)


def _instead(profile: Profile, commit: SeriesCommit) -> bool:
    pattern = profile.bug.instead
    return bool(pattern) and any(re.fullmatch(pattern, line.strip()) for line in commit.lines)


def _number(address: str) -> str:
    found = re.search(r"(\d{4,})\W*$", address)
    return found[1] if found else "NUMBER"


def prefix(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find the prefix of another team, and one that the provenance line contradicts."""
    subject = context.profile.subject
    own = subject.own.strip()
    foreign = next((p for p in subject.foreign if re.match(p, commit.title)), None)
    if foreign and not context.profile.is_own(commit.title):
        fix = f'write "{own} {bare_title(commit.title)}"' if own else "take it off"
        yield finding("prefix", ERROR, commit, "the title has another team's prefix", fix, line=1)
    elif own and commit.title.startswith(own) and _is_upstream(context, commit):
        problem = "the prefix says the change is not upstream, the provenance line says it is"
        fix = "take the prefix off, or name the tree that the commit is in"
        yield finding("prefix", ERROR, commit, problem, fix, line=1)


def _is_upstream(context: Context, commit: SeriesCommit) -> bool:
    claims = context.claims[commit.place]
    return bool(claims) and all(
        claim.sha and not claim.place and context.trees.of(claim.sha) == "" for claim in claims
    )


def unfinished(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find what is left to be done by a person."""
    for number, line in enumerate(commit.lines, 1):
        if "TO WRITE:" in line or (number == 1 and line.startswith("CONFLICT: ")):
            fix = "do what the line says and take it out"
            yield finding("unfinished", ERROR, commit, "something is left to do", fix, line=number)
            return
