"""Audits of archives: nothing is lost or told twice, whoever is killed; queries only read that."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from uplift.cli import main
from uplift.errors import UpliftError
from uplift.isa import archive, archive_work
from uplift.isa.archive_query import Archive, Table, opened, perf_shares
from uplift.isa.archive_results import TABLES, held
from uplift.isa.archive_work import Done, Selection, Work
from uplift.isa.unused import Chip
from uplift.report.archive_html import Above, above, page, render

pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra `archive`")
pytest.importorskip("duckdb", reason="needs duckdb, of the extra `archive`")

PROGRAMS = [path for name in ("true", "cat", "ls", "cp", "bash", "dd", "sort", "od")
            if (path := Path(f"/bin/{name}")).exists()]  # fmt: skip


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Work]:
    at = tmp_path_factory.mktemp("packages")
    for number, program in enumerate(PROGRAMS):
        shutil.copy(program, at / f"{number}.oci")
    (at / "broken.deb").write_bytes(b"!<arch>\nnothing")
    return archive_work.of_files([str(path) for path in sorted(at.iterdir())], Selection())


def rows(directory: Path) -> dict[str, list[str]]:
    """Return every row of every table, in an order of its own."""
    with opened(directory) as found:
        return {name: sorted(map(str, found.sql(f"SELECT * FROM {name}").rows)) for name in TABLES}


def audited(work: list[Work], into: Path, worker: archive_work.Worker) -> archive.Outcome:
    with held(into) as results:
        return archive.run(work, results, lambda: archive.local(2), 2, worker=worker)


@pytest.fixture(scope="module")
def whole(packages: list[Work], tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("whole")
    audited(packages, into, archive_work.do)
    return into


def dies_once(mark: Path, work: Work) -> Done:
    """Audit, but let one process die that has the third program, and leave a mark."""
    if work.place.endswith("2.oci") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return archive_work.do(work)


def always_dies(work: Work) -> Done:
    """Audit, but let every process die that has the third program."""
    if work.place.endswith("2.oci"):
        os.kill(os.getpid(), signal.SIGKILL)
    return archive_work.do(work)


def test_a_worker_that_is_killed_loses_no_package(
    packages: list[Work], whole: Path, tmp_path: Path
) -> None:
    audited(packages, tmp_path / "r", partial(dies_once, tmp_path / "died"))
    assert (tmp_path / "died").exists()
    assert rows(tmp_path / "r") == rows(whole)


def test_a_package_that_kills_every_worker_is_refused_and_no_other(
    packages: list[Work], tmp_path: Path
) -> None:
    outcome = audited(packages, tmp_path / "r", always_dies)
    with opened(tmp_path / "r") as found:
        names = [name for name, *_ in found.ask("refused").rows]
    assert (outcome.done, sorted(names)) == (len(packages), ["2.oci", "broken.deb"])


def test_what_is_done_is_not_done_again(packages: list[Work], whole: Path, tmp_path: Path) -> None:
    audited(packages[:3], tmp_path / "r", archive_work.do)
    (tmp_path / "r/.part-000002.new").mkdir()
    outcome = audited(packages, tmp_path / "r", archive_work.do)
    assert (outcome.before, outcome.done) == (3, len(packages) - 3)
    assert rows(tmp_path / "r") == rows(whole)


def test_a_run_that_is_killed_goes_on_to_the_same_result(
    packages: list[Work], whole: Path, tmp_path: Path
) -> None:
    into = tmp_path / "r"
    program = (
        "import sys; from uplift.isa import archive; archive.PER_PART = 1\n"
        "from uplift.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["isa", "archive", *(work.place for work in packages), "--into", str(into)]
    child = subprocess.Popen([sys.executable, "-c", program, *words, "--jobs", "1"])
    until = time.monotonic() + 30
    while not list(into.glob("part-*")) and time.monotonic() < until:
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert main([*words, "--jobs", "2"]) == 0
    assert rows(into) == rows(whole)


@pytest.mark.slow
def test_a_killed_worker_of_a_dask_cluster_loses_no_package(
    packages: list[Work], whole: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask's distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        held(tmp_path / "r") as results,
    ):

        def executor() -> Executor:
            found: Executor = client.get_executor()
            return found

        archive.run(packages, results, executor, 2, worker=partial(dies_once, tmp_path / "died"))
    assert (tmp_path / "died").exists()
    assert rows(tmp_path / "r") == rows(whole)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'x.csv'",
        "ATTACH 'x.db'",
        "SET memory_limit='1TB'",
        "INSTALL httpfs",
        "DROP VIEW packages",
        "SELEC",
        "",
    ],
)
def test_a_query_reads_the_results_and_nothing_else(whole: Path, text: str) -> None:
    with opened(whole) as found, pytest.raises(UpliftError, match="cannot answer"):
        found.sql(text)


def test_a_set_above_the_baseline_is_a_violation_until_the_baseline_has_it(whole: Path) -> None:
    def sets(archive_: Archive) -> set[str]:
        return {row["set"] for row in archive_.ask("violations").mappings()}

    with opened(whole, "x86-64") as low, opened(whole, "x86-64-v4") as high:
        assert not sets(high) & {"sse3", "avx2", "avx512f"}
        assert sets(high) <= sets(low)


def test_a_profile_gives_shares_by_file_name() -> None:
    text = (
        "# Overhead  Shared Object\n    61.50%  libcrypto.so.3\n 38.50%,nginx,[kernel.kallsyms]\n"
    )
    assert perf_shares(text.splitlines()) == {"libcrypto.so.3": 0.615, "[kernel.kallsyms]": 0.385}
    with pytest.raises(UpliftError, match="profile"):
        perf_shares(["nothing"])


def test_the_same_seed_chooses_the_same_packages_in_whatever_order(packages: list[Work]) -> None:
    chosen = Selection(sample=3, seed=5).chosen(list(packages))
    assert Selection(sample=3, seed=5).chosen(list(reversed(packages))) == chosen
    assert len({work.key for work in chosen}) == 3


def test_the_page_shows_hostile_names_as_text(tmp_path: Path, capsys: object) -> None:
    name = "<script>alert(1)<"
    shutil.copy(PROGRAMS[-1], tmp_path / f"{name}.oci")
    results, page = str(tmp_path / "r"), tmp_path / "page.html"
    assert main(["isa", "archive", str(tmp_path / f"{name}.oci"), "--into", results]) == 0
    assert main(["isa", "query", results, "--chip", "turin", "--html", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "<script" not in text and "&lt;script&gt;" in text


def test_answers_are_what_their_schemas_say(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(PROGRAMS[0], tmp_path / "one.oci")
    runs = [
        ["isa", "archive", str(tmp_path / "one.oci"), "--into", str(tmp_path / "r")],
        *(["isa", "query", str(whole), q, "--chip", "turin", "--set", "avx2"]
          for q in ("summary", "violations", "uses", "unused", "candidates", "refused")),
    ]  # fmt: skip
    for words in runs:
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        name = found["schema"].replace("/", "-")
        schema = files("uplift.report").joinpath(f"schema/{name}.schema.json").read_text("utf-8")
        Draft202012Validator(json.loads(schema)).validate(found)


def test_files_of_a_package_that_hold_the_same_are_one_line_of_the_page() -> None:
    columns = ("package", "version", "arch", "path", "set", "reach", "functions")
    sets = (("avx", "always"), ("bmi2", "unknown"))
    rows = [("p", "1", "x86-64", path, held, reach, 1200) for held, reach in sets for path in "ab"]
    other = ("p", "1", "riscv64", "c", "v", "unknown", 3)
    assert list(above(Table(columns, (*rows, other)))) == [
        Above("p", "1", "a", "x86-64", 1, ("avx 1,200",), ("bmi2 1,200",)),
        Above("p", "1", "c", "riscv64", 0, (), ("v 3",)),
    ]


def test_the_page_opens_what_is_beyond_the_first_rows_on_demand(whole: Path) -> None:
    chip = Chip("t", "T", "x86-64", (), ())
    with opened(whole, chip=chip) as found:
        shown = page(found, chip, "")
    line = Above("p", "1", "a", "x86-64", 0, ("avx 1",), ())
    few, many = (render(replace(shown, above=(line,) * count)) for count in (25, 60))
    assert "<details>" not in few
    assert "<summary>35 more</summary>" in many
