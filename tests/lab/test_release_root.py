"""The root of a release, unpacked without being installed."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab import process
from uplift.lab.kernel_package import Kernel
from uplift.lab.release_kernel import captures, read
from uplift.lab.release_root import Root, link_alternatives, merge, registration


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("bin", "lib"):
        (tmp_path / "root/usr" / name).mkdir(parents=True)
        (tmp_path / "root" / name).symlink_to(f"usr/{name}")
    return tmp_path / "root"


def test_files_of_merged_directories_land_below_usr(tmp_path: Path, root: Path) -> None:
    write(tmp_path / "one/bin/ls", "ls")
    write(tmp_path / "one/usr/bin/id", "id")
    merge(tmp_path / "one", root)
    assert (root / "usr/bin/ls").read_text() == "ls"
    assert (root / "bin").is_symlink()
    assert (root / "bin/id").read_text() == "id"


def test_a_packages_own_merged_links_change_nothing(tmp_path: Path, root: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/bin").symlink_to("elsewhere")
    merge(tmp_path / "one", root)
    assert (root / "bin").readlink() == Path("usr/bin")


def test_no_package_writes_outside_of_the_root(tmp_path: Path, root: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "one/etc").symlink_to(outside)
    merge(tmp_path / "one", root)
    write(tmp_path / "two/etc/passwd", "hostile")
    merge(tmp_path / "two", root)
    assert list(outside.iterdir()) == []


def test_alternatives_are_linked_inside_the_root(root: Path) -> None:
    there = Root(root, "x86_64")
    write(root / "usr/lib/openvswitch-switch/ovs-vswitchd", "plain")
    (root / "usr/sbin").mkdir()
    link_alternatives(there)
    assert (root / "usr/sbin/ovs-vswitchd").read_text() == "plain"


def test_programs_of_another_architecture_are_known_by_their_elf_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("qemu-aarch64-static", "qemu-s390x"):
        write(tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    _, name, kind, offset, magic, mask, interpreter, flags = registration("aarch64").split(":")
    assert (name, kind, offset, flags) == ("uplift-aarch64", "M", "", "F")
    assert magic.endswith(r"\x02\x00\xb7\x00")
    assert mask.endswith(r"\xfe\xff\xff\xff")
    assert interpreter == str(tmp_path / "qemu-aarch64-static")
    assert r"\x00\x02\x00\x16:" in registration("s390x")


def test_a_missing_emulator_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="qemu-user-static"):
        registration("riscv64")


def test_an_emulator_that_needs_this_machines_libraries_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sys.executable, tmp_path / "qemu-riscv64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="qemu-riscv64 is linked dynamically"):
        registration("riscv64")


def _namespaces_work() -> bool:
    if not shutil.which("unshare"):
        return False
    return process.run(["unshare", "--user", "--map-root-user", "--mount", "true"], timeout=10).ok


def _give_program(path: str, root: Path) -> None:
    """Copy one of this machine's programs and its libraries."""
    listed = process.run(["ldd", path], timeout=10).stdout.decode()
    for file in [path, *re.findall(r"(/\S+) \(0x", listed)]:
        place = root / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


@pytest.mark.skipif(not _namespaces_work(), reason="this machine allows no user namespaces")
def test_a_program_in_a_root_sees_no_proc_and_no_sys(root: Path) -> None:
    (root / "lib64").mkdir()
    for name in ("dev", "proc", "sys", "tmp", "run"):
        (root / name).mkdir()
    _give_program("/usr/bin/ls", root)
    seen = Root(root, platform.machine()).run(["/usr/bin/ls", "/proc", "/sys", "/dev"], timeout=20)
    assert seen.ok, seen.complaint
    listed = seen.stdout.decode().split()
    assert listed == ["/dev:", "full", "null", "random", "urandom", "zero", "/proc:", "/sys:"]


def test_what_is_read_of_a_kernel_is_told_with_the_packages_it_came_from(tmp_path: Path) -> None:
    modules = tmp_path / "lib/modules/6.1.0"
    write(modules / "kernel/arch/x86/kvm/kvm-intel.ko.xz", "module")
    write(modules / "modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    kernel = Kernel(
        "6.1.0",
        write(tmp_path / "boot/vmlinuz-6.1.0", "image"),
        modules,
        write(tmp_path / "boot/config-6.1.0", "CONFIG_KVM=m\n"),
        "x86_64",
    )
    files = read(kernel, [("linux-image-6.1.0", "6.1.1-1")])
    assert files.loadable == ("kvm_intel",)
    assert files.builtin == ("ext4",)
    assert dict(files.modules) == {"kvm_intel": b"module"}
    found = captures(files)
    assert found["probe:kernel-image/packages"].text == "linux-image-6.1.0 6.1.1-1\n"
    assert found["file:/boot/config-6.1.0"].text == "CONFIG_KVM=m\n"
    assert "file:annotations" not in found
    text = write(tmp_path / "annotations", "CONFIG_A policy<{'amd64': 'y'}>\n")
    assert captures(files, text)["file:annotations"].data == text.read_bytes()
