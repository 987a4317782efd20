"""What starting a process promises: caps, its own group, nothing left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from uplift.lab import process


def python(
    code: str, *, timeout: float = 20, stdin: bytes = b"", max_stdout: int = 1 << 24
) -> process.Result:
    return process.run(
        [sys.executable, "-c", code], timeout=timeout, stdin=stdin, max_stdout=max_stdout
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_output_exit_code_and_arguments_come_back() -> None:
    result = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 3)
    assert not result.ok and not result.timed_out and not result.truncated
    assert result.complaint == "err"


def test_input_larger_than_a_pipe_arrives_whole() -> None:
    sent = os.urandom(1 << 20)
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert python(code, stdin=sent).stdout == sent


def test_input_that_is_not_wanted_is_no_error() -> None:
    assert python("print('done')", stdin=b"x" * (1 << 20)).stdout == b"done\n"


def test_a_program_that_takes_too_long_is_killed_with_its_children() -> None:
    code = "import os, time; print(os.fork() or os.getpid(), flush=True); time.sleep(60)"
    result = python(code, timeout=1)
    assert result.timed_out and result.seconds < 5
    time.sleep(0.1)
    assert not [pid for pid in map(int, result.stdout.split()) if is_alive(pid)]


def test_output_stops_at_the_cap() -> None:
    result = python("while True: print('x' * 1000)", max_stdout=10_000)
    assert result.truncated and len(result.stdout) == 10_000 and not result.ok


def test_standard_error_is_kept_up_to_its_cap_and_does_not_block() -> None:
    result = python("import sys; sys.stderr.write('x' * 1000000); print('end')")
    assert result.stdout == b"end\n" and len(result.stderr) == process.MAX_STDERR


def test_a_child_left_behind_does_not_keep_us_and_ends() -> None:
    code = (
        "import os, time\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    )
    result = python(code)
    assert result.seconds < 10 and result.returncode == 0
    time.sleep(0.1)
    assert not is_alive(int(result.stdout))


def test_a_program_that_closes_its_output_and_goes_on_is_waited_for() -> None:
    result = python("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(4)")
    assert result.returncode == 4 and not result.timed_out


def test_the_program_has_no_terminal_to_touch() -> None:
    code = "import os\ntry: os.open('/dev/tty', os.O_RDWR)\nexcept OSError: print('none')"
    assert python(code).stdout == b"none\n"


def test_nothing_is_read_by_a_shell() -> None:
    assert process.run(["echo", "$(id); `id`"], timeout=10).stdout == b"$(id); `id`\n"


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["/nonexistent/program"], timeout=1)


def test_a_signal_shows_as_a_negative_exit_code() -> None:
    assert python("import os; os.kill(os.getpid(), 15)").returncode == -15
