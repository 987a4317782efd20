"""Static libraries: each object file is audited, nothing in it is said to be always reached."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.isa.elf_files import compiled, tool
from tests.isa.test_sources import mutations
from uplift.errors import UpliftError
from uplift.isa.file_list import Skipped, Wanted, wanted
from uplift.isa.many import Question, Refused, answers
from uplift.isa.model import FileAudit, Reach
from uplift.isa.static_library import objects

WIDE = """
#include <immintrin.h>
__attribute__((target("avx2"))) void wide(__m256i *p) { *p = _mm256_add_epi32(*p, p[1]); }
"""
GUARDED = """
#include <cpuid.h>
#include <immintrin.h>
__attribute__((target("avx2"), noinline))
static void inner(__m256i *p) { *p = _mm256_abs_epi8(*p); }
void chosen(__m256i *p) {
  unsigned a, b, c, d;
  __cpuid_count(7, 0, a, b, c, d);
  if (b & bit_AVX2) inner(p);
}
"""
LONG = "a_name_that_is_longer_than_fits_a_header"


def library(folder: Path, *flags: str) -> Path:
    """Return a library of an object file with a short name and one with a long one, and a text."""
    short = compiled(folder, WIDE, "-O2", "-c", name="wide")
    long = compiled(folder, GUARDED, "-O2", "-c", name=LONG)
    for path in (short, long):
        path.rename(path.with_suffix(".o"))
    (folder / "readme").write_text("no code\n")
    members = ["wide.o", f"{LONG}.o", "readme"]
    ar = tool("ar", "binutils")
    subprocess.run([ar, *(flags or ("rcs",)), "l.a", *members], cwd=folder, check=True)
    return folder / "l.a"


def test_each_object_file_is_audited_under_the_librarys_name(tmp_path):
    path = library(tmp_path)
    found = answers(Wanted(str(path)), Question())
    assert [one.path for one in found] == [
        f"{path}(wide.o)", f"{path}({LONG}.o)", f"{path}(readme)"
    ]  # fmt: skip
    assert [type(one) for one in found] == [FileAudit, FileAudit, Skipped]


def test_code_of_an_object_file_is_never_always_reached_for_nothing_was_linked(tmp_path):
    wide, chosen, _ = answers(Wanted(str(library(tmp_path))), Question("x86-64"))
    (function,) = wide.functions
    assert function.reach is Reach.UNKNOWN and "nothing was linked" in function.evidence[0]
    assert wide.sets["avx2"].reach is Reach.UNKNOWN
    assert (wide.level, wide.needs) == ("x86-64-v3", "x86-64")
    assert [v.certain for v in wide.violations] == [False]
    assert {f.reach for f in chosen.functions} == {Reach.DISPATCHED}


def test_a_thin_library_is_refused_with_the_member_and_a_fix(tmp_path):
    (found,) = answers(Wanted(str(library(tmp_path, "rcsT"))), Question())
    assert isinstance(found, Refused)
    assert "thin" in found.cause and "'wide.o'" in found.cause
    assert found.fix.startswith("audit the object files themselves")


def test_names_as_bsd_writes_them_are_read():
    name = b"spaced name.o\0\0\0"
    head = b"#1/16".ljust(16) + b"0".ljust(32) + b"20".ljust(10) + b"`\n"
    (found,) = objects(b"!<arch>\n" + head + name + b"code", "l.a")
    assert (found.name, bytes(found.data)) == ("spaced name.o", b"code")


def test_a_library_in_a_directory_is_found_by_its_first_bytes(tmp_path):
    path = library(tmp_path)
    assert str(path) in [one.path for one in wanted([str(tmp_path)])]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"!<arch>\n" + b"x" * 30, "byte 8: a header of it is broken"),
        (b"!<arch>\n" + b"a.o/".ljust(48) + b"999".ljust(10) + b"`\n", "would end at byte 1067"),
        (b"!<arch>\n" + b"a.o/".ljust(48) + b"-1".ljust(10) + b"`\n", "byte 8"),
    ],
)
def test_a_broken_library_is_refused_with_the_byte(data, told):
    with pytest.raises(UpliftError) as error:
        list(objects(data, "l.a"))
    assert told in error.value.cause


def test_a_mutated_library_is_refused_or_read_and_never_a_traceback(tmp_path):
    whole = library(tmp_path).read_bytes()
    path = tmp_path / "broken.a"
    refused = 0
    for copy in mutations(whole, seed=5, count=60):
        path.write_bytes(copy)
        found = answers(Wanted(str(path)), Question("x86-64"))
        assert all(one.path.isprintable() for one in found)
        refused += any(isinstance(one, Refused) for one in found)
    assert refused > 10
