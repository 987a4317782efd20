"""Files of a container image: an OCI layout or ``docker save`` tarball, or a plain tar archive.

Layers are read from the top one down, so that what a layer removes or replaces is never read.
Formats: OCI image-spec v1.1 (layout, manifest, layer: whiteouts); Docker image spec v1.2.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from uplift.isa.contents import HEAD, Contents, Found, Package, clean
from uplift.isa.deb import file_in
from uplift.lab import package_stream

MAX_DOCUMENT = 4 << 20  #: bytes of a manifest
MAX_LAYERS = 1000
MAX_NAMES = 64 << 20  #: characters of names of the files that upper layers hold
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_INDEX = ("application/vnd.oci.image.index.v1+json",
          "application/vnd.docker.distribution.manifest.list.v2+json")  # fmt: skip


@dataclass(frozen=True)
class _Blob:
    """Where a member's bytes stand in the tarball."""

    start: int
    size: int


def contents(raw: BinaryIO, size: int, name: str) -> Contents:
    """Find an image's layers and give its files; a tar archive that is no image, as it is.

    :param raw: at its beginning; it must be able to seek.
    :param size: bytes of it.
    :raises ValueError: it is no tar archive, is broken, or names a layer that is not in it.
    """
    if package_stream.packing(raw.read(8)) != "tar":
        raw.seek(0)
        return _plain(raw, size, name)
    raw.seek(0)
    blobs = _blobs(raw)
    if "manifest.json" in blobs or "index.json" in blobs:
        image = _Image(raw, blobs)
        title, layers = image.layers()
        package = Package("oci", title or name)
        return Contents(package, _merged(raw, layers, package))
    raw.seek(0)
    return _plain(raw, size, name)


def _plain(raw: BinaryIO, size: int, name: str) -> Contents:
    kind = package_stream.packing(raw.read(8))
    raw.seek(0)
    package = Package("tar", name)
    stream = package_stream.Unpacking(raw, size, kind)
    return Contents(package, _Layers(package).files(package_stream.tar(stream)))


def _blobs(raw: BinaryIO) -> Mapping[str, _Blob]:
    """Return where each member stands; links lead to another member's bytes."""
    found: dict[str, _Blob] = {}
    with tarfile.open(fileobj=raw, mode="r:", tarinfo=package_stream.Header) as archive:
        for member in package_stream.tar_members(archive):
            name = clean(member.name)
            if member.isreg():
                found[name] = _Blob(member.offset_data, member.size)
            elif member.issym() or member.islnk():
                target = _target(name, member)
                if target in found:
                    found[name] = found[target]
    return found


def _target(name: str, member: tarfile.TarInfo) -> str:
    """Return what a link leads to: old tarballs link the layers that they share."""
    if member.islnk():
        return clean(member.linkname)
    parts = name.split("/")[:-1]
    for part in member.linkname[:4096].split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


class _Image:
    """The documents of an image tarball."""

    def __init__(self, raw: BinaryIO, blobs: Mapping[str, _Blob]) -> None:
        self._raw, self._blobs = raw, blobs

    def layers(self) -> tuple[str, list[_Blob]]:
        """Return the image's name and its layers, lowest first."""
        title, names = self._docker() if "manifest.json" in self._blobs else self._oci()
        if len(names) > MAX_LAYERS:
            raise ValueError(f"it has more than {MAX_LAYERS} layers")
        return title[:256], [self._blob(name) for name in names]

    def _docker(self) -> tuple[str, list[str]]:
        image = _first(self._document("manifest.json"), "manifest.json")
        tags = image.get("RepoTags") or [""]
        layers = image.get("Layers")
        if not isinstance(layers, list) or not all(isinstance(each, str) for each in layers):
            raise ValueError("manifest.json names no layers")
        return str(tags[0]) if isinstance(tags, list) and tags else "", [clean(n) for n in layers]

    def _oci(self) -> tuple[str, list[str]]:
        index = _mapping(self._document("index.json"), "index.json")
        about = _first(index.get("manifests"), "index.json")
        notes = about.get("annotations")
        title = notes.get("org.opencontainers.image.ref.name") if isinstance(notes, dict) else ""
        manifest = self._manifest(about)
        if about.get("mediaType") in _INDEX or "manifests" in manifest:
            manifest = self._manifest(_first(manifest.get("manifests"), "its index"))
        layers = manifest.get("layers")
        if not isinstance(layers, list):
            raise ValueError("its manifest names no layers")
        return str(title or ""), [_place(_mapping(each, "a layer")) for each in layers]

    def _manifest(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        name = _place(about)
        return _mapping(self._document(name), name)

    def _blob(self, name: str) -> _Blob:
        blob = self._blobs.get(name)
        if blob is None:
            raise ValueError(f"it names {name[:200]!r}, which is not in it")
        return blob

    def _document(self, name: str) -> Any:
        blob = self._blob(name)
        if blob.size > MAX_DOCUMENT:
            raise ValueError(f"{name[:200]} has more than {MAX_DOCUMENT} bytes")
        self._raw.seek(blob.start)
        try:
            return json.loads(self._raw.read(blob.size))
        except RecursionError:
            raise ValueError(f"{name[:200]} is nested too deeply") from None


def _place(about: Mapping[str, Any]) -> str:
    """Return the name of the member that a descriptor names by digest."""
    algorithm, _, digest = str(about.get("digest", "")).partition(":")
    return f"blobs/{algorithm}/{digest}"


def _mapping(document: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ValueError(f"{name} is no JSON object")
    return document


def _first(document: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(document, list) or not document:
        raise ValueError(f"{name} names no image")
    return _mapping(document[0], name)


def _merged(raw: BinaryIO, layers: list[_Blob], package: Package) -> Iterator[Found]:
    state = _Layers(package)
    for layer in reversed(layers):
        raw.seek(layer.start)
        kind = package_stream.packing(raw.read(8))
        raw.seek(layer.start)
        stream = package_stream.Unpacking(raw, layer.size, kind)
        yield from state.files(package_stream.tar(stream))
        state.next()


@dataclass
class _Layers:
    """What the layers above hide: names they hold or remove, and directories they replace."""

    package: Package
    _above: set[str] = field(default_factory=set)
    _opaque: set[str] = field(default_factory=set)
    _here: set[str] = field(default_factory=set)
    _opaque_here: set[str] = field(default_factory=set)
    _size: int = 0

    def files(self, archive: tarfile.TarFile) -> Iterator[Found]:
        """Yield the files of one layer that nothing above hides."""
        for member in package_stream.tar_members(archive):
            name = clean(member.name).rstrip("/")
            directory, _, last = name.rpartition("/")
            if last == _OPAQUE:
                self._opaque_here.add(directory)
            elif last.startswith(_WHITEOUT):
                self._note(f"{directory}/{last.removeprefix(_WHITEOUT)}".lstrip("/"))
            elif not self._hidden(name):
                found = self._found(archive, member, name)
                if not member.isdir():
                    self._note(name)
                if found is not None:
                    yield found

    def _found(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> Found | None:
        if not member.isreg() or member.size <= HEAD:
            return None
        stream = archive.extractfile(member)
        assert stream is not None
        return file_in(name, stream, member.size, self.package)

    def _note(self, name: str) -> None:
        self._size += len(name)
        if self._size > MAX_NAMES:
            raise ValueError(f"its layers hold more than {MAX_NAMES} characters of names")
        self._here.add(name)

    def _hidden(self, name: str) -> bool:
        if name in self._above:
            return True
        place = name
        while place:
            place = place.rpartition("/")[0]
            if place in self._opaque or place in self._above:
                return True
        return False

    def next(self) -> None:
        """Go one layer down: what was here is now above."""
        self._above |= self._here
        self._opaque |= self._opaque_here
        self._here, self._opaque_here = set(), set()
