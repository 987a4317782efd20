"""What libraries are expected to use of an x86 chip: glibc, OpenSSL, numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from uplift.facts import glibc_bits
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.facts.parsers.cpuid_notation import REGISTERS
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predicate import version_key
from uplift.resolve.predict.versions import by_version
from uplift.resolve.predict.x86_flags import cleared

#: glibc's CPUID array: sysdeps/x86/bits/platform/x86.h of glibc 2.43 (CPUID_INDEX_…).
_LEAVES = (
    "1.0",
    "7.0",
    "80000001.0",
    "d.1",
    "80000007.0",
    "80000008.0",
    "7.1",
    "19.0",
    "14.0",
    "24.0",
)
#: State that the kernel must have switched on before glibc uses a feature (XCR0): update_active in
#: sysdeps/x86/cpu-features.c of glibc 2.43.
_YMM, _ZMM, _TILE, _APX = 0x6, 0xE6, 0x60000, 1 << 19
_YMM_WORDS = frozenset(
    {"avx", "avx2", "f16c", "fma", "fma4", "vaes", "vpclmulqdq", "xop"}
    | {"avx_vnni", "avx_ifma", "avx_ne_convert", "avx_vnni_int8", "avx_vnni_int16"}
)
#: The levels of the x86-64 psABI, as glibc asks for them (sysdeps/x86/isa-level.h, glibc 2.43).
_V2 = frozenset({"cmpxchg16b", "lahf64_sahf64", "popcnt", "sse3", "sse4_1", "sse4_2", "ssse3"})
_V3 = _V2 | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_LEVELS = {"x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
_HWCAPS_SINCE = "2.33"  #: glibc-hwcaps: elf/dl-hwcaps.c, glibc 2.33
#: Registers of OPENSSL_ia32cap: four until OpenSSL 3.4, ten since 3.5 (OPENSSL_ia32cap(3)).
_OPENSSL = ("cpuid.1.0.edx", "cpuid.1.0.ecx", "cpuid.7.0.ebx", "cpuid.7.0.ecx")
_OPENSSL_35 = (
    *_OPENSSL,
    *("cpuid.7.0.edx", "cpuid.7.1.eax", "cpuid.7.1.edx", "cpuid.7.1.ebx"),
    *("cpuid.7.1.ecx", "cpuid.24.0.ebx"),
)
#: What numpy's names ask of the CPU: numpy/_core/src/common/npy_cpu_features.c of numpy 2.3.
_SKX = frozenset({"avx512f", "avx512cd", "avx512vl", "avx512bw", "avx512dq"})
_CLX = _SKX | {"avx512_vnni"}
_CNL = _SKX | {"avx512_ifma", "avx512_vbmi"}
_ICL = _CLX | _CNL | {"avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq"}
_NUMPY: Mapping[str, frozenset[str]] = {
    "SSE3": frozenset({"sse3"}),
    "SSSE3": frozenset({"ssse3"}),
    "SSE41": frozenset({"sse4_1"}),
    "POPCNT": frozenset({"popcnt"}),
    "SSE42": frozenset({"sse4_2"}),
    "AVX": frozenset({"avx"}),
    "F16C": frozenset({"f16c"}),
    "FMA3": frozenset({"fma"}),
    "AVX2": frozenset({"avx2"}),
    "AVX512F": frozenset({"avx512f"}),
    "AVX512CD": frozenset({"avx512cd"}),
    "AVX512_SKX": _SKX,
    "AVX512_CLX": _CLX,
    "AVX512_CNL": _CNL,
    "AVX512_ICL": _ICL,
    "AVX512_SPR": _ICL | {"avx512_fp16"},
    "X86_V2": _V2,
    "X86_V3": _V3,
    "X86_V4": _V4,
}


def predict_libc(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict what glibc makes of the chip; its other facts are the release's own."""
    predictors: dict[str, Callable[[PlanFacts], Prediction | Missing]] = {
        "libc.active": _active,
        "libc.hwcaps": _hwcaps,
        "libc.detects": _detects,
    }
    return predictors[name](facts) if name in predictors else None


def _active(facts: PlanFacts) -> Prediction | Missing:
    known = _known_to_glibc(facts)
    if isinstance(known, Missing):
        return Missing("libc.active", "the release's glibc is not known")
    assert isinstance(known.value, PartialWords)
    state = facts.get("kernel.xcr0")
    words: set[str] = set()
    why: dict[str, str] = {}
    for word, cleared_by in _set_in_cpuid(facts):
        reason = cleared_by or known.value.open(word) or _without_state(word, state)
        if reason:
            why[word] = reason
        elif word in known.value and _has_state(word, state):
            words.add(word)
    captures = (state.capture,) if isinstance(state, Fact) else ()
    inputs = (*known.inputs, "probe:cpuid", *captures)
    return Prediction(PartialWords(words, why), inputs, f"{known.how}, on this chip")


def _detects(facts: PlanFacts) -> Prediction | Missing:
    """Return the chips whose model glibc tunes for."""
    return by_version(facts, "glibc", "detects", "x86-64", "libc.version")


def _known_to_glibc(facts: PlanFacts) -> Prediction | Missing:
    """Return the features that this glibc makes active: by its version, and its own header."""
    told = by_version(facts, "glibc", "cpu-feature", "x86-64", "libc.version")
    header = facts.release.get("libc.known_features")
    if isinstance(told, Missing) or isinstance(header, Missing):
        return told
    assert isinstance(told.value, PartialWords) and isinstance(header.value, frozenset)
    why = {word: reason for word, reason in told.value.why.items() if word in header.value}
    value = PartialWords(told.value & header.value, why, told.value.otherwise)
    return told._replace(value=value, inputs=(*told.inputs, header.capture))


def _set_in_cpuid(facts: PlanFacts) -> Iterator[tuple[str, str]]:
    """Yield glibc's names of the bits that the chip has, each with why the kernel may clear it."""
    for (index, register), bits in glibc_bits.names().items():
        if index >= len(_LEAVES):
            continue
        place = f"cpuid.{_LEAVES[index]}.{REGISTERS[register]}"
        value, gone = facts.chip.value(place), cleared(facts, place)
        if isinstance(value, int):
            there = [bit for bit in bits if value >> bit & 1]
            left = (bit for bit in there if bit not in gone or gone[bit])
            yield from ((bits[bit], gone.get(bit, "")) for bit in left)


def _needed_state(word: str) -> int:
    if word.startswith("avx512"):
        return _ZMM
    if word.startswith("amx_"):
        return _TILE
    return _APX if word == "apx_f" else _YMM if word in _YMM_WORDS else 0


def _without_state(word: str, state: Fact | Missing) -> str:
    """Say why nobody knows whether the kernel switches the state on; empty where it is known."""
    needed = _needed_state(word)
    if not needed:
        return ""
    if isinstance(state, Missing):
        return state.why
    unknown = state.value.unknown if isinstance(state.value, PartialRegister) else 0
    return state.value.why if isinstance(state.value, PartialRegister) and unknown & needed else ""


def _has_state(word: str, state: Fact | Missing) -> bool:
    needed = _needed_state(word)
    value = state.value if isinstance(state, Fact) else 0
    return isinstance(value, int) and value & needed == needed


def _hwcaps(facts: PlanFacts) -> Prediction | Missing:
    version, active = facts.release.get("libc.version"), facts.get("libc.active")
    if not isinstance(version, Fact) or not isinstance(active, Fact):
        return Missing("libc.hwcaps", "the release's glibc is not known")
    assert isinstance(active.value, frozenset)
    if version_key(str(version.value)) < version_key(_HWCAPS_SINCE):
        return Prediction(frozenset(), (version.capture,), "glibc-hwcaps came with glibc 2.33")
    levels = _levels(active.value, _LEVELS)
    return Prediction(levels, (version.capture, active.capture), "the levels of the psABI")


def _levels(active: frozenset[str], table: Mapping[str, frozenset[str]]) -> PartialWords:
    """Return the names all of whose words are there; open where one of them is."""
    words = {name for name, needed in table.items() if needed <= active}
    why = {
        name: reason
        for name, needed in table.items()
        if name not in words and (reason := _open_in(active, needed))
    }
    return PartialWords(words, why)


def _open_in(active: frozenset[str], needed: frozenset[str]) -> str:
    """Return why it is open whether all of ``needed`` is there; empty where it is settled."""
    if not isinstance(active, PartialWords):
        return ""
    open_ = [active.open(word) for word in needed - active]
    return open_[0] if all(open_) and open_ else ""


def predict_openssl(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``library.openssl.uses``: the bits of the chip that its vector holds."""
    if name == "library.openssl.cap_set":
        return Prediction("", (), "a plan assumes that OPENSSL_ia32cap is not set")
    if name != "library.openssl.uses":
        return None
    version = facts.release.get("library.openssl.version")
    if not isinstance(version, Fact):
        return Missing(name, "the release's OpenSSL is not known")
    new = version_key(str(version.value)) >= (3, 5)
    registers = _OPENSSL_35 if new else _OPENSSL
    bits = frozenset(_bits(facts, registers))
    how = f"OpenSSL {version.value} reads {len(registers)} registers"
    return Prediction(bits, (version.capture, "probe:cpuid"), how)


def _bits(facts: PlanFacts, registers: tuple[str, ...]) -> Iterator[str]:
    for register in registers:
        value = facts.chip.value(register)
        if isinstance(value, int):
            bits = (bit for bit in range(32) if value >> bit & 1)
            names = (f"{register}.{bit}" for bit in bits if bit not in cleared(facts, register))
            yield from (name for name in names if _has_code(name, facts))


#: AES-GCM with vector AES came with OpenSSL 3.1 and asks for AVX-512 besides: CHANGES.md of 3.1,
#: ossl_vaes_vpclmulqdq_capable in crypto/modes/asm/aes-gcm-avx512.pl of OpenSSL 3.5.
_VECTOR_AES = frozenset({"cpuid.7.0.ecx.9", "cpuid.7.0.ecx.10"})
_VECTOR_AES_BITS = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31  #: of leaf 7, EBX: AVX-512 F, DQ, BW, VL


def _has_code(name: str, facts: PlanFacts) -> bool:
    """Say whether this OpenSSL does anything with a bit of its vector, where that is known."""
    if name not in _VECTOR_AES:
        return True
    version = facts.release.value("library.openssl.version")
    wide = facts.chip.value("cpuid.7.0.ebx")
    new = version_key(str(version)) >= (3, 1)
    return new and isinstance(wide, int) and wide & _VECTOR_AES_BITS == _VECTOR_AES_BITS


def predict_numpy(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``python.numpy.found``: what it was built to dispatch to and this chip has."""
    if name != "python.numpy.found":
        return None
    built = [facts.release.get(f"python.numpy.{part}") for part in ("dispatch", "baseline")]
    found = [fact for fact in built if isinstance(fact, Fact)]
    active = facts.get("libc.active")
    if not found or not isinstance(active, Fact) or not isinstance(active.value, frozenset):
        return Missing(name, "what the release's numpy dispatches to was not recorded")
    words = frozenset[str]().union(*(f.value for f in found if isinstance(f.value, frozenset)))
    levels = _levels(active.value, {w: _NUMPY[w] for w in words if w in _NUMPY})
    inputs = (*(fact.capture for fact in found), active.capture)
    return Prediction(levels, inputs, "what numpy was built to dispatch to, on this chip")
