"""Tests of installed packages: which there are, which can run, and how they ended."""

from __future__ import annotations

import pytest

from uplift.isa.rebuild_autopkgtest import Ended, Test, end_of, listed, wanted
from uplift.lab.source_package import stanzas

CONTROL = """\
Tests: smoke, library
Depends: @, python3 (>= 3.9), libx-dev
Restrictions: allow-stderr superficial

Test-Command: zstd --version
Depends: zstd

Tests: machine ../escape
Restrictions: isolation-machine

Tests: rebuild
Depends: @builddeps@
"""


def _all() -> dict[str, Test]:
    return {test.name: test for test in listed(stanzas(CONTROL))}


def test_each_name_of_a_stanza_is_a_test_and_none_leads_outside():
    assert list(_all()) == ["smoke", "library", "zstd", "machine", "rebuild"]
    assert _all()["zstd"].command == "zstd --version"


def test_what_a_root_without_network_cannot_do_is_said():
    assert {name: test.obstacle for name, test in _all().items()} == {
        "smoke": "",
        "library": "",
        "zstd": "",
        "machine": "it has the restriction isolation-machine",
        "rebuild": "it wants what the build needs, too",
    }


def test_only_what_the_package_does_not_make_itself_has_to_be_fetched():
    assert wanted(_all()["smoke"], ["libx1", "libx-dev"]) == ("python3 (>= 3.9)",)


@pytest.mark.parametrize(
    ("restrictions", "code", "complaint", "ended"),
    [
        ("", 0, "", Ended.PASSED),
        ("", 0, "warning", Ended.FAILED),
        ("allow-stderr", 0, "warning", Ended.PASSED),
        ("", 1, "", Ended.FAILED),
        ("", 77, "", Ended.FAILED),
        ("skippable", 77, "", Ended.SKIPPED),
    ],
)
def test_an_end_is_what_the_format_says(restrictions, code, complaint, ended):
    test = Test("t", "", "debian/tests", ("@",), frozenset(restrictions.split()))
    assert end_of(test, code, complaint, "").ended is ended
