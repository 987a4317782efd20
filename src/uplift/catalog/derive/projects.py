"""The upstream projects that can be read."""

from __future__ import annotations

from uplift.catalog.derive.archspec_names import ARCHSPEC
from uplift.catalog.derive.binutils_names import BINUTILS
from uplift.catalog.derive.gcc_names import GCC
from uplift.catalog.derive.glibc_names import GLIBC
from uplift.catalog.derive.libvirt_names import LIBVIRT
from uplift.catalog.derive.linux_names import LINUX
from uplift.catalog.derive.llvm_names import LLVM
from uplift.catalog.derive.qemu_names import QEMU
from uplift.catalog.derive.riscv_profiles import RISCV_DATABASE
from uplift.catalog.derive.xed_names import XED

#: The order matters only where two projects' marks could be in one tree.
PROJECTS = (LINUX, GCC, LLVM, BINUTILS, GLIBC, QEMU, LIBVIRT, XED, ARCHSPEC, RISCV_DATABASE)
