"""archspec's recorded machines as snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.errors import RecordingError
from uplift.facts.imports import archspec
from uplift.facts.parsers import platform_strings, read_facts

TARGETS = Path(__file__).parents[2] / "recordings" / "archspec"
FILES = sorted(file for file in TARGETS.iterdir() if file.suffix != ".md")


def test_all_of_them_are_here() -> None:
    assert len(FILES) == 52


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_is_recognised_and_loads(file: Path) -> None:
    data = file.read_bytes()
    assert archspec.recognises(file.name, data)
    assert archspec.load(file.name, data).arch


def test_linux_files_are_told_by_name_so_that_other_cpuinfo_is_left_to_others() -> None:
    assert not archspec.recognises("cpuinfo", b"processor : 0\n")


def test_macos_words_become_flags() -> None:
    facts = read_facts(archspec.load("x", (TARGETS / "darwin-mojave-haswell").read_bytes()))
    assert facts.value("darwin.family") == 6
    assert facts.value("darwin.model") == 70
    flags = facts.value("darwin.flags")
    assert isinstance(flags, frozenset)
    assert "avx2" in flags


def test_a_sysctl_line_without_a_colon_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        platform_strings.parse_sysctl("machdep\n")


def test_rows_become_registers_and_keep_their_bytes() -> None:
    data = (TARGETS / "windows-cpuid-icelake").read_bytes()
    snapshot = archspec.load("windows-cpuid-icelake", data)
    assert snapshot.captures["import:archspec"].data == data
    assert "0x00000007 0x00: eax=0x00000002" in snapshot.captures["probe:cpuid"].text


def test_a_row_with_a_number_above_32_bits_is_refused() -> None:
    rows = b"0, 0, 1, 2, 3, 4\n1, 0, 1, 2, 3, 4\n2, 0, 1, 2, 3, 9999999999\n"
    with pytest.raises(RecordingError):
        archspec.load("x", rows)


def test_bytes_of_no_notation_are_refused() -> None:
    with pytest.raises(RecordingError):
        archspec.load("linux-x-y", b"\x7fELF")


@pytest.mark.parametrize("cut", range(0, 1400, 7))
def test_a_file_cut_short_anywhere_loads_or_is_refused(cut: int) -> None:
    for name in ("linux-rocky8.5-zen4", "windows-cpuid-icelake", "darwin-bigsur-m1"):
        data = (TARGETS / name).read_bytes()[:cut]
        try:
            read_facts(archspec.load(name, data)).get("cpuinfo.flags")
        except RecordingError as error:
            assert error.fix
