"""Libraries, runtimes and packages: what they report of themselves."""

from __future__ import annotations

import json

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, why_unknown
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import java, libraries, numerics, openssl, packages
from uplift.facts.snapshot_file import load

LIBRARIES, ENVIRONMENT, POSTGRESQL = libraries.PARSERS
PACKAGES, SNAPS = packages.PARSERS


@pytest.fixture(scope="module")
def milan():
    return load(RECORDINGS / "software" / "milan.jsonl.gz")


def test_openssls_vector_is_named_by_cpuid_register_and_bit():
    vector = "OPENSSL_ia32cap=0x200000000000000:0x40000000000:0x0:0x80000:0x1000000000000\n"
    facts = facts_of(openssl.PARSER, {"cmd:openssl/cpuid": vector})
    assert facts.value("library.openssl.uses") == {
        *("cpuid.1.0.ecx.25", "cpuid.7.0.ecx.10", "cpuid.7.1.edx.19", "cpuid.24.0.ebx.16")
    }


def test_an_override_of_openssls_vector_is_told():
    text = "OPENSSL_ia32cap=0x1:0x0 env:~0x200000200000000\n"
    facts = facts_of(openssl.PARSER, {"cmd:openssl/cpuid": text})
    assert facts.value("library.openssl.cap_set") == "~0x200000200000000"


def test_the_librarys_version_counts_not_the_programs():
    text = "OpenSSL 3.0.2 15 Mar 2022 (Library: OpenSSL 3.5.1 1 Jul 2025)\n"
    facts = facts_of(openssl.PARSER, {"cmd:openssl/version": text})
    assert facts.value("library.openssl.version") == "3.5.1"


@pytest.mark.parametrize("broken", ["", "OPENSSL_ia32cap=what\n"])
def test_a_broken_openssl_is_unknown(broken):
    assert why_unknown(openssl.PARSER, {"cmd:openssl/cpuid": broken}, "library.openssl.cap")


def test_what_a_library_answers_wins_over_its_files_name():
    captures = {
        "probe:libraries": "libopenblas.so.0 /usr/lib/libopenblas.so.0 0.3\nlibz.so.1 /z 1.2.13\n",
        "probe:library-calls": (
            "openblas_get_corename libopenblas.so.0 SkylakeX\n"
            "openblas_get_config libopenblas.so.0 OpenBLAS 0.3.26 DYNAMIC_ARCH\n"
        ),
    }
    facts = facts_of(LIBRARIES, captures)
    assert facts.value("library.openblas.core") == "SkylakeX"
    assert facts.value("library.openblas.version") == "0.3.26"
    assert facts.value("library.found") == {"openblas", "zlib"}
    assert isinstance(facts.get("library.dnnl.version"), Missing)


def test_a_variable_that_steers_dispatch_is_empty_where_it_is_not_set():
    facts = facts_of(ENVIRONMENT, {"probe:environment": "OPENBLAS_CORETYPE=Haswell\n"})
    assert facts.value("environment.OPENBLAS_CORETYPE") == "Haswell"
    assert facts.value("environment.GLIBC_TUNABLES") == ""
    assert facts.value("environment.names") == {"OPENBLAS_CORETYPE"}


NUMERICS = "cmd:python3/numerics"


def test_a_quick_collection_tells_versions_and_leaves_dispatch_unknown():
    quick = {"numpy": {"version": "2.1.3", "directory": "/usr/lib"}}
    facts = facts_of(numerics.PARSER, {NUMERICS: json.dumps(quick)})
    assert facts.value("python.numpy.version") == "2.1.3"
    assert isinstance(facts.get("python.numpy.found"), Missing)


def test_a_deep_collection_tells_what_each_package_dispatches_to():
    deep = {
        "numpy": {
            "version": "2.1.3",
            "found": ["AVX2", "AVX512F"],
            "config": {"Build Dependencies": {"blas": {"name": "scipy-openblas"}}},
        },
        "torch": {
            "version": "2.9.0",
            "config": "  - CPU capability usage: AVX512\n",
            "cuda": False,
        },
        "onnxruntime": {"error": "OSError: no"},
    }
    facts = facts_of(numerics.PARSER, {NUMERICS: json.dumps(deep)})
    assert facts.value("python.numpy.found") == {"AVX2", "AVX512F"}
    assert facts.value("python.numpy.blas") == "scipy-openblas"
    assert facts.value("python.torch.capability") == "AVX512"
    assert facts.value("python.onnxruntime.error") == "OSError: no"


@pytest.mark.parametrize("broken", ["", "[1]", "{"])
def test_a_broken_report_of_python_is_unknown(broken):
    assert why_unknown(numerics.PARSER, {NUMERICS: broken}, "python.numpy.version")


def test_javas_flags_are_those_it_settled_on():
    text = (
        "[Global flags]\n"
        "     intx UseAVX                   = 3            {ARCH product} {default}\n"
        "     bool UseSHA                  := true         {product} {command line}\n"
        "    ccstr NativeMemoryTracking     =              {product} {default}\n"
    )
    facts = facts_of(java.PARSER, {"cmd:java/flags": text})
    assert facts.value("java.flag.UseAVX") == "3"
    assert facts.value("java.flag.UseSHA") == "true"
    assert facts.value("java.flag.NativeMemoryTracking") == ""


def test_every_installed_virtual_machine_is_told_by_its_release_file():
    captures = {"file:/usr/lib/jvm/temurin-25/release": 'IMPLEMENTOR="x"\nJAVA_VERSION="25.0.3"\n'}
    assert facts_of(java.PARSER, captures).value("java.installed.temurin-25") == "25.0.3"


def test_a_broken_java_is_unknown():
    assert "line" in why_unknown(java.PARSER, {"cmd:java/version": "?"}, "java.version")
    assert "line" in why_unknown(java.PARSER, {"cmd:java/flags": "?"}, "java.flag.UseAVX")


DPKG = "cmd:dpkg-query/packages"


def test_a_package_has_a_version_and_one_that_is_not_installed_has_none():
    table = (
        "libc6\t2.42-0ubuntu3\tamd64\tamd64v3\tinstalled\n"
        "libc6\t2.42-0ubuntu3\ti386\t\tinstalled\n"
        "gone\t1.0\tamd64\t\tconfig-files\n"
    )
    facts = facts_of(PACKAGES, {DPKG: table})
    assert facts.value("package.libc6") == "2.42-0ubuntu3"
    assert facts.value("package.gone") == ""
    assert facts.value("package.never-heard-of") == ""
    assert facts.value("package_variant.libc6") == "amd64v3"
    assert facts.value("package_list.variants") == {"amd64v3"}


def test_a_package_beyond_a_truncated_lists_end_is_unknown():
    data = b"bash\t5.2\tamd64\t\tinstalled\nzli"
    snapshot = Snapshot({DPKG: Capture(DPKG, CaptureStatus.TRUNCATED, data)})
    facts = Facts(snapshot, (PACKAGES,))
    assert facts.value("package.bash") == "5.2"
    assert isinstance(facts.get("package.zlib1g"), Missing)


def test_snaps_are_told_without_disabled_revisions():
    text = (
        "Name  Version  Rev  Tracking  Publisher  Notes\n"
        "lxd   5.21     100  stable    canonical  disabled\n"
        "lxd   6.1      110  stable    canonical  -\n"
    )
    facts = facts_of(SNAPS, {"cmd:snap/list": text})
    assert facts.value("snap.lxd") == "6.1"
    assert facts.value("snap.maas") == ""


@pytest.mark.parametrize(
    ("parser", "capture", "broken", "fact"),
    [
        (PACKAGES, DPKG, "one column\n", "package.bash"),
        (SNAPS, "cmd:snap/list", "error\n", "snap.lxd"),
        (LIBRARIES, "probe:libraries", "?\n", "library.found"),
        (ENVIRONMENT, "probe:environment", "?\n", "environment.X"),
        (POSTGRESQL, "cmd:postgres/version", "?\n", "postgresql.version"),
    ],
)
def test_broken_bytes_are_unknown_and_say_where(parser, capture, broken, fact):
    assert "line 1" in why_unknown(parser, {capture: broken}, fact)


def test_a_real_machines_libraries_and_packages_are_read(milan):
    parsers = (openssl.PARSER, java.PARSER, *libraries.PARSERS, *packages.PARSERS)
    facts = Facts(milan, parsers)
    assert facts.value("library.openssl.version") == "3.0.19"
    assert "cpuid.7.0.ebx.29" in facts.value("library.openssl.uses")
    assert facts.value("library.zlib.version") == "1.2.13"
    assert facts.value("java.version") == "17.0.15"
    assert facts.value("java.flag.UseAVX") == "2"
    assert facts.value("postgresql.version").startswith("15.")
    assert facts.value("package.bash").startswith("5.2")
    assert isinstance(facts.get("snap.lxd"), Missing)
