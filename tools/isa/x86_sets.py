"""Names of x86-64 instruction sets: iced-x86's and LLVM's, as GCC and Linux spell them."""

from __future__ import annotations

from collections.abc import Iterable

_BASE = """
    INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV CX8 CPUID FXSR MMX
    SSE SSE2 MSR TSC SYSCALL SEP RDPMC CLFSH MULTIBYTENOP PAUSE SMM
    HasSSE1 UseSSE1 HasSSE2 UseSSE2 HasMMX HasX87 HasCMOV HasCX8 HasFXSR HasCLFLUSH HasMFence
    HasSSEPrefetch FPStackf32 FPStackf64
"""
#: What every x86-64 processor has: psABI's x86-64, and the system instructions beside it.
BASE = frozenset(_BASE.split())
_ICED = {
    "AESKLE": "kl", "WIDE_KL": "widekl", "AVX512_4FMAPS": "avx5124fmaps",
    "AVX512_4VNNIW": "avx5124vnniw", "AVX512_BF16": "avx512bf16",
    "AVX512_BITALG": "avx512bitalg", "AVX512_FP16": "avx512fp16", "AVX512_IFMA": "avx512ifma",
    "AVX512_VBMI": "avx512vbmi", "AVX512_VBMI2": "avx512vbmi2", "AVX512_VNNI": "avx512vnni",
    "AVX512_VP2INTERSECT": "avx512vp2intersect", "AVX512_VPOPCNTDQ": "avx512vpopcntdq",
    "AVX_IFMA": "avxifma", "AVX_NE_CONVERT": "avxneconvert", "AVX_VNNI": "avxvnni",
    "AVX_VNNI_INT16": "avxvnniint16", "AVX_VNNI_INT8": "avxvnniint8", "CET_IBT": "ibt",
    "CET_SS": "shstk", "CMPXCHG16B": "cx16", "D3NOW": "3dnow", "D3NOWEXT": "3dnowp",
    "HLE_OR_RTM": "rtm", "MONITORX": "mwaitx", "PCLMULQDQ": "pclmul", "PREFETCHITI": "prefetchi",
    "PREFETCHW": "prfchw", "RAO_INT": "raoint", "RDRAND": "rdrnd", "SEV_ES": "sev-es",
    "SEV_SNP": "sev-snp", "SGX1": "sgx", "OSS": "sgx", "SKINIT_OR_SVM": "svm", "SSE4_1": "sse4.1",
    "SSE4_2": "sse4.2", "PADLOCK_ACE": "padlock", "PADLOCK_PHE": "padlock",
    "PADLOCK_PMM": "padlock", "PADLOCK_RNG": "padlock", "PADLOCK_GMI": "padlock-gmi",
    "PADLOCK_UNDOC": "padlock", "AMX_BF16": "amx-bf16", "AMX_COMPLEX": "amx-complex",
    "AMX_FP16": "amx-fp16", "AMX_INT8": "amx-int8", "AMX_TILE": "amx-tile",
}  # fmt: skip
_LLVM = {
    "HasVLX": "avx512vl", "HasAVX512": "avx512f", "HasFP16": "avx512fp16", "HasBWI": "avx512bw",
    "HasDQI": "avx512dq", "HasCDI": "avx512cd", "HasVBMI2": "avx512vbmi2", "HasSSE3": "sse3",
    "HasVNNI": "avx512vnni", "HasBF16": "avx512bf16", "HasVBMI": "avx512vbmi",
    "HasIFMA": "avx512ifma", "HasVPOPCNTDQ": "avx512vpopcntdq", "HasBITALG": "avx512bitalg",
    "HasVP2INTERSECT": "avx512vp2intersect", "UseAVX": "avx", "HasAVX1Only": "avx",
    "UseSSE3": "sse3", "UseSSSE3": "ssse3", "UseSSE41": "sse4.1", "UseSSE42": "sse4.2",
    "HasCRC32": "sse4.2", "HasBMI": "bmi1", "HasEGPR": "apx-f", "HasNDD": "apx-f",
    "HasCF": "apx-f", "HasAVX10_2": "avx10.2", "HasKL": "kl", "HasRDRAND": "rdrnd",
    "HasSM4": "sm4", "HasPrefetchW": "prfchw", "HasLAHFSAHF": "lahf", "HasRTM": "rtm",
    "HasMOVRS": "movrs", "HasBMM": "avx512bmm",
}  # fmt: skip
_NOTHING_ELSE = """
    tzcnt endbr64 endbr32 rdsspd rdsspq prefetchw prefetchwt1 prefetch prefetchit0 prefetchit1
    prefetchrst2 cldemote bndldx bndmov bndcl bndcu bndstx bndmk bndcn wbnoinvd reservednop nop
    pause
"""
#: Mnemonics whose encodings do nothing, or nothing else, where the set is missing.
_HARMLESS = frozenset(_NOTHING_ELSE.split())


def from_iced(features: Iterable[str]) -> str:
    """Return the set of an instruction, empty for the base set; several are joined by ``+``."""
    named = {_ICED.get(f, f.lower().replace("_", "-")) for f in features if f not in BASE}
    return "+".join(sorted(named))


def from_llvm(predicates: Iterable[str]) -> str:
    """As :func:`from_iced`, from LLVM's predicates; those about code generation say nothing."""
    named = set()
    for predicate in predicates:
        if predicate in _LLVM:
            named.add(_LLVM[predicate])
        elif predicate.startswith("Has") and predicate not in BASE:
            word = predicate[3:].lower()
            named.add(f"amx-{word[3:]}" if word.startswith("amx") else word)
    return "+".join(sorted(named))


def harmless(mnemonic: str) -> bool:
    """Return whether the instruction executes harmlessly where its set is missing."""
    return mnemonic in _HARMLESS
