"""Control files of Debian packages: fields, and what a package depends on.

Format: deb-control(5), deb822(5); Debian Policy 7.1 for relations between packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from uplift.isa.contents import Package

MAX_STANZA = 4 << 20  #: characters of one package's fields
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")
_DEPENDS = ("Pre-Depends", "Depends")


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph; folded lines are joined by newlines.

    :raises ValueError: a paragraph is larger than the cap.
    """
    fields: dict[str, str] = {}
    last, size = "", 0
    for line in lines:
        size += len(line)
        if size > MAX_STANZA:
            raise ValueError(f"a package has more than {MAX_STANZA} characters of fields")
        if not line.strip():
            if fields:
                yield fields
            fields, last, size = {}, "", 0
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line.strip()
        elif line[0] != "#":
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    if fields:
        yield fields


def package(fields: Mapping[str, str], kind: str = "deb") -> Package:
    """Return the package that a paragraph describes."""
    name = fields.get("Package", "")[:256]
    source = fields.get("Source", "").partition(" ")[0][:256]
    return Package(
        kind=kind,
        name=name,
        version=fields.get("Version", "")[:256],
        arch=fields.get("Architecture", "")[:64],
        source=source or name,
        depends=depends(fields),
    )


def depends(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that a package depends on, each once, in order."""
    found: dict[str, None] = {}
    for field in _DEPENDS:
        for relation in re.split(r"[,|]", fields.get(field, "")):
            match = _NAME.match(relation)
            if match:
                found[match[1]] = None
    return tuple(found)


def provides(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that a package also answers to."""
    found = (_NAME.match(part) for part in fields.get("Provides", "").split(","))
    return tuple(match[1] for match in found if match)
