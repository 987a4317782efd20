"""What a build's log says: tests passed only where some ran, flags only where they show."""

from __future__ import annotations

import pytest

from uplift.isa.rebuild_log import FlagUse, Outcome, flag_use, own_tests, why_failed

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


#: In the form of GCC 12, make 4.3, debhelper 13 and dpkg 1.21.
REFUSED = """\
cc -O2 -march=x86-64-v3 -c -o dispatch.o dispatch.c
dispatch.c:85:4: error: #error "Do not compile this with AVX"
   85 | #  error "Do not compile this with AVX"
cc -O2 -c -o other.o other.c
make[1]: *** [Makefile:143: lib.so] Error 1
make[1]: *** Waiting for unfinished jobs....
later.c:1:1: error: stopped in the middle
dh_auto_build: error: make -j2 returned exit code 2
make: *** [debian/rules:12: binary-arch] Error 25
dpkg-buildpackage: error: debian/rules binary-arch subprocess returned exit status 2
"""


def test_the_reason_of_a_failure_is_what_the_compiler_said_and_not_what_dpkg_made_of_it():
    assert why_failed(REFUSED) == 'dispatch.c:85:4: error: #error "Do not compile this with AVX"'


@pytest.mark.parametrize(
    "line",
    [
        "a.cpp:3:10: fatal error: x.h: No such file or directory",
        "/usr/bin/ld: a.o: in function `f': a.c:3: undefined reference to `g'",
        "error[E0425]: cannot find value `x` in this scope",
        "configure: error: no acceptable C compiler found",
        "CMake Error at CMakeLists.txt:3 (find_package):",
    ],
)
def test_errors_of_compilers_linkers_and_configurations_are_known(line):
    assert why_failed(f"before\n{line}\nmake: *** [x] Error 1\n") == line


def test_a_log_without_such_an_error_gives_no_reason():
    assert why_failed("make: *** [debian/rules:4: x] Error 2\ndpkg-buildpackage: error: y\n") == ""
