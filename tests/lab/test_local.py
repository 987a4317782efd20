"""Recording this machine: what a collector that misbehaves leads to."""

from __future__ import annotations

import py_compile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from uplift.errors import RecordingError, TargetError, UpliftError
from uplift.lab import local
from uplift.lab.model import Options

HEADER = 'print(\'{"schema":"uplift-snapshot/1","kind":"machine"}\', flush=True)\n'
END = 'print(\'{"end":true,"captures":0}\')\n'


def collector(tmp_path: Path, text: str) -> Options:
    path = tmp_path / "collector.py"
    path.write_text(text)
    return Options(collector=path)


def test_the_collectors_output_is_the_snapshot(tmp_path: Path) -> None:
    assert local.snapshot(collector(tmp_path, HEADER + END)).complete


def test_a_collector_that_died_on_the_way_leaves_what_it_had(tmp_path: Path) -> None:
    options = collector(tmp_path, HEADER + "import os; os.kill(os.getpid(), 4)\n" + END)
    assert not local.snapshot(options).complete


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("raise SystemExit('no luck')", "no luck"),
        ("raise SystemExit(7)", "it exited 7"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_a_collector_without_an_answer_is_an_unreachable_target(
    text: str, cause: str, tmp_path: Path
) -> None:
    with pytest.raises(TargetError) as caught:
        local.snapshot(collector(tmp_path, text))
    assert cause in caught.value.cause


def test_a_collector_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UpliftError) as caught:
        local.snapshot(Options(collector=tmp_path / "missing.py"))
    assert "missing.py" in str(caught.value)


def test_an_answer_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        local.snapshot(collector(tmp_path, "print('hello')"))


def test_the_collector_sees_no_site_packages_and_no_environment_of_python(tmp_path: Path) -> None:
    text = "import sys\nassert sys.flags.isolated and sys.flags.no_site, sys.flags\n" + HEADER + END
    assert local.snapshot(collector(tmp_path, text)).complete


def test_a_changed_collector_is_compiled_anew(tmp_path: Path) -> None:
    assert local.snapshot(collector(tmp_path, HEADER + END)).complete
    with pytest.raises(TargetError):
        local.snapshot(collector(tmp_path, "raise SystemExit('a longer text than before')"))


def test_byte_code_of_an_older_collector_is_not_run(tmp_path: Path) -> None:
    source = tmp_path / "collector.py"
    source.write_text("print('old')")
    py_compile.compile(str(source))
    source.write_text("print('new one')")
    assert local._is_current(Path(cache_from_source(str(source))), source) is False
    py_compile.compile(str(source))
    assert local._is_current(Path(cache_from_source(str(source))), source) is True
