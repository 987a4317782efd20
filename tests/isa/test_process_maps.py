"""The files that a running process executes: of the kernel's own list, real and recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uplift.cli import main
from uplift.errors import UpliftError
from uplift.isa.file_list import Skipped, Wanted
from uplift.isa.process_maps import mapped

SLEEP = shutil.which("sleep") or "/bin/sleep"
LIBRARY = "/usr/lib/libsample.so.1"
MAPS = f"""\
55d000000000-55d000001000 r--p 00000000 fd:00 11 /usr/bin/sample
55d000001000-55d000002000 r-xp 00001000 fd:00 11 /usr/bin/sample
7f0000000000-7f0000001000 r-xp 00000000 fd:00 12 {LIBRARY}
7f0000002000-7f0000003000 r-xp 00002000 fd:00 12 {LIBRARY}
7f0000004000-7f0000005000 r--p 00000000 fd:00 13 /usr/share/only-data
7f0000006000-7f0000008000 rwxp 00000000 00:00 0
7f0000009000-7f000000a000 r-xp 00000000 00:01 9 /memfd:made (deleted)
7f000000b000-7f000000c000 r-xp 00000000 fd:00 14 /opt/with\\012line
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]
no line of this kind
"""


def recorded(folder: Path) -> list[Wanted | Skipped]:
    (folder / "7").mkdir()
    (folder / "7/maps").write_text(MAPS)
    return list(mapped(7, folder))


@contextmanager
def running(program: str) -> Iterator[int]:
    with subprocess.Popen([program, "600"]) as process:
        try:
            while "libc" not in Path(f"/proc/{process.pid}/maps").read_text():
                time.sleep(0.01)  # it has not begun yet
            yield process.pid
        finally:
            process.kill()


def test_each_file_of_which_code_is_mapped_comes_once_and_data_does_not(tmp_path):
    paths = [one.path for one in recorded(tmp_path) if isinstance(one, Wanted)]
    assert paths == ["/usr/bin/sample", LIBRARY, "/opt/with\nline"]


def test_what_lies_in_no_file_is_told_and_not_left_out(tmp_path):
    told = {one.path: one.why for one in recorded(tmp_path) if isinstance(one, Skipped)}
    assert told["[process 7]"] == "8192 bytes of code that were made while it ran lie in no file"
    assert told["/memfd:made (deleted)"].startswith("it lies in memory only (memfd)")


def test_code_in_a_memory_file_is_audited_where_it_is_elf_and_else_said_to_be_made(tmp_path):
    place = tmp_path / "7/map_files/7f0000009000-7f000000a000"
    place.parent.mkdir(parents=True)
    (tmp_path / "7/maps").write_text(MAPS)
    for content, kind in ((b"\x90\xc3", Skipped), (b"\x7fELF\x02", Wanted)):
        place.write_bytes(content)
        (found,) = [one for one in mapped(7, tmp_path) if "memfd" in one.path]
        assert isinstance(found, kind)


def test_a_process_of_another_file_system_is_read_there(tmp_path):
    (tmp_path / "7/root/usr/lib").mkdir(parents=True)
    (tmp_path / "7/root" / LIBRARY.lstrip("/")).write_bytes(b"its own")
    (tmp_path / "7/maps").write_text(MAPS)
    (found,) = [one for one in mapped(7, tmp_path) if one.path == LIBRARY]
    assert isinstance(found, Wanted) and found.source.read_bytes() == b"its own"


def test_a_process_that_is_not_there_is_an_error_with_a_fix(tmp_path):
    with pytest.raises(UpliftError) as error:
        list(mapped(7, tmp_path))
    assert "process 7" in error.value.problem and "name a process that runs" in error.value.fix


def test_a_running_process_is_audited_with_its_libraries(capsys):
    with running(SLEEP) as pid:
        assert main(["isa", "audit", "--pid", str(pid), "--jobs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {Path(file["path"]).name for file in found["files"]}
    assert Path(os.path.realpath(SLEEP)).name in names
    assert "libc.so.6" in names and not any("vdso" in name for name in names)


def test_a_program_that_was_removed_is_audited_as_mapped_or_said_to_be_gone(tmp_path, capsys):
    program = tmp_path / "gone"
    shutil.copy(SLEEP, program)
    with running(str(program)) as pid:
        program.unlink()
        assert main(["isa", "audit", "--pid", str(pid), "--jobs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    told = [*found["files"], *found["skipped"]]
    assert any(one["path"] == f"{program} (deleted)" for one in told)


def test_a_number_that_is_no_process_exits_with_2_and_no_traceback(capsys):
    assert main(["isa", "audit", "--pid", str(2**22 + 1)]) == 2
    assert "fix:" in capsys.readouterr().err
