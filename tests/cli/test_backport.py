"""``uplift backport`` as scripts and terminals see it."""

from __future__ import annotations

import json
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.backport.git_repository import GitRepository
from uplift.cli import main

LINES = [f"line {n}\n" for n in range(20)]
MILAN = str(Path(__file__).parent.parent / "recordings/own/firecracker-milan.jsonl.gz")
SENDER = "Ada <ada@example.org>"


def text(at: int, line: str) -> str:
    return "".join([*LINES[:at], f"{line}\n", *LINES[at + 1 :]])


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A repository whose ``stable`` lacks two commits of ``main`` that build on each other."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = GitRepository(tmp_path / "repository")
    repository.commit("base", {"a.c": "".join(LINES)})
    repository.run("branch", "stable")
    shas = [
        repository.commit("a: nine\n\nSigned-off-by: B <b@example.org>", {"a.c": text(9, "nine")}),
        repository.commit("a: ten\x1b[31m", {"a.c": text(9, "ten")}),
    ]
    return repository.path, shas


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what was printed, checked against the schema that it names."""
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    name = found["schema"].replace("/", "-")
    schema = files("uplift.report").joinpath(f"schema/{name}.schema.json").read_text("utf-8")
    Draft202012Validator(json.loads(schema)).validate(found)
    return found


def backport(*words: str | Path) -> int:
    return main(["backport", *map(str, words)])


def test_status_tells_each_commit(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    assert backport("status", "--repo", path, "--branch", "stable", *shas, "0" * 40, "--json") == 0
    found = document(capsys)
    assert [(c["sha"], c["state"]) for c in found["commits"]] == [
        (shas[0], "absent"),
        (shas[1], "absent"),
        ("0" * 40, "undetermined"),
    ]
    assert all(commit["evidence"] for commit in found["commits"])


def test_the_hunks_of_a_conflict_are_printed_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = GitRepository(tmp_path / "repository")
    repository.commit("base", {"a.c": "".join(LINES)})
    repository.run("branch", "stable")
    repository.commit("a: ten", {"a.c": text(9, "t\x1b[2Jen")})
    sha = repository.commit("a: eleven", {"a.c": text(9, "eleven")})
    asked = ("plan", "--repo", repository.path, "--onto", "stable", "--no-prerequisites", sha)
    assert backport(*asked, "--hunks") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    has = lines.index("the branch has:")
    assert lines[has - 1] == "@@ line 10  line 8"
    assert set(lines[has + 1 : has + 3]) == {"-t\\x1b[2Jen", "+line 9"}
    assert backport(*asked, "--json") == 0
    (conflict,) = document(capsys)["conflicts"]
    assert [hunk["theirs"] for hunk in conflict["hunks"]] == [["eleven"]]


def test_landed_fails_until_all_are_there(made: tuple[Path, list[str]]) -> None:
    path, shas = made
    assert backport("status", "--repo", path, "--branch", "stable", "--landed", shas[0]) == 1
    assert backport("status", "--repo", path, "--branch", "main", "--landed", *shas) == 0


def test_a_range_a_word_and_a_path_select_commits(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    for words in (("--range", "stable..main"), ("--range", "stable..main", "--path", "a.c")):
        assert backport("status", "--repo", path, "--branch", "stable", *words, "--json") == 0
        assert [commit["sha"] for commit in document(capsys)["commits"]] == shas
    words = ("--grep", "A: NINE", "--upstream", "main")
    assert backport("status", "--repo", path, "--branch", "stable", *words, "--json") == 0
    assert [commit["sha"] for commit in document(capsys)["commits"]] == shas[:1]


def test_a_plan_names_roles_reasons_and_what_results(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    words = ("--repo", path, "--onto", "stable", "--upstream", "main", shas[1])
    assert backport("plan", *words, "--json") == 0
    found = document(capsys)
    assert [(c["sha"], c["role"]) for c in found["series"]] == [
        (shas[0], "prerequisite"),
        (shas[1], "requested"),
    ]
    assert found["applies"] and found["conflicts"] == [] and found["series"][0]["reason"]


def test_a_plan_that_leaves_conflicts_fails_a_check(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    words = ("--repo", path, "--onto", "stable", "--no-prerequisites", shas[1], "--json")
    assert backport("plan", *words, "--check") == 1
    found = document(capsys)
    assert backport("plan", *words) == 0
    assert not found["applies"] and found["tree"] is None and found["conflicts"]


def test_a_plan_shows_what_would_be_left_to_a_person_instead_of_its_prerequisites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A conflict in a file that only people read is easily left out, so it is told apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = GitRepository(tmp_path / "repository")
    repository.commit("base", {"a.c": "".join(LINES)})
    repository.run("branch", "stable")
    repository.commit("list of contributors", {".mailmap": "Ada <ada@example.org>\n"})
    both = {".mailmap": "Ada <ada@example.org>\nBob <b@example.org>\n", "a.c": text(9, "nine")}
    sha = repository.commit("a: nine", both)
    assert backport("plan", "--repo", repository.path, "--onto", "stable", sha) == 0
    shown = capsys.readouterr().out
    assert "by hand in 1 file instead of taking 1 commit more" in shown
    assert ".mailmap: modify/delete (only people read it)" in shown


def test_what_a_terminal_shows_cannot_steer_it(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    backport("status", "--repo", path, "--branch", "stable", shas[1])
    backport("plan", "--repo", path, "--onto", "stable", shas[1])
    backport("lint", "--repo", path, "stable..main")
    assert "\x1b" not in capsys.readouterr().out


def test_a_series_lands_on_a_new_branch_and_its_mails_give_the_same_tree(
    made: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    where = ("--repo", path, "--onto", "stable", "--upstream", "main")
    written = ("--branch", "enable", "--mail", tmp_path / "mails", "--for", "1.0")
    words = ("--profile", "generic", "--sender", SENDER, shas[1], "--json")
    assert backport("series", *where, *written, *words) == 0
    found = document(capsys)
    assert [commit["upstream"] for commit in found["commits"]] == shas
    git = ["git", "-C", str(path)]
    tree = subprocess.check_output([*git, "rev-parse", "enable^{tree}"], text=True).strip()
    assert tree == found["tree"]
    subprocess.run([*git, "checkout", "--quiet", "-b", "mailed", "stable"], check=True)
    mails = [mail for mail in found["mails"] if "cover" not in mail]
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, *who, "am", "--quiet", *mails], check=True)
    assert subprocess.check_output([*git, "rev-parse", "HEAD^{tree}"], text=True).strip() == tree


def test_an_existing_branch_is_refused_and_no_mail_written(
    made: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    mails = tmp_path / "mails"
    words = ("--branch", "main", "--mail", mails, "--sender", SENDER, shas[0])
    assert backport("series", "--repo", path, "--onto", "stable", *words) == 2
    assert "fix:" in capsys.readouterr().err and not mails.exists()


def test_lint_tells_an_error_and_exits_with_1(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    words = ("--repo", path, "--profile", "ubuntu-kernel", "stable..main", "--json")
    assert backport("lint", *words) == 1
    found = document(capsys)
    assert any(finding["severity"] == "error" for finding in found["findings"])


def test_the_index_says_what_kind_of_clone_it_read(
    made: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    clone = tmp_path / "cut"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{path}", str(clone)], check=True
    )
    assert backport("index", clone, "--json") == 0
    (repository,) = document(capsys)["repositories"]
    assert repository["shallow"] and not repository["partial"]


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--repo", "{}", "no-such-name"),
        ("status", "--repo", "{}", "--upload-pack=touch x"),
        ("status", "--repo", "{}/a.c", "main"),
        ("plan", "--repo", "{}", "--onto", "nowhere", "main"),
        ("plan", "--repo", "{}"),
        ("status", "--repo", "{}", "--feature", "x86/no-such"),
        ("series", "--repo", "{}", "--onto", "stable", "main"),
    ],
)
def test_bad_input_is_told_with_its_fix(
    words: tuple[str, ...], made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    try:
        code = backport(*(word.format(path) for word in words))
    except SystemExit as stopped:  # argparse's own refusal
        code = int(str(stopped.code))
    assert code == 2
    assert capsys.readouterr().err


def test_a_feature_of_another_project_selects_nothing(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    assert backport("status", "--repo", path, "--feature", "x86/amx-tile") == 2
    assert "not in this repository" in capsys.readouterr().err


def test_a_fix_ends_in_a_backport_plan_where_a_commit_brought_the_feature(
    made: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    overlay = tmp_path / "overlay"
    (overlay / "features").mkdir(parents=True)
    manifest = 'name = "mine"\nlabel = "TEST"\npolicy = "embargoed"\nlifts_at = 2099-01-01\n'
    (overlay / "overlay.toml").write_text(manifest)
    (overlay / "features" / "new.toml").write_text(
        f"""
[[feature]]
id = "x86/test-new"
title = "Test"
arch = ["x86-64"]
area = "compute"
worth = 1
summary = "Test."
[[feature.layer]]
name = "silicon"
needs = {{ fact = "cpuid.7.0.edx", bit = 24 }}
source = {{ cited = "test" }}
[[feature.layer]]
name = "kernel"
needs = {{ fact = "cpuinfo.flags", has = "testflag" }}
owner = "test"
source = {{ cited = "test" }}
since = {{ project = "linux", version = "9.9", commit = "{shas[1][:12]}" }}
remedy = {{ kind = "kernel", do = "boot a newer one" }}
"""
    )
    words = ["--repo", str(path), "--onto", "stable", "--upstream", "main", "--json"]
    assert main(["fix", "x86/test-new", MILAN, "--overlay", str(overlay), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(c["sha"], c["role"]) for c in found["backport"]["series"]] == [
        (shas[0], "prerequisite"),
        (shas[1], "requested"),
    ]


def test_a_fix_tells_the_remedies_even_where_no_backport_can_be_planned(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    assert main(["fix", "x86/amx-tile", MILAN, "--repo", str(path)]) == 2
    printed = capsys.readouterr()
    assert "x86/amx-tile" in printed.out
    assert "not in this repository" in printed.err


def test_a_name_that_nothing_has_is_told_in_plain_words(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made
    assert backport("status", "--repo", path, "--branch", "nowhere", "main") == 2
    assert "no branch, tag or commit of the repository has this name" in capsys.readouterr().err


def test_watch_tells_a_fix_and_fails_a_check(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    for words in (("checkout", "-q", "stable"), ("cherry-pick", "-x", shas[0])):
        git = ["git", "-C", str(path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run([*git, *words], check=True, capture_output=True)
    asked = ("watch", "--repo", path, "--branch", "stable", "--upstream", "main", "--check")
    assert backport(*asked) == 0
    message = f'a: mend nine\n\nFixes: {shas[0][:12]} ("a: nine")\n'
    subprocess.run([*git, "checkout", "-q", "main"], check=True, capture_output=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    (path / "a.c").write_text(text(9, "mended"))
    subprocess.run([*git, "commit", "-qam", message], check=True)
    capsys.readouterr()
    assert backport(*asked, "--json") == 1
    assert {item["kind"] for item in document(capsys)["news"]} == {"fix"}


def test_watch_needs_an_upstream(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert backport("watch", "--repo", made[0]) == 2
    assert "give --upstream REF" in capsys.readouterr().err


def test_suspects_are_ordered_and_need_something_to_go_by(
    made: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shas = made
    words = ("suspects", "--repo", path, "stable..main")
    assert backport(*words, "--path", "a.c", "--json") == 0
    assert [one["sha"] for one in document(capsys)["suspects"]] == shas[::-1]
    assert backport(*words, "--path", "a.c") == 0
    assert "\x1b" not in capsys.readouterr().out
    assert backport(*words) == 2
    assert backport("suspects", "--repo", path, "stable", "--path", "a.c") == 2
