"""The tutorial is run: each command in it, and each line of output that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs/tutorials/first-report.md"


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the ``console`` blocks with the lines shown below it."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        command, shown = "", list[str]()
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, shown
                command, shown = line[2:], []
            else:
                shown.append(line)
        yield command, shown


def pattern(line: str) -> str:
    """Return the expression for one shown line: ``…`` stands for anything."""
    words = [".*".join(re.escape(part) for part in word.split("…")) for word in line.split()]
    return r"\s+".join(words)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tutorial")
    (directory / "recordings").symlink_to(ROOT / "tests/recordings")
    return directory


def test_every_step_of_the_tutorial_prints_what_it_shows(workplace: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
        "XDG_CACHE_HOME": str(workplace / "cache"),
    }
    found = list(steps(TUTORIAL.read_text("utf-8")))
    assert found
    for command, shown in found:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=workplace,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = done.stdout + done.stderr
        for line in filter(str.strip, shown):
            if line.strip() != "…":
                assert re.search(pattern(line), output), f"{command}\nlacks: {line}\n{output}"
