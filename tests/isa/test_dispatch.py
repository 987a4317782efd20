"""How code is reached: what the audit says agrees with what programs do on lesser processors."""

from __future__ import annotations

import pytest

from tests.isa.dispatch_matrix import CASES, Build, Told, few, missing, show, verdict
from tests.isa.elf_files import compiled, tool
from uplift.isa.audit import audit
from uplift.isa.model import Reach

GUARDED = """
#include <immintrin.h>
#include <stdio.h>
__attribute__((target("avx2"), noinline)) static int wide(int n)
{
    __m256i v = _mm256_add_epi32(_mm256_set1_epi32(n), _mm256_set1_epi32(n * 2));
    return _mm256_extract_epi32(v, 5);
}
int main(int argc, char **argv)
{
    return printf("%d", __builtin_cpu_supports("FEATURE") ? wide(argc) : argc) < 0;
}
"""


def _wide(folder, feature, *flags):
    path = compiled(folder, GUARDED.replace("FEATURE", feature), "-O2", *flags)
    result = audit(path)
    return result, next(f for f in result.functions if f.name == "wide")


def test_code_behind_a_test_of_its_feature_is_dispatched_and_says_by_what(tmp_path):
    result, found = _wide(tmp_path, "avx2")
    assert found.reach == Reach.DISPATCHED
    assert found.evidence == ("guarded in main by __cpu_model",)
    assert result.level == result.needs == "x86-64"
    assert not audit(tmp_path / "made", baseline="x86-64").violations


def test_a_test_of_less_than_is_used_is_shown_by_the_machine_between(tmp_path):
    result, found = _wide(tmp_path, "avx")
    assert found.sets["avx2"].reach == Reach.ALWAYS
    assert found.evidence[0].startswith("on Ivy Bridge: reached from outside or at start")
    assert result.level == "x86-64-v3"
    (violation,) = audit(tmp_path / "made", baseline="x86-64-v2").violations
    assert violation.function == "wide" and violation.certain


def test_code_that_no_test_guards_is_a_violation_of_the_baseline(tmp_path):
    source = GUARDED.replace('__builtin_cpu_supports("FEATURE")', "1")
    result = audit(compiled(tmp_path, source, "-O2"), baseline="x86-64-v2")
    (violation,) = result.violations
    assert violation.certain and violation.sets == ("avx", "avx2")
    assert audit(tmp_path / "made", baseline="x86-64-v3").violations == ()


def test_what_the_dynamic_linker_takes_on_better_processors_only_is_dispatched(tmp_path):
    source = GUARDED.replace('__builtin_cpu_supports("FEATURE")', "1")
    data = compiled(tmp_path, source, "-O2").read_bytes()
    path = "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libx.so.1"
    (found,) = audit(data, path=path).functions
    assert found.reach == Reach.DISPATCHED and "x86-64-v3" in found.evidence[0]


FILLED = """
#include <immintrin.h>
struct work { void (*one)(int *); void (*two)(int *); };
#define WIDE __attribute__((target("avx2"), noinline)) static
WIDE void one(int *n) { _mm256_storeu_si256((void *)n, _mm256_set1_epi32(*n)); }
WIDE void two(int *n) { _mm256_storeu_si256((void *)n, _mm256_set1_epi64x(*n)); }
static void (*const volatile both[])(int *) = {one, two};
void fill(struct work *work, int has)
{
    if (has & 4) {
        work->one = both[0];
        work->two = both[1];
    }
}
"""


def test_what_is_only_put_into_a_table_is_not_always_reached(tmp_path):
    found = audit(compiled(tmp_path, FILLED, "-O2", "-fPIC", "-shared")).functions
    assert {f.name: f.reach for f in found} == {"one": Reach.UNKNOWN, "two": Reach.UNKNOWN}


KEPT = """
#include <cpuid.h>
#include <immintrin.h>
#include <stdlib.h>
struct context { int other, has; };
__attribute__((target("avx2"), noinline)) static int wide(int n)
{
    __m256i v = _mm256_add_epi32(_mm256_set1_epi32(n), _mm256_set1_epi32(n * 2));
    return _mm256_extract_epi32(v, 5);
}
__attribute__((noinline)) struct context *made(void)
{
    struct context *context = malloc(sizeof *context);
    unsigned a = 0, b = 0, c = 0, d = 0;
    ASK
    context->has = b >> 5 & 1;
    return context;
}
int run(const struct context *context, int n) { return CALL; }
"""
ASK = "__cpuid_count(7, 0, a, b, c, d);"


@pytest.mark.parametrize(
    ("ask", "call", "reach"),
    [
        (ASK, "context->has ? wide(n) : n", Reach.UNKNOWN),
        ('b = getenv("X") ? 32 : 0;', "context->has ? wide(n) : n", Reach.ALWAYS),
        (ASK, "wide(n) + context->has", Reach.ALWAYS),
    ],
)
def test_a_branch_on_memory_may_be_a_guard_where_cpuid_s_answer_went_to_memory(
    tmp_path, ask, call, reach
):
    source = KEPT.replace("ASK", ask).replace("CALL", call)
    path = compiled(tmp_path, source, "-O2", "-fPIC", "-shared")
    (found,) = (f for f in audit(path).functions if f.name == "wide")
    assert found.reach == reach
    assert any("CPUID" in text for text in found.evidence) == (reach == Reach.UNKNOWN)


def _wide_of(path):
    return next(f.reach for f in audit(path).functions if f.name == "wide")


def test_what_a_program_offers_to_plug_ins_is_judged_by_what_itself_does(tmp_path):
    source = GUARDED.replace("FEATURE", "avx2").replace("static int wide", "int wide")
    assert _wide_of(compiled(tmp_path, source, "-O2", "-rdynamic")) == Reach.DISPATCHED
    lonely = source.replace("wide(argc)", "argc")
    assert _wide_of(compiled(tmp_path, lonely, "-O2", "-rdynamic")) == Reach.UNKNOWN
    assert _wide_of(compiled(tmp_path, lonely, "-O2", "-fPIC", "-shared")) == Reach.ALWAYS


def _compared(folder, case):
    """Without optimization: with it, the pointer compared with is left where arguments are."""
    return verdict(
        audit(compiled(folder, (CASES / case).read_text(), "-O0", f"-I{CASES}")), "x86-64"
    )


def test_a_comparison_with_an_address_that_only_guarded_code_takes_is_a_guard(tmp_path):
    assert _compared(tmp_path, "compared_pointer.c") == (Told.SAFE, ())


def test_a_comparison_with_an_address_that_is_taken_elsewhere_too_is_no_guard(tmp_path):
    told, functions = _compared(tmp_path, "compared_pointer_overruled.c")
    assert told != Told.SAFE and any(text.startswith("wide") for text in functions)


@pytest.mark.slow
@pytest.mark.parametrize("build", few(), ids=str)
def test_nothing_that_dies_is_taken_for_safe(build: Build, tmp_path):
    if lacking := missing(build):
        pytest.skip(f"{lacking} is not installed")
    shown = show(build, tmp_path)
    assert shown.runs, "the program does not end well on the better processor either"
    assert not shown.is_wrong, f"safe was said of what dies: {shown}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["guard.c", "early_return.c", "target_clones.c", "ifunc.c", "ifunc_cpuid.c", "cpuid_flags.c",
     "pointer_table.c", "filled_through_pointer.c", "switch_level.c", "guard_then_call_back.c"],
)  # fmt: skip
def test_the_usual_ways_to_dispatch_are_known(case, tmp_path):
    tool("qemu-x86_64", "qemu-user")
    shown = show(Build(case, "gcc"), tmp_path)
    assert shown.agrees and not shown.dies, shown
