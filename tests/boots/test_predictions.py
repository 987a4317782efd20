"""What plans predict comes true: recordings of boots, each held against its release's plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.plan_boots import RECORDINGS, compare_boot, release_of_boot
from uplift.catalog.load import load_catalog
from uplift.facts import snapshot_file

BOOTS = sorted(RECORDINGS.glob("*.jsonl.gz"))


def test_there_are_boots_of_three_kernels_on_two_architectures():
    kernels = {path.name.partition("-")[0].partition("+")[0] for path in BOOTS}
    assert len(kernels) >= 3
    assert {path.name.partition(".max")[0][-5:] for path in BOOTS if ".max." in path.name} == {
        "amd64",
        "arm64",
    }


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOTS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_every_prediction_of_a_plan_is_what_the_boot_recorded(path: Path):
    boot = snapshot_file.load(path)
    release = release_of_boot(boot)
    assert release is not None, "no shipped release has this kernel"
    rows = list(compare_boot(path.name, boot, release, load_catalog()))
    wrong = [(row.what, row.predicted) for row in rows if row.predicted not in (None, row.recorded)]
    assert not wrong
    assert sum(row.predicted is not None for row in rows) >= 15
