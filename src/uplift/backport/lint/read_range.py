"""A branch, read as a submission: what it adds to its base."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.backport.commit_text import read_commit
from uplift.backport.lint.model import CoverLetter, SeriesCommit, Submission
from uplift.backport.model import Commit
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

MAX_COMMITS = 20_000


def read_range(view: Workspace, base: str, tip: str, cover: str = "") -> Submission:
    """Return the commits from ``base`` (a full sha) to ``tip``, oldest first, merges left out.

    :param cover: the text of a cover letter or a bug; the first line may be ``Subject: …``.
    :raises UpliftError: there are more than ``MAX_COMMITS``.
    """
    listed = view.git("rev-list", "--reverse", "--topo-order", "--no-merges", f"{base}..{tip}")
    shas = listed.decode("ascii").split()
    if len(shas) > MAX_COMMITS:
        raise UpliftError(
            f"cannot check {len(shas)} commits at once",
            f"at most {MAX_COMMITS} are read",
            "name a base that is nearer to the tip",
        )
    paths = _paths(view, shas)
    commits = tuple(_commit(view, sha, paths.get(sha, ())) for sha in shas)
    return Submission(base, commits, cover_letter(cover) if cover else None)


def cover_letter(text: str) -> CoverLetter:
    """Return the cover letter that a text is."""
    found = re.match(r"\s*Subject:[ \t]*([^\n]*)\n", text)
    return CoverLetter(found[1] if found else "", text[found.end() :] if found else text)


def _commit(view: Workspace, sha: str, paths: tuple[bytes, ...]) -> SeriesCommit:
    return series_commit(read_commit(sha, view.objects.read(sha)[1]), sha[:12], paths)


def series_commit(commit: Commit, place: str, paths: tuple[bytes, ...]) -> SeriesCommit:
    """Return a commit of a repository as one of a series."""
    return SeriesCommit(
        sha=commit.sha,
        place=place,
        subject=commit.subject,
        title=commit.subject,
        body=commit.body,
        author=commit.author,
        sender=commit.committer,
        parent=commit.parents[0] if commit.parents else "",
        tree=commit.tree,
        paths=paths,
    )


def _paths(view: Workspace, shas: list[str]) -> dict[str, tuple[bytes, ...]]:
    feed = "".join(f"{sha}\n" for sha in shas).encode()
    options = ("--stdin", "-r", "-z", "--root", "--name-only", "--no-renames")
    answer = view.git("diff-tree", *options, stdin=feed) if shas else b""
    found: dict[str, tuple[bytes, ...]] = {}
    for sha, paths in _grouped(answer.split(b"\0"), {sha.encode() for sha in shas}):
        found[sha] = paths
    return found


def _grouped(fields: list[bytes], shas: set[bytes]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    sha, kept = b"", [b""][:0]
    for field in fields:
        name = field.lstrip(b"\n")
        if name in shas:
            if sha:
                yield sha.decode(), tuple(kept)
            sha, kept = name, []
        elif field:
            kept.append(field)
    if sha:
        yield sha.decode(), tuple(kept)
