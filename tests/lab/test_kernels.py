"""What may be named as a kernel, and what each name stands for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab.kernels import find_kernels, image_arch

from .debs import bz_image, module, write

TOP = "./lib/modules/6.1"
FLAT_ARM = bytes(56) + b"ARM\x64" + bytes(64)


def found(tmp_path: Path, *words: object, **more: object):  # type: ignore[no-untyped-def]
    return find_kernels([str(word) for word in words], cache=tmp_path / "cache", **more)  # type: ignore[arg-type]


def split_packages(place: Path, release: str = "6.1") -> tuple[Path, Path]:
    """An image and its modules in two packages, as Ubuntu has them."""
    top = f"./lib/modules/{release}"
    image = write(place, f"image-{release}.deb", {f"./boot/vmlinuz-{release}": bz_image()})
    files = {f"{top}/kernel/virtio.ko": module(), f"./boot/config-{release}": b"CONFIG_X=y"}
    return image, write(place, f"modules-{release}.deb", files)


@pytest.mark.parametrize("joined", [True, False])
def test_packages_of_one_release_are_one_kernel(joined: bool, tmp_path: Path) -> None:
    image, modules = split_packages(tmp_path)
    words = [f"{image},{modules}"] if joined else [modules, image]
    (kernel,) = found(tmp_path, *words)
    assert (kernel.release, kernel.arch) == ("6.1", "x86_64")
    assert (kernel.modules_dir / "kernel/virtio.ko").is_file()
    assert kernel.config is not None and kernel.config.read_bytes() == b"CONFIG_X=y"


def test_packages_of_two_releases_are_two_kernels(tmp_path: Path) -> None:
    words = [*split_packages(tmp_path, "6.1"), *split_packages(tmp_path, "6.8")]
    kernels = found(tmp_path, *words)
    assert [(k.release, k.modules_dir.name) for k in kernels] == [("6.1", "6.1"), ("6.8", "6.8")]


def test_modules_without_their_image_are_refused(tmp_path: Path) -> None:
    image, _ = split_packages(tmp_path, "6.1")
    _, modules = split_packages(tmp_path, "6.8")
    with pytest.raises(TargetError) as caught:
        found(tmp_path, image, modules)
    assert "modules-6.8.deb" in caught.value.problem


def test_a_package_is_unpacked_once_until_it_changes(tmp_path: Path) -> None:
    package = write(tmp_path, "a.deb", {"./boot/vmlinuz-6.1": bz_image()})
    first = found(tmp_path, package)[0].image
    stamp = first.stat().st_mtime_ns
    assert found(tmp_path, package)[0].image.stat().st_mtime_ns == stamp
    write(tmp_path, "a.deb", {"./boot/vmlinuz-6.1": bz_image() + b"more"})
    assert found(tmp_path, package)[0].image != first


def test_a_bare_image_tells_its_release_and_takes_modules(tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bz_image("6.18.0-rc1"))
    (kernel,) = found(tmp_path, tmp_path / "bzImage", modules=tmp_path / "modules")
    assert (kernel.release, kernel.arch) == ("6.18.0-rc1", "x86_64")
    assert kernel.modules_dir == tmp_path / "modules"


def test_a_packed_arm_image_is_unpacked_for_the_emulator(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(gzip.compress(FLAT_ARM))
    (kernel,) = found(tmp_path, tmp_path / "vmlinuz")
    assert kernel.arch == "aarch64" and kernel.image.read_bytes() == FLAT_ARM


def test_an_efi_image_tells_its_machine(tmp_path: Path) -> None:
    head = bytearray(b"MZ" + bytes(0x100))
    head[0x3C:0x40] = (0x40).to_bytes(4, "little")
    head[0x40:0x46] = b"PE\0\0" + (0xAA64).to_bytes(2, "little")
    (tmp_path / "Image").write_bytes(head)
    assert image_arch(tmp_path / "Image") == "aarch64"


@pytest.mark.parametrize("word", ["nothing.here", "missing.deb", "apt:Bad Name", "apt:x/Y Z"])
def test_what_is_no_kernel_is_refused_with_a_way_out(word: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        found(tmp_path, word)
    assert caught.value.fix.startswith(("name a kernel", "write apt:"))


def test_text_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no kernel")
    with pytest.raises(TargetError, match="cannot boot"):
        found(tmp_path, tmp_path / "notes")


def test_a_broken_gzip_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Image.gz").write_bytes(b"\x1f\x8b" + b"broken")
    with pytest.raises(TargetError, match="cannot boot"):
        found(tmp_path, tmp_path / "Image.gz")
