"""QEMU's recorded answers on a host model, alone and beside the host's CPUID."""

from __future__ import annotations

import json

import pytest

from uplift.errors import RecordingError
from uplift.facts.imports import libvirt_model, load_path
from uplift.facts.parsers import read_facts

NAME = "x86_64-cpuid-Example.json"
REPLY = {"return": {"model": {"name": "base", "props": {"avx2": True, "amx_tile": False}}}, "id": 1}
MODELS = {"return": [{"name": "EPYC", "unavailable-features": ["svm"]}], "id": 2}
ANSWERS = (json.dumps(REPLY, indent=2) + "\n\n" + json.dumps(MODELS)).encode()
CPUID = b"""<cpudata arch='x86'>
<cpuid eax_in='0x0' ecx_in='0x0' eax='0x7' ebx='0x756e6547' ecx='0x6c65746e' edx='0x49656e69'/>
<cpuid eax_in='0x7' ecx_in='0x0' eax='0x0' ebx='0x20' ecx='0x0' edx='0x1000000'/>
</cpudata>"""


def test_a_sequence_of_replies_becomes_qemus_facts():
    assert libvirt_model.recognises(NAME, ANSWERS)
    facts = read_facts(libvirt_model.load(NAME, ANSWERS))
    assert facts.value("qemu.host.avx2") is True
    assert facts.value("qemu.host.amx-tile") is False
    assert facts.value("qemu.unavailable.EPYC") == {"svm"}
    assert facts.value("cpuid.7.0.edx") is None


def test_a_pair_in_a_directory_tells_what_the_silicon_has_and_what_a_guest_gets(tmp_path):
    (tmp_path / NAME).write_bytes(ANSWERS)
    (tmp_path / NAME.replace(".json", ".xml")).write_bytes(CPUID)
    facts = read_facts(load_path(tmp_path))
    assert facts.value("cpuid.7.0.edx") == 1 << 24
    assert facts.value("qemu.host.amx-tile") is False


def test_a_directory_of_several_machines_is_no_pair():
    names = frozenset({"x86_64-cpuid-A.json", "x86_64-cpuid-A.xml", "x86_64-cpuid-B.json"})
    assert not libvirt_model.recognises_tree(names)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (ANSWERS[:40], "line 1"),
        (ANSWERS[:-2], "line"),
        (b'{"return": {}}', "no reply holds"),
        (b"[1]", "no short sequence"),
        (b"{}" * 50, "no short sequence"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_broken_replies_are_refused_with_the_place(data, cause):
    with pytest.raises(RecordingError) as refused:
        libvirt_model.load(NAME, data)
    assert cause in refused.value.cause


def test_every_truncation_is_refused_or_read():
    for end in range(len(ANSWERS)):
        try:
            libvirt_model.load(NAME, ANSWERS[:end])
        except RecordingError:
            continue
