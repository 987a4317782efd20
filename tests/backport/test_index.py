"""The index on small repositories: what it knows, and what interrupts and damage do to it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport import index_build, index_functions, index_schema
from uplift.backport.index import Index
from uplift.backport.message_links import meant
from uplift.backport.model import Reference, ReferenceKind
from uplift.lab.git import Workspace


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


def indexed(tmp_path: Path, *paths: Path) -> Index:
    return Index.open(Workspace.make(tmp_path / "workspace", paths))


def grow(repository: GitRepository, count: int) -> list[str]:
    """Make commits that each change one of seven files."""
    before = int(repository.attempt("rev-list", "--count", "HEAD").stdout or 0)
    numbers = range(before, before + count)
    return [repository.commit(f"change {n}", {f"f{n % 7}": f"{n}\n"}) for n in numbers]


def test_commits_are_found_by_title_author_path_and_what_they_name(tmp_path, repository):
    first = repository.commit("Net: Add  it", {"net/a.c": "1\n"})
    second = repository.commit(
        f'net: fix it\n\nFixes: {first[:12]} ("Net: Add it")\n', {"b": "2\n"}
    )
    with indexed(tmp_path, repository.path) as index:
        assert index.titled("[PATCH] net: add it") == (first,)
        known = index.known([second])[second]
        assert index.authored("A@Example.org", known.authored) == (second,)
        assert index.touching("net/a.c") == (first,)
        assert index.paths_of(second) == (b"b",)
        ((reference, resolved),) = index.references_of(second)
        assert (reference.kind, resolved) == (ReferenceKind.FIXES, first)
        assert [sha for sha, _ in index.references_to(first)] == [second]


def test_opening_again_reads_nothing_and_later_only_what_is_new(tmp_path, repository):
    grow(repository, 5)
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 5
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 0
    grow(repository, 3)
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 3
        assert len(index.touching("f0")) == 2


def test_a_branch_that_was_rewritten_and_lost_its_objects(tmp_path, repository):
    first, _, lost = grow(repository, 3)
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 3
    repository.run("reset", "--quiet", "--hard", first)
    other = repository.commit("another way", {"other": "1\n"})
    repository.run("reflog", "expire", "--expire=now", "--all")
    repository.run("gc", "--quiet", "--prune=now")
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 1
        assert index.titled("another way") == (other,)
        assert index.commit(lost) is None


def test_an_ambiguous_sha_is_resolved_by_the_title_beside_it(tmp_path, repository):
    shas = grow(repository, 3)
    with indexed(tmp_path, repository.path) as index:
        assert index.expand(shas[0][:6]) == ""
        assert index.expand(shas[0][:7]) == shas[0]
        twin = bytes.fromhex(shas[0][:8] + "f" * 32)
        index._connection.execute(
            "insert into commits select 99, ?, 'twin', 1, 1, 1, 1, 1, x''",
            (twin,),
        )
        assert index.expand(shas[0][:8]) == ""
        named = Reference(ReferenceKind.FIXES, shas[0][:8], "Change 0")
        assert index.resolved(named) == shas[0]


def test_odd_names_and_messages_are_kept_apart(tmp_path, repository):
    names = ["\x01" + "a" * 40, ":100644", "new\nline", "sp ace", "ü"]
    sha = repository.commit("odd", dict.fromkeys(names, "1\n"))
    empty = repository.commit("x")
    with indexed(tmp_path, repository.path) as index:
        assert index.paths_of(sha) == tuple(sorted(name.encode() for name in names))
        assert index.paths_of(empty) == ()


def test_the_paths_of_a_merge_are_none_and_it_has_no_patch_id(tmp_path, repository):
    base = repository.commit("base", {"a": "1\n"})
    repository.branch("side", base)
    repository.commit("side", {"b": "1\n"})
    repository.run("checkout", "--quiet", "main")
    repository.commit("main", {"c": "1\n"})
    repository.run("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    merge = repository.run("rev-parse", "HEAD")
    with indexed(tmp_path, repository.path) as index:
        assert index.known([merge])[merge].parents == 2
        assert index.paths_of(merge) == ()
        assert index.patch_id(merge) == ""


def test_patch_ids_are_gits_own(tmp_path, repository):
    repository.commit("one", {"a": "1\n2\n3\n", "b": "x\n", "gone": "1\n2\n"})
    repository.commit("two", {"a": "1\n\t2 2\n3", "b": "\x0c y\nz\r\n", "gone": None})
    repository.commit("three", {"dir/new é": "--- a\n+++ b\n@@ -1 +1 @@\n", "a": "1\n"})
    shas = repository.run("rev-list", "HEAD").split()
    patches = repository.run(
        "diff-tree",
        "--stdin",
        "-p",
        "-r",
        "--root",
        stdin=b"\n".join(sha.encode() for sha in shas) + b"\n",
    )
    told = repository.run("patch-id", "--stable", stdin=patches.encode("utf-8", "surrogateescape"))
    with indexed(tmp_path, repository.path) as index:
        expected = dict(reversed(line.split()) for line in told.splitlines())
        assert index.patch_ids(shas) == expected
        assert index.patch_ids(shas) == expected


def test_a_shallow_clone_does_not_take_its_edge_for_an_import(tmp_path, repository):
    shas = grow(repository, 6)
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=3", f"file://{repository.path}", str(clone)],
        check=True,
    )
    with indexed(tmp_path, clone) as index:
        assert index.new == 3
        assert index.known([shas[3]])[shas[3]].paths == -1
        assert index.known([shas[4]])[shas[4]].paths == 1
    subprocess.run(["git", "-C", str(clone), "fetch", "--quiet", "--unshallow"], check=True)
    with indexed(tmp_path, clone) as index:
        assert index.known([shas[3]])[shas[3]].paths == 1
        assert len(index.known(shas)) == 6


def test_a_missing_object_is_told_and_all_else_is_read(tmp_path, repository):
    shas = grow(repository, 8)
    tree = repository.run("rev-parse", f"{shas[4]}^{{tree}}")
    kept = _take(repository, tree)
    with indexed(tmp_path, repository.path) as index:
        assert len(index.known(shas)) == 8
        assert index.known([shas[4]])[shas[4]].paths == -1
        assert index.known([shas[2]])[shas[2]].paths == 1
        assert tree in {missing.sha for missing in index.missing()}
    shutil.move(kept, _loose(repository, tree))
    with indexed(tmp_path, repository.path) as index:
        assert index.missing() == ()
        assert index.known([shas[4]])[shas[4]].paths == 1


def test_a_missing_commit_ends_its_line_and_not_the_index(tmp_path, repository):
    shas = grow(repository, 6)
    _take(repository, shas[2])
    with indexed(tmp_path, repository.path) as index:
        assert set(index.known(shas)) == set(shas[3:])
        assert (shas[2], "commit") in {(missing.sha, missing.kind) for missing in index.missing()}


def test_a_missing_blob_leaves_out_one_patch(tmp_path, repository):
    shas = grow(repository, 6)
    _take(repository, repository.run("rev-parse", f"{shas[3]}:f3"))
    with indexed(tmp_path, repository.path) as index:
        assert set(index.patch_ids(shas)) == set(shas) - {shas[3]}


def _loose(repository: GitRepository, sha: str) -> Path:
    return repository.path / ".git" / "objects" / sha[:2] / sha[2:]


def _take(repository: GitRepository, sha: str) -> Path:
    kept = repository.path.parent / f"kept-{sha}"
    shutil.move(_loose(repository, sha), kept)
    return kept


_BUILD = """
import os, signal, sys
from pathlib import Path
from uplift.backport import index_build
from uplift.backport.index import Index
from uplift.lab.git import Workspace
index_build._BATCH = 10
def kill(done, total):
    if done >= 30:
        os.kill(os.getpid(), signal.SIGKILL)
Index.open(Workspace.make(Path(sys.argv[1]), [Path(sys.argv[2])]), kill)
"""


def test_a_killed_build_goes_on_where_it_was(tmp_path, repository):
    shas = grow(repository, 60)
    workspace = tmp_path / "workspace"
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(workspace), str(repository.path)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    with indexed(tmp_path, repository.path) as index:
        assert 0 < index.new <= 30
        assert len(index.known(shas)) == 60
        assert len(index.touching("f0")) == 9
        assert index._connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_damaged_or_foreign_file_is_built_anew(tmp_path, repository):
    grow(repository, 3)
    indexed(tmp_path, repository.path).close()
    path = tmp_path / "workspace" / "index.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 3
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {index_schema.VERSION + 1}")
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 3


def test_two_builders_at_once_make_one_index(tmp_path, repository):
    shas = grow(repository, 40)
    script = _BUILD.replace("done >= 30", "False")
    arguments = [sys.executable, "-c", script, str(tmp_path / "workspace"), str(repository.path)]
    builders = [subprocess.Popen(arguments) for _ in range(3)]
    assert [builder.wait() for builder in builders] == [0, 0, 0]
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 0
        assert len(index.known(shas)) == 40
        assert len(index.touching("f0")) == 6


def test_progress_counts_up(tmp_path, repository, monkeypatch):
    grow(repository, 25)
    monkeypatch.setattr(index_build, "_BATCH", 10)
    told: list[int] = []
    workspace = Workspace.make(tmp_path / "workspace", [repository.path])
    Index.open(workspace, lambda done, total: told.append(done)).close()
    assert told == [10, 20, 25]


def test_two_repositories_share_one_index(tmp_path, repository):
    first = grow(repository, 2)
    other = GitRepository(tmp_path / "other")
    second = other.commit("elsewhere", {"z": "1\n"})
    with indexed(tmp_path, repository.path, other.path) as index:
        assert set(index.known([*first, second])) == {*first, second}


def test_a_hostile_encoding_and_time_are_survived(tmp_path, repository):
    tree = repository.run("write-tree")
    raw = (
        f"tree {tree}\nauthor \udcff <\udcfe> {'9' * 30} +9999\ncommitter x <> -5 +0000\n"
        "encoding zip\n\n\udcff\udcfe title\n\nFixes: \x1b[31m1234567\n"
    ).encode("utf-8", "surrogateescape")
    arguments = ("hash-object", "-t", "commit", "-w", "--stdin", "--literally")
    sha = repository.run(*arguments, stdin=raw)
    repository.run("update-ref", "refs/heads/odd", sha)
    with indexed(tmp_path, repository.path) as index:
        assert index.known([sha])[sha].title.endswith("title")


def test_the_environment_of_the_caller_has_no_say(tmp_path, repository, monkeypatch):
    sha = repository.commit("one", {"a": "1\n"})
    monkeypatch.setitem(os.environ, "GIT_DIR", "/nonexistent")
    monkeypatch.setitem(os.environ, "GIT_EXTERNAL_DIFF", "false")
    with indexed(tmp_path, repository.path) as index:
        assert index.patch_id(sha)


def _older(path: Path) -> None:
    """Make the file one that knew no links and no functions (version 6)."""
    with sqlite3.connect(path) as connection:
        for table in ("link", "function", "changed_function", "read_functions"):
            connection.execute(f"drop table {table}")
        connection.execute("pragma user_version = 6")
    connection.close()


def test_links_are_kept_and_found_by_the_bug_they_mean(tmp_path, repository):
    sha = repository.commit("one\n\nLP: #1234567\nLink: https://example.org/x", {"a": "1\n"})
    bug = meant("https://bugs.launchpad.net/bugs/1234567")
    with indexed(tmp_path, repository.path) as index:
        assert [link.value for link in index.links([sha])[sha]] == [
            "LP: #1234567",
            "https://example.org/x",
        ]
        assert [found for found, _ in index.linking(bug)] == [sha]


def test_an_older_file_is_upgraded_its_patches_kept_and_its_messages_read_again(
    tmp_path, repository
):
    sha = repository.commit("one\n\nLP: #1234567", {"a": "1\n"})
    with indexed(tmp_path, repository.path) as index:
        patch_id = index.patch_id(sha)
    _older(tmp_path / "workspace" / "index.sqlite")
    new = repository.commit("two\n\nLP: #1234567", {"a": "2\n"})
    with indexed(tmp_path, repository.path) as index:
        assert index.new == 1
        assert "upgraded from version 6" in index.remark
        assert [found for found, _ in index.linking(meant("LP#1234567"))] == [sha, new]
        assert set(index._stored_patches([sha])) == {sha}
        assert index.patch_id(sha) == patch_id
    with indexed(tmp_path, repository.path) as index:
        assert index.remark == ""


def test_an_upgrade_that_was_interrupted_goes_on(tmp_path, repository, monkeypatch):
    shas = [repository.commit(f"c{n}\n\nLP: #1234567", {"a": f"{n}\n"}) for n in range(9)]
    indexed(tmp_path, repository.path).close()
    _older(tmp_path / "workspace" / "index.sqlite")
    monkeypatch.setattr(index_build, "_BATCH", 2)
    told: list[int] = []

    def interrupt(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 3:
            raise KeyboardInterrupt

    workspace = Workspace.make(tmp_path / "workspace", [repository.path])
    with pytest.raises(KeyboardInterrupt):
        Index.open(workspace, interrupt)
    with Index.open(workspace, lambda done, total: told.append(done)) as index:
        assert {found for found, _ in index.linking(meant("LP#1234567"))} == set(shas)
    assert told == [2, 4, 6, 8, 9, 9]


C = "int one(void)\n{\n    return 1;\n}\n\nint two(void)\n{\n    return 2;\n}\n"


def test_the_functions_of_commits_are_read_when_asked_for_and_kept(tmp_path, repository):
    base = repository.commit("base", {"a.c": C, "b": "1\n"})
    second = repository.commit("second", {"a.c": C.replace("return 2", "return 3")})
    with indexed(tmp_path, repository.path) as index:
        assert index.functions_of(second) == {}
        assert index.read_functions([second]) == 1
        assert index.functions_of(second) == {b"a.c": ("two",)}
        assert (index.changing("two"), index.changing("one")) == ({second}, frozenset())
        assert index.unread_functions() == 1
    with indexed(tmp_path, repository.path) as index:
        assert index.read_functions() == 1
        assert index.changing("one") == {base}
        assert index.read_functions() == 0


def test_reading_functions_that_was_interrupted_goes_on(tmp_path, repository, monkeypatch):
    shas = [repository.commit(f"c{n}", {"a.c": C + f"int f{n};\n"}) for n in range(5)]
    monkeypatch.setattr(index_functions, "_TOGETHER", 2)

    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 4:
            raise KeyboardInterrupt

    with indexed(tmp_path, repository.path) as index, pytest.raises(KeyboardInterrupt):
        index.read_functions(progress=interrupt)
    with indexed(tmp_path, repository.path) as index:
        assert index.unread_functions() == 1
        assert index.read_functions() == 1
        assert all(index.unread_functions([sha]) == 0 for sha in shas)


def test_a_commit_whose_objects_are_missing_stays_unread(tmp_path, repository):
    repository.commit("base", {"a.c": C})
    lost = repository.commit("lost", {"a.c": C.replace("1", "4")})
    last = repository.commit("last", {"a.c": C.replace("2", "5")})
    blob = repository.run("rev-parse", f"{lost}:a.c").strip()
    (repository.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with indexed(tmp_path, repository.path) as index:
        index.read_functions()
        assert index.unread_functions([lost]) == 1
        assert index.functions_of(lost) == {}
        assert index.unread_functions([last]) == 1  # its parent's file is what is missing
        assert index.unread_functions() == 2


def test_what_became_of_a_damaged_or_newer_file_is_told(tmp_path, repository):
    grow(repository, 1)
    with indexed(tmp_path, repository.path) as index:
        assert index.remark == ""
    path = tmp_path / "workspace" / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {index_schema.VERSION + 1}")
    with indexed(tmp_path, repository.path) as index:
        assert index.remark.endswith("it is built anew")
        assert index.new == 1
    path.write_bytes(b"no database at all" * 1000)
    with indexed(tmp_path, repository.path) as index:
        assert index.remark.endswith("was damaged: it is built anew")
