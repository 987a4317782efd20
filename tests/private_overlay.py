"""An overlay whose every text holds a canary: a word that occurs nowhere else."""

from __future__ import annotations

from pathlib import Path

CANARY = "qzx"  #: the beginning of every canary
LABEL = "EMBARGOED qzx-label until 2099-07-13"

MANIFEST = """
# qzx-comment-manifest
name = "qzx-overlay"
label = "EMBARGOED qzx-label until 2099-07-13"
policy = "embargoed"
lifts_at = 2099-07-13
"""

FEATURES = """
# qzx-comment-features
[[feature]]
id = "x86/qzx-new"
title = "qzx-new-title"
arch = ["x86-64"]
area = "security"
worth = 5
summary = "qzx-new-summary"
[[feature.layer]]
name = "silicon"
needs = { fact = "cpuid.80000021.0.ecx", bit = 7 }
source = { cited = "qzx-new-source" }
note = "qzx-new-note"
[[feature.layer]]
name = "kernel"
needs = { fact = "cpuinfo.flags", has = "qzxflag" }
owner = "qzx-new-owner"
source = { derived = "qzx-new-kernel-source" }
since = { project = "qzx-project", version = "9.9qzx", commit = "0123456789ab" }
remedy = { kind = "kernel", do = "qzx-new-do" }
[[feature.layer.cause]]
when = { not = { fact = "cpuinfo.flags", has = "qzxnever" } }
cause = "qzx-new-cause"
kind = "policy"
owner = "qzx-new-cause-owner"
remedy = { kind = "sysctl", do = "qzx-new-cause-do" }

[[feature]]
id = "x86/qzx-absent"
title = "qzx-absent-title"
arch = ["x86-64"]
area = "compute"
summary = "qzx-absent-summary"
public = false
[[feature.layer]]
name = "silicon"
needs = { fact = "cpuid.7.1.edx", bit = 31 }
source = { cited = "qzx-absent-source" }

[[feature]]
id = "x86/pku"
extend = true
[[feature.layer]]
name = "toolchain"
needs = { fact = "compiler.gcc.accepts", has = "qzxoption" }
source = { cited = "qzx-layer-source" }
note = "qzx-layer-note"
[[feature.layer]]
name = "silicon"
extend = true
[[feature.layer.cause]]
when = { fact = "cpuid.1.0.ecx", bit = 31 }
cause = "qzx-extra-cause"
kind = "firmware"
status = "hidden"
owner = "qzx-extra-owner"
remedy = { kind = "firmware-setting", do = "qzx-extra-do" }

[[feature]]
id = "x86/aes"
replace = true
title = "qzx-aes-title"
arch = ["x86-64"]
area = "crypto"
summary = "qzx-aes-summary"
[[feature.layer]]
name = "silicon"
needs = { fact = "cpuid.1.0.ecx", bit = 16 }
source = { cited = "qzx-aes-source" }
"""

CHIPS = """
# qzx-comment-chips
[[chip]]
codename = "qzx-lake"
title = "qzx-lake-title"
vendor = "AuthenticAMD"
arch = "x86-64"
microarchitecture = "qzx-lake-core"
segment = "server"
announced = "2099-07"
archspec = "qzx-lake-archspec"
signature = [{ family = 0x19, model = [0x70, 0x7f], brand = "qzx-lake-brand" }]
source = { cited = "qzx-lake-source" }

[[chip]]
codename = "milan"
extend = true
signature = [{ family = 0x19, model = 1, stepping = 1 }]
features = ["x86/qzx-absent"]
source = { cited = "qzx-milan-source" }

[features."qzx-lake"]
list = ["x86/qzx-new", "x86/aes"]
source = { cited = "qzx-lake-list-source" }
"""

RELEASE = """
# qzx-comment-release
[release]
id = "qzx-release"
title = "qzx-release-title"
source = { cited = "qzx-release-source" }
[[set]]
name = "base"
kind = "base"
arch = ["amd64"]
[[set.fact]]
name = "kernel.release"
value = "qzx-kernel"
source = { cited = "qzx-fact-source" }
"""


def write_overlay(
    directory: Path,
    manifest: str = MANIFEST,
    features: str = FEATURES,
    chips: str = CHIPS,
    release: str = RELEASE,
) -> Path:
    """Write the overlay into ``directory`` and return it; an empty text leaves its file out."""
    texts = {
        "overlay.toml": manifest,
        "features/qzx-features-file.toml": features,
        "chips/qzx-chips-file.toml": chips,
        "releases/qzx-release.toml": release,
    }
    for name, text in texts.items():
        if text:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return directory
