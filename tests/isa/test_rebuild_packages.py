"""Packages marked as a variant's, and a repository's indexes, by value."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from datetime import datetime, timezone

import pytest

from tests.lab.debs import PACKERS, ar_of, tar_of
from uplift.errors import UpliftError
from uplift.isa import rebuild_repository as repository
from uplift.isa.rebuild_variant import mark, variant_name

CONTROL = "Package: x\nVersion: 1-1\nArchitecture: amd64\nMaintainer: a <a@b.c>\nDescription: x\n"


def _package(place, packed: str = "xz", control: str = CONTROL):
    name = "control.tar" if packed == "tar" else f"control.tar.{packed}"
    members = {
        "debian-binary": b"2.0\n",
        name: PACKERS[packed](tar_of({"./control": control.encode(), "./md5sums": b"odd"})),
        "data.tar.xz": PACKERS["xz"](tar_of({"./usr/bin/x": b"#!/bin/sh\n"})),
    }
    path = place / "x_1-1_amd64.deb"
    path.write_bytes(ar_of(members))
    return path


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
@pytest.mark.parametrize("packed", ["xz", "gz", "tar"])
def test_a_marked_package_is_one_that_dpkg_reads_with_the_field_and_the_same_files(
    tmp_path, packed
):
    marked = tmp_path / "x_1-1_amd64v3.deb"
    original = _package(tmp_path, packed)
    mark(original, marked, "amd64v3")

    def told(*words: str) -> bytes:
        return subprocess.run(["dpkg-deb", *words], check=True, capture_output=True).stdout

    assert told("-f", str(marked), "Architecture", "Architecture-Variant").decode() == (
        "Architecture: amd64\nArchitecture-Variant: amd64v3\n"
    )
    assert told("--fsys-tarfile", str(marked)) == told("--fsys-tarfile", str(original))
    with tarfile.open(fileobj=io.BytesIO(told("--ctrl-tarfile", str(marked)))) as control:
        assert control.getnames() == ["./control", "./md5sums"]


@pytest.mark.parametrize("cut", [0, 7, 40, 100, 400])
def test_a_package_cut_short_is_refused_and_nothing_is_left(tmp_path, cut):
    path = _package(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UpliftError, match="cannot mark"):
        mark(path, tmp_path / "out.deb", "amd64v3")
    assert not (tmp_path / "out.deb").exists()


def test_a_control_file_without_architecture_is_refused(tmp_path):
    path = _package(tmp_path, control="Package: x\n")
    with pytest.raises(UpliftError):
        mark(path, tmp_path / "out.deb", "amd64v3")


def test_the_file_is_named_after_the_variant():
    assert variant_name("x_1-1_amd64.deb", "amd64", "amd64v3") == "x_1-1_amd64v3.deb"
    assert variant_name("x-dbgsym_1_amd64.ddeb", "amd64", "amd64v3") == "x-dbgsym_1_amd64v3.ddeb"
    assert variant_name("x-doc_1-1_all.deb", "amd64", "amd64v3") == "x-doc_1-1_all.deb"


def test_an_index_names_each_package_with_its_digest(tmp_path):
    (tmp_path / "pool").mkdir()
    path = _package(tmp_path / "pool")
    row = repository.entry(CONTROL, path, tmp_path)
    text = repository.packages_text([row])
    assert text == (
        f"{CONTROL}Filename: pool/x_1-1_amd64.deb\nSize: {path.stat().st_size}\n"
        f"SHA256: {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    )


def test_a_variant_has_an_index_of_its_own_beside_an_empty_one_of_the_architecture(tmp_path):
    row = repository.Entry(CONTROL, "pool/x_1-1_amd64v3.deb", 1, "0")
    files = repository.indexes([row], "amd64", "amd64v3")
    assert files["main/binary-amd64/Packages"] == b""
    assert b"amd64v3.deb" in files["main/binary-amd64v3/Packages"]
    assert (
        gzip.decompress(files["main/binary-amd64v3/Packages.gz"])
        == (files["main/binary-amd64v3/Packages"])
    )


def test_a_release_file_has_the_digest_of_every_index():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    text = repository.release_text({"main/binary-amd64/Packages": b"x"}, ["amd64"], "u", when)
    assert "Date: Fri, 02 Jan 2026 03:04:05 UTC\n" in text
    assert text.endswith(
        f"SHA256:\n {hashlib.sha256(b'x').hexdigest()} 1 main/binary-amd64/Packages\n"
    )
