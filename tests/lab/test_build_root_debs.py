"""What a build leaves behind is taken only where it is a package's regular file."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.lab.debs import deb_of, tar_of
from uplift.errors import TargetError
from uplift.lab.build_root_debs import collect, elf_files

ELF = b"\x7fELF" + bytes(100)


def test_only_files_with_a_packages_name_are_taken(tmp_path):
    made = tmp_path / "build"
    made.mkdir()
    for name in ("xy_1-1_amd64.deb", "x-dbgsym_1-1_amd64.ddeb", "x_1-1.dsc", "notes", ".x_1_a.deb"):
        (made / name).write_bytes(b"!")
    (made / "tree_1_all.debs").mkdir()
    assert [p.name for p in collect(made, tmp_path / "to")] == [
        "x-dbgsym_1-1_amd64.ddeb",
        "xy_1-1_amd64.deb",
    ]


def test_a_link_or_a_pipe_with_a_packages_name_is_refused(tmp_path):
    for number, make in enumerate((lambda p: p.symlink_to("/etc/passwd"), os.mkfifo)):
        made = tmp_path / str(number)
        made.mkdir()
        make(made / "xy_1-1_amd64.deb")
        with pytest.raises(TargetError, match="cannot take xy_1-1_amd64"):
            collect(made, tmp_path / "to")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_elf_files_are_told_by_their_first_bytes_and_links_are_not_followed(tmp_path):
    package = tmp_path / "x_1_all.deb"
    files = {"./usr/bin/a": ELF, "./usr/bin/b": b"#!/bin/sh\n" * 20, "./usr/bin/short": ELF[:20]}
    package.write_bytes(deb_of(tar_of(files, {"./usr/bin/c": "/usr/bin/a"})))
    assert [(m.path, m.data) for m in elf_files(package)] == [("/usr/bin/a", ELF)]


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
@pytest.mark.parametrize("kept", [0, 10, 100, 200])
def test_a_package_cut_short_is_refused(tmp_path, kept):
    package = tmp_path / "x_1_all.deb"
    package.write_bytes(deb_of(tar_of({"./a": ELF}))[:kept])
    with pytest.raises(TargetError, match="cannot read"):
        list(elf_files(package))
