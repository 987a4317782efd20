"""Rules about patches in ``debian/patches``: their headers (DEP-3), the series file, their content.

The rules about commit messages do not hold there: what a patch is stands in its own header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from uplift.backport.debian_patches import SERIES, listed
from uplift.backport.dep3 import fields
from uplift.backport.lint.context import Context, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.patches import changed_lines
from uplift.backport.range_diff import lines_of_patch
from uplift.backport.tree_edit import applied
from uplift.lab.git import RepositoryError

ERROR, WARNING = Severity.ERROR, Severity.WARNING
_PATCH = re.compile(rb"debian/patches/(?!series$)[^\0]+$")
_SHA = re.compile(r"\b[0-9a-f]{7,40}\b")
_FOLDER = b"debian/patches/"
_MAX_PATCH = 8 << 20  #: bytes


@dataclass(frozen=True)
class Quilted:
    """A patch file as a commit leaves it."""

    name: str
    content: bytes

    @property
    def header(self) -> dict[str, str]:
        """Its DEP-3 fields."""
        return fields(self.content[:65536].decode("utf-8", "replace"))


def patches(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Check every patch that a commit adds or changes."""
    if context.profile.provenance.place != "dep3" or not commit.sha:
        return
    series = tuple(listed(_blob(context, commit.sha, SERIES) or b""))
    for path in commit.paths:
        content = _blob(context, commit.sha, path) if _PATCH.match(path) else None
        if content is not None:
            name = path.decode("utf-8", "replace").removeprefix("debian/patches/")
            patch = Quilted(name, content)
            yield from _header(context, commit, patch)
            yield from _bug(context, commit, patch)
            yield from _listed(commit, patch, series)
            yield from _content(context, commit, patch)
    if _is_last(context, commit):
        yield from _applies(context, commit, series)


def _blob(context: Context, commit: str, path: bytes) -> bytes | None:
    try:
        name = f"{commit}:{path.decode('utf-8', 'surrogateescape')}"
        kind, content = context.view.objects.read(name, _MAX_PATCH)
    except RepositoryError:
        return None
    return content if kind == "blob" else None


def _header(context: Context, commit: SeriesCommit, patch: Quilted) -> Iterator[Finding]:
    head, name = patch.header, patch.name
    if not head.get("description") and not head.get("subject"):
        fix = "add Description: TITLE"
        yield finding("tag-missing", ERROR, commit, f"{name} has no Description", fix)
    origin, author = head.get("origin"), head.get("author") or head.get("from")
    if not origin and not author:
        fix = "add Origin: upstream, ADDRESS (or backport, ADDRESS)"
        yield finding("tag-missing", ERROR, commit, f"{name} has neither Origin nor Author", fix)
    forms = context.profile.provenance.forms
    if origin and not any(re.fullmatch(form, origin) for form in (*forms, r"https?://\S+")):
        fix = "write Origin: upstream, ADDRESS; backport, ADDRESS; vendor; or other, ADDRESS"
        yield finding("tag-form", ERROR, commit, f"{name}: “Origin: {origin}”", fix)
    if any("TO WRITE" in value for value in head.values()):
        fix = "write what the header leaves open"
        yield finding("unfinished", ERROR, commit, f"{name} is not finished", fix)


def _bug(context: Context, commit: SeriesCommit, patch: Quilted) -> Iterator[Finding]:
    is_new = _blob(context, commit.parent, b"debian/patches/" + patch.name.encode()) is None
    if is_new and not _names_bug(context, commit, patch):
        fix = (
            f"add {context.profile.bug.line.format(bug='NUMBER')}, or LP: #NUMBER to the changelog"
        )
        yield finding("bug-missing", WARNING, commit, f"{patch.name} names no bug", fix)


def _listed(commit: SeriesCommit, patch: Quilted, series: tuple[str, ...]) -> Iterator[Finding]:
    if patch.name not in series:
        fix = "add its name to debian/patches/series"
        problem = f"{patch.name} is not in debian/patches/series: nothing applies it"
        yield finding("unfinished", ERROR, commit, problem, fix)


def _content(context: Context, commit: SeriesCommit, patch: Quilted) -> Iterator[Finding]:
    """Compare a patch that says it is upstream's with the commit that it names."""
    origin = patch.header.get("origin", "")
    named = _SHA.findall(origin)
    if not named or context.index is None:
        return
    sha = context.index.expand(named[-1])
    if not sha:
        if context.upstream and "commit" in origin:
            fix = "look up the right sha"
            problem = f"{patch.name}: no repository has a commit {named[-1][:16]}"
            yield finding("sha-unknown", ERROR, commit, problem, fix)
        return
    theirs = changed_lines(context.view, [sha]).get(sha, ())
    mine = lines_of_patch(patch.content.decode("utf-8", "replace"))
    if origin.startswith("upstream") and sorted(theirs) != sorted(mine):
        problem = f"{patch.name} says it is upstream's, and changes other lines than {sha[:12]}"
        fix = f'write "Origin: backport, …{sha[:12]}…" and say what was changed'
        gone = [f"only upstream: {line}" for line in theirs if line not in mine]
        new = [f"only here: {line}" for line in mine if line not in theirs]
        yield finding("content-differs", ERROR, commit, problem, fix, detail=[*gone, *new][:40])


def _applies(context: Context, commit: SeriesCommit, series: tuple[str, ...]) -> Iterator[Finding]:
    found = [
        (name, _blob(context, commit.sha, f"debian/patches/{name}".encode())) for name in series
    ]
    gone = [name for name, content in found if content is None]
    if gone:
        fix = "add the file, or take its name out"
        problem = f"debian/patches/series names {gone[0]}, which is not there"
        yield finding("unfinished", ERROR, commit, problem, fix)
        return
    result = applied(context.view, commit.tree, *(content or b"" for _, content in found))
    if not result.tree:
        fix = "refresh it on top of the patches before it"
        problem = f"{series[result.number]} does not apply: {result.problem}"
        yield finding("does-not-apply", ERROR, commit, problem, fix)


def _is_last(context: Context, commit: SeriesCommit) -> bool:
    """Whether no later commit changes the patches: what is applied is what is built."""
    touching = [c for c in context.commits if any(p.startswith(_FOLDER) for p in c.paths)]
    return bool(touching) and touching[-1] is commit


_BUG = re.compile(r"(?i)\bLP:\s*#\s*\d+|\bcloses:\s*(?:bug)?#\s*\d+|launchpad\.net/\S*\d+")


def _names_bug(context: Context, commit: SeriesCommit, patch: Quilted) -> bool:
    """Whether a bug is named where Ubuntu's tools look: the header, the changelog, the message."""
    if any(key in patch.header for key in ("bug-ubuntu", "bug", "bug-debian", "bug-launchpad")):
        return True
    changed = changed_lines(context.view, [commit.sha]).get(commit.sha, ())
    return any(map(_BUG.search, (commit.message, *changed)))
