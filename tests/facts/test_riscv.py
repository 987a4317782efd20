"""RISC-V: ISA strings and hwprobe."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import riscv

X60 = Path(__file__).parents[1] / "recordings" / "archspec" / "linux-spacemit-x60"


def _facts(cpuinfo: bytes = b"", hwprobe: bytes = b"") -> Facts:
    taken = [
        Capture(name, CaptureStatus.OK, data)
        for name, data in (("file:/proc/cpuinfo", cpuinfo), ("probe:riscv-hwprobe", hwprobe))
        if data
    ]
    return Facts(Snapshot({c.id: c for c in taken}), (riscv.PARSER,))


def test_a_real_machine_gives_its_extensions_and_identity() -> None:
    facts = _facts(X60.read_bytes())
    isa = facts.value("riscv.isa")
    assert isinstance(isa, frozenset)
    assert {"i", "m", "a", "f", "d", "c", "v", "zba", "zicbom", "zvfh"} <= isa
    assert facts.value("riscv.mvendorid") == 0x710
    assert facts.value("riscv.uarch") == "spacemit,x60"


def test_g_stands_for_the_general_set() -> None:
    assert {"i", "m", "a", "f", "d", "zicsr", "zifencei", "c"} <= riscv.split_isa("rv64gc")


def test_versions_are_left_out_of_the_names() -> None:
    assert riscv.split_isa("rv64i2p1m2p0_zba1p0") == {"i", "m", "zba"}


def test_hwprobe_names_extensions_that_the_isa_string_leaves_out() -> None:
    facts = _facts(b"isa : rv64imac\n", b"0x3 0x1\n0x4 0x1000000001\n0x6 0x40\n")
    isa = facts.value("riscv.isa")
    assert isinstance(isa, frozenset)
    assert {"f", "d", "zihintpause", "c"} <= isa
    assert facts.value("riscv.hwprobe.zicboz_block_size") == 0x40


def test_a_key_without_a_name_keeps_its_number() -> None:
    assert _facts(hwprobe=b"0x20 0x7\n").value("riscv.hwprobe.key_32") == 7


def test_a_broken_pair_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 2"):
        riscv.parse_hwprobe("0x0 0x1\n0x1\n")


def test_nothing_recorded_is_missing() -> None:
    assert isinstance(_facts().get("riscv.isa"), Missing)


def test_a_cpuinfo_of_another_architecture_gives_nothing() -> None:
    assert isinstance(_facts(b"model name : Xeon\n").get("riscv.isa"), Missing)
