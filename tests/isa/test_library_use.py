"""What a system's files use of its chip: audited in a root, told to a scan."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.isa.elf_files import compiled
from uplift.facts.model import CaptureStatus, Facts, ProvenWords, Snapshot
from uplift.facts.parsers import read_facts
from uplift.isa.library_use import capture, key_files

LIBRARIES = "usr/lib/x86_64-linux-gnu"
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


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with one library, a link to it, a link out of it, and a broken library."""
    top = tmp_path_factory.mktemp("root")
    place = top / LIBRARIES
    place.mkdir(parents=True)
    made = compiled(place, GUARDED, "-O2", "-shared", "-fPIC", name="made")
    made.rename(place / "libz.so.1.3")
    (place / "libz.so.1").symlink_to("libz.so.1.3")
    outside = compiled(tmp_path_factory.mktemp("outside"), GUARDED, "-O2", "-shared", "-fPIC")
    (place / "libcrypto.so.3").symlink_to(outside)
    (place / "libzstd.so.1").write_bytes(b"\x7fELF\x02\x01\x01".ljust(64, b"\xff"))
    (place / "liblzma.so.5").write_bytes((place / "libz.so.1.3").read_bytes()[:300])
    return top


def facts(root: Path) -> Facts:
    found = capture(root, "x86_64")
    return read_facts(Snapshot({found.id: found}, arch="x86_64"))


def words(root: Path, name: str) -> ProvenWords:
    value = facts(root).value(name)
    assert isinstance(value, ProvenWords)
    return value


def test_links_are_not_followed_so_that_nothing_outside_of_the_root_is_read(root: Path) -> None:
    named = [one.path for one in key_files(root, "x86_64")]
    assert named == [f"/{LIBRARIES}/libz.so.1.3", f"/{LIBRARIES}/liblzma.so.5"]


def test_a_file_that_cannot_be_audited_is_named_and_costs_no_other(root: Path) -> None:
    document = json.loads(capture(root, "x86_64").data)
    assert [file["path"] for file in document["files"]] == [f"/{LIBRARIES}/libz.so.1.3"]
    assert document["refused"] == [f"/{LIBRARIES}/liblzma.so.5"]


def test_a_file_is_told_with_its_digest_and_the_instruction_that_shows_a_set(root: Path) -> None:
    (file,) = json.loads(capture(root, "x86_64").data)["files"]
    data = (root / LIBRARIES / "libz.so.1.3").read_bytes()
    assert file["sha256"] == sha256(data).hexdigest()
    shown = file["sets"]["avx2"]
    assert (shown["function"], shown["reach"], shown["functions"]) == ("inner", "dispatched", 1)
    assert bytes.fromhex(shown["code"]) in data


def test_code_behind_a_test_of_the_processor_is_held_and_used(root: Path) -> None:
    for name in ("isa.held", "isa.used"):
        assert "avx2" in words(root, name)
        assert words(root, name).shown("avx2").startswith("libz.so.1.3: inner (dispatched; ")
    assert words(root, "isa.held").shown("amx-tile") == "none of 1 files has code of it"


def test_code_that_nobody_is_seen_to_run_is_held_and_not_used(tmp_path: Path) -> None:
    place = tmp_path / LIBRARIES
    place.mkdir(parents=True)
    hidden = GUARDED.replace("__cpuid_count(7, 0, a, b, c, d);", "b = ((unsigned *)p)[99];")
    compiled(place, hidden, "-O2", "-shared", "-fPIC", name="libz.so.1")
    assert "avx2" in words(tmp_path, "isa.held")
    assert words(tmp_path, "isa.used").shown("avx2") in (
        "no function of 1 files is seen to run it",
        words(tmp_path, "isa.held").shown("avx2"),
    )


def test_a_root_without_such_files_was_looked_at_and_has_none(tmp_path: Path) -> None:
    found = capture(tmp_path, "x86_64")
    assert found.status is CaptureStatus.ABSENT
