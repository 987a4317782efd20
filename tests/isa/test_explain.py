"""What a verdict on one function rests on: which function, which bit, which variants."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.isa.elf_files import compiled
from tests.isa.test_static_library import library
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog
from uplift.cli import main
from uplift.errors import UpliftError
from uplift.isa.set_features import features_of
from uplift.isa.ways_in import explain

CASES = Path(__file__).parent / "dispatch_cases"
TWIN = "__attribute__((noinline)) static int twin(int x) { return x * %d; }\n"
OTHER = TWIN % 3 + "int other(int x) { return twin(x) + 1; }\n"
FIRST = TWIN % 7 + "int other(int);\nint main(int n, char **v) { return twin(n) + other(n); }\n"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    shutil.copy(CASES / "kernel.h", tmp_path)
    return compiled(tmp_path, (CASES / "ifunc.c").read_text(), "-O2")


def test_a_resolver_is_shown_with_its_variants_and_what_their_code_needs(chosen):
    found = explain(str(chosen), "work")
    assert found.resolver and found.verdict is None
    sets = {variant.name: variant.sets for variant in found.variants}
    assert sets["plain"] == () and "avx2" in sets["wide"]
    (guard,) = found.guards
    assert guard.resolver and "__cpu_model" in guard.tests[0].what


def test_the_resolver_is_meant_where_a_plain_function_is_called_the_same(chosen, tmp_path):
    plain = compiled(tmp_path, "static int work(int x) { return x; }\n"
                     "int more(int x) { int (*volatile f)(int) = work; return f(x); }\n",
                     "-O0", "-c", name="plain")  # fmt: skip
    both = compiled(tmp_path, (CASES / "ifunc.c").read_text(), "-O2", str(plain), name="both")
    found = explain(str(both), "work")
    assert found.resolver and len(found.others) == 1


def test_several_functions_of_a_name_are_refused_with_their_addresses(tmp_path):
    other = compiled(tmp_path, OTHER, "-O1", "-c", name="other")
    path = compiled(tmp_path, FIRST, "-O1", str(other))
    with pytest.raises(UpliftError) as error:
        explain(str(path), "twin")
    assert error.value.cause.startswith("2 functions are called so, at 0x")
    assert error.value.fix == "name one by its address"
    address = error.value.cause.rpartition(", ")[2]
    assert explain(str(path), address).name == "twin"


def test_near_names_are_of_all_functions_and_not_only_those_above_the_base(tmp_path):
    path = compiled(tmp_path, "int harmless(int x) { return x; }\nint main(void) { return 0; }")
    with pytest.raises(UpliftError) as error:
        explain(str(path), "harmles")
    assert "near: harmless" in error.value.cause


@pytest.mark.parametrize(
    ("arch", "name", "feature", "test"),
    [
        ("x86-64", "avx2", "x86/avx2", "cpuid.7.0.ebx bit 5"),
        ("x86-64", "popcnt", "x86/popcnt", "cpuid.1.0.ecx bit 23"),
        ("x86-64", "avx512f", "x86/avx512f", "cpuid.7.0.ebx bit 16"),
    ],
)
def test_a_set_is_shown_with_the_bit_of_the_processor_as_the_catalog_has_it(
    arch, name, feature, test, catalog
):
    found = features_of([name], arch, catalog)[name]
    assert (found.feature, found.test) == (feature, test)
    assert found.source.partition(": ")[2]


def test_a_set_that_no_feature_of_the_architecture_gives_has_no_bit(catalog):
    assert features_of(["3dnow", "avx2"], "aarch64", catalog) == {}


def test_what_an_audit_names_in_a_package_or_a_static_library_can_be_explained(tmp_path):
    wheel = tmp_path / "sample-1.0-cp311-cp311-linux_x86_64.whl"
    shutil.copy(CASES / "kernel.h", tmp_path)
    program = compiled(tmp_path, (CASES / "ifunc.c").read_text(), "-O2")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(program, "sample/program")
    assert explain(f"{wheel}/sample/program", "wide").verdict.reach == "dispatched"
    assert explain(f"{library(tmp_path)}(wide.o)", "wide").verdict.reach == "unknown"


@pytest.mark.parametrize("inside", ["/sample/none", "/../etc/passwd", "(none.o)"])
def test_a_file_that_is_not_in_its_package_is_an_error_with_a_fix(inside, tmp_path, capsys):
    wheel = tmp_path / "sample-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(shutil.which("true"), "sample/program")
    assert main(["isa", "explain", f"{wheel}{inside}", "main"]) == 2
    assert "fix:   name a file as `uplift isa audit` does" in capsys.readouterr().err


def test_the_text_shows_variants_bits_and_the_files_properties(chosen, capsys):
    assert main(["isa", "explain", str(chosen), "work"]) == 0
    text = capsys.readouterr().out
    assert "a resolver (IFUNC)" in text and "chooses from 2 variants" in text
    assert "x86/avx2: cpuid.7.0.ebx bit 5" in text
    assert main(["isa", "explain", str(chosen), "wide", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["features"]["avx2"]["test"] == "cpuid.7.0.ebx bit 5"
