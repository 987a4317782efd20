"""A grid boots as much at once as fits, asks for KVM once, and says which names were near."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab import boot_grid
from uplift.lab.boot_grid import Accelerators, at_once, boot_all
from uplift.lab.cpu_names import nearest_names, qemu_model
from uplift.lab.qemu import BootRequest, BootResult, BootStatus

BOOTED, LOST, REFUSED = BootStatus.BOOTED, BootStatus.LOST, BootStatus.REFUSED
REQUEST = BootRequest(Path("vmlinuz"), arch=os.uname().machine, accel="auto")


class Machines:
    """Boots nothing, and answers as told; keeps what was asked for."""

    def __init__(self, kvm: BootStatus, tcg: BootStatus = BOOTED) -> None:
        self.answers = {"kvm": kvm, "tcg": tcg}
        self.asked: list[tuple[str, str, float]] = []

    def __call__(self, request: BootRequest, stop: threading.Event | None = None) -> BootResult:
        self.asked.append((request.accel, request.cpu_model, request.timeout))
        return BootResult(self.answers[request.accel], None, "", 0.1, request.accel, "it hung")


@pytest.fixture
def with_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_grid, "_has_kvm", lambda arch: arch == REQUEST.arch)


@pytest.mark.usefixtures("with_kvm")
@pytest.mark.parametrize(("kvm", "used"), [(BOOTED, "kvm"), (LOST, "tcg"), (REFUSED, "tcg")])
def test_kvm_is_tried_once_by_booting_and_the_answer_kept(kvm: BootStatus, used: str) -> None:
    machines = Machines(kvm)
    accelerators = Accelerators(machines)
    results = [accelerators.boot(replace(REQUEST, cpu_model=m)) for m in ("a", "b", "c")]
    assert [result.accel for result in results] == [used] * 3
    assert machines.asked[0] == ("kvm", "max", boot_grid.KVM_SECONDS)
    assert [(accel, model) for accel, model, _ in machines.asked[1:]] == [
        (used, "a"),
        (used, "b"),
        (used, "c"),
    ]
    assert {r.before for r in results} == ({""} if used == "kvm" else {"kvm: it hung"})


@pytest.mark.usefixtures("with_kvm")
def test_another_architecture_is_emulated_at_once() -> None:
    machines = Machines(BOOTED)
    assert Accelerators(machines).boot(replace(REQUEST, arch="vax")).accel == "tcg"
    assert len(machines.asked) == 1


@pytest.mark.usefixtures("with_kvm")
@pytest.mark.parametrize("accel", ["kvm", "tcg"])
def test_what_was_asked_for_is_not_second_guessed(accel: str) -> None:
    machines = Machines(LOST)
    result = Accelerators(machines).boot(replace(REQUEST, accel=accel))
    assert (result.accel, len(machines.asked)) == (accel, 1)


@pytest.mark.parametrize(("available_gib", "many"), [(64, 2), (1, 1), (0, 1)])
def test_machines_at_once_are_bound_by_memory(
    available_gib: int, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemTotal: 1 kB\nMemAvailable: {available_gib << 20} kB\n")
    assert at_once([REQUEST] * 8, memory) == many
    assert at_once([REQUEST], memory) == 1


def test_every_boot_is_answered_and_one_error_costs_no_other() -> None:
    def boot(request: BootRequest, stop: object = None) -> BootResult:
        if request.cpu_model == "b":
            raise TargetError("no", "emulator", "install it")
        return BootResult(BOOTED, None, "", 0.1, "tcg")

    requests = [replace(REQUEST, accel="tcg", cpu_model=model) for model in "abc"]
    ended = {one.number: one.result for one in boot_all(requests, 2, Accelerators(boot))}
    assert isinstance(ended[1], TargetError)
    assert isinstance(ended[0], BootResult) and isinstance(ended[2], BootResult)


def test_who_stops_asking_ends_the_machines() -> None:
    def hanging(request: BootRequest, stop: threading.Event) -> BootResult:
        assert stop.wait(30), "nobody stopped it"
        return BootResult(LOST, None, "", 0.1, "tcg")

    def quick(request: BootRequest, stop: threading.Event) -> BootResult:
        if request.cpu_model == "quick":
            return BootResult(BOOTED, None, "", 0.1, "tcg")
        return hanging(request, stop)

    models = ("quick", "slow", "slow", "slow")
    requests = [replace(REQUEST, accel="tcg", cpu_model=model) for model in models]
    started = time.monotonic()
    grid = boot_all(requests, 2, Accelerators(quick))
    assert next(grid).number == 0
    grid.close()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("max", "max"),
        ("Skylake-Server,-avx512f,+la57", "Skylake-Server,avx512f=off,la57=on"),
        ("max,sve=on,avx2=off", "max,sve=on,avx2=off"),
        ("rv64,+v,vlen=256", "rv64,v=on,vlen=256"),
    ],
)
def test_signs_are_written_as_every_emulator_takes_them(text: str, model: str) -> None:
    assert qemu_model(text) == model


@pytest.mark.parametrize("text", ["", "help", "?", "max,", "max,a b", "max,-device=x y", ",avx"])
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="cannot boot the CPU model"):
        qemu_model(text)


FakeQemu = Callable[[str], str]


@pytest.fixture
def fake_qemu(tmp_path: Path) -> FakeQemu:
    """Return a program that answers QMP with what it is given."""

    def make(answer: str) -> str:
        program = tmp_path / "qemu"
        program.write_text(f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(0o755)
        return str(program)

    return make


MODELS = '{"id": "answer", "return": [{"name": "Haswell"}, {"name": "Skylake-Server"}, {"x": 1}]}'
PROPERTIES = '{"id": "answer", "return": [{"name": "avx512vnni"}, {"name": "avx512f"}]}'


@pytest.mark.parametrize(
    ("complaint", "answer", "near"),
    [
        ("q: unable to find CPU model 'skylake-servr'", MODELS, ("Skylake-Server",)),
        (
            "Property 'Haswell-x86_64-cpu.avx512vnn' not found",
            PROPERTIES,
            ("avx512vnni", "avx512f"),
        ),
        ("q: unable to find CPU model 'vax'", MODELS, ()),
        ("q: unable to find CPU model 'Haswel'", "no JSON\n[1]", ()),
        ("something else", MODELS, ()),
    ],
)
def test_names_near_a_wrong_one_are_the_emulators(
    complaint: str, answer: str, near: tuple[str, ...], fake_qemu: FakeQemu
) -> None:
    assert nearest_names(fake_qemu(answer), complaint) == near


def test_without_an_emulator_no_name_is_near(tmp_path: Path) -> None:
    assert nearest_names(str(tmp_path / "none"), "unable to find CPU model 'x'") == ()
