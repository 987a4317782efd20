"""NVIDIA GPUs: driver, devices and their state, from ``nvidia-smi -q -x``; the CUDA toolkit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from uplift.facts.model import Capture, Parser, Reading, Value

_QUERY = "cmd:nvidia-smi/query"
_DRIVER = "file:/proc/driver/nvidia/version"
_NVCC = "cmd:nvcc/version"
_CUDA = "file:/usr/local/cuda/version.json"
_MAX_BYTES = 16 << 20
_KERNEL_DRIVER = re.compile(r"NVRM version: NVIDIA.*?  (\d+\.\d+(?:\.\d+)*)")

#: Fact's last word and where the query's answer for one GPU holds it.
_FIELDS = (
    ("product", "product_name"),
    ("architecture", "product_architecture"),
    ("vbios", "vbios_version"),
    ("mig_mode", "mig_mode/current_mig"),
    ("ecc_mode", "ecc_mode/current_ecc"),
    ("persistence_mode", "persistence_mode"),
    ("addressing_mode", "addressing_mode"),
    ("compute_mode", "compute_mode"),
    ("memory", "fb_memory_usage/total"),
    ("pcie_generation", "pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
    ("pcie_generation_max", "pci/pci_gpu_link_info/pcie_gen/max_link_gen"),
    ("pcie_width", "pci/pci_gpu_link_info/link_widths/current_link_width"),
    ("gsp_firmware", "gsp_firmware_version"),
    ("fabric_state", "fabric/state"),
    ("virtualization", "gpu_virtualization_mode/virtualization_mode"),
    ("driver_model", "driver_model/current_dm"),
    ("confidential_compute", "cc_state"),
)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _QUERY in captures:
        yield Reading(_QUERY, dict(_gpus(_root(captures[_QUERY]))))
    if _DRIVER in captures:
        found = _KERNEL_DRIVER.search(captures[_DRIVER].text)
        if not found:
            raise ValueError(f"{_DRIVER}: line 1 states no version")
        open_module = "Open Kernel Module" in captures[_DRIVER].text
        values: dict[str, Value] = {
            "gpu.nvidia.module_version": found[1],
            "gpu.nvidia.open_module": open_module,
        }
        yield Reading(_DRIVER, values)


def _root(capture: Capture) -> Element:
    if len(capture.data) > _MAX_BYTES:
        raise ValueError(f"{capture.id} is longer than {_MAX_BYTES} bytes")
    try:
        # nvidia-smi opens with a DOCTYPE that names a DTD; entities stay forbidden.
        root: Element = defusedxml.ElementTree.fromstring(capture.data, forbid_dtd=False)
    except (DefusedXmlException, defusedxml.ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"{capture.id} is no XML: {str(error)[:200]}") from error
    if root.tag != "nvidia_smi_log":
        raise ValueError(f"{capture.id} is no answer of nvidia-smi -q -x")
    return root


def _gpus(root: Element) -> Iterator[tuple[str, Value]]:
    for fact, name in (("driver", "driver_version"), ("cuda", "cuda_version")):
        text = root.findtext(name)
        if text:
            yield f"gpu.nvidia.{fact}", text.strip()
    gpus = root.findall("gpu")
    yield "gpu.nvidia.count", len(gpus)
    for fact, path in _FIELDS:
        told = [(gpu.findtext(path) or "").strip() for gpu in gpus]
        known = frozenset(text for text in told if text and text != "N/A")
        if known:
            yield f"gpu.nvidia.{fact}", known
    for number, gpu in enumerate(gpus):
        product = gpu.findtext("product_name")
        if product:
            yield f"gpu.nvidia.device{number}.product", product.strip()


def _toolkit(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _NVCC in captures:
        found = re.search(r"release (\d+\.\d+), V(\S+)", captures[_NVCC].text)
        if not found:
            raise ValueError(f"{_NVCC}: no line states the release")
        yield Reading(_NVCC, {"cuda.compiler": found[2]})
    if _CUDA in captures:
        try:
            version = json.loads(captures[_CUDA].data)["cuda"]["version"]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{_CUDA}: no cuda.version in it") from error
        yield Reading(_CUDA, {"cuda.version": str(version)})


PARSERS = (
    Parser("nvidia", ("gpu.nvidia.",), (_QUERY, _DRIVER), _parse),
    Parser("cuda", ("cuda.compiler", "cuda.version"), (_NVCC, _CUDA), _toolkit),
)
