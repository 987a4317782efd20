"""How the kernel was built, started and runs."""

from __future__ import annotations

import gzip

import pytest

from tests.facts.parsers.reading import facts_of, snapshot_of, values_of, why_unknown
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import kernel_cmdline, kernel_config, kernel_state

CONFIG = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.8.0-31-generic Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0"
CONFIG_X86_SGX=y
CONFIG_KVM_AMD=m
# CONFIG_X86_INTEL_TSX_MODE_ON is not set
CONFIG_NR_CPUS=8192
"""
RUNNING = "file:/proc/config.gz"
BOOT = "file:/boot/config-6.8.0-31-generic"


def _parser(name: str):
    return next(parser for parser in kernel_state.PARSERS if parser.name == name)


def test_an_option_is_told_as_the_configuration_writes_it():
    facts = facts_of(kernel_config.PARSER, {BOOT: CONFIG})
    assert facts.value("kernel.config.CONFIG_X86_SGX") == "y"
    assert facts.value("kernel.config.CONFIG_KVM_AMD") == "m"
    assert facts.value("kernel.config.CONFIG_NR_CPUS") == "8192"
    assert facts.value("kernel.config.CONFIG_CC_VERSION_TEXT").startswith("x86_64-linux-gnu-gcc")
    assert facts.value("kernel.config_release") == "6.8.0-31-generic"


def test_an_option_that_a_whole_configuration_leaves_out_is_off():
    facts = facts_of(kernel_config.PARSER, {BOOT: CONFIG})
    assert facts.value("kernel.config.CONFIG_X86_INTEL_TSX_MODE_ON") == "n"
    assert facts.value("kernel.config.CONFIG_NEVER_HEARD_OF") == "n"


def test_an_option_beyond_a_truncated_configurations_end_is_unknown():
    data = CONFIG.encode() + b"CONFIG_ZSWA"
    snapshot = Snapshot({BOOT: Capture(BOOT, CaptureStatus.TRUNCATED, data)})
    facts = Facts(snapshot, (kernel_config.PARSER,))
    assert facts.value("kernel.config.CONFIG_X86_SGX") == "y"
    assert isinstance(facts.get("kernel.config.CONFIG_ZSWAP"), Missing)


def test_the_running_kernels_own_configuration_wins_over_a_file():
    captures = {BOOT: CONFIG, RUNNING: gzip.compress(b"CONFIG_X86_SGX=n\n")}
    assert facts_of(kernel_config.PARSER, captures).value("kernel.config.CONFIG_X86_SGX") == "n"


def test_a_modules_directorys_other_files_are_no_configuration():
    captures = {"file:/lib/modules/6.8/modules.builtin": "kernel/x.ko\n"}
    name = "kernel.config.CONFIG_X86_SGX"
    assert "holds nothing" in why_unknown(kernel_config.PARSER, captures, name)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x1f\x8bnot gzip", "no gzip file"),
        (gzip.compress(CONFIG.encode())[:60], "without its trailer"),
        (b"", "line 1"),
        (b"CONFIG_A=y\n<html>\n", "line 2"),
        (gzip.compress(bytes(20 << 20)), "unpacks to more than"),
    ],
)
def test_a_broken_configuration_leaves_every_option_unknown(data, why):
    name = "kernel.config.CONFIG_X86_SGX"
    assert why in why_unknown(kernel_config.PARSER, {RUNNING: data}, name)


def test_sixteen_thousand_options_are_read_in_well_under_a_second():
    text = "".join(f"CONFIG_OPTION_{n}=y\n# CONFIG_OTHER_{n} is not set\n" for n in range(16000))
    assert len(values_of(kernel_config.PARSER, {BOOT: text})) > 16000


CMDLINE = (
    'BOOT_IMAGE=/vmlinuz root="UUID=a b" ro nosmt clearcpuid=amx_tile,514 '
    "mitigations=off kvm-intel.nested=0 -- nested=1 nosplash\n"
)


def _cmdline(text: object):
    return facts_of(kernel_cmdline.PARSER, {"file:/proc/cmdline": text})


def test_a_comma_list_is_found_item_by_item():
    words = _cmdline(CMDLINE).value("kernel.cmdline_words")
    assert {"clearcpuid=amx_tile", "clearcpuid=514", "clearcpuid=amx_tile,514"} <= words


def test_a_quoted_value_is_one_word_and_what_follows_two_dashes_is_not_the_kernels():
    facts = _cmdline(CMDLINE)
    assert facts.value("kernel.cmdline.root") == "UUID=a b"
    assert "nosplash" not in facts.value("kernel.cmdline_words")
    assert facts.value("kernel.cmdline.nested") == ""


def test_a_parameter_that_was_not_given_is_empty_and_a_bare_word_is_itself():
    facts = _cmdline(CMDLINE)
    assert facts.value("kernel.cmdline.nopku") == ""
    assert facts.value("kernel.cmdline.nosmt") == "nosmt"


def test_dash_and_underscore_in_a_parameters_name_are_the_same():
    facts = _cmdline(CMDLINE)
    assert facts.value("kernel.cmdline.kvm-intel.nested") == "0"
    assert facts.value("kernel.cmdline.kvm_intel.nested") == "0"


def test_an_empty_command_line_gives_no_word_at_all():
    assert _cmdline("\n").value("kernel.cmdline_words") == frozenset()


def test_what_cannot_be_a_command_line_leaves_it_unknown():
    for data in (b"a\0b\0c", b"x" * 100_000):
        assert isinstance(_cmdline(data).get("kernel.cmdline.nosmt"), Missing)


def test_the_release_is_told_by_uname_before_proc_version():
    captures = {
        "probe:uname": "sysname Linux\nrelease 6.12.3\nversion #1 SMP\nmachine x86_64\n",
        "file:/proc/version": "Linux version 6.1.0 (x) #1",
    }
    assert facts_of(_parser("kernel release"), captures).value("kernel.release") == "6.12.3"
    del captures["probe:uname"]
    assert facts_of(_parser("kernel release"), captures).value("kernel.release") == "6.1.0"


def test_state_components_are_read_as_the_masks_that_arch_prctl_gave():
    captures = {"probe:xcomp": "supp 0x602e7\nperm 0x2e7\nguest-supp errno EINVAL\n"}
    facts = facts_of(_parser("kernel state components"), captures)
    assert facts.value("kernel.xcomp_supported") == 0x602E7
    assert facts.value("kernel.xcomp_permitted") == 0x2E7
    assert isinstance(facts.get("kernel.xcomp_guest_supported"), Missing)


def test_loaded_modules_file_systems_and_sysctls_are_named():
    modules = {"file:/proc/modules": "kvm_amd 204800 0 - Live 0x0\nkvm 1\n"}
    assert facts_of(_parser("kernel modules"), modules).value("kernel.modules") == {
        "kvm_amd",
        "kvm",
    }
    filesystems = {"file:/proc/filesystems": "nodev\tresctrl\n\text4\n"}
    found = facts_of(_parser("kernel file systems"), filesystems).value("kernel.filesystems")
    assert found == {"resctrl", "ext4"}
    sysctl = {"file:/proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n"}
    facts = facts_of(_parser("kernel sysctls"), sysctl)
    assert facts.value("kernel.sysctl.net.ipv4.tcp_rmem") == "4096 131072 6291456"


def test_a_log_line_is_told_without_its_time_and_thread():
    log = {"cmd:dmesg/excerpt": "[    0.123] [    T1] x86/tme: enabled\n<6>[   1.5] SGX disabled\n"}
    assert facts_of(_parser("kernel log"), log).value("kernel.log") == {
        "x86/tme: enabled",
        "SGX disabled",
    }


def test_a_mitigation_is_told_in_the_kernels_words():
    tree = {"tree:/sys/devices/system/cpu/vulnerabilities": {"mds": "Mitigation: Clear\n"}}
    facts = facts_of(_parser("kernel mitigations"), tree)
    assert facts.value("kernel.vulnerability.mds") == "Mitigation: Clear"


def test_lockdown_is_the_level_in_brackets():
    captures = {"file:/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}
    assert facts_of(_parser("kernel lockdown"), captures).value("kernel.lockdown") == "integrity"


@pytest.mark.parametrize(
    ("parser", "capture", "data", "fact", "why"),
    [
        ("kernel state components", "probe:xcomp", "what\n", "kernel.xcomp_supported", "line 1"),
        ("extended control register", "probe:xcr0", "seven\n", "kernel.xcr0", "64-bit register"),
        ("kernel modules", "file:/proc/modules", "kvm\n", "kernel.modules", "line 1"),
        ("kernel lockdown", "file:/sys/kernel/security/lockdown", "?", "kernel.lockdown", "level"),
        ("kernel release", "file:/proc/version", "BSD\n", "kernel.release", "line 1"),
    ],
)
def test_broken_state_is_unknown_and_says_where(parser, capture, data, fact, why):
    assert why in why_unknown(_parser(parser), {capture: data}, fact)


def test_state_that_nobody_collected_names_the_capture():
    facts = Facts(snapshot_of({}), kernel_state.PARSERS)
    assert facts.get("kernel.xcr0").why == "probe:xcr0 was not collected"


def test_a_sosreports_commands_tell_release_modules_and_sysctls():
    uname = "Linux host 5.4.0-99-generic #112-Ubuntu SMP Thu x86_64 x86_64 x86_64 GNU/Linux\n"
    facts = facts_of(_parser("kernel release"), {"cmd:uname/all": uname})
    assert facts.value("kernel.release") == "5.4.0-99-generic"
    assert facts.value("kernel.machine") == "x86_64"
    lsmod = "Module                  Size  Used by\nkvm_intel             245760  0\n"
    facts = facts_of(_parser("kernel modules"), {"cmd:lsmod/text": lsmod})
    assert facts.value("kernel.modules") == {"kvm_intel"}
    sysctl = "net.ipv4.tcp_rmem = 4096\t131072\t6291456\nkernel.numa_balancing = 1\n"
    facts = facts_of(_parser("kernel sysctls"), {"cmd:sysctl/all": sysctl})
    assert facts.value("kernel.sysctl.net.ipv4.tcp_rmem") == "4096 131072 6291456"


def test_a_log_with_dates_is_told_without_them():
    log = {"cmd:dmesg/excerpt": "[Thu Feb 10 16:19:11 2022] [Firmware Bug]: TSC\n"}
    assert facts_of(_parser("kernel log"), log).value("kernel.log") == {"[Firmware Bug]: TSC"}
