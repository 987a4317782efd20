"""``uplift isa`` with what is no file to audit: refused at once, with the cause."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from uplift.cli import main


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


@pytest.mark.parametrize("words", [["audit"], ["check", "--baseline", "amd64"]])
def test_a_fifo_is_refused_and_not_waited_for(
    words: list[str], fifo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["isa", *words, fifo]) == 2
    assert "it is no regular file" in capsys.readouterr().err


def test_a_fifo_as_debug_file_is_refused_and_not_waited_for(
    fifo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["isa", "audit", "--jobs", "1", "--debug", fifo, sys.executable]) == 2
    assert "it is no regular file" in capsys.readouterr().err


def test_a_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["isa", "audit", "/dev/zero"]) == 2
    assert "it is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["audit"], ["check", "--baseline", "amd64"]])
def test_a_directory_without_programs_is_told_and_is_no_success(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "readme").write_text("no code\n")
    assert main(["isa", *words, str(tmp_path)]) == 2
    assert "there is nothing to audit" in capsys.readouterr().err


def test_a_second_chip_does_not_take_the_place_of_the_first_unseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = shutil.copy(sys.executable, tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["isa", "audit", "--chip", "turin", "--chip", "genoa", str(program)])
    assert ended.value.code == 2
    assert "name one at a time" in capsys.readouterr().err
