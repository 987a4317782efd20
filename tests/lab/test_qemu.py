"""Booting, as far as it can be judged without an emulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab import packages
from uplift.lab.packages import Userland, kernel_in
from uplift.lab.qemu import BootRequest, BootStatus, boot, command, lacking_features

WARNINGS_7_2 = """\
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:ECX.pcid [bit 17]
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:ECX.sse4.1 [bit 19]
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.0DH:EAX [bit 9]
qemu-system-x86_64: warning: TCG doesn't support requested feature: MSR(48BH).vmx-apicv [bit 8]
"""
WARNINGS_10 = """\
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID[eax=07h].EBX.rtm [bit 11]
qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID[eax=07h,ecx=01h].EAX.avx-vnni [bit 4]
"""  # noqa: E501 - as the emulator writes it


def request(tmp_path: Path, **more: object) -> BootRequest:
    return BootRequest(tmp_path / "vmlinuz", **more)  # type: ignore[arg-type]


def test_lacking_features_are_named_as_the_emulator_names_them() -> None:
    named = ("pcid", "hle", "sse4.1", "CPUID.0DH:EAX [bit 9]", "vmx-apicv")
    assert lacking_features(WARNINGS_7_2) == named
    assert lacking_features(WARNINGS_10) == ("rtm", "avx-vnni")
    assert lacking_features("anything else") == ()


def test_enforce_is_asked_of_x86_models_only(tmp_path: Path) -> None:
    x86 = command(request(tmp_path, cpu_model="Haswell,-avx2", enforce=True), tmp_path)
    arm = command(request(tmp_path, arch="aarch64", enforce=True), tmp_path)
    assert x86[x86.index("-cpu") + 1] == "Haswell,-avx2,enforce"
    assert arm[arm.index("-cpu") + 1] == "max"


def test_a_comma_in_a_path_stays_one_path(tmp_path: Path) -> None:
    argv = command(request(tmp_path), tmp_path / "a,b")
    assert any(word.endswith("a,,b/port") for word in argv)


def test_the_users_words_come_last_on_the_command_line(tmp_path: Path) -> None:
    argv = command(request(tmp_path, append="panic=0 mitigations=off"), tmp_path)
    assert argv[-1].endswith(" panic=0 mitigations=off") and "panic=-1 " in argv[-1]


def test_an_architecture_that_nobody_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="vax"):
        boot(request(tmp_path, arch="vax"))


def fake_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def started(tmp_path: Path, **more: object) -> BootRequest:
    for name in ("vmlinuz", "userland.cpio"):
        (tmp_path / name).touch()
    return request(tmp_path, userland=Userland(tmp_path / "userland.cpio"), **more)


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        ("echo unable to find CPU model >&2; exit 1", BootStatus.REFUSED, "unable to find CPU"),
        ("echo Linux; exit 0", BootStatus.LOST, "the machine stopped before"),
        ("echo Linux; sleep 30", BootStatus.LOST, "no answer within 1 s"),
        ("sleep 30", BootStatus.LOST, "no answer within 1 s"),
        ("echo bug >&2; kill -ABRT $$", BootStatus.LOST, "signal 6 ended the emulator: bug"),
        ("exec yes", BootStatus.LOST, "the console ran over"),
    ],
)
def test_how_an_emulator_ends_decides_the_status(
    script: str, status: BootStatus, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_emulator(tmp_path, monkeypatch, script)
    result = boot(started(tmp_path, timeout=1))
    assert result.status is status and result.snapshot is None
    assert result.why.startswith(why) or why in result.why


def test_half_a_snapshot_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = '{"schema":"uplift-snapshot/1","kind":"machine"}'
    find = "for w; do case $w in *id=port*) p=${w##*path=};; esac; done"
    fake_emulator(tmp_path, monkeypatch, f"{find}; echo Linux; echo '{cut}' > $p")
    assert boot(started(tmp_path, timeout=5)).status is BootStatus.LOST
    whole = "%s\\n%s\\n' '" + cut + '\' \'{"end":true,"captures":0}'
    fake_emulator(tmp_path, monkeypatch, f"{find}; echo Linux; printf '{whole}' > $p")
    result = boot(started(tmp_path, timeout=5))
    assert result.status is BootStatus.BOOTED and result.snapshot is not None
    assert "cmd:qemu-system-x86_64/warnings" in result.snapshot.captures


def test_an_emulator_that_is_not_installed_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError) as caught:
        boot(started(tmp_path))
    assert caught.value.fix == "install qemu-system-x86"


def test_a_directory_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot boot a kernel from"):
        kernel_in(tmp_path, "x86_64")


@pytest.mark.parametrize("top", ["", "usr"])
def test_modules_are_found_on_either_side_of_the_merge_into_usr(top: str, tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1.0").touch()
    modules = tmp_path / top / "lib/modules/6.1.0"
    modules.mkdir(parents=True)
    kernel = kernel_in(tmp_path, "x86_64")
    assert (kernel.release, kernel.modules_dir, kernel.config) == ("6.1.0", modules, None)


def test_a_machine_without_apt_says_what_boots_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="cannot run apt-get"):
        packages.fetch_kernel("x86_64", cache=tmp_path)


def test_an_architecture_unknown_to_the_distribution_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot boot a machine of vax"):
        packages.fetch_userland("vax", cache=tmp_path)
