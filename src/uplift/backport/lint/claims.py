"""Which upstream commit each commit of a series says it is, and how it says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uplift.backport.lint.model import SeriesCommit
from uplift.backport.model import Reference, ReferenceKind
from uplift.backport.profiles import Profile
from uplift.lab.git import Workspace

_PICKS = frozenset({ReferenceKind.PICKED, ReferenceKind.BACKPORTED})
_TOP = 8  #: lines of a message in which a line "above the text" is looked for
_SIGNED = re.compile(r"(?i)^\s*signed-off-by:")
_LOOKS_LIKE = re.compile(
    r"(?i)^\s*[(\[]?\s*(?:ch\w{2,6}y[\s_-]{0,3}pick\w*|back[\s_-]?ported)\b[\s_-]*"
    r"(?:from|of|commit)\b|^\s*[(\[]\s*(?:ch\w{2,6}y[\s_-]{0,3}pick|back[\s_-]?port)"
)


@dataclass(frozen=True)
class Claim:
    """One provenance line.

    :param text: the line, or several lines of one bracket joined.
    :param named: the sha as written; empty where the line names none that can be read.
    :param sha: what it resolves to; empty where no such commit is in the repositories.
    """

    kind: ReferenceKind
    text: str
    line: int
    named: str
    place: str = ""
    sha: str = ""


def claims_of(commit: SeriesCommit, profile: Profile) -> tuple[Claim, ...]:
    """Return the claims that count for ``profile``: several where commits were squashed.

    Lines that came with the upstream message (a pick from a maintainer's tree inside it) do not
    count: above the sender's signature the last ones do, at the top the first.
    """
    found = [_claim(commit, ref) for ref in commit.references if ref.kind in _PICKS or _tops(ref)]
    if profile.provenance.place == "top":
        above = (claim for claim in found if claim.line <= _TOP and not _signed(commit, claim))
        return _named_once(above)
    picks = [claim for claim in found if claim.kind in _PICKS]
    picks += list(_unreadable(commit, picks))
    own = _last_group(commit, sorted(picks, key=lambda claim: claim.line))
    if own:
        return own
    also = [claim for claim in found if _matches(profile.also, claim.text)]
    return tuple(also[:1])


def _named_once(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Leave out what names the commit of a line above it once more."""
    kept: list[Claim] = []
    for claim in claims:
        if not any(other.named.startswith(claim.named) for other in kept):
            kept.append(claim)
    return tuple(kept)


def _tops(reference: Reference) -> bool:
    return reference.kind is ReferenceKind.UPSTREAM


def _claim(commit: SeriesCommit, reference: Reference) -> Claim:
    text = commit.lines[reference.line - 1] if reference.line <= len(commit.lines) else ""
    start = reference.line
    while start > 1 and not re.match(r"\s*[(\[]", commit.lines[start - 1]) and ")" in text:
        if not commit.lines[start - 2].strip() or reference.line - start >= 2:
            start = reference.line
            break
        start -= 1
    whole = " ".join(line.strip() for line in commit.lines[start - 1 : reference.line])
    return Claim(reference.kind, whole.strip(), start, reference.named, reference.place)


def _unreadable(commit: SeriesCommit, known: Sequence[Claim]) -> Iterator[Claim]:
    """Yield lines that mean to be a claim and name no commit."""
    taken = {claim.line for claim in known}
    for number, line in enumerate(commit.lines, 1):
        if number > 2 and number not in taken and _LOOKS_LIKE.match(line):
            back = "back" in line.lower()
            kind = ReferenceKind.BACKPORTED if back else ReferenceKind.PICKED
            if not re.search(r"https?://", line):
                yield Claim(kind, line.strip(), number, "")


def _signed(commit: SeriesCommit, claim: Claim) -> bool:
    return any(_SIGNED.match(line) for line in commit.lines[: claim.line])


def _last_group(commit: SeriesCommit, picks: Sequence[Claim]) -> tuple[Claim, ...]:
    """Return the last claim and those before it with no signature between."""
    group: list[Claim] = []
    for claim in reversed(picks):
        below = group[-1].line if group else claim.line
        if any(_SIGNED.match(line) for line in commit.lines[claim.line : below - 1]):
            break
        group.append(claim)
    return tuple(reversed(group))


def _matches(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return any(pattern.fullmatch(text.strip()) for pattern in patterns)


def resolved(workspace: Workspace, claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Return ``claims`` with the full shas of those commits that the repositories hold."""
    names = [claim.named for claim in claims]
    asked = "".join(f"{name or '-'}^{{commit}}\n" for name in names)
    answer = workspace.git("cat-file", "--batch-check", stdin=asked.encode()) if names else b""
    lines = [line for line in answer.decode("ascii", "replace").splitlines() if line[:1] != " "]
    found = iter(_answers(lines))
    return tuple(replace(claim, sha=next(found, "")) for claim in claims)


def _answers(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[1] == "commit":
            yield words[0]
        elif words and words[-1] in ("missing", "ambiguous"):
            yield ""


def signatures(commit: SeriesCommit) -> tuple[tuple[int, str], ...]:
    """Return the lines with ``Signed-off-by:``, with their numbers."""
    return tuple((n, line) for n, line in enumerate(commit.lines, 1) if _SIGNED.match(line))
