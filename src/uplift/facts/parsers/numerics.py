"""Python's numerical stack: what numpy, torch and onnxruntime say they dispatch to.

A quick collection tells versions only; what a package says of the CPU needs it imported
(``--deep``), and stays unknown without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.qemu import read_json

_CAPTURE = "cmd:python3/numerics"
_TEXTS = {
    "version": "version",
    "cpu_capability": "capability",
    "build": "build",
    "directory": "directory",
    "error": "error",
}
_SETS = ("found", "baseline", "dispatch", "providers")
_TORCH_CAPABILITY = re.compile(r"CPU capability usage: (\S+)")


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    report = read_json(captures[_CAPTURE].data)
    if not isinstance(report, dict):
        raise ValueError("it is no JSON object")
    values: dict[str, Value] = {}
    for package, told in report.items():
        if isinstance(told, Mapping) and re.fullmatch(r"[\w-]{1,60}", package):
            values.update(_package(f"python.{package.replace('-', '_')}.", told))
    values["python.packages"] = frozenset(name.split(".")[1] for name in values)
    yield Reading(_CAPTURE, values)


def _package(prefix: str, told: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    for key, fact in _TEXTS.items():
        if isinstance(told.get(key), str):
            yield prefix + fact, str(told[key])
    for key in _SETS:
        words = told.get(key)
        if isinstance(words, list):
            yield prefix + key, frozenset(str(word) for word in words)
    for key in ("mkldnn", "cuda"):
        if isinstance(told.get(key), bool):
            yield prefix + key, bool(told[key])
    config = told.get("config")
    if isinstance(config, Mapping):
        yield from _numpy_config(prefix, config)
    elif isinstance(config, str):
        yield from _torch_config(prefix, config)


def _numpy_config(prefix: str, config: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    """Read ``numpy.show_config("dicts")``, the shape that numpy documents since 1.26."""
    simd = config.get("SIMD Extensions")
    for key in ("baseline", "found"):
        words = simd.get(key) if isinstance(simd, Mapping) else None
        if isinstance(words, list):
            yield prefix + key, frozenset(str(word) for word in words)
    dependencies = config.get("Build Dependencies")
    blas = dependencies.get("blas") if isinstance(dependencies, Mapping) else None
    if isinstance(blas, Mapping):
        for key, fact in (("name", "blas"), ("openblas configuration", "blas_config")):
            if isinstance(blas.get(key), str):
                yield prefix + fact, str(blas[key])


def _torch_config(prefix: str, config: str) -> Iterator[tuple[str, Value]]:
    found = _TORCH_CAPABILITY.search(config)
    if found:
        yield f"{prefix}capability", found[1]


PARSER = Parser("numerics", ("python.",), (_CAPTURE,), _parse)
