"""Which device nodes of interest there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from uplift.facts.model import Capture, Parser, Reading

_DEV = "list:/dev"


def parse(captures: Mapping[str, Capture]) -> Iterable[Reading]:
    """Return ``dev.nodes``: names below /dev, such as ``kvm`` and ``crypto/nx-gzip``."""
    return [Reading(_DEV, {"dev.nodes": frozenset(captures[_DEV].text.splitlines())})]


PARSER = Parser("device-nodes", ("dev.nodes",), (_DEV,), parse)
