"""Which system it is and what its compiler builds for: good, broken and absent recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import read_facts

RECORDINGS = Path(__file__).parents[2] / "recordings"


def facts(name: str, text: str) -> Facts:
    return read_facts(Snapshot({name: Capture(name, CaptureStatus.OK, text.encode())}))


def test_the_system_is_named_with_and_without_quotes() -> None:
    named = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\n'
    text = named + "VERSION_ID='24.04'\nVERSION_CODENAME=noble\n"
    found = facts("file:/etc/os-release", text)
    assert found.value("os.title") == "Ubuntu 24.04.3 LTS"
    assert found.value("os.id") == "ubuntu"
    assert found.value("os.version") == "24.04"
    assert found.value("os.codename") == "noble"


def test_a_text_that_names_no_system_is_unknown_not_absent() -> None:
    found = facts("file:/etc/os-release", "hello\n").get("os.id")
    assert isinstance(found, Missing)
    assert "could not be read" in found.why


def test_a_rolling_system_has_no_version() -> None:
    assert facts("file:/etc/os-release", "ID=arch\n").value("os.version") is None


def test_a_recorded_compiler_tells_what_it_builds_for() -> None:
    found = read_facts(snapshot_file.load(RECORDINGS / "software/milan.jsonl.gz"))
    assert found.value("compiler_default.gcc.march") == "x86-64"
    options = found.value("compiler_default.gcc.options")
    assert isinstance(options, frozenset)
    assert "sse2" in options
    assert "avx2" not in options


def test_an_architecture_that_gcc_names_in_capitals_is_read() -> None:
    text = "  -march=ARCH                 armv8-a\n  -moutline-atomics           [enabled]\n"
    found = facts("cmd:gcc/target-help", text)
    assert found.value("compiler_default.gcc.march") == "armv8-a"


@pytest.mark.parametrize("text", ["", "  -mavx2\n  -msse\n"])
def test_a_list_without_states_tells_nothing_of_defaults(text: str) -> None:
    found = facts("cmd:gcc/target-help", text).get("compiler_default.gcc.options")
    assert isinstance(found, Missing)
