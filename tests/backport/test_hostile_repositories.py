"""Repositories made to hurt: an answer or a clear error, nothing run, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.cli import main


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = GitRepository(tmp_path / "repository")
    made.commit("base", {"a.c": "".join(f"line {n}\n" for n in range(20))})
    made.run("branch", "stable")
    return made


def backport(*words: object) -> int:
    return main(["backport", *map(str, words)])


def planned(capsys: pytest.CaptureFixture[str], path: Path, *shas: str) -> dict[str, object]:
    words = ("plan", "--repo", path, "--onto", "stable", "--upstream", "main", *shas, "--json")
    assert backport(*words) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_fixes_that_name_each_other_end(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    # A sha cannot be known before its commit is made, so a loop is made by titles.
    first = repository.commit(
        f'a: one\n\nFixes: {"0" * 12} ("a: two")\nFixes: {"f" * 12} ("a: one")',
        {"a.c": "one\n"},
    )
    second = repository.commit(
        f'a: two\n\nFixes: {first[:12]} ("a: one")\nFixes: {"1" * 12} ("a: three")',
        {"a.c": "two\n"},
    )
    third = repository.commit(f'a: three\n\nFixes: {second[:12]} ("a: two")', {"a.c": "three\n"})
    found = planned(capsys, repository.path, first)
    assert [item["sha"] for item in found["series"]] == [first, second, third]  # type: ignore


def test_a_revert_of_a_revert_of_a_revert_ends(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    sha = first = repository.commit("a: one", {"a.c": "one\n"})
    for _ in range(3):
        repository.run("revert", "--no-edit", sha)
        sha = repository.run("rev-parse", "HEAD")
    assert backport("status", "--repo", repository.path, "--branch", "main", first, "--json") == 0
    (commit,) = json.loads(capsys.readouterr().out)["commits"]
    assert commit["state"] == "reverted"


@pytest.mark.parametrize("option", ["--branch", "--upstream", "--repo", "--since"])
def test_a_name_that_looks_like_an_option_runs_nothing(
    option: str, repository: GitRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "ran"
    for name in (f"--upload-pack=touch {mark}", f"ext::touch {mark}", f"-ctouch={mark}", "a\nb"):
        words = ["watch", "--repo", repository.path, "--upstream", "main", f"{option}={name}"]
        assert backport(*words) in (2, 3)
        assert capsys.readouterr().err.startswith("error: ")
    assert not mark.exists()


def test_a_diff_of_a_million_lines_and_a_line_of_a_megabyte_are_survived(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    large = repository.commit("large", {"large": "".join(f"{n}\n" for n in range(1_000_000))})
    wide = repository.commit("wide", {"wide": "x" * (1 << 20), "zeros": b"\0" * (1 << 20)})
    found = planned(capsys, repository.path, large, wide)
    assert found["applies"] is True
    assert backport("lint", "--repo", repository.path, "--upstream", "main", "stable..main") in (
        0,
        1,
    )


def test_alternates_that_lead_nowhere_or_in_a_circle_are_survived(
    repository: GitRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sha = repository.commit("one", {"b.c": "one\n"})
    alternates = repository.path / ".git/objects/info/alternates"
    for line in (tmp_path / "missing", repository.path / ".git/objects", "/proc/self/fd"):
        alternates.write_text(f"{line}\n#comment\n\n")
        words = ("status", "--repo", repository.path, "--branch", "stable", sha, "--json")
        assert backport(*words) == 0
        assert json.loads(capsys.readouterr().out)["commits"][0]["state"] == "absent"


def test_control_characters_of_titles_paths_and_refs_reach_no_terminal(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e"
    sha = repository.commit(f"evil {evil}", {"a.c": "x\n", f"b{evil}.c": "b\n"})
    repository.branch("stable", "stable")
    repository.commit("other", {"a.c": "y\n", f"b{evil}.c": "c\n"})
    for words in (
        ("status", "--branch", "stable", sha),
        ("plan", "--onto", "stable", "--upstream", "main", sha),
        ("lint", "--upstream", "main", "stable~1..main"),
        ("suspects", "stable~1..main", "--path", "a.c"),
        ("watch", "--branch", "stable", "--upstream", "main"),
    ):
        backport(words[0], "--repo", repository.path, *words[1:])
        shown = capsys.readouterr()
        assert not set("\x1b\x07\x9b\u202e") & set(shown.out + shown.err)


def test_a_repository_whose_refs_are_garbage_is_refused_or_read(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    sha = repository.commit("one", {"b.c": "one\n"})
    heads = repository.path / ".git/refs/heads"
    (heads / "broken").write_text("zzzz\n")
    (heads / "dangling").write_text("ab" * 20 + "\n")
    (heads / "loop").write_text("ref: refs/heads/loop\n")
    (heads / "link").symlink_to("/etc/passwd")
    for branch in ("stable", "broken", "dangling", "loop", "link"):
        code = backport("status", "--repo", repository.path, "--branch", branch, sha)
        shown = capsys.readouterr()
        assert code == (0 if branch == "stable" else 2), branch
        assert "Traceback" not in shown.err
        assert "root:" not in shown.out + shown.err
