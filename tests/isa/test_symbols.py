"""Names of functions: exported ones first, those of a debug file, Go's own."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.isa.elf_files import compiled, tool
from uplift.isa.audit import audit
from uplift.isa.elf import Elf
from uplift.isa.symbols import debug_path, go_functions, names

LIBRARY = """
#include <immintrin.h>
__attribute__((target("avx2"), noinline)) static int wide(int n)
{
    __m256i v = _mm256_add_epi32(_mm256_set1_epi32(n), _mm256_set1_epi32(n * 2));
    return _mm256_extract_epi32(v, 5);
}
int entry(int n) { return wide(n) + 1; }
extern __typeof(entry) another __attribute__((alias("entry")));
__attribute__((visibility("hidden"))) int hidden(int n) { return n; }
"""
FLAGS = ("-O2", "-shared", "-fPIC")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("names"), LIBRARY, *FLAGS)


def test_an_exported_name_is_told_from_an_inner_one(library):
    found = names(Elf(library.read_bytes()))
    exported = {found.text(row) for row in found.functions if found.exported[row]}
    inner = {found.text(row) for row in found.functions if not found.exported[row]}
    assert {"entry", "another"} <= exported
    assert {"hidden", "wide"} <= inner - exported


def test_a_stripped_library_is_named_by_its_debug_file(library, tmp_path):
    stripped, debug = tmp_path / "stripped.so", tmp_path / "debug"
    shutil.copy(library, stripped)
    objcopy = tool("objcopy", "binutils")
    subprocess.run([objcopy, "--only-keep-debug", str(library), str(debug)], check=True)
    subprocess.run([objcopy, "--strip-all", str(stripped)], check=True)
    unnamed, named = audit(stripped), audit(stripped, debug=debug)
    assert [f.name[:2] for f in unnamed.functions] == ["0x"]
    assert [f.name for f in named.functions] == ["wide"]
    assert [f.address for f in named.functions] == [f.address for f in unnamed.functions]


def test_a_debug_file_lies_under_its_build_id(tmp_path):
    assert debug_path("abcdef12", tmp_path) == tmp_path / ".build-id" / "ab" / "cdef12.debug"


def test_go_names_its_functions_itself_also_when_stripped(tmp_path):
    go = tool("go", "golang-go")
    (tmp_path / "main.go").write_text(
        'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(1) }\n'
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "CGO_ENABLED": "0"}
    command = [go, "build", "-ldflags=-s -w", "-o", "made", "main.go"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    elf = Elf((tmp_path / "made").read_bytes())
    assert len(elf.symbols) == 0
    starts, called = go_functions(elf)
    assert "main.main" in called and len(starts) == len(called) + 1
    result = audit(tmp_path / "made")
    assert "go" in result.identity.languages
    assert any(f.name.startswith("internal/") for f in result.functions)
