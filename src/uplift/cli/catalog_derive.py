"""``uplift catalog derive``: read upstream sources, show what would change in the catalog."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.errors import FOUND, USAGE, UpliftError

if TYPE_CHECKING:
    from uplift.catalog.derive.proposal import FileChange

SCHEMA = "uplift-derivation/1"


def add_derive(actions: Any) -> None:
    """Add the action to ``uplift catalog``."""
    parser = actions.add_parser(
        "derive",
        help="read upstream source trees and show what changes in the data",
        description="Read which version of an upstream project has which name, from unpacked "
        "source trees, source tarballs and git repositories, and show as a diff what would change "
        "in the catalog. Exits 1 where something would and --write is not given.",
    )
    parser.add_argument(
        "trees",
        nargs="+",
        metavar="TREE",
        help="an unpacked source, a tarball, a git repository (all its releases), or "
        "REPOSITORY@REVISION[=VERSION]",
    )
    parser.add_argument("--write", action="store_true", help="apply the changes")
    parser.add_argument(
        "--project", action="append", metavar="NAME", help="read only this project; may be repeated"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a catalog's data; default: the one installed"
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="forget what the projects' tables tell of versions that are not among the trees",
    )
    parser.add_argument("--json", action="store_true", help=f"print {SCHEMA} JSON")
    parser.set_defaults(run=run_derive)


def run_derive(args: argparse.Namespace) -> int:
    """Derive; 1 where changes are proposed and not written."""
    from uplift.catalog.derive.proposal import propose
    from uplift.catalog.load import DATA, written_catalog
    from uplift.lab.source_trees import read_trees
    from uplift.report import derivation

    data = args.data or DATA
    texts = _texts(data)
    projects = _projects(args.project)
    trees = (tree for argument in args.trees for tree in read_trees(argument, projects))
    proposal = propose(trees, written_catalog(data), texts, args.fresh)
    if args.write:
        _write(data, proposal.changes)
    if args.json:
        output.print_json(derivation.to_json(proposal, SCHEMA, args.write))
    else:
        print(derivation.to_text(proposal, args.write), end="")
    return FOUND if proposal.changes and not args.write else 0


def _write(data: Path, changes: tuple[FileChange, ...]) -> None:
    """Apply changes, all or none: reading a history takes long enough for others to edit a file."""
    for change in changes:
        now = (data / change.path).read_text("utf-8") if (data / change.path).exists() else ""
        if now != change.before:
            raise UpliftError(
                f"cannot write {data / change.path}",
                "it was changed while the sources were read",
                "run the command again",
            )
    for change in changes:
        (data / change.path).parent.mkdir(exist_ok=True)
        (data / change.path).write_text(change.after, "utf-8")


def _texts(data: Path) -> dict[str, str]:
    if not (data / "features").is_dir():
        raise UpliftError(
            f"cannot derive into {data}",
            "it has no directory called features",
            "name a catalog's data directory",
        )
    files = [*data.glob("*.csv"), *data.glob("since/*.csv"), *data.glob("features/*.toml")]
    return {file.relative_to(data).as_posix(): file.read_text("utf-8") for file in sorted(files)}


def _projects(names: list[str] | None) -> tuple[Any, ...]:
    from uplift.catalog.derive.projects import PROJECTS

    known = {project.name: project for project in PROJECTS}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UpliftError(
            f"cannot derive from {', '.join(unknown)}",
            "no module reads that project",
            f"name one of {', '.join(known)}",
            USAGE,
        )
    return tuple(known[name] for name in names) if names else PROJECTS
