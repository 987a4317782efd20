"""A plan: what was asked for, what it needs, what repairs it, in an order in which all apply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.conflict_text import Region
from uplift.backport.draft import hunk as hunk_of
from uplift.backport.index import Index
from uplift.backport.model import Plan, Role
from uplift.backport.path_history import PathHistory
from uplift.backport.pick import picking
from uplift.backport.plan import Options, plan
from uplift.backport.prerequisites import Limits, Prerequisites
from uplift.lab.git import Workspace

LINES = [f"line {n}\n" for n in range(40)]


def text(**changed: str) -> str:
    lines = list(LINES)
    for place, line in changed.items():
        lines[int(place.removeprefix("at"))] = f"{line}\n"
    return "".join(lines)


class Upstream:
    """Upstream's ``main``; the branch ``stable`` stays at its first commit."""

    def __init__(self, path: Path) -> None:
        self.repository = GitRepository(path / "repository")
        self.directory = path / "workspace"
        self.base = self.repository.commit("base", {"a.c": text(), "b.c": text(), "NEWS": "0\n"})
        self.repository.run("branch", "stable")

    def commit(self, message: str, **files: str) -> str:
        return self.repository.commit(
            message, {name.replace("_", "."): body for name, body in files.items()}
        )

    def plan(self, *shas: str, options: Options | None = None) -> Plan:
        with (
            Workspace.make(self.directory, [self.repository.path]) as workspace,
            Index.open(workspace) as index,
        ):
            return plan(workspace, index, "stable", shas, "main", options)

    def applied(self, planned: Plan) -> list[bool]:
        """Whether each prefix of the series applies."""
        shas = [commit.sha for commit in planned.series]
        with (
            Workspace.make(self.directory, [self.repository.path]) as workspace,
            picking(workspace) as picker,
        ):
            return [picked.clean for picked in picker.series(picker.tree_of(planned.onto), shas)]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    yield Upstream(tmp_path)


def roles(planned: Plan) -> list[tuple[str, Role]]:
    return [(commit.sha, commit.role) for commit in planned.series]


def test_a_commit_that_merges_by_itself_needs_nothing(upstream: Upstream) -> None:
    upstream.commit("a: rework line 3", a_c=text(at3="three"))
    wanted = upstream.commit("b: fix line 9", b_c=text(at9="nine"))
    planned = upstream.plan(wanted)
    assert roles(planned) == [(wanted, Role.REQUESTED)]
    assert planned.applies and not planned.conflicts and planned.tree


def test_what_a_conflict_needs_comes_before_it_and_nothing_else(upstream: Upstream) -> None:
    needed = upstream.commit("a: line 9 becomes nine", a_c=text(at9="nine"))
    upstream.commit("b: something else", b_c=text(at20="twenty"))
    wanted = upstream.commit("a: nine becomes ten", a_c=text(at9="ten"))
    planned = upstream.plan(wanted)
    assert roles(planned) == [(needed, Role.PREREQUISITE), (wanted, Role.REQUESTED)]
    assert planned.series[0].for_commit == wanted and "a.c" in planned.series[0].reason
    assert upstream.applied(planned) == [True, True]
    (by_hand,) = planned.alternatives
    assert "by hand in 1 file (1 hunk, 1 line) instead of taking 1 commit more" in by_hand.title
    assert [conflict.path for conflict in by_hand.conflicts] == ["a.c"]


def test_a_conflict_shows_both_sides_where_it_is_and_what_the_branch_lacks(
    upstream: Upstream,
) -> None:
    needed = upstream.commit("a: line 9 becomes nine", a_c=text(at9="nine"))
    wanted = upstream.commit("a: nine becomes ten", a_c=text(at9="ten"))
    (by_hand,) = upstream.plan(wanted).alternatives
    (hunk,) = by_hand.conflicts[0].hunks
    assert (hunk.ours, hunk.base, hunk.theirs) == (("line 9",), ("nine",), ("ten",))
    assert text().splitlines()[hunk.line - 1] == "line 9"
    assert (hunk.function, hunk.because_of) == ("line 8", (needed,))


def test_what_is_very_long_in_a_hunk_is_cut_and_counted() -> None:
    many = tuple(b"%d" % n for n in range(500))
    found = hunk_of(Region(many, (b"x" * 5000,), many[:250], 7, b"f()"))
    assert len(found.ours) == len(found.theirs) == 200
    assert found.left_out == 300 + 50
    assert len(found.base[0]) == 2000


def test_without_prerequisites_the_conflict_is_told(upstream: Upstream) -> None:
    upstream.commit("a: line 9 becomes nine", a_c=text(at9="nine"))
    wanted = upstream.commit("a: nine becomes ten", a_c=text(at9="ten"))
    planned = upstream.plan(wanted, options=Options(prerequisites=False))
    assert [(conflict.sha, conflict.path) for conflict in planned.conflicts] == [(wanted, "a.c")]
    assert not planned.applies and planned.tree == ""


def test_a_chain_of_needs_is_followed_in_upstreams_order(upstream: Upstream) -> None:
    chain = [upstream.commit(f"a: step {n}", a_c=text(at9=f"step {n}")) for n in range(3)]
    planned = upstream.plan(chain[-1])
    assert [sha for sha, _ in roles(planned)] == chain
    assert all(upstream.applied(planned))


def test_later_fixes_come_along_and_so_do_their_fixes(upstream: Upstream) -> None:
    wanted = upstream.commit("a: add nine", a_c=text(at9="nine"))
    fix = upstream.commit(
        f'a: repair nine\n\nFixes: {wanted[:12]} ("a: add nine")', a_c=text(at9="9")
    )
    again = upstream.commit(
        f'a: repair it\n\nFixes: {fix[:12]} ("a: repair nine")', b_c=text(at1="1")
    )
    planned = upstream.plan(wanted)
    assert roles(planned) == [
        (wanted, Role.REQUESTED),
        (fix, Role.FOLLOW_UP),
        (again, Role.FOLLOW_UP),
    ]
    assert "line 3" in planned.series[1].reason
    assert roles(upstream.plan(wanted, options=Options(follow_ups=False))) == [
        (wanted, Role.REQUESTED)
    ]


def test_a_revert_upstream_comes_along(upstream: Upstream) -> None:
    wanted = upstream.commit("a: add nine", a_c=text(at9="nine"))
    revert = upstream.commit(f'Revert "a: add nine"\n\nThis reverts commit {wanted}.', a_c=text())
    assert roles(upstream.plan(wanted)) == [(wanted, Role.REQUESTED), (revert, Role.FOLLOW_UP)]


def test_a_mention_is_noted_and_not_taken(upstream: Upstream) -> None:
    wanted = upstream.commit("a: add nine", a_c=text(at9="nine"))
    upstream.commit(
        f"b: fix what nine broke\n\nSince commit {wanted[:12]} this is wrong.", b_c=text(at2="2")
    )
    planned = upstream.plan(wanted)
    assert roles(planned) == [(wanted, Role.REQUESTED)]
    assert any("mentions" in note for note in planned.notes)


def test_loops_of_fixes_tags_end(upstream: Upstream) -> None:
    wanted = upstream.commit("a: add nine", a_c=text(at9="nine"))
    title = "b: repair"
    first = upstream.commit(f'{title}\n\nFixes: {wanted[:12]} ("a: add nine")', b_c=text(at1="1"))
    second = upstream.commit(f'{title}\n\nFixes: {first[:12]} ("{title}")', b_c=text(at2="2"))
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [wanted, first, second]


def test_what_the_branch_has_is_left_out_and_told(upstream: Upstream) -> None:
    there = upstream.commit("a: add nine", a_c=text(at9="nine"))
    wanted = upstream.commit("b: add two", b_c=text(at2="two"))
    upstream.repository.run("checkout", "--quiet", "stable")
    upstream.repository.run("cherry-pick", "-x", there)
    upstream.repository.run("checkout", "--quiet", "main")
    planned = upstream.plan(there, wanted)
    assert roles(planned) == [(wanted, Role.REQUESTED)]
    assert [found.sha for found in planned.present] == [there]


def test_commits_asked_for_in_any_order_come_in_upstreams(upstream: Upstream) -> None:
    first = upstream.commit("a: one", a_c=text(at1="one"))
    second = upstream.commit("b: two", b_c=text(at2="two"))
    assert [sha for sha, _ in roles(upstream.plan(second, first, second))] == [first, second]


def test_a_merge_is_planned_as_the_commits_it_brings(upstream: Upstream) -> None:
    repository = upstream.repository
    repository.run("checkout", "--quiet", "-b", "topic", upstream.base)
    brought = [upstream.commit(f"b: step {n}", b_c=text(at30=f"step {n}")) for n in range(2)]
    repository.run("checkout", "--quiet", "main")
    upstream.commit("a: meanwhile", a_c=text(at5="five"))
    repository.run("merge", "--quiet", "--no-ff", "--message", "merge topic", "topic")
    planned = upstream.plan(repository.run("rev-parse", "HEAD"))
    assert [sha for sha, _ in roles(planned)] == brought
    assert any("is a merge" in note for note in planned.notes)


def test_the_users_repository_is_as_it_was(upstream: Upstream) -> None:
    upstream.commit("a: line 9 becomes nine", a_c=text(at9="nine"))
    wanted = upstream.commit("a: nine becomes ten", a_c=text(at9="ten"))
    before = upstream.repository.run("count-objects", "-v"), upstream.repository.run("status")
    upstream.plan(wanted)
    after = upstream.repository.run("count-objects", "-v"), upstream.repository.run("status")
    assert before == after


def test_a_needed_commit_that_lifts_no_conflict_by_itself_is_found(upstream: Upstream) -> None:
    """Of four lines that a change rests on, two commits brought two each."""
    first = text(at10="ten\nten and a half\n")
    second = first.replace("ten and a half\n", "ten and a half\neleven\neleven and a half\n")
    chain = [upstream.commit("a: ten", a_c=first), upstream.commit("a: eleven", a_c=second)]
    last = second.replace("ten and a half\neleven\n", "ten and a third\ntwelve\n")
    wanted = upstream.commit("a: twelve", a_c=last)
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [*chain, wanted]


def test_a_line_that_a_later_commit_wrote_elsewhere_is_traced_to_the_earlier(
    upstream: Upstream,
) -> None:
    needed = upstream.commit("a: reset the pin", a_c=text(at9="reset the pin"))
    upstream.commit("a: once more", a_c=text(at9="reset the pin", at30="reset the pin"))
    wanted = upstream.commit("a: hold", a_c=text(at9="hold the pin", at30="reset the pin"))
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [needed, wanted]


def test_what_a_commit_says_it_fixes_is_tried_first(upstream: Upstream) -> None:
    body = text(at9="reset the pin")
    fixed = upstream.commit("a: reset", a_c=body)
    for number in range(6):
        body = body.replace(f"line {20 + 2 * number}\n", "reset the pin\n")
        upstream.commit(f"a: again {number}", a_c=body)
    wanted = upstream.commit(
        f'a: hold\n\nFixes: {fixed[:12]} ("a: reset")',
        a_c=body.replace("reset the pin\n", "hold the pin\n", 1),
    )
    planned = upstream.plan(wanted)
    assert [sha for sha, _ in roles(planned)] == [fixed, wanted]


@pytest.mark.parametrize("limits", [Limits(total=0), Limits(seconds=0)], ids=["plan", "commit"])
def test_what_time_did_not_reach_is_told_as_such_and_does_not_apply(
    upstream: Upstream, limits: Limits
) -> None:
    upstream.commit("a: line 9 becomes nine", a_c=text(at9="nine"))
    wanted = upstream.commit("a: nine becomes ten", a_c=text(at9="ten"))
    clean = upstream.commit("b: fix line 9", b_c=text(at9="nine"))
    planned = upstream.plan(wanted, clean, options=Options(limits=limits))
    assert not planned.applies and planned.tree == ""
    assert planned.unsearched == (wanted,)
    assert [(conflict.sha, conflict.path) for conflict in planned.conflicts] == [(wanted, "a.c")]
    (note,) = (note for note in planned.notes if note.startswith(wanted[:12]))
    assert "what it needs is not known" in note and "0 seconds" in note


def test_names_that_time_did_not_reach_are_told_as_not_looked_for(upstream: Upstream) -> None:
    upstream.commit("port: a helper", helper_c="int\nenable_port(int x)\n{\n\treturn x;\n}\n")
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    planned = upstream.plan(wanted, options=Options(limits=Limits(total=0)))
    assert planned.symbols == () and planned.applies and planned.unsearched == ()
    assert any("were not looked for" in note for note in planned.notes)


def test_no_more_is_tried_once_all_merges(upstream: Upstream) -> None:
    """Ten commits wrote lines that the change rests on; the one it fixes is enough."""
    body = text(at9="reset the pin")
    fixed = upstream.commit("a: reset", a_c=body)
    for number in range(10):
        body = body.replace(f"line {20 + number}\n", f"line {20 + number}, reset\nreset the pin\n")
        upstream.commit(f"a: again {number}", a_c=body)
    wanted = upstream.commit("a: hold", a_c=body.replace("reset the pin\n", "hold the pin\n", 1))
    repository = upstream.repository
    with (
        Workspace.make(upstream.directory, [repository.path]) as workspace,
        picking(workspace) as p,
    ):
        target = workspace.resolve("stable")
        needs = Prerequisites(
            p, PathHistory(workspace, target, [wanted]), repaired=lambda sha: [fixed]
        )
        onto = p.tree_of(target)
        assert len(needs.candidates(p.pick(onto, wanted))) > 4
        found = needs.of(wanted, onto)
        assert [need.sha for need in found.before] == [fixed]
        assert p.merges <= 8  # two each for three candidates, the commit alone, and after its need
        before = p.merges
        assert needs.of(wanted, onto) == found and p.merges == before
