"""Which packages stand for a release."""

from __future__ import annotations

from uplift.lab.release_packages import kernel_packages, missing_packages, wanted_packages

NAMES = """
gcc gcc-13 gcc-14 gcc-14-base gcc-9-doc clang clang-14 clang-19 libclang-19-dev binutils
libc6 libc-bin openssl qemu-system-x86 qemu-system-arm qemu-system-misc dpdk
linux-image-amd64 linux-image-cloud-amd64 linux-image-arm64 linux-image-arm64-16k
"""
DEBIAN = frozenset(NAMES.split())


def test_the_newest_compilers_come_beside_the_default_ones() -> None:
    found = wanted_packages("amd64", DEBIAN)
    assert {"gcc", "gcc-14", "clang", "clang-19"} <= set(found)
    assert not {"gcc-13", "clang-14", "gcc-14-base", "gcc-9-doc"} & set(found)


def test_the_emulator_is_that_of_the_architecture() -> None:
    assert "qemu-system-x86" in wanted_packages("amd64", DEBIAN)
    assert "qemu-system-arm" in wanted_packages("arm64", DEBIAN)
    assert "qemu-system-misc" in wanted_packages("riscv64", DEBIAN)
    newer = DEBIAN | {"qemu-system-riscv"}
    assert "qemu-system-misc" not in wanted_packages("riscv64", newer)


def test_what_the_suites_lack_is_told_and_not_asked_for() -> None:
    assert "openvswitch-switch" in missing_packages("amd64", DEBIAN)
    assert "openvswitch-switch" not in wanted_packages("amd64", DEBIAN)
    assert "dpdk" not in missing_packages("amd64", DEBIAN)


def test_a_package_that_was_named_is_asked_for_whether_or_not_it_is_there() -> None:
    assert "postgresql" in wanted_packages("amd64", DEBIAN, ("postgresql",))


def test_flavours_of_the_kernel_are_sets_of_their_own() -> None:
    assert kernel_packages("amd64", DEBIAN) == {
        "base": "linux-image-amd64",
        "cloud": "linux-image-cloud-amd64",
    }
    assert kernel_packages("arm64", DEBIAN)["16k"] == "linux-image-arm64-16k"
    ubuntu = frozenset(("linux-image-generic", "linux-image-generic-64k"))
    assert kernel_packages("arm64", ubuntu) == {
        "base": "linux-image-generic",
        "64k": "linux-image-generic-64k",
    }
