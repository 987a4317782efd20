"""The archive that an emulated machine starts from."""

from __future__ import annotations

import io
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from uplift.lab import initramfs


def paths(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read newc back: path to (mode, data)."""
    stream = io.BytesIO(archive)
    found: dict[str, tuple[int, bytes]] = {}
    while True:
        head = stream.read(110)
        assert head[:6] == b"070701"
        fields = [int(head[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        name = stream.read(fields[11])[:-1].decode()
        stream.read(-(110 + fields[11]) % 4)
        data = stream.read(fields[6])
        stream.read(-fields[6] % 4)
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data)


def test_files_links_and_devices_keep_their_type_rights_and_bytes() -> None:
    found = paths(
        initramfs.archive(
            [
                initramfs.file("init", b"#!/x\n", executable=True),
                initramfs.file("a/b", b"12345"),
                initramfs.link("lib", "usr/lib"),
                initramfs.character_device("dev/console", 5, 1),
            ]
        )
    )
    assert found["init"] == (stat.S_IFREG | 0o755, b"#!/x\n")
    assert found["a/b"] == (stat.S_IFREG | 0o644, b"12345")
    assert found["lib"] == (stat.S_IFLNK | 0o777, b"usr/lib")
    assert found["dev/console"][0] == stat.S_IFCHR | 0o600


def test_directories_come_before_what_is_in_them() -> None:
    names = list(paths(initramfs.archive([initramfs.file("a/b/c", b"")])))
    assert names == ["a", "a/b", "a/b/c"]


def test_the_last_of_two_equal_paths_wins() -> None:
    found = paths(initramfs.archive([initramfs.file("a", b"1"), initramfs.file("a", b"2")]))
    assert found["a"][1] == b"2"


def test_a_tree_is_merged_into_usr_and_what_is_not_wanted_stays_out(tmp_path: Path) -> None:
    for name in ("lib/x/libc.so", "usr/lib/y", "usr/share/doc/z", "usr/bin/python3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "usr/bin/python3").chmod(0o755)
    (tmp_path / "usr/bin/python").symlink_to("python3")
    found = paths(initramfs.archive(initramfs.tree(tmp_path, frozenset({"share"}))))
    assert found["usr/lib/x/libc.so"][1] == b"lib/x/libc.so"
    assert found["lib"] == (stat.S_IFLNK | 0o777, b"usr/lib")
    assert found["usr/bin/python"][1] == b"python3"
    assert found["usr/bin/python3"][0] & 0o111
    assert not [name for name in found if "share" in name]


@pytest.mark.skipif(shutil.which("cpio") is None, reason="install cpio")
def test_the_cpio_program_reads_it(tmp_path: Path) -> None:
    archive = initramfs.archive([initramfs.file("a/b", b"12345"), initramfs.link("c", "a/b")])
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "c").read_bytes() == b"12345"
