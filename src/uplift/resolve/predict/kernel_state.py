"""What a kernel is expected to switch on at boot, with nothing on its command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Union

from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.answers import every, word_of
from uplift.resolve.predict.versions import by_version

_NOBODY = "a plan assumes the defaults: nothing is on the kernel's command line"
#: State components that programs can have, and the flag without which Linux leaves each one off:
#: xsave_cpuid_features, XFEATURE_MASK_USER_SUPPORTED in arch/x86/kernel/fpu/ of Linux 7.1.13.
_USER_STATES = {
    **{0: "fpu", 1: "sse", 2: "avx", 3: "mpx", 4: "mpx", 5: "avx512f", 6: "avx512f", 7: "avx512f"},
    **{9: "pku", 17: "amx_tile", 18: "amx_tile", 19: "apx"},
}
#: The file systems that features ask for, and the option that builds each one in.
_FILE_SYSTEMS = {
    "resctrl": ("CONFIG_X86_CPU_RESCTRL", "CONFIG_RESCTRL_FS"),
    "hugetlbfs": ("CONFIG_HUGETLBFS",),
    "bpf": ("CONFIG_BPF_SYSCALL",),
}


def predict_state(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict the kernel's own facts; None for those that nobody predicts."""
    if name in ("kernel.xcr0", "kernel.xcomp_supported"):
        return _states(facts, name)
    if name.startswith("kernel.cmdline."):
        return Prediction("", (), _NOBODY)
    return _OTHERS[name](facts) if name in _OTHERS else None


def predict_memory(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``memory.hugepage_sizes``, in KiB: what the processor and the kernel allow."""
    if name != "memory.hugepage_sizes":
        return None
    built = facts.release.get("kernel.config.CONFIG_HUGETLBFS")
    if not isinstance(built, Fact):
        return Missing(name, "whether the kernel was built with CONFIG_HUGETLBFS is not known")
    inputs = {built.capture: None}
    if built.value != "y":
        return Prediction(frozenset(), tuple(inputs), "without CONFIG_HUGETLBFS there is no size")
    sizes = _page_sizes(facts)(facts, inputs)
    if isinstance(sizes, str):
        return Missing(name, sizes, tuple(inputs))
    how = "the page sizes of the processor's tables, with hugetlbfs built in"
    return Prediction(sizes, tuple(inputs), how)


Sizes = Union[frozenset[str], str]  #: in KiB; a text says why nobody knows


def _x86_sizes(facts: PlanFacts, inputs: dict[str, None]) -> Sizes:
    flags = facts.get("cpuinfo.flags")
    if not isinstance(flags, Fact) or not isinstance(flags.value, frozenset):
        return "the kernel's flags are not known"
    inputs[flags.capture] = None
    return frozenset(size for flag, size in _PAGES.items() if flag in flags.value)


#: arch/x86/mm/hugetlbpage.c of Linux 7.1.13: PMD pages with PSE, PUD pages with GBPAGES.
_PAGES = {"pse": "2048", "pdpe1gb": "1048576"}


def _arm64_sizes(facts: PlanFacts, inputs: dict[str, None]) -> Sizes:
    for option, sizes in _ARM64_PAGES.items():
        found = facts.release.get(f"kernel.config.CONFIG_ARM64_{option}")
        if isinstance(found, Fact) and found.value == "y":
            inputs[found.capture] = None
            return frozenset(sizes)
    return "the size of the kernel's pages is not known"


#: Blocks and contiguous ranges of each table, Documentation/arch/arm64/hugetlbpage.rst of Linux
#: 7.2.6; blocks at the second level are for 4 KiB pages only (pud_sect_supported).
_ARM64_PAGES = {
    "4K_PAGES": ("64", "2048", "32768", "1048576"),
    "16K_PAGES": ("2048", "32768", "1048576"),
    "64K_PAGES": ("2048", "524288", "16777216"),
}


def _riscv_sizes(facts: PlanFacts, inputs: dict[str, None]) -> Sizes:
    """Return blocks, which every 64-bit hart has, and 64 KiB where Linux uses Svnapot."""
    svnapot = word_of(facts, "riscv.isa", "svnapot", inputs)
    built = facts.release.get("kernel.config.CONFIG_RISCV_ISA_SVNAPOT")
    if isinstance(built, Fact):
        inputs[built.capture] = None
        svnapot = every((svnapot, built.value == "y"))
    why = {"64": svnapot} if isinstance(svnapot, str) else {}
    sizes = (*_RISCV_PAGES, *(("64",) if svnapot is True else ()))
    return PartialWords(sizes, why)


#: PMD and PUD pages: arch/riscv/mm/hugetlbpage.c of Linux 7.1.13.
_RISCV_PAGES = ("2048", "1048576")


def _page_sizes(facts: PlanFacts) -> Callable[[PlanFacts, dict[str, None]], Sizes]:
    machine = facts.snapshot.arch
    return {"aarch64": _arm64_sizes, "riscv64": _riscv_sizes}.get(machine, _x86_sizes)


def predict_platform(facts: PlanFacts, name: str) -> Prediction | None:
    """Say that a plan is for bare metal."""
    if name == "platform.guest":
        return Prediction(False, (), "a plan is for bare metal")
    return Prediction("", (), "a plan is for bare metal") if name == "platform.hypervisor" else None


def _release(facts: PlanFacts) -> Prediction | None:
    for name, where in (("image.release", "image"), ("kernel.config_release", "configuration")):
        found = facts.release.get(name)
        if isinstance(found, Fact):
            return Prediction(found.value, (found.capture,), f"the release in the kernel's {where}")
    return None


def _states(facts: PlanFacts, name: str) -> Prediction | Missing:
    """Join what the chip has (leaf 0xD), what the kernel knows, and what its flags allow."""
    low, high = facts.chip.get("cpuid.d.0.eax"), facts.chip.value("cpuid.d.0.edx")
    flags = facts.get("cpuinfo.flags")
    if not isinstance(low, Fact) or not isinstance(flags, Fact):
        return Missing(name, "the chip's leaf 0xD or the kernel's flags are not known")
    assert isinstance(low.value, int) and isinstance(flags.value, frozenset)
    chip = low.value | (high << 32 if isinstance(high, int) else 0)
    known = _known_states(facts)
    if isinstance(known, Missing):
        return known
    assert isinstance(known.value, int)
    unsure = known.value.unknown if isinstance(known.value, PartialRegister) else 0
    value, unknown = 0, 0
    for state, flag in _USER_STATES.items():
        bit = 1 << state & chip
        value |= bit if known.value & bit and flag in flags.value else 0
        unknown |= bit if unsure & bit or _is_open(flags.value, flag) else 0
    why = getattr(known.value, "why", "") or "whether the flag is reported is not known"
    made = PartialRegister(value, unknown, why) if unknown else value
    inputs = (*known.inputs, low.capture, flags.capture)
    return Prediction(made, inputs, "the chip's state components that the kernel knows")


def _is_open(words: frozenset[str], flag: str) -> bool:
    return isinstance(words, PartialWords) and bool(words.open(flag))


def _known_states(facts: PlanFacts) -> Prediction | Missing:
    image = facts.release.get("image.xfeatures")
    if isinstance(image, Fact) and isinstance(image.value, int):
        return Prediction(image.value, (image.capture,), "the image's state components")
    told = by_version(facts, "linux", "x86-xfeature", "x86-64", "kernel.release", "image.xfeatures")
    if isinstance(told, Missing):
        return Missing("kernel.xcr0", "neither the kernel's image nor its version is known")
    assert isinstance(told.value, PartialWords)
    if told.value.otherwise:
        return Missing("kernel.xcr0", told.value.otherwise, told.inputs[:1])
    mask, unknown = _mask(told.value), _mask(told.value.why)
    why = next(iter(told.value.why.values()), "")
    return told._replace(value=PartialRegister(mask, unknown, why) if unknown else mask)


def _mask(numbers: Iterable[str]) -> int:
    return sum(1 << int(number) for number in numbers if number.isdigit())


def _file_systems(facts: PlanFacts) -> Prediction | Missing:
    """Say which file systems are built in; of one that nobody listed here nothing is said."""
    there: set[str] = set()
    absent: set[str] = set()
    captures: dict[str, None] = {}
    for system, options in _FILE_SYSTEMS.items():
        values = []
        for option in options:
            found = facts.release.get(f"kernel.config.{option}")
            if isinstance(found, Fact):
                values.append(found.value)
                captures[found.capture] = None
        if "y" in values:
            there.add(system)
        elif values:
            absent.add(system)
    if not captures:
        return Missing("kernel.filesystems", "the kernel's configuration is not known")
    value = PartialWords(there, dict.fromkeys(absent, ""), "only a running kernel lists them all")
    return Prediction(value, tuple(captures), "the options that build file systems in")


def _modules(facts: PlanFacts) -> Prediction | Missing:
    """Say which modules cannot be loaded, for the package has none of their name."""
    image = facts.release.get("image.modules")
    if not isinstance(image, Fact) or not isinstance(image.value, frozenset):
        return Missing("kernel.modules", "the kernel package's modules were not recorded")
    why = dict.fromkeys(image.value, "the package has it; it loads where its device is there")
    return Prediction(PartialWords((), why), (image.capture,), "the modules of the kernel package")


_OTHERS: Mapping[str, Callable[[PlanFacts], Prediction | Missing | None]] = {
    "kernel.cmdline_words": lambda facts: Prediction(frozenset(), (), _NOBODY),
    "kernel.filesystems": _file_systems,
    "kernel.modules": _modules,
    "kernel.release": _release,
}
