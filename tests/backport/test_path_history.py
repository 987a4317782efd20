"""What changed a file between a branch and upstream: told by the index, and the same as by git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from tests.backport.test_plan import text
from uplift.backport.index import Index
from uplift.backport.path_history import PathHistory
from uplift.lab.git import Workspace


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "repository")
    made.commit("base", {"a.c": text(), "b.c": text()})
    made.run("branch", "stable")
    return made


@pytest.fixture
def workspace(tmp_path: Path, repository: GitRepository) -> Iterator[Workspace]:
    with Workspace.make(tmp_path / "workspace", [repository.path]) as made:
        yield made


class Unasked:
    """A workspace that fails where git is to look through history for a path."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def git(self, *arguments: str, **given: object) -> bytes:
        assert "log" not in arguments
        return self._workspace.git(*arguments, **given)  # type: ignore[arg-type]


def grown(repository: GitRepository) -> list[str]:
    """Add a side branch, a rename and a deletion to upstream."""
    shas = [repository.commit("a: nine", {"a.c": text(at9="nine"), "x y.c": "int x;\n"})]
    repository.run("checkout", "-q", "-b", "side", "stable")
    shas.append(repository.commit("a: twenty", {"a.c": text(at20="twenty")}))
    repository.run("checkout", "-q", "main")
    repository.run("merge", "-q", "--no-ff", "-m", "merge side", "side")
    repository.run("mv", "a.c", "new.c")
    shas.append(repository.commit("a: a new name", {"new.c": text(at9="9", at20="twenty")}))
    shas.append(repository.commit("b: gone", {"b.c": None}))
    return shas


def test_the_index_tells_of_a_file_what_git_tells(
    repository: GitRepository, tmp_path: Path
) -> None:
    shas = grown(repository)
    with (
        Workspace.make(tmp_path / "w", [repository.path]) as workspace,
        Index.open(workspace) as index,
    ):
        target, tips = workspace.resolve("stable"), [workspace.resolve("main")]
        by_git = PathHistory(workspace, target, tips)
        by_index = PathHistory(Unasked(workspace), target, tips, index)  # type: ignore[arg-type]
        for path in ("new.c", "a.c", "b.c", "x y.c", "none.c"):
            assert by_index.changes(path) == by_git.changes(path)
        renamed = by_index.changes("new.c")
    assert [change.sha for change in renamed] == [shas[2], shas[1], shas[0]]
    assert renamed[0].removed == (b"nine",) and renamed[0].creates


def test_what_the_index_does_not_reach_is_asked_of_git(
    workspace: Workspace, repository: GitRepository
) -> None:
    with Index.open(workspace) as index:
        late = repository.commit("a: nine", {"a.c": text(at9="nine")})  # read after the index
        history = PathHistory(workspace, workspace.resolve("stable"), [late], index)
        assert [change.sha for change in history.changes("a.c")] == [late]


def test_a_shallow_clone_is_asked_of_git(repository: GitRepository, tmp_path: Path) -> None:
    shas = grown(repository)
    clone = tmp_path / "clone"
    source = f"file://{repository.path}"
    repository.run("clone", "-q", "--bare", "--depth=2", "--branch=main", source, str(clone))
    with (
        Workspace.make(tmp_path / "w", [clone]) as workspace,
        Index.open(workspace) as index,
    ):
        target, tips = workspace.resolve("main^"), [workspace.resolve("main")]
        history = PathHistory(workspace, target, tips, index)
        assert [change.sha for change in history.changes("b.c")] == shas[-1:]
        asking = PathHistory(Unasked(workspace), target, tips, index)  # type: ignore[arg-type]
        with pytest.raises(AssertionError):
            asking.changes("b.c")


def test_the_paths_of_a_commit_are_those_in_which_its_trees_differ(
    repository: GitRepository, tmp_path: Path
) -> None:
    shas = grown(repository)
    with (
        Workspace.make(tmp_path / "w", [repository.path]) as workspace,
        Index.open(workspace) as index,
    ):
        target, tips = workspace.resolve("stable"), [workspace.resolve("main")]
        history = PathHistory(workspace, target, tips, index)
        for sha in (*shas, f"{shas[2]}^"):  # the last one is a merge
            full = workspace.resolve(sha)
            base, tree = (repository.run("rev-parse", f"{full}{at}^{{tree}}") for at in ("^", ""))
            named = repository.run("diff-tree", "-r", "--name-only", base, tree).split("\n")
            assert list(history.touched(full, base, tree)) == named
