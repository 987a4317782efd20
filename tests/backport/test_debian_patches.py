"""debian/patches: each new patch applies on top of those the package has, as quilt applies them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.debian_patches import listed, write_debian_patches
from uplift.backport.dep3 import fields
from uplift.backport.index import Index
from uplift.backport.lint.run import Against, lint_range
from uplift.backport.model import Person, Plan, PlannedCommit, Role
from uplift.backport.profiles import load_profile
from uplift.backport.series import SeriesOptions, Written
from uplift.backport.series_text import Form, Links
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

SENDER = Person("Zoë Müller", "zoe@example.com", 1_700_100_000, "+0100")
OWN = """Description: the package's own
Origin: vendor
---
--- a/a.c
+++ b/a.c
@@ -1,3 +1,3 @@
-one
+eins
 two
 three
"""


def lines(**changes: str) -> str:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    return "".join(f"{changes.get(word, word)}\n" for word in words)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "package")
    made.commit("upstream 1.0", {"a.c": lines()})
    made.branch("packaging", "main")
    made.commit(
        "packaging",
        {
            "debian/changelog": "x (1.0-1) noble; urgency=low\n",
            "debian/patches/own.patch": OWN,
            "debian/patches/series": "# first\nown.patch -p1",
        },
    )
    made.branch("main", "main")
    return made


def write(repo: GitRepository, tmp_path: Path, *shas: str, onto: str = "packaging") -> Written:
    options = SeriesOptions(load_profile("ubuntu-userspace"), SENDER, Links("7"), "main")
    series = tuple(PlannedCommit(sha, "", Role.REQUESTED, "asked for") for sha in shas)
    plan = Plan(repo.run("rev-parse", onto), series, (), True, "")
    address = "https://git.example.org/x/commit/{sha}"
    with Workspace.make(tmp_path / "workspace", [repo.path]) as workspace:
        return write_debian_patches(repo.path, workspace, plan, "sru", options, address)


def test_patches_apply_in_the_order_of_the_series_file(repo: GitRepository, tmp_path: Path) -> None:
    first = repo.commit("mend: four\n\nIt was\n\nwrong.", {"a.c": lines(four="4")})
    second = repo.commit("mend: seven", {"a.c": lines(four="4", seven="7"), "new/b.c": "new\n"})
    written = write(repo, tmp_path, first, second)
    repo.run("checkout", "--quiet", "--force", "sru")
    assert (repo.path / "a.c").read_text() == lines()
    names = list(listed((repo.path / "debian/patches/series").read_bytes()))
    assert names == ["own.patch", "mend-four.patch", "mend-seven.patch"]
    for name in names:
        repo.run("apply", f"debian/patches/{name}")
    assert (repo.path / "a.c").read_text() == lines(one="eins", four="4", seven="7")
    assert (repo.path / "new/b.c").read_text() == "new\n"
    assert [commit.title for commit in written.commits] == [
        "d/p/mend-four.patch: mend: four (LP: #7)",
        "d/p/mend-seven.patch: mend: seven (LP: #7)",
    ]


def test_a_patch_says_where_it_comes_from(repo: GitRepository, tmp_path: Path) -> None:
    sha = repo.commit("mend: four\n\nIt was\n\nwrong.", {"a.c": lines(four="4")})
    write(repo, tmp_path, sha)
    text = repo.run("show", "sru:debian/patches/mend-four.patch")
    assert text.startswith(
        "Description: mend: four\n It was\n .\n wrong.\nAuthor: A <a@example.org>\n"
        f"Origin: upstream, https://git.example.org/x/commit/{sha}\n"
        "Bug-Ubuntu: https://bugs.launchpad.net/bugs/7\nLast-Update: 2023-11-16\n---\n"
    )
    assert fields(text)["origin"].startswith("upstream, ")


def test_a_conflict_is_left_out_of_the_series_until_it_is_finished(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = repo.commit("mend: one", {"a.c": lines(one="1")})
    written = write(repo, tmp_path, sha)
    assert [commit.form for commit in written.commits] == [Form.CONFLICT]
    series = repo.run("show", "sru:debian/patches/series")
    assert list(listed(series.encode())) == ["own.patch"]
    assert "CONFLICT, to be finished: mend-one.patch" in series
    assert "<<<<<<< the branch" in repo.run("show", "sru:debian/patches/mend-one.patch")


def test_a_tree_without_packaging_is_refused(repo: GitRepository, tmp_path: Path) -> None:
    sha = repo.commit("mend: four", {"a.c": lines(four="4")})
    with pytest.raises(UpliftError, match="debian/patches"):
        write(repo, tmp_path, sha, onto="main~1")


def test_a_package_whose_patches_do_not_apply_is_refused(
    repo: GitRepository, tmp_path: Path
) -> None:
    sha = repo.commit("mend: four", {"a.c": lines(four="4")})
    repo.branch("packaging", "packaging")
    repo.commit("source changed", {"a.c": lines(one="uno")})
    with pytest.raises(UpliftError, match=r"own\.patch does not apply"):
        write(repo, tmp_path, sha)
    assert repo.attempt("rev-parse", "--verify", "--quiet", "sru").returncode


def test_a_series_file_cannot_name_files_outside() -> None:
    assert list(listed(b"a.patch\n../../etc/passwd\n  b.patch -p1 # x\n#c\n\n")) == [
        "a.patch",
        "b.patch",
    ]


def checked(repo: GitRepository, tmp_path: Path) -> list[str]:
    with (
        Workspace.make(tmp_path / "workspace", [repo.path]) as workspace,
        Index.open(workspace) as index,
    ):
        profile, against = load_profile("ubuntu-userspace"), Against("main")
        return [f.rule for f in lint_range(workspace, index, "packaging", "sru", profile, against)]


def test_what_was_written_has_no_finding(repo: GitRepository, tmp_path: Path) -> None:
    write(repo, tmp_path, repo.commit("mend: four", {"a.c": lines(four="4")}))
    assert checked(repo, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("Origin: upstream, ", "Origin: ", None),
        ("Origin: upstream, ", "Origin: cherry-pick ", "tag-form"),
        ("Description:", "Remark:", "tag-missing"),
        ("Bug-Ubuntu: https://bugs.launchpad.net/bugs/7", "Remark: x", "bug-missing"),
        ("+4", "+5", "content-differs"),
        (" three", " drei", "does-not-apply"),
    ],
)
def test_what_a_patch_file_lacks_is_told(
    repo: GitRepository, tmp_path: Path, old: str, new: str, rule: str | None
) -> None:
    write(repo, tmp_path, repo.commit("mend: four", {"a.c": lines(four="4")}))
    repo.run("checkout", "--quiet", "--force", "sru")
    path = "debian/patches/mend-four.patch"
    text = (repo.path / path).read_text().replace(old, new, 1)
    series = (repo.path / "debian/patches/series").read_text()
    repo.run("reset", "--quiet", "--hard", "packaging")
    repo.commit("d/p/mend-four.patch: mend", {path: text, "debian/patches/series": series})
    assert checked(repo, tmp_path) == ([rule] if rule else [])


def test_a_patch_that_the_series_file_forgets_is_told(repo: GitRepository, tmp_path: Path) -> None:
    write(repo, tmp_path, repo.commit("mend: four", {"a.c": lines(four="4")}))
    repo.run("checkout", "--quiet", "--force", "sru")
    repo.commit("forget it", {"debian/patches/series": "own.patch\n"})
    repo.run("reset", "--quiet", "--soft", "packaging")
    repo.commit("d/p/mend-four.patch: mend")
    assert checked(repo, tmp_path) == ["unfinished"]
