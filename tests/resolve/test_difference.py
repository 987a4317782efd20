"""What differs between platforms, and whose difference it is: configurations made by hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from uplift.catalog.defaults import Defaults, load_defaults
from uplift.catalog.kernel_options import KernelOptions, Offer, load_kernel_options
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog
from uplift.facts.annotations import read_annotations
from uplift.facts.model import Capture, CaptureStatus, Fact, Snapshot
from uplift.facts.parsers import all_parsers, read_facts
from uplift.resolve.difference import compare
from uplift.resolve.difference_model import Cause, Comparison, Counted, PlatformDifference, Side

X86, ARM = "x86_64", "aarch64"


@cache
def catalog() -> Catalog:
    return load_catalog()


def side(
    name: str,
    config: str = "",
    arch: str = X86,
    linux: str = "6.12.0",
    captures: dict[str, str] | None = None,
    **more: Any,
) -> Side:
    """Return a release whose kernel was built with ``config``: words like ``HZ=250 -KFENCE``."""
    heading = f"# Linux/{arch} {linux} Kernel Configuration"
    lines = [
        f"# CONFIG_{word[1:]} is not set" if word[0] == "-" else f"CONFIG_{word}"
        for word in config.split()
    ]
    texts = dict(captures or {})
    if config:
        texts["file:/boot/config-test"] = "\n".join([heading, "CONFIG_A=y", *lines, ""])
    found = {name: Capture(name, CaptureStatus.OK, text.encode()) for name, text in texts.items()}
    facts = read_facts(Snapshot(found, kind="release", arch=arch))
    return Side(name, more.pop("kind", "release"), facts, **more)


def compared(*sides: Side) -> Comparison:
    return compare(sides, catalog(), load_defaults())


def difference(of: str, *sides: Side) -> PlatformDifference:
    return next(d for d in compared(*sides).differences if d.id == of or of in d.names)


def group_of(option: str, *sides: Side) -> Counted:
    groups = compared(*sides).counted
    return next(g for g in groups if any(row.name == option for row in g.rows))


# Settings


def test_a_default_that_both_kernels_offer_is_avoidable_and_says_how() -> None:
    lazy = side("a", "IOMMU_DEFAULT_DMA_LAZY=y -IOMMU_DEFAULT_DMA_STRICT")
    strict = side("b", "-IOMMU_DEFAULT_DMA_LAZY IOMMU_DEFAULT_DMA_STRICT=y", ARM)
    found = difference("iommu-mode", lazy, strict)
    assert found.values == ("lazy", "strict")
    assert found.cause is Cause.AVOIDABLE
    assert found.change == (
        "b: boot with iommu.strict=0; or build with CONFIG_IOMMU_DEFAULT_DMA_LAZY=y"
    )


def test_the_side_that_is_off_is_the_one_to_change() -> None:
    found = difference("kfence", side("on", "KFENCE=y"), side("off", "-KFENCE"))
    assert found.change == "off: build with CONFIG_KFENCE=y"


def test_between_two_versions_the_older_kernel_is_the_one_to_change() -> None:
    old = side("old", "HZ_250=y -HZ_1000", linux="6.1.0")
    new = side("new", "-HZ_250 HZ_1000=y", linux="6.12.0")
    assert difference("timer-tick", old, new).change == "old: build with CONFIG_HZ_1000=y"


def test_a_number_is_asked_for_as_far_as_the_architecture_allows() -> None:
    found = difference("max-cpus", side("a", "NR_CPUS=8192"), side("b", "NR_CPUS=512", ARM))
    assert found.why == "arm64 allows up to 4096"
    assert found.change == "b: build with CONFIG_NR_CPUS=4096"


def test_at_the_limit_of_the_architecture_a_difference_is_inherent() -> None:
    groups = compared(side("a", "NR_CPUS=8192"), side("b", "NR_CPUS=4096", ARM)).counted
    (inherent,) = (g for g in groups if g.id == "default-architecture")
    assert inherent.cause is Cause.INHERENT
    assert [row.values for row in inherent.rows] == [("8192", "4096")]


def test_a_boot_parameter_counts_only_where_the_kernel_heeds_it() -> None:
    fixed = side("fixed", "PREEMPT_NONE=y -PREEMPT_VOLUNTARY -PREEMPT_DYNAMIC")
    other = side("other", "-PREEMPT_NONE PREEMPT_VOLUNTARY=y -PREEMPT_DYNAMIC")
    found = difference("preemption", other, fixed)
    assert found.change == "fixed: build with CONFIG_PREEMPT_VOLUNTARY=y"


def test_a_value_that_the_older_kernel_does_not_know_comes_with_the_release() -> None:
    old = side("old", "PREEMPT_VOLUNTARY=y PREEMPT_DYNAMIC=y", linux="6.1.0")
    new = side("new", "PREEMPT_LAZY=y -PREEMPT_VOLUNTARY PREEMPT_DYNAMIC=y", linux="7.2.0")
    found = difference("preemption", old, new)
    assert (found.cause, found.why) == (Cause.RELEASE, "Linux 6.1 does not offer it")
    assert found.change == ""


def test_what_is_off_and_what_is_not_there_is_the_same_to_a_user() -> None:
    sides = side("old", "B=y", linux="6.1.0"), side("new", "-SCHED_CLASS_EXT")
    assert "sched-ext" not in {d.id for d in compared(*sides).differences}


def test_a_setting_of_one_architecture_is_counted_not_shown() -> None:
    sides = side("a", "X86_5LEVEL=y"), side("b", "ARM64_VA_BITS=52", ARM)
    found = compared(*sides)
    assert not found.differences
    assert found.counted[0].id == "default-architecture"
    assert len(found.counted[0].rows) == 2


def test_a_list_shows_what_only_one_side_has() -> None:
    old = side("old", 'LSM="yama,bpf" SECURITY_YAMA=y', linux="6.1.0")
    new = side("new", 'LSM="yama,bpf,ipe" SECURITY_YAMA=y SECURITY_IPE=y', linux="6.12.0")
    found = difference("lsm", old, new)
    assert found.values == ("…", "…, ipe")
    assert found.cause is Cause.RELEASE


def test_what_a_running_machine_says_comes_before_how_it_was_built() -> None:
    thp = "tree:/sys/kernel/mm/transparent_hugepage"
    built = "-TRANSPARENT_HUGEPAGE_ALWAYS TRANSPARENT_HUGEPAGE_MADVISE=y"
    running = side("rack7", built, captures={thp: '{"enabled":"[always] madvise never\\n"}'})
    found = difference("transparent-hugepages", side("release", built), running)
    assert found.values == ("madvise", "always")
    assert found.change.startswith("rack7: echo madvise > /sys/kernel/mm/")


def test_a_setting_that_one_side_does_not_tell_is_no_difference() -> None:
    assert not compared(side("a", "HZ_250=y"), side("b")).differences


def test_a_stated_option_counts_where_nothing_was_recorded() -> None:
    stated = {"kernel.config.CONFIG_HZ_1000": Fact("", "y", "cited:b")}
    found = difference("timer-tick", side("a", "HZ_250=y -HZ_1000"), side("b", stated=stated))
    assert found.values == ("250", "1000")


# Kernel options


@pytest.mark.parametrize(
    ("option", "one", "other", "group", "cause"),
    [
        ("NTFS3_FS", "-NTFS3_FS", "NTFS3_FS=m", "switched", Cause.AVOIDABLE),
        ("FUSE_FS", "FUSE_FS=m", "FUSE_FS=y", "built-in", Cause.AVOIDABLE),
        ("LOG_BUF_SHIFT", "LOG_BUF_SHIFT=17", "LOG_BUF_SHIFT=18", "valued", Cause.AVOIDABLE),
        ("CC_VERSION_TEXT", 'CC_VERSION_TEXT="12"', 'CC_VERSION_TEXT="14"', "build", None),
        ("AS_HAS_LDAPR", "B=y", "AS_HAS_LDAPR=y", "build", None),
        ("HAVE_RUST", "HAVE_RUST=y", "B=y", "selected", None),
        ("MLX5_CLS_ACT", "MLX5_CLS_ACT=y", "B=y", "behind", Cause.AVOIDABLE),
        ("OUT_OF_TREE", "OUT_OF_TREE=y", "B=y", "unknown", Cause.UNKNOWN),
    ],
)
def test_an_option_is_grouped_by_what_its_difference_means(
    option: str, one: str, other: str, group: str, cause: Cause | None
) -> None:
    found = group_of(option, side("a", one), side("b", other))
    assert found.id == f"option-{group}"
    assert cause is None or found.cause is cause


def test_an_option_that_the_older_kernels_source_lacks_comes_with_the_release() -> None:
    old, new = side("old", "B=y", linux="6.1.0"), side("new", "DRM_XE=m")
    assert group_of("DRM_XE", old, new).cause is Cause.RELEASE


def test_an_option_that_the_architecture_cannot_have_is_inherent() -> None:
    a, b = side("a", "PINCTRL_TEGRA=y", ARM), side("b", "B=y")
    assert group_of("PINCTRL_TEGRA", a, b).cause is Cause.INHERENT


def test_an_option_that_a_note_explains_is_intended() -> None:
    annotations = read_annotations(
        "# ARCH: amd64 arm64\n# FLAVOUR: amd64-generic arm64-generic\n\n"
        "CONFIG_CMA_AREAS policy<{'amd64': '7', 'arm64': '19'}>\n"
        "CONFIG_CMA_AREAS note<'LP: #1803206'>\n"
    )
    a = side("a", "CMA_AREAS=7", annotations=annotations)
    b = side("b", "CMA_AREAS=19", ARM, annotations=annotations)
    found = group_of("CMA_AREAS", a, b)
    assert found.cause is Cause.INTENDED
    assert found.rows[0].note == "LP: #1803206"


def test_a_setting_whose_option_has_a_note_is_intended_and_cites_it() -> None:
    annotations = read_annotations(
        "# ARCH: amd64\n# FLAVOUR: amd64-generic amd64-grace\n\n"
        "CONFIG_PREEMPT_NONE policy<{'amd64': 'n', 'amd64-grace': 'y'}>\n"
        "CONFIG_PREEMPT_NONE note<'required for its workloads'>\n"
    )
    a = side("generic", "PREEMPT_VOLUNTARY=y -PREEMPT_NONE", annotations=annotations)
    b = side("grace", "-PREEMPT_VOLUNTARY PREEMPT_NONE=y", annotations=annotations)
    found = difference("preemption", a, b)
    assert (found.cause, found.why) == (Cause.INTENDED, "required for its workloads")
    assert found.source == "annotations: CONFIG_PREEMPT_NONE"
    assert found.change == "grace: build with CONFIG_PREEMPT_VOLUNTARY=y"


def test_what_a_document_explains_is_intended_and_still_says_what_removes_it() -> None:
    debian = {"file:/etc/os-release": "ID=debian\n"}
    old = side("old", "-KFENCE", linux="6.1.0", captures=debian)
    new = side("new", "KFENCE=y", captures=debian)
    found = difference("kfence", old, new)
    assert (found.cause, found.source) == (
        Cause.INTENDED,
        "changelog of Debian's linux 6.5.3-1",
    )
    assert found.change == "old: build with CONFIG_KFENCE=y"


def test_a_document_speaks_for_its_own_system_only() -> None:
    assert difference("kfence", side("a", "-KFENCE"), side("b", "KFENCE=y")).cause is (
        Cause.AVOIDABLE
    )


def test_an_option_that_a_setting_speaks_of_is_not_counted_again() -> None:
    found = compared(side("a", "KFENCE=y"), side("b", "-KFENCE"))
    assert not found.counted


# Features, words, versions and packages


def test_a_feature_behind_an_option_that_is_off_is_avoidable() -> None:
    found = difference("x86/cet-ibt", side("a", "-X86_KERNEL_IBT"), side("b", "X86_KERNEL_IBT=y"))
    assert (found.values, found.cause) == (("stopped", "offered"), Cause.AVOIDABLE)
    assert found.why == "a: CONFIG_X86_KERNEL_IBT is off"


def test_a_feature_that_the_newer_kernel_brings_comes_with_the_release() -> None:
    old = side("old", "B=y", linux="6.1.0")
    new = side("new", "X86_USER_SHADOW_STACK=y")
    found = difference("x86/cet-shadow-stack", old, new)
    assert found.cause is Cause.RELEASE
    assert found.why == "Linux 6.1 does not offer CONFIG_X86_USER_SHADOW_STACK"


def test_where_one_of_several_options_is_enough_the_nearest_decides() -> None:
    a = side("a", "EDAC=y EDAC_I10NM=m")
    b = side("b", "EDAC=y -EDAC_AMD64")  # EDAC_IMH came after this Linux
    found = difference("device/edac", a, b)
    assert (found.cause, found.why) == (Cause.AVOIDABLE, "b: CONFIG_EDAC_AMD64 is off")


def test_features_of_another_architectures_processors_are_counted() -> None:
    groups = compared(side("a", "B=y"), side("b", "B=y", ARM)).counted
    (found,) = (g for g in groups if g.id == "feature-architecture")
    assert found.cause is Cause.INHERENT
    rows = {row.name: row.values for row in found.rows}
    assert rows["x86/amx-tile"] == ("there", None)


def gcc(version: str, *marches: str) -> dict[str, str]:
    told = "".join(f"-march={name} yes\n" for name in marches)
    return {
        "cmd:gcc/version": f"gcc (Debian {version}) {version}\n",
        "cmd:gcc/accepts": told or "-mavx yes\n",
    }


def test_words_of_a_newer_compiler_come_with_the_release() -> None:
    old = side("old", captures=gcc("12.2.0", "znver3"), release="bookworm")
    new = side("new", captures=gcc("14.2.0", "znver3", "znver5"), release="trixie")
    found = difference("gcc-processors", old, new)
    assert found.values == ("no more", "and znver5")
    assert found.cause is Cause.RELEASE


def test_words_of_one_version_differ_in_the_recording_only() -> None:
    a = side("a", captures=gcc("14.2.0", "znver3"), release="trixie")
    b = side("b", captures=gcc("14.2.0", "znver3", "znver5"), release="trixie")
    assert not compared(a, b).differences


def test_on_one_release_an_older_compiler_is_to_be_updated() -> None:
    old = side("old", captures=gcc("12.2.0", "znver3"), release="noble", kind="machine")
    new = side("new", captures=gcc("14.2.0", "znver5"), release="noble", kind="machine")
    assert difference("version-gcc", old, new).change == "old: install gcc 14.2.0"


def packages(*rows: str) -> dict[str, str]:
    lines = (row.replace(" ", "\t") + "\tamd64\t\tinstalled\n" for row in rows)
    return {"cmd:dpkg-query/packages": "".join(lines)}


def test_a_rebuild_is_no_other_version_of_a_package() -> None:
    a = side("a", captures=packages("numactl 2.0-1", "qemu 8"), release="sid")
    b = side("b", captures=packages("numactl 2.0-1+b2", "qemu 9"), release="sid")
    (found,) = compared(a, b).counted
    assert [row.name for row in found.rows] == ["qemu"]


def test_three_sides_stand_side_by_side() -> None:
    sides = [side(name, f"{hz}=y") for name, hz in (("a", "HZ_250"), ("b", "HZ_1000"))]
    third = side("c", "HZ_100=y")
    assert difference("timer-tick", *sides, third).values == ("250", "1000", "100")


def test_a_side_is_the_same_as_itself() -> None:
    one = side("a", "HZ_250=y X86_KERNEL_IBT=y", captures=packages("qemu 9"))
    found = compared(one, one)
    assert not found.differences
    assert not found.counted


# The data


def test_every_fact_that_a_setting_asks_for_has_a_parser() -> None:
    defaults: Defaults = load_defaults()
    asked = {s.running for s in defaults.settings} | {s.offered for s in defaults.settings}
    asked |= {v.fact for v in defaults.vocabularies} | {v.version for v in defaults.vocabularies}
    asked |= {fact for version in defaults.versions for fact in version.facts}
    declared = tuple(name for parser in all_parsers() for name in parser.declares)
    prefixes = tuple(name for name in declared if name.endswith("."))
    unread = {f for f in asked - {""} if f not in declared and not f.startswith(prefixes)}
    assert not unread


def test_every_option_that_decides_a_setting_is_one_that_some_linux_has() -> None:
    known = load_kernel_options().cells
    older_than_read = {"SPECULATION_MITIGATIONS"}
    asked = {option for s in load_defaults().settings for option in s.decided_by}
    assert asked - set(known) - older_than_read == set()


@pytest.mark.parametrize(
    ("version", "arch", "expected"),
    [
        ((6, 12), "arm64", Offer.NOT_THIS_ARCHITECTURE),
        ((7, 2), "arm64", Offer.YES),
        ((6, 17), "arm64", Offer.UNKNOWN),  # between a version without and one with it
        ((6, 8), "x86-64", Offer.YES),  # between two versions with it
        ((5, 15), "x86-64", Offer.YES),  # older than what was read: as the oldest
        ((), "x86-64", Offer.UNKNOWN),
    ],
)
def test_versions_that_were_read_speak_for_those_between_them(
    version: tuple[int, ...], arch: str, expected: Offer
) -> None:
    assert load_kernel_options().offer("LIVEPATCH", version, arch) is expected


def test_an_option_that_nobody_read_of_is_unknown() -> None:
    assert KernelOptions([(6, 1)], frozenset(), {}).offer("X", (6, 1), "arm64") is Offer.UNKNOWN


RELEASES = Path(__file__).parents[2] / "src/uplift/catalog/data/releases"


@pytest.mark.parametrize(
    "recording", sorted(RELEASES.glob("*.jsonl.gz")), ids=lambda path: path.name
)
def test_every_option_that_a_recorded_kernel_has_on_is_one_that_its_linux_offers(
    recording: Path,
) -> None:
    from uplift.facts import snapshot_file  # noqa: PLC0415

    recorded = Side(recording.name, "release", read_facts(snapshot_file.load(recording)))
    if recorded.config is None:
        pytest.skip("no kernel configuration was recorded")
    table = load_kernel_options()
    if recorded.kernel not in table.versions:
        pytest.skip(f"no source of {recorded.kernel} was read")
    on = {option for option, value in recorded.config.options.items() if value != "n"}
    denied = {
        option
        for option in on & set(table.cells)
        if table.offer(option, recorded.kernel, recorded.arch) is Offer.NOT_THIS_ARCHITECTURE
    }
    assert denied == set()
