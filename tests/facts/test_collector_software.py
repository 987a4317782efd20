"""``--software``: what programs and libraries can do, and nothing of the machine that ran them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from uplift.facts import collector, snapshot_file
from uplift.facts.model import CaptureStatus, Snapshot

SCRIPT = Path(collector.__file__)
#: What is asked of the running kernel, of the CPU, of daemons and of this machine's settings.
OF_THE_MACHINE = re.compile(
    r"file:/(proc|sys|boot|run|lib/modules|etc/(default|environment|docker))|tree:/(sys|proc|etc|var)"
    r"|list:/|probe:(cpuid|xcr0|xcomp|msr|auxv|arm64|riscv|kvm|uname|environment|identity|dev|net)"
    r"|cmd:(dmesg|ethtool|lscpu|virsh/capabilities|openssl/cpuid|systemd-detect-virt|snap|nvidia-smi)"
    r"|cmd:ld.so/(diagnostics|hwcaps|tunables)$|cmd:.*/march-native"
)


@pytest.fixture(scope="module")
def here() -> Snapshot:
    """This machine's software, with a variable set that steers dispatch."""
    ran = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "--software"],
        capture_output=True,
        check=True,
        timeout=300,
        env={**os.environ, "OPENBLAS_CORETYPE": "steered-here"},
    )
    assert ran.stderr == b""
    return snapshot_file.read_bytes(ran.stdout, "the collector")


def test_it_is_a_releases_snapshot(here: Snapshot) -> None:
    assert (here.kind, here.complete) == ("release", True)
    assert "mode software" in here.captures["probe:collector"].text


def test_no_capture_asks_the_machine(here: Snapshot) -> None:
    assert [name for name in here.captures if OF_THE_MACHINE.match(name)] == []


def test_what_the_machine_is_stands_in_no_capture(here: Snapshot) -> None:
    words = [os.uname().release, "OPENSSL_ia32cap=", "OPENSSL_armcap=", "steered-here"]
    for capture in here.captures.values():
        told = f"{capture.text} {capture.how} {capture.detail}"
        assert [word for word in words if word in told] == [], capture.id


def test_numpy_tells_what_it_was_built_with_and_not_what_it_found() -> None:
    config = {"SIMD Extensions": {"found": ["AVX2"]}, "Build Dependencies": {"blas": {}}}
    report = {
        **{"version": "2.2", "dispatch": ["AVX2"], "baseline": ["SSE"]},
        **{"found": ["AVX2"], "cpu_features": {"AVX2": True}, "config": config},
    }
    assert collector.software_report(report) == {
        "version": "2.2",
        "dispatch": ["AVX2"],
        "baseline": ["SSE"],
        "config": {"Build Dependencies": {"blas": {}}},
    }


def test_qemu_tells_its_models_and_not_which_of_them_this_host_lacks(here: Snapshot) -> None:
    captures = [c for n, c in here.captures.items() if re.match(r"cmd:qemu-system-\w+/qmp$", n)]
    if not captures or captures[0].status is not CaptureStatus.OK:
        pytest.skip("no QEMU on this machine")
    answers = json.loads(captures[0].data)
    assert not any("unavailable-features" in row for row in answers["cpu-definitions"])
    assert "expansion-max" in answers
    assert not {"expansion-host", "kvm"} & set(answers)


def test_the_loaders_names_come_without_their_states(here: Snapshot) -> None:
    text = here.captures["cmd:ld.so/subdirectories"].text
    assert all(re.fullmatch(r"[\w.-]+", line) for line in text.splitlines())


def test_a_cpu_map_becomes_names_and_demands() -> None:
    text = b"""<cpus>
      <model name='New'><decode host='on' guest='on'/><signature family='6' model='1'/>
        <model name='Old'/><feature name='avx'/><feature name='mpx' removed='yes'/></model>
      <feature name='avx' migratable='no'><cpuid eax_in='0x1' ecx='0x1'/></feature>
    </cpus>"""
    lines = ["feature avx", "model New", "base Old", "needs avx", "needs mpx removed"]
    assert collector.cpu_map_lines(text) == lines


def test_a_cpu_map_that_declares_entities_is_refused() -> None:
    with pytest.raises(ValueError, match="entities"):
        collector.cpu_map_lines(b"<!DOCTYPE a [<!ENTITY b 'c'>]><cpus>&b;</cpus>")
