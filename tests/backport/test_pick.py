"""A pick in memory says what a real cherry-pick says: verdict, paths left unmerged, tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.pick import Picked, Picker, is_documentation, picking
from uplift.lab.git import Workspace

LINES = [f"line {number}\n" for number in range(40)]


def text(**changes: str) -> str:
    """Forty lines, with ``at_N`` replaced."""
    lines = list(LINES)
    for name, line in changes.items():
        lines[int(name.removeprefix("at_"))] = line and line + "\n"
    return "".join(lines)


def plain(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="stable")})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_30="upstream")})


def contents(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="stable")})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_2="upstream"), "b.c": "int b;\n"})


def neighbours(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="stable")})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_3="upstream")})


def renamed_on_the_branch(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.run("mv", "a.c", "moved.c")
    repo.commit("stable moves it", {"moved.c": text(at_2="stable")})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_30="upstream")})


def renamed_upstream(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="stable")})
    repo.branch("main", "main")
    repo.run("mv", "a.c", "moved.c")
    return repo.commit("upstream moves it", {"moved.c": text(at_30="upstream")})


def renamed_on_both(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.run("mv", "a.c", "stable.c")
    repo.commit("stable moves it")
    repo.branch("main", "main")
    repo.run("mv", "a.c", "upstream.c")
    return repo.commit("upstream moves it")


def folder_renamed_on_the_branch(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.run("mv", "drivers", "lib")
    repo.commit("stable moves the folder")
    repo.branch("main", "main")
    return repo.commit("upstream", {"drivers/new.c": "int added;\n"})


def modified_where_deleted(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable drops it", {"a.c": None})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_30="upstream")})


def deleted_where_modified(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_30="stable")})
    repo.branch("main", "main")
    return repo.commit("upstream drops it", {"a.c": None})


def added_on_both(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"new.c": "int stable;\n"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"new.c": "int upstream;\n"})


def the_same_added_on_both(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"new.c": "int same;\n", "stable.c": "\n"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"new.c": "int same;\n"})


def binary(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"firmware.bin": b"\0stable"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"firmware.bin": b"\0upstream"})


def mode_and_content(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    (repo.path / "a.c").chmod(0o755)
    repo.commit("stable makes it a program")
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_30="upstream")})


def file_against_folder(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"thing/inside.c": "int inside;\n"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"thing": "a file\n"})


def link_against_file(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_30="stable")})
    repo.branch("main", "main")
    (repo.path / "a.c").unlink()
    (repo.path / "a.c").symlink_to("b.c")
    return repo.commit("upstream links it")


def submodule(repo: GitRepository) -> str:
    first, second, third = ("1" * 40, "2" * 40, "3" * 40)
    repo.run("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    repo.run("commit", "--quiet", "--message", "a submodule")
    shas = {}
    for branch, at in (("stable", second), ("main", third)):
        repo.run("checkout", "--quiet", "-B", branch, "main")
        repo.run("update-index", "--cacheinfo", f"160000,{at},module")
        repo.run("commit", "--quiet", "--message", f"{branch} moves the submodule")
        shas[branch] = repo.run("rev-parse", "HEAD")
    return shas["main"]


def union_by_attributes(repo: GitRepository) -> str:
    repo.commit("rules", {".gitattributes": "NEWS merge=union\n*.h merge=nobody-has-it\n"})
    repo.branch("stable", "main")
    repo.commit("stable", {"NEWS": "stable\nold\n"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"NEWS": "upstream\nold\n"})


def no_merge_by_attributes(repo: GitRepository) -> str:
    repo.commit("rules", {".gitattributes": "*.c -merge\n"})
    return plain(repo)


def already_there(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="the same")})
    repo.branch("main", "main")
    return repo.commit("upstream", {"a.c": text(at_2="the same")})


def merge_commit(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"a.c": text(at_2="stable")})
    repo.branch("topic", "main")
    repo.commit("topic", {"a.c": text(at_20="topic"), "b.c": "int b;\n"})
    repo.branch("main", "main")
    repo.commit("upstream", {"a.c": text(at_2="upstream")})
    repo.run("merge", "--quiet", "--no-ff", "--message", "merge topic", "topic")
    return repo.run("rev-parse", "HEAD")


def root_commit(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.run("checkout", "--quiet", "--orphan", "island")
    repo.run("rm", "-r", "-f", "--quiet", ".")
    return repo.commit("another root", {"island.c": "int island;\n", "a.c": "int other;\n"})


def odd_names(repo: GitRepository) -> str:
    repo.branch("stable", "main")
    repo.commit("stable", {"tab\there\nand line": "stable\n", "ü.c": "stable\n"})
    repo.branch("main", "main")
    return repo.commit("upstream", {"tab\there\nand line": "upstream\n", "ü.c": "upstream\n"})


CASES: list[Callable[[GitRepository], str]] = [
    plain,
    contents,
    neighbours,
    renamed_on_the_branch,
    renamed_upstream,
    renamed_on_both,
    folder_renamed_on_the_branch,
    modified_where_deleted,
    deleted_where_modified,
    added_on_both,
    the_same_added_on_both,
    binary,
    mode_and_content,
    file_against_folder,
    link_against_file,
    submodule,
    union_by_attributes,
    no_merge_by_attributes,
    already_there,
    merge_commit,
    root_commit,
    odd_names,
]


@pytest.fixture
def repo(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "source")
    files = {"a.c": text(), "NEWS": "old\n", "firmware.bin": b"\0old", "drivers/x.c": text()}
    made.commit("the fork", {**files, "drivers/y.c": text(at_1="y")})
    return made


def cherry_pick(repo: GitRepository, sha: str) -> tuple[bool, set[str], str]:
    """Verdict, unmerged paths, and the tree where it is clean, of a real cherry-pick."""
    repo.run("checkout", "--quiet", "--force", "--detach", "stable")
    mainline = ["-m", "1"] if " " in repo.run("log", "-1", "--format=%P", sha) else []
    done = repo.attempt("cherry-pick", "--no-commit", *mainline, sha)
    stages = repo.run("ls-files", "-u", "-z").split("\0")[:-1]
    # Where a folder has the name, git tells sides apart by a label of its own, after "~".
    unmerged = {stage.partition("\t")[2].partition("~")[0] for stage in stages}
    clean = done.returncode == 0
    return clean, unmerged, repo.run("write-tree") if clean else ""


def said(picked: Picked) -> tuple[bool, set[str], str]:
    return picked.clean, {c.path for c in picked.conflicts}, picked.tree if picked.clean else ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_pick_in_memory_says_what_cherry_pick_says(
    case: Callable[[GitRepository], str], repo: GitRepository, tmp_path: Path
) -> None:
    sha = case(repo)
    real = cherry_pick(repo, sha)
    with Workspace.make(tmp_path / "ours", [repo.path]) as workspace, picking(workspace) as picker:
        assert said(picker.pick(workspace.resolve("stable"), sha)) == real


def test_many_picks_at_once_say_what_each_says_alone(repo: GitRepository, tmp_path: Path) -> None:
    shas = [contents(repo)]
    shas += [repo.commit(f"more {n}", {"a.c": text(at_2="upstream", at_9=str(n))}) for n in "123"]
    with Workspace.make(tmp_path / "ours", [repo.path]) as workspace:
        onto = workspace.resolve("stable")
        with picking(workspace) as picker:
            together = picker.pick_all([(onto, sha) for sha in shas])
        with picking(workspace) as picker:
            assert tuple(picker.pick(onto, sha) for sha in shas) == together
    assert {picked.clean for picked in together} == {True, False}


def test_a_change_that_is_there_already_gives_an_empty_pick(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = already_there(repo)
    with Workspace.make(tmp_path / "ours", [repo.path]) as workspace, picking(workspace) as picker:
        assert picker.pick(workspace.resolve("stable"), sha).empty


def test_a_missing_object_is_a_problem_never_a_clean_pick(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = contents(repo)
    blob = repo.run("rev-parse", f"{sha}:a.c")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    good = repo.commit("later", {"a.c": text(at_2="upstream", at_9="later"), "z.c": "int z;\n"})
    with Workspace.make(tmp_path / "ours", [repo.path]) as workspace, picking(workspace) as picker:
        onto = workspace.resolve("stable")
        bad, absent, fine = picker.pick_all([(onto, sha), (onto, "1" * 40), (sha, sha)])
        assert bad.problem and not bad.clean
        assert absent.problem and not absent.clean
        assert fine.clean or fine.problem
        assert not picker.pick(onto, good).clean


@pytest.mark.parametrize(
    "case", [plain, contents, modified_where_deleted, binary, mode_and_content, added_on_both]
)
def test_without_renames_the_index_of_an_old_git_says_the_same(
    case: Callable[[GitRepository], str], repo: GitRepository, tmp_path: Path
) -> None:
    sha = case(repo)
    real = cherry_pick(repo, sha)
    with (
        Workspace.make(tmp_path / "ours", [repo.path]) as workspace,
        workspace.quarantine() as view,
    ):
        picked = Picker(view, use_index=True).pick(view.resolve("stable"), sha)
    assert said(picked) == real
    assert not picked.exact


def test_only_people_read_documentation() -> None:
    for path in ("NEWS", "ChangeLog", "doc/guides/rel_notes/release_22_11.rst", "man/zfs.8"):
        assert is_documentation(path)
    for path in ("docs/conf.py", "doc/meson.build", "lib/news.c", "CMakeLists.txt", "news/a.h"):
        assert not is_documentation(path)
