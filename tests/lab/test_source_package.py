"""Source packages as the archive's lists tell of them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from uplift.lab.source_package import built_for, order, stanzas

#: In the form of Debian's Sources list.
LISTED = """\
Package: zlib
Binary: zlib1g, zlib1g-dev, lib32z1
Version: 1:1.2.13.dfsg-1
Package-List:
 lib32z1 deb libs optional arch=amd64,ppc64,s390x
 lib64z1 deb libs optional arch=sparc,mips
 zlib-doc deb doc optional arch=all
 zlib1g deb libs required arch=any
 zlib1g-dev deb libdevel optional arch=any
 zlib1g-stage deb libs optional arch=any profile=stage1
 zlib1g-tools deb utils optional arch=linux-any profile=!stage1
 zlib1g-udeb udeb debian-installer optional arch=any

Package: other
Version: 2
"""


def test_packages_are_those_built_for_one_architecture_at_a_time():
    [zlib, _] = stanzas(LISTED)
    assert built_for(zlib, "amd64") == ("lib32z1", "zlib1g", "zlib1g-dev", "zlib1g-tools")
    assert built_for(zlib, "arm64") == ("zlib1g", "zlib1g-dev", "zlib1g-tools")


def test_a_field_of_several_lines_is_one_field():
    [zlib, other] = stanzas(LISTED)
    assert zlib["package-list"].count("\n") == 7
    assert other == {"package": "other", "version": "2"}


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
def test_versions_are_in_the_order_that_dpkg_has():
    words = "1.0 1.0-1 1.0~rc1-1 1.0-1+b1 1.0-1.1 1:0.1 1.0a-1 1.0+x-1 1.10-1 1.9-1 0-1 1.0-1~bpo1"
    for one, other in itertools.permutations(words.split(), 2):
        command = ["dpkg", "--compare-versions", one, "lt", other]
        assert (order(one) < order(other)) == (subprocess.run(command, check=False).returncode == 0)
