"""Single rules on values: claims, hunks, lines of a patch, names of trees."""

from __future__ import annotations

from pathlib import Path

import pytest

import uplift.backport.lint as room
from uplift.backport.lint.claims import claims_of
from uplift.backport.lint.context import bare_title
from uplift.backport.lint.hunks import belongs, moved, name_of, read_hunks
from uplift.backport.lint.model import SeriesCommit
from uplift.backport.lint.reasons import WHY
from uplift.backport.lint.target import leading_tags
from uplift.backport.model import Person
from uplift.backport.profiles import load_profile
from uplift.backport.range_diff import lines_of_patch
from uplift.backport.tree_names import tree_name

NOBODY = Person("A", "a@example.org", 0, "+0000")
SHA, OTHER = "a1" * 20, "b2" * 20
SIGNED = "Signed-off-by: A <a@example.org>"


def claimed(body: str, profile: str = "ubuntu-kernel") -> list[tuple[str, int]]:
    commit = SeriesCommit("", "x", "t", "t", body, NOBODY, NOBODY)
    return [(claim.named, claim.line) for claim in claims_of(commit, load_profile(profile))]


def test_the_last_pick_line_counts_and_those_of_maintainers_trees_do_not() -> None:
    body = f"{SIGNED}\n(cherry picked from commit {OTHER})\n{SIGNED}\n"
    assert claimed(f"{body}(cherry picked from commit {SHA})\n{SIGNED}") == [(SHA, 6)]


def test_squashed_commits_have_a_line_each() -> None:
    lines = f"(cherry picked from commit {SHA})\n(cherry picked from commit {OTHER})"
    assert claimed(f"Why.\n\n{lines}\n{SIGNED}") == [(SHA, 5), (OTHER, 6)]


def test_a_stable_tree_is_told_above_the_text_only() -> None:
    body = f"[ upstream commit {SHA} ]\n\nWhy.\n\n{SIGNED}\n(cherry picked from commit {OTHER})"
    assert claimed(body, "dpdk-stable") == [(SHA, 3)]


@pytest.mark.parametrize(
    "line", ["(cherry picked from nothing)", "cherry-picked from upstream", "[backported from x]"]
)
def test_a_line_that_names_no_commit_is_a_claim_all_the_same(line: str) -> None:
    assert claimed(f"Why.\n\n{line}\n{SIGNED}") == [("", 5)]


PATCH = """{sha}
diff --git a/f.c b/f.c
--- a/f.c
+++ b/f.c
@@ -3 +3 @@ int {function}(int a)
-	use(one_thing);
+	use(another_thing);
"""


def test_the_same_lines_in_another_function_are_another_change() -> None:
    upstream = [hunk for _, hunk in read_hunks(PATCH.format(sha=SHA, function="f").split("\n"))]
    carried = [hunk for _, hunk in read_hunks(PATCH.format(sha=SHA, function="g").split("\n"))]
    assert [(a.function, b.function) for a, b in moved(upstream, carried)] == [
        ("int f(int a)", "int g(int a)")
    ]
    assert list(moved(upstream, upstream)) == []


def test_they_belong_where_the_branch_has_what_upstream_changes() -> None:
    hunk = next(hunk for _, hunk in read_hunks(PATCH.format(sha=SHA, function="f").split("\n")))
    before = ["int f(int a)", "{", "\tuse(one_thing);", "}"]
    assert belongs(hunk, before, before)
    assert not belongs(hunk, before, ["int f(int a)", "{", "}", *before[2:]])


def test_removed_lines_that_look_like_headers_are_lines() -> None:
    text = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- not a header\n+++ neither\n context\n"
    assert lines_of_patch(text) == ("--- not a header", "+++ neither")
    assert [h.lines for _, h in read_hunks(text.split("\n"))] == []  # cut short: not counted whole


@pytest.mark.parametrize(
    ("heading", "name"),
    [("static int f(struct x *a)", "f"), ("endif", ""), ("struct x {", ""), ("if (x)", "")],
)
def test_only_a_function_has_a_name(heading: str, name: str) -> None:
    assert name_of(heading) == name


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("UBUNTU: SAUCE: net: mend", "net: mend"),
        ("NVIDIA: VR: SAUCE: net: mend", "net: mend"),
        ("UBUNTU: [Config] turn it on", "turn it on"),
        ("KVM: SVM: mend", "KVM: SVM: mend"),
    ],
)
def test_the_prefix_of_a_team_is_no_part_of_a_title(title: str, bare: str) -> None:
    assert bare_title(title) == bare


def test_tags_of_a_mail_stand_before_its_title() -> None:
    subject = "[SRU][N/J:linux-azure] [PATCH v2 1/3] [x] net: [y] mend"
    assert leading_tags(subject) == ("SRU", "N/J:linux-azure", "PATCH v2 1/3", "x")


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("refs/heads/linux-next/master", "linux-next"),
        ("refs/remotes/x/linux-6.8.y", "linux-6.8.y"),
        ("refs/heads/main", ""),
        ("refs/tags/linux-6.8.y", ""),
    ],
)
def test_a_tree_is_known_by_the_name_of_its_branch(ref: str, name: str) -> None:
    assert tree_name(ref) == name


def test_every_rule_has_its_reason_and_none_is_idle() -> None:
    source = "\n".join(path.read_text() for path in Path(room.__file__).parent.glob("*.py"))
    assert all(source.count(f'"{rule}"') >= 2 for rule in WHY)
