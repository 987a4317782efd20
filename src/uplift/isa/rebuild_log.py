"""What a build's log says of the package's own tests, and of the flags that compilers got.

Formats: debhelper(7)'s lines; summaries as Automake, CTest, Meson, pytest, Go, Cargo and
``prove`` print them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

MAX_LINE = 4096


class Outcome(str, Enum):
    """How a package's own tests ended."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"  #: the package runs no tests when it is built
    NOT_RUN = "not-run"  #: it may have some; they were not run
    UNKNOWN = "unknown"  #: its rules do not say in a way that is read here


@dataclass(frozen=True)
class OwnTests:
    """How tests ended, and how that is known.

    :param why: one short sentence.
    :param summaries: what the test programs counted, as they print it.
    """

    status: Outcome
    why: str
    summaries: tuple[str, ...] = ()


@dataclass(frozen=True)
class FlagUse:
    """How many lines of a log start a compiler, and how many of them carry the level's flag."""

    compilers: int
    carrying: int


_STEP = re.compile(r"^   (?:debian/rules )?((?:override_|execute_(?:before|after)_)?dh_\w+)")
_TEST_STEP = re.compile(r"(?:override_|execute_(?:before|after)_)?dh_auto_test\b")
_FAILED_STEP = re.compile(
    r"dh_auto_test: error:|\*\*\* \[[^\]]*(?:dh_auto_test|test|check)[^\]]*\] Error"
)
_SUMMARIES = tuple(
    re.compile(pattern)
    for pattern in (
        r"^# (?:TOTAL|PASS|FAIL|XFAIL|SKIP|ERROR): +\d+$",
        r"^\d+% tests passed, \d+ tests failed out of \d+",
        r"^(?:Ok|Fail|Expected Fail|Unexpected Pass|Skipped|Timeout): +\d+ *$",
        r"^=+ .*\d+ (?:passed|failed).* =+$",
        r"^(?:ok|FAIL) +\t?\S+\s+[\d.]+s",
        r"^test result: (?:ok|FAILED)\. .*",
        r"^(?:All tests successful\.|Files=\d+, Tests=\d+.*|Result: (?:PASS|FAIL))",
        r"^(?:(?:All|PASSED all) \d+ tests(?: passed)?|\d+ tests? passed).*$",
    )
)
_COMPILER = re.compile(
    r"(?:^|[\s/])(?:[\w-]+-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran)(?:-\d+)?\s.*\s-c\s"
)
_MAX_SUMMARIES = 24
#: Where a build gives up; what it gave up for stands before.
_GIVEN_UP = re.compile(
    r"^(?:make(?:\[\d+\])?: \*\*\* \[|ninja: build stopped|dh_auto_\w+: error: )"
)
_CAUSE = re.compile(
    r"^(?:[^\s:][^:]*:\d+(?::\d+)?: (?:fatal )?error: .*|.*: undefined reference to .*"
    r"|(?:\S*ld|collect2|configure|CMake|meson\.build)\b.*[Ee]rror.*|error(?:\[E\d+\])?: .*)"
)


def own_tests(log: str, built: bool, asked: bool = True, reason: str = "") -> OwnTests:
    """Say how the package's own tests ended.

    :param built: whether the build ended well.
    :param asked: False: the build was told to leave tests out, for ``reason``.
    """
    if not asked:
        return OwnTests(Outcome.NOT_RUN, reason or "the build was told to leave them out")
    lines = [line.rstrip()[:MAX_LINE] for line in log.splitlines()]
    places = [n for n, line in enumerate(lines) if (m := _STEP.match(line)) and _is_test(m[1])]
    counted = tuple(_summaries(lines))
    if not places:
        return _without_step(built, counted)
    ran = any(_commands_after(lines, place) for place in places)
    if not built and any(_FAILED_STEP.search(line) for line in lines[places[0] :]):
        return OwnTests(Outcome.FAILED, "the build ended in its tests", counted)
    if not built:
        return OwnTests(Outcome.UNKNOWN, "the build ended before its tests were done", counted)
    if ran:
        return OwnTests(Outcome.PASSED, "the build ran them and went on", counted)
    return OwnTests(Outcome.NONE, "dh_auto_test found nothing to run")


def _is_test(step: str) -> bool:
    return _TEST_STEP.fullmatch(step) is not None


def _without_step(built: bool, counted: tuple[str, ...]) -> OwnTests:
    if not built:
        return OwnTests(Outcome.NOT_RUN, "the build ended before its tests")
    if counted:
        return OwnTests(Outcome.PASSED, "its rules ran some and went on", counted)
    return OwnTests(Outcome.UNKNOWN, "its rules call no dh_auto_test, and nothing was counted")


def _commands_after(lines: Sequence[str], place: int) -> bool:
    """Whether a test step did something before the next step."""
    for line in lines[place + 1 :]:
        step = _STEP.match(line)
        if step is not None and not _is_test(step[1]):
            return False
        quiet = line.startswith(("make[", "make:")) and "directory" in line
        if line.strip() and step is None and not quiet:
            return True
    return False


def _summaries(lines: Sequence[str]) -> Iterator[str]:
    found = dict.fromkeys(
        line.strip() for line in lines if any(pattern.match(line) for pattern in _SUMMARIES)
    )
    yield from list(found)[:_MAX_SUMMARIES]


def flag_use(log: str, march: str) -> FlagUse:
    """Count compilers that a log shows, and those that were given the level's flag."""
    compilers = carrying = 0
    for line in log.splitlines():
        if _COMPILER.search(line[:MAX_LINE] + " "):
            compilers += 1
            carrying += f" {march}" in line
    return FlagUse(compilers, carrying)


def why_failed(log: str) -> str:
    """Return the last error that a compiler, a linker or a configuration told before the end.

    :return: empty where none of their lines is known; what ``make`` and dpkg say helps nobody.
    """
    found = ""
    for text in log.splitlines():
        line = text.rstrip()[:MAX_LINE]
        if _GIVEN_UP.match(line) and found:
            break
        if _CAUSE.match(line):
            found = line
    return found
