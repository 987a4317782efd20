"""Since which version a name is there: brackets, tables that are read back, drift that is found.

The trees are made here, in the form that upstream's files have.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from uplift.catalog import since
from uplift.catalog.derive.binutils_names import BINUTILS
from uplift.catalog.derive.gcc_names import GCC
from uplift.catalog.derive.glibc_names import GLIBC
from uplift.catalog.derive.libvirt_names import LIBVIRT
from uplift.catalog.derive.linux_names import LINUX
from uplift.catalog.derive.llvm_names import LLVM
from uplift.catalog.derive.projects import PROJECTS
from uplift.catalog.derive.proposal import propose
from uplift.catalog.derive.qemu_names import QEMU
from uplift.catalog.derive.upstream import Project, SourceTree, patterns
from uplift.catalog.load import build_catalog, tomllib
from uplift.catalog.since import Since, read_rows
from uplift.errors import CatalogError, UpliftError
from uplift.lab.source_trees import read_trees

NO_FEATURES = build_catalog({})


def _gcc(version: str, *options: str) -> SourceTree:
    records = "".join(f"{option}\nTarget Mask(X)\nMade for a test.\n\n" for option in options)
    return SourceTree(GCC, version, {"gcc/BASE-VER": version, "gcc/config/i386/i386.opt": records})


def _table(*trees: SourceTree, before: str = "", catalog=NO_FEATURES, fresh=False) -> str:
    data = {"since/gcc.csv": before} if before else {}
    (change,) = propose(trees, catalog, data, fresh).changes
    return change.after


def _since(table: str, name: str) -> Since:
    (row,) = (row for row in read_rows("gcc.csv", table) if row.name == name)
    return row.since


def test_a_name_came_between_the_last_version_without_it_and_the_first_with_it():
    table = _table(_gcc("11.1.0"), _gcc("12.1.0", "mnew"), _gcc("13.1.0", "mnew"))
    assert _since(table, "-mnew").without == "11.1.0"
    assert _since(table, "-mnew").version == "12.1.0"


def test_a_name_that_went_has_a_second_row_that_dates_its_end():
    table = _table(_gcc("11.1.0", "mold"), _gcc("12.1.0", "mold"), _gcc("13.1.0"))
    found = _since(table, "-mold")
    assert (found.version, found.last, found.gone) == ("11.1.0", "12.1.0", "13.1.0")
    assert [found.has(v) for v in ("11.4", "12.9", "13.0", "14.1")] == [True, True, False, False]


def test_a_name_that_came_went_and_came_again_is_dated_by_its_last_coming():
    table = _table(_gcc("11.1.0", "mx"), _gcc("12.1.0"), _gcc("13.1.0", "mx"))
    assert _since(table, "-mx") == Since(
        "12.1.0", "13.1.0", source="gcc/config/i386/i386.opt", series=1
    )


def test_reading_the_same_trees_again_changes_nothing():
    trees = (_gcc("11.1.0", "ma"), _gcc("12.1.0", "ma", "mb"), _gcc("13.1.0", "mb"))
    before = _table(*trees)
    assert propose(trees, NO_FEATURES, {"since/gcc.csv": before}).changes == ()


def test_versions_read_one_by_one_in_any_order_give_the_table_of_one_run():
    trees = [_gcc("11.1.0", "ma"), _gcc("12.1.0", "ma", "mb"), _gcc("13.1.0", "mb")]
    table = ""
    for tree in (trees[1], trees[2], trees[0]):
        table = _table(tree, before=table)
    assert table == _table(*trees)


def test_a_fresh_table_forgets_versions_that_are_not_among_the_trees():
    before = _table(_gcc("11.1.0", "ma"), _gcc("12.1.0", "ma", "mb"))
    after = _table(_gcc("12.1.0", "ma", "mb"), before=before, fresh=True)
    assert _since(after, "-mb").without == ""


@pytest.mark.parametrize(
    ("change", "subject", "after"),
    [
        ({"mnew"}, "option -mnew (x86)", "12.1.0..13.1.0"),
        ({"ma"}, "option -mb (x86)", "..11.1.0, dropped 12.1.0..13.1.0"),
    ],
)
def test_a_change_planted_upstream_is_shown_with_its_source(change, subject, after):
    both = {"ma", "mb"}
    names = both | change if "mnew" in change else change
    before = _table(_gcc("11.1.0", *both), _gcc("12.1.0", *both))
    found = propose([_gcc("13.1.0", *names)], NO_FEATURES, {"since/gcc.csv": before})
    (cell,) = (cell for cell in found.cells if cell.subject == subject)
    assert cell.after == after
    assert cell.source == "gcc 13.1.0 gcc/config/i386/i386.opt"
    assert "# derived: gcc 13.1.0" in found.changes[0].diff()


def test_a_name_that_moved_to_another_file_keeps_its_version():
    old, new = _gcc("11.1.0", "ma"), _gcc("12.1.0", "ma")
    text = '  {"same", PROCESSOR_X, 0},\n'
    table = "const pta processor_alias_table[] =\n{\n" + text + "};\n"
    old = replace(old, files={**old.files, "gcc/common/config/i386/i386-common.c": table})
    new = replace(new, files={**new.files, "gcc/common/config/i386/i386-common.cc": table})
    assert _since(_table(old, new), "-march=same").version == "11.1.0"


S390 = "EnumValue\nEnum(processor_type) String(z99) Value(X)\n"
FEATURE = """
[[feature]]  # a comment that stays
id = "x86/made"
title = "Made"
arch = ["x86-64"]
area = "compute"
summary = "Made for a test."

[[feature.layer]]
name = "toolchain"
needs = { fact = "compiler.gcc.accepts", has = "-mmade" }
source = { cited = "a test" }
%s"""


def _with_feature(more: str):
    text = FEATURE % more
    return text, build_catalog({"made.toml": tomllib.loads(text)})


def test_a_layer_gets_its_since_where_the_bracket_is_one_release_wide():
    text, catalog = _with_feature("")
    trees = [_gcc("14.2.0"), _gcc("15.1.0", "mmade")]
    changes = propose(trees, catalog, {"features/made.toml": text}).changes
    (layers,) = (change for change in changes if change.path == "features/made.toml")
    assert layers.after == text + 'since = { project = "gcc", version = "15" }\n'


def test_a_wide_bracket_dates_no_layer():
    text, catalog = _with_feature("")
    trees = [_gcc("12.2.0"), _gcc("15.1.0", "mmade")]
    changes = propose(trees, catalog, {"features/made.toml": text}).changes
    assert [change.path for change in changes] == ["since/gcc.csv"]


def test_what_a_person_wrote_stays_and_is_shown_beside_what_the_sources_say():
    text, catalog = _with_feature('since = { project = "gcc", version = "13" }\n')
    trees = [_gcc("14.2.0"), _gcc("15.1.0", "mmade")]
    found = propose(trees, catalog, {"features/made.toml": text})
    assert [change.path for change in found.changes] == ["since/gcc.csv"]
    (kept,) = found.kept
    assert (kept.before, kept.subject) == ("since = gcc 13", "x86/made toolchain")
    assert 'version = "15"' in kept.after


def test_a_name_that_the_catalog_asks_for_and_no_version_has_is_told_so():
    _, catalog = _with_feature("")
    table = _table(_gcc("14.2.0"), _gcc("15.1.0", "mother"), catalog=catalog)
    found = _since(table, "-mmade")
    assert (found.without, found.version) == ("15.1.0", "")
    assert [found.has(v) for v in ("14.1", "15.3", "16.1")] == [False, False, None]


def test_nothing_is_claimed_of_a_kind_or_an_architecture_that_was_not_read():
    _, catalog = _with_feature("")
    elsewhere = SourceTree(GCC, "15.1.0", {"gcc/config/s390/s390.opt": S390})
    assert "-mmade" not in _table(elsewhere, catalog=catalog)


def test_between_the_versions_read_nobody_knows_and_a_series_takes_no_features():
    came = Since("6.14.0", "6.17.8")
    told = [came.has(v) for v in ("6.13", "6.14.9", "6.16", "6.17.0", "7.0")]
    assert told == [False, False, None, True, True]


def test_within_one_series_the_bracket_counts_to_the_last_number():
    came = Since("6.12.8", "6.12.38")
    assert [came.has(v) for v in ("6.12.8", "6.12.20", "6.12.38")] == [False, None, True]


def test_a_tree_between_two_releases_is_of_neither_series():
    came = Since("2.43.50.20241230", "2.46")
    assert [came.has(v) for v in ("2.43.1", "2.44", "2.46")] == [False, None, True]


def test_versions_are_ordered_as_projects_count():
    names = ["6.9.3", "7.3.0", "6.10", "7.3.0-rc7", "5.19.17", "2.43.50.20241230"]
    ordered = sorted(names, key=since.version_key)
    assert ordered == ["2.43.50.20241230", "5.19.17", "6.9.3", "6.10", "7.3.0-rc7", "7.3.0"]


@pytest.mark.parametrize("row", ["gcc,option,-mx,x86,,,,f", "gcc,option,-mx,x86,11.1.0"])
def test_a_malformed_table_is_refused_with_its_line(row):
    text = "# derived: gcc 11.1.0\n" + ",".join(since.COLUMNS) + f"\n{row}\n"
    with pytest.raises(CatalogError) as caught:
        list(read_rows("gcc.csv", text))
    assert caught.value.cause.startswith("line 3:")


def test_the_shipped_tables_answer_for_what_ubuntu_releases_have():
    assert since.has("option", "-mamx-tile", "11.4") is True
    assert since.has("option", "-mamx-fp16", "11.4") is False
    assert since.has("option", "-mapxf", "13.3") is False
    assert since.has("cpu-feature", "apx_f", "2.39") is True
    assert since.has("property", "avx10", "8.2.2") is False
    assert since.has("property", "amx-fp16", "8.2.2") is True
    assert since.has("as", "avx10.2", "2.42") is False
    assert since.has("as", "avx10.2", "2.46") is True
    assert since.has("x86-flag", "amx_tile", "5.15.0") is False
    assert since.has("x86-flag", "amx_tile", "6.8.0") is True
    assert since.has("option", "-mnever-was", "13.3") is None


# what each project's module reads

LINUX_FILES = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 8\nSUBLEVEL = 12\nEXTRAVERSION =\n",
    "arch/x86/include/asm/cpufeatures.h": (
        "#define X86_FEATURE_MADE\t( 0*32+ 0) /* Shown by its macro */\n"
        '#define X86_FEATURE_NAMED\t( 0*32+ 1) /* "other" Shown by this name */\n'
        '#define X86_FEATURE_HIDDEN\t( 0*32+ 2) /* "" Never shown */\n'
    ),
    "arch/x86/kernel/cpu/mkcapflags.sh": '[ -z "$VALUE" ] && VALUE="\\"$NAME\\""\n',
    "arch/x86/include/asm/fpu/types.h": (
        "enum xfeature {\n\tXFEATURE_ONE,\n\t/* two */ XFEATURE_TWO,\n\tXFEATURE_THREE,\n};\n"
        "#define XFEATURE_MASK_ONE\t(1 << XFEATURE_ONE)\n"
        "# define XFEATURE_MASK_GROUP\t(XFEATURE_THREE)\n"
    ),
    "arch/x86/include/asm/fpu/xstate.h": (
        "#define XFEATURE_MASK_USER_SUPPORTED (XFEATURE_MASK_ONE | \\\n\t\tXFEATURE_MASK_GROUP)\n"
    ),
    "arch/arm64/kernel/cpuinfo.c": (
        'static const char *const hwcap_str[] = {\n\t[KERNEL_HWCAP_FP] = "fp",\n};\n'
        'static const char *const compat_hwcap_str[] = {\n\t[X] = "swp",\n};\n'
    ),
    "arch/riscv/kernel/cpufeature.c": "\t__RISCV_ISA_EXT_SUPERSET(zmade, ID, list),\n",
    "arch/x86/Kconfig": "config MADE\n\tbool\n\nmenuconfig OTHER\n\tbool\n",
}


def _names(project: Project, files: dict[str, str]) -> set[tuple[str, str]]:
    return {(known.kind, known.name) for known in project.names(files)}


def test_linux_flags_states_words_extensions_and_options_are_read():
    assert LINUX.version(LINUX_FILES) == "6.8.12"
    assert _names(LINUX, LINUX_FILES) == {
        ("x86-flag", "made"),
        ("x86-flag", "other"),
        ("x86-xfeature", "0"),
        ("x86-xfeature", "2"),
        ("arm64-hwcap", "fp"),
        ("riscv-isa", "zmade"),
        ("kconfig", "CONFIG_MADE"),
        ("kconfig", "CONFIG_OTHER"),
    }


def test_since_linux_stopped_naming_flags_by_macro_only_quoted_names_are_shown():
    files = {**LINUX_FILES, "arch/x86/kernel/cpu/mkcapflags.sh": '[ ! "$VALUE" ] && continue\n'}
    flags = {name for kind, name in _names(LINUX, files) if kind == "x86-flag"}
    assert flags == {"other"}


def test_gcc_options_of_each_architecture_are_read():
    files = {
        "gcc/BASE-VER": "16.1.0\n",
        "gcc/config/i386/i386.opt": "mmade\nTarget\n\nmno-made\nTarget\n\nmtaken=\nTarget Joined\n",
        "gcc/config/aarch64/aarch64-cores.def": 'AARCH64_CORE("core-x",  a, b, V8A,  (), c)\n',
        "gcc/config/aarch64/aarch64-option-extensions.def": (
            '/* AARCH64_OPT_EXTENSION("doc", ) */\n'
            'AARCH64_OPT_EXTENSION("ext", E, (), (), (), "")\n'
            'AARCH64_OPT_EXTENSION_ALIAS("alias", A, (E), (), (), "")\n'
        ),
        "gcc/config/aarch64/aarch64.opt": "mbranch-protection=\nTarget RejectNegative Joined\n",
        "gcc/config/riscv/riscv-profiles.def": 'RISCV_PROFILE("rvx1u64",  "rv64i")\n',
        "gcc/config/riscv/riscv-ext.def": "DEFINE_RISCV_EXT(\n  /* NAME */ zmade,\n  /* U */ Z)\n",
    }
    assert {name for _, name in _names(GCC, files)} == {
        "-mmade",
        "-mcpu=core-x",
        "-march=armv8-a+ext",
        "-march=armv8-a+alias",
        "-mbranch-protection=standard",
        "-march=rvx1u64",
        "-march=rv64gc_zmade",
    }


def test_llvm_tables_of_old_and_new_layout_are_read_alike():
    version = "set(LLVM_VERSION_MAJOR 14)\nset(LLVM_VERSION_MINOR 0)\nset(LLVM_VERSION_PATCH 6)\n"
    old = {
        "llvm/CMakeLists.txt": version,
        "llvm/include/llvm/Support/AArch64TargetParser.def": (
            'AARCH64_ARCH_EXT_NAME("sve9", AEK, "+sve9", "-sve9")\nAARCH64_CPU_NAME("core-x", A)\n'
        ),
        "llvm/lib/Support/RISCVISAInfo.cpp": (
            "SupportedExtensions[] = {\n"
            '    {"zmade", RISCVExtensionVersion{1, 0}},\n};\n'
            'X SupportedExperimentalExtensions[] = {\n    {"zdraft", V{0, 1}},\n};\n'
        ),
    }
    new = {
        "cmake/Modules/LLVMVersion.cmake": version,
        "llvm/lib/Target/AArch64/AArch64Features.td": (
            'let UserVisibleName = "sve9" in\ndef F : ExtensionWithMArch<"sve9f", "X", "Y">;\n'
        ),
        "llvm/lib/Target/AArch64/AArch64Processors.td": 'def : ProcessorModel<"core-x", M, []>;\n',
        "llvm/lib/Target/RISCV/RISCVFeatures.td": (
            'def FeatureStdExtZmade\n    : RISCVExtension<1, 0, "d">;\n'
            "def FeatureStdExtZdraft : RISCVExperimentalExtension<0, 1>;\n"
        ),
    }
    assert LLVM.version(old) == LLVM.version(new) == "14.0.6"
    assert _names(LLVM, old) == _names(LLVM, new)
    assert ("option", "-march=rv64gc_zmade") in _names(LLVM, new)


def test_assembler_names_of_old_and_new_macros_are_read_alike():
    head = "static const arch_entry cpu_arch[] =\n{\n"
    old = head + '  { STRING_COMMA_LEN (".made"), P, F, 0 },\n};\n'
    new = head + "  SUBARCH (made, MADE, ANY, false),\n};\n"
    files = {"bfd/version.m4": "m4_define([BFD_VERSION], [2.43.50])\n"}
    date = {"bfd/version.h": "#define BFD_VERSION_DATE 20241230\n"}
    for text in (old, new):
        tree = {**files, **date, "gas/config/tc-i386.c": text}
        assert _names(BINUTILS, tree) == {("as", "made")}
        assert BINUTILS.version(tree) == "2.43.50.20241230"


def test_glibc_features_that_become_usable_and_chips_that_it_detects_are_read():
    files = {
        "version.h": '#define VERSION "2.42"\n',
        "sysdeps/x86/cpu-features.c": (
            "  CPU_FEATURE_SET_ACTIVE (cpu_features, MADE_UP);\n"
            "    case 0xDD:\n      return INTEL_ATOM_CLEARWATERFOREST;\n"
            "      return INTEL_UNKNOWN;\n\tmicroarch = INTEL_BIGCORE_DIAMONDRAPIDS;\n"
        ),
    }
    assert _names(GLIBC, files) == {
        ("cpu-feature", "made_up"),
        ("detects", "clearwater-forest"),
        ("detects", "diamond-rapids"),
    }


def test_qemu_properties_models_and_model_versions_are_read():
    text = (
        '        .feat_names = {\n            "made_up", NULL, /* "gone" */\n        },\n'
        "static const X86CPUDefinition builtin_x86_defs[] = {\n    {\n"
        '        .name = "Chip",\n        .versions = (X86CPUVersionDefinition[]) {\n'
        '            { .version = 1 },\n            { .version = 2, .alias = "Other" },\n'
        "        }\n    },\n};\n"
    )
    found = _names(QEMU, {"VERSION": "10.1.0\n", "target/i386/cpu.c": text})
    models = {("cpu-model", name) for name in ("Chip", "Chip-v1", "Chip-v2", "Other")}
    assert found == {("property", "made-up"), *models}


def test_libvirt_features_and_models_are_read_and_hostile_xml_is_refused():
    files = {
        "meson.build": "project(\n  'libvirt', 'c',\n  version: '11.6.0',\n)\n",
        "src/cpu_map/x86_features.xml": "<cpus><feature name='made'><cpuid/></feature></cpus>",
        "src/cpu_map/x86_Chip.xml": "<cpus><model name='Chip'><feature name='x'/></model></cpus>",
    }
    assert _names(LIBVIRT, files) == {("cpu-map-feature", "made"), ("cpu-map-model", "Chip")}
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><cpus>&b;</cpus>'
    with pytest.raises(CatalogError):
        _names(LIBVIRT, {**files, "src/cpu_map/x86_Chip.xml": bomb})


def test_a_star_in_a_pattern_crosses_no_slash_and_two_stars_do():
    assert patterns(("src/*.xml",)).fullmatch("src/a.xml")
    assert not patterns(("src/*.xml",)).fullmatch("src/b/a.xml")
    assert patterns(("**/Kconfig*",)).fullmatch("a/b/Kconfig.debug")
    assert patterns(("a/**/c",)).fullmatch("a/c")


# where trees come from

GCC_FILES = {"gcc/BASE-VER": "15.1.0\n", "gcc/config/i386/i386.opt": "mmade\nTarget\n\n"}


def _tar(files: dict[str, bytes], top: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _read(argument: Path | str) -> list[SourceTree]:
    return list(read_trees(str(argument), PROJECTS))


def _unpacked(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_tree_a_tarball_and_a_tarball_of_tarballs_read_alike(tmp_path):
    data = {name: text.encode() for name, text in GCC_FILES.items()}
    flat, nested = tmp_path / "gcc.tar.xz", tmp_path / "gcc-15_15.1.0.orig.tar.xz"
    flat.write_bytes(_tar({**data, "gcc/unread.c": b"int x;"}, "gcc-15.1.0"))
    nested.write_bytes(_tar({"gcc-15.1.0-dfsg.tar.xz": _tar(data, "gcc-15.1.0")}, "gcc-15"))
    unpacked = _unpacked(tmp_path / "tree", GCC_FILES)
    trees = [tree for place in (unpacked, flat, nested) for tree in _read(place)]
    assert trees == [SourceTree(GCC, "15.1.0", GCC_FILES)] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gcc-15_15.1.0.orig.tar.xz",
        "gcc.tar.xz",
        "tree",
    ]


@pytest.mark.parametrize("data", [b"no tarball", b"\xfd7zXZ\x00" + bytes(40)])
def test_a_broken_tarball_is_refused_with_its_name(tmp_path, data):
    (tmp_path / "broken.tar.xz").write_bytes(data)
    with pytest.raises(UpliftError) as caught:
        _read(tmp_path / "broken.tar.xz")
    assert "broken.tar.xz" in caught.value.problem


def test_a_file_over_the_cap_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("uplift.lab.source_trees.MAX_FILE", 10)
    with pytest.raises(UpliftError) as caught:
        _read(_unpacked(tmp_path, GCC_FILES))
    assert "i386.opt" in caught.value.problem


def test_a_tree_of_another_project_is_refused(tmp_path):
    with pytest.raises(UpliftError) as caught:
        _read(_unpacked(tmp_path, {"README": "hello"}))
    assert "it is not the source of one of linux, gcc" in caught.value.cause


def _git(place: Path, *words: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    argv = ["git", "-C", str(place), *settings, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _commit(place: Path, files: dict[str, str]) -> str:
    _unpacked(place, files)
    _git(place, "add", ".")
    _git(place, "commit", "-q", "-m", "made")
    return _git(place, "rev-parse", "HEAD")


def _opt(*options: str) -> dict[str, str]:
    return {"gcc/config/i386/i386.opt": "".join(f"{o}\nTarget\n\n" for o in options)}


def _history(place: Path, tagged: bool) -> str:
    """Make releases 14.1.0 and 15.1.0 with two commits between; return the one that brings mnew."""
    place.mkdir()
    _git(place, "init", "-q")
    _commit(place, {"gcc/BASE-VER": "14.1.0\n", **_opt("mold")})
    if tagged:
        _git(place, "tag", "releases/gcc-14.1.0")
    _commit(place, _opt("mold", "mother"))
    brought = _commit(place, _opt("mold", "mother", "mnew"))
    _commit(place, {"gcc/BASE-VER": "15.1.0\n"})
    if tagged:
        _git(place, "tag", "releases/gcc-15.1.0")
    return brought


@pytest.mark.parametrize("tagged", [True, False])
def test_of_a_repository_all_releases_are_read_and_the_commit_that_brought_a_name(
    tmp_path, tagged, monkeypatch
):
    monkeypatch.setattr("uplift.lab.source_trees._HISTORY", 3)
    brought = _history(tmp_path / "gcc", tagged)
    trees = _read(tmp_path / "gcc")
    assert sorted(tree.version for tree in trees) == ["14.1.0", "15.1.0"]
    found = _since(_table(*trees), "-mnew")
    assert (found.version, found.commit) == ("15.1.0", brought[:12])


def test_a_copy_that_imports_whole_releases_tells_no_commit(tmp_path):
    _history(tmp_path / "gcc", tagged=True)
    assert _since(_table(*_read(tmp_path / "gcc")), "-mnew").commit == ""


def test_a_revision_can_be_counted_as_the_version_whose_branch_begins_there(tmp_path):
    brought = _history(tmp_path / "gcc", tagged=True)
    (tree,) = _read(f"{tmp_path / 'gcc'}@{brought}=15.0.1")
    assert (tree.version, tree.origin) == ("15.0.1", f"gcc {brought[:12]}")


def test_sources_without_a_version_are_read_by_their_tags_only(tmp_path):
    listed = {"cpu/microarchitectures.json": '{"microarchitectures": {"made": {}}}'}
    (tmp_path / "json").mkdir()
    _git(tmp_path / "json", "init", "-q")
    _commit(tmp_path / "json", listed)
    with pytest.raises(UpliftError) as caught:
        _read(tmp_path / "json")
    assert caught.value.cause == "the files of archspec tell no version, its tags do"
    _git(tmp_path / "json", "tag", "v0.3.0")
    (tree,) = _read(tmp_path / "json")
    assert tree.version == "0.3.0"
    assert {known.name for known in tree.names()} == {"made"}


def test_a_repository_runs_none_of_its_own_programs(tmp_path):
    _history(tmp_path / "gcc", tagged=True)
    mark = tmp_path / "ran"
    _git(tmp_path / "gcc", "config", "core.fsmonitor", f"touch {mark}")
    _git(tmp_path / "gcc", "config", "core.pager", f"touch {mark}")
    _read(tmp_path / "gcc")
    assert not mark.exists()
