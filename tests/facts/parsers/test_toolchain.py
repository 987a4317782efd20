"""Compilers, assembler, C library and what they know of the CPU."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, why_unknown
from uplift.facts.model import CaptureStatus, Facts, Missing
from uplift.facts.parsers import assembler, compilers, libc
from uplift.facts.snapshot_file import load

GCC, CLANG = compilers.PARSERS
OLD = "gcc (Ubuntu 9.4.0-1ubuntu1~20.04.2) 9.4.0\nCopyright (C) 2019\n"
NEW = "gcc-16 (Ubuntu 16.1.0-2ubuntu1) 16.1.0\nCopyright (C) 2026\n"


@pytest.fixture(scope="module")
def milan():
    return load(RECORDINGS / "software" / "milan.jsonl.gz")


def test_the_newest_compiler_answers_for_its_kind():
    captures = {
        "cmd:gcc/version": OLD,
        "cmd:gcc-16/version": NEW,
        "cmd:gcc/accepts": "-mamx-fp16 no\n",
        "cmd:gcc-16/accepts": "-mamx-fp16 yes\n-mavx512er no\n",
    }
    facts = facts_of(GCC, captures)
    assert facts.value("compiler.gcc.version") == "16.1.0"
    assert facts.value("compiler.gcc.default_version") == "9.4.0"
    assert facts.value("compiler.gcc.version_of.gcc-16") == "16.1.0"
    assert facts.value("compiler.gcc.accepts") == {"-mamx-fp16"}


def test_help_lists_options_and_the_values_they_know():
    text = (
        "The following options are target specific:\n"
        "  -mavx10.2                   \t\t[disabled]\n"
        "  -march=                     \t\tx86-64\n"
        "  -mlarge-data-threshold=<number> \t65536\n\n"
        "  Known valid arguments for -march= option:\n    znver5\n    znver6 native\n\n"
    )
    facts = facts_of(GCC, {"cmd:gcc/target-help": text, "cmd:gcc/version": NEW})
    assert facts.value("compiler.gcc.accepts") == {
        *("-mavx10.2", "-march=znver5", "-march=znver6", "-march=native")
    }


def test_an_answer_no_wins_over_a_listed_option():
    help_text = "  -mavx512er    \t[disabled]\n  -mavx2   \t[enabled]\n"
    captures = {"cmd:gcc/target-help": help_text, "cmd:gcc/accepts": "-mavx512er no\n"}
    assert facts_of(GCC, captures).value("compiler.gcc.accepts") == {"-mavx2"}


def test_clangs_list_of_cpus_is_what_march_accepts():
    text = "Available CPUs for this target:\n\n\tznver5\n\tgraniterapids\n\nUse -mcpu\n"
    facts = facts_of(CLANG, {"cmd:clang-19/target-help": text})
    assert facts.value("compiler.clang.accepts") == {"-march=znver5", "-march=graniterapids"}


def test_native_is_what_the_compiler_proper_would_be_told():
    features = '"-target-feature" "+avx2" "-target-feature" "-sgx"'
    line = f' "clang" "-cc1" "-target-cpu" "znver4" {features}\n'
    facts = facts_of(CLANG, {"cmd:clang/march-native": line})
    assert facts.value("compiler.clang.native") == {"-mavx2"}
    assert facts.value("compiler.clang.native_march") == "znver4"
    words = "/usr/lib/cc1 -E -march=znver4 -mavx2 -mno-sgx --param l1-cache-size=32\n"
    facts = facts_of(GCC, {"cmd:gcc/march-native": words})
    assert facts.value("compiler.gcc.native") == {"-mavx2"}


def test_a_compiler_that_is_not_installed_accepts_nothing_where_another_is():
    found = {"probe:compilers": "gcc /usr/bin/gcc /usr/bin/gcc-13\n"}
    assert facts_of(CLANG, found).value("compiler.clang.accepts") == frozenset()
    assert facts_of(CLANG, found).value("compiler.clang.installed") is False


def test_where_no_compiler_is_installed_nobody_can_say_what_is_accepted():
    facts = facts_of(CLANG, {"probe:compilers": "\n"})
    assert isinstance(facts.get("compiler.clang.accepts"), Missing)


@pytest.mark.parametrize(
    ("capture", "broken"),
    [
        ("cmd:gcc/version", "command not found\n"),
        ("cmd:gcc/accepts", "\n"),
        ("cmd:gcc/target-help", "error\n"),
        ("cmd:gcc/march-native", "error\n"),
    ],
)
def test_a_compilers_broken_answer_is_unknown(capture, broken):
    assert capture in why_unknown(GCC, {capture: broken}, "compiler.gcc.accepts")


def test_real_compilers_are_read(milan):
    facts = Facts(milan, (*compilers.PARSERS, assembler.PARSER))
    assert facts.value("compiler.gcc.version") == "12.2.0"
    assert {"-mamx-tile", "-march=sapphirerapids"} <= facts.value("compiler.gcc.accepts")
    assert "-march=graniterapids" not in facts.value("compiler.gcc.accepts")
    assert facts.value("compiler.gcc.native_march") == "znver3"
    assert "-mvaes" in facts.value("compiler.gcc.native")
    assert "-mavx512f" not in facts.value("compiler.clang.native")
    assert "-march=znver3" in facts.value("compiler.clang.accepts")
    assert facts.value("assembler.version") == "2.40"
    assert "amx_tile" in facts.value("assembler.accepts")
    assert "apx_f" not in facts.value("assembler.accepts")


def test_a_broken_assembler_is_unknown_and_an_absent_one_says_so():
    assert "line 1" in why_unknown(assembler.PARSER, {"cmd:as/version": "x"}, "assembler.version")
    absent = {"cmd:as/version": CaptureStatus.ABSENT}
    assert facts_of(assembler.PARSER, absent).get("assembler.version").why.endswith("was absent")


DIAGNOSTICS = """\
dl_hwcaps_subdirs="x86-64-v4:x86-64-v3:x86-64-v2"
dl_hwcaps_subdirs_active=0x6
dl_platform="haswell"
env[0x1]="GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2"
version.version="2.41"
x86.cpu_features.features[0x1].cpuid[0x3]=0x1000000
x86.cpu_features.features[0x1].active[0x3]=0x0
x86.cpu_features.features[0x1].cpuid[0x1]=0x20
x86.cpu_features.features[0x1].active[0x1]=0x20
x86.cpu_features.preferred.Prefer_ERMS=0x1
x86.cpu_features.preferred.Slow_BSF=0x0
x86.processor[0x0].cpuid.eax[0x0].eax=0x20
x86.processor[0x0].cpuid.subleaf_eax[0x7].ecx[0x1].edx=0x4000
"""
LOADER = "cmd:ld.so/diagnostics"


def test_what_cpuid_told_glibc_and_what_glibc_uses_are_kept_apart():
    facts = facts_of(libc.PARSER, {LOADER: DIAGNOSTICS})
    assert facts.value("libc.present") == {"amx_tile", "avx2"}
    assert facts.value("libc.active") == {"avx2"}
    assert facts.value("libc.preferred") == {"Prefer_ERMS"}


def test_the_loaders_mask_says_which_subdirectories_it_searches():
    facts = facts_of(libc.PARSER, {LOADER: DIAGNOSTICS})
    assert facts.value("libc.hwcaps") == {"x86-64-v3", "x86-64-v2"}


def test_tunables_of_the_environment_are_told_and_empty_without():
    facts = facts_of(libc.PARSER, {LOADER: DIAGNOSTICS})
    assert facts.value("libc.tunables") == "glibc.cpu.hwcaps=-AVX2"
    without = 'version.version="2.36"\nenv_filtered[0x0]="GLIBC_TUNABLES"\n'
    assert facts_of(libc.PARSER, {LOADER: without}).value("libc.tunables") == ""


def test_raw_cpuid_that_newer_loaders_print_is_read():
    facts = facts_of(libc.PARSER, {LOADER: DIAGNOSTICS})
    assert facts.value("libc.cpuid.7.1.edx") == 0x4000
    assert facts.value("libc.cpuid.0.0.eax") == 0x20


def test_on_arm64_what_is_not_zero_is_active():
    text = 'version.version="2.42"\naarch64.cpu_features.bti=0x1\naarch64.cpu_features.mops=0x0\n'
    facts = facts_of(libc.PARSER, {LOADER: text})
    assert facts.value("libc.active") == {"bti"}


def test_a_loader_before_2_33_tells_its_version_by_ldd():
    facts = facts_of(libc.PARSER, {"cmd:ldd/version": "ldd (Ubuntu GLIBC 2.31-0ubuntu9) 2.31\n"})
    assert facts.value("libc.version") == "2.31"
    assert facts.value("libc.package") == "Ubuntu GLIBC 2.31-0ubuntu9"
    assert isinstance(facts.get("libc.active"), Missing)


@pytest.mark.parametrize(
    ("capture", "broken"),
    [(LOADER, "Segmentation fault\n"), ("cmd:ldd/version", "?\n"), ("cmd:ld.so/hwcaps", "?\n")],
)
def test_a_broken_loader_is_unknown(capture, broken):
    assert why_unknown(libc.PARSER, {capture: broken}, "libc.version")


def test_a_real_loader_is_read(milan):
    facts = Facts(milan, (libc.PARSER,))
    assert facts.value("libc.version") == "2.36"
    assert {"avx2", "vaes", "sha"} <= facts.value("libc.active")
    assert facts.value("libc.active") <= facts.value("libc.present")
    assert facts.value("libc.hwcaps") == {"x86-64-v2", "x86-64-v3"}
