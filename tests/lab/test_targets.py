"""What a target's text means, and what happens to many of them."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from uplift.errors import USAGE, RecordingError, TargetError, UpliftError
from uplift.facts.model import Snapshot
from uplift.lab.targets import (
    Local,
    Options,
    Recording,
    Ssh,
    parse_target,
    snapshot,
    take_snapshots,
)

SMALL = '{"schema":"uplift-snapshot/1","kind":"machine"}\n{"end":true,"captures":0}\n'


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("", Local()),
        ("local", Local()),
        ("./local", Recording(Path("local"))),
        ("dump.txt", Recording(Path("dump.txt"))),
        ("/tmp/ssh:host", Recording(Path("/tmp/ssh:host"))),
        ("ssh:rack7", Ssh("rack7")),
        ("ssh:admin@rack7.lab.example:2222", Ssh("rack7.lab.example", "admin", 2222)),
        ("ssh://admin@rack7:22", Ssh("rack7", "admin", 22)),
        ("ssh:[2001:db8::7]:22", Ssh("2001:db8::7", "", 22)),
        ("ssh:[fe80::1%eth0]", Ssh("fe80::1%eth0")),
    ],
)
def test_a_text_names_one_target(text: str, target: object) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "ssh:",
        "ssh:-oProxyCommand=id",
        "ssh:-F@host",
        "ssh:user@-host",
        "ssh:a b",
        "ssh:host;id",
        "ssh:$(id)",
        "ssh:`id`",
        "ssh:host\n",
        "ssh:host%h",
        "ssh:höst",
        "ssh:host:0",
        "ssh:host:65536",
        "ssh:host:",
        "ssh:@host",
        "ssh:2001:db8::7",
        "ssh:[::1",
        "ssh:[-oX]",
    ],
)
def test_an_ssh_target_that_could_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(UpliftError) as caught:
        parse_target(text)
    assert caught.value.exit_code == USAGE and "\n" not in caught.value.problem


@pytest.mark.parametrize("text", ["ssh:rack7", "ssh:a@rack7:2222", "ssh:[2001:db8::7]:22"])
def test_a_target_is_shown_as_it_is_typed(text: str) -> None:
    assert str(parse_target(text)) == text


def test_a_recording_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(SMALL)
    assert snapshot(Recording(tmp_path / "a.jsonl")).complete


def test_a_recording_that_fails_never_costs_the_others(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(SMALL)
    (tmp_path / "broken").write_text(SMALL.replace('"end"', '"'))
    paths = [tmp_path / name for name in ("good", "broken", "missing", "good")]
    answers = [answer for _, answer in take_snapshots(Recording(path) for path in paths)]
    kinds = (Snapshot, RecordingError, RecordingError, Snapshot)
    assert all(isinstance(a, kind) for a, kind in zip(answers, kinds, strict=True))


def test_targets_can_be_taken_in_other_processes(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(SMALL)
    targets = [Recording(tmp_path / "good"), Recording(tmp_path / "missing")]
    with ProcessPoolExecutor(1) as executor:
        taken = list(take_snapshots(targets, executor=executor))
    assert isinstance(taken[0][1], Snapshot) and isinstance(taken[1][1], RecordingError)


def test_an_error_travels_between_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(TargetError("a problem", "its cause", "a fix")))
    assert isinstance(error, TargetError)
    assert str(error) == "error: a problem\ncause: its cause\nfix:   a fix"
    assert error.exit_code == 3 and error.args == ("a problem",)


def test_options_become_the_collectors_arguments() -> None:
    assert Options().arguments == ()
    assert Options(deep=True, redact=True, budget=0.5).arguments == (
        "--deep",
        "--redact",
        "--budget",
        "0.5",
    )
