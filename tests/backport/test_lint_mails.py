"""Mails as a reviewer gets them: cover letter, tags, releases, what applies; and the reply."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.index import Index
from uplift.backport.lint.cover import sections
from uplift.backport.lint.model import Finding, Severity, SupportedRelease
from uplift.backport.lint.read_mail import mails_in
from uplift.backport.lint.run import Against, lint_mails
from uplift.backport.lint.show import as_mail, as_text
from uplift.backport.profiles import load_profile
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

RELEASES = (
    SupportedRelease("jammy", "2022-04-21", "2027-06-01", "5.15"),
    SupportedRelease("noble", "2024-04-25", "2029-05-31", "6.8"),
    SupportedRelease("questing", "2025-10-09", "2026-07-09", "6.17"),
)
BUG = "BugLink: https://bugs.launchpad.net/bugs/2120000"
TEXT = f"""{BUG}

SRU Justification:

[ Impact ]

The driver does not load.

[ Test Plan ]

Load it.

[ Where problems could occur ]

Other devices of this driver could vanish.
"""


@pytest.fixture
def repo(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "linux")
    made.commit("start", {"a.c": "one\ntwo\nthree\n"})
    made.branch("noble", "main")
    made.branch("main", "main")
    return made


def mailed(repo: GitRepository, tmp_path: Path, tags: str, cover: str | None = TEXT) -> Path:
    """Send one upstream commit from the tip of the branch, with git's own format-patch."""
    sha = repo.commit("net: mend it\n\nWhy.\n\nSigned-off-by: U <u@x.org>", {"a.c": "one\n2\n3\n"})
    repo.branch("sent", "noble")
    body = f"{BUG}\n\nWhy.\n\nSigned-off-by: U <u@x.org>\n(cherry picked from commit {sha})"
    message = f"net: mend it\n\n{body}\nSigned-off-by: A <a@example.org>"
    repo.commit(message, {"a.c": "one\n2\n3\n"})
    folder = tmp_path / "mails"
    options = ["--cover-letter"] if cover is not None else []
    repo.run("format-patch", "-o", str(folder), f"--subject-prefix={tags}", *options, "noble..sent")
    if cover is not None:
        letter = folder / "0000-cover-letter.patch"
        text = letter.read_text().replace("*** BLURB HERE ***", cover)
        letter.write_text(text.replace("*** SUBJECT HERE ***", "net: mend it"))
    return folder


def found(
    repo: GitRepository,
    tmp_path: Path,
    mails: Path,
    releases: Sequence[SupportedRelease] = RELEASES[:2],
    series: tuple[str, ...] = ("noble",),
) -> tuple[Finding, ...]:
    against = Against("main", "", series, tuple(releases), date(2026, 1, 1))
    profile = load_profile("ubuntu-kernel")
    with (
        Workspace.make(tmp_path / "workspace", [repo.path]) as workspace,
        Index.open(workspace) as index,
    ):
        return lint_mails(workspace, index, "noble", [mails], profile, against)


def rules(findings: Sequence[Finding]) -> set[str]:
    return {item.rule for item in findings if item.severity is not Severity.NOTE}


def test_a_series_as_documented_has_no_finding(repo: GitRepository, tmp_path: Path) -> None:
    assert found(repo, tmp_path, mailed(repo, tmp_path, "SRU][N][PATCH")) == ()


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ("PATCH", "subject-tags"),
        ("N][PATCH", "subject-tags"),
        ("SRU][PATCH", "subject-tags"),
        ("SRU][N][J][PATCH", "subject-tags"),
        ("SRU][noble][PATCH", "subject-tags"),
        ("SRU][J][PATCH", "series"),
        ("SRU][N/B][PATCH", "series"),
    ],
)
def test_tags_of_another_form_or_for_another_release_are_told(
    repo: GitRepository, tmp_path: Path, tags: str, rule: str
) -> None:
    assert rules(found(repo, tmp_path, mailed(repo, tmp_path, tags))) == {rule}


def test_several_releases_and_a_derivative_may_be_named(
    repo: GitRepository, tmp_path: Path
) -> None:
    mails = mailed(repo, tmp_path, "SRU][N/J:linux-azure][PATCH v2")
    assert found(repo, tmp_path, mails) == ()


def test_a_newer_supported_release_must_be_covered(repo: GitRepository, tmp_path: Path) -> None:
    mails = mailed(repo, tmp_path, "SRU][N][PATCH")
    told = found(repo, tmp_path, mails, RELEASES)
    assert [(item.rule, "questing" in item.problem) for item in told] == [
        ("release-uncovered", True)
    ]


def test_a_newer_release_whose_kernel_has_it_needs_nothing(
    repo: GitRepository, tmp_path: Path
) -> None:
    mails = mailed(repo, tmp_path, "SRU][N][PATCH")
    repo.run("tag", "v6.17", "main")
    assert found(repo, tmp_path, mails, RELEASES) == ()


@pytest.mark.parametrize(
    ("cover", "rule"),
    [
        (None, "cover-missing"),
        (TEXT.replace("[ Test Plan ]", ""), "cover-section"),
        (TEXT.replace("Load it.", ""), "cover-section"),
        (TEXT.replace("Load it.", "TO WRITE: how to test"), "cover-section"),
        (TEXT.replace("Other devices of this driver could vanish.", "Low."), "cover-risk"),
        (TEXT.replace("Other devices of this driver could vanish.", "None"), "cover-risk"),
        (
            TEXT.replace(
                "Other devices of this driver could vanish.",
                "The regression can be considered as low, since it is small.",
            ),
            "cover-risk",
        ),
        (TEXT.replace(BUG, ""), "bug-missing"),
        (TEXT.replace("bugs/2120000", "ubuntu/+source/linux/+bug/2120000"), "bug-form"),
    ],
)
def test_what_a_cover_letter_lacks_is_told(
    repo: GitRepository, tmp_path: Path, cover: str | None, rule: str
) -> None:
    assert rules(found(repo, tmp_path, mailed(repo, tmp_path, "SRU][N][PATCH", cover))) == {rule}


def test_older_titles_of_the_parts_are_known() -> None:
    parts = sections("[Test Case]\nrun it\n\n[Regression Potential]\nit could break\n")
    assert parts["test plan"].strip() == "run it"
    assert parts["where problems could occur"].strip() == "it could break"


def test_more_commits_than_are_mailed_want_a_pull_request(
    repo: GitRepository, tmp_path: Path
) -> None:
    repo.branch("many", "noble")
    for number in range(21):
        message = f"UBUNTU: SAUCE: {number}\n\n{BUG}\n\nSigned-off-by: A <a@example.org>"
        repo.commit(message, {f"{number}.c": "x\n"})
    folder = tmp_path / "mails"
    repo.run("format-patch", "-o", str(folder), "--subject-prefix=SRU][N][PATCH", "noble..many")
    assert rules(found(repo, tmp_path, folder)) == {"pull", "cover-missing"}


def test_a_mail_that_does_not_apply_is_told(repo: GitRepository, tmp_path: Path) -> None:
    mails = mailed(repo, tmp_path, "SRU][N][PATCH")
    repo.branch("noble", "noble")
    repo.commit("the branch went on", {"a.c": "eins\nzwei\n"})
    told = found(repo, tmp_path, mails)
    assert rules(told) == {"does-not-apply"}
    assert "a.c" in told[0].problem


def test_a_patch_cannot_leave_the_tree(repo: GitRepository, tmp_path: Path) -> None:
    mail = tmp_path / "x.patch"
    mail.write_text(
        "From: A <a@example.org>\nSubject: [PATCH] x\n\n---\ndiff --git a/../x b/../x\n"
        "new file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"
    )
    assert "does-not-apply" in rules(found(repo, tmp_path, mail))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"Subject: [PATCH] x\n\nno patch\n" * 2])
def test_files_without_a_patch_are_refused(
    repo: GitRepository, tmp_path: Path, content: bytes
) -> None:
    mail = tmp_path / "x.patch"
    mail.write_bytes(content)
    with pytest.raises(UpliftError, match="nothing to check"):
        found(repo, tmp_path, mail)


@pytest.mark.parametrize(
    "line",
    [b"From x " + b"1:" * 2_000_000, b"From: " * 500_000, b"Subject: [" * 300_000, b"/*" * 500_000],
)
def test_lines_without_end_do_not_hold_it_up(line: bytes) -> None:
    content = (
        b"From: A <a@x.org>\nSubject: [PATCH] x\n\nBody.\n" + line + b"\n---\ndiff --git a/a b/a\n"
    )
    started = time.monotonic()
    assert mails_in("x", content)[0].title == "x"
    assert mails_in("x", line)
    assert time.monotonic() - started < 5


def test_headers_are_decoded_and_folded_lines_joined() -> None:
    mail = mails_in(
        "x",
        b"From: =?UTF-8?q?Zo=C3=AB?= <z@x.org>\nSubject: =?UTF-8?B?W1BBVENIXSDDvA==?=\n a\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0100\n\nFrom: Y <y@x.org>\n\nBody.\n---\n"
        b"diff --git a/a b/a\n",
    )[0]
    assert (mail.sender.name, mail.author.name, mail.body) == ("Zoë", "Y", "Body.")
    assert mail.title == "ü a"


HOSTILE = Finding(
    "tag-form",
    Severity.ERROR,
    "bad \x1b[2J line",
    "reason",
    "write \u202eit",
    place="0001.patch",
    title="t\x07itle",
    line=3,
    quote="(cherry-picked \x9b from)",
    detail=("\x1b]0;x\x07",),
)


def test_no_text_can_steer_the_terminal_or_forge_lines() -> None:
    for shown in (as_text([HOSTILE]), as_mail([HOSTILE])):
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        assert "\\x1b[2J" in shown.replace("\n", " ")


def test_a_reply_quotes_what_it_speaks_of() -> None:
    finding = Finding(
        "tag-form",
        Severity.ERROR,
        "hyphen in “cherry picked”",
        "scripts read this line",
        "write (cherry picked from commit SHA)",
        place="0001-x.patch",
        title="net: mend it",
        line=5,
        quote="(cherry-picked from commit abc)",
    )
    assert as_mail([finding]) == (
        "> 0001-x.patch: net: mend it\n"
        "> (cherry-picked from commit abc)\n\n"
        "Hyphen in “cherry picked” (tag-form). Scripts read this line.\n"
        "Please: write (cherry picked from commit SHA).\n\n"
        "1 error\n"
    )
