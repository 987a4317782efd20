"""The cover letter: what is known is there, what is not is marked, and lint finds the marks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport.lint.cover import sections
from uplift.backport.mail import Envelope, cover_mail
from uplift.backport.model import Person, Plan, PlannedCommit, Role
from uplift.backport.profiles import load_profile, profile_names
from uplift.backport.series import SeriesOptions, make_series
from uplift.backport.series_text import Links
from uplift.backport.sru import CoverText, cover_text
from uplift.lab.git import Workspace

SENDER = Person("Zoë Müller", "zoe@example.com", 1_700_100_000, "+0100")


@pytest.fixture
def repo(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "linux")
    made.commit("start", {"drivers/net/a.c": "one\n", "b.c": "b\n"})
    made.branch("noble", "main")
    made.branch("main", "main")
    return made


def plan_of(repo: GitRepository) -> Plan:
    need = repo.commit("lib: prepare", {"b.c": "ready\n"})
    asked = repo.commit("net: mend it", {"drivers/net/a.c": "two\n"})
    series = (
        PlannedCommit(need, "", Role.PREREQUISITE, "it adds what b.c needs", asked),
        PlannedCommit(asked, "", Role.REQUESTED, "asked for"),
    )
    return Plan(repo.run("rev-parse", "noble"), series, (), True, "", notes=("a note",))


def written(repo: GitRepository, tmp_path: Path, plan: Plan, profile: str, bug: str) -> CoverText:
    options = SeriesOptions(load_profile(profile), SENDER, Links(bug), "main")
    with (
        Workspace.make(tmp_path / "workspace", [repo.path]) as workspace,
        workspace.quarantine() as view,
    ):
        made = make_series(view, plan, options)
        return cover_text(view, options.profile, plan, made, options.links)


def test_what_is_known_is_filled_in(repo: GitRepository, tmp_path: Path) -> None:
    plan = plan_of(repo)
    told = written(repo, tmp_path, plan, "ubuntu-kernel", "7")
    parts = sections(told.text)
    assert told.subject == "net: mend it"
    assert told.text.startswith("BugLink: https://bugs.launchpad.net/bugs/7\n\nSRU Justification:")
    assert f'{plan.series[0].sha[:12]} ("lib: prepare"), cherry picked; prerequisite:' in told.text
    assert "drivers/net" in parts["where problems could occur"]
    assert "a note" in parts["other info"]
    assert " 2 files changed, 2 insertions(+), 2 deletions(-)" in told.text
    assert "A (2):\n  lib: prepare\n  net: mend it" in told.text


def test_what_only_a_person_knows_is_marked_and_never_called_low(
    repo: GitRepository, tmp_path: Path
) -> None:
    parts = sections(written(repo, tmp_path, plan_of(repo), "ubuntu-kernel", "7").text)
    for name in ("impact", "test plan", "where problems could occur"):
        assert "TO WRITE:" in parts[name]
    for text in parts.values():
        assert not {"none", "low"} & set(text.lower().split())


def test_a_bug_that_is_not_known_is_marked(repo: GitRepository, tmp_path: Path) -> None:
    told = written(repo, tmp_path, plan_of(repo), "ubuntu-kernel", "")
    assert told.text.startswith("TO WRITE: BugLink: https://bugs.launchpad.net/bugs/NUMBER")


def test_more_commits_than_are_mailed_become_a_pull_request(
    repo: GitRepository, tmp_path: Path
) -> None:
    shas = [repo.commit(f"net: {number}", {f"{number}.c": "x\n"}) for number in range(21)]
    series = tuple(PlannedCommit(sha, "", Role.REQUESTED, "asked for") for sha in shas)
    plan = Plan(repo.run("rev-parse", "noble"), series, (), True, "")
    told = written(repo, tmp_path, plan, "ubuntu-kernel", "7")
    profile = load_profile("ubuntu-kernel")
    mail = cover_mail(Envelope(profile, SENDER, "N", 2), told.subject, told.text, 21, pull=True)
    assert told.pull and "are available in the Git repository at:" in told.text
    assert b"Subject: [SRU][N][PULL v2] TO WRITE: subject" in mail.content


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_has_a_letter(repo: GitRepository, tmp_path: Path, profile: str) -> None:
    assert "lib: prepare" in written(repo, tmp_path, plan_of(repo), profile, "7").text


def test_nothing_is_said_of_an_empty_series(repo: GitRepository, tmp_path: Path) -> None:
    plan = replace(plan_of(repo), series=())
    assert written(repo, tmp_path, plan, "generic", "").subject == "TO WRITE: subject"
