"""What the commands that look at machines share: target arguments, snapshots, the catalog.

What is not needed to start the collector is imported while it runs: that is a third of a scan.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from uplift.cli.library_use import with_library_use
from uplift.errors import UpliftError
from uplift.facts.model import Snapshot
from uplift.lab.targets import Options, parse_target, take_snapshots

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog, Feature
    from uplift.report.model import ScanReport
    from uplift.resolve.model import Resolution

TARGET_HELP = (
    "this machine when left out; ssh:[user@]host[:port]; a snapshot file; or a recording made by "
    "others: InstLatx64 or AIDA64 CPUID text, cpuid -r, libcpuid .test, a sosreport, an Arm "
    "sysreport, lscpu text or JSON, /proc/cpuinfo text"
)


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add what steers the collection."""
    parser.add_argument(
        "--deep", action="store_true", help="also record what takes longer than a second"
    )
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="stop collecting after SECONDS"
    )


def add_overlay_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that lays private catalog data over the shipped one."""
    parser.add_argument(
        "--overlay",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="also use this private directory of catalog data; everything made from it carries "
        "its label (repeatable)",
    )


def add_feature_and_target(parser: argparse.ArgumentParser, schema: str) -> None:
    """Add the arguments of a command that looks at one feature on one target."""
    parser.add_argument("feature", metavar="FEATURE", help="x86/amx-bf16, or amx-bf16")
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)
    add_target_options(parser)
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help=f"print {schema} JSON")


def resolve_feature(args: argparse.Namespace) -> tuple[Resolution, Snapshot]:
    """Return the one feature that ``args`` name, judged on the target that they name.

    :raises UpliftError: no such feature, or no snapshot of the target.
    """
    from uplift.facts.parsers import read_facts
    from uplift.resolve.scan import resolve_one

    catalog = catalog_of_user(args.overlay)
    feature = find_feature(catalog, args.feature)
    snapshot = one_snapshot(args.target, options_of(args))
    return resolve_one(catalog, feature, read_facts(snapshot)), snapshot


def options_of(args: argparse.Namespace) -> Options:
    """Return the collection's options as given."""
    return Options(deep=args.deep, budget=args.budget)


def cache_directory() -> Path:
    """Return where caches of this user are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "uplift"


def catalog_of_user(overlays: Sequence[Path] = ()) -> Catalog:
    """Return the catalog, through this user's cache, with ``overlays``, which are never cached."""
    from uplift.catalog.load import load_catalog

    return load_catalog(cache=cache_directory(), overlays=overlays)


def snapshots(
    texts: Sequence[str], options: Options
) -> Iterator[tuple[str, Snapshot | UpliftError]]:
    """Yield each target's text with its snapshot, or with why there is none."""
    targets = [parse_target(text) for text in texts or ["local"]]
    for target, taken in take_snapshots(targets, options):
        if isinstance(taken, UpliftError):
            yield str(target), taken
        else:
            yield str(target), with_library_use(target, taken, options)


def catalog_and_snapshots(
    texts: Sequence[str], options: Options, overlays: Sequence[Path] = ()
) -> tuple[Catalog, Iterator[tuple[str, Snapshot | UpliftError]]]:
    """Return the catalog and the snapshots; the catalog is read while the targets answer."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        catalog = pool.submit(_prepare, overlays)
        taken = snapshots(texts, options)
        first = list(islice(taken, 1))
        return catalog.result(), chain(first, taken)


def _prepare(overlays: Sequence[Path]) -> Catalog:
    """Return the catalog, and have everything imported that judging and showing will need."""
    from uplift.facts.parsers import all_parsers

    all_parsers()
    for module in ("uplift.resolve.scan", "uplift.report.terminal", "uplift.report.headline"):
        import_module(module)
    return catalog_of_user(overlays)


def one_snapshot(text: str | None, options: Options) -> Snapshot:
    """Return the snapshot of one target.

    :raises UpliftError: there is none.
    """
    ((_, taken),) = snapshots([text] if text else [], options)
    if isinstance(taken, UpliftError):
        raise taken
    return taken


def judge(catalog: Catalog, target: str, snapshot: Snapshot) -> ScanReport:
    """Return the report of one snapshot."""
    from uplift.facts.parsers import read_facts
    from uplift.report.headline import headline
    from uplift.report.model import ScanReport
    from uplift.resolve.scan import scan

    facts = read_facts(snapshot)
    return ScanReport(target, scan(catalog, facts), headline(facts))


def find_feature(catalog: Catalog, name: str) -> Feature:
    """Return the feature called ``name``: its id, or its id's last part where that is unique.

    :raises UpliftError: there is none, or several.
    """
    matching = [f for f in catalog.features if name in (f.id, f.id.partition("/")[2])]
    if len(matching) == 1:
        return matching[0]
    from uplift.report.labels import in_words

    near = [f for f in catalog.features if name.lower() in f.id or f.id.endswith(name.lower())]
    named = [f"{f.id}{in_words(f.labels)}" for f in matching or near[:8]]
    raise UpliftError(
        f"cannot tell which feature {name!r} is",
        f"it could be {', '.join(named)}" if named else "the catalog has no such feature",
        "name it in full, as `uplift catalog list` prints it",
    )
