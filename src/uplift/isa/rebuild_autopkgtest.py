"""A package's tests of itself as installed: what ``debian/tests/control`` says, and how each ended.

Format: "Automatic as-installed package testing" of autopkgtest, README.package-tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

MAX_TESTS = 64
SKIP = 77  #: exit status of a test that is skippable and was skipped
_ALLOWED = frozenset(
    (
        *("allow-stderr", "superficial", "flaky", "skippable", "needs-root", "rw-build-tree"),
        *("breaks-testbed", "hint-testsuite-triggers", "skip-foreign-architecture"),
    )
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+./_-]*")


class Ended(str, Enum):
    """How one test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Test:
    """One test.

    :param command: for a shell; empty: the program ``debian/tests/NAME``.
    :param depends: in the form of control files; ``@`` stands for all of the package's binaries.
    """

    __test__ = False  # pytest would take it for one of its own

    name: str
    command: str
    directory: str
    depends: tuple[str, ...]
    restrictions: frozenset[str]

    @property
    def obstacle(self) -> str:
        """Why it cannot run in a root without network; empty where it can."""
        more = sorted(self.restrictions - _ALLOWED)
        if more:
            return f"it has the restriction {', '.join(more)}"
        if "@builddeps@" in self.depends:
            return "it wants what the build needs, too"
        return ""


@dataclass(frozen=True)
class TestEnd:
    """How one test ended, and why."""

    __test__ = False

    name: str
    ended: Ended
    why: str = ""


def listed(stanzas: Iterable[Mapping[str, str]]) -> Iterator[Test]:
    """Yield the tests of a control file, of its stanzas with names in lower case."""
    count = 0
    for fields in stanzas:
        words = re.split(r"[\s,]+", fields.get("tests", "").strip())
        names = [word for word in words if _NAME.fullmatch(word) and ".." not in word]
        command = fields.get("test-command", "")
        if command:
            names = [command.split()[0].rpartition("/")[2][:60]]
        for name in names:
            count += 1
            if count > MAX_TESTS:
                return
            yield Test(
                name,
                command,
                fields.get("tests-directory", "debian/tests"),
                tuple(_split(fields.get("depends", "@"))),
                frozenset(re.split(r"[\s,]+", fields.get("restrictions", ""))) - {""},
            )


def _split(text: str) -> Iterator[str]:
    for part in text.split(","):
        word = " ".join(part.split())
        if word:
            yield word


def end_of(test: Test, returncode: int, complaint: str, over: str) -> TestEnd:
    """Say how a test ended.

    :param complaint: the last line of its standard error.
    """
    if over:
        return TestEnd(test.name, Ended.FAILED, over)
    if returncode == SKIP and "skippable" in test.restrictions:
        return TestEnd(test.name, Ended.SKIPPED, "it skipped itself")
    if returncode:
        return TestEnd(test.name, Ended.FAILED, f"exit {returncode}: {complaint}".rstrip(": "))
    if complaint and "allow-stderr" not in test.restrictions:
        return TestEnd(test.name, Ended.FAILED, f"it wrote to standard error: {complaint}")
    return TestEnd(test.name, Ended.PASSED)


def wanted(test: Test, binaries: Sequence[str]) -> tuple[str, ...]:
    """Return what a test depends on beside the package's own binaries."""
    own = {"@", *binaries}
    return tuple(each for each in test.depends if each.split()[0] not in own)
