"""Which commit of a range is to be tested first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backport.git_repository import GitRepository
from uplift.backport import suspects as module
from uplift.backport.place import open_workspace
from uplift.backport.suspects import Hints, Suspect, suspects
from uplift.lab.git import RepositoryError

TRACE = """
BUG: kernel NULL pointer dereference, address: 0000000000000008
RIP: 0010:ring_refill+0x1c/0x80 [net]
 queue_poll+0x33/0x120
drivers/net/queue.c:41: warning
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    body = "int ring_refill(int n)\n{\n\tint a;\n\tint b;\n\tint c;\n\treturn n;\n}\n"
    made = GitRepository(tmp_path / "repository")
    made.commit("base", {"drivers/net/ring.c": body, "drivers/net/queue.c": "q\n", "doc": "d\n"})
    made.run("tag", "good")
    made.commit("ring: another bound", {"drivers/net/ring.c": body.replace("return n", "return 2")})
    made.commit("queue: faster", {"drivers/net/queue.c": "fast\n"})
    made.commit("doc: words", {"doc": "e\n"})
    return made


def ordered(repository: GitRepository, hints: Hints) -> tuple[Suspect, ...]:
    with open_workspace([repository.path]) as workspace:
        return suspects(workspace, "good", "main", hints)


def test_functions_and_files_of_a_stack_trace_come_first(repository: GitRepository) -> None:
    hints = Hints.of_text(TRACE)
    assert hints == Hints(("drivers/net/queue.c",), ("ring_refill", "queue_poll"))
    found = ordered(repository, hints)
    assert [one.subject for one in found] == ["ring: another bound", "queue: faster", "doc: words"]
    assert found[0].reasons == (
        "it touches the folder of drivers/net/queue.c",
        "it changes ring_refill()",
    )
    assert found[2].reasons == ()


def test_equal_commits_come_newest_first_and_none_is_left_out(repository: GitRepository) -> None:
    found = ordered(repository, Hints(paths=("elsewhere/x.c",)))
    assert [one.subject for one in found] == ["doc: words", "queue: faster", "ring: another bound"]
    assert {one.score for one in found} == {0}


def test_a_range_that_is_too_long_is_refused_whole(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    with pytest.raises(RepositoryError, match=r"cannot order good\.\.main"):
        ordered(repository, Hints(paths=("doc",)))


def test_a_merge_does_not_hide_the_commits_it_brings(repository: GitRepository) -> None:
    repository.branch("side", "good")
    repository.commit("side: ring", {"drivers/net/ring.c": "int ring_refill(int n);\n"})
    repository.branch("main", "main")
    repository.run("merge", "--quiet", "--strategy=ours", "--message", "merge side", "side")
    found = ordered(repository, Hints(symbols=("ring_refill",)))
    assert {one.subject for one in found if one.score} == {"side: ring", "ring: another bound"}
    assert "merge side" in {one.subject for one in found}
