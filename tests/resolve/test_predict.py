"""What a chip under a release is expected to show."""

from __future__ import annotations

import pytest

from tests.resolve.plan_values import chip, release, under, value
from uplift.catalog.model import Test
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve.plan_facts import PREDICTED
from uplift.resolve.predicate import judge

CONFIG = "file:/boot/config-6.1.0"
FLAGS = "probe:kernel-image/x86-flags"
STATES = "probe:kernel-image/xfeatures"
RELEASE = {"probe:kernel-image/release": "6.1.0-41-amd64\n"}
#: Words and bits: asm/cpufeatures.h of Linux 6.1.
TABLE = "".join(
    f"{word} {bit} {name}\n"
    for word, bit, name in (
        (0, 0, "fpu"), (0, 24, "fxsr"), (0, 25, "sse"), (0, 26, "sse2"), (4, 26, "xsave"),
        (10, 1, "xsavec"), (10, 2, "xgetbv1"), (10, 3, "xsaves"), (4, 28, "avx"), (9, 5, "avx2"),
        (9, 16, "avx512f"), (10, 4, "xfd"), (18, 24, "amx_tile"), (18, 25, "amx_int8"),
        (18, 22, "amx_bf16"), (12, 26, "lam"), (16, 7, "shstk"), (11, 5, "user_shstk"),
        (9, 4, "hle"),
    )
)  # fmt: skip


def recorded(config: str = "", flags: str = TABLE):
    heading = "# Linux/x86 6.1.0 Kernel Configuration\n"
    return release({**RELEASE, FLAGS: flags, CONFIG: heading + "CONFIG_X86_64=y\n" + config})


def has(facts, word: str) -> bool | None:
    return judge(Test("cpuinfo.flags", "has", word), facts).holds


def test_a_flag_is_reported_when_the_image_names_it_and_the_chip_has_its_bit():
    facts = under(recorded())
    assert has(facts, "amx_tile") is True
    assert has(facts, "avx512f") is True


def test_a_flag_that_the_image_does_not_name_is_not_reported():
    assert has(under(recorded(flags=TABLE.replace("amx_tile", "other"))), "amx_tile") is False


def test_a_bit_that_the_chip_lacks_is_not_reported():
    assert has(under(recorded(), chip(leaf_7_0=(2, 0, 0, 0))), "amx_tile") is False


def test_what_depends_on_a_flag_that_is_off_is_off_too():
    without_xfd = chip(leaf_d_1=(0x0F, 0, 0, 0))
    assert has(under(recorded(), without_xfd), "amx_tile") is False
    assert has(under(recorded(), without_xfd), "amx_int8") is False


def test_a_kernel_built_without_address_masking_hides_lam_whatever_its_version():
    assert has(under(recorded("CONFIG_ADDRESS_MASKING=y\n")), "lam") is True
    assert has(under(recorded("# CONFIG_ADDRESS_MASKING is not set\n")), "lam") is False
    disabled = "CONFIG_ADDRESS_MASKING=y\nCONFIG_X86_DISABLED_FEATURE_LAM=y\n"
    assert has(under(recorded(disabled)), "lam") is False


def test_user_shadow_stacks_follow_the_chips_bit_and_the_option():
    assert has(under(recorded("CONFIG_X86_USER_SHADOW_STACK=y\n")), "user_shstk") is True
    assert has(under(recorded()), "user_shstk") is False


def test_tsx_cannot_be_told_from_cpuid_where_the_kernel_switches_it_off_by_default():
    outcome = judge(Test("cpuinfo.flags", "has", "hle"), under(recorded()))
    assert outcome.holds is None
    assert "IA32_TSX_CTRL" in outcome.because[0][1].why
    assert has(under(recorded("CONFIG_X86_INTEL_TSX_MODE_ON=y\n")), "hle") is True


def test_register_state_is_what_chip_kernel_and_flags_all_have():
    states = "0 x87\n1 SSE\n2 AVX\n5 opmask\n6 Hi256\n7 Hi16\n9 PKRU\n17 TILECFG\n18 TILEDATA\n"
    made = release(
        {
            **RELEASE,
            FLAGS: TABLE,
            STATES: states,
            CONFIG: "# Linux/x86 6.1 Kernel Configuration\nCONFIG_X=y\n",
        }
    )
    assert value(under(made), "kernel.xcr0") == 0x600E7  # protection keys are not in the table
    old = release(
        {**RELEASE, FLAGS: TABLE, STATES: states.replace("17 TILECFG\n18 TILEDATA\n", "")}
    )
    assert value(under(old), "kernel.xcomp_supported") & 0x60000 == 0


def test_a_prediction_is_a_capture_that_says_what_it_rests_on():
    facts = under(recorded())
    found = facts.get("cpuinfo.flags")
    assert isinstance(found, Fact) and found.capture == f"{PREDICTED}cpuinfo.flags"
    capture = facts.snapshot.captures[found.capture]
    assert "amx_tile" in capture.text
    assert FLAGS in capture.how and "probe:cpuid" in capture.how
    assert {FLAGS, "probe:cpuid"} <= facts.inputs_of(found.capture)


def test_without_image_and_version_no_flag_is_predicted():
    found = under(release()).get("cpuinfo.flags")
    assert isinstance(found, Missing)
    assert found.why == "neither the kernel's image nor its version is known"


def test_a_stated_fact_stands_above_a_prediction():
    facts = under(release(cpuinfo__flags=frozenset({"avx"})))
    assert facts.get("cpuinfo.flags").capture == "cited:testing/cpuinfo.flags"


def test_the_images_kvm_passes_on_what_it_lets_through_and_the_chip_has():
    masks = "intel 7 0 edx 0x01000000\nintel 1 0 ecx 0xffffffff\namd 7 0 edx 0x0\n"
    facts = under(release({**RELEASE, "probe:kernel-image/kvm-cpuid": masks}))
    assert value(facts, "kvm.cpuid.7.0.edx") == 1 << 24


def test_kvm_is_there_when_chip_and_kernel_both_have_it():
    built = recorded("CONFIG_KVM_INTEL=m\n")
    assert value(under(built), "kvm.available") is True
    without_vmx = chip(leaf_1_0=(0x806F8, 0, 0, 0))
    assert value(under(built, without_vmx), "kvm.available") is False
    assert value(under(recorded()), "kvm.available") is False


def test_a_property_that_this_qemu_lacks_is_not_given_to_guests():
    facts = under(release(qemu__version="8.2.2", kernel__release="6.8.0"))
    assert judge(Test("qemu.host.avx10", "equals", True), facts).holds is False


def test_glibc_uses_tiles_only_where_the_kernel_switches_their_state_on():
    with_state = "0 x87\n1 SSE\n2 AVX\n5 o\n6 h\n7 h\n17 TILECFG\n18 TILEDATA\n"
    made = release({**RELEASE, FLAGS: TABLE, STATES: with_state}, libc__version="2.39")
    old = release({**RELEASE, FLAGS: TABLE, STATES: "0 x87\n1 SSE\n2 AVX\n"}, libc__version="2.39")
    assert judge(Test("libc.active", "has", "amx_tile"), under(made)).holds is True
    assert judge(Test("libc.active", "has", "amx_tile"), under(old)).holds is False


def test_openssl_reads_more_registers_from_version_3_5_on():
    amx = Test("library.openssl.uses", "has", "cpuid.7.0.edx.24")
    assert judge(amx, under(release(library__openssl__version="3.0.13"))).holds is False
    assert judge(amx, under(release(library__openssl__version="3.5.3"))).holds is True


@pytest.mark.parametrize("name", ["kernel.cmdline_words", "kernel.cmdline.nosmap"])
def test_a_plan_assumes_an_empty_command_line(name: str):
    assert not value(under(release()), name)


def test_an_open_word_is_unknown_and_says_why():
    words = PartialWords({"a"}, {"b": "nobody read 6.5"})
    assert words.open("a") == "" and words.open("c") == ""
    assert words.open("b") == "nobody read 6.5"


def test_an_open_bit_reads_as_zero_and_is_remembered():
    register = PartialRegister(0b111, 0b010, "not read")
    assert register == 0b101 and register.unknown == 0b010


def test_tsx_that_the_kernel_switches_off_is_seen_by_nobody_above_it():
    off = recorded("CONFIG_X86_INTEL_TSX_MODE_OFF=y\n", TABLE + "9 11 rtm\n")
    masks = "intel 7 0 ebx 0xffffffff\n"
    made = release(
        {n: c.text for n, c in off.snapshot.captures.items()}
        | {"probe:kernel-image/kvm-cpuid": masks},
        libc__version="2.39",
    )
    facts = under(made)
    assert has(facts, "rtm") is False
    assert judge(Test("kvm.cpuid.7.0.ebx", "bit", 11), facts).holds is False
    assert judge(Test("libc.active", "has", "rtm"), facts).holds is False
    assert judge(Test("kvm.cpuid.7.0.ebx", "bit", 5), facts).holds is True


def test_an_option_that_the_tables_know_to_be_newer_is_refused_and_an_unlisted_one_is_open():
    facts = under(release(compiler__gcc__version="11.4.0", compiler__clang__version="14.0.0"))
    assert judge(Test("compiler.gcc.accepts", "has", "-mavx10.1"), facts).holds is False
    assert judge(Test("compiler.gcc.accepts", "has", "-mavx512fp16"), facts).holds is False
    assert judge(Test("compiler.gcc.accepts", "has", "-mavx512vnni"), facts).holds is True
    assert judge(Test("compiler.gcc.accepts", "has", "-fcf-protection=full"), facts).holds is None


def test_vector_aes_in_openssl_asks_for_avx512_too():
    vaes = Test("library.openssl.uses", "has", "cpuid.7.0.ecx.9")
    narrow = chip(leaf_7_0=(2, 1 << 5, 1 << 9, 0))
    wide = chip(leaf_7_0=(2, 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31, 1 << 9, 0))
    made = release(library__openssl__version="3.5.3")
    assert judge(vaes, under(made, narrow)).holds is False
    assert judge(vaes, under(made, wide)).holds is True
    assert judge(vaes, under(release(library__openssl__version="3.0.13"), wide)).holds is False
