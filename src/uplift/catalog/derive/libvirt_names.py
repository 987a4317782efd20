"""CPU features and models of libvirt's map."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from uplift.catalog.derive.upstream import Files, Known, Project
from uplift.errors import CatalogError

BUILD = "meson.build"
FEATURES = "src/cpu_map/x86_features.xml"
MAP = "src/cpu_map/*.xml"
_ARCHES = {"x86": "x86", "arm": "arm64", "ppc64": "ppc64el"}


def version(files: Files) -> str:
    """Return ``11.3.0``."""
    found = re.search(r"^\s*version: '([\d.]+)'", files.get(BUILD, ""), re.MULTILINE)
    return found[1] if found and FEATURES in files else ""


def names(files: Files) -> Iterator[Known]:
    """Yield features and models; a file's name begins with its architecture."""
    for path in sorted(files):
        arch = _ARCHES.get(path.rpartition("/")[2].partition("_")[0], "")
        if path.endswith(".xml") and arch:
            root = _parsed(path, files[path])
            yield from (
                Known("cpu-map-feature", arch, feature.attrib["name"], path)
                for feature in root.findall("feature")
                if "name" in feature.attrib
            )
            yield from (
                Known("cpu-map-model", arch, model.attrib["name"], path)
                for model in root.findall("model")
                if "name" in model.attrib
            )


def _parsed(path: str, text: str) -> Element:
    try:
        root: Element = defusedxml.ElementTree.fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise CatalogError(
            f"cannot read {path}", str(error), "name an unchanged libvirt source"
        ) from None
    return root


LIBVIRT = Project(
    name="libvirt",
    marks=(BUILD, FEATURES),
    version_files=(BUILD,),
    version=version,
    paths=(MAP,),
    names=names,
    tag=re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-\d+)?"),
)
