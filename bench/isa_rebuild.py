"""Rebuild real packages for levels, one after another, and print what changed.

    python -m bench.isa_rebuild [--source zstd …] [--level x86-64-v3 …] [--into DIR]

Each package is rebuilt as ``uplift rebuild`` does, with its tests; needs apt's archive and, for the
default list, about an hour on two processors. One row a package and level: functions with
instructions above the base before and after, bytes of ``.text``, what stays dispatched without
need, violations of the level, how the tests ended, whether the packages install in a fresh root.

    python -m bench.isa_rebuild --variant amd64v3 --suite sid --source zlib --level x86-64-v3

rebuilds for a variant, then lets a root of the suite, whose apt asks for the variant, install it.
The root gets the row of ``varianttable`` that Ubuntu's dpkg has; Debian's sid has such an apt.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa.rebuild import Rebuilt, Request, rebuild
from uplift.isa.rebuild_repository import sources_text, variant_setting
from uplift.lab import build_root
from uplift.lab.packages import default_cache
from uplift.lab.source_package import stanzas
from uplift.report.rebuild import to_json

SOURCES = ("zstd", "libjpeg-turbo", "lapack")
LEVELS = ("x86-64-v3", "native")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", action="append", help=f"default: {', '.join(SOURCES)}")
    parser.add_argument("--level", action="append", help=f"default: {', '.join(LEVELS)}")
    parser.add_argument("--variant", default="")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--into", type=Path, help="keep repositories and reports here")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uplift-rebuild-") as name:
        rows = list(_rows(args, args.into or Path(name)))
    print("source level functions .text redundant above tests installs seconds", flush=True)
    for row in rows:
        print(row)
    return int(any(" yes" not in row or " passed" not in row for row in rows))


def _rows(args: argparse.Namespace, into: Path) -> Iterator[str]:
    for level in args.level or LEVELS:
        for source in args.source or SOURCES:
            request = Request(
                source=source,
                level=level,
                arch="x86-64",
                into=into / level,
                cache=default_cache() / "rebuild",
                jobs=args.jobs,
                variant=args.variant,
                suites=tuple(args.suite),
            )
            print(f"== {source} {level}", file=sys.stderr, flush=True)
            try:
                result = rebuild(request, lambda text: None)
            except UpliftError as error:
                yield f"{source} {level} {error.problem}: {error.cause}"
                continue
            (into / level / f"{source}.json").write_text(json.dumps(to_json([result])))
            yield _row(result)
            if args.variant:
                yield from _asked_for(result, request)


def _asked_for(result: Rebuilt, request: Request) -> Iterator[str]:
    """Let apt in a root that asks for the variant install the packages; no source has others."""
    key = "+".join(("amd64", *result.suites))
    place = request.cache / "builds" / f"variant.{os.getpid()}"
    root = build_root.fresh(request.cache / "root-1" / f"{key}.tar", place)
    try:
        entry = sources_text(result.repository, "amd64", "").replace(
            str(result.repository.resolve()), "/srv/repository"
        )
        shutil.copytree(result.repository, root.path / "srv/repository")
        (root.path / "etc/apt/sources.list").unlink(missing_ok=True)
        files = {
            "etc/apt/sources.list.d/uplift.sources": entry.replace("Architectures: amd64\n", ""),
            "etc/apt/apt.conf.d/99variant": variant_setting(result.variant),
            "usr/share/dpkg/varianttable": f"{result.variant}\tamd64\t{result.level.name}\n",
        }
        for name, text in files.items():
            (root.path / name).parent.mkdir(parents=True, exist_ok=True)
            (root.path / name).write_text(text)
        names = [package.name for package in result.packages]
        for words in (["update"], ["install", "--no-remove", "--", *names]):
            step = root.run(["apt-get", *words])
            yield f"   apt-get {words[0]}: {'yes' if step.ok else step.complaint} passed"
        for fields in stanzas(root.status.decode()):
            if fields.get("package") in names:
                field = fields.get("architecture-variant", "no field")
                yield f"   {fields['package']} {fields['version']} {field} yes passed"
    finally:
        root.remove()


def _row(result: Rebuilt) -> str:
    files = result.files
    functions = [sum(each.functions[n] for each in files) for n in (0, 1)]
    text = [sum(each.text[n] for each in files if each.text[0]) for n in (0, 1)]
    change = f"{100 * (text[1] - text[0]) / text[0]:+.1f}%" if text[0] else "?"
    certain = sum(v.certain for each in files for v in each.violations)
    perhaps = sum(len(each.violations) for each in files) - certain
    return (
        f"{result.source} {result.level.name} {functions[0]}->{functions[1]} "
        f"{text[0]}->{text[1]} ({change}) {sum(len(f.redundant) for f in files)} "
        f"{certain}+{perhaps}? {result.tests.status.value} {result.installed.partition(',')[0]} "
        f"{sum(result.seconds.values()):.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
