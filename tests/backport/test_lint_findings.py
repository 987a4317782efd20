"""Review findings that cost real series a round: each built anew, and found.

The findings are those of public pull requests of the linux-nvidia kernels (NVIDIA/NV-Kernels 133,
174, 179, 185, 188, 287, 304, 342, 419, 498), told here in small repositories of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.index import Index
from uplift.backport.lint.model import Finding, Severity, SupportedRelease
from uplift.backport.lint.run import Against, lint_range
from uplift.backport.profiles import load_profile
from uplift.lab.git import Workspace

BUG = "BugLink: https://bugs.launchpad.net/bugs/2120000"
SIGNED = "Signed-off-by: A <a@example.org>"
ORIGINAL = "Signed-off-by: U <u@example.org>"
RELEASES = (
    SupportedRelease("jammy", "2022-04-21", "2027-06-01", "5.15"),
    SupportedRelease("noble", "2024-04-25", "2029-05-31", "6.8"),
    SupportedRelease("questing", "2025-10-09", "2026-07-09", "6.17"),
)


def text(**changes: str) -> str:
    lines = [f"line {number}\n" for number in range(40)]
    for name, line in changes.items():
        lines[int(name.removeprefix("at_"))] = f"{line}\n"
    return "".join(lines)


@dataclass
class Kernel:
    """Mainline, and a release branch ``noble`` that left it at the first commit."""

    repo: GitRepository
    base: str = "noble"

    def upstream(self, title: str, files: dict[str, str | bytes | None], body: str = "Why.") -> str:
        self.repo.branch("main", "main")
        return self.repo.commit(f"{title}\n\n{body}\n\n{ORIGINAL}", files)

    def take(self, sha: str, line: str, files: dict[str, str | bytes | None], **more: str) -> None:
        """Commit on the series what a person made of ``sha``."""
        title = more.get("title") or self.repo.run("log", "-1", "--format=%s", sha)
        body = more.get("body") or f"{BUG}\n\nWhy.\n\n{ORIGINAL}\n{line}\n{SIGNED}"
        self.repo.commit(f"{title}\n\n{body.replace(chr(10) * 2 + chr(10), chr(10))}", files)

    def start(self, at: str = "noble") -> None:
        self.base = self.repo.run("rev-parse", at)
        self.repo.branch("series", at)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    repo = GitRepository(tmp_path / "linux")
    repo.commit("start", {"a.c": text(), "b.c": text(), "debian.master/config/annotations": "#\n"})
    repo.branch("noble", "main")
    repo.commit(f"UBUNTU: SAUCE: own\n\n{SIGNED}", {"b.c": text(at_20="ours")})
    repo.branch("linux-next/master", "main")
    repo.branch("main", "main")
    yield Kernel(repo)


def found(
    kernel: Kernel, tmp_path: Path, profile: str = "ubuntu-kernel", target: str = "noble"
) -> tuple[Finding, ...]:
    with (
        Workspace.make(tmp_path / "workspace", [kernel.repo.path]) as workspace,
        Index.open(workspace) as index,
    ):
        against = Against("main", target, ("noble",), RELEASES[:2], date(2026, 1, 1))
        return lint_range(workspace, index, kernel.base, "series", load_profile(profile), against)


def accepted(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="mended")})


def no_pick_line(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, "", {"a.c": text(at_3="mended")}, body=f"{BUG}\n\nWhy.\n\n{SIGNED}")


def no_signature(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    body = f"{BUG}\n\nWhy.\n\n(cherry picked from commit {sha})"
    kernel.take(sha, "", {"a.c": text(at_3="mended")}, body=body)


def wrong_base(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.repo.branch("other", "noble")
    kernel.repo.commit(f"UBUNTU: SAUCE: foreign\n\n{SIGNED}", {"c.c": "foreign\n"})
    kernel.start("other")
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="mended")})


def wrong_branch(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"b.c": text(at_20="mended")})
    kernel.start("main~1")
    kernel.take(sha, f"(cherry picked from commit {sha})", {"b.c": text(at_20="mended")})


def missing_fix(kernel: Kernel) -> None:
    sha = kernel.upstream("net: add it", {"a.c": text(at_3="new")})
    fix = f'Fixes: {sha[:12]} ("net: add it")'
    kernel.upstream("net: mend it", {"a.c": text(at_3="new and right")}, fix)
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="new")})


def missing_fix_of_a_fix(kernel: Kernel) -> None:
    sha = kernel.upstream("net: add it", {"a.c": text(at_3="new")})
    first = kernel.upstream("net: mend it", {"a.c": text(at_3="2")}, f'Fixes: {sha[:12]} ("x")')
    kernel.upstream("net: mend again", {"a.c": text(at_3="3")}, f'Fixes: {first[:12]} ("x")')
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="new")})
    kernel.take(first, f"(cherry picked from commit {first})", {"a.c": text(at_3="2")})


def missing_dependency(kernel: Kernel) -> None:
    kernel.upstream(
        "lib: add helper", {"helper.c": "int helper_of_cxl(int x)\n{\n\treturn x;\n}\n"}
    )
    sha = kernel.upstream("cxl: use helper", {"a.c": text(at_3="\tx = helper_of_cxl(x);")})
    kernel.start()
    line = f"(cherry picked from commit {sha})"
    kernel.take(sha, line, {"a.c": text(at_3="\tx = helper_of_cxl(x);")})


def stated_dependency(kernel: Kernel) -> None:
    need = kernel.upstream("lib: prepare", {"b.c": text(at_30="ready")})
    body = f"Why.\n\nCc: <stable@vger.kernel.org> # 6.8.x: {need[:7]}: lib: prepare"
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")}, body)
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="mended")})


def kconfig_and_annotation(kernel: Kernel) -> None:
    files: dict[str, str | bytes | None] = {
        "Kconfig": "config CXL\n",
        "debian.master/config/annotations": "CONFIG_CXL policy<{'amd64': 'y'}>\n",
    }
    kernel.start()
    body = f"{BUG}\n\nTurn it on.\n\n{SIGNED}"
    kernel.take("HEAD", "", files, title="UBUNTU: SAUCE: cxl: turn it on", body=body)


def tree_not_named(kernel: Kernel) -> None:
    kernel.repo.branch("linux-next/master", "main")
    sha = kernel.repo.commit(f"net: soon\n\n{SIGNED}", {"a.c": text(at_3="soon")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="soon")})


def hyphen(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry-picked from commit {sha})", {"a.c": text(at_3="mended")})


def context_changed(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"b.c": text(at_19="mended")})
    kernel.start()
    files: dict[str, str | bytes | None] = {"b.c": text(at_19="mended", at_20="ours")}
    kernel.take(sha, f"(cherry picked from commit {sha})", files)


def content_changed(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="mended, nearly")})


def upstream_by_now(kernel: Kernel) -> None:
    kernel.repo.branch("linux-next/master", "main")
    kernel.repo.commit(f"net: mend it\n\n{SIGNED}", {"a.c": text(at_3="mended")})
    kernel.start()
    body = f"{BUG}\n\nWhy.\n\n{SIGNED}"
    title = "UBUNTU: SAUCE: net: mend it"
    kernel.take("HEAD", "", {"a.c": text(at_3="mended")}, title=title, body=body)


def in_mainline_by_now(kernel: Kernel) -> None:
    kernel.repo.branch("linux-next/master", "main")
    old = kernel.repo.commit(f"net: mend it\n\n{SIGNED}", {"a.c": text(at_3="mended")})
    kernel.repo.branch("main", "main")
    kernel.repo.commit("other", {"b.c": text(at_1="other")})
    kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    line = f"(cherry picked from commit {old} linux-next)"
    kernel.take(old, line, {"a.c": text(at_3="mended")})


def wrong_prefix(kernel: Kernel) -> None:
    kernel.start()
    body = f"{BUG}\n\nWhy.\n\n{SIGNED}"
    title = "NVIDIA: SAUCE: net: mend it"
    kernel.take("HEAD", "", {"a.c": text(at_3="mended")}, title=title, body=body)


def short_sha(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha[:12]})", {"a.c": text(at_3="mended")})


def no_word_commit(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from {sha})", {"a.c": text(at_3="mended")})


def unknown_sha(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {'e' * 40})", {"a.c": text(at_3="mended")})


def other_sha(kernel: Kernel) -> None:
    other = kernel.upstream("fs: unrelated", {"b.c": text(at_7="unrelated")})
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {other})", {"a.c": text(at_3="mended")})


def swapped(kernel: Kernel) -> None:
    first = kernel.upstream("net: one", {"a.c": text(at_3="one")})
    second = kernel.upstream("net: two", {"a.c": text(at_3="two")})
    kernel.start()
    kernel.take(second, f"(backported from commit {second})\n[A: x]", {"a.c": text(at_3="two")})
    kernel.take(first, f"(backported from commit {first})\n[A: x]", {"a.c": text(at_3="one two")})


def unexplained(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"b.c": text(at_19="mended")})
    kernel.start()
    files: dict[str, str | bytes | None] = {"b.c": text(at_19="mended", at_20="ours")}
    kernel.take(sha, f"(backported from commit {sha})", files)


def signed_by_another(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    line = f"(cherry picked from commit {sha})\nSigned-off-by: B <b@example.org>"
    body = f"{BUG}\n\nWhy.\n\n{ORIGINAL}\n{line}"
    kernel.take(sha, "", {"a.c": text(at_3="mended")}, body=body)


def long_bug_link(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    link = "BugLink: https://bugs.launchpad.net/ubuntu/+source/linux/+bug/2120000"
    body = f"{link}\n\nWhy.\n\n{ORIGINAL}\n(cherry picked from commit {sha})\n{SIGNED}"
    kernel.take(sha, "", {"a.c": text(at_3="mended")}, body=body)


def reverted(kernel: Kernel) -> None:
    sha = kernel.upstream("net: add it", {"a.c": text(at_3="new")})
    kernel.upstream('Revert "net: add it"', {"a.c": text()}, f"This reverts commit {sha}.")
    kernel.start()
    kernel.take(sha, f"(cherry picked from commit {sha})", {"a.c": text(at_3="new")})


def needless_tree(kernel: Kernel) -> None:
    sha = kernel.upstream("net: mend it", {"a.c": text(at_3="mended")})
    kernel.start()
    line = f"(cherry picked from commit {sha} linux-next)"
    kernel.take(sha, line, {"a.c": text(at_3="mended")})


def option_without_annotation(kernel: Kernel) -> None:
    sha = kernel.upstream("cxl: add", {"Kconfig": "config CXL_NEW\n\tbool\n"})
    kernel.start()
    line = f"(cherry picked from commit {sha})"
    kernel.take(sha, line, {"Kconfig": "config CXL_NEW\n\tbool\n"})


CASES: tuple[tuple[Callable[[Kernel], None], str], ...] = (
    (no_pick_line, "tag-missing"),
    (no_signature, "signoff-missing"),
    (wrong_base, "wrong-branch"),
    (wrong_branch, "does-not-apply"),
    (missing_fix, "fix-missing"),
    (missing_fix_of_a_fix, "fix-missing"),
    (missing_dependency, "symbol-missing"),
    (stated_dependency, "prerequisite-missing"),
    (kconfig_and_annotation, "config-mixed"),
    (tree_not_named, "tree-not-named"),
    (hyphen, "tag-form"),
    (context_changed, "content-differs"),
    (content_changed, "content-differs"),
    (upstream_by_now, "now-upstream"),
    (in_mainline_by_now, "now-upstream"),
    (wrong_prefix, "prefix"),
    (short_sha, "tag-form"),
    (no_word_commit, "tag-form"),
    (unknown_sha, "sha-unknown"),
    (other_sha, "sha-other"),
    (swapped, "order"),
    (unexplained, "change-unexplained"),
    (signed_by_another, "signoff-sender"),
    (long_bug_link, "bug-form"),
    (reverted, "reverted-upstream"),
    (needless_tree, "tree-needless"),
    (option_without_annotation, "config-missing"),
)


@pytest.mark.parametrize(("build", "rule"), CASES, ids=[build.__name__ for build, _ in CASES])
def test_the_finding_is_made_and_no_other(
    kernel: Kernel, tmp_path: Path, build: Callable[[Kernel], None], rule: str
) -> None:
    build(kernel)
    told = [item.rule for item in found(kernel, tmp_path) if item.severity is not Severity.NOTE]
    assert set(told) == {rule}


def test_an_accepted_series_has_no_finding(kernel: Kernel, tmp_path: Path) -> None:
    accepted(kernel)
    assert found(kernel, tmp_path) == ()


def test_a_change_that_differs_is_shown(kernel: Kernel, tmp_path: Path) -> None:
    content_changed(kernel)
    shown = "\n".join(found(kernel, tmp_path)[0].detail)
    assert "-+mended" in shown and "++mended, nearly" in shown
