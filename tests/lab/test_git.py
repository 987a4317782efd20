"""A repository that nobody vouches for: read, never obeyed, never written to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from uplift.lab.git import MissingObject, RepositoryError, Workspace, open_repository

_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def git(where: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["git", "-C", str(where), *arguments],
        input=stdin,
        env=_ENV,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two branches that change the same line of one file."""
    made = tmp_path / "source"
    made.mkdir()
    git(made, "init", "--quiet", "--initial-branch=main")
    for branch, text in (("main", "one\n"), ("left", "two\n"), ("right", "three\n")):
        git(made, "checkout", "--quiet", "-B", branch, *(() if branch == "main" else ("main",)))
        (made / "file.c").write_text(text)
        git(made, "add", "file.c")
        git(made, "commit", "--quiet", "--message", f"{branch}: set the line")
    return made


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.rglob("*")
    }


def test_programs_that_a_repository_names_are_not_run(source: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    command = f"touch {ran}; false"
    for key in (
        "merge.evil.driver",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "remote.origin.uploadpack",
        "filter.evil.smudge",
        "filter.evil.process",
    ):
        git(source, "config", key, command)
    git(source, "config", "remote.origin.url", f"ext::sh -c '{command}'")
    git(source, "config", "remote.origin.promisor", "true")
    git(source, "config", "extensions.partialClone", "origin")
    attributes = "*.c merge=evil diff=evil filter=evil\n"
    (source / ".git" / "info" / "attributes").write_text(attributes)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        path = source / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)

    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        merged = workspace.attempt("merge-tree", "--write-tree", "left", "right")
        workspace.git("log", "-p", "left")
        with pytest.raises(MissingObject):
            workspace.objects.read("1" * 40)

    assert merged.returncode == 1  # a conflict, found by git's own merge
    assert not ran.exists()


def test_a_repository_is_not_written_to(source: Path, tmp_path: Path) -> None:
    before = everything(source)
    with (
        Workspace.make(tmp_path / "workspace", [source]) as workspace,
        workspace.quarantine() as view,
    ):
        view.git("hash-object", "-w", "--stdin", stdin=b"made here")
    assert everything(source) == before


def test_what_is_made_in_quarantine_vanishes(source: Path, tmp_path: Path) -> None:
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        with workspace.quarantine() as view:
            made = view.git("hash-object", "-w", "--stdin", stdin=b"made here").decode().strip()
            assert view.objects.read(made) == ("blob", b"made here")
            assert view.objects.read(view.resolve("left"))[0] == "commit"
        with pytest.raises(MissingObject):
            workspace.objects.read(made)


def test_a_name_cannot_be_an_option_or_more_than_one_line(source: Path, tmp_path: Path) -> None:
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        for name in (
            "--upload-pack=touch x",
            "-h",
            "",
            "main\nleft",
            "main\0",
            "no-such",
            "main..left",
        ):
            with pytest.raises(RepositoryError):
                workspace.resolve(name)
        assert workspace.resolve("left") == git(source, "rev-parse", "left")


def test_branches_of_a_second_repository_are_named_after_its_folder(
    source: Path, tmp_path: Path
) -> None:
    second = tmp_path / "noble"
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(second))
    with Workspace.make(tmp_path / "workspace", [source, second]) as workspace:
        assert workspace.resolve("noble/left") == workspace.resolve("left")


def test_refs_that_moved_are_seen_when_the_workspace_is_made_again(
    source: Path, tmp_path: Path
) -> None:
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        before = workspace.resolve("main")
    git(source, "update-ref", "refs/heads/main", git(source, "rev-parse", "left"))
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        assert workspace.resolve("main") == git(source, "rev-parse", "left") != before


def test_a_shallow_clone_and_a_partial_one_are_told_apart(source: Path, tmp_path: Path) -> None:
    git(source, "config", "uploadpack.allowFilter", "true")
    url = f"file://{source}"
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=left", url, "cut")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--bare", url, "without-files")
    cut, without_files = (open_repository(tmp_path / name) for name in ("cut", "without-files"))
    assert (cut.shallow, cut.partial, cut.bare) == (True, False, False)
    assert (without_files.shallow, without_files.partial, without_files.bare) == (False, True, True)


def test_a_missing_file_of_a_partial_clone_is_said_not_fetched(
    source: Path, tmp_path: Path
) -> None:
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--bare", f"file://{source}", "partial")
    with Workspace.make(tmp_path / "workspace", [tmp_path / "partial"]) as workspace:
        with pytest.raises(MissingObject) as caught:
            workspace.objects.read("left:file.c")
        assert workspace.objects.read("left")[0] == "commit"
    assert "full clone" in caught.value.fix


def test_the_history_of_a_shallow_clone_ends_where_it_was_cut(source: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=left", f"file://{source}", "cut")
    with Workspace.make(tmp_path / "workspace", [tmp_path / "cut"]) as workspace:
        assert workspace.git("rev-list", "--count", "left") == b"1\n"


def test_a_linked_work_tree_is_its_repository(source: Path, tmp_path: Path) -> None:
    git(source, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "left")
    assert open_repository(tmp_path / "linked").directory == source / ".git"


@pytest.mark.parametrize("kind", ["absent", "file", "empty", "inside"])
def test_what_is_no_repository_is_refused(kind: str, source: Path, tmp_path: Path) -> None:
    path = {"inside": source / "folder"}.get(kind, tmp_path / kind)
    if kind == "file":
        path.write_text("x")
    elif kind != "absent":
        path.mkdir()
    with pytest.raises(RepositoryError) as caught:
        open_repository(path)
    assert caught.value.fix


def test_an_object_larger_than_the_limit_is_refused_and_the_next_is_read(
    source: Path, tmp_path: Path
) -> None:
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        with pytest.raises(RepositoryError, match="cannot read object"):
            workspace.objects.read("left", limit=10)
        assert workspace.objects.read("left:file.c") == ("blob", b"two\n")


def test_a_damaged_object_is_an_error_not_a_value(source: Path, tmp_path: Path) -> None:
    sha = git(source, "rev-parse", "left:file.c")
    loose = source / ".git" / "objects" / sha[:2] / sha[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"not zlib")
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        with pytest.raises(RepositoryError):
            workspace.objects.read("left:file.c")
        assert workspace.objects.read("right:file.c") == ("blob", b"three\n")


def test_a_reader_that_died_answers_again(source: Path, tmp_path: Path) -> None:
    with Workspace.make(tmp_path / "workspace", [source]) as workspace:
        reader = workspace.objects
        os.killpg(reader._pipe._child.pid, 9)
        with pytest.raises(RepositoryError, match="cannot read object"):
            reader.read("left:file.c")
        assert reader.read("left:file.c") == ("blob", b"two\n")
