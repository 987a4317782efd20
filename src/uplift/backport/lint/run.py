"""All rules on one series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from uplift.backport.index import Index
from uplift.backport.lint import (
    content,
    cover,
    debian,
    missing,
    mixture,
    origins,
    signoffs,
    symbols,
    tags,
    target,
)
from uplift.backport.lint.context import Context, about_series
from uplift.backport.lint.model import (
    Finding,
    SeriesCommit,
    Severity,
    Submission,
    SupportedRelease,
)
from uplift.backport.lint.read_mail import read_mails
from uplift.backport.lint.read_range import read_range
from uplift.backport.profiles import Profile
from uplift.lab.git import Workspace

OF_COMMIT: tuple[Callable[[Context, SeriesCommit], Iterator[Finding]], ...] = (
    tags.prefix,
    tags.bug_link,
    tags.provenance,
    origins.exists,
    origins.tree,
    origins.now_upstream,
    content.content,
    signoffs.signed,
    signoffs.lost,
    mixture.mixed,
    missing.prerequisites,
    tags.unfinished,
    debian.patches,
)
OF_SERIES: tuple[Callable[[Context], Iterator[Finding]], ...] = (
    target.applies,
    target.subjects,
    target.uncovered,
    cover.cover,
    cover.size,
    mixture.missing,
    origins.twice,
    origins.order,
    missing.follow,
    symbols.lacking,
)
_WEIGHT = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


@dataclass(frozen=True)
class Against:
    """What a series is measured against.

    :param upstream: a branch or commit: mainline; empty: what needs it is not looked at.
    :param target: a branch: where the series shall go; empty: its own base.
    :param series: names of the releases that it is for: ``noble``, ``22.11``.
    :param releases: the distribution's releases.
    :param today: decides which of them are supported.
    """

    upstream: str = ""
    target: str = ""
    series: tuple[str, ...] = ()
    releases: tuple[SupportedRelease, ...] = ()
    today: date | None = None


def lint_range(  # noqa: PLR0913 - a range, its text, and what it is measured against
    workspace: Workspace,
    index: Index | None,
    base: str,
    tip: str,
    profile: Profile,
    against: Against | None = None,
    *,
    cover_text: str = "",
) -> tuple[Finding, ...]:
    """Check what ``tip`` adds to ``base`` (any names of commits).

    :param index: of the same workspace; without it some rules are not looked at.
    :raises RepositoryError: a name is no commit.
    """
    with workspace.quarantine() as view:
        shas = view.resolve(base), view.resolve(tip)
        submission = read_range(view, *shas, cover_text)
        return lint(view, index, submission, profile, against or Against())


def lint_mails(
    workspace: Workspace,
    index: Index | None,
    base: str,
    paths: Sequence[Path],
    profile: Profile,
    against: Against | None = None,
) -> tuple[Finding, ...]:
    """Check a series of mails that shall apply to ``base``.

    :raises UpliftError: ``base`` is no commit, or a file cannot be read.
    """
    with workspace.quarantine() as view:
        submission = read_mails(view, view.resolve(base), paths)
        return lint(view, index, submission, profile, against or Against())


def lint(
    view: Workspace, index: Index | None, submission: Submission, profile: Profile, against: Against
) -> tuple[Finding, ...]:
    """Check a submission inside ``view``, a quarantine; the worst findings come first."""
    context = Context(
        view,
        profile,
        submission,
        index,
        upstream=view.resolve(against.upstream) if against.upstream else "",
        target=view.resolve(against.target) if against.target else "",
        series=against.series,
        releases=against.releases,
        today=(against.today or date.today()).isoformat(),
    )
    return tuple(sorted(dict.fromkeys(_all(context)), key=_weight(submission)))


def _all(context: Context) -> Iterator[Finding]:
    yield from _not_looked_at(context)
    for rule in OF_SERIES:
        yield from rule(context)
    for commit in context.commits:
        for check in OF_COMMIT:
            yield from check(context, commit)


def _not_looked_at(context: Context) -> Iterator[Finding]:
    if not context.upstream:
        fix = "name upstream's branch"
        problem = "fixes, order and origin were not looked at: no upstream is given"
        yield about_series("not-checked", Severity.NOTE, problem, fix)
    elif context.index is None:
        problem = "fixes and titles were not looked at: there is no index"
        yield about_series("not-checked", Severity.NOTE, problem, "make the index first")


def _weight(submission: Submission) -> Callable[[Finding], tuple[int, int, int]]:
    places = {commit.place: number for number, commit in enumerate(submission.commits)}

    def weigh(found: Finding) -> tuple[int, int, int]:
        return _WEIGHT[found.severity], places.get(found.place, -1), found.line

    return weigh
