"""What a build's log says: tests passed only where some ran, flags only where they show."""

from __future__ import annotations

import pytest

from uplift.isa.rebuild_log import FlagUse, Outcome, flag_use, own_tests

#: In the form of debhelper 13.
RAN = """\
   dh_auto_build -a
\tmake -j2
gcc -g -O2 -march=x86-64-v3 -Wall -c -o a.o a.c
gcc -O3 -c -o b.o b.c
   dh_auto_test -a
\tmake -j2 check
PASS: one
# TOTAL: 12
# PASS:  12
# FAIL:  0
   create-stamp debian/debhelper-build-stamp
   dh_testroot -a
"""
OVERRIDDEN = """\
   debian/rules override_dh_auto_test
make[1]: Entering directory '/build/tree'
ctest
100% tests passed, 0 tests failed out of 7
make[1]: Leaving directory '/build/tree'
   dh_install
"""
EMPTY_OVERRIDE = """\
   debian/rules override_dh_auto_test
make[1]: Entering directory '/build/tree'
make[1]: Leaving directory '/build/tree'
   dh_install
"""
NOTHING = "   dh_auto_build\n\tmake\n   dh_auto_test\n   dh_prep\n"
FAILED = """\
   dh_auto_test -a
\tmake -j1 check
# FAIL:  3
dh_auto_test: error: make -j1 check returned exit code 2
make: *** [debian/rules:7: binary-arch] Error 25
"""


@pytest.mark.parametrize(
    ("log", "built", "status"),
    [
        (RAN, True, Outcome.PASSED),
        (OVERRIDDEN, True, Outcome.PASSED),
        (EMPTY_OVERRIDE, True, Outcome.NONE),
        (NOTHING, True, Outcome.NONE),
        (FAILED, False, Outcome.FAILED),
        ("   dh_auto_build\n\tmake\nerror\n", False, Outcome.NOT_RUN),
        ("cc -o x x.c\n", True, Outcome.UNKNOWN),
        ("./x\nAll tests successful.\n", True, Outcome.PASSED),
        (RAN + "dh_missing: error: missing files\n", False, Outcome.UNKNOWN),
    ],
)
def test_the_result_is_what_the_log_shows(log, built, status):
    assert own_tests(log, built).status is status


def test_what_the_tests_counted_is_kept_as_they_print_it():
    assert own_tests(RAN, True).summaries == ("# TOTAL: 12", "# PASS:  12", "# FAIL:  0")


def test_tests_left_out_are_not_passed_whatever_the_log_shows():
    result = own_tests(RAN, True, asked=False, reason="this machine lacks avx512fp16")
    assert (result.status, result.why) == (Outcome.NOT_RUN, "this machine lacks avx512fp16")


def test_compilers_without_the_flag_are_counted():
    assert flag_use(RAN, "-march=x86-64-v3") == FlagUse(compilers=2, carrying=1)
