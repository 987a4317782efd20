"""Microarchitectures that archspec-json lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import UNTOLD, Files, Known, Project
from uplift.errors import CatalogError

LIST = "cpu/microarchitectures.json"


def version(files: Files) -> str:
    """Return that only a tag tells it; empty where the list is missing."""
    return UNTOLD if LIST in files else ""


def names(files: Files) -> Iterator[Known]:
    """Yield every microarchitecture.

    :raises CatalogError: the list is not of archspec's form.
    """
    try:
        listed = json.loads(files.get(LIST, "{}")).get("microarchitectures", {})
        yield from (Known("microarchitecture", "", str(name), LIST) for name in listed)
    except (ValueError, AttributeError, RecursionError) as error:
        raise CatalogError(
            f"cannot read {LIST}", str(error), "name an unchanged archspec-json"
        ) from None


ARCHSPEC = Project(
    name="archspec",
    marks=(LIST,),
    version_files=(),
    version=version,
    paths=(LIST,),
    names=names,
    tag=re.compile(r"v(\d+)\.(\d+)\.(\d+)"),
)
