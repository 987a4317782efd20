"""The catalog's sets that a compiler makes of plain C: compiled here, and audited."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.isa.elf_files import tool
from uplift.catalog.instruction_sets import given_sets
from uplift.isa.audit import audit

PLAIN = Path(__file__).with_name("plain_code.c")
GCC = {
    "x86": ("gcc", "gcc"),
    "arm64": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    "riscv": ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
}
#: GCC's options, where they are not ``-m`` and the set's own name.
OPTIONS = {
    "x86/bmi1": "-mbmi",
    "x86/sse4.1": "-msse4.1",
    "x86/avx512cd": "-mavx512f -mavx512cd",
    "x86/avx512vnni": "-mavx512vl -mavx512vnni",
    "x86/avx512-vnni": "-mavx512vl -mavx512vnni",
    "x86/apx-f": "-mapxf",
    "arm64/dotprod": "-march=armv8.4-a",
    "arm64/fcma": "-march=armv8.3-a",
    "riscv/v": "-march=rv64gcv",
}
#: The first GCC that can: before it has no such option, or does not vectorize for it.
FIRST = {"x86/apx-f": 14, "riscv/v": 14}
COMPILED = sorted(name for name, given in given_sets().items() if given.compiled)


def options(feature: str) -> list[str]:
    if feature in OPTIONS:
        return OPTIONS[feature].split()
    room, _, name = feature.partition("/")
    by_room = {"x86": f"-m{name.replace('-', '')}", "riscv": f"-march=rv64gc_{name}"}
    return [by_room.get(room, f"-march=armv8-a+{name}"), "-mno-outline-atomics"][
        : 1 + (room == "arm64")
    ]


@pytest.mark.parametrize("feature", COMPILED)
def test_a_compiler_makes_a_compiled_set_of_plain_c(feature: str, tmp_path: Path) -> None:
    compiler = tool(*GCC[feature.partition("/")[0]])
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True)
    if int(version.stdout.split(".")[0]) < FIRST.get(feature, 0):
        pytest.skip(f"{compiler} is older than GCC {FIRST[feature]}, which first makes {feature}")
    out = tmp_path / "plain.o"
    command = [compiler, "-O3", "-ffast-math", "-c", str(PLAIN), "-o", str(out)]
    wide = ["-mprefer-vector-width=512"] if "avx512" in feature else []
    subprocess.run([*command, *wide, *options(feature)], check=True, timeout=120)
    assert set(given_sets()[feature].sets) <= set(audit(out).sets)


def test_plain_c_without_options_holds_nothing_above_the_base(tmp_path: Path) -> None:
    out = tmp_path / "plain.o"
    command = [tool("gcc", "gcc"), "-O3", "-ffast-math", "-c", str(PLAIN), "-o", str(out)]
    subprocess.run(command, check=True, timeout=120)
    assert audit(out).sets == {}
