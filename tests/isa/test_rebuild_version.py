"""Versions of rebuilt packages: above the archive's own, below whatever comes after it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from uplift.errors import UpliftError
from uplift.isa.rebuild_version import rebuilt_version, with_entry

CHANGELOG = """\
libzstd (1.5.4+dfsg2-5) unstable; urgency=medium

  * Fix it.

 -- A Maintainer <a@example.org>  Sun, 16 Apr 2023 20:32:14 +0200
"""

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")


def _lower(one: str, other: str) -> bool:
    words = ["dpkg", "--compare-versions", one, "lt", other]
    return subprocess.run(words, check=False).returncode == 0


@needs_dpkg
@pytest.mark.parametrize("base", ["1.5.4+dfsg2-5", "2:1.0", "1.2-3ubuntu4", "1.0~rc1-1"])
@pytest.mark.parametrize(
    "later", ["+b1", "+deb12u1", "build1", "ubuntu0.1", ".1", "+nmu1", "+uplift1"]
)
def test_a_rebuild_is_above_what_it_was_made_of_and_below_every_update_of_it(base, later):
    rebuilt = rebuilt_version(base, [base], "v3")
    assert _lower(base, rebuilt)
    assert _lower(rebuilt, base + later)


@needs_dpkg
def test_a_rebuild_outbids_the_archives_own_rebuild_but_not_its_next():
    rebuilt = rebuilt_version("1.0-5", ["1.0-5", "1.0-5+b2", "2.0-1"], "v3")
    assert rebuilt == "1.0-5+b2a~uplift1.v3"
    assert _lower("1.0-5+b2", rebuilt)
    assert _lower(rebuilt, "1.0-5+b3")
    assert _lower(rebuilt, "1.0-5+deb12u1")


@needs_dpkg
def test_a_second_rebuild_is_above_the_first():
    assert _lower(rebuilt_version("1-1", [], "v3"), rebuilt_version("1-1", [], "v3", 2))


def test_the_entry_is_of_binary_packages_only_and_keeps_the_time_of_the_one_before():
    text = with_entry(CHANGELOG, "1.5.4+dfsg2-5a~uplift1.v3", "Rebuilt for x86-64-v3.")
    assert text.splitlines()[:5] == [
        "libzstd (1.5.4+dfsg2-5a~uplift1.v3) unstable; urgency=low, binary-only=yes",
        "",
        "  * Rebuilt for x86-64-v3.",
        "",
        " -- uplift rebuild <uplift@localhost>  Sun, 16 Apr 2023 20:32:14 +0200",
    ]
    assert text.endswith(CHANGELOG)


def test_a_changelog_that_dpkg_would_not_read_is_refused():
    with pytest.raises(UpliftError, match="version"):
        with_entry("not a changelog\n", "1-1a~uplift1.v3", "x")
