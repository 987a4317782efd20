"""A distribution's kernel really boots on emulated CPU models, with the collector inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.facts.parsers import read_facts
from uplift.lab.qemu import BootRequest, BootStatus, boot

from .conftest import Boots, kernel_of
from .promises import PROMISES, Promise, masked_but_there

pytestmark = [pytest.mark.boots, pytest.mark.slow]

MODELS = pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)


@MODELS
def test_the_machine_is_what_its_model_promises(promise: Promise, boots: Boots) -> None:
    promise.check(boots.snapshot(promise.arch, promise.model))


@MODELS
def test_the_snapshot_is_whole_and_names_the_kernel_that_was_booted(
    promise: Promise, boots: Boots, tmp_path: Path
) -> None:
    snapshot = boots.snapshot(promise.arch, promise.model)
    assert snapshot.complete and snapshot.arch == promise.arch
    assert kernel_of(promise.arch).release in snapshot.captures["file:/proc/version"].text
    snapshot_file.save(snapshot, tmp_path / "a.jsonl.gz")
    assert snapshot_file.load(tmp_path / "a.jsonl.gz").digest == snapshot.digest


@pytest.mark.parametrize("model", ["Haswell", "Skylake-Server", "EPYC-Rome"])
def test_what_the_emulator_drops_is_named_and_really_gone(model: str, boots: Boots) -> None:
    result = boots.result("x86_64", model)
    assert result.lacking and result.snapshot is not None
    assert masked_but_there(result.snapshot, result.lacking) == set()
    evidence = result.snapshot.captures["cmd:qemu-system-x86_64/warnings"]
    assert all(name in evidence.text for name in result.lacking)
    assert f"-cpu {model}" in evidence.how and "/" not in evidence.how


def test_avx512_is_dropped_from_a_skylake_server(boots: Boots) -> None:
    assert "avx512f" in boots.result("x86_64", "Skylake-Server").lacking


def request(arch: str, model: str, **more: object) -> BootRequest:
    return BootRequest.of(kernel_of(arch), model, **more)


def test_a_model_that_cannot_be_had_whole_is_refused_when_asked_so() -> None:
    result = boot(request("x86_64", "Haswell", enforce=True))
    assert result.status is BootStatus.REFUSED and result.snapshot is None
    assert {"hle", "rtm"} <= set(result.lacking)


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_a_model_that_does_not_exist_is_refused(arch: str) -> None:
    result = boot(request(arch, "no-such-model"))
    assert result.status is BootStatus.REFUSED and "no-such-model" in result.why


def test_a_machine_that_hangs_is_lost() -> None:
    result = boot(request("x86_64", "max", append="rdinit=/nonexistent panic=0", timeout=15))
    assert result.status is BootStatus.LOST and result.snapshot is None
    assert result.why == "no answer within 15 s"


def test_a_cpu_model_that_cannot_run_the_kernel_is_lost() -> None:
    result = boot(request("x86_64", "pentium3", timeout=5))
    assert result.status is BootStatus.LOST


def test_a_machine_that_panics_is_lost_and_its_last_words_are_kept() -> None:
    result = boot(request("x86_64", "max", append="rdinit=/nonexistent", timeout=120))
    assert result.status is BootStatus.LOST
    assert result.why == "the machine stopped before the collector had answered"
    assert "Kernel panic" in result.console


def test_without_a_virtio_driver_the_snapshot_leaves_through_a_serial_line() -> None:
    result = boot(replace(request("x86_64", "max", timeout=240), modules_dir=None))
    assert result.status is BootStatus.BOOTED, result.console
    assert result.snapshot is not None and result.snapshot.complete


def booted(request: BootRequest) -> Snapshot:
    result = boot(request)
    assert result.status is BootStatus.BOOTED, f"{result.why}\n{result.console}"
    assert result.snapshot is not None
    return result.snapshot


def test_kvm_inside_says_what_it_offers_to_guests() -> None:
    snapshot = booted(request("x86_64", "EPYC-Rome", kvm_modules=True, timeout=240))
    facts = read_facts(snapshot)
    assert snapshot.captures["probe:kvm"].usable
    features = facts.value("kvm.cpuid.7.0.ebx")
    assert isinstance(features, int) and features >> 5 & 1, "no AVX2 for guests"
    assert "kvm_amd" in snapshot.captures["file:/proc/modules"].text


def test_a_short_recording_says_of_the_cpu_what_a_whole_one_says(boots: Boots) -> None:
    short = boots.snapshot("x86_64", "Haswell")
    whole = booted(request("x86_64", "Haswell", everything=True, timeout=240))
    assert len(whole.captures) > 3 * len(short.captures)
    same = ("probe:cpuid", "probe:xcr0", "probe:xcomp")
    assert {n: short.captures[n].data for n in same} == {n: whole.captures[n].data for n in same}
    facts = read_facts(short), read_facts(whole)
    assert facts[0].value("cpuinfo.flags") == facts[1].value("cpuinfo.flags")


def test_a_riscv_kernel_boots_and_its_isa_is_recorded() -> None:
    snapshot = booted(request("riscv64", "rv64", timeout=400))
    assert snapshot.arch == "riscv64"
    assert "rv64imafdc" in snapshot.captures["file:/proc/cpuinfo"].text
    assert snapshot.captures["probe:riscv-hwprobe"].usable
