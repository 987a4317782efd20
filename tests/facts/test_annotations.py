"""Ubuntu's kernel annotations: precedence, includes, refusals, and a configuration against them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uplift.errors import UpliftError
from uplift.facts.annotations import Annotations, Mismatch, check_config, read_annotations
from uplift.facts.annotations_file import load_annotations, load_config
from uplift.facts.config_text import read_config

HEADER = """\
# Menu: HEADER
# FORMAT: 4
# ARCH: amd64 arm64
# FLAVOUR: amd64-generic arm64-generic arm64-generic-64k
"""
BASE = (
    HEADER
    + """
CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL  policy<{'amd64': 'y', 'arm64': 'y'}>
CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL  note<'what the scheduler knows'>

CONFIG_ARM64_64K_PAGES  policy<{'arm64': 'n', 'arm64-generic-64k': 'y'}>

# ---- Annotations without notes ----

CONFIG_DEFAULT_HOSTNAME  policy<{'amd64': '"(none)"', 'arm64': '"(none)"'}>
CONFIG_HZ  policy<{'amd64': '1000', 'arm64': '1000'}>  note<'LP: #2051342'>
CONFIG_X86_LAM  policy<{'amd64': '-'}>
"""
)
DERIVATIVE = """\
# FORMAT: 4
# ARCH: amd64 arm64
# FLAVOUR: arm64-grace arm64-grace-64k
# FLAVOUR_DEP: {'arm64-grace': 'arm64-generic', 'arm64-grace-64k': 'arm64-generic-64k'}

include "../../debian.master/config/annotations"

CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL  policy<{'arm64': 'n'}>
CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL  note<'its workloads want one clock'>
CONFIG_HZ  policy<{'arm64-grace-64k': '250'}>
"""
DERIVATIVE_PATH = "debian.grace/config/annotations"


def derivative(text: str = DERIVATIVE, base: str = BASE) -> Annotations:
    return read_annotations(
        text, {"debian.master/config/annotations": base}.__getitem__, DERIVATIVE_PATH
    )


def test_a_flavours_policy_comes_before_its_architectures() -> None:
    found = read_annotations(BASE)
    assert found.value("CONFIG_ARM64_64K_PAGES", "arm64", "generic-64k") == "y"
    assert found.value("CONFIG_ARM64_64K_PAGES", "arm64", "generic") == "n"


def test_an_option_without_a_policy_for_the_architecture_has_none() -> None:
    assert read_annotations(BASE).value("CONFIG_ARM64_64K_PAGES", "amd64") is None


def test_text_stays_quoted_as_a_configuration_has_it() -> None:
    assert read_annotations(BASE).value("CONFIG_DEFAULT_HOSTNAME", "amd64") == '"(none)"'


def test_a_note_may_stand_on_the_policys_line() -> None:
    assert read_annotations(BASE).note("CONFIG_HZ") == "LP: #2051342"


def test_what_includes_overrides_what_it_includes() -> None:
    found = derivative()
    option = "CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL"
    assert found.value(option, "arm64", "grace") == "n"
    assert found.value(option, "amd64", "generic") == "y"
    assert found.note(option) == "its workloads want one clock"


def test_a_flavour_takes_over_the_policy_of_the_flavour_that_it_derives_from() -> None:
    found = derivative()
    assert found.value("CONFIG_ARM64_64K_PAGES", "arm64", "grace-64k") == "y"
    assert found.value("CONFIG_HZ", "arm64", "grace-64k") == "250"
    assert found.value("CONFIG_HZ", "arm64", "grace") == "1000"


def test_a_policy_for_a_whole_architecture_ends_what_stood_for_its_flavours() -> None:
    text = DERIVATIVE + "CONFIG_ARM64_64K_PAGES policy<{'arm64': 'm'}>\n"
    assert derivative(text).value("CONFIG_ARM64_64K_PAGES", "arm64", "grace-64k") == "m"


@pytest.mark.parametrize(
    ("line", "place", "why"),
    [
        ("CONFIG_X policy<{'amd64': y}>", "6:18", "no 'key': 'value'"),
        ("CONFIG_X policy<{'amd64': 'y' 'arm64': 'y'}>", "6:18", "no 'key': 'value'"),
        ("CONFIG_X policy<{'amd64': 'y'>", "6:18", "neither policy"),
        ("CONFIG_X is important", "6:10", "neither policy"),
        ("CONFIG_X", "6:1", "neither policy"),
        ("  import this", "6:3", "neither policy"),
        ('include "a" "b"', "6:1", "an include reads"),
        ('include "../../../etc/passwd"', "6:1", "leads out of the tree"),
        ('include "/etc/passwd"', "6:1", "leads out of the tree"),
    ],
)
def test_a_malformed_line_refuses_the_file_and_is_named(line: str, place: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"annotations:{place}.*{why}"):
        read_annotations(f"{HEADER}\n{line}\n")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("# FORMAT: 2\n# ARCH: amd64\n# FLAVOUR: amd64-generic\n", ":1:1: format 2"),
        ("# FORMAT: 4\n# FLAVOUR: amd64-generic\n", "no line '# ARCH"),
        ("# FORMAT: 4\n# ARCH: amd64\n", "no line '# FLAVOUR"),
        (HEADER + "# FLAVOUR_DEP: {'amd64-x': 'amd64-y'}\n", ":5:1: no included file"),
        (HEADER + "# FLAVOUR_DEP: ['amd64-x']\n", ":5:1: FLAVOUR_DEP"),
        (HEADER + "# FLAVOUR_DEP: {'amd64-x'}\n", ":5:17: here stands no"),
    ],
)
def test_a_header_that_cannot_be_followed_refuses_the_file(header: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_annotations(header)


def test_files_that_include_each_other_are_refused() -> None:
    circle = 'include "annotations"\n'
    with pytest.raises(ValueError, match="includes itself"):
        read_annotations(HEADER + "\n" + 'include "b"\n', lambda path: circle)


@given(st.text(alphabet="CONFIG_X policy<{'amd64': 'y'}>note\"\\\n#include", max_size=120))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        read_annotations(f"{HEADER}\n{text}")
    except ValueError as error:
        assert str(error).startswith("annotations:")


def test_a_configuration_is_checked_option_by_option() -> None:
    config = read_config(
        "CONFIG_HZ=250\n# CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL is not set\n"
        'CONFIG_DEFAULT_HOSTNAME="(none)"\nCONFIG_X86_LAM=y\nCONFIG_NEW=m\n'
        'CONFIG_CC_VERSION_TEXT="gcc"\n'
    )
    assert check_config(read_annotations(BASE), config, "amd64") == (
        Mismatch("CONFIG_CPU_FREQ_DEFAULT_GOV_SCHEDUTIL", "y", "n", "what the scheduler knows"),
        Mismatch("CONFIG_HZ", "1000", "250", "LP: #2051342"),
        Mismatch("CONFIG_NEW", None, "m", ""),
        Mismatch("CONFIG_X86_LAM", "-", "y", ""),
    )


def test_a_line_that_is_no_option_refuses_the_configuration() -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_config("CONFIG_A=y\nhello\n")


def test_includes_are_read_from_the_tree_that_the_file_lies_in(tmp_path: Path) -> None:
    for kernel, text in (("master", BASE), ("grace", DERIVATIVE)):
        path = tmp_path / f"debian.{kernel}/config/annotations"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    found = load_annotations(tmp_path / DERIVATIVE_PATH)
    assert found.value("CONFIG_HZ", "amd64") == "1000"


def test_an_include_behind_a_link_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(BASE)
    tree = tmp_path / "tree"
    path = tree / DERIVATIVE_PATH
    path.parent.mkdir(parents=True)
    path.write_text(DERIVATIVE)
    base = tree / "debian.master/config/annotations"
    base.parent.mkdir(parents=True)
    base.symlink_to(secret)
    with pytest.raises(UpliftError) as caught:
        load_annotations(path)
    assert "leads out of" in caught.value.cause


def test_a_configuration_that_is_not_there_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(UpliftError) as caught:
        load_config(tmp_path / "config")
    assert caught.value.cause == "No such file or directory"
