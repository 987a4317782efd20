"""Names that Linux shows: x86 flags, register states, arm64 hwcaps, RISC-V extensions, options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import Files, Known, Project, without_comments

CPUFEATURES = "arch/x86/include/asm/cpufeatures.h"
MKCAPFLAGS = "arch/x86/kernel/cpu/mkcapflags.sh"
XFEATURES = "arch/x86/include/asm/fpu/types.h"
XSTATE = "arch/x86/include/asm/fpu/xstate.h"
ARM64 = "arch/arm64/kernel/cpuinfo.c"
RISCV = ("arch/riscv/kernel/cpufeature.c", "arch/riscv/kernel/cpu.c")
RISCV_VENDORS = "arch/riscv/kernel/vendor_extensions/*.c"
KCONFIG = ("**/Kconfig*", "Kconfig*")
KVM = (
    "arch/x86/kvm/cpuid.[ch]",
    "arch/x86/kvm/reverse_cpuid.h",
    "arch/x86/kvm/vmx.c",
    "arch/x86/kvm/svm.c",
    "arch/x86/kvm/vmx/vmx.c",
    "arch/x86/kvm/svm/svm.c",
)


def version(files: Files) -> str:
    """Return ``6.1.176`` or ``7.3.0-rc7``; empty where the Makefile is not Linux'."""
    parts = dict(
        re.findall(
            r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) = *(\S*)$",
            files.get("Makefile", ""),
            re.MULTILINE,
        )
    )
    numbers = [parts.get(part, "") for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if CPUFEATURES not in files or not all(number.isdigit() for number in numbers):
        return ""
    candidate = re.fullmatch(r"-rc\d+", parts.get("EXTRAVERSION", ""))
    return ".".join(numbers) + (candidate[0] if candidate else "")


def names(files: Files) -> Iterator[Known]:
    """Yield every name of the kinds above."""
    for flag in x86_flags(files):
        yield Known("x86-flag", "x86", flag, CPUFEATURES)
    for index in xfeatures(files):
        yield Known("x86-xfeature", "x86", str(index), XSTATE)
    for word in arm64_hwcaps(files):
        yield Known("arm64-hwcap", "arm64", word, ARM64)
    for path, extension in riscv_extensions(files):
        yield Known("riscv-isa", "riscv64", extension, path)
    for path, symbol in kconfig(files):
        yield Known("kconfig", "", symbol, path)


_FLAG = re.compile(r"^ *# *define *X86_FEATURE_(\w+)\s+\(([^/]*)(?:/\* *(\"[^\"]*\")?.*)?$", re.M)


def x86_flags(files: Files) -> frozenset[str]:
    """Return what /proc/cpuinfo can show, as the kernel's own mkcapflags.sh picks it.

    Up to Linux 6.9 a flag without a quoted name shows under its macro's; since then it is hidden.
    """
    script = files.get(MKCAPFLAGS, "")
    named_by_macro = re.search(r'VALUE="\\"\$NAME\\""', script) is not None
    shown = set()
    for macro, _, quoted in _FLAG.findall(files.get(CPUFEATURES, "")):
        name = quoted.strip('"') if quoted else macro if named_by_macro else ""
        if name:
            shown.add(name.lower())
    return frozenset(shown)


_MASK = re.compile(r"^#\s*define (XFEATURE_MASK_\w+)\s+((?:.*\\\n)*.*)$", re.MULTILINE)
_ENABLED = ("XFEATURE_MASK_USER_SUPPORTED", "XFEATURE_MASK_SUPERVISOR_SUPPORTED")


def xfeatures(files: Files) -> frozenset[int]:
    """Return the XSAVE components that the kernel enables, for user space and for itself."""
    types = files.get(XFEATURES, "")
    listed = re.search(r"enum xfeature \{(.*?)\}", without_comments(types), re.DOTALL)
    order = re.findall(r"XFEATURE_\w+", listed[1]) if listed else []
    masks: dict[str, set[str]] = {}
    for name, body in _MASK.findall(without_comments(types + files.get(XSTATE, ""))):
        masks.setdefault(name, set()).update(re.findall(r"XFEATURE_\w+", body))
    enabled = _expand(_ENABLED, masks)
    return frozenset(index for index, name in enumerate(order) if name in enabled)


def _expand(start: tuple[str, ...], masks: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(masks.get(name, ()))
    return found


def arm64_hwcaps(files: Files) -> frozenset[str]:
    """Return the words of the Features line of 64-bit programs."""
    table = re.search(r"\bhwcap_str\[\] = \{(.*?)\};", files.get(ARM64, ""), re.DOTALL)
    return frozenset(re.findall(r'"(\w+)"', without_comments(table[1]))) if table else frozenset()


_ISA_EXT = re.compile(r"__RISCV_ISA_EXT_(?:DATA|SUPERSET|BUNDLE)\w*\(\s*\"?(\w+)\"?\s*,")
_OLD_ISA_EXT = re.compile(r"SET_ISA_EXT_MAP\(\"(\w+)\"")
_LETTER = re.compile(r"isa2hwcap\['(\w)'(?: - 'a')?\] =")


def riscv_extensions(files: Files) -> Iterator[tuple[str, str]]:
    """Yield the extensions that the kernel tells programs of, each with its file."""
    vendors = [path for path in files if path.startswith("arch/riscv/kernel/vendor_extensions/")]
    for path in (*RISCV, *sorted(vendors)):
        text = without_comments(files.get(path, ""))
        for pattern in (_ISA_EXT, _OLD_ISA_EXT, _LETTER):
            for name in pattern.findall(text):
                if not name.isupper() and name[0] != "_":  # else the macro's own definition
                    yield path, name.lower()


_SYMBOL = re.compile(r"^\s*(?:menu)?config (\w+)\s*$", re.MULTILINE)


def kconfig(files: Files) -> Iterator[tuple[str, str]]:
    """Yield every configuration symbol, ``CONFIG_…``, with its file."""
    for path, text in files.items():
        if path.rpartition("/")[2].startswith("Kconfig"):
            for symbol in _SYMBOL.findall(text):
                yield path, f"CONFIG_{symbol}"


LINUX = Project(
    name="linux",
    marks=("Makefile", CPUFEATURES),
    version_files=("Makefile",),
    version=version,
    paths=(CPUFEATURES, MKCAPFLAGS, XFEATURES, XSTATE, ARM64, *RISCV, RISCV_VENDORS, *KVM),
    many=KCONFIG,
    names=names,
    tag=re.compile(r"v(\d+)\.(\d+)(?:\.(\d+))?"),
)
