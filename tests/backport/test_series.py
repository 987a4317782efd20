"""A written series: one new branch with the planned trees, or nothing; mails that give the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.mail import Envelope, patch_mails, write_mails
from uplift.backport.model import Person, Plan, PlannedCommit, Role
from uplift.backport.profiles import load_profile
from uplift.backport.series import SeriesOptions, Written, write_series
from uplift.backport.series_text import Form, Links
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

SENDER = Person("Zoë Müller", "zoe@example.com", 1_700_100_000, "+0100")
LINES = [f"line {number}\n" for number in range(40)]


def text(**changes: str) -> str:
    lines = list(LINES)
    for name, line in changes.items():
        lines[int(name.removeprefix("at_"))] = f"{line}\n"
    return "".join(lines)


def planned(onto: str, *shas: str) -> Plan:
    series = tuple(PlannedCommit(sha, "", Role.REQUESTED, "asked for") for sha in shas)
    return Plan(onto, series, (), True, "")


@pytest.fixture
def repo(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "repo")
    made.commit("start", {"a.c": text(), "b.c": text()})
    made.branch("stable", "main")
    made.commit("only here", {"b.c": text(at_1="stable")})
    made.branch("main", "main")
    return made


@pytest.fixture
def workspace(repo: GitRepository, tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.make(tmp_path / "workspace", [repo.path]) as made:
        yield made


def write(
    repo: GitRepository, tmp_path: Path, *shas: str, profile: str = "ubuntu-kernel", bug: str = "7"
) -> Written:
    options = SeriesOptions(load_profile(profile), SENDER, Links(bug), "main")
    plan = planned(repo.run("rev-parse", "stable"), *shas)
    with Workspace.make(tmp_path / "workspace", [repo.path]) as workspace:
        return write_series(repo.path, workspace, plan, "series", options)


def test_a_pick_keeps_its_author_and_says_where_it_comes_from(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = repo.commit(
        "net: mend it\n\nWhy it broke.\n\nSigned-off-by: A <a@example.org>", {"a.c": text(at_3="x")}
    )
    written = write(repo, tmp_path, sha)
    assert repo.run("log", "-1", "--format=%an %cn%n%B", "series") == (
        "A Zoë Müller\n"
        "net: mend it\n\n"
        "BugLink: https://bugs.launchpad.net/bugs/7\n\n"
        "Why it broke.\n\n"
        "Signed-off-by: A <a@example.org>\n"
        f"(cherry picked from commit {sha})\n"
        "Signed-off-by: Zoë Müller <zoe@example.com>"
    )
    assert repo.run("rev-parse", "series^{tree}", "series~1") == "\n".join(
        (written.tree, written.onto)
    )
    assert repo.run("show", "series:a.c") == text(at_3="x").strip()


def test_a_stable_tree_wants_the_line_above_the_text(repo: GitRepository, tmp_path: Path) -> None:
    body = "Why.\n\nCc: stable@dpdk.org"
    sha = repo.commit(f"net: mend it\n\n{body}", {"a.c": text(at_3="x")})
    write(repo, tmp_path, sha, profile="dpdk-stable")
    assert repo.run("log", "-1", "--format=%b", "series") == f"[ upstream commit {sha} ]\n\nWhy."


def test_a_change_that_lost_lines_is_called_a_backport(repo: GitRepository, tmp_path: Path) -> None:
    sha = repo.commit("both", {"a.c": text(at_3="x"), "b.c": text(at_1="stable")})
    written = write(repo, tmp_path, sha)
    assert [commit.form for commit in written.commits] == [Form.BACKPORTED]
    body = repo.run("log", "-1", "--format=%b", "series")
    assert f"(backported from commit {sha})\n[Zoë Müller: TO WRITE: what was changed" in body


def test_what_the_branch_has_already_is_left_out(repo: GitRepository, tmp_path: Path) -> None:
    sha = repo.commit("the same", {"b.c": text(at_1="stable")})
    written = write(repo, tmp_path, sha)
    assert (written.commits, written.left_out, written.tip) == ((), (sha,), written.onto)


def test_a_conflict_is_marked_with_both_sides_and_left_to_a_person(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = repo.commit("other", {"b.c": text(at_1="upstream"), "a.c": text(at_9="x")})
    written = write(repo, tmp_path, sha)
    assert [c.path for c in written.unfinished[0].conflicts] == ["b.c"]
    subject, _, body = repo.run("log", "-1", "--format=%B", "series").partition("\n")
    assert subject == "CONFLICT: other"
    assert "TO WRITE: resolve b.c (contents)" in body
    shown = repo.run("show", "series:b.c")
    assert f"<<<<<<< the branch\nstable\n=======\nupstream\n>>>>>>> {sha[:12]} (other)" in shown


def test_configuration_stands_in_a_commit_of_its_own(repo: GitRepository, tmp_path: Path) -> None:
    path = "debian.master/config/annotations"
    sha = repo.commit("add driver", {"a.c": text(at_5="driver"), path: "CONFIG_A policy<>\n"})
    written = write(repo, tmp_path, sha)
    assert [commit.form for commit in written.commits] == [Form.BACKPORTED, Form.CONFIG]
    assert repo.run("diff", "--name-only", "series~2", "series~1") == "a.c"
    assert repo.run("diff", "--name-only", "series~1", "series") == path
    assert repo.run("log", "-1", "--format=%s", "series") == "UBUNTU: [Config] add driver"


def test_a_tree_that_is_not_mainline_is_named(repo: GitRepository, tmp_path: Path) -> None:
    repo.branch("linux-next/master", "main")
    sha = repo.commit("soon", {"a.c": text(at_3="x")})
    repo.branch("linux-6.8.y", "main")
    other = repo.commit("long since", {"a.c": text(at_30="y")})
    write(repo, tmp_path, sha, other)
    assert f"commit {sha} linux-next)" in repo.run("log", "-1", "--format=%b", "series~1")
    assert f"commit {other} linux-6.8.y)" in repo.run("log", "-1", "--format=%b", "series")


@pytest.mark.parametrize("name", ["stable", "-x", "a..b", "a b", "", "refs/../../x", "@{-1}"])
def test_no_branch_is_overwritten_and_no_bad_name_accepted(
    repo: GitRepository, workspace: Workspace, name: str
) -> None:
    sha = repo.commit("x", {"a.c": text(at_3="x")})
    before = repo.run("for-each-ref")
    options = SeriesOptions(load_profile("generic"), SENDER)
    with pytest.raises(UpliftError):
        write_series(repo.path, workspace, planned(sha, sha), name, options)
    assert repo.run("for-each-ref") == before


def test_a_failure_halfway_leaves_the_repository_as_it_was(
    repo: GitRepository, workspace: Workspace
) -> None:
    sha = repo.commit("x", {"a.c": text(at_3="x")})
    before = repo.run("for-each-ref"), repo.run("count-objects", "-v")
    options = SeriesOptions(load_profile("generic"), SENDER)
    plan = planned(repo.run("rev-parse", "stable"), sha, "1" * 40)
    with pytest.raises(UpliftError):
        write_series(repo.path, workspace, plan, "series", options)
    assert (repo.run("for-each-ref"), repo.run("count-objects", "-v")) == before


def test_no_hook_runs_and_no_work_tree_changes(repo: GitRepository, tmp_path: Path) -> None:
    sha = repo.commit("x", {"a.c": text(at_3="x")})
    for hook in ("reference-transaction", "post-commit", "pre-commit", "commit-msg"):
        path = repo.path / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    repo.run("config", "core.fsmonitor", f"touch {tmp_path}/ran")
    (repo.path / "a.c").write_text("somebody is at work here\n")
    write(repo, tmp_path, sha)
    assert not (tmp_path / "ran").exists()
    assert (repo.path / "a.c").read_text() == "somebody is at work here\n"


DIFFICULT: dict[str, dict[str, str | bytes | None]] = {
    "line ends of another system": {"a.c": text(at_3="x\r"), "crlf.txt": b"one\r\ntwo\r\n"},
    "no line end": {"a.c": text(at_3="x") + "end"},
    "bytes that are no text": {"latin.c": b"caf\xe9\n", "raw.bin": bytes(range(256)) * 9},
    "long lines": {"long.c": "x" * 5000 + "\n"},
    "lines like a mail's": {"m.c": "From a Mon Sep 17 00:00:00 2001\n---\ndiff -u\n-- \n"},
    "an empty file": {"empty": ""},
    "a file that goes": {"b.c": None},
    "names": {'a b/ü\t"x".c': "1\n", "-- dash": "2\n"},
    "trailing spaces": {"s.c": "a  \n\t\n\n\n"},
}


@pytest.mark.parametrize("what", DIFFICULT)
def test_mails_give_the_same_tree_with_plain_git_am(
    repo: GitRepository, tmp_path: Path, what: str
) -> None:
    repo.branch("stable", "stable")
    repo.branch("main", "main")
    message = (
        f'{what}: [x] "quoted" ünïcode title so long that mail programs fold it, twice\n\n'
        "From: Nobody <x@example.org>\n\n---\ndiff --git a/a.c b/a.c\n# not a comment\n"
        "From x Mon Sep 17 00:00:00 2001\nIndex: a\n\nSigned-off-by: A <a@example.org>"
    )
    before = repo.run("rev-parse", "main")
    repo.branch("stable", before)
    repo.branch("main", before)
    sha = repo.commit(message, DIFFICULT[what])
    written = write(repo, tmp_path, sha)
    envelope = Envelope(load_profile("ubuntu-kernel"), SENDER, "N")
    with Workspace.make(tmp_path / "workspace", [repo.path]) as workspace:
        mails = patch_mails(workspace, [commit.sha for commit in written.commits], envelope)
    files = write_mails(tmp_path / "mails", mails)
    repo.run("checkout", "--quiet", "--force", "--detach", written.onto)
    done = repo.attempt("am", "--quiet", *map(str, files))
    assert done.returncode == 0, done.stderr
    assert repo.run("rev-parse", "HEAD^{tree}") == written.tree
    wanted = repo.run("log", "-1", "--format=%an <%ae> %at%n%B", written.tip)
    assert repo.run("log", "-1", "--format=%an <%ae> %at%n%B") == wanted


@pytest.mark.parametrize("author", ["Łukasz Ż <l@x.org>", 'J. R. "Bob" O\'Neil, Jr. <j@x.org>'])
def test_an_author_of_any_name_comes_through_mail(
    repo: GitRepository, tmp_path: Path, author: str
) -> None:
    (repo.path / "link").symlink_to("a.c")
    repo.run("mv", "b.c", "moved.c")
    repo.run("update-index", "--chmod=+x", "a.c")
    repo.run("add", "link")
    repo.run("commit", "-q", "-m", "moved", "--author", author)
    sha = repo.run("rev-parse", "HEAD")
    written = write(repo, tmp_path, sha, profile="generic")
    with Workspace.make(tmp_path / "workspace", [repo.path]) as workspace:
        envelope = Envelope(load_profile("generic"), SENDER, "22.11")
        mails = patch_mails(workspace, [written.tip], envelope)
    assert b"Subject: [PATCH 22.11 1/1] moved\n" in mails[0].content
    files = write_mails(tmp_path / "mails", mails)
    repo.run("checkout", "--quiet", "--force", "--detach", written.onto)
    repo.run("am", "--quiet", *map(str, files))
    assert repo.run("rev-parse", "HEAD^{tree}") == written.tree
    wanted = repo.run("log", "-1", "--format=%an <%ae>", sha)
    assert repo.run("log", "-1", "--format=%an <%ae>") == wanted
