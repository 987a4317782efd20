"""Rules about who signed a commit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.backport.lint.claims import signatures
from uplift.backport.lint.context import Context, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import Person

ERROR, WARNING = Severity.ERROR, Severity.WARNING


def signed(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find a signature that is missing, not the sender's, or not last."""
    wanted = context.profile.signoff.by
    if wanted == "nobody":
        return
    found = signatures(commit)
    who = commit.sender
    if not found:
        if wanted == "sender" or _had_one(context, commit):
            fix = f"add Signed-off-by: {who.name} <{who.email}>"
            yield finding("signoff-missing", ERROR, commit, "no Signed-off-by", fix)
        return
    if wanted == "sender":
        yield from _by_sender(context, commit, found)


def _had_one(context: Context, commit: SeriesCommit) -> bool:
    """Whether what the commit carries was signed; a branch's own commits need not be."""
    carried = [context.commit(sha) for sha in context.carried[commit.place]]
    return any(re.search(r"(?im)^signed-off-by:", c.body) for c in carried if c)


def _by_sender(
    context: Context, commit: SeriesCommit, found: tuple[tuple[int, str], ...]
) -> Iterator[Finding]:
    who = commit.sender
    number, line = found[-1]
    mine = [n for n, text in found if is_by(text, who)]
    add = f"add Signed-off-by: {who.name} <{who.email}> as the last line"
    if not mine:
        problem = f"{who.name or who.email} sends it and did not sign it"
        yield finding("signoff-sender", ERROR, commit, problem, add, line=number)
    elif not is_by(line, who):
        problem = "the last Signed-off-by is not the sender's"
        yield finding("signoff-sender", WARNING, commit, problem, add, line=number)
    elif context.profile.signoff.last and number != len(commit.lines):
        problem = "Signed-off-by is not the last line"
        fix = "put what stands below it above it"
        yield finding("signoff-last", WARNING, commit, problem, fix, line=len(commit.lines))


def is_by(line: str, who: Person) -> bool:
    """Whether a signature is that of ``who``, by address or by name."""
    found = re.match(r"(?i)\s*signed-off-by:\s*([^<]*)<?([^>]*)", line)
    if not found:
        return False
    name, email = " ".join(found[1].split()).casefold(), found[2].strip().casefold()
    return email == who.email.casefold() or (bool(name) and name == who.name.casefold())


def lost(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find signatures of the upstream commit that are gone."""
    claims = context.claims[commit.place]
    if not context.profile.signoff.keep or len(claims) != 1 or not signatures(commit):
        return
    origin = context.commit(claims[0].sha) if claims[0].sha else None
    if origin is None:
        return
    here = {_levelled(line) for line in commit.lines}
    gone = [
        line.strip()
        for line in origin.body.split("\n")
        if re.match(r"(?i)signed-off-by:", line) and _levelled(line) not in here
    ]
    if gone:
        problem = "signatures of the original are missing"
        fix = "pick it anew, or put them back above the provenance line"
        yield finding("signoff-lost", WARNING, commit, problem, fix, detail=gone)


def _levelled(line: str) -> str:
    return " ".join(line.split()).casefold()
