"""Files of a snap, or of any other squashfs image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from uplift.isa.contents import HEAD, Contents, Found, Package
from uplift.isa.deb import file_in
from uplift.isa.squashfs import Entry, Squashfs

_ABOUT = "meta/snap.yaml"
_MAX_ABOUT = 1 << 20
_FIELD = re.compile(r"^(name|version): *['\"]?([^'\"\n#]+)", re.MULTILINE)
_ARCH = re.compile(r"^architectures:\s*(?:\[ *|- *)([\w-]+)", re.MULTILINE)


def contents(raw: BinaryIO, size: int, name: str) -> Contents:
    """Give the files of an image; a snap's own description says what it is.

    :param size: bytes of it.
    :raises ValueError: it is no squashfs image, or broken.
    """
    image = Squashfs(raw, size)
    about = next((entry for entry in image.files() if entry.name == _ABOUT), None)
    package = _package(image, about) if about else Package("squashfs", name)
    return Contents(package, _files(image, package))


def _package(image: Squashfs, about: Entry) -> Package:
    if about.size > _MAX_ABOUT:
        raise ValueError(f"{_ABOUT} has {about.size} bytes")
    text = image.open(about).read(_MAX_ABOUT).decode("utf-8", "replace")
    fields = {key: value.strip()[:256] for key, value in _FIELD.findall(text)}
    arch = _ARCH.search(text)
    return Package(
        "snap", fields.get("name", ""), fields.get("version", ""), arch[1] if arch else ""
    )


def _files(image: Squashfs, package: Package) -> Iterator[Found]:
    for entry in image.files():
        if entry.size > HEAD:
            found = file_in(entry.name, image.open(entry), entry.size, package)
            if found is not None:
                yield found
