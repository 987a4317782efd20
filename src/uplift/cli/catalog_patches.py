"""``uplift catalog public-patch`` and ``upstream``: what the catalog knows, as patches."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli.targets import add_overlay_option, catalog_of_user, one_snapshot
from uplift.errors import UpliftError

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog
    from uplift.catalog.since import Since
    from uplift.catalog.upstream.model import Subject, UpstreamPatch

_KINDS = {
    "feature": "features",
    "chip": "chips",
    "list": "lists of features",
    "release": "releases",
    "set": "component sets",
    "recording": "recordings",
}


def add_to(actions: Any) -> None:
    """Add the actions to those of ``uplift catalog``."""
    _add_public_patch(actions)
    _add_upstream(actions)


def _add_public_patch(actions: Any) -> None:
    parser = actions.add_parser(
        "public-patch",
        help="the part of an overlay that may go public, as a patch",
        description="Print the entries that are marked public, whose day has come (--as-of), or "
        "that --allow names, as a patch against the catalog's own files. This is the only command "
        "that drops a label.",
    )
    add_overlay_option(parser)
    parser.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="these may go public: a feature's id, a code name, a release, release+set",
    )
    parser.add_argument(
        "--as-of", default="", metavar="DAY", help="what lifts on this day or before may go public"
    )
    parser.add_argument(
        "--prefix", help="where the catalog's files lie in the repository to be patched"
    )
    parser.set_defaults(run=run_public_patch)


def run_public_patch(args: argparse.Namespace) -> int:
    """Print the patch; on standard error how much is in it and how much was left out."""
    from uplift.catalog.load import catalog_texts
    from uplift.catalog.overlay_files import read_overlay
    from uplift.catalog.public_patch import PREFIX, public_patch

    if not args.overlay:
        raise UpliftError(
            "cannot tell what may go public", "no overlay was named", "add --overlay DIR"
        )
    if args.as_of and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", args.as_of):
        raise UpliftError(
            f"cannot tell which day {args.as_of[:40]!r} is",
            "a day reads YYYY-MM-DD",
            "write for example --as-of 2027-01-15",
        )
    overlays = [read_overlay(directory) for directory in args.overlay]
    patch = public_patch(
        catalog_texts(), overlays, frozenset(args.allow), args.as_of, args.prefix or PREFIX
    )
    sys.stdout.write(patch.text)
    print(f"in the patch: {_counted(patch.taken)}", file=sys.stderr)
    print(f"left out, not public: {_counted(patch.left_out)}", file=sys.stderr)
    return 0


def _add_upstream(actions: Any) -> None:
    parser = actions.add_parser(
        "upstream",
        help="a patch that teaches another project a chip or a CPUID bit",
        description="Print a patch, with a commit message that says its sources, for a project "
        "that lacks what the catalog knows. Nobody has signed it off.",
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="CHIP|DUMP",
        help="a code name, or a recording; when left out, all that the project lacks (checkbox: "
        "all server chips)",
    )
    parser.add_argument("--to", required=True, choices=sorted(_TEACHERS), help="the project")
    parser.add_argument(
        "--tree", required=True, type=Path, metavar="PATH", help="its checkout, or the one file"
    )
    add_overlay_option(parser)
    parser.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="private entries that may be in the patch, which then carries their label",
    )
    parser.set_defaults(run=run_upstream)


def run_upstream(args: argparse.Namespace) -> int:
    """Print the patch; on standard error what is in it and what is not, and why."""
    from uplift.catalog.upstream.model import public_view, render
    from uplift.report.labels import label_list

    base = catalog_of_user()
    merged = catalog_of_user(args.overlay) if args.overlay else base
    _refuse_unknown(args.allow, merged)
    catalog = public_view(base, merged, frozenset(args.allow))
    subjects = [_subject(text, catalog, merged) for text in args.what]
    patch = _TEACHERS[args.to](args.tree, catalog, subjects)
    sys.stdout.write(render(patch))
    for label in label_list(patch.labels):
        print(f"NOT FOR PUBLICATION: {label}", file=sys.stderr)
    print(f"adds {len(patch.added)} to {args.to}", file=sys.stderr)
    for name, why in patch.skipped.items() if args.what else ():
        print(f"not {name}: {why}", file=sys.stderr)
    return 0


def _refuse_unknown(allow: Sequence[str], catalog: Catalog) -> None:
    known = {feature.id for feature in catalog.features}
    known |= {chip.codename for chip in catalog.chips}
    unknown = sorted(set(allow) - known)
    if unknown:
        raise UpliftError(
            f"cannot allow {', '.join(unknown)}",
            "neither the catalog nor an overlay has an entry of this name",
            "name a feature's id or a chip's code name",
        )


def _subject(text: str, catalog: Catalog, merged: Catalog) -> Subject:
    """Return the chip or the recording that ``text`` names.

    :raises UpliftError: neither exists, or it is private and nobody allowed it.
    """
    from uplift.catalog.labels import labels_of
    from uplift.catalog.upstream.model import Subject
    from uplift.report.labels import in_words

    chip = next((chip for chip in catalog.chips if chip.codename == text), None)
    if chip is not None:
        return Subject(chip)
    private = next((chip for chip in merged.chips if chip.codename == text), None)
    if private is not None:
        raise UpliftError(
            f"cannot tell others of {text}{in_words(labels_of(private))}",
            "an overlay keeps it private",
            f"add --allow {text} if it may be in a patch that carries its label",
        )
    if not Path(text).exists():
        raise UpliftError(
            f"cannot tell what {text[:100]!r} is",
            "no chip has this code name, and no file is called so",
            "`uplift catalog list --chips` shows the code names",
        )
    return _recorded(text, catalog)


def _recorded(text: str, catalog: Catalog) -> Subject:
    from uplift.catalog.upstream.model import Subject
    from uplift.facts.parsers import read_facts
    from uplift.lab.targets import Options
    from uplift.resolve.scan import scan

    facts = read_facts(one_snapshot(text, Options()))
    codename = scan(catalog, facts).identity.codename
    chip = next((chip for chip in catalog.chips if chip.codename == codename), None)
    return Subject(chip, facts, Path(text).name)


def _teach_archspec(tree: Path, catalog: Catalog, subjects: Sequence[Subject]) -> UpstreamPatch:
    from uplift.catalog.since import load_since
    from uplift.catalog.upstream import archspec
    from uplift.catalog.upstream.model import Subject
    from uplift.catalog.upstream.tree import read_tree

    options: dict[str, dict[str, Since]] = {}
    for (project, kind, _), names in load_since().items():
        if kind in ("option", "x86-flag", "arm64-hwcap"):
            options.setdefault(project, {}).update(names)
    texts = read_tree(tree, (archspec.TARGETS, archspec.CPUID))
    chips = subjects or [Subject(chip) for chip in catalog.chips]
    return archspec.teach(texts, chips, catalog, options)


def _teach_kcpuid(tree: Path, catalog: Catalog, subjects: Sequence[Subject]) -> UpstreamPatch:
    from uplift.catalog.cpuid_names import private_names
    from uplift.catalog.upstream import cpuid_csv
    from uplift.catalog.upstream.tree import read_tree
    from uplift.facts.cpuid_table import decode_snapshot, table

    wanted: set[tuple[int, int, int, int]] = set()
    for subject in subjects:
        if subject.facts is not None:
            wanted |= cpuid_csv.set_places(decode_snapshot(subject.facts.snapshot))
        elif subject.chip is not None:
            wanted |= cpuid_csv.places_of(catalog, subject.chip.features)
    text = read_tree(tree, (cpuid_csv.PATH,))[cpuid_csv.PATH]
    only = frozenset(wanted) if subjects else None
    return cpuid_csv.teach(text, table(), catalog, only, private_names(catalog))


def _teach_checkbox(tree: Path, catalog: Catalog, subjects: Sequence[Subject]) -> UpstreamPatch:
    from uplift.catalog.upstream import checkbox
    from uplift.catalog.upstream.model import Subject
    from uplift.catalog.upstream.tree import read_tree

    text = read_tree(tree, (checkbox.PATH,))[checkbox.PATH]
    servers = (c for c in catalog.chips if c.arch == "x86-64" and c.segment == "server")
    chips = subjects or [Subject(chip) for chip in servers]
    return checkbox.teach(text, chips, catalog.chips)


_TEACHERS: Mapping[str, Callable[[Path, Catalog, Sequence[Subject]], UpstreamPatch]] = {
    "archspec": _teach_archspec,
    "checkbox": _teach_checkbox,
    "cpuid-csv": _teach_kcpuid,
}


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{counts[kind]} {words}" for kind, words in _KINDS.items() if counts.get(kind)]
    return ", ".join(shown) or "nothing"
