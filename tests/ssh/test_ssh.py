"""Machines over ssh, against a real OpenSSH server: what works, and what each failure says."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from uplift.errors import UNREACHABLE, TargetError, UpliftError
from uplift.facts.model import Snapshot
from uplift.lab import ssh
from uplift.lab.targets import Options, Ssh, parse_target, take_snapshots

from .conftest import Server

pytestmark = pytest.mark.ssh

#: Stands for the collector where what it records does not matter.
STUB = """
import json, os, sys
sys.stdout.write('{"schema":"uplift-snapshot/1","kind":"machine","arch":"x86_64"}\\n')
for name in sys.argv[1:]:
    sys.stdout.write(json.dumps({"id": "argument:" + name, "status": "ok"}) + "\\n")
sys.stdout.write('{"end":true,"captures":%d}\\n' % len(sys.argv[1:]))
"""


@pytest.fixture
def options(server: Server, tmp_path: Path) -> Options:
    stub = tmp_path / "stub.py"
    stub.write_text(STUB)
    return Options(collector=stub, ssh_config=server.config)


def failure(host: str, options: Options) -> TargetError:
    with pytest.raises(TargetError) as caught:
        ssh.snapshot(Ssh(host), options)
    assert caught.value.exit_code == UNREACHABLE
    assert str(caught.value.problem) == f"cannot record ssh:{host}"
    return caught.value


def test_the_collector_runs_there_and_leaves_a_whole_snapshot(server: Server) -> None:
    options = Options(ssh_config=server.config)
    if not options.collector.exists():
        pytest.skip("there is no collector")
    snapshot = ssh.snapshot(Ssh("good"), options)
    assert snapshot.complete and snapshot.arch == os.uname().machine
    assert snapshot.captures["file:/proc/cpuinfo"].data.startswith(b"processor")


def test_user_host_and_port_may_be_named(server: Server, options: Options) -> None:
    target = parse_target(f"ssh:127.0.0.1:{server.port}")
    assert isinstance(target, Ssh) and ssh.snapshot(target, options).complete


def test_a_jump_host_of_the_configuration_works(options: Options) -> None:
    assert ssh.snapshot(Ssh("behind"), options).complete


def test_a_command_or_terminal_in_the_configuration_does_not_get_in_the_way(
    options: Options,
) -> None:
    assert ssh.snapshot(Ssh("with-command"), options).complete


def test_options_reach_the_collector(options: Options) -> None:
    options = replace(options, deep=True, redact=True, budget=2.5)
    captures = ssh.snapshot(Ssh("good"), options).captures
    assert set(captures) == {
        f"argument:{word}" for word in ("--deep", "--redact", "--budget", "2.5")
    }


def test_what_a_login_script_prints_before_the_snapshot_is_passed_over(options: Options) -> None:
    assert ssh.snapshot(Ssh("chatty"), options).complete


def test_a_connection_that_ends_early_leaves_an_incomplete_snapshot(
    options: Options, tmp_path: Path
) -> None:
    long = tmp_path / "long.py"
    long.write_text(STUB.replace("sys.argv[1:]", "[str(n) for n in range(100)]"))
    snapshot = ssh.snapshot(Ssh("half"), replace(options, collector=long))
    assert not snapshot.complete and snapshot.captures


def test_nothing_is_left_behind(options: Options, tmp_path: Path) -> None:
    home = Path.home()
    before = sorted(home.iterdir())
    ssh.snapshot(Ssh("good"), options)
    assert sorted(home.iterdir()) == before


@pytest.mark.parametrize(
    ("host", "cause", "fix"),
    [
        ("no-python", "no python3", "install python3 on no-python"),
        ("old-python", "older than 3.6", "newer python3"),
        ("junk", "is no snapshot: Welcome!", "should print nothing"),
        ("refused", "Connection refused", "check the port"),
        ("stranger", "Permission denied", "ssh-copy-id stranger"),
        ("changed", "Host key verification failed", "ssh-keygen -R '[127.0.0.1]:"),
        ("unknown", "Host key verification failed", "connect once by hand"),
        ("nowhere.invalid", "not resolve hostname", "check the name"),
    ],
)
def test_each_failure_says_what_happened_and_what_helps(
    host: str, cause: str, fix: str, options: Options
) -> None:
    error = failure(host, options)
    assert cause in error.cause and fix in error.fix


def test_what_the_other_side_says_cannot_steer_the_terminal(options: Options) -> None:
    assert "\x1b" not in str(failure("junk", options))


def test_a_machine_that_does_not_answer_is_given_up(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 1)
    monkeypatch.setattr("uplift.lab.model._GRACE", 0)
    error = failure("slow", replace(options, budget=1))
    assert error.cause == "no answer within 2 s"


def test_a_machine_that_writes_without_end_is_cut_off(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "MAX_SNAPSHOT", 1 << 20)
    assert "more than 1 MiB came back" in failure("flood", options).cause


def test_one_machine_that_fails_never_costs_the_others(options: Options) -> None:
    hosts = ["good", "refused", "good", "good", "stranger", "good", "good", "good"]
    taken = list(take_snapshots([Ssh(host) for host in hosts], options))
    assert [str(target) for target, _ in taken] == [f"ssh:{host}" for host in hosts]
    for host, (_, answer) in zip(hosts, taken, strict=True):
        assert isinstance(answer, Snapshot if host == "good" else UpliftError)


def test_answers_may_come_as_they_arrive(options: Options, tmp_path: Path) -> None:
    targets = [Ssh("slow"), Ssh("good")]
    arriving = take_snapshots(targets, options, ordered=False)
    started = time.monotonic()
    assert next(arriving)[0] == Ssh("good")
    arriving.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10, "the slow one was waited for"


def test_an_executor_of_ones_own_takes_the_snapshots(options: Options) -> None:
    with ThreadPoolExecutor(1) as executor:
        taken = list(take_snapshots([Ssh("good"), Ssh("refused")], options, executor))
    assert [isinstance(answer, Snapshot) for _, answer in taken] == [True, False]
