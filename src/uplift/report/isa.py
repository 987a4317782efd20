"""What an audit of binaries found, as one model for the terminal and for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from uplift.catalog.model import UNLABELLED, Labels
from uplift.isa import baseline
from uplift.isa.file_list import Skipped
from uplift.isa.many import Answer, Refused
from uplift.isa.model import FileAudit, FunctionAudit, Reach
from uplift.isa.tally import WORST_FIRST, Tally, code, exposed, perhaps_data, tallies
from uplift.isa.unused import CATALOG_ARCH, Chip, Fit, fit
from uplift.report.chip import ChipReport


@dataclass(frozen=True)
class FileReport:
    """One file: what it holds, what that means for a chip."""

    audit: FileAudit
    fit: Fit | None = None

    @cached_property
    def functions(self) -> tuple[FunctionAudit, ...]:
        """Functions above the base that are sure to be code, those of the worst reach first."""
        return tuple(sorted(code(self.audit), key=lambda f: (worst_first(f.reach), f.address)))

    @cached_property
    def sets(self) -> dict[str, Tally]:
        """The instruction sets of these functions."""
        return tallies(self.functions)

    @cached_property
    def unreached(self) -> dict[str, Tally]:
        """The sets of what looks like code but nothing was seen to reach: often data."""
        return tallies(perhaps_data(self.audit))

    @cached_property
    def reach(self) -> Reach | None:
        """The worst way in which code above the base is reached; None where there is none."""
        return min((tally.reach for tally in self.sets.values()), key=worst_first, default=None)

    def of_no_level(self, *reaches: Reach) -> tuple[str, ...]:
        """Return the sets reached in these ways that not even the highest level promises."""
        arch = self.audit.arch
        promised = baseline.level(arch, baseline.ladder(arch)[-1])
        return tuple(sorted(exposed(self.functions, *reaches) - promised))


@dataclass(frozen=True)
class AuditReport:
    """Everything that one command looked at.

    :param chip: what the files are compared with.
    """

    files: tuple[FileReport, ...]
    refused: tuple[Refused, ...]
    skipped: tuple[Skipped, ...]
    baseline: str = ""
    chip: Chip | None = None

    @property
    def labels(self) -> Labels:
        """The labels of everything in it: only a chip has any."""
        return self.chip.labels if self.chip else UNLABELLED


def report(
    answers: Iterable[Answer | Skipped], level: str = "", chip: Chip | None = None
) -> AuditReport:
    """Sort answers into what was audited, what was refused and what was skipped."""
    files, refused, skipped = [], [], []
    for answer in answers:
        if isinstance(answer, FileAudit):
            files.append(FileReport(answer, fit(answer, chip) if chip else None))
        elif isinstance(answer, Refused):
            refused.append(answer)
        else:
            skipped.append(answer)
    return AuditReport(tuple(files), tuple(refused), tuple(skipped), level, chip)


def worst_first(reach: Reach) -> int:
    """Return a key that sorts the worst reach first."""
    return WORST_FIRST.index(reach)


def address(value: int) -> str:
    """Return an address as text: kernels' are too large for other JSON readers' numbers."""
    return f"{value & 0xFFFFFFFFFFFFFFFF:#x}"


def chip_of(report: ChipReport) -> Chip | None:
    """Return what programs care for of a chip; None for an architecture that is not decoded."""
    arch = next((a for a, name in CATALOG_ARCH.items() if name == report.side.arch), None)
    if arch is None:
        return None
    return Chip(
        name=report.side.name,
        title=report.side.title,
        arch=arch,
        has=report.having(True),
        lacks=report.having(False),
        unknown=report.having(None),
        labels=report.labels,
    )
