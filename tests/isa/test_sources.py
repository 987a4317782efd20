"""Sources of files with instructions: packages, images, wheels; broken ones are refused whole."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from uplift.errors import UpliftError
from uplift.isa import installed_files, sources
from uplift.isa.file_list import Skipped, Wanted

PROGRAM = Path("/bin/ls")
needs_mksquashfs = pytest.mark.skipif(
    shutil.which("mksquashfs") is None, reason="needs mksquashfs of squashfs-tools"
)
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb of dpkg")


def tree(at: Path) -> Path:
    (at / "usr/bin").mkdir(parents=True)
    shutil.copy(PROGRAM, at / "usr/bin/ls")
    (at / "usr/readme").write_text("no instructions here " * 10)
    return at


def deb(at: Path) -> Path:
    root = tree(at / "root")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: sample\nVersion: 1.0-1\nArchitecture: amd64\nSource: origin (1.0)\n"
        "Depends: libc6 (>= 2.36), a | b\nMaintainer: nobody <n@example.org>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "-b", "-Zxz", root, at / "s.deb"], check=True, capture_output=True)
    return at / "s.deb"


def snap(at: Path, packing: str = "xz") -> Path:
    root = tree(at / "root")
    (root / "meta").mkdir()
    (root / "meta/snap.yaml").write_text("name: sample\nversion: '1.0-1'\narchitectures: [amd64]\n")
    (root / "holes").write_bytes(bytes(3 << 20))
    words = ["mksquashfs", root, at / "s.snap", "-comp", packing, "-noappend", "-quiet"]
    subprocess.run([*words, "-no-progress"], check=True, capture_output=True)
    return at / "s.snap"


def wheel(at: Path) -> Path:
    path = at / "sample-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(PROGRAM, "usr/bin/ls")
        archive.writestr("sample/readme", "no instructions here" * 10)
    return path


def layer(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def image(at: Path) -> Path:
    program = PROGRAM.read_bytes()
    lower = layer({"usr/bin/ls": program, "usr/bin/gone": program, "opt/old": program})
    upper = layer({"usr/bin/.wh.gone": b"", "opt/.wh..wh..opq": b""})
    manifest = [{"RepoTags": ["sample:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
    with tarfile.open(at / "image.tar", "w") as archive:
        members = {"a/layer.tar": lower, "b/layer.tar": upper}
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return at / "image.tar"


MAKERS = [
    pytest.param(deb, id="ar-and-tar", marks=needs_dpkg),
    pytest.param(snap, id="squashfs", marks=needs_mksquashfs),
    pytest.param(wheel, id="zip"),
    pytest.param(image, id="oci"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_only_files_with_instructions_come_out_and_whole(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    with sources.opened(make(tmp_path)) as found:
        files = [(file.name, bytes(file.data)) for file in found.files]
    assert files == [("usr/bin/ls", PROGRAM.read_bytes())]
    assert found.package.name in ("sample", "sample:1")


@needs_dpkg
def test_a_package_tells_its_source_and_what_it_depends_on(tmp_path: Path) -> None:
    with sources.opened(deb(tmp_path)) as found:
        assert (found.package.source, found.package.version) == ("origin", "1.0-1")
        assert found.package.depends == ("libc6", "a", "b")


@needs_mksquashfs
@pytest.mark.parametrize("packing", ["gzip", "lzo", "lz4", "zstd"])
def test_an_image_is_read_however_its_blocks_are_packed(packing: str, tmp_path: Path) -> None:
    with sources.opened(snap(tmp_path, packing)) as found:
        assert [bytes(file.data) for file in found.files] == [PROGRAM.read_bytes()]


def mutations(data: bytes, seed: int, count: int) -> list[bytes]:
    """Return copies with bytes overwritten, cut out, repeated, or the end gone."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            # headers and tables stand at both ends
            at = chance.choice((chance.randrange(min(600, len(copy))), chance.randrange(len(copy)),
                                len(copy) - 1 - chance.randrange(min(600, len(copy)))))  # fmt: skip
            kind = chance.randrange(4)
            if kind < 2:
                copy[at : at + 1] = bytes([chance.choice((0, 255, chance.randrange(256)))])
            elif kind == 2:
                copy[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\0" * 4))
            else:
                del copy[at : at + chance.randrange(1, 40)]
        found.append(bytes(copy))
    return found


@pytest.mark.parametrize("make", MAKERS)
def test_a_broken_archive_is_refused_or_read_and_never_a_traceback(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    whole = make(tmp_path)
    data, broken = whole.read_bytes(), tmp_path / f"broken{whole.suffix}"
    refused = 0
    for copy in mutations(data, seed=1, count=120):
        broken.write_bytes(copy)
        try:
            with sources.opened(broken) as found:
                assert sum(len(memoryview(file.data)) for file in found.files) < 64 << 20
        except UpliftError as error:
            assert error.cause.isprintable()
            refused += 1
    assert refused > 20


def test_files_of_an_installed_system_that_lead_out_of_it_are_left(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    (root / "etc").symlink_to("/etc")
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info.parent / "status").write_text(
        "Package: sample\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    (info / "sample.list").write_text("/.\n/usr/bin/ls\n/etc/passwd\n/../outside\n")
    shutil.copy(PROGRAM, tmp_path / "outside")
    (one,) = sources.installed(root)
    with sources.opened_installed(root, one) as found:
        assert [file.name for file in found.files] == ["usr/bin/ls"]


def test_files_of_an_installed_package_are_those_with_instructions_each_once(
    tmp_path: Path,
) -> None:
    root = tree(tmp_path / "root")
    (root / "usr/bin/dir").symlink_to("ls")
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info.parent / "status").write_text(
        "Package: sample\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
    )
    (info / "sample.list").write_text("/.\n/usr\n/usr/bin/ls\n/usr/bin/dir\n/usr/readme\n/gone\n")
    for name in ("sample", "sample:amd64"):
        found = list(installed_files.wanted([name], root))
        assert [one.path for one in found if isinstance(one, Wanted)] == [f"{root}/usr/bin/ls"]
        assert [one.path for one in found if isinstance(one, Skipped)] == [f"{root}/gone"]


def test_a_package_that_is_not_installed_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text("")
    with pytest.raises(UpliftError) as error:
        list(installed_files.wanted(["sample"], tmp_path))
    assert "'sample'" in error.value.problem and "name its .deb file" in error.value.fix
