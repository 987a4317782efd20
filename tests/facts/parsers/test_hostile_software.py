"""Whatever the bytes are, a parser of software reads them or raises ValueError, and soon."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.facts.parsers.reading import RECORDINGS
from uplift.facts.model import Capture, CaptureStatus, Parser, Snapshot
from uplift.facts.parsers import all_parsers
from uplift.facts.snapshot_file import load

PREFIXES = (
    *("kernel.", "kvm.", "qemu.", "libvirt.", "compiler.", "assembler.", "libc.", "library."),
    *("environment.", "python.", "java.", "postgresql.", "ovs.", "ovn.", "dpdk.", "gpu."),
    *("cuda.", "container.", "package.", "snap.", "net.offload."),
)
SOFTWARE = [p for p in all_parsers() if p.declares[0].startswith(PREFIXES)]
HOSTILE = (
    *(b"", b"\0" * 5000, b"\xff" * 5000, b"[" * 50_000, b'{"a":' * 20_000, b"9" * 50_000),
    *(b"<a>" * 20_000, b"a=" * 200_000, b"(" * 100_000, b" " * 300_000, b"\n" * 300_000),
    *(b"-m" * 200_000, b'"' * 200_000, b"x: on [" * 50_000, b"0x00000000 0x00: eax=" * 5000),
    *(b"== " * 100_000, b"cap KVM_CAP_ " * 20_000, b"version " * 50_000, b"\t" * 200_000),
    *(b"api 1\n" + b"\n" * 300_000, b"bool A = " + b" " * 300_000, b"lib" + b".so" * 100_000),
    *(b"ROCk module\n***\nAgent 1\n***\n  A: " + b" " * 300_000 + b"x", b"-a yes" * 50_000),
)
SECONDS = 5.0


_ENDS = {
    "cmd:gcc/*": ("version", "accepts", "target-help", "march-native"),
    "cmd:clang/*": ("version", "accepts", "target-help", "march-native"),
    "cmd:qemu-system-*": ("x86_64/version", "x86_64/qmp"),
    "file:/lib/modules/*": ("6.8/config",),
}


def _names(parser: Parser) -> list[str]:
    names = []
    for pattern in parser.reads:
        ends = _ENDS.get(pattern, ("x",)) if pattern.endswith("*") else ("",)
        names += [pattern.rstrip("*") + end for end in ends]
    return names


def _reads_or_refuses(parser: Parser, captures: dict[str, Capture]) -> None:
    started = time.process_time()
    try:
        for reading in parser.parse(captures):
            assert reading.capture in captures
            assert all(isinstance(name, str) for name in reading.values)
    except ValueError:
        pass
    assert time.process_time() - started < SECONDS, parser.name


@pytest.mark.parametrize("parser", SOFTWARE, ids=lambda parser: parser.name)
def test_bytes_that_no_program_writes_are_read_or_refused(parser):
    for data in HOSTILE:
        for name in _names(parser):
            _reads_or_refuses(parser, {name: Capture(name, CaptureStatus.OK, data)})


@pytest.fixture(scope="module")
def milan() -> Snapshot:
    return load(RECORDINGS / "software" / "milan.jsonl.gz")


def _mutants(data: bytes, chance: random.Random) -> Iterator[bytes]:
    for _ in range(6):
        yield data[: chance.randrange(len(data) + 1)]
        place = chance.randrange(max(len(data), 1))
        yield data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
        yield data[:place] + data[place + chance.randrange(200) :]


@pytest.mark.parametrize("parser", SOFTWARE, ids=lambda parser: parser.name)
def test_a_damaged_recording_is_read_or_refused(parser, milan):
    chance = random.Random(parser.name)
    reads = [name.rstrip("*") for name in parser.reads]
    own = {n: c for n, c in milan.captures.items() if n.startswith(tuple(reads)) and c.usable}
    for name, capture in own.items():
        for mutant in _mutants(capture.data[:200_000], chance):
            damaged = Capture(name, CaptureStatus.OK, mutant, format=capture.format)
            _reads_or_refuses(parser, {**own, name: damaged})
