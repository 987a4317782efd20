"""Taking the wrappers off kernels and modules."""

from __future__ import annotations

import pytest

from tests.facts.kernel_image.building import FLAT, PACKERS, bzimage, gzipped, zboot
from uplift.facts.kernel_image import lz4, unpack

ELF = b"\x7fELF" + bytes(range(256)) * 40


@pytest.mark.parametrize("kind", PACKERS)
def test_the_payload_of_a_bzimage_comes_out_whole(kind: str) -> None:
    assert unpack.unpack(bzimage(PACKERS[kind](ELF))) == ELF


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_flat_image_comes_out_of_an_efi_zboot_image(kind: str) -> None:
    assert unpack.unpack(zboot(PACKERS[kind](bytes(FLAT)))) == bytes(FLAT)


def test_what_nothing_wraps_stays_as_it_is() -> None:
    assert unpack.unpack(ELF) == ELF
    assert unpack.unpack(bytes(FLAT)) == bytes(FLAT)
    assert unpack.flat_machine(bytes(FLAT)) == "aarch64"


@pytest.mark.parametrize("kind", PACKERS)
def test_a_payload_that_is_cut_off_is_refused(kind: str) -> None:
    packed = PACKERS[kind](ELF)
    with pytest.raises(ValueError, match=r"cut off|broken"):
        unpack.unpack(bzimage(packed[: len(packed) // 2]))


@pytest.mark.parametrize("kind", PACKERS)
def test_what_unpacks_to_more_than_the_cap_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        unpack.unpack(PACKERS[kind](ELF))


def test_a_wrapper_around_a_wrapper_has_an_end() -> None:
    data = bytes(100)
    for _ in range(8):
        data = gzipped(data)
    with pytest.raises(ValueError, match="wrapped more than"):
        unpack.unpack(data)


def test_a_payload_outside_the_file_is_refused_with_its_place() -> None:
    image = bytearray(bzimage(gzipped(ELF)))
    image[0x24C:0x250] = b"\xff\xff\xff\x7f"
    with pytest.raises(ValueError, match=r"payload of the bzImage is bytes 2624 to \d+ of"):
        unpack.unpack(bytes(image))


def test_an_lz4_match_may_overlap_what_it_makes() -> None:
    block = bytes([0x14, ord("a"), 1, 0, 0x10, ord("b")])  # "a", 8 from 1 back, "b"
    assert lz4.unpack(lz4.LEGACY + bytes([len(block), 0, 0, 0]) + block, 100) == b"a" * 9 + b"b"


def test_an_lz4_match_before_the_start_is_refused() -> None:
    block = bytes([0x14, ord("a"), 9, 0, 0x10, ord("b")])
    with pytest.raises(ValueError, match="goes back 9 bytes of 1"):
        lz4.unpack(lz4.LEGACY + bytes([len(block), 0, 0, 0]) + block, 100)
