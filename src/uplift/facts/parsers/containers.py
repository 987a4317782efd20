"""Container runtimes: versions, and how they expose devices (CDI, NVIDIA's runtime)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.qemu import read_json

_INFO = "cmd:docker/info"
_VERSIONS = ("docker", "podman", "containerd", "runc", "nvidia-ctk")
_DAEMON = "file:/etc/docker/daemon.json"
_CDI = ("list:/etc/cdi", "list:/var/run/cdi")
_VERSION = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)*)")


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for program in _VERSIONS:
        name = f"cmd:{program}/version"
        if name in captures:
            found = _VERSION.search(captures[name].text)
            if not found:
                raise ValueError(f"{name}: line 1 states no version")
            fact = f"container.{program.replace('-', '_')}.version"
            yield Reading(name, {fact: found[1]})
    for name in (_INFO, _DAEMON):
        if name in captures:
            yield Reading(name, dict(_docker(captures[name])))
    for name in _CDI:
        if name in captures:
            files = frozenset(captures[name].text.split())
            yield Reading(name, {f"container.cdi.{name.split('/')[1]}": files})


def _docker(capture: Capture) -> Iterator[tuple[str, Value]]:
    if capture.data.lstrip()[:1] not in (b"{", b"["):
        yield from _docker_text(capture)
        return
    info = read_json(capture.data)
    if not isinstance(info, dict):
        raise ValueError(f"{capture.id}: it is no JSON object")
    runtimes = info.get("Runtimes", info.get("runtimes"))
    if isinstance(runtimes, Mapping):
        yield "container.docker.runtimes", frozenset(str(name) for name in runtimes)
    for key in ("CDISpecDirs", "cdi-spec-dirs"):
        if isinstance(info.get(key), list):
            yield "container.docker.cdi_directories", frozenset(str(d) for d in info[key])
    for key in ("DefaultRuntime", "default-runtime"):
        if isinstance(info.get(key), str):
            yield "container.docker.default_runtime", info[key]


_RUNTIMES = re.compile(r"^ *(Runtimes|Default Runtime): (.*)$", re.MULTILINE)


def _docker_text(capture: Capture) -> Iterator[tuple[str, Value]]:
    """Read ``docker info`` as a sosreport keeps it."""
    found = dict(_RUNTIMES.findall(capture.text))
    if not found:
        raise ValueError(f"{capture.id}: neither JSON nor a line 'Runtimes: …'")
    yield "container.docker.runtimes", frozenset(found.get("Runtimes", "").split())
    if "Default Runtime" in found:
        yield "container.docker.default_runtime", found["Default Runtime"].strip()


PARSER = Parser(
    name="containers",
    declares=("container.",),
    reads=(*(f"cmd:{program}/version" for program in _VERSIONS), _INFO, _DAEMON, *_CDI),
    parse=_parse,
)
