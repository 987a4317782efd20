"""What the layers of arm64 and RISC-V features say of versions is what the tables say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Feature, Layer, LayerNeed
from uplift.catalog.predicate import tests as asked_of
from uplift.catalog.since import load_since
from uplift.facts.model import Fact, Facts, Missing, ParserIndex, Snapshot, Value
from uplift.facts.parsers import all_parsers
from uplift.resolve.guest_versions import first_release
from uplift.resolve.predicate import judge

FEATURES = [f for f in load_catalog().features if f.id.startswith(("arm64/", "riscv/"))]
COMPILERS = {"compiler.gcc.accepts": "gcc", "compiler.clang.accepts": "llvm"}


def layers(name: Layer) -> Iterator[tuple[Feature, LayerNeed]]:
    for feature in FEATURES:
        yield from ((feature, need) for need in feature.layers if need.name is name)


def test_a_kernel_that_lifts_a_stop_is_the_first_that_reports_the_word():
    tables = load_since()
    told = 0
    for feature, need in layers(Layer.KERNEL):
        named = re.fullmatch(
            r"boot Linux ([\d.]+) or later, which reports (\S+)",
            need.remedy.do if need.remedy else "",
        )
        if named is None:
            continue
        kind = "riscv-isa" if feature.id.startswith("riscv/") else "arm64-hwcap"
        since = tables["linux", kind, feature.arch[0]][named[2]]
        assert named[1] == first_release(since), feature.id
        assert need.since and need.since.version == named[1], feature.id
        told += 1
    assert told > 100


def test_no_layer_asks_one_compiler_only_for_an_option_that_the_other_accepts():
    tables = load_since()
    for feature, need in layers(Layer.TOOLCHAIN):
        asked = {(test.fact, str(test.operand)) for test in asked_of(need.needs)}
        for fact, project in COMPILERS.items():
            known = tables[project, "option", feature.arch[0]]
            options = {option for _, option in asked if known.get(option)}
            lacking = {option for option in options if (fact, option) not in asked}
            assert not lacking, f"{feature.id} does not ask {project} for {lacking}"


@pytest.mark.parametrize("feature", ["riscv/zicbom", "riscv/zicbop", "riscv/zicboz"])
def test_cache_block_operations_are_rebuilt_with_gcc_13(feature: str):
    (need,) = (need for found, need in layers(Layer.TOOLCHAIN) if found.id == feature)
    word = feature.removeprefix("riscv/")
    assert ("compiler.gcc.accepts", f"-march=rv64gc_{word}") in {
        (test.fact, test.operand) for test in asked_of(need.needs)
    }
    assert load_since()["gcc", "option", "riscv64"][f"-march=rv64gc_{word}"].has("13.2.0")


@pytest.mark.parametrize("feature", ["arm64/bti", "arm64/pac-address"])
def test_gcc_protects_branches_in_every_release_of_the_catalog(feature: str):
    (need,) = (need for found, need in layers(Layer.TOOLCHAIN) if found.id == feature)
    (option,) = (str(test.operand) for test in asked_of(need.needs))
    assert load_since()["gcc", "option", "arm64"][option].has("11.2.0")


def kernels(feature: str, release: str, midr: int = 0) -> bool | None:
    """Return whether Linux ``release`` uses a feature of the core ``midr``."""
    (need,) = (need for found, need in layers(Layer.KERNEL) if found.id == f"arm64/{feature}")
    return judge(need.needs, Told({"kernel.release": release, "arm64.midr": midr})).holds


class Told(Facts):
    """Facts that a test tells, and no others."""

    def __init__(self, told: dict[str, Value]) -> None:
        super().__init__(Snapshot({}), ParserIndex(all_parsers()))
        self._told = told

    def _find(self, name: str) -> Fact | Missing:
        return Fact(name, self._told[name], "told") if name in self._told else Missing(name, "")


@pytest.mark.parametrize(
    ("feature", "lacks", "has"),
    [
        ("s1pie", "6.1.4", "6.5.13"),
        ("hcx", "6.1.4", "6.5.13"),
        ("evt", "6.1.4", "6.5.13"),
        ("fgt", "6.5.13", "6.8.1"),
        ("gicv5", "6.14.0", "6.17.8"),
        ("nv2", "6.14.0", "6.17.8"),
    ],
)
def test_what_the_kernel_itself_uses_begins_with_a_version(feature: str, lacks: str, has: str):
    assert kernels(feature, lacks) is False
    assert kernels(feature, has) is True


def test_linux_used_the_user_access_override_until_it_dropped_set_fs():
    assert kernels("uao", "5.10.262") is True
    assert kernels("uao", "5.15.0") is False


@pytest.mark.parametrize("feature", ["hpds", "d128", "xs", "the", "tlbi-os"])
def test_what_no_linux_uses_stops_at_the_kernel(feature: str):
    assert kernels(feature, "7.2.13") is False


@pytest.mark.parametrize(
    ("core", "release", "uses"),
    [
        (0x410FD840, "6.14.0", False),  # Neoverse V3
        (0x410FD840, "6.17.8", True),
        (0xC00FAC30, "6.17.8", False),  # Ampere1
        (0xC00FAC30, "6.18.15", True),
        (0x410FD4F0, "7.2.13", False),  # Neoverse V2
    ],
)
def test_break_before_make_is_left_out_on_the_cores_that_linux_lists(
    core: int, release: str, uses: bool
):
    assert kernels("bbml2", release, core) is uses


def library(feature: str, **told: Value) -> bool | None:
    """Return whether a library uses a feature that the kernel reports."""
    (need,) = (need for found, need in layers(Layer.LIBRARY) if found.id == f"arm64/{feature}")
    facts = {name.replace("__", "."): value for name, value in told.items()}
    return judge(need.needs, Told(facts)).holds


@pytest.mark.parametrize("word", ["aes", "pmull", "sha1", "sha512"])
def test_openssl_uses_cryptography_that_the_kernel_reports(word: str):
    words = frozenset({word})
    assert library(word, hwcap__words=words, library__openssl__version="3.0.2") is True
    assert library(word, hwcap__words=words) is None


@pytest.mark.parametrize("word", ["sm3", "sm4"])
def test_openssl_came_to_use_chinese_ciphers_after_3_0(word: str):
    words = frozenset({word})
    assert library(word, hwcap__words=words, library__openssl__version="3.0.13") is False
    assert library(word, hwcap__words=words, library__openssl__version="3.5.3") is True


@pytest.mark.parametrize(("core", "uses"), [(0x410FD4F0, True), (0x410FD0C0, False)])
def test_openssl_uses_three_way_exclusive_or_on_the_cores_that_it_lists(core: int, uses: bool):
    told: dict[str, Value] = {"hwcap__words": frozenset({"sha3"}), "arm64__midr": core}
    assert library("sha3", **told, library__openssl__version="3.5.3") is uses


def test_postgresql_uses_crc32():
    words = frozenset({"crc32"})
    assert library("crc32", hwcap__words=words, postgresql__version="14.2") is True
    assert library("crc32", hwcap__words=words) is None
