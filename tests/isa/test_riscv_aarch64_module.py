"""The native module beside the fallbacks: ranges of every kind, walks, refusals."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import uplift
from uplift.isa import aarch64_fallback, riscv_fallback, x86_fallback

NATIVE = Path(uplift.__file__).parent / "isa" / "native"
FALLBACKS = {"x86-64": x86_fallback, "aarch64": aarch64_fallback, "riscv64": riscv_fallback}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module, compiled from the package's own sources."""
    include = Path(sysconfig.get_path("include"))
    compiler = shutil.which("cc")
    if not compiler or not (include / "Python.h").exists():
        pytest.skip("no C compiler, or no headers of Python")
    library = tmp_path_factory.mktemp("native") / "_decode.so"
    flags = ["-O1", "-std=gnu11", "-shared", "-fPIC", "-I", include, "-o", library]
    subprocess.run([compiler, *flags, *sorted(NATIVE.glob("*.c"))], check=True)
    spec = importlib.util.spec_from_file_location("_decode", library)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ranges(noise: np.random.Generator, base: int, size: int) -> tuple[Any, Any]:
    """Some ranges in no order: overlapping, ragged, empty, turned round, beyond the data."""
    starts = noise.integers(base - 100, base + size + 100, noise.integers(0, 12))
    return starts, starts + noise.integers(-20, 600, len(starts))


@pytest.mark.parametrize("arch", FALLBACKS)
def test_the_native_module_and_the_fallback_give_the_same_bytes(native: Any, arch: str) -> None:
    fallback: ModuleType = FALLBACKS[arch]
    noise = np.random.default_rng(7)
    for _ in range(40):
        code = noise.bytes(int(noise.integers(0, 3000)))
        base = int(noise.integers(-5000, 5000)) * 8
        starts, ends = ranges(noise, base, len(code))
        assert native.lengths(arch, code) == fallback.lengths(code)
        for job in ("classify", "references"):
            ours = getattr(fallback, job)(code, base, starts, ends)
            assert getattr(native, job)(arch, code, base, starts, ends) == ours
        seeds = noise.integers(base - 10, base + len(code) + 10, 30)
        walked = native.walk(arch, code, base, seeds, starts, ends)
        assert walked == fallback.walk(code, base, seeds, starts, ends)


def test_what_is_no_int64_and_what_lies_beyond_the_last_address_is_refused(native: Any) -> None:
    none, narrow = np.zeros(1, np.int64), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="int64"):
        native.classify("aarch64", b"", 0, narrow, none)
    with pytest.raises(ValueError, match="last address"):
        native.classify("aarch64", bytes(8), 2**63 - 1, none, none)
    with pytest.raises(ValueError, match="as many"):
        native.references("riscv64", b"", 0, none, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="no decoder for m68k"):
        native.lengths("m68k", b"")
