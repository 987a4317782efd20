"""Boots of kernels on CPU models: a line each, a table of all, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.errors import UpliftError
from uplift.lab.qemu import BootResult, BootStatus
from uplift.report.explain import explanation, print_explanation
from uplift.report.model import ending
from uplift.report.terminal import safe
from uplift.resolve.model import Resolution

SCHEMA = "uplift-boot/1"

Json = dict[str, Any]
_STYLES = {"booted": "green", "refused": "yellow", "lost": "bold red", "error": "bold red"}
_CONSOLE_LINES = 12


@dataclass(frozen=True)
class Boot:
    """One kernel on one CPU model.

    :param cpu: as it was asked for.
    :param result: or why nothing could be booted.
    :param saved: where its snapshot was written.
    :param feature: what was asked to be explained inside it.
    """

    kernel: str
    arch: str
    cpu: str
    result: BootResult | UpliftError
    saved: Path | None = None
    feature: Resolution | None = None

    @property
    def status(self) -> str:
        """``booted``, ``refused``, ``lost``; ``error`` where nothing was booted."""
        return "error" if isinstance(self.result, UpliftError) else self.result.status.value

    @property
    def met(self) -> bool:
        """Whether there is a snapshot."""
        return self.status == BootStatus.BOOTED.value


def boots_to_json(boots: Sequence[Boot]) -> Json:
    """Return every boot; keys are only ever added within one schema version."""
    return {
        "schema": SCHEMA,
        "boots": [_boot_to_json(boot) for boot in boots],
        "counts": dict(sorted(Counter(boot.status for boot in boots).items())),
    }


def _boot_to_json(boot: Boot) -> Json:
    head = {"kernel": boot.kernel, "arch": boot.arch, "cpu": boot.cpu, "status": boot.status}
    if isinstance(boot.result, UpliftError):
        error = boot.result
        return {**head, "why": f"{error.problem}: {error.cause}", "fix": error.fix}
    result = boot.result
    snapshot = result.snapshot
    return {
        **head,
        "why": result.why,
        "accel": result.accel,
        "before": result.before,
        "seconds": round(result.seconds, 2),
        "dropped" if boot.met else "lacking": list(result.lacking),
        "console": [] if boot.met else result.console.splitlines()[-_CONSOLE_LINES:],
        "snapshot": snapshot.digest if snapshot else None,
        "saved": str(boot.saved) if boot.saved else None,
        "feature": (
            explanation(boot.feature, snapshot)
            if boot.feature is not None and snapshot is not None
            else None
        ),
    }


def print_boot(boot: Boot, console: Console) -> None:
    """Print how one boot ended, with what it takes to understand that."""
    line = Text.assemble(
        (f"{boot.status:8}", _STYLES[boot.status]),
        f"{safe(boot.kernel)}  {safe(boot.cpu)}",
    )
    for part in _told(boot):
        line.append(f"  {safe(part)}", style="dim")
    console.print(line)
    for text in _lines_below(boot):
        console.print(Text(f"    {safe(text)}"))
    if boot.feature is not None and isinstance(boot.result, BootResult) and boot.result.snapshot:
        print_explanation(boot.feature, boot.result.snapshot, console)


def _told(boot: Boot) -> Iterator[str]:
    if isinstance(boot.result, BootResult) and boot.status != BootStatus.REFUSED.value:
        yield f"{boot.result.seconds:.1f} s"
        yield boot.result.accel
    if boot.saved:
        yield str(boot.saved)


def _lines_below(boot: Boot) -> Iterator[str]:
    if isinstance(boot.result, UpliftError):
        yield f"{boot.result.problem}: {boot.result.cause}"
        yield f"fix: {boot.result.fix}"
        return
    if boot.result.lacking:
        yield (
            f"dropped by the emulator  {' '.join(boot.result.lacking)}"
            if boot.met
            else (f"the emulator lacks  {' '.join(boot.result.lacking)}")
        )
    if not boot.met:
        yield boot.result.why
        yield from (f"| {line}" for line in boot.result.console.splitlines()[-_CONSOLE_LINES:])


def print_before(boot: Boot, told: set[str], console: Console) -> None:
    """Print once what was tried before what then ran the machine."""
    before = "" if isinstance(boot.result, UpliftError) else boot.result.before
    if before and before not in told:
        told.add(before)
        console.print(Text(f"emulated, for KVM does not do here ({safe(before)})", style="dim"))


def print_table(boots: Sequence[Boot], console: Console) -> None:
    """Print kernels against CPU models; a cell says how it ended, or how the feature did inside."""
    models = list(dict.fromkeys(boot.cpu for boot in boots))
    cells = {(boot.kernel, boot.arch, boot.cpu): boot for boot in boots}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kernel", no_wrap=True)
    for model in models:
        table.add_column(safe(model), overflow="fold")
    for kernel, arch in dict.fromkeys((boot.kernel, boot.arch) for boot in boots):
        row = (_cell(cells.get((kernel, arch, model))) for model in models)
        table.add_row(Text(safe(kernel)), *row)
    console.print()
    console.print(table)


def _cell(boot: Boot | None) -> Text:
    if boot is None:
        return Text("")
    word = ending(boot.feature) if boot.feature is not None and boot.met else boot.status
    dropped = len(boot.result.lacking) if isinstance(boot.result, BootResult) and boot.met else 0
    text = Text(word, style=_STYLES[boot.status])
    return text.append(f" -{dropped}", style="dim") if dropped else text
