"""Where upstream commits stand on a branch, in small repositories with the traps of real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.index import Index
from uplift.backport.model import Presence, State
from uplift.backport.presence import Options, presences
from uplift.lab.git import Workspace

LINES = [f"line {n}\n" for n in range(60)]
HIDDEN = Options(trailers=False)


def text(**changed: str) -> str:
    """Return a file of 60 lines, some of them (``at10="new"``) replaced."""
    lines = list(LINES)
    for place, line in changed.items():
        lines[int(place.removeprefix("at"))] = f"{line}\n"
    return "".join(lines)


class Branches:
    """An upstream ``main`` and a ``stable`` branch that began at its first commit."""

    def __init__(self, path: Path) -> None:
        self.repository = GitRepository(path / "repository")
        self._directory = path / "workspace"
        self.base = self.repository.commit("base", {"a.c": text(), "b.c": text()})
        self.repository.branch("stable", self.base)
        self.repository.commit("stable: begin", {"VERSION": "1.0\n"})

    def upstream(self, message: str, files: dict[str, str | bytes | None]) -> str:
        self.repository.run("checkout", "--quiet", "--force", "main")
        return self.repository.commit(message, files)

    def stable(self, message: str, files: dict[str, str | bytes | None]) -> str:
        """Commit on the branch as somebody who starts afresh: author and time are others."""
        self.repository.run("checkout", "--quiet", "--force", "stable")
        return self.repository.commit(message, files)

    def pick(self, sha: str, *options: str) -> str:
        self.repository.run("checkout", "--quiet", "--force", "stable")
        self.repository.run("cherry-pick", "--allow-empty", *options, sha)
        return self.repository.run("rev-parse", "HEAD")

    def revert(self, sha: str) -> str:
        self.repository.run("checkout", "--quiet", "--force", "stable")
        self.repository.run("revert", "--no-edit", sha)
        return self.repository.run("rev-parse", "HEAD")

    def status(self, *shas: str, options: Options | None = None) -> list[Presence]:
        with (
            Workspace.make(self._directory, [self.repository.path]) as workspace,
            Index.open(workspace) as index,
        ):
            return list(presences(workspace, index, "stable", shas, "main", options))

    def state(self, sha: str, options: Options | None = None) -> State:
        return self.status(sha, options=options)[0].state


@pytest.fixture
def branches(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


def evidence(presence: Presence) -> set[tuple[str, str]]:
    return {(item.kind, item.commit) for item in presence.evidence}


def test_what_the_branch_reaches_is_present_by_its_sha(branches):
    (found,) = branches.status(branches.base)
    assert (found.state, found.confidence, found.subject) == (State.PRESENT, 1.0, "base")


@pytest.mark.parametrize("options", [None, HIDDEN])
def test_a_cherry_pick_is_found_by_all_that_speaks_for_it(branches, options):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    picked = branches.pick(sha, "-x")
    (found,) = branches.status(sha, options=options)
    kinds = {"patch-id", "title", "author-time"} | ({"trailer"} if options is None else set())
    assert found.state is State.PRESENT
    assert evidence(found) == {(kind, picked) for kind in kinds}


def test_what_was_not_taken_is_absent(branches):
    taken = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    left = branches.upstream("net: fix the other thing", {"b.c": text(at10="fixed b")})
    branches.pick(taken)
    assert [found.state for found in branches.status(taken, left)] == [State.PRESENT, State.ABSENT]


@pytest.mark.parametrize(
    "trailer",
    [
        "(cheery-pick from commit {})",
        "[ upstream commit {} ]",
        "commit {} upstream.",
        "master commit: {}",
    ],
)
def test_a_rewritten_backport_is_believed_to_its_trailer(branches, trailer):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    message = f"net: mend it\n\n{trailer.format(sha)}\n"
    made = branches.stable(message, {"b.c": text(at40="done another way")})
    (found,) = branches.status(sha)
    assert (found.state, found.evidence[0].kind) == (State.PRESENT, "trailer")
    assert found.evidence[0].commit == made
    assert found.confidence < 0.9
    assert branches.state(sha, HIDDEN) is State.ABSENT


def test_a_mere_mention_is_no_link(branches):
    sha = branches.upstream("net: add the first thing", {"a.c": text(at10="added")})
    message = f"doc: tell of it\n\nThis came with commit {sha}.\n\nFixes: {sha[:12]}\n"
    branches.stable(message, {"b.c": text(at40="told")})
    assert branches.state(sha) is State.ABSENT


def test_a_trailer_with_a_wrong_sha_counts_for_the_commit_that_fits(branches):
    right = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    wrong = branches.upstream("net: rework all the rest", {"b.c": text(at5="re", at6="work")})
    message = f"net: fix the first thing\n\n(cherry picked from commit {wrong})\n"
    made = branches.stable(message, {"a.c": text(at10="fixed")})
    found_right, found_wrong = branches.status(right, wrong)
    assert found_right.state is State.PRESENT
    assert ("patch-id", made) in evidence(found_right)
    assert found_wrong.state is State.ABSENT


def test_an_adapted_backport_shows_in_what_it_differs(branches):
    sha = branches.upstream(
        "net: fix the first thing", {"a.c": text(at10="int x;", at20="int y;", at30="return x;")}
    )
    branches.stable(
        "net: fix the first thing",
        {"a.c": text(at10="int x;", at20="int y;", at30="return old(x);")},
    )
    (found,) = branches.status(sha)
    assert found.state is State.PRESENT
    assert found.differences == ("- +return x;", "+ +return old(x);")


def test_a_squashed_backport_carries_all_it_names(branches):
    first = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    second = branches.upstream("net: fix the other thing", {"b.c": text(at10="fixed b")})
    other = branches.upstream("net: a third", {"c.c": "c\n"})
    message = f"net: fix things\n\n(cherry picked from commits {first}\n and {second})\n"
    branches.stable(message, {"a.c": text(at10="fixed"), "b.c": text(at10="fixed b")})
    states = [found.state for found in branches.status(first, second, other)]
    assert states == [State.PRESENT, State.PRESENT, State.ABSENT]


def test_of_two_commits_of_one_title_the_one_that_fits_is_meant(branches):
    first = branches.upstream("doc: update the release notes", {"a.c": text(at10="one", at11="1")})
    second = branches.upstream("doc: update the release notes", {"b.c": text(at20="two", at21="2")})
    branches.stable("doc: update the release notes", {"b.c": text(at20="two", at21="2")})
    states = [found.state for found in branches.status(first, second, options=HIDDEN)]
    assert states == [State.ABSENT, State.PRESENT]


def test_a_title_changed_a_little_is_recognised_with_its_lines(branches):
    sha = branches.upstream(
        "net: add missing break in hwdom_access()", {"a.c": text(at10="break;")}
    )
    branches.stable(
        "net: add missing break in dom0_access()", {"a.c": text(at10="break;", at50="x")}
    )
    assert branches.state(sha, HIDDEN) is State.PRESENT


def test_a_reverted_backport_is_reverted_and_a_reverted_revert_present(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    revert = branches.revert(branches.pick(sha, "-x"))
    (found,) = branches.status(sha)
    assert found.state is State.REVERTED
    assert ("revert", revert) in evidence(found)
    branches.revert(revert)
    assert branches.state(sha) is State.PRESENT


def test_what_was_taken_again_after_a_revert_is_present(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    branches.revert(branches.pick(sha, "-x"))
    again = branches.pick(sha, "-x")
    (found,) = branches.status(sha)
    assert found.state is State.PRESENT
    assert ("trailer", again) in evidence(found)


def test_a_picked_revert_takes_the_backport_back(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    branches.pick(sha)
    branches.repository.run("checkout", "--quiet", "main")
    branches.repository.run("revert", "--no-edit", sha)
    revert = branches.repository.run("rev-parse", "HEAD")
    branches.pick(revert, "-x")
    states = [found.state for found in branches.status(sha, revert)]
    assert states == [State.REVERTED, State.PRESENT]


@pytest.mark.parametrize("message", ['Revert "net: fix the first thing"', "net: it broke things"])
def test_a_revert_without_a_sha_is_seen_by_its_title_or_by_what_it_does(branches, message):
    change = text(at10="fixed", at20="here too", at30="and there")
    sha = branches.upstream("net: fix the first thing", {"a.c": change})
    branches.pick(sha)
    branches.stable(message, {"a.c": text()})
    assert branches.state(sha) is State.REVERTED


def test_a_shared_commit_that_the_branch_undid_without_a_word(branches):
    change = text(at10="fixed", at20="here too", at30="and there")
    early = branches.upstream("net: early", {"a.c": change})
    branches.repository.run("branch", "--force", "stable", "main")
    branches.stable("net: it broke things", {"a.c": text()})
    assert branches.state(early) is State.REVERTED


def test_a_commit_of_the_shared_history_that_the_branch_took_back(branches):
    branches.revert(branches.pick(branches.upstream("x: y", {"c.c": "1\n"})))
    branches.repository.run("checkout", "--quiet", "main")
    early = branches.upstream("net: early", {"a.c": text(at1="early")})
    branches.repository.run("branch", "--force", "stable", "main")
    assert branches.state(early) is State.PRESENT
    branches.revert(early)
    assert branches.state(early) is State.REVERTED


def test_a_reverted_merge_takes_back_what_it_brought(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    run = branches.repository.run
    run("checkout", "--quiet", "-b", "topic", "stable")
    run("cherry-pick", "-x", sha)
    run("checkout", "--quiet", "stable")
    run("merge", "--quiet", "--no-ff", "-m", "Merge topic", "topic")
    run("revert", "--no-edit", "-m", "1", "HEAD")
    assert branches.state(sha) is State.REVERTED


def test_a_part_of_the_hunks_is_partial(branches):
    changed = {f"at{n}": f"changed {n}" for n in (5, 15, 25, 35, 45)}
    sha = branches.upstream("net: change it everywhere", {"a.c": text(**changed)})
    branches.stable(
        f"net: change it everywhere\n\n(cherry picked from commit {sha})\n",
        {"a.c": text(at5="changed 5", at15="changed 15")},
    )
    (found,) = branches.status(sha)
    assert found.state is State.PARTIAL
    assert any("a.c" in item.text for item in found.evidence)


def test_left_out_documentation_is_no_part(branches):
    notes = {"doc/notes.rst": "".join(f"note {n}\n" for n in range(9))}
    sha = branches.upstream("net: fix it with notes", {"a.c": text(at10="fixed"), **notes})
    branches.stable(
        f"net: fix it with notes\n\n(cherry picked from commit {sha})\n",
        {"a.c": text(at10="fixed")},
    )
    assert branches.state(sha) is State.PRESENT


def test_a_change_that_the_tree_has_in_another_form_is_present(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    change = {f"at{n}": f"mine {n}" for n in range(30, 50)}
    branches.stable("own: rework", {"a.c": text(at10="fixed", **change)})
    (found,) = branches.status(sha)
    assert (found.state, found.evidence[0].kind) == (State.PRESENT, "diff")
    assert branches.state(sha, Options(tree=False)) is State.ABSENT


def test_a_commit_that_nobody_has_is_undetermined(branches):
    (found,) = branches.status("1" * 40)
    assert (found.state, found.evidence[0].kind) == (State.UNDETERMINED, "missing-object")


def test_below_the_cut_of_a_shallow_clone_nothing_is_called_absent(branches, tmp_path):
    old = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    branches.pick(old)
    for n in range(4):
        branches.stable(f"own {n}", {"own": f"{n}\n"})
    new = branches.upstream("net: a later one", {"b.c": text(at10="later")})
    clone = tmp_path / "clone"
    url = f"file://{branches.repository.path}"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=2", "--no-single-branch", url, str(clone)], check=True
    )
    with (
        Workspace.make(tmp_path / "shallow", [clone]) as workspace,
        Index.open(workspace) as index,
    ):
        branch, upstream = "refs/remotes/origin/stable", "refs/remotes/origin/main"
        found = presences(workspace, index, branch, [old, new], upstream)
    assert [item.state for item in found] == [State.UNDETERMINED, State.ABSENT]


def test_a_missing_content_is_undetermined_where_it_would_tell(branches):
    sha = branches.upstream("net: fix the first thing", {"a.c": text(at10="fixed")})
    branches.stable("own: something else", {"a.c": text(at40="own")})
    blob = branches.repository.run("rev-parse", f"{sha}:a.c")
    (branches.repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert branches.state(sha) is State.UNDETERMINED
