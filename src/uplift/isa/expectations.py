"""Code above the baseline that a package means to have: named by function, each with a reason.

An expectations file is TOML::

    [[expect]]
    file = "libfoo.so.1"              # soname, file name or end of the path; may be a pattern
    functions = ["foo_*_avx2"]        # names or patterns
    sets = ["avx2", "bmi*"]           # only these instruction sets; left out: any
    reason = "called through foo_init, which asks CPUID"
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from uplift.errors import UpliftError
from uplift.isa.model import FileAudit, Violation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20
MAX_ENTRIES = 10_000
UNREVIEWED = "not reviewed"  #: how the reason begins of what no person looked at yet
_KEYS = frozenset({"file", "functions", "sets", "reason"})
ADDRESS = re.compile(r"0x[0-9a-f]+")


@dataclass(frozen=True)
class Expectation:
    """Functions of a file that may be above the baseline.

    :param sets: patterns of instruction sets; empty for any.
    """

    file: str
    functions: tuple[str, ...]
    reason: str
    sets: tuple[str, ...] = ()

    def is_about(self, audit: FileAudit) -> bool:
        """Whether a file is meant: by its soname, its name, or the end of its path."""
        path = PurePath(audit.path)
        names = [audit.identity.soname, path.name, audit.path]
        names += ["/".join(path.parts[at:]) for at in range(1, len(path.parts))]
        return any(fnmatchcase(name, self.file) for name in names if name)

    def allows(self, pattern: str, violation: Violation) -> bool:
        """Whether one of its patterns covers a violation, with all its instruction sets."""
        return fnmatchcase(violation.function, pattern) and (
            not self.sets
            or all(any(fnmatchcase(name, p) for p in self.sets) for name in violation.sets)
        )


@dataclass(frozen=True)
class Finding:
    """A violation of the baseline.

    :param expected: the expectation that covers it.
    """

    audit: FileAudit
    violation: Violation
    expected: Expectation | None = None


@dataclass(frozen=True)
class Stale:
    """A pattern that covers nothing, though its file was looked at."""

    expectation: Expectation
    pattern: str


@dataclass(frozen=True)
class Judgement:
    """What was found beyond a baseline, and what of it was expected."""

    findings: tuple[Finding, ...]
    stale: tuple[Stale, ...]

    def unexpected(self, only_certain: bool = False) -> tuple[Finding, ...]:
        """Return what no expectation covers; what is always reached, first in each file."""
        return tuple(
            finding
            for finding in self.findings
            if finding.expected is None and (finding.violation.certain or not only_certain)
        )

    @property
    def unreviewed(self) -> tuple[Finding, ...]:
        """Return what only expectations cover that no person looked at yet."""
        return tuple(
            finding
            for finding in self.findings
            if finding.expected and finding.expected.reason.startswith(UNREVIEWED)
        )

    @property
    def expected(self) -> tuple[Finding, ...]:
        """What expectations cover."""
        return tuple(finding for finding in self.findings if finding.expected is not None)


def judge(audits: Iterable[FileAudit], expectations: Sequence[Expectation]) -> Judgement:
    """Hold the violations that audits found of a baseline against expectations."""
    findings: list[Finding] = []
    seen: set[Expectation] = set()
    used: set[tuple[Expectation, str]] = set()
    for audit in audits:
        about = [e for e in expectations if e.is_about(audit)]
        seen.update(about)
        for violation in sorted(audit.violations, key=lambda v: (not v.certain, v.address)):
            covering = [(e, p) for e in about for p in e.functions if e.allows(p, violation)]
            used.update(covering)
            expected = covering[0][0] if covering else None
            findings.append(Finding(audit, violation, expected))
    return Judgement(tuple(findings), tuple(_stale(expectations, seen, used)))


def _stale(
    expectations: Sequence[Expectation],
    seen: set[Expectation],
    used: set[tuple[Expectation, str]],
) -> Iterator[Stale]:
    for expectation in expectations:
        for pattern in expectation.functions if expectation in seen else ():
            if (expectation, pattern) not in used:
                yield Stale(expectation, pattern)


def load(path: Path) -> tuple[Expectation, ...]:
    """Read an expectations file.

    :raises UpliftError: it cannot be read, or an entry is not as it should be; it names the entry.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    if len(raw) > MAX_BYTES:
        raise _refused(path, f"it has more than {MAX_BYTES} bytes")
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"it is not TOML: {error}") from None
    return tuple(_expectations(path, document))


def _expectations(path: Path, document: Mapping[str, Any]) -> Iterator[Expectation]:
    unknown = sorted(document.keys() - {"expect"})
    if unknown:
        raise _refused(path, f"the key {unknown[0][:40]!r} is not known")
    entries = document.get("expect", [])
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise _refused(path, f"expect is no list of at most {MAX_ENTRIES} tables")
    for number, entry in enumerate(entries, 1):
        try:
            yield _expectation(entry)
        except ValueError as error:
            raise _refused(path, f"entry {number}: {error}") from None


def _expectation(entry: Any) -> Expectation:
    if not isinstance(entry, dict):
        raise ValueError("it is no table")
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise ValueError(f"the key {unknown[0][:40]!r} is not known")
    functions = _texts(entry, "functions")
    if not functions:
        raise ValueError("it names no function")
    address = next((name for name in functions if ADDRESS.fullmatch(name)), None)
    if address:
        raise ValueError(f"{address} is an address, which changes with every build; name functions")
    file, reason = _text(entry, "file"), _text(entry, "reason")
    return Expectation(file, functions, reason, _texts(entry, "sets") if "sets" in entry else ())


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} has to be a text")
    return value.strip()


def _texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = entry.get(key)
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(f"{key} has to be a list of texts")
    return tuple(value)


def _refused(path: Path, cause: str) -> UpliftError:
    return UpliftError(
        f"cannot use the expectations of {str(path)!r}",
        cause,
        "write [[expect]] tables with file, functions, reason and, where wanted, sets",
    )
