"""libvirt's view of the host: version, host model, and the features a guest may be given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from uplift.facts.model import Capture, Parser, Reading, Value

_DOMAIN = "cmd:virsh/domcapabilities"
_HOST = "cmd:virsh/capabilities"
_VERSION = "cmd:virsh/version"
_MAX_BYTES = 16 << 20
_LIBRARY = re.compile(r"(?:library|libvirt)[: ]+(?:libvirt )?(\d+\.\d+\.\d+)", re.IGNORECASE)


def _xml(capture: Capture) -> Element:
    if len(capture.data) > _MAX_BYTES:
        raise ValueError(f"{capture.id} is longer than {_MAX_BYTES} bytes")
    try:
        root: Element = defusedxml.ElementTree.fromstring(capture.data)
    except (DefusedXmlException, defusedxml.ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"{capture.id} is no XML: {str(error)[:200]}") from error
    return root


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _DOMAIN in captures:
        yield Reading(_DOMAIN, dict(_domain(_xml(captures[_DOMAIN]))))
    if _HOST in captures:
        yield Reading(_HOST, dict(_host(_xml(captures[_HOST]))))
    if _VERSION in captures:
        found = _LIBRARY.search(captures[_VERSION].text)
        plain = re.match(r"\d+(?:\.\d+)+", captures[_VERSION].text.strip())
        if not found and not plain:
            raise ValueError(f"{_VERSION}: no line states the library's version")
        version = found[1] if found else plain[0] if plain else ""
        yield Reading(_VERSION, {"libvirt.version": version})


def _domain(root: Element) -> Iterator[tuple[str, Value]]:
    host_model = root.find("./cpu/mode[@name='host-model']")
    if host_model is not None and host_model.get("supported") == "yes":
        yield "libvirt.host_model", (host_model.findtext("model") or "").strip()
        features = host_model.findall("feature")
        yield "libvirt.features", _named(f for f in features if f.get("policy") == "require")
        yield "libvirt.disabled", _named(f for f in features if f.get("policy") == "disable")
    models = root.findall("./cpu/mode[@name='custom']/model")
    usable = (model for model in models if model.get("usable") == "yes")
    yield "libvirt.usable_models", frozenset((model.text or "").strip() for model in usable)
    for name in ("sev", "sgx", "tdx", "hyperv", "s390-pv"):
        element = root.find(f"./features/{name}")
        if element is not None:
            yield f"libvirt.{name.replace('-', '_')}", element.get("supported") == "yes"


def _host(root: Element) -> Iterator[tuple[str, Value]]:
    model = root.findtext("./host/cpu/model")
    if model:
        yield "libvirt.host_cpu", model.strip()
        yield "libvirt.host_features", _named(root.iterfind("./host/cpu/feature"))
    iommu = root.find("./host/iommu")
    if iommu is not None:
        yield "libvirt.iommu", iommu.get("support") == "yes"


def _named(elements: Iterable[Element]) -> frozenset[str]:
    found = (element.get("name", "") for element in elements)
    return frozenset(name for name in found if name)


PARSER = Parser(
    name="libvirt",
    declares=("libvirt.",),
    reads=(_DOMAIN, _HOST, _VERSION),
    parse=_parse,
)
