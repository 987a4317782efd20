"""``uplift catalog derive``: what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uplift.cli import main

FEATURE = """\
[[feature]]
id = "x86/made"
title = "Made"
arch = ["x86-64"]
area = "compute"
summary = "Made for a test."

[[feature.layer]]
name = "toolchain"
needs = { fact = "compiler.gcc.accepts", has = "-mmade" }
source = { cited = "a test" }
"""


@pytest.fixture
def data(tmp_path) -> Path:
    """A catalog of one feature."""
    (tmp_path / "data" / "features").mkdir(parents=True)
    (tmp_path / "data" / "features" / "made.toml").write_text(FEATURE)
    return tmp_path / "data"


def _gcc(root: Path, version: str, *options: str) -> str:
    (root / version / "gcc/config/i386").mkdir(parents=True)
    (root / version / "gcc/BASE-VER").write_text(version + "\n")
    text = "".join(f"{option}\nTarget\n\n" for option in options)
    (root / version / "gcc/config/i386/i386.opt").write_text(text)
    return str(root / version)


def test_what_would_change_is_shown_and_fails_until_it_is_written(data, tmp_path, capsys):
    trees = [_gcc(tmp_path, "14.2.0"), _gcc(tmp_path, "15.1.0", "mmade")]
    derive = ["catalog", "derive", "--data", str(data), *trees]
    assert main(derive) == 1
    shown = capsys.readouterr().out
    assert "+gcc,option,-mmade,x86,14.2.0,15.1.0,,gcc/config/i386/i386.opt" in shown
    assert '+since = { project = "gcc", version = "15" }' in shown
    assert "[gcc 15.1.0 gcc/config/i386/i386.opt" in shown
    assert not (data / "since").exists()
    assert main([*derive, "--write"]) == 0
    assert (data / "features/made.toml").read_text().startswith(FEATURE)
    assert main(derive) == 0
    assert "0 files, 0 cells proposed" in capsys.readouterr().out


def test_json_tells_diffs_and_the_source_of_each_cell(data, tmp_path, capsys):
    derive = ["catalog", "derive", "--json", "--data", str(data)]
    assert main([*derive, _gcc(tmp_path, "15.1.0", "mmade")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["written"]) == ("uplift-derivation/1", False)
    assert [change["path"] for change in told["changes"]] == ["since/gcc.csv"]
    assert told["cells"] == [
        {
            "file": "since/gcc.csv",
            "subject": "option -mmade (x86)",
            "before": "",
            "after": "..15.1.0",
            "source": "gcc 15.1.0 gcc/config/i386/i386.opt",
        }
    ]


def test_an_unknown_project_and_a_path_that_is_not_there_are_refused(data, tmp_path, capsys):
    assert main(["catalog", "derive", "--project", "perl", str(tmp_path)]) == 2
    assert "name one of linux, gcc" in capsys.readouterr().err
    assert main(["catalog", "derive", "--data", str(data), str(tmp_path / "gone")]) == 2
    assert "there is no such file or directory" in capsys.readouterr().err
