"""A kernel comes out of a stranger's package whole, or the package is refused."""

from __future__ import annotations

import tarfile
import tracemalloc
from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab import kernel_package, package_stream
from uplift.lab.kernel_modules import dependencies, load_order, module_files
from uplift.lab.kernel_package import kernel_in, unpack_package

from .debs import PACKERS, ar_of, deb_of, module, tar_of

TOP = "./usr/lib/modules/6.1"


def unpacked(tmp_path: Path, package: bytes) -> set[str]:
    (tmp_path / "a.deb").write_bytes(package)
    to = tmp_path / "to"
    to.mkdir()
    unpack_package(tmp_path / "a.deb", to)
    return {path.relative_to(to).as_posix() for path in to.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("packed", PACKERS)
def test_a_boot_takes_image_configuration_and_its_modules(packed: str, tmp_path: Path) -> None:
    files = {
        "./boot/vmlinuz-6.1": b"image",
        "./boot/config-6.1": b"CONFIG_X=y",
        "./boot/System.map-6.1": b"left out",
        f"{TOP}/kernel/drivers/char/virtio_console.ko": module(),
        f"{TOP}/kernel/sound/snd.ko": module(),
        "./usr/share/doc/linux/copyright": b"left out",
    }
    found = unpacked(tmp_path, deb_of(tar_of(files), packed))
    kept = "usr/lib/modules/6.1/kernel/drivers/char/virtio_console.ko"
    assert found == {"boot/vmlinuz-6.1", "boot/config-6.1", kept}
    kernel = kernel_in(tmp_path / "to", "x86_64")
    assert (kernel.release, kernel.image.read_bytes()) == ("6.1", b"image")
    assert set(module_files(kernel.modules_dir)) == {"virtio_console"}


def test_an_image_below_lib_modules_is_found_with_its_configuration(tmp_path: Path) -> None:
    files = {f"{TOP}/vmlinuz": b"image", f"{TOP}/config": b"CONFIG_X=y"}
    unpacked(tmp_path, deb_of(tar_of(files)))
    kernel = kernel_in(tmp_path / "to", "x86_64")
    assert kernel.release == "6.1" and kernel.config is not None
    assert kernel.config.read_bytes() == b"CONFIG_X=y"


def test_what_a_module_needs_comes_along_whatever_its_name(tmp_path: Path) -> None:
    files = {
        f"{TOP}/kernel/lib/odd-need.ko": module(),
        f"{TOP}/kernel/arch/x86/kvm/kvm.ko": module("odd-need"),
        f"{TOP}/kernel/arch/x86/kvm/kvm-amd.ko": module("kvm,ccp"),
        f"{TOP}/kernel/other.ko": module(),
    }
    unpacked(tmp_path, deb_of(tar_of(files)))
    order = load_order(module_files(tmp_path / "to/usr/lib/modules/6.1"), ["kvm_amd", "kvm"])
    assert list(order) == ["odd_need.ko", "kvm.ko", "kvm_amd.ko"]


def test_modules_that_need_each_other_are_loaded_once(tmp_path: Path) -> None:
    for name, needs in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.ko").write_bytes(module(needs))
    assert list(load_order(module_files(tmp_path), ["a"])) == ["b.ko", "a.ko"]


def test_a_module_says_what_it_needs_with_either_dash() -> None:
    assert dependencies(module("rng-core,kvm")) == ("rng_core", "kvm")
    assert dependencies(module()) == () == dependencies(b"\x7fELF")


@pytest.mark.parametrize(
    "name",
    [
        "../boot/vmlinuz-6.1",
        "/boot/vmlinuz-6.1",
        "./boot/../../vmlinuz-6.1",
        "./lib/modules/../../../../etc/kernel/kvm.ko",
        "./lib/modules/6.1/../../../kvm.ko",
    ],
)
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    assert unpacked(tmp_path, deb_of(tar_of({name: b"x"}))) == set()
    assert {path.name for path in tmp_path.iterdir()} == {"a.deb", "to"}


def test_links_are_never_made_or_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    links = {"./boot": str(tmp_path / "elsewhere"), "./boot/config-6.1": "/etc/passwd"}
    found = unpacked(tmp_path, deb_of(tar_of({"./boot/vmlinuz-6.1": b"image"}, links)))
    assert found == {"boot/vmlinuz-6.1"}
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("package", "cause"),
    [
        (b"PK\x03\x04", "does not start as an ar archive"),
        (b"!<arch>\n" + b"x" * 60, "a header of the ar archive is broken"),
        (ar_of({"debian-binary": b"2.0\n"}), "there is no data.tar in it"),
        (ar_of({"data.tar.bz2": b"BZh9"}), "packed with 'bz2'"),
        (ar_of({"data.tar.xz": b"\xfd7zXZ\0nonsense here"}), ""),
        (deb_of(tar_of({"./boot/vmlinuz-1": bytes(9999)}))[:-40], "in the middle of the xz"),
    ],
)
def test_what_is_no_whole_package_is_refused(package: bytes, cause: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        unpacked(tmp_path, package)
    assert "cannot unpack" in str(caught.value) and cause in caught.value.cause


def test_a_package_that_unpacks_to_too_much_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_stream, "MAX_STREAM", 4 << 20)
    with pytest.raises(TargetError, match="cannot unpack") as caught:
        unpacked(tmp_path, deb_of(tar_of({"./usr/share/zeros": bytes(16 << 20)})))
    assert "unpacks to more than" in caught.value.cause


def test_a_file_that_is_larger_than_any_kernel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_package, "MAX_FILE", 1 << 10)
    with pytest.raises(TargetError) as caught:
        unpacked(tmp_path, deb_of(tar_of({"./boot/vmlinuz-6.1": bytes(2 << 10)})))
    assert "boot/vmlinuz-6.1 is too large" in caught.value.cause


def test_a_huge_header_costs_no_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200 << 20
    package = deb_of(header.tobuf() + bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(TargetError) as caught:
        unpacked(tmp_path, package)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "a header of it has" in caught.value.cause and peak < 32 << 20
