"""Which commits a question is about, asked of real repositories through the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backport.git_repository import GitRepository
from uplift.cli import main

BUG = "BugLink: https://bugs.launchpad.net/bugs/2031412"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = GitRepository(tmp_path / "repository")
    made.commit("base", {"a.c": "1\n"})
    made.run("branch", "stable")
    return made


def asked(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> dict[str, Any]:
    where = ("--repo", str(path), "--branch", "stable", "--upstream", "main", "--json")
    assert main(["backport", "status", *where, *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def subjects(found: dict[str, Any]) -> list[str]:
    return [commit["subject"] for commit in found["commits"]]


def test_commits_of_a_bug_are_selected_however_it_is_written(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit(f"one\n\n{BUG}", {"a.c": "2\n"})
    repository.commit("other\n\nCloses: #99\nLink: https://lore.kernel.org/r/1@x", {"b.c": "2\n"})
    repository.commit("two\n\n* mended (LP: #2031412)", {"a.c": "3\n"})
    for bug in ("2031412", "LP#2031412", "https://launchpad.net/bugs/2031412"):
        found = asked(capsys, repository.path, "--bug", bug)
        assert subjects(found) == ["one", "two"]
        assert found["notes"] == []
    for bug in ("#99", "https://bugs.debian.org/99", "https://lore.kernel.org/all/1@x/"):
        assert subjects(asked(capsys, repository.path, "--of-bug", bug)) == ["other"]


def test_a_function_selects_the_commits_that_change_it(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    two = "int one(void)\n{\n    return 1;\n}\n\nint two(void)\n{\n    return 2;\n}\n"
    repository.commit("both come", {"f.c": two})
    repository.commit("two", {"f.c": two.replace("return 2", "return 3")})
    repository.commit("other", {"a.c": "2\n"})
    found = asked(capsys, repository.path, "--range", "stable..main", "--function", "two")
    assert subjects(found) == ["both come", "two"]
    found = asked(capsys, repository.path, "--function", "one", "--path", "f.c")
    assert subjects(found) == ["both come"]


def test_a_range_and_a_path_narrow_a_bug_and_what_is_outside_is_told(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit(f"one\n\n{BUG}", {"a.c": "2\n"})
    repository.run("tag", "v1")
    repository.commit(f"two\n\n{BUG}", {"a.c": "3\n"})
    repository.commit(f"three\n\n{BUG}", {"b.c": "3\n"})
    found = asked(capsys, repository.path, "--bug", "LP#2031412", "--range", "v1..main")
    assert subjects(found) == ["two", "three"]
    assert found["notes"] == ["1 more link to it outside v1..main"]
    found = asked(capsys, repository.path, "--bug", "LP#2031412", "--path", "a.c")
    assert subjects(found) == ["one", "two"]


def test_a_bare_number_of_several_trackers_is_told(
    repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit("one\n\nBugzilla ID: 1234567", {"a.c": "2\n"})
    repository.commit("two\n\nLP: #1234567", {"a.c": "3\n"})
    found = asked(capsys, repository.path, "--bug", "1234567")
    assert subjects(found) == ["one", "two"]
    assert found["notes"] == ["bug 1234567 is of several trackers: launchpad, no tracker named"]
    assert subjects(asked(capsys, repository.path, "--bug", "LP#1234567")) == ["two"]


@pytest.mark.parametrize(
    ("bug", "cause"),
    [
        ("LP#5", "no message links to LP#5"),
        ("--upload-pack=x", "it is no number, no tracker's name for one, and no address"),
        ("a\x1b[31m", "it is no number, no tracker's name for one, and no address"),
    ],
)
def test_a_bug_that_nothing_links_to_or_that_is_none_is_an_error(
    bug: str, cause: str, repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("status", "--repo", str(repository.path), "--upstream", "main", f"--bug={bug}")
    assert main(["backport", *words]) == 2
    assert f"cause: {cause}" in (shown := capsys.readouterr().err)
    assert "\x1b" not in shown


def test_a_series_takes_the_commits_of_a_bug_and_writes_another(
    repository: GitRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.commit("one\n\nCloses: #99", {"a.c": "2\n"})
    words = ["series", "--repo", str(repository.path), "--onto", "stable", "--upstream", "main"]
    words += ["--of-bug", "#99", "--bug", "2031412", "--profile", "ubuntu-kernel", "--for", "N"]
    words += ["--sender", "A <a@example.org>", "--branch", "new"]
    assert main(["backport", *words]) == 0
    written = repository.run("log", "--format=%B", "stable..new")
    assert written.startswith("one\n")
    assert "https://bugs.launchpad.net/bugs/2031412" in written
