"""The quick reader of tar archives: what ``tarfile`` writes it reads, what is broken it refuses."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uplift.lab.tar_stream import Kind, TarStream

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "usr/share/" + "long/" * 40 + "name"


class Pieces:
    """Bytes that come in pieces of one size, whatever is asked for."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._data, self._piece = data, piece

    def take(self, size: int) -> bytes:
        given, self._data = self._data[: self._piece], self._data[self._piece :]
        return given


def made(files: dict[str, bytes], form: int, links: tuple[tuple[str, str, bytes], ...] = ()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return buffer.getvalue()


def read(data: bytes, piece: int = 1 << 20):
    stream = TarStream(Pieces(data, piece))
    return [(m.name, m.kind, m.target, stream.read(m.size)) for m in stream]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
@pytest.mark.parametrize("piece", [7, 512, 1000, 1 << 20])
def test_every_format_gives_names_kinds_targets_and_bytes(form, piece):
    files = {"./a": b"", "./b": b"x" * 513, LONG[:199]: b"y" * 1024, "c": b"z"}
    if form != tarfile.USTAR_FORMAT:
        files["é" * 90] = b"not of ascii"
    links = (("h", "./b", tarfile.LNKTYPE), ("s", "b" * 99, tarfile.SYMTYPE),
             ("d", "", tarfile.DIRTYPE))  # fmt: skip
    assert read(made(files, form, links), piece) == [
        *((name, Kind.FILE, "", data) for name, data in files.items()),
        ("h", Kind.HARD_LINK, "./b", b""),
        ("s", Kind.OTHER, "b" * 99, b""),
        ("d/", Kind.OTHER, "", b""),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), max_size=6),
    st.sampled_from(sorted(FORMATS)),
)
def test_a_member_that_is_read_in_part_or_not_at_all_does_not_shift_the_next(sizes, form):
    files = {f"f{n}": bytes([n + 1]) * size for n, (size, _) in enumerate(sizes)}
    stream = TarStream(Pieces(made(files, FORMATS[form]), 700))
    for member, (size, taken) in zip(stream, sizes, strict=True):
        assert stream.read(taken) == files[member.name][:taken]
        assert member.size == size


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_an_archive_cut_anywhere_before_its_end_is_refused(form):
    data = made({"a": b"x" * 600, LONG[:140]: b"y"}, form)
    end = len(data.rstrip(b"\0"))
    end += -end % 512
    for cut in range(0, end, 100):
        with pytest.raises(ValueError, match="ends before"):
            read(data[:cut])


@given(st.binary(max_size=3000))
def test_bytes_that_are_no_archive_are_refused(data):
    if not data.startswith(bytes(512)):
        with pytest.raises(ValueError, match=r"ends|checksum|number"):
            read(data)


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_header_that_was_changed_is_refused(place, change):
    data = bytearray(made({"name": b"x" * 10}, tarfile.GNU_FORMAT))
    data[place] ^= change
    if 148 <= place < 156:  # the checksum itself: spaces and the like may stand for each other
        return
    with pytest.raises(ValueError):
        read(bytes(data))


def header(kind: bytes, size: bytes) -> bytes:
    block = bytearray(made({"name": b""}, tarfile.GNU_FORMAT)[:512])
    block[156:157], block[124:136], block[148:156] = kind, size, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("kind", "size", "why"),
    [
        (b"L", b"\x80" + (1 << 40).to_bytes(11, "big"), "a header of it has"),
        (b"x", b"\xff" * 12, "a header of it has"),
        (b"0", b"\xff" * 12, "negative size"),
        (b"S", b"00000000000\0", "sparse"),
        (b"0", b"\x80" + (1 << 60).to_bytes(11, "big"), "ends before"),
        (b"0", b"0000000000x\0", "a number"),
    ],
)
def test_sizes_that_lie_are_refused(kind, size, why):
    with pytest.raises(ValueError, match=why):
        list(TarStream(Pieces(header(kind, size) + bytes(2048), 512)))


@pytest.mark.parametrize(
    "record", [b"9999 path=x\n", b"path=x\n", b"10 size=xy\n", b"-1 path=x\n", b"0 \n"]
)
def test_a_broken_extended_header_is_refused(record):
    data = header(b"x", b"%011o\0" % len(record)) + record.ljust(512, b"\0") + bytes(1024)
    with pytest.raises(ValueError, match="extended header"):
        read(data)
