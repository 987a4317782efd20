"""Where a release's packages come from, without a name of any mirror in the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab.release_sources import Archive, archives, sources

#: As ``apt-get indextargets`` prints it; the archive's name is a test's own.
LISTING = """\
MetaKey: main/binary-amd64/Packages
ShortDesc: Packages
Codename: bookworm
Label: Debian
Origin: Debian
Suite: oldstable
Component: main
Release: bookworm
Repo-URI: http://archive.test/debian/

MetaKey: main/binary-amd64/Packages
Label: Debian-Security
Origin: Debian
Release: bookworm-security
Repo-URI: http://security.test/debian-security/

MetaKey: main/binary-amd64/Packages
Origin: . nodistro
Release: nodistro
Repo-URI: http://other.test/
"""
KNOWN = archives(LISTING)


def entry(suite: str, known: tuple[Archive, ...] = KNOWN, mirror: str = "") -> dict[str, str]:
    text = sources([suite], "arm64", known, mirror, keyrings=()).entries
    return dict(line.split(": ", 1) for line in text.splitlines())


def test_a_suite_that_the_machine_does_not_use_lies_in_its_archive() -> None:
    assert entry("sid") == {
        "Types": "deb",
        "URIs": "http://archive.test/debian/",
        "Suites": "sid",
        "Components": "main",
        "Architectures": "arm64",
    }


def test_security_suites_lie_in_the_security_archive() -> None:
    assert entry("trixie-security")["URIs"] == "http://security.test/debian-security/"
    assert entry("bookworm-security")["URIs"] == "http://security.test/debian-security/"


def test_an_archive_whose_lists_were_never_fetched_is_told_by_its_updates() -> None:
    bare = (
        Archive("http://other.test/", "nodistro"),
        Archive("http://archive.test/debian/", "trixie"),
        Archive("http://archive.test/debian/", "trixie-updates"),
    )
    assert entry("sid", bare)["URIs"] == "http://archive.test/debian/"


def test_a_mirror_that_was_named_stands_above_the_machines_archives() -> None:
    found = entry("noble", mirror="http://ports.test/ubuntu-ports")
    assert found["URIs"] == "http://ports.test/ubuntu-ports"
    assert found["Components"] == "main universe"


def test_only_keyrings_that_exist_sign(tmp_path: Path) -> None:
    there = tmp_path / "keys.gpg"
    there.touch()
    text = sources(["sid"], "amd64", KNOWN, keyrings=[tmp_path / "none.gpg", there]).entries
    assert f"Signed-By: {there}\n" in text


@pytest.mark.parametrize("suite", ["sid\nTrusted: yes", "../x", "-o", ""])
def test_a_suite_that_is_no_name_is_refused(suite: str) -> None:
    with pytest.raises(TargetError, match="suite"):
        sources([suite], "amd64", KNOWN)


def test_a_machine_without_a_distributions_archive_needs_a_mirror() -> None:
    with pytest.raises(TargetError, match="--mirror"):
        sources(["sid"], "amd64", [Archive("http://other.test/", "nodistro", ". nodistro")])
