"""AMD GPUs: the agents that ROCm's runtime lists, and ROCm's version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_AGENTS = "cmd:rocminfo/agents"
_VERSION = "file:/opt/rocm/.info/version"
_FIELD = re.compile(r"^ {1,40}([A-Z][\w ]{0,60}): +(.*)$", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _VERSION in captures:
        found = re.match(r"\d+(?:\.\d+)*", captures[_VERSION].text.strip())
        if not found:
            raise ValueError(f"{_VERSION}: line 1 states no version")
        yield Reading(_VERSION, {"gpu.amd.rocm": found[0]})
    if _AGENTS in captures:
        yield Reading(_AGENTS, dict(_agents(captures[_AGENTS].text)))


def _agents(text: str) -> Iterator[tuple[str, Value]]:
    if "ROCk module" not in text and "HSA System Attributes" not in text:
        raise ValueError(f"{_AGENTS}: line 1 is not rocminfo's")
    loaded = re.search(r"ROCk module.*? is loaded", text)
    yield "gpu.amd.module_loaded", bool(loaded)
    agents = re.split(r"^\*{3,80}[ \t]*\nAgent \d{1,4}[ \t]*\n\*+", text, flags=re.MULTILINE)[1:]
    gpus = [_fields(agent) for agent in agents]
    gpus = [fields for fields in gpus if fields.get("Device Type") == "GPU"]
    yield "gpu.amd.count", len(gpus)
    yield "gpu.amd.isa", frozenset(fields.get("Name", "") for fields in gpus) - {""}
    yield "gpu.amd.product", frozenset(f.get("Marketing Name", "") for f in gpus) - {""}
    runtime = re.search(r"Runtime Version: +(\S+)", text)
    if runtime:
        yield "gpu.amd.runtime", runtime[1]


def _fields(agent: str) -> dict[str, str]:
    """Return an agent's fields; of one that its parts repeat (``Name``) the agent's own."""
    return {name.strip(): value.strip() for name, value in reversed(_FIELD.findall(agent))}


PARSER = Parser("rocm", ("gpu.amd.",), (_AGENTS, _VERSION), _parse)
