"""A package can be anybody's: whatever its bytes are, captures come back and nothing else."""

from __future__ import annotations

import random

import pytest

from tests.facts.kernel_image.building import FLAT, bzimage, gzipped, kallsyms
from uplift.facts.kernel_image.btf import Btf
from uplift.facts.kernel_image.elf import Elf
from uplift.facts.kernel_image.linking import link
from uplift.facts.kernel_image.reader import read_kernel_image
from uplift.facts.model import CaptureStatus

MACHINES = ("x86_64", "aarch64", "riscv64", "s390x")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("image", [b"", b"\x7fELF", b"MZ" + bytes(700), b"\x1f\x8b\x08broken"])
def test_what_is_no_kernel_gives_failed_captures_with_the_reason(
    image: bytes, machine: str
) -> None:
    found = read_kernel_image(image, {"kvm": b""}, machine)
    assert [capture.id for capture in found if capture.usable] == ["probe:kernel-image/modules"]
    assert all(capture.detail for capture in found if not capture.usable)


def test_an_architecture_that_nobody_reads_gives_its_release() -> None:
    image = bytearray(FLAT) + b"Linux version 6.12.1-s390x (somebody) #1\0"
    found = {c.id.rpartition("/")[2]: c for c in read_kernel_image(bytes(image), {}, "s390x")}
    assert found["release"].text == "6.12.1-s390x\n"
    assert found["modules"].status is CaptureStatus.ABSENT


def test_a_damaged_image_never_raises() -> None:
    rng = random.Random(12)
    symbols = [(f"Tkernel_{n:04}", 0xFFFF800080000000 + 16 * n) for n in range(600)]
    table, _ = kallsyms(symbols, "after", 0xFFFF800080000000 + len(FLAT))
    whole = bytes(FLAT) + table
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 40)):
            damaged[rng.randrange(64, len(damaged))] = rng.randrange(256)
        packed = bzimage(gzipped(bytes(damaged[: rng.randrange(64, len(damaged))])))
        assert read_kernel_image(packed, {}, "aarch64")


def _elf(sections: int) -> bytearray:
    head = bytearray(64 + 64 * sections)
    head[:6] = b"\x7fELF\x02\x01"
    head[40:48] = (64).to_bytes(8, "little")
    head[58:64] = b"\x40\0" + bytes([sections, 0, 0, 0])
    return head


@pytest.mark.parametrize("seed", range(8))
def test_a_module_of_any_bytes_is_linked_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        file = _elf(6)
        for _ in range(rng.randrange(1, 60)):
            file[rng.randrange(62, len(file))] = rng.choice((0, 1, 2, 3, 4, 64, 128, 255))
        try:
            link(bytes(file), 0xFFFFFFFFC0000000, lambda name: 0)
        except ValueError as error:
            assert str(error)


def test_types_of_any_bytes_are_read_or_refused() -> None:
    rng = random.Random(3)
    head = b"\x9f\xeb\x01\0" + b"".join(n.to_bytes(4, "little") for n in (24, 0, 200, 200, 56))
    for _ in range(300):
        data = head + rng.randbytes(200) + b"\0one\0two\0cpuinfo_x86\0" + rng.randbytes(35)
        try:
            types = Btf(data)
        except ValueError as error:
            assert str(error)
            continue
        types.members("cpuinfo_x86")
        types.pointed_size("one", 1)


def test_a_table_outside_the_file_is_refused_with_its_place() -> None:
    file = _elf(1)
    file[40:48] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(ValueError, match=r"section headers: bytes 1099511627776 to \d+ of 128"):
        Elf(bytes(file))
