"""What an arm64 kernel is expected to report of a core, and what glibc and KVM take from that."""

from __future__ import annotations

from uplift.facts.model import Fact, Missing, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict import arm64_guests
from uplift.resolve.predict.versions import by_version, words_of

#: Options without which Linux reports none of the words that begin so: arm64_elf_hwcaps[] in
#: arch/arm64/kernel/cpufeature.c of Linux 7.1.13.
_OPTIONS = {
    "sve": "CONFIG_ARM64_SVE",
    "sme": "CONFIG_ARM64_SME",
    "gcs": "CONFIG_ARM64_GCS",
    "bti": "CONFIG_ARM64_BTI",
    "paca": "CONFIG_ARM64_PTR_AUTH",
    "pacg": "CONFIG_ARM64_PTR_AUTH",
    "mte": "CONFIG_ARM64_MTE",
    "poe": "CONFIG_ARM64_POE",
    "evtstrm": "CONFIG_ARM_ARCH_TIMER_EVTSTREAM",
}
#: Words of Linux's own: the counter's event stream, and that it emulates reads of ID registers.
_OWN = frozenset({"cpuid", "evtstrm"})
#: Cores whose SSBS Linux does not report where it works around erratum 3194386: MIDR implementer
#: and part of erratum_spec_ssbs_list[] in arch/arm64/kernel/cpu_errata.c of Linux 7.1.13.
_SSBS_ERRATUM = frozenset(
    {(0x6D, 0xD49)}
    | {
        (0x41, part)
        for part in (
            *(0xD0B, 0xD0C, 0xD0D, 0xD40, 0xD41, 0xD44, 0xD47, 0xD48, 0xD49, 0xD4B, 0xD4C, 0xD4D),
            *(0xD4E, 0xD4F, 0xD81, 0xD82, 0xD83, 0xD84, 0xD85, 0xD87, 0xD89, 0xD8E),
        )
    }
)
#: The word that a capability of KVM follows: kvm_vm_ioctl_check_extension in arch/arm64/kvm/arm.c.
_CAPABILITIES = {
    "KVM_CAP_ARM_SVE": ("sve",),
    "KVM_CAP_ARM_MTE": ("mte",),
    "KVM_CAP_ARM_PTRAUTH_ADDRESS": ("paca", "pacg"),
    "KVM_CAP_ARM_PTRAUTH_GENERIC": ("paca", "pacg"),
}


def predict_words(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``hwcap.words`` and ``cpuinfo.flags``: the core's words that the kernel knows."""
    if name not in ("hwcap.words", "cpuinfo.flags"):
        return None
    chip = facts.chip.get("arm64.words")
    if not isinstance(chip, Fact) or not isinstance(chip.value, frozenset):
        return Missing(name, "what the core has is not known")
    known = _known_words(facts)
    if isinstance(known, Missing):
        return known
    assert isinstance(known.value, frozenset)
    words: set[str] = set()
    why: dict[str, str] = {}
    inputs: dict[str, None] = dict.fromkeys((*known.inputs, chip.capture))
    for word in chip.value | _OWN:
        reason = known.value.open(word) if isinstance(known.value, PartialWords) else ""
        built = _built(facts, word, inputs)
        if reason or (word in known.value and isinstance(built, str)):
            why[word] = reason or str(built)
        elif word in known.value and built:
            words.add(word)
    return Prediction(PartialWords(words, why), tuple(inputs), known.how)


def _known_words(facts: PlanFacts) -> Prediction | Missing:
    image = facts.release.get("image.hwcaps")
    if isinstance(image, Fact):
        return Prediction(image.value, (image.capture,), "the words in the kernel's image")
    told = by_version(facts, "linux", "arm64-hwcap", "arm64", "kernel.release", "image.hwcaps")
    if isinstance(told, Missing):
        return Missing("hwcap.words", "neither the kernel's image nor its version is known")
    return told


def _built(facts: PlanFacts, word: str, inputs: dict[str, None]) -> bool | str:
    """Say whether the kernel was built for ``word``, or why nobody knows."""
    if word == "ssbs" and _mends_ssbs(facts, inputs):
        return False
    option = next((o for prefix, o in _OPTIONS.items() if word.startswith(prefix)), "")
    if not option:
        return True
    found = facts.release.get(f"kernel.config.{option}")
    if isinstance(found, Missing):
        return f"whether the kernel was built with {option} is not known"
    inputs[found.capture] = None
    return found.value == "y"


def _mends_ssbs(facts: PlanFacts, inputs: dict[str, None]) -> bool:
    """Say whether this kernel hides SSBS on this core, for speculation may pass it by."""
    midr = facts.chip.value("arm64.midr")
    found = facts.release.get("kernel.config.CONFIG_ARM64_ERRATUM_3194386")
    if not isinstance(midr, int) or not isinstance(found, Fact):
        return False
    inputs[found.capture] = None
    return (midr >> 24 & 0xFF, midr >> 4 & 0xFFF) in _SSBS_ERRATUM and found.value == "y"


def predict_raw(facts: PlanFacts, name: str) -> Prediction:
    """Say that above the silicon the kernel's words decide: the registers are the chip's own."""
    return Prediction(0, (), "above the silicon, what the kernel reports decides")


def predict_kvm(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``kvm.available``, a guest's words and the capabilities that follow a word."""
    if name == "kvm.available":
        return _kvm_available(facts)
    if name in ("kvm.words", "kvm.asked_words"):
        return arm64_guests.predict_words(facts, name)
    capability = name.removeprefix("kvm.capability.")
    if capability == "KVM_CAP_ARM_EL2":
        return Prediction(0, (), "nested guests need kvm-arm.mode=nested, which nobody set")
    return _capability(facts, name, capability) if capability in _CAPABILITIES else None


def _kvm_available(facts: PlanFacts) -> Prediction | Missing:
    built = facts.release.get("kernel.config.CONFIG_KVM")
    if isinstance(built, Missing):
        return Missing("kvm.available", "whether the kernel was built with KVM is not known")
    return Prediction(built.value == "y", (built.capture,), "a core with EL2, and CONFIG_KVM")


def _capability(facts: PlanFacts, name: str, capability: str) -> Prediction | Missing:
    words = facts.get("hwcap.words")
    if not isinstance(words, Fact) or not isinstance(words.value, frozenset):
        return Missing(name, "what the kernel reports is not known")
    needed = frozenset(_CAPABILITIES[capability])
    if isinstance(words.value, PartialWords) and any(map(words.value.open, needed)):
        return Missing(name, next(filter(None, map(words.value.open, needed))), (words.capture,))
    return Prediction(int(needed <= words.value), (words.capture,), "KVM follows the host's words")


def predict_libc(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``libc.active``: what this glibc takes from the kernel's words."""
    if name != "libc.active":
        return None
    version, words = facts.release.get("libc.version"), facts.get("hwcap.words")
    if not isinstance(version, Fact) or not isinstance(words, Fact):
        return Missing(name, "the release's glibc or what the kernel reports is not known")
    assert isinstance(words.value, frozenset)
    known = words_of("glibc", "cpu-feature", "arm64", str(version.value))
    active: set[str] = set()
    why: dict[str, str] = {}
    for feature, word in _GLIBC.items():
        reason = known.open(feature) or _open(words.value, word)
        if feature in known and word in words.value:
            active.add(feature)
        elif reason:
            why[feature] = reason
    how = f"what glibc {version.value} takes from the kernel's words"
    return Prediction(PartialWords(active, why), (version.capture, words.capture), how)


def _open(words: frozenset[str], word: str) -> str:
    return words.open(word) if isinstance(words, PartialWords) else ""


#: What glibc keeps of each word: sysdeps/unix/sysv/linux/aarch64/cpu-features.c of glibc 2.43. The
#: MTE state is left out: the tunable glibc.mem.tagging is 0 unless somebody sets it.
_GLIBC = {"bti": "bti", "mops": "mops", "prefer_sve_ifuncs": "sve"}
