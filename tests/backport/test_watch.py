"""What upstream knows of commits that a branch carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.index import Index
from uplift.backport.landed import landed
from uplift.backport.place import open_workspace
from uplift.backport.presence import presences
from uplift.backport.watch import News, NewsKind, watch

LINES = [f"line {n}\n" for n in range(20)]


def text(**changed: str) -> str:
    lines = list(LINES)
    for at, line in changed.items():
        lines[int(at[1:])] = f"{line}\n"
    return "".join(lines)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitRepository]:
    """``main`` and ``stable``, which start from one commit."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = GitRepository(tmp_path / "repository")
    made.commit("base", {"a.c": text()})
    made.run("branch", "stable")
    yield made


def news(repository: GitRepository, since: str = "") -> tuple[News, ...]:
    with open_workspace([repository.path]) as workspace, Index.open(workspace) as index:
        return watch(workspace, index, "stable", "main", since)


def picked(repository: GitRepository, sha: str) -> str:
    repository.run("checkout", "--quiet", "stable")
    repository.run("cherry-pick", "-x", sha)
    carried = repository.run("rev-parse", "HEAD")
    repository.run("checkout", "--quiet", "main")
    return carried


def test_a_later_fix_of_a_pick_is_news_until_it_was_picked_too(repository: GitRepository) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    carried = picked(repository, feature)
    assert news(repository) == ()
    fix = repository.commit(
        f'third\n\nFixes: {feature[:12]} ("feature")', {"a.c": text(_3="third")}
    )
    reason = f"its Fixes tag names {feature[:12]} (line 3)"
    assert news(repository) == (News(NewsKind.FIX, carried, fix, "third", reason),)
    picked(repository, fix)
    assert news(repository) == ()


def test_a_revert_upstream_is_news_of_the_pick(repository: GitRepository) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    carried = picked(repository, feature)
    repository.run("revert", "--no-edit", feature)
    (found,) = news(repository)
    assert (found.kind, found.carried) == (NewsKind.REVERT, carried)


def test_a_fix_of_a_fix_is_told_of_the_commit_that_is_carried(repository: GitRepository) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    carried = picked(repository, feature)
    fix = repository.commit(f'b\n\nFixes: {feature[:12]} ("feature")', {"a.c": text(_3="b")})
    repository.commit(f'c\n\nFixes: {fix[:12]} ("b")', {"a.c": text(_3="c")})
    assert [(item.subject, item.carried) for item in news(repository)] == [
        ("b", carried),
        ("c", carried),
    ]


def test_a_teams_own_patch_that_upstream_took_is_told(repository: GitRepository) -> None:
    repository.run("checkout", "--quiet", "stable")
    own = repository.commit("UBUNTU: SAUCE: speed up", {"a.c": text(_5="five")})
    repository.run("checkout", "--quiet", "main")
    upstream = repository.commit("speed up", {"a.c": text(_5="five")})
    (found,) = news(repository)
    assert (found.kind, found.carried, found.upstream) == (NewsKind.NOW_UPSTREAM, own, upstream)


def test_a_pick_that_names_no_origin_is_no_own_patch_and_its_fixes_are_told(
    repository: GitRepository,
) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    repository.run("checkout", "--quiet", "stable")
    repository.commit("stable starts", {"VERSION": "1\n"})
    repository.run("cherry-pick", feature)
    repository.run("checkout", "--quiet", "main")
    assert news(repository) == ()
    repository.commit(f'b\n\nFixes: {feature[:12]} ("feature")', {"a.c": text(_3="b")})
    assert [item.kind for item in news(repository)] == [NewsKind.FIX]


def test_a_pick_from_another_tree_has_another_sha_upstream(repository: GitRepository) -> None:
    upstream = repository.commit("feature", {"a.c": text(_3="three")})
    repository.run("checkout", "--quiet", "stable")
    message = f"feature\n\n(cherry picked from commit {'ab12' * 10} linux-next)"
    repository.write({"a.c": text(_3="three")})
    repository.run("commit", "--quiet", "--all", "--message", message)
    repository.run("checkout", "--quiet", "main")
    (found,) = news(repository)
    assert (found.kind, found.upstream) == (NewsKind.NEW_SHA, upstream)
    assert found.reason == "it was picked as ab12ab12ab12 of linux-next"


def test_what_came_before_since_is_not_looked_at(repository: GitRepository) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    carried = picked(repository, feature)
    repository.commit(f'b\n\nFixes: {feature[:12]} ("feature")', {"a.c": text(_3="b")})
    assert len(news(repository)) == 1
    assert news(repository, since=carried) == ()


def test_commits_landed_when_all_are_present_for_sure(repository: GitRepository) -> None:
    feature = repository.commit("feature", {"a.c": text(_3="three")})
    other = repository.commit("other", {"b.c": "b\n"})
    picked(repository, feature)
    with open_workspace([repository.path]) as workspace, Index.open(workspace) as index:
        shas = [feature, other, "0" * 40]
        found = landed(presences(workspace, index, "stable", shas, "main"))
        assert landed(presences(workspace, index, "stable", [feature], "main")).met
    assert not found.met
    assert [one.sha for one in found.lacking] == [other]
    assert [one.sha for one in found.undetermined] == ["0" * 40]
