"""Levels as compilers know them, and what a compiler's macros say a level holds."""

from __future__ import annotations

import pytest

from uplift.errors import UpliftError
from uplift.isa import baseline
from uplift.isa.rebuild_levels import environment, find, levels, refused, sets_of, variant_of

#: Of ``gcc-12 -march=x86-64-v3 -E -dM``, those that speak of instruction sets.
V3_MACROS = """\
#define __MMX__ 1
#define __SSE__ 1
#define __SSE2__ 1
#define __SSE3__ 1
#define __SSSE3__ 1
#define __SSE4_1__ 1
#define __SSE4_2__ 1
#define __POPCNT__ 1
#define __LAHF_SAHF__ 1
#define __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16 1
#define __AVX__ 1
#define __AVX2__ 1
#define __BMI__ 1
#define __BMI2__ 1
#define __F16C__ 1
#define __FMA__ 1
#define __LZCNT__ 1
#define __MOVBE__ 1
#define __XSAVE__ 1
#define __VERSION__ "12.2.0"
#define __k8 1
"""


def test_what_the_compiler_says_of_v3_is_what_the_psabi_says():
    assert sets_of("x86-64", V3_MACROS) == baseline.level("x86-64", "x86-64-v3")


def test_every_compiler_of_dpkg_buildflags_gets_the_flag_and_so_do_rust_and_go():
    told = environment(find("x86-64-v3", "x86-64"), tests=True, jobs=2)
    assert {name: told[f"DEB_{name}_APPEND"] for name in ("CFLAGS", "CXXFLAGS", "FFLAGS")} == {
        "CFLAGS": "-march=x86-64-v3",
        "CXXFLAGS": "-march=x86-64-v3",
        "FFLAGS": "-march=x86-64-v3",
    }
    assert told["RUSTFLAGS"] == "-C target-cpu=x86-64-v3"
    assert told["GOAMD64"] == "v3"
    assert told["DEB_BUILD_OPTIONS"] == "parallel=2"


def test_a_build_without_tests_says_so_to_rules_and_to_dependencies():
    told = environment(find("znver4", "x86-64"), tests=False, jobs=1)
    assert told["DEB_BUILD_OPTIONS"] == "parallel=1 nocheck"
    assert told["DEB_BUILD_PROFILES"] == "nocheck"


def test_a_level_of_another_architecture_is_refused_by_naming_it():
    with pytest.raises(UpliftError) as error:
        find("armv9-a", "x86-64")
    assert error.value.cause == "it is one of aarch64"


def test_a_variant_is_refused_for_a_level_that_it_is_not():
    assert variant_of(find("v3", "x86-64"), "amd64v3") == "amd64v3"
    with pytest.raises(UpliftError, match="amd64v3"):
        variant_of(find("x86-64-v4", "x86-64"), "amd64v3")


def test_a_compiler_that_does_not_know_a_level_is_told_which_one_does():
    error = refused(find("znver5", "x86-64"), "gcc 12.2.0", "bad value")
    assert error.cause == "gcc 12.2.0 does not know -march=znver5: bad value"
    assert error.fix.startswith("GCC knows it since 14, Clang since 19")


def test_no_level_is_listed_twice_and_every_suffix_may_stand_in_a_version():
    known = [(level.name, level.arch) for level in levels()]
    assert len(known) == len(set(known))
    assert all(level.suffix.replace(".", "").isalnum() for level in levels())
