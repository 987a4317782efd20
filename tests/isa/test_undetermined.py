"""Files of which no level is sure: kernels, modules, code that nobody finds without frames."""

from __future__ import annotations

import json

import pytest

from tests.isa.elf_files import compiled, small
from uplift.cli import main
from uplift.isa.audit import audit
from uplift.isa.model import Reach

MODULE = """
#include <immintrin.h>
__attribute__((section(".modinfo"), used)) static const char license[] = "license=GPL";
__attribute__((target("avx2"))) void wide(int *n)
{
    _mm256_storeu_si256((void *)n, _mm256_set1_epi32(*n));
}
"""
WIDE = b"\xc5\xfd\xfe\xc1\xc3"  # vpaddd %ymm1, %ymm0, %ymm0; ret
LONELY = b"\xc3" + b"\xcc" * 15 + WIDE


def _checked(path, capsys, *more):
    code = main(["isa", "check", str(path), "--baseline", "x86-64", "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_what_a_module_holds_is_never_sure_and_no_level_is(tmp_path):
    """The kernel writes its tests into the code of modules that it loads."""
    result = audit(compiled(tmp_path, MODULE, "-O2", "-c"))
    assert result.identity.kind == "module"
    (found,) = result.functions
    assert found.reach == Reach.UNKNOWN and "when it starts" in found.evidence[0]
    assert (result.level, result.needs) == ("", "x86-64")
    assert "when it starts" in result.undetermined


def test_a_file_without_frames_that_hides_code_is_undetermined_with_its_cause(tmp_path, capsys):
    path = tmp_path / "lonely"
    path.write_bytes(small(LONELY))
    assert audit(path).level == ""
    code, found = _checked(path, capsys)
    assert code == 1 and not found["met"] and not found["violations"]
    assert found["undetermined"][0]["why"].startswith(
        "it has no call-frame information, and 1 instruction lies"
    )
    assert main(["isa", "check", str(path), "--baseline", "x86-64"]) == 1
    assert "x86-64 undetermined" in capsys.readouterr().out


def test_what_is_undetermined_does_not_fail_a_check_of_what_is_certain(tmp_path, capsys):
    path = tmp_path / "lonely"
    path.write_bytes(small(LONELY))
    assert _checked(path, capsys, "--only-certain")[0] == 0


@pytest.mark.parametrize("code", [WIDE, b"\xc3"])
def test_a_file_without_frames_all_of_whose_code_is_found_has_a_level(code):
    result = audit(small(code))
    assert not result.undetermined and result.level
