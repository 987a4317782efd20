"""Which known variants of glibc and OpenSSL are told as dispatched.

    python -m bench.isa_known [--libc PATH] [--crypto-archive libcrypto.a]

* glibc: its variants are named by suffix (``__memcpy_avx_unaligned``, ``__strlen_evex``); the names
  come from the detached debug file (libc6-dbg). The elision and protection-key functions are no
  variants: other code asks for them.
* OpenSSL: its library is linked here from ``libcrypto.a`` (libssl-dev) with the exports of the
  library that is installed, so that its inner names are there; variants are those that name an
  instruction set. The same library is audited stripped too.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from uplift.isa.audit import audit
from uplift.isa.elf import Elf
from uplift.isa.model import Confidence, FileAudit, Reach

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
VARIANT = re.compile(
    r"_(sse[234]\w*|ssse3|avx\w*|evex\w*|fma4?|shaext|xop|x4|4x|8x|16x|mulx\w*|avx2)(_|$)|"
    r"^_?aesni_|^_?vpaes_|^aesni|pclmul|clmul|mulx|_ni$|^sha\d+_ni|ChaCha20_\d|rdseed|rdrand"
)


def main() -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libc", default=str(LIBRARIES / "libc.so.6"))
    parser.add_argument("--crypto-archive", default=str(LIBRARIES / "libcrypto.a"))
    options = parser.parse_args()
    _variants("glibc", audit(options.libc), re.compile(r"_(sse|ssse|avx|evex|fma)"))
    with tempfile.TemporaryDirectory() as folder:
        named = _openssl(Path(options.crypto_archive), Path(folder))
        if named:
            result = audit(named)
            addresses = _variants("OpenSSL", result, VARIANT)
            subprocess.run(["strip", str(named)], check=True)
            _stripped(audit(named), addresses)
    return 0


def _variants(title: str, result: FileAudit, names: re.Pattern[str]) -> frozenset[int]:
    variants = [f for f in result.functions if names.search(f.name)]
    told = Counter(f.reach.value for f in variants)
    share = 100 * told[Reach.DISPATCHED.value] / max(len(variants), 1)
    print(f"{title}: {len(variants)} variants, {share:.1f} % dispatched {dict(told)}")
    for function in variants:
        if function.reach != Reach.DISPATCHED:
            print(f"   {function.name}: {function.reach.value}")
    code = (f for f in result.functions if f.confidence != Confidence.UNREACHED)
    sets = sorted({name for f in code for name in f.sets})
    print(f"   sets in code: {' '.join(sets)}")
    return frozenset(f.address for f in variants)


def _stripped(result: FileAudit, addresses: frozenset[int]) -> None:
    there = [f for f in result.functions if f.address in addresses]
    told = Counter(f.reach.value for f in there)
    print(f"   the same without names: {dict(told)}, {len(addresses) - len(there)} not found")


def _openssl(archive: Path, folder: Path) -> Path | None:
    """Link OpenSSL's library with its inner names kept and the exports of the installed one."""
    shared = LIBRARIES / "libcrypto.so.3"
    if not archive.is_file() or not shared.is_file():
        print("OpenSSL: libcrypto.a or libcrypto.so.3 is not here (packages libssl-dev, libssl3)")
        return None
    table = Elf(shared.read_bytes()).dynamic_symbols
    names = {table.text(i) for i in range(len(table)) if table.section[i] and table.kind[i] == 2}
    script = "{ global: " + "".join(f"{name};" for name in sorted(names)) + " local: *; };"
    (folder / "exports").write_text(script)
    out = folder / "libcrypto.so.3"
    command = ["gcc", "-shared", "-o", str(out), "-Wl,--whole-archive", str(archive)]
    command += ["-Wl,--no-whole-archive", f"-Wl,--version-script={folder / 'exports'}"]
    command += ["-Wl,-Bsymbolic", "-Wl,-soname,libcrypto.so.3"]
    subprocess.run(command, check=True, capture_output=True)
    return out


if __name__ == "__main__":
    raise SystemExit(main())
