"""``uplift isa``: which instructions binaries hold, and how they are reached."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import isa_archive, isa_query, output
from uplift.cli.once import Once
from uplift.cli.targets import add_overlay_option, catalog_of_user
from uplift.cli.worker_pool import workers
from uplift.errors import FOUND, USAGE, UpliftError

if TYPE_CHECKING:
    from uplift.isa.expectations import Expectation, Judgement
    from uplift.isa.file_list import Skipped, Wanted
    from uplift.isa.many import Answer, Question, Refused
    from uplift.isa.unused import Chip

_FILES = (
    "files; packages and images (.deb, .snap, wheel, OCI or Docker tarball), of which what is in "
    "them is taken; static libraries (.a), of which each object file is; directories, of which "
    "programs, libraries, kernels, modules and packages are; "
    "links in directories are not followed"
)
_LEVELS = (
    "a level (x86-64-v3, armv9-a, rva23u64, …) or a Debian or Ubuntu architecture "
    "(amd64, amd64v3, arm64, riscv64)"
)
_DEBUG = "a detached debug file, or a directory with .build-id/, for names of functions"


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "isa",
        help="which instructions binaries hold, and how they are reached",
        description="Say which instruction sets binaries hold, in which functions, and whether "
        "these are always reached, only after a test of the processor, or nobody saw how.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_audit(actions)
    _add_explain(actions)
    _add_check(actions)
    isa_archive.add_to(actions)
    isa_query.add_to(actions)


def _add_audit(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "audit",
        help="instruction sets, functions, and the level a file surely runs at",
        description="Audit files, directories, and what running processes execute. Exits with 2 "
        "when a file could not be audited; the others are still reported.",
    )
    parser.add_argument("paths", nargs="*", metavar="FILE|DIR", help=_FILES)
    parser.add_argument(
        "--pid",
        type=int,
        action="append",
        default=[],
        help="every file of which this process has code mapped; may be repeated",
    )
    parser.add_argument("--baseline", metavar="LEVEL", help=f"name violations of it: {_LEVELS}")
    parser.add_argument(
        "--chip",
        action=Once,
        help="say which of this chip's features a file uses, leaves unused, or misses; named as "
        "for `uplift chip show`",
    )
    parser.add_argument(
        "--level", action="store_true", help="only print LEVEL, a tab, and the file"
    )
    parser.add_argument("--functions", action="store_true", help="list every function")
    _add_common(parser, "uplift-isa-audit/1")
    add_overlay_option(parser)
    parser.set_defaults(run=run_audit)


def _add_explain(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "explain",
        help="the instructions, and the guard, that a verdict on a function rests on",
        description="Show the first instruction of each set in a function, the bit by which a "
        "processor says that it has the set, the tests of the processor that stand before it, and "
        "what leads to it, with addresses and bytes; of a resolver (IFUNC), what it chooses from.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="a file, PACKAGE/PATH, or LIBRARY(OBJECT), as audits name them"
    )
    parser.add_argument("function", metavar="FUNCTION", help="a name, or an address in it: 0x12f0")
    parser.add_argument("--debug", metavar="PATH", default="", help=_DEBUG)
    parser.add_argument("--json", action="store_true", help="print uplift-isa-explain/1 JSON")
    parser.set_defaults(run=run_explain)


def _add_check(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "check",
        help="fail where code above a baseline is reached without a guard",
        description="A lint for package builds. Exits with 1 when code above the baseline is "
        "always reached, or nobody saw how it is, and no expectation names its function.",
    )
    parser.add_argument("paths", nargs="*", metavar="FILE|DIR", help=_FILES)
    parser.add_argument("--baseline", required=True, metavar="LEVEL", help=_LEVELS)
    parser.add_argument(
        "--expect",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="TOML that names functions which may be above the baseline, and why",
    )
    parser.add_argument(
        "--write-expectations",
        type=Path,
        metavar="FILE",
        help="write a new file that expects everything that was found, to be looked at one by one",
    )
    parser.add_argument(
        "--only-certain",
        action="store_true",
        help="do not fail on code of which nobody saw how it is reached",
    )
    parser.add_argument("--all", action="store_true", help="list every function")
    _add_common(parser, "uplift-isa-check/1")
    parser.set_defaults(run=run_check)


def _add_common(parser: argparse.ArgumentParser, schema: str) -> None:
    parser.add_argument(
        "--installed",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="every file with instructions of this installed package; may be repeated",
    )
    parser.add_argument("--debug", metavar="PATH", default="", help=_DEBUG)
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes; default: one for each processor"
    )
    parser.add_argument("--json", action="store_true", help=f"print {schema} JSON")


def run_audit(args: argparse.Namespace) -> int:
    """Audit files, directories and processes."""
    from uplift.isa import baseline
    from uplift.isa.many import Question
    from uplift.report.isa import report

    if not args.paths and not args.pid and not args.installed:
        raise _nothing_named("audit", "name a file, --installed PACKAGE, or --pid PID")
    if args.baseline:
        baseline.architectures(args.baseline)
    chip = chip_of_user(args) if args.chip else None
    question = Question(args.baseline or "", args.debug)
    answers = _answers(_wanted(args, args.pid), question, args.jobs)
    found = report(answers, args.baseline or "", chip)
    _show_audit(args, found)
    _tell(found.refused)
    return USAGE if found.refused else 0


def _show_audit(args: argparse.Namespace, found: Any) -> None:
    if args.json:
        from uplift.report.isa_json import audit_to_json

        output.print_json(audit_to_json(found))
        return
    from uplift.report.isa_terminal import AuditText, level_lines

    if args.level:
        sys.stdout.writelines(f"{line}\n" for line in level_lines(found))
    else:
        AuditText(found, output.console(), output.unicode_output(), args.functions).print()


def run_explain(args: argparse.Namespace) -> int:
    """Explain the verdict on one function."""
    from uplift.isa.many import debug_for
    from uplift.isa.ways_in import explain
    from uplift.report.isa_explain import asked, explanation_to_json, print_explanation

    found = explain(args.file, args.function, debug_for(Path(args.file), args.debug))
    bits = asked(found, catalog_of_user())
    if args.json:
        output.print_json(explanation_to_json(found, bits))
    else:
        print_explanation(found, bits, output.console())
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check files against a baseline."""
    from uplift.isa import baseline
    from uplift.isa.expectations import judge, load
    from uplift.isa.many import Question
    from uplift.report.isa import report
    from uplift.report.isa_check import CheckReport, check_to_json, print_check

    if not args.paths and not args.installed:
        raise _nothing_named("check", "name a file, a package, or --installed PACKAGE")
    archs = baseline.architectures(args.baseline)
    expectations = [entry for path in args.expect for entry in load(path)]
    answers = _answers(_wanted(args), Question(args.baseline, args.debug), args.jobs)
    found = report(answers)
    judged = [file.audit for file in found.files if file.audit.arch in archs]
    if not judged and not found.refused:
        raise _nothing_judged(args.baseline)
    levels = {arch: baseline.level(arch, args.baseline) for arch in archs}
    judgement = judge(judged, expectations)
    if args.write_expectations:
        written = _drafted(args, judgement)
        judgement = judge(judged, [*expectations, *written])
    check = CheckReport(
        baseline=args.baseline,
        levels={arch: baseline.holding(arch, sets) for arch, sets in levels.items()},
        only_certain=args.only_certain,
        files=len(judged),
        judgement=judgement,
        refused=found.refused,
        skipped=(*found.skipped, *_of_other_architectures(found.files, archs)),
        written=str(args.write_expectations or ""),
        undetermined=tuple(audit for audit in judged if audit.undetermined),
    )
    if args.json:
        output.print_json(check_to_json(check))
    else:
        print_check(check, output.console(), args.all)
    _tell(check.refused)
    return FOUND if check.failing or check.open else USAGE if check.refused else 0


def _drafted(args: argparse.Namespace, found: Judgement) -> Iterable[Expectation]:
    """Write what was found as expectations, and return them as a later run will read them."""
    from uplift.isa.expectations import load
    from uplift.isa.expectations_draft import draft, write

    path: Path = args.write_expectations
    write(path, draft(found.unexpected(args.only_certain), args.baseline))
    return load(path)


def _of_other_architectures(files: Iterable[Any], archs: tuple[str, ...]) -> Iterator[Skipped]:
    from uplift.isa.file_list import Skipped

    for file in files:
        if file.audit.arch not in archs:
            why = f"it is for {file.audit.arch}, which has no such baseline"
            yield Skipped(file.audit.path, why)


def _nothing_judged(level: str) -> UpliftError:
    return UpliftError(
        f"cannot check anything against {level}",
        "no program or library of an architecture that has this level was found",
        "name files of it, or a directory that holds some",
    )


def chip_of_user(args: argparse.Namespace) -> Chip:
    """Return what programs care for of the chip that is named."""
    from uplift.cli.chip import chip_named
    from uplift.report.chip import chip_report
    from uplift.report.isa import chip_of

    catalog = catalog_of_user(args.overlay)
    chip = chip_of(chip_report(chip_named(args.chip, catalog), catalog))
    if chip is None:
        raise UpliftError(
            f"cannot compare with {args.chip[:80]!r}",
            "it is of an architecture whose code is not decoded",
            "name a chip of x86-64, arm64 or riscv64",
        )
    return chip


def _nothing_named(verb: str, fix: str) -> UpliftError:
    return UpliftError(f"cannot {verb} nothing", "no file is named", fix)


def _wanted(args: argparse.Namespace, pids: Iterable[int] = ()) -> Iterator[Wanted | Skipped]:
    from uplift.isa import installed_files
    from uplift.isa.file_list import wanted
    from uplift.isa.process_maps import mapped

    yield from wanted(args.paths)
    yield from installed_files.wanted(args.installed)
    for pid in pids:
        yield from mapped(pid)


def _answers(
    found: Iterable[Wanted | Skipped], question: Question, jobs: int | None
) -> Iterator[Answer | Skipped]:
    """Audit what is wanted; what is not looked into comes first, as it is."""
    from uplift.isa.file_list import Wanted
    from uplift.isa.many import audit_all

    every = list(found)
    if not every:
        raise UpliftError(
            "there is nothing to audit",
            "no program, library, kernel, module or package was found in what is named",
            "name a file, or a directory that holds some",
        )
    files = [one for one in every if isinstance(one, Wanted)]
    yield from (one for one in every if not isinstance(one, Wanted))
    with workers(jobs, len(files)) as executor:
        for done, one in enumerate(audit_all(files, question, executor), 1):
            _progress(done, max(done, len(files)))
            yield one
    _progress(0, 0)


def _progress(done: int, total: int) -> None:
    """Show how far it is, on a terminal only; the line is wiped at the end."""
    if sys.stderr.isatty() and total != 1:
        text = f"auditing {done}/{total}" if total else ""
        print(f"\r{text:<40}\r", end="", file=sys.stderr, flush=True)


def _tell(refused: Iterable[Refused]) -> None:
    """Say on standard error what could not be audited."""
    from uplift.report.terminal import safe

    show: Callable[[str], str] = safe
    for one in refused:
        problem = one.problem if one.path in one.problem else f"{one.problem}: {one.path}"
        error = UpliftError(show(problem), show(one.cause), show(one.fix))
        print(error, file=sys.stderr)
