"""What is written in this repository holds: commands documented, links alive, nothing private."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tools.generate_reference import CLI, MAN, manual, parsers, reference

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_the_cli_reference_is_what_the_program_says() -> None:
    assert CLI.read_text("utf-8") == reference(), "run make docs"


def test_the_man_page_is_what_the_program_says() -> None:
    assert MAN.read_text("utf-8") == manual(), "run make docs"


def test_every_command_is_documented() -> None:
    text = CLI.read_text("utf-8")
    for parser in parsers():
        assert f"## `{parser.prog}`" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_kind_of_recording_says_where_it_is_from() -> None:
    for directory in (ROOT / "tests/recordings").iterdir():
        if directory.is_dir() and any(directory.iterdir()):
            assert (directory / "ORIGIN.md").exists(), directory.name


def test_no_file_names_a_package_mirror() -> None:
    hosts = "|".join(
        ("deb[.]debian", "security[.]debian", "archive[.]ubuntu", "ports[.]ubuntu", "pypi[.]org")
    )
    found = subprocess.run(
        ["git", "grep", "-nIE", hosts, "--", ":!tests/test_documents.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        pytest.skip("not a git checkout: the tracked files are not known")
    assert found.stdout == ""
