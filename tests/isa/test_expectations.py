"""Expectations: what may be above a baseline, the first file of them, and what they never cover."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.isa.elf_files import compiled
from uplift.cli import main
from uplift.errors import UpliftError
from uplift.isa.expectations import MAX_BYTES, Expectation, judge, load
from uplift.isa.expectations_draft import draft, write
from uplift.isa.model import FileAudit, Identity, Violation

CASES = Path(__file__).parent / "dispatch_cases"
HOSTILE = (
    'a "quoted"',
    "b\\ack",
    "operator[]",
    "main.(*T).Do",
    "del\x7f",
    "tab\tline\n",
    "é\u2028",
)


def audit(*violations: Violation, path: str = "usr/lib/libsample.so.1.2", soname: str = ""):
    return FileAudit(path, "x86-64", Identity("shared", soname=soname), {}, (), "", "", violations)


def violation(name: str, *sets: str, certain: bool = True) -> Violation:
    return Violation(name, 0x1000, sets or ("avx2",), certain)


def drafted(tmp_path: Path, found: FileAudit) -> tuple[Expectation, ...]:
    path = tmp_path / "expect.toml"
    write(path, draft(judge([found], ()).unexpected(), "amd64"))
    return load(path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_draft_covers_exactly_the_names_that_were_found_whatever_they_are(tmp_path, name):
    entries = drafted(tmp_path, audit(violation(name)))
    again = judge([audit(violation(name), violation(f"{name}2"))], entries)
    assert [f.violation.function for f in again.unexpected()] == [f"{name}2"]
    assert again.stale == ()


def test_a_draft_names_the_soname_so_that_a_new_version_is_covered(tmp_path):
    entries = drafted(tmp_path, audit(violation("wide"), soname="libsample.so.1"))
    newer = audit(violation("wide"), path="lib/libsample.so.1.3", soname="libsample.so.1")
    assert judge([newer], entries).unexpected() == ()


def test_functions_without_a_name_are_one_entry_with_all_their_sets(tmp_path):
    found = audit(violation("0x10", "avx"), violation("0x20", "bmi2", certain=False))
    (entry,) = drafted(tmp_path, found)
    assert (entry.functions, entry.sets) == (("0x*",), ("avx", "bmi2"))
    assert entry.reason == "not reviewed: 2 functions without a name, 1 with no guard on the way"
    more = judge([audit(violation("0x30", "avx512f"))], [entry])
    assert len(more.unexpected()) == 1  # a set that was not there is never covered


def test_what_a_draft_covers_counts_as_not_reviewed_until_its_reason_is_written(tmp_path):
    found = audit(violation("wide"))
    (entry,) = drafted(tmp_path, found)
    assert len(judge([found], [entry]).unreviewed) == 1
    told = Expectation(entry.file, entry.functions, "wide_init asks CPUID", entry.sets)
    assert judge([found], [told]).unreviewed == ()


def test_a_file_of_expectations_is_never_written_over(tmp_path):
    path = tmp_path / "expect.toml"
    path.write_text("# mine\n")
    with pytest.raises(UpliftError) as error:
        write(path, "")
    assert path.read_text() == "# mine\n" and "name a new file" in error.value.fix


def test_more_than_is_read_back_is_not_written():
    many = [violation(f"{'n' * 200}{number}") for number in range(MAX_BYTES // 200)]
    with pytest.raises(UpliftError, match="cannot write the expectations"):
        draft(judge([audit(*many)], ()).findings, "amd64")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[expect]]\nfile = "a"\nfunctions = ["0x12f0"]\nreason = "r"', "is an address"),
        ('[[expect]]\nfile = "a"\nfunctions = []\nreason = "r"', "names no function"),
        ('[[expect]]\nfile = "a"\nfunctions = ["f"]\nreason = " "', "reason has to be a text"),
        ('[[expect]]\nfile = "a"\nfunctions = ["f"]\nreason = "r"\nwhy = 1', "'why' is not known"),
        ("[[expect]", "it is not TOML"),
    ],
)
def test_a_wrong_expectation_is_refused_with_its_entry(tmp_path, text, told):
    path = tmp_path / "expect.toml"
    path.write_text(text)
    with pytest.raises(UpliftError) as error:
        load(path)
    assert told in error.value.cause


def test_the_first_check_writes_what_the_next_one_expects(tmp_path, capsys):
    shutil.copy(CASES / "kernel.h", tmp_path)
    program = str(compiled(tmp_path, (CASES / "always.c").read_text(), "-O2"))
    expect, words = str(tmp_path / "e.toml"), ["isa", "check", program, "--baseline", "amd64"]
    assert main(words) == 1
    assert main([*words, "--write-expectations", expect]) == 0
    assert "wrote" in capsys.readouterr().out
    assert main([*words, "--expect", expect]) == 0
    assert "not reviewed)" in capsys.readouterr().out
    assert main([*words, "--write-expectations", expect]) == 2
