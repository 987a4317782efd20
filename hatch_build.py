"""Build the native decoder with the package; without a C compiler the package works without it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOM = Path("src/uplift/isa")
FLAGS = ["-std=gnu11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"]


class NativeDecoder(BuildHookInterface[Any]):
    """Compiles ``native/*.c`` to ``uplift.isa._decode`` beside the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build for a wheel or an editable install; a source archive holds no built file."""
        if self.target_name != "wheel":
            return
        room = Path(self.root) / ROOM
        for old in room.glob("_decode.*.so"):
            old.unlink()
        try:
            self._build(Path(self.root))
        except Exception as error:  # any compiler's failure: the fallback needs none
            print(f"uplift: no native decoder, the slower one works: {error}", file=sys.stderr)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(str(ROOM / "_decode.*.so"))

    def _build(self, root: Path) -> None:
        """Build aside and move into place: another process may import the module now."""
        from setuptools import Distribution, Extension  # noqa: PLC0415 - only a build needs it

        native = root / ROOM / "native"
        crc = f"{data_crc(root / ROOM / 'data')}u"
        extension = Extension(
            "uplift.isa._decode",
            sorted(str(path.relative_to(root)) for path in native.glob("*.c")),
            include_dirs=[str(native)],
            define_macros=[("UPLIFT_DATA_CRC", crc)],
            extra_compile_args=FLAGS,
        )
        with tempfile.TemporaryDirectory() as folder:
            command = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
            command.build_lib = command.build_temp = folder
            command.ensure_finalized()
            command.run()
            built = Path(command.get_ext_fullpath(extension.name))
            beside = root / ROOM / f".{built.name}"
            shutil.copy2(built, beside)
            beside.replace(root / ROOM / built.name)


def data_crc(data: Path) -> int:
    """What the classes' lists add up to: a module built for other lists is not used."""
    crc = 0
    for path in sorted(data.glob("*-classes.csv")):
        crc = zlib.crc32(path.read_bytes(), crc)
    return crc
