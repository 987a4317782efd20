"""Rules about where a series goes: the branch, the release, the newer releases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from uplift.backport.lint.context import Context, about_series, finding
from uplift.backport.lint.model import (
    Finding,
    SeriesCommit,
    Severity,
    SupportedRelease,
)
from uplift.backport.reachable import listed, unreachable
from uplift.lab.git import RepositoryError

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_BRANCHES = 40  #: branches on which a series that does not apply is tried
_SHOWN = 10


def applies(context: Context) -> Iterator[Finding]:
    """Find what does not apply: mails to the base, commits to the tip of their branch."""
    failed = next((commit for commit in context.commits if commit.failure), None)
    if failed:
        problem = f"it does not apply: {failed.failure}"
        fix = "make it anew on the tip of the branch; look for a commit that it needs"
        yield finding("does-not-apply", ERROR, failed, problem, fix)
    elif context.target and context.target != context.submission.base:
        yield from _onto_target(context)


def _onto_target(context: Context) -> Iterator[Finding]:
    made = [commit for commit in context.commits if commit.sha]
    foreign = listed(context.view, [context.submission.base], [context.target])
    if foreign:
        problem = f"the series stands on {len(foreign)} commits that the branch does not have"
        fix = "make it anew on the tip of that branch"
        yield about_series("wrong-branch", ERROR, problem, fix, _subjects(context, foreign))
    elsewhere = _first_conflict(context, context.target, made)
    if elsewhere is not None:
        commit, paths = elsewhere
        others = "" if not foreign else _suitable(context, made)
        problem = f"it does not apply to the branch: {', '.join(paths[:3])}"
        fix = f"it applies to {others}" if others else "make it anew on the tip of the branch"
        yield finding("does-not-apply", ERROR, commit, problem, fix)


def _subjects(context: Context, shas: Sequence[str]) -> list[str]:
    found = [(sha, context.commit(sha)) for sha in shas[:_SHOWN]]
    return [f"{sha[:12]} {commit.subject}" for sha, commit in found if commit]


def _first_conflict(
    context: Context, onto: str, commits: Sequence[SeriesCommit]
) -> tuple[SeriesCommit, list[str]] | None:
    try:
        tree = context.picker.tree_of(onto)
    except RepositoryError:
        return None
    for commit in commits:
        picked = context.picker.pick(tree, commit.sha)
        if picked.conflicts:
            return commit, [conflict.path for conflict in picked.conflicts]
        tree = picked.tree or tree
    return None


def _suitable(context: Context, commits: Sequence[SeriesCommit]) -> str:
    """Return the name of a branch whose tip the series stands on."""
    base = context.submission.base
    refs = [(ref, sha) for ref, sha in context.view.refs().items() if "/tags/" not in ref]
    for ref, tip in refs[:_BRANCHES]:
        if tip != context.submission.tip and not unreachable(context.view, [base], tip):
            return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")
    return ""


_TAG = re.compile(r"\s*\[([^\]]*)\]")
_PATCH = re.compile(r"(?:PATCH|PULL|RFC)\b", re.I)


def leading_tags(subject: str) -> tuple[str, ...]:
    """Return what stands in brackets before the title of a mail."""
    found, at = [], 0
    while match := _TAG.match(subject, at):
        found.append(match[1].strip())
        at = match.end()
    return tuple(found)


def subject_tags(context: Context, subject: str, commit: SeriesCommit | None) -> Iterator[Finding]:
    """Find tags of a mail that are missing, of another form, or name another release."""
    form = context.profile.subject
    tags = leading_tags(subject)
    wanted = form.tags.format(series="SERIES", version="", number="N", total="M")
    if not any(_PATCH.match(tag) for tag in tags):
        yield _tags(commit, f"the subject lacks the tags {wanted}", f"write {wanted} TITLE")
    elif form.series == "letters":
        yield from _letters(context, tags, commit, wanted)
    else:
        yield from _branch(context, tags, commit, wanted)


def _branch(
    context: Context, tags: Sequence[str], commit: SeriesCommit | None, wanted: str
) -> Iterator[Finding]:
    named = " ".join(tags)
    if not re.search(r"\d+\.\d+|branch", named):
        yield _tags(commit, "the subject names no branch", f"write {wanted} TITLE")
    elif context.series and not any(name in named for name in context.series):
        problem = f"the subject does not name {', '.join(context.series)}"
        yield _series(commit, problem, f"write {wanted} TITLE")


_ITEM = re.compile(r"([A-Za-z]+)(?::[a-z0-9][a-z0-9.+-]*)?")


def _letters(
    context: Context, tags: Sequence[str], commit: SeriesCommit | None, wanted: str
) -> Iterator[Finding]:
    if tags[0].upper() != "SRU":
        yield _tags(commit, "the subject does not begin with [SRU]", f"write {wanted} TITLE")
        return
    groups = [tag for tag in tags[1:] if not _PATCH.match(tag)]
    items = [item for group in groups for item in re.split(r"[/,]\s*", group)]
    matches = [_ITEM.fullmatch(item) for item in items]
    if not items or not all(matches):
        yield _tags(commit, "the subject names no release", f"write {wanted} TITLE")
        return
    if len(groups) > 1 or any("," in group for group in groups) or not _are_letters(items):
        fix = "write first letters with a slash between: [N/J:linux-azure]"
        told = (
            finding("subject-tags", WARNING, commit, "releases are not written [N/J]", fix)
            if commit
            else about_series("subject-tags", WARNING, "releases are not written [N/J]", fix)
        )
        yield told
    names = [match[1] for match in matches if match]
    yield from _releases(context, names, commit)


def _are_letters(items: Sequence[str]) -> bool:
    return all(re.match(r"[A-Z]{1,2}(?=:|$)", item) for item in items)


def _releases(
    context: Context, names: Sequence[str], commit: SeriesCommit | None
) -> Iterator[Finding]:
    known = {release.name for release in context.releases}
    meant = {name: _meant(name, known) for name in names}
    for name, release in meant.items():
        if known and not release and name.lower() not in ("unstable", "u"):
            fix = f"supported are {', '.join(sorted(known))}"
            yield _series(commit, f"no supported release is called {name}", fix)
    for wanted in context.series:
        if wanted not in meant.values():
            problem = f"the series is for {wanted}, which its subject does not name"
            yield _series(commit, problem, f"name {wanted[:1].upper()}")


def _meant(name: str, known: Sequence[str] | set[str]) -> str:
    found = [release for release in known if release.startswith(name.lower())]
    return found[0] if len(found) == 1 else ""


def _tags(commit: SeriesCommit | None, problem: str, fix: str) -> Finding:
    if commit is None:
        return about_series("subject-tags", ERROR, problem, fix)
    return finding("subject-tags", ERROR, commit, problem, fix)


def _series(commit: SeriesCommit | None, problem: str, fix: str) -> Finding:
    if commit is None:
        return about_series("series", ERROR, problem, fix)
    return finding("series", ERROR, commit, problem, fix)


def subjects(context: Context) -> Iterator[Finding]:
    """Find wrong tags: in the cover letter, and in mails whose tags differ from its."""
    submission = context.submission
    if not submission.mailed or context.profile.output != "commits":
        return
    if submission.cover:
        yield from subject_tags(context, submission.cover.subject, None)
    cover = _naming(submission.cover.subject) if submission.cover else None
    for commit in context.commits:
        if cover is None or _naming(commit.subject) != cover:
            yield from subject_tags(context, commit.subject, commit)


def _naming(subject: str) -> tuple[str, ...]:
    return tuple(tag for tag in leading_tags(subject) if not re.search(r"\d+/\d+|PULL", tag))


def named_releases(context: Context) -> tuple[str, ...]:
    """Return the releases that the series is for: as given, else as its subjects say."""
    if context.series or context.profile.subject.series != "letters":
        return context.series
    submission = context.submission
    first = submission.cover.subject if submission.cover else ""
    first = first or (context.commits[0].subject if context.commits else "")
    known = {release.name for release in context.releases}
    words = [word for tag in _naming(first) for word in re.split(r"[/,]\s*", tag)]
    meant = (_meant(word.partition(":")[0], known) for word in words if word)
    return tuple(name for name in meant if name)


def uncovered(context: Context) -> Iterator[Finding]:
    """Find newer supported releases that get nothing."""
    if not context.profile.series.newer_releases or not context.releases:
        return
    names = named_releases(context)
    by_name = {release.name: release for release in context.releases}
    oldest = min((by_name[n].released for n in names if n in by_name), default="")
    if not oldest:
        return
    lacking = [
        release
        for release in context.releases
        if release.name not in names
        and _is_newer(release, oldest, context.today)
        and not _has_all(context, release)
    ]
    if lacking:
        told = ", ".join(release.name for release in lacking)
        problem = f"newer supported releases are not covered: {told}"
        fix = "send it for these, too, or say in the cover letter why they need nothing"
        yield about_series("release-uncovered", WARNING, problem, fix)


def _is_newer(release: SupportedRelease, oldest: str, today: str) -> bool:
    supported = not release.supported_until or release.supported_until >= today
    return bool(release.released) and oldest < release.released <= today and supported


def _has_all(context: Context, release: SupportedRelease) -> bool:
    """Whether the version of its kernel has every commit of the series from upstream."""
    if not release.kernel or not context.origins:
        return False
    tag = f"refs/tags/v{release.kernel}"
    if tag not in context.view.refs():
        return False
    return not unreachable(context.view, context.origins, context.view.resolve(tag))
