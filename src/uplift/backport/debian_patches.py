"""A plan becomes patches in ``debian/patches``: a commit of the packaging branch for each.

The source in the tree stays as it is. Patches that the package has already are applied first, so
that a new one applies on top of them, as dpkg-source does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from uplift.backport.commit_text import read_commit
from uplift.backport.dep3 import header
from uplift.backport.model import Plan
from uplift.backport.series import (
    SeriesOptions,
    Written,
    WrittenCommit,
    commit_object,
    make_series,
    publish,
)
from uplift.backport.series_text import Form
from uplift.backport.tree_edit import applied, with_files
from uplift.errors import UpliftError
from uplift.lab.git import MissingObject, Workspace, open_repository
from uplift.lab.git_branch import check_branch_name, require_commit

SERIES = b"debian/patches/series"
_DIFF = ("-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index")


@dataclass(frozen=True)
class PatchFile:
    """One file of ``debian/patches``.

    :param listed: False where a person has to finish it before the package may apply it.
    """

    name: str
    content: bytes
    listed: bool
    commit: WrittenCommit


def write_debian_patches(
    path: Path,
    workspace: Workspace,
    plan: Plan,
    branch: str,
    options: SeriesOptions,
    address: str = "",
) -> Written:
    """Write the series of ``plan`` as patches on the new branch ``branch`` of a packaging tree.

    :param address: where upstream shows a commit, with ``{sha}`` in it.
    :raises UpliftError: the tree has no ``debian`` folder, its patches do not apply, or what
        :func:`write_series` refuses. Nothing was written then.
    """
    repository = open_repository(path)
    check_branch_name(repository, branch)
    require_commit(repository, plan.onto, branch)
    with workspace.quarantine() as view:
        made = make_debian_patches(view, plan, options, address)
        publish(view, repository, branch, made)
    return replace(made, branch=branch)


def make_debian_patches(
    view: Workspace, plan: Plan, options: SeriesOptions, address: str = ""
) -> Written:
    """Make the commits of the packaging branch inside ``view``, a quarantine."""
    tree = read_commit(plan.onto, view.objects.read(plan.onto)[1]).tree
    patched = _patched(view, tree)
    who = options.committer
    start = view.write("commit", commit_object(patched, plan.onto, who, who, "patched\n"))
    carried = make_series(view, replace(plan, onto=start), options)
    files = list(_patch_files(view, carried, options, address))
    tip, commits = plan.onto, []
    for file in files:
        tree = with_files(view, tree, _added(view, tree, file))
        text = f"{_title(file, options)}\n"
        tip = view.write("commit", commit_object(tree, tip, who, who, text))
        commits.append(replace(file.commit, sha=tip, title=text.strip()))
    return Written("", plan.onto, tip, tree, tuple(commits), carried.left_out)


def _patched(view: Workspace, tree: str) -> str:
    """Return the tree with the package's own patches applied."""
    if not view.attempt("cat-file", "-e", f"{tree}:debian").ok:
        raise UpliftError(
            "cannot add to debian/patches",
            "the branch has no debian folder",
            "name the packaging branch, or use a profile that writes commits",
        )
    names = list(listed(_text(view, tree, SERIES)))
    patches = (_text(view, tree, f"debian/patches/{name}".encode()) for name in names)
    result = applied(view, tree, *patches)
    if not result.tree:
        raise UpliftError(
            f"the package's own patch {names[result.number]} does not apply",
            result.problem,
            "name a branch with unapplied patches, as dpkg-source would unpack it",
        )
    return result.tree


def listed(series: bytes) -> Iterator[str]:
    """Yield the names of the patches in a series file, comments and options left out."""
    for line in series.decode("utf-8", "surrogateescape").split("\n"):
        words = line.split("#", 1)[0].split()
        if words and ".." not in words[0].split("/"):
            yield words[0]


def _text(view: Workspace, tree: str, path: bytes) -> bytes:
    try:
        return view.objects.read(f"{tree}:{path.decode('utf-8', 'surrogateescape')}")[1]
    except MissingObject:
        return b""


def _patch_files(
    view: Workspace, carried: Written, options: SeriesOptions, address: str
) -> Iterator[PatchFile]:
    before, taken = carried.onto, set[str]()
    for commit in carried.commits:
        outside = ("--", ".", ":(exclude)debian")
        patch = view.git("diff-tree", *_DIFF, before, commit.sha, *outside)
        before = commit.sha
        if not patch:
            continue
        upstream = read_commit(commit.upstream, view.objects.read(commit.upstream)[1])
        when = options.committer.time
        head = header(upstream, commit.form, options.profile, options.links, when, address)
        name = _name(upstream.subject, taken)
        content = head.encode("utf-8", "surrogateescape") + patch
        yield PatchFile(name, content, commit.form is not Form.CONFLICT, commit)


def _name(subject: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:56].strip("-") or "patch"
    name, number = f"{base}.patch", 2
    while name in taken:
        name, number = f"{base}-{number}.patch", number + 1
    taken.add(name)
    return name


def _added(view: Workspace, tree: str, file: PatchFile) -> dict[bytes, bytes]:
    series = _text(view, tree, SERIES)
    gap = b"" if not series or series.endswith(b"\n") else b"\n"
    line = file.name if file.listed else f"# CONFLICT, to be finished: {file.name}"
    path = f"debian/patches/{file.name}".encode()
    return {path: file.content, SERIES: series + gap + f"{line}\n".encode()}


def _title(file: PatchFile, options: SeriesOptions) -> str:
    bug = f" (LP: #{options.links.bug})" if options.links.bug else ""
    mark = "" if file.listed else "CONFLICT: "
    title = file.commit.title.removeprefix("CONFLICT: ")
    return f"{mark}d/p/{file.name}: {title}{bug}"
