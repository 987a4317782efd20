"""The collector: what it records, how attempts end, that nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from uplift.facts import collector, snapshot_file
from uplift.facts.model import CaptureStatus, Snapshot

SCRIPT = Path(collector.__file__)


OPENED: list[collector.Context] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what a test opened: a context that ran a command has a scratch directory."""
    yield
    while OPENED:
        OPENED.pop().close()


def context(**options: object) -> collector.Context:
    words = ["--budget", "20"]
    for name, value in options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    OPENED.append(collector.Context(collector.parsed_options(words)))
    return OPENED[-1]


def collected(*words: str, python: str = sys.executable) -> Snapshot:
    ran = subprocess.run(
        [python, "-I", str(SCRIPT), *words], capture_output=True, check=True, timeout=60
    )
    assert ran.stderr == b""
    return snapshot_file.read_bytes(ran.stdout, "the collector")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with little in it."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_bytes(b"processor\t: 0\n\xff")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=ubuntu\n")
    return tmp_path


def test_the_snapshot_of_this_machine_is_whole_and_loads() -> None:
    snapshot = collected()
    assert snapshot.complete
    assert snapshot.arch == os.uname().machine
    assert snapshot.captures["file:/proc/cpuinfo"].data.startswith(b"processor")


def test_a_file_is_recorded_byte_for_byte(root: Path) -> None:
    snapshot = collected("--roots", str(root))
    assert snapshot.captures["file:/proc/cpuinfo"].data == b"processor\t: 0\n\xff"


def test_a_file_that_is_not_there_is_absent(root: Path) -> None:
    snapshot = collected("--roots", str(root), "--only", "file:/proc/meminfo")
    assert snapshot.captures["file:/proc/meminfo"].status is CaptureStatus.ABSENT


def test_another_root_is_only_read(root: Path) -> None:
    names = [name for name in collected("--roots", str(root)).captures if name.startswith("probe:")]
    assert names == ["probe:dev-access", "probe:identity"]


def test_a_pipe_in_another_root_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "proc" / "meminfo")
    row = collector.record_file(context(roots=root), "/proc/meminfo")
    assert row.status == collector.FAILED


def test_a_long_file_is_cut_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MAX_CAPTURE", 4)
    row = collector.record_file(context(roots=root), "/etc/os-release")
    assert (row.status, row.data) == (collector.TRUNCATED, b"ID=u")


def test_a_tree_tells_texts_links_and_errors_apart(tmp_path: Path) -> None:
    device = tmp_path / "sys" / "d" / "0000:00"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x8086\n")
    (device / "driver").symlink_to("../../d")
    (device / "broken").symlink_to("nowhere")
    row = collector.record_tree(
        context(roots=tmp_path), "/sys/d", "*/vendor */driver */broken */no"
    )
    assert json.loads(row.data) == {
        "0000:00/vendor": "0x8086\n",
        "0000:00/driver": {"link": "../../d"},
        "0000:00/broken": {"error": "ENOENT"},
    }


def test_only_takes_what_begins_so() -> None:
    assert set(collected("--only", "probe:uname").captures) == {"probe:uname"}


def test_a_command_that_is_missing_is_absent() -> None:
    row = collector.record_command(
        context(), collector.command("cmd:x/y", "uplift-no-such-program")
    )
    assert (row.status, row.detail) == (collector.ABSENT, "not installed")


def test_a_command_that_fails_keeps_its_exit_code_and_its_words() -> None:
    row = collector.ran(context(), "cmd:sh/x", ("/bin/sh", "-c", "echo out; echo no >&2; exit 3"))
    assert (row.status, row.data, row.detail) == (collector.FAILED, b"out\n", "exit 3: no")


def test_a_command_that_is_refused_is_denied() -> None:
    result = collector.run(context(), ("/bin/sh", "-c", "echo Permission denied >&2; exit 1"))
    assert result.status == collector.DENIED


def test_a_command_out_of_time_is_killed_with_its_children() -> None:
    began = time.monotonic()
    result = collector.run(context(), ("/bin/sh", "-c", "sleep 54321 & sleep 54321"), 0.2)
    assert result.status == collector.TIMEOUT
    assert time.monotonic() - began < 3
    deadline = time.monotonic() + 5  # a killed orphan is there until init has reaped it
    while (alive := _processes_with(b"54321")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive == []


def _processes_with(word: bytes) -> list[Path]:
    return [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if _holds(entry, word)]


def _holds(path: Path, word: bytes) -> bool:
    try:
        return word in path.read_bytes()
    except OSError:
        return False


def test_a_command_that_never_stops_printing_is_cut() -> None:
    result = collector.run(context(), ("/bin/sh", "-c", "yes"), 5.0, limit=100000)
    assert result.status == collector.TRUNCATED
    assert len(result.out) == 100000


def test_children_see_a_fixed_environment_and_what_steers_dispatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2")
    monkeypatch.setenv("AWS_SECRET", "x")
    asked = context()
    seen = asked.environment()
    assert seen["LC_ALL"] == "C"
    assert seen["GLIBC_TUNABLES"] == "glibc.cpu.hwcaps=-AVX2"
    assert "AWS_SECRET" not in seen


def test_nothing_stays_behind(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "--only", "cmd:gcc", "--only", "cmd:ld.so"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    assert list(tmp_path.iterdir()) == []


def test_time_that_is_spent_is_said_of_each_capture() -> None:
    spent = context()
    spent.deadline = time.time() - 1
    row = collector.Task("cmd:x/y", lambda context: None).run(spent)
    assert row.status == collector.TIMEOUT


def test_what_is_left_to_deep_is_recorded_as_such() -> None:
    row = collector.Task("cmd:x/y", lambda context: None, deep=True).run(context())
    assert (row.status, row.detail) == (collector.ABSENT, "left to --deep")


def test_bytes_for_all_captures_are_capped() -> None:
    snapshot = collected(
        "--max-bytes", "3000", "--only", "file:/proc/cpuinfo", "--only", "file:/proc/crypto"
    )
    assert sum(len(capture.data) for capture in snapshot.captures.values()) <= 3000
    assert CaptureStatus.TRUNCATED in {capture.status for capture in snapshot.captures.values()}


def test_a_probe_that_crashes_costs_only_itself_and_those_after_it() -> None:
    def crash() -> None:
        os.kill(os.getpid(), 9)

    first = ("probe:a", lambda: collector.capture("probe:a", "ok", "1"))
    fork = collector.Fork((first, ("probe:b", crash), first))
    rows = [row for row, _ in fork.receive(context())]
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert "signal 9" in rows[1].detail


def test_a_probe_that_hangs_is_out_of_time() -> None:
    waiting = context()
    waiting.command_seconds = 0.2
    fork = collector.Fork((("probe:a", lambda: time.sleep(30)),))
    assert [row.status for row, _ in fork.receive(waiting)] == ["timeout"]


def test_a_compiler_is_asked_for_each_option_in_one_run() -> None:
    if not shutil.which("gcc") or os.uname().machine != "x86_64":
        pytest.skip("no gcc for x86-64")
    row = collector.record_gcc_accepts(context(), "gcc", shutil.which("gcc"))
    answers = dict(line.rsplit(" ", 1) for line in row.data.decode().splitlines())
    assert answers["-mavx2"] == answers["-march=x86-64-v3"] == "yes"
    assert set(answers) >= set(collector.X86_OPTIONS)


def test_a_driver_that_ends_with_0_and_an_error_has_not_taken_the_option() -> None:
    asked = collector.Asked()
    script = "test $0 = -b && echo error: no >&2; true"
    collector.ask_each(context(), asked, "/bin/sh", ("-c", script), ["-a", "-b"])
    assert asked.lines == ["-a yes\n", "-b no\n"]


def test_gcc_names_the_options_it_does_not_know() -> None:
    said = "gcc: error: unrecognized command-line option '-mfoo'; did you mean '-mfma'?\n"
    assert collector.UNKNOWN_OPTION.findall(said) == ["-mfoo"]
    assert collector.UNKNOWN_OPTION.findall("clang: error: unknown argument: '-mbar'") == ["-mbar"]


def test_the_assembler_is_believed_by_name_before_line() -> None:
    said = (
        "{standard input}: Assembler messages:\n"
        "{standard input}:2: Error: unknown architectural extension `foo'\n"
        "{standard input}:2: Error: unknown architectural extension `gcs'\n"
        "{standard input}:4: Error: junk\n"
    )
    assert collector.refused_names(said, ["sve2", "foo", "gcs", "sme"]) == {"foo", "gcs", "sme"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"[    0.1] x86/fpu: Supporting XSAVE feature 0x001", True),
        (b"[    1.0] sgx: EPC section 0x1070180000-0x107f9fffff", True),
        (b"[    1.0] kvm_intel: TDX not supported", True),
        (b"[    1.0] GICv3: 16 PPIs implemented", True),
        (b"[    2.0] usb 1-1: new high-speed USB device", False),
        (b"[    2.0] device: lamp service \xff", False),
    ],
)
def test_the_kernels_log_is_kept_where_it_names_a_feature(line: bytes, kept: bool) -> None:
    assert collector.names_feature(line) is kept


FAKE = {
    (0x0, 0): (0x1F, 1, 2, 3),
    (0x4, 0): (0x121, 0, 0, 0),
    (0x4, 1): (0x122, 0, 0, 0),
    (0x7, 0): (2, 5, 0, 0),
    (0xD, 0): (0x7, 0, 0, 0),
    (0xD, 1): (0xF, 0, 0x1800, 0),
    (0x80000000, 0): (0x80000001, 0, 0, 0),
}


def fake_cpuid(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    return FAKE.get((leaf, subleaf), (0, 0, 0, 0))


def test_a_leaf_of_caches_ends_with_the_first_that_is_none() -> None:
    assert [sub for sub, _ in collector.subleaf_rows(fake_cpuid, 0x4)] == [0, 1, 2]


def test_a_leaf_that_counts_its_subleaves_is_read_so_far() -> None:
    assert [sub for sub, _ in collector.subleaf_rows(fake_cpuid, 0x7)] == [0, 1, 2]


def test_the_leaf_of_saved_state_has_a_subleaf_for_each_component() -> None:
    assert [sub for sub, _ in collector.subleaf_rows(fake_cpuid, 0xD)] == [0, 1, 2, 11, 12]


def test_leaves_are_read_up_to_what_the_processor_claims() -> None:
    assert list(collector.leaf_ranges(fake_cpuid)) == [*range(0x20), 0x80000000, 0x80000001]


def test_a_processor_that_claims_everything_does_not_loop() -> None:
    def everything(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return (0xFFFFFFFF,) * 4

    leaves = list(collector.leaf_ranges(everything))
    assert len(leaves) <= 6 * collector.MAX_LEAVES
    assert all(len(collector.subleaf_rows(everything, leaf)) <= 64 for leaf in leaves)


def test_the_loaders_diagnostics_serve_as_cpuid() -> None:
    text = (
        "x86.processor[0x0].cpuid.eax[0x0].eax=0xd\n"
        "x86.processor[0x0].cpuid.subleaf_eax[0x4].ecx[0x1].ebx=0x3f\n"
        "x86.processor[0x1].cpuid.eax[0x0].eax=0x1\n"
    )
    reader = collector.DiagnosticsReader(text)
    assert reader.read(0, 0)[0] == 0xD
    assert reader.read(4, 1)[1] == 0x3F


def test_an_arm64_register_is_read_by_its_own_instruction() -> None:
    code = collector.mrs_code(0, 4, 0)  # ID_AA64PFR0_EL1
    assert code == bytes.fromhex("000438d5c0035fd6")


def test_cpuid_of_this_machine_is_what_the_kernel_says() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("x86-64 only")
    before = os.sched_getaffinity(0)
    row = collector.probe_cpuid()
    assert os.sched_getaffinity(0) == before
    vendor = Path("/proc/cpuinfo").read_text().split("vendor_id\t: ")[1].split("\n")[0]
    line = next(line for line in row.data.decode().splitlines() if " 0x00000000 0x00:" in line)
    words = [int(part.split("=")[1], 16) for part in line.split()[2:]]
    assert b"".join(words[i].to_bytes(4, "little") for i in (1, 3, 2)).decode() == vendor


def test_a_sweep_of_many_cpus_begins_all_over_the_machine() -> None:
    order = collector.sweep_order(range(512))
    assert len(order) == 512
    assert max(order[:16]) >= 480


def test_a_list_of_cpus_that_is_none_gives_none() -> None:
    assert collector.cpu_list("0-2,7") == [0, 1, 2, 7]
    assert collector.cpu_list("hello,-3,4-") == []


def big_machine(top: Path, cpus: int) -> None:
    for cpu in range(cpus):
        base = top / f"cpu{cpu}"
        (base / "topology").mkdir(parents=True)
        (base / "topology" / "core_id").write_text(f"{cpu // 2}\n")
        (base / "topology" / "physical_package_id").write_text(f"{cpu // 64}\n")
        (base / "topology" / "thread_siblings_list").write_text(f"{cpu - cpu % 2}-{cpu | 1}\n")
        (base / "cpufreq").mkdir()
        (base / "cpufreq" / "scaling_driver").write_text("x\n")
        (base / "cache" / "index0").mkdir(parents=True)
        (base / "cache" / "index0" / "size").write_text("32K\n")


def test_a_large_machine_is_recorded_once_per_kind(tmp_path: Path) -> None:
    big_machine(tmp_path / "sys/devices/system/cpu", 128)
    entries = json.loads(collector.record_cpu_tree(context(roots=tmp_path)).data)
    named = [name for name in entries if name.endswith("core_id")]
    assert len(named) == 128
    assert [name for name in entries if name.endswith("scaling_driver")] == [
        "cpu0/cpufreq/scaling_driver",
        "cpu64/cpufreq/scaling_driver",
    ]
    assert len([name for name in entries if name.endswith("size")]) == 64


def test_a_version_registers_itself_by_its_directory(tmp_path: Path) -> None:
    site = tmp_path / "usr/lib/python3/dist-packages"
    (site / "numpy-1.26.4.egg-info").mkdir(parents=True)
    (site / "torch-2.5.1+cpu.dist-info").mkdir()
    (site / "requests-2.31.0.dist-info").mkdir()
    found = list(collector.registered(context(roots=tmp_path), "/usr/lib/python3/dist-packages"))
    assert found == [("numpy", "1.26.4"), ("torch", "2.5.1+cpu")]


def test_the_plan_is_listed_without_recording() -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--list"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "probe:cpuid\n" in ran.stdout
    assert "cmd:lscpu/json (left to --deep)\n" in ran.stdout


def test_it_runs_as_it_is_streamed() -> None:
    ran = subprocess.run(
        [sys.executable, "-", "--only", "probe:uname"],
        input=SCRIPT.read_bytes(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert "probe:uname" in snapshot_file.read_bytes(ran.stdout, "stream").captures


@pytest.mark.slow
@pytest.mark.parametrize("minor", range(6, 15))
def test_it_runs_on_every_python_that_is_here(minor: int) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-V"], check=False).returncode:
        pytest.skip(f"no python3.{minor}")
    assert collected(python=python).complete
