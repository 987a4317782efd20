"""Everything that the rules look at, each part read once and only when a rule asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from uplift.backport.commit_text import read_commit
from uplift.backport.index import Index
from uplift.backport.lint.claims import Claim, claims_of, resolved
from uplift.backport.lint.hunks import Hunk, hunks_of
from uplift.backport.lint.model import (
    Finding,
    SeriesCommit,
    Severity,
    Submission,
    SupportedRelease,
)
from uplift.backport.lint.reasons import WHY
from uplift.backport.model import Commit
from uplift.backport.patches import Patch, read_patches
from uplift.backport.pick import Picker
from uplift.backport.profiles import Profile
from uplift.backport.reachable import reachable
from uplift.backport.titles import plain_title
from uplift.backport.tree_names import TreeNames, tree_names
from uplift.lab.git import MissingObject, Workspace


@dataclass
class Context:
    """One series, what it is measured against, and what is known of both.

    :param view: a quarantine over the repositories.
    :param upstream: full sha of mainline's tip; empty: not given.
    :param target: full sha of the tip of the branch it shall go to; empty: not given.
    :param series: names of the releases it is meant for.
    :param today: ISO 8601.
    """

    view: Workspace
    profile: Profile
    submission: Submission
    index: Index | None = None
    upstream: str = ""
    target: str = ""
    series: tuple[str, ...] = ()
    releases: tuple[SupportedRelease, ...] = ()
    today: str = ""
    _read: dict[str, Commit | None] = field(default_factory=dict)

    @property
    def commits(self) -> tuple[SeriesCommit, ...]:
        """The commits of the series."""
        return self.submission.commits

    @cached_property
    def picker(self) -> Picker:
        """Picks inside the quarantine."""
        return Picker(self.view)

    @cached_property
    def claims(self) -> dict[str, tuple[Claim, ...]]:
        """By the place of the commit: what it says it carries."""
        by_place = {c.place: self._own_claims(c) for c in self.commits}
        flat = resolved(self.view, [claim for claims in by_place.values() for claim in claims])
        left: Iterator[Claim] = iter(flat)
        return {place: tuple(next(left) for _ in claims) for place, claims in by_place.items()}

    def _own_claims(self, commit: SeriesCommit) -> tuple[Claim, ...]:
        claims = claims_of(commit, self.profile)
        if not claims or self.index is None or self.profile.provenance.place == "top":
            return claims
        inherited = {
            line.strip()
            for other in self.upstream_titled(commit.title)
            if other != commit.sha
            for line in self._lines_of(other)
        }
        return tuple(claim for claim in claims if claim.text not in inherited)

    def _lines_of(self, sha: str) -> Sequence[str]:
        found = self.commit(sha)
        return found.body.split("\n") if found else ()

    @cached_property
    def carried(self) -> dict[str, tuple[str, ...]]:
        """By the place of the commit: the upstream commits that it carries.

        Where no line says so, those of its title, author and time are meant.
        """
        return {
            commit.place: tuple(claim.sha for claim in self.claims[commit.place] if claim.sha)
            or self._silently(commit)
            for commit in self.commits
        }

    def _silently(self, commit: SeriesCommit) -> tuple[str, ...]:
        if self.claims[commit.place]:
            return ()
        for sha in self.upstream_titled(bare_title(commit.title)):
            other = self.commit(sha)
            if other and (other.author.email, other.author.time) == (
                commit.author.email,
                commit.author.time,
            ):
                return (sha,)
        return ()

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Every upstream commit that the series carries."""
        return tuple(dict.fromkeys(sha for shas in self.carried.values() for sha in shas))

    @cached_property
    def trees(self) -> TreeNames:
        """In which tree each of ``origins`` lies."""
        return tree_names(self.view, self.origins, self.upstream)

    @cached_property
    def _compared(self) -> tuple[str, ...]:
        """The commits of the series that carry something, and what they carry."""
        made = [commit.sha for commit in self.commits if commit.sha and self.carried[commit.place]]
        return tuple(dict.fromkeys([*made, *self.origins]))

    @cached_property
    def patches(self) -> dict[str, Patch]:
        """What each of these changes."""
        return {patch.sha: patch for patch in read_patches(self.view, self._compared)}

    @cached_property
    def hunks(self) -> dict[str, tuple[Hunk, ...]]:
        """Where each of these changes it."""
        return hunks_of(self.view, self._compared)

    def commit(self, sha: str) -> Commit | None:
        """Return an upstream commit, None where it is not there."""
        if sha not in self._read:
            try:
                kind, raw = self.view.objects.read(sha)
            except MissingObject:
                kind, raw = "", b""
            self._read[sha] = read_commit(sha, raw) if kind == "commit" else None
        return self._read[sha]

    def upstream_titled(self, title: str) -> tuple[str, ...]:
        """Return mainline's commits of that title; empty without an index or mainline."""
        if self.index is None or not self.upstream or not plain_title(title):
            return ()
        found = self.index.titled(title)
        if len(found) > 50:  # a title that says nothing ("Merge branch …")
            return ()
        return tuple(sorted(reachable(self.view, found, self.upstream))) if found else ()


def finding(  # noqa: PLR0913 - what a finding says
    rule: str,
    severity: Severity,
    commit: SeriesCommit,
    problem: str,
    fix: str,
    *,
    line: int = 0,
    detail: Sequence[str] = (),
) -> Finding:
    """Return a finding about one commit."""
    return Finding(
        rule,
        severity,
        problem,
        WHY[rule],
        fix,
        commit=commit.sha,
        place=commit.place,
        title=commit.title,
        line=line,
        quote=commit.lines[line - 1] if 0 < line <= len(commit.lines) else "",
        detail=tuple(detail),
    )


def about_series(
    rule: str, severity: Severity, problem: str, fix: str, detail: Sequence[str] = ()
) -> Finding:
    """Return a finding about the whole series."""
    return Finding(rule, severity, problem, WHY[rule], fix, detail=tuple(detail))


_TEAM = re.compile(
    r"^(?:(?:[A-Z]{3,}: )?(?:[A-Z]{2,}: )?SAUCE: "
    r"|(?:UBUNTU|NVIDIA): (?:\[\w+\]:? )?|\[(?:Config|Packaging|SAUCE)\]:? )"
)


def bare_title(title: str) -> str:
    """Return a title without the prefix of a team: ``UBUNTU: SAUCE: x`` is ``x``."""
    return _TEAM.sub("", title)
