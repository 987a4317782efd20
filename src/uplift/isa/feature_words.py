"""Where programs keep what the processor can do: known variables, and what CPUID answers.

Sources: libgcc ``common/config/i386/i386-cpuinfo.h`` (GCC 14), compiler-rt ``cpu_model/x86.c``
(LLVM 18, the same numbers); OpenSSL 3 ``OPENSSL_ia32cap(3)``; Intel SDM vol. 2A, CPUID.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

ANY = (0, 0)  #: a word of which no bit is known
ALL = (1 << 64) - 1

#: libgcc's feature numbers that mean more than the base of x86-64.
_GCC: Mapping[int, str] = {
    2: "popcnt", 5: "sse3", 6: "ssse3", 7: "sse4.1", 8: "sse4.2", 9: "avx", 10: "avx2",
    11: "sse4a", 12: "fma4", 13: "xop", 14: "fma", 15: "avx512f", 16: "bmi1", 17: "bmi2",
    18: "aes", 19: "pclmul", 20: "avx512vl", 21: "avx512bw", 22: "avx512dq", 23: "avx512cd",
    24: "avx512er", 25: "avx512pf", 26: "avx512vbmi", 27: "avx512ifma", 28: "avx5124vnniw",
    29: "avx5124fmaps", 30: "avx512vpopcntdq", 31: "avx512vbmi2", 32: "gfni", 33: "vpclmulqdq",
    34: "avx512vnni", 35: "avx512bitalg", 36: "avx512bf16", 37: "avx512vp2intersect",
    38: "3dnow", 39: "3dnowp", 40: "adx", 41: "lzcnt", 42: "cldemote", 43: "clflushopt",
    44: "clwb", 45: "clzero", 46: "cx16", 48: "enqcmd", 49: "f16c", 50: "fsgsbase", 52: "hle",
    54: "lahf", 56: "lwp", 57: "lzcnt", 58: "movbe", 59: "movdir64b", 60: "movdiri",
    61: "mwaitx", 62: "xsave", 63: "pconfig", 64: "pku", 65: "prefetchwt1", 66: "prfchw",
    67: "ptwrite", 68: "rdpid", 69: "rdrnd", 70: "rdseed", 71: "rtm", 72: "serialize",
    74: "sha", 75: "shstk", 76: "tbm", 77: "tsxldtrk", 78: "vaes", 79: "waitpkg",
    81: "xsave", 82: "xsavec", 83: "xsaveopt", 84: "xsaves", 85: "amx-tile", 86: "amx-int8",
    87: "amx-bf16", 88: "uintr", 89: "hreset", 90: "kl", 92: "widekl", 93: "avxvnni",
    94: "avx512fp16", 96: "level2", 97: "level3", 98: "level4", 99: "avxifma", 100: "avxvnniint8",
    101: "avxneconvert", 102: "cmpccxadd", 103: "amx-fp16", 104: "prefetchi", 105: "raoint",
    106: "amx-complex", 107: "avxvnniint16", 108: "sm3", 109: "sha512", 110: "sm4", 111: "apxf",
    112: "usermsr", 113: "avx10.1", 116: "avx10.2",
}  # fmt: skip
_LEAF_1_ECX = {
    0: "sse3", 1: "pclmul", 3: "monitor", 9: "ssse3", 12: "fma", 13: "cx16", 19: "sse4.1",
    20: "sse4.2", 22: "movbe", 23: "popcnt", 25: "aes", 26: "xsave", 27: "xsave", 28: "avx",
    29: "f16c", 30: "rdrnd",
}  # fmt: skip
_LEAF_7_EBX = {
    0: "fsgsbase", 3: "bmi1", 4: "hle", 5: "avx2", 8: "bmi2", 11: "rtm", 14: "mpx",
    16: "avx512f", 17: "avx512dq", 18: "rdseed", 19: "adx", 21: "avx512ifma", 23: "clflushopt",
    24: "clwb", 26: "avx512pf", 27: "avx512er", 28: "avx512cd", 29: "sha", 30: "avx512bw",
    31: "avx512vl",
}  # fmt: skip
_LEAF_7_ECX = {
    0: "prefetchwt1", 1: "avx512vbmi", 3: "pku", 4: "pku", 5: "waitpkg", 6: "avx512vbmi2",
    7: "shstk", 8: "gfni", 9: "vaes", 10: "vpclmulqdq", 11: "avx512vnni", 12: "avx512bitalg",
    14: "avx512vpopcntdq", 22: "rdpid", 23: "kl", 25: "cldemote", 27: "movdiri",
    28: "movdir64b", 29: "enqcmd",
}  # fmt: skip
_LEAF_7_EDX = {
    2: "avx5124vnniw", 3: "avx5124fmaps", 5: "uintr", 8: "avx512vp2intersect", 14: "serialize",
    16: "tsxldtrk", 18: "pconfig", 22: "amx-bf16", 23: "avx512fp16", 24: "amx-tile",
    25: "amx-int8",
}  # fmt: skip
_LEAF_7_1_EAX = {
    0: "sha512", 1: "sm3", 2: "sm4", 3: "raoint", 4: "avxvnni", 5: "avx512bf16",
    7: "cmpccxadd", 21: "amx-fp16", 22: "hreset", 23: "avxifma",
}  # fmt: skip
_LEAF_7_1_EDX = {
    4: "avxvnniint8", 5: "avxneconvert", 8: "amx-complex", 10: "avxvnniint16", 14: "prefetchi",
    15: "usermsr", 19: "avx10.1", 21: "apxf",
}  # fmt: skip
_EXTENDED_1_ECX = {
    5: "lzcnt", 6: "sse4a", 8: "prfchw", 11: "xop", 15: "lwp", 16: "fma4", 21: "tbm",
    29: "mwaitx",
}  # fmt: skip
EAX, ECX, EDX, EBX = 0, 1, 2, 3  #: as x86 numbers its registers
CPUID: Mapping[tuple[int, int, int], Mapping[int, str]] = {
    (1, 0, ECX): _LEAF_1_ECX,
    (7, 0, EBX): _LEAF_7_EBX,
    (7, 0, ECX): _LEAF_7_ECX,
    (7, 0, EDX): _LEAF_7_EDX,
    (7, 1, EAX): _LEAF_7_1_EAX,
    (7, 1, EDX): _LEAF_7_1_EDX,
    (0x80000001, 0, ECX): _EXTENDED_1_ECX,
}
#: OpenSSL's words in order: which answer of CPUID each starts as; bit 11 of the second says XOP.
_OPENSSL = (None, {**_LEAF_1_ECX, 11: "xop"}, _LEAF_7_EBX, _LEAF_7_ECX, _LEAF_7_EDX, _LEAF_7_1_EAX)

#: Variables whose layout is known, and variables that hold features in a way not known here.
KNOWN = frozenset({"__cpu_model", "__cpu_features2", "OPENSSL_ia32cap_P"})
OPAQUE = frozenset(
    {
        "_rtld_global_ro", "boot_cpu_data", "cpu_data", "OPENSSL_armcap_P",
        "OPENSSL_ppccap_P", "OPENSSL_riscvcap_P", "OPENSSL_s390xcap_P", "__aarch64_cpu_features",
        "__aarch64_have_lse_atomics", "__riscv_feature_bits", "internal/cpu.X86",
        "internal/cpu.ARM64", "runtime.x86HasPOPCNT", "runtime.x86HasSSE41", "runtime.x86HasFMA",
        "runtime.arm64HasATOMICS", "golang.org/x/sys/cpu.X86", "golang.org/x/sys/cpu.ARM64",
        "_dl_x86_cpu_features", "_dl_hwcap", "_dl_hwcap2", "system_cpucaps", "cpu_hwcaps",
    }
)  # fmt: skip
#: Of these, what holds much else: only resolvers read features there.
MIXED = frozenset({"_rtld_global_ro"})
#: Functions that answer what the processor can do: a pointer to words, or words.
POINTS = frozenset(
    {"_dl_x86_get_cpu_features", "__x86_get_cpu_features", "__get_cpu_features",
     "_dl_x86_init_cpu_features", "__x86_get_cpuid_feature_leaf"}
)  # fmt: skip
ANSWERS = frozenset(
    {"getauxval", "__getauxval", "elf_aux_info", "__riscv_hwprobe", "riscv_hwprobe",
     "av_get_cpu_flags", "cpuinfo_has_x86_avx2", "SDL_HasAVX2", "SDL_HasAVX", "SDL_HasSSE41",
     "SDL_HasSSE42", "SDL_HasAVX512F", "SDL_HasNEON", "orc_target_get_default",
     "cpu_has_xfeatures", "__cpu_supports", "__builtin_cpu_supports"}
)  # fmt: skip
NAMES = frozenset(name.encode() for name in KNOWN | OPAQUE | POINTS | ANSWERS)
#: Instruction sets that a processor has with another one's bit, or with no bit of its own.
_IMPLIED = {
    "level2": {"cx16", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2", "lahf"},
    "level3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"},
    "level4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
Features = frozenset[str]


def plain(name: str) -> str:
    """Return a set's name without what spellings differ in: ``sse4_1`` is ``sse41``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def has(features: Features, name: str) -> bool:
    """Whether a machine of ``features`` (plain names) has what a bit stands for."""
    if name in _IMPLIED:
        below = {"level2": (), "level3": ("level2",), "level4": ("level2", "level3")}[name]
        return all(plain(each) in features for each in _IMPLIED[name]) and all(
            has(features, each) for each in below
        )
    return plain(name) in features


@lru_cache(maxsize=4096)
def bits(kind: tuple[int, int, int] | str, offset: int, features: Features) -> tuple[int, int]:
    """Return which bits of a word are known to be clear, and which to be set.

    :param kind: a CPUID leaf, subleaf and register, or the name of a variable.
    :param offset: of the 4-byte word in the variable.
    """
    table = CPUID.get(kind, {}) if isinstance(kind, tuple) else _layout(kind, offset)
    clear = ones = 0
    for bit, name in table.items():
        if has(features, name):
            ones |= 1 << bit
        else:
            clear |= 1 << bit
    return clear, ones


def _layout(name: str, offset: int) -> Mapping[int, str]:
    if name == "OPENSSL_ia32cap_P":
        word = offset // 4
        return (_OPENSSL[word] if 0 <= word < len(_OPENSSL) else None) or {}
    at_start = 0 if offset == 12 else -1
    first = at_start if name == "__cpu_model" else 32 + offset * 8
    if first < 0:
        return {}
    return {bit - first: text for bit, text in _GCC.items() if first <= bit < first + 32}
