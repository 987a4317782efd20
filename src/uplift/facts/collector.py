#!/usr/bin/env python3
"""Record what a machine, its kernel and its software say of themselves, verbatim.

One file, standard library only, Python 3.6 or later, so that it can be streamed to a target over
ssh (``ssh host python3 - --deep < collector.py``). It installs nothing, changes nothing, leaves
nothing behind, and decodes nothing: parsers do that afterwards, from the snapshot that it writes
to standard output (``uplift-snapshot/1``, JSON Lines).

What is recorded stands in the tables below; to record one more file, add its line.
"""

import argparse
import base64
import errno
import fnmatch
import json
import marshal
import os
import platform
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import namedtuple

VERSION = "0.1.0"
SCHEMA = "uplift-snapshot/1"

Capture = namedtuple("Capture", "id status data how detail format")

OK, ABSENT, DENIED = "ok", "absent", "denied"
FAILED, TIMEOUT, TRUNCATED = "failed", "timeout", "truncated"

LEFT_TO_DEEP = "left to --deep"
NOT_RUN = "not run: reading files below another root"
SOFTWARE_ONLY = "software only: not asked of the CPU it ran on"

# --------------------------------------------------------------------------------------------
# Limits. Seconds and bytes.

QUICK_BUDGET = 60.0
DEEP_BUDGET = 600.0
QUICK_COMMAND = 10.0
DEEP_COMMAND = 120.0
TREE_SECONDS = 5.0
MAX_CAPTURE = 8 << 20
MAX_TOTAL = 64 << 20
MAX_TREE_ENTRIES = 60000
MAX_TREE_FILE = 64 << 10
MAX_LIST = 1 << 20
MAX_STDERR = 64 << 10
COMPRESS_FROM = 16 << 10
MAX_LEAVES = 128
MAX_SUBLEAVES = 64
MAX_CPUS = 4096
CPU_SWEEP_SECONDS = 0.25

# --------------------------------------------------------------------------------------------
# Files. {release} is the running kernel's, * expands.

FILES = """
/proc/cpuinfo
/proc/cmdline
/proc/meminfo
/proc/modules
/proc/version
/proc/version_signature
/proc/filesystems
/proc/crypto
/proc/config.gz
/proc/devices
/proc/misc
/proc/sysinfo
/proc/self/status
/proc/ppc64/lparcfg
/proc/device-tree/model
/proc/device-tree/compatible
/proc/device-tree/hypervisor/compatible
/proc/driver/nvidia/version
/proc/driver/nvidia/params
/proc/xen/capabilities
/boot/config-{release}
/lib/modules/{release}/config
/lib/modules/{release}/build/.config
/lib/modules/{release}/modules.builtin
/lib/modules/{release}/modules.dep
/etc/os-release
/etc/lsb-release
/etc/default/grub
/etc/environment
/etc/docker/daemon.json
/etc/containerd/config.toml
/etc/containers/containers.conf
/etc/nvidia-container-runtime/config.toml
/run/cloud-init/cloud-id
/sys/kernel/cpu_byteorder
/sys/kernel/fips_enabled
/sys/kernel/security/lockdown
/sys/kernel/security/lsm
/sys/kernel/mm/lru_gen/enabled
/sys/kernel/mm/numa/demotion_enabled
/sys/kernel/realtime
/sys/hypervisor/type
/sys/hypervisor/properties/features
/sys/firmware/uv/prot_virt_host
/sys/firmware/uv/prot_virt_guest
/sys/firmware/efi/fw_platform_size
/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
/sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c
/sys/devices/system/clocksource/clocksource0/current_clocksource
/sys/devices/system/clocksource/clocksource0/available_clocksource
/usr/local/cuda/version.json
/opt/rocm/.info/version
/usr/lib/{triplet}/pkgconfig/libdpdk.pc
/usr/lib/jvm/*/release
""".split()

SYSCTLS = """
abi/sve_default_vector_length
abi/sme_default_vector_length
abi/tagged_addr_disabled
abi/vsyscall32
dev/tty/ldisc_autoload
fs/aio-max-nr
kernel/arch
kernel/bpf_stats_enabled
kernel/dmesg_restrict
kernel/hardlockup_all_cpu_backtrace
kernel/hostname
kernel/io_uring_disabled
kernel/kexec_load_disabled
kernel/kptr_restrict
kernel/modules_disabled
kernel/nmi_watchdog
kernel/numa_balancing
kernel/osrelease
kernel/perf_event_max_sample_rate
kernel/perf_event_mlock_kb
kernel/perf_event_paranoid
kernel/perf_user_access
kernel/randomize_va_space
kernel/sched_autogroup_enabled
kernel/sched_energy_aware
kernel/sched_itmt_enabled
kernel/sched_rt_runtime_us
kernel/soft_watchdog
kernel/split_lock_mitigate
kernel/tainted
kernel/timer_migration
kernel/unprivileged_bpf_disabled
kernel/unprivileged_userns_clone
kernel/user_events_max
kernel/version
kernel/watchdog
net/core/bpf_jit_enable
net/core/bpf_jit_harden
net/core/busy_poll
net/core/busy_read
net/core/default_qdisc
net/core/rmem_max
net/core/wmem_max
net/ipv4/tcp_available_congestion_control
net/ipv4/tcp_available_ulp
net/ipv4/tcp_congestion_control
net/ipv4/tcp_rmem
net/ipv4/tcp_wmem
vm/compaction_proactiveness
vm/enable_soft_offline
vm/hugetlb_optimize_vmemmap
vm/max_map_count
vm/mmap_min_addr
vm/mmap_rnd_bits
vm/nr_hugepages
vm/nr_overcommit_hugepages
vm/numa_stat
vm/overcommit_memory
vm/swappiness
vm/unprivileged_userfaultfd
vm/zone_reclaim_mode
""".split()

LISTS = """
/sys/firmware
/sys/firmware/acpi/tables
/sys/firmware/efi
/sys/class/iommu
/sys/class/powercap
/sys/class/misc
/sys/class/mdev_bus
/sys/class/intel_pmt
/sys/bus
/sys/bus/event_source/devices
/sys/bus/platform/drivers
/sys/bus/pci/drivers
/sys/bus/auxiliary/devices
/sys/bus/coresight/devices
/sys/fs
/sys/fs/resctrl
/sys/devices/virtual/misc
/sys/kernel/config/tsm
/sys/kernel/btf
/proc/driver
/etc/cdi
/var/run/cdi
/var/lib/snapd/snaps
/usr/share/qemu/firmware
/lib/firmware/amd
/lib/firmware/amd-ucode
/lib/firmware/intel-ucode
/lib/firmware/qat
/usr/lib/modules
""".split()

#: Directories whose glibc-hwcaps (and legacy) subdirectories hold tuned libraries.
LIBRARY_DIRECTORIES = "/lib/{triplet} /usr/lib/{triplet} /usr/local/lib/{triplet} /lib64 /usr/lib64"

#: Directory of the tree, then patterns of what to take below it. Links count as links.
TREES = (
    ("/sys/devices/system/cpu/vulnerabilities", "*"),
    ("/sys/devices/system/clockevents", "broadcast/current_device"),
    ("/sys/devices/system/memory", "block_size_bytes auto_online_blocks"),
    ("/sys/devices/system/edac/mc", "mc*/mc_name mc*/size_mb mc*/dimm*/dimm_mem_type"),
    ("/sys/devices", "cpu_core/cpus cpu_atom/cpus cpu_lowpower/cpus armv*_pmuv3*/cpus"),
    (
        "/sys/devices/system/node",
        "possible online has_cpu has_memory has_normal_memory has_generic_initiator"
        " node*/cpulist node*/distance node*/meminfo node*/hugepages/*/nr_hugepages"
        " node*/access*/initiators/* node*/access*/targets/* node*/memory_side_cache/*/*",
    ),
    (
        "/sys/class/dmi/id",
        "bios_* board_* chassis_* product_* sys_vendor ec_firmware_release modalias",
    ),
    ("/sys/class/tpm", "tpm*/tpm_version_major tpm*/device/description tpm*/device/driver"),
    (
        "/sys/bus/pci/devices",
        "*/vendor */device */class */revision */subsystem_vendor */subsystem_device */driver"
        " */numa_node */current_link_speed */current_link_width */max_link_speed"
        " */max_link_width */sriov_totalvfs */sriov_numvfs */iommu_group */enable */ats_enabled"
        " */qat/* */firmware_version */aer_dev_correctable_total */resource2_resize",
    ),
    (
        "/sys/bus/cxl/devices",
        "*/* */ram/size */pmem/size */ram/qos_class */security/state */dax_region*/devtype",
    ),
    ("/sys/bus/dax/devices", "*/size */target_node */driver */align"),
    ("/sys/bus/nd/devices", "*/devtype */mode */size */numa_node */state */type"),
    ("/sys/bus/dsa/devices", "*/*"),
    ("/sys/bus/ap/devices", "card*/type card*/hwtype card*/online card*/ap_functions"),
    ("/sys/bus/event_source/devices", "*/caps/* */cpumask */cpus */type cpu/format/*"),
    (
        "/sys/class/net",
        "*/address */mtu */speed */duplex */operstate */type */device */device/vendor"
        " */device/device */device/driver */device/numa_node */device/sriov_totalvfs"
        " */device/sriov_numvfs */phys_switch_id */phys_port_name */master */gro_flush_timeout"
        " */device/modalias */threaded",
    ),
    (
        "/sys/class/infiniband",
        "*/fw_ver */hca_type */board_id */node_type */device */ports/*/rate */ports/*/state"
        " */ports/*/link_layer */ports/*/cap_mask",
    ),
    (
        "/sys/class/drm",
        "version card*/device card*/device/vendor card*/device/device card*/device/driver"
        " card*/device/vbios_version card*/device/mem_info_vram_total render*/device",
    ),
    ("/sys/class/accel", "*/device */device/vendor */device/device */device/driver"),
    ("/sys/class/kfd/kfd/topology/nodes", "*/name */gpu_id */properties"),
    ("/sys/class/nvme", "*/model */firmware_rev */transport */numa_node */cntrltype"),
    (
        "/sys/block",
        "*/queue/scheduler */queue/rotational */queue/write_cache */queue/atomic_write_max_bytes"
        " */queue/zoned */device/model */integrity/format */queue/io_poll",
    ),
    ("/sys/class/powercap", "*/name */enabled */constraint_*_name"),
    ("/sys/class/iommu", "*/intel-iommu/* */amd-iommu/* */device"),
    ("/sys/kernel/iommu_groups", "*/type */devices/*"),
    ("/sys/kernel/mm/hugepages", "*/*"),
    ("/sys/kernel/mm/transparent_hugepage", "* hugepages-*/enabled khugepaged/defrag"),
    ("/sys/kernel/mm/ksm", "run"),
    ("/sys/kernel/mm/mempolicy/weighted_interleave", "*"),
    ("/sys/fs/resctrl/info", "* */*"),
    ("/sys/fs/cgroup", "cgroup.controllers cpuset.cpus.effective cpuset.mems.effective cpu.max"),
    ("/sys/power", "state mem_sleep"),
    ("/sys/module", "*/version */coresize"),
    ("/proc/driver/nvidia/gpus", "*/information */power"),
    ("/etc/modprobe.d", "*.conf"),
    ("/etc/cdi", "*.json *.yaml *.yml"),
    ("/var/run/cdi", "*.json *.yaml *.yml"),
    ("/run/nvidia", "*.json"),
    ("/sys/devices/virtual/misc", "tdx_guest/* intel_ifs_*/* iaa*/*"),
    ("/sys/firmware/tdx", "* */*"),
    ("/sys/firmware/opal", "*"),
    ("/sys/bus/dsa/drivers/crypto", "*"),
)

#: Modules whose parameters say how a feature is switched.
MODULES = """
kvm kvm_intel kvm_amd kvm_hv kvm_arm kvm_pvm intel_idle intel_pstate amd_pstate amd_pstate_ut
cpuidle cpuidle_haltpoll haltpoll processor acpi_cpufreq idxd iaa_crypto intel_qat qat_4xxx ccp
sev_guest tdx_guest intel_iommu amd_iommu iommu vfio vfio_pci vfio_iommu_type1 nvidia nvidia_uvm
nvme nvme_core mlx5_core ice i40e bnxt_en zswap zram workqueue rcutree pcie_aspm spurious pvclock
cxl_core cxl_acpi cxl_region nd_pmem kernel module damon_reclaim vhost vhost_net vhost_vdpa
arm_spe_pmu coresight arm_smmu_v3 hugetlb nvproxy x86_pkg_temp_thermal intel_rapl_msr kfence
""".split()

#: /dev names of no interest, and the directories in it that are listed too.
DEV_NOISE = re.compile(r"^(tty|loop|ram|vcs|pty|sd[a-z]|fd$|core$|std(in|out|err)$|initctl$|log$)")
DEV_DIRECTORIES = (
    "accel cpu/0 crypto cxl dax dma_heap dri dsa hugepages iax infiniband iommu mshv net"
    " nvidia-caps sgx uacce vfio vfio/devices"
)

#: A kernel log's line is kept for one of these words, or for one of the parts below. (Sets and
#: plain searches: one pattern of a hundred alternatives takes seconds on a large machine's log.)
LOG_WORDS = frozenset("""
alternatives amdgpu amx apic bti ccp cet clearcpuid coco coresight cppc crypto dmar dmi dsa edac efi
errata erratum fips fred gcs ghes hugepages hwp hypervisor i915 iax ibt ice idxd intel_idle isa kpti
kvm lam lass lockdown mce mpam mte mitigation mitigations nosmt numa nvidia nx pauth pmu psci pti pvm
qat ras resctrl riscv sbi sev sgx sme smp smpboot snp spe spectre sve tme tpm tsc x2apic xe xsave
zswap
""".split())
LOG_PARTS = tuple("""
x86/|cpu feature|cpufeature|amd-vi|vulnerab|secure boot|secureboot|shadow stack|split lock|split_lock
|pstate|ptr_auth|performance event|perf event|performance monitor|command line|linux version
|memory encryption|unchecked msr|gicv|smmu|sev-|tdx|qat_|hugetlb|iommu|microcode|cxl|mlx5|acpi:
|confidential|trust domain|arch_timer
""".replace("\n", "").strip().split("|"))
LOG_WORD = re.compile(r"[a-z0-9_]+")

#: Environment variables that change what a library or a tool dispatches to: children see them.
ENVIRONMENT = re.compile(
    r"^(GLIBC_TUNABLES|LD_HWCAP_MASK|LD_LIBRARY_PATH|OPENSSL_\w+cap|OPENBLAS_\w+|GOTO_\w+|BLIS_\w+"
    r"|MKL_\w+|ONEDNN_\w+|DNNL_\w+|NPY_\w+|ATEN_CPU_\w+|TORCH_\w+|OMP_\w+|ORT_\w+|JAVA_TOOL_OPTIONS"
    r"|JDK_JAVA_OPTIONS|_JAVA_OPTIONS|CUDA_\w+|NVIDIA_\w+|HIP_\w+|ROCR_\w+|HSA_\w+|DPDK_\w+|KMP_\w+"
    r"|GODEBUG|GOAMD64|GOARM64|RUSTFLAGS|CFLAGS|CXXFLAGS|QPL_\w+|ZLIB_\w+|LIBVIRT_\w+)$"
)

# --------------------------------------------------------------------------------------------
# Commands. id, argument vector; then: deep only, seconds, stream ("both": stderr too), needs
# (a socket and the daemon behind it: asking the socket must never start the daemon).

Command = namedtuple("Command", "id argv deep seconds stream needs")


def command(capture_id, argv, deep=False, seconds=0.0, stream="stdout", needs=""):
    return Command(capture_id, tuple(argv.split()), deep, seconds, stream, needs)


LIBVIRT = "/run/libvirt/libvirt-sock-ro libvirtd,virtqemud"
OVS_DB = "/run/openvswitch/db.sock ovsdb-server"
OVN_NB = "/run/ovn/ovnnb_db.sock ovsdb-server"
DOCKER = "/run/docker.sock dockerd"
SNAPD = "/run/snapd.socket snapd"
CONTAINERD = "/run/containerd/containerd.sock containerd"

COMMANDS = (
    command("cmd:openssl/version", "openssl version -a"),
    command("cmd:openssl/cpuid", "openssl info -cpusettings"),
    command("cmd:openssl/engines", "openssl engine -c", deep=True),
    command("cmd:openssl/providers", "openssl list -providers", deep=True),
    command("cmd:virsh/version", "virsh --version"),
    command("cmd:virsh/capabilities", "virsh -r -c qemu:///system capabilities", needs=LIBVIRT),
    command(
        "cmd:virsh/domcapabilities", "virsh -r -c qemu:///system domcapabilities", needs=LIBVIRT
    ),
    command("cmd:libvirtd/version", "libvirtd --version", deep=True),
    command("cmd:systemd-detect-virt", "systemd-detect-virt"),
    command("cmd:snap/list", "snap list --all", needs=SNAPD),
    command("cmd:java/version", "java -XX:TieredStopAtLevel=1 -XX:-UsePerfData -version",
            stream="both"),
    command("cmd:java/flags", "java -XX:-UsePerfData -XX:+UnlockDiagnosticVMOptions"
            " -XX:+PrintFlagsFinal -version", deep=True),
    command("cmd:postgres/version", "postgres --version"),
    command("cmd:postgres/config", "pg_config", deep=True),
    command("cmd:dpdk/version", "dpdk-testpmd --version", deep=True, stream="both"),
    command("cmd:ovs-vsctl/version", "ovs-vsctl --version"),
    command("cmd:ovs-vswitchd/version", "ovs-vswitchd --version"),
    command("cmd:ovs-vsctl/show-config", "ovs-vsctl --timeout=2 --format=json"
            " --columns=ovs_version,db_version,dpdk_initialized,dpdk_version,datapath_types,"
            "iface_types,other_config list Open_vSwitch", needs=OVS_DB),
    command("cmd:ovn-nbctl/version", "ovn-nbctl --version"),
    command("cmd:ovn-controller/version", "ovn-controller --version", deep=True),
    command("cmd:ovn-nbctl/global", "ovn-nbctl --timeout=2 --format=json --columns=options,"
            "ipsec,name list NB_Global", needs=OVN_NB),
    command("cmd:devlink/info", "devlink -j dev info", seconds=3.0),
    command("cmd:devlink/eswitch", "devlink -j dev eswitch show", deep=True),
    command("cmd:devlink/params", "devlink -j dev param show", deep=True),
    command("cmd:nvidia-smi/query", "nvidia-smi -q -x"),
    command("cmd:nvidia-smi/topology", "nvidia-smi topo -m", deep=True),
    command("cmd:nvcc/version", "nvcc --version"),
    command("cmd:nvidia-ctk/version", "nvidia-ctk --version"),
    command("cmd:nvidia-container-cli/info", "nvidia-container-cli info", deep=True),
    command("cmd:rocminfo/agents", "rocminfo"),
    command("cmd:rocm-smi/all", "rocm-smi -a --json", deep=True),
    command("cmd:amd-smi/static", "amd-smi static --json", deep=True),
    command("cmd:xpu-smi/discovery", "xpu-smi discovery -j", deep=True),
    command("cmd:hl-smi/query", "hl-smi", deep=True),
    command("cmd:docker/version", "docker --version"),
    command("cmd:docker/info", "docker info --format {{json.}}", needs=DOCKER),
    command("cmd:podman/version", "podman --version", deep=True),
    command("cmd:containerd/version", "containerd --version", deep=True),
    command("cmd:runc/version", "runc --version", deep=True),
    command("cmd:accel-config/list", "accel-config list -i", deep=True),
    command("cmd:cxl/list", "cxl list -vvv", deep=True),
    command("cmd:ldd/version", "ldd --version", deep=True),
    command("cmd:lscpu/json", "lscpu -J", deep=True),
    command("cmd:lscpu/text", "lscpu", deep=True),
    command("cmd:rpm/packages", "rpm -qa --qf %{NAME}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"),
    command("cmd:rustc/version", "rustc -vV", deep=True),
    command("cmd:rustc/target-cpus", "rustc --print target-cpus", deep=True),
    command("cmd:rustc/target-features", "rustc --print target-features", deep=True),
    command("cmd:go/version", "go version", deep=True),
    command("cmd:turbostat/version", "turbostat --version", deep=True),
    command("cmd:mokutil/sb-state", "mokutil --sb-state", deep=True),
    command("cmd:kvm-ok", "kvm-ok", deep=True, stream="both"),
    command("cmd:snphost/ok", "snphost ok", deep=True, stream="both"),
    command("cmd:lstopo/xml", "lstopo-no-graphics --of xml", deep=True),
)

#: With --software: files, lists and commands that tell of the software and of nothing else. Not
#: one of them depends on the CPU, the kernel or the settings of the machine that runs it.
SOFTWARE_FILES = """
/etc/lsb-release
/usr/lib/{triplet}/pkgconfig/libdpdk.pc
/usr/lib/jvm/*/release
""".split()
SOFTWARE_COMMANDS = """
cmd:virsh/version cmd:libvirtd/version cmd:java/version cmd:postgres/version
cmd:ovs-vsctl/version cmd:ovs-vswitchd/version cmd:ovn-nbctl/version cmd:ovn-controller/version
cmd:nvcc/version cmd:nvidia-ctk/version cmd:docker/version cmd:podman/version
cmd:containerd/version cmd:runc/version cmd:ldd/version cmd:rpm/packages cmd:rustc/version
cmd:go/version
""".split()

#: Asked one after the other into one capture, each under a line that repeats the question.
OVS_APPCTL = (
    "dpif-netdev/dpif-impl-get",
    "dpif-netdev/miniflow-parser-get",
    "dpif-netdev/subtable-lookup-info-get",
    "dpif-netdev/subtable-lookup-prio-get",
    "odp-execute/action-impl-show",
    "dpif/show-dp-features",
)

# --------------------------------------------------------------------------------------------
# Toolchain: what to ask of compilers and assemblers.

X86_OPTIONS = """
-m3dnow -madx -maes -mabm -mamx-avx512 -mamx-bf16 -mamx-complex -mamx-fp16 -mamx-fp8 -mamx-int8
-mamx-movrs -mamx-tf32 -mamx-tile -mamx-transpose -mapxf -mavx -mavx2 -mavx10.1 -mavx10.1-256
-mavx10.1-512 -mavx10.2 -mavx10.2-256 -mavx10.2-512 -mavx10.3 -mavx512bf16 -mavx512bitalg
-mavx512bmm -mavx512bw -mavx512cd -mavx512dq -mavx512er -mavx512f -mavx512fp16 -mavx512ifma
-mavx512pf -mavx512vbmi -mavx512vbmi2 -mavx512vl -mavx512vnni -mavx512vp2intersect
-mavx512vpopcntdq -mavxifma -mavxneconvert -mavxvnni -mavxvnniint16 -mavxvnniint8 -mbmi -mbmi2
-mcldemote -mclflushopt -mclwb -mclzero -mcmpccxadd -mcrc32 -mcx16 -menqcmd -mevex512 -mf16c -mfma
-mfma4 -mfsgsbase -mfxsr -mgfni -mhreset -mkl -mlwp -mlzcnt -mmovbe -mmovdir64b -mmovdiri -mmovrs
-mmwait -mmwaitx -mpclmul -mpconfig -mpku -mpopcnt -mprefetchi -mprefetchwt1 -mprfchw -mptwrite
-mraoint -mrdpid -mrdpru -mrdrnd -mrdseed -mrtm -msahf -mserialize -msgx -msha -msha512 -mshstk
-msm3 -msm4 -msse -msse2 -msse3 -msse4.1 -msse4.2 -msse4a -mssse3 -mtbm -mtsxldtrk -muintr
-musermsr -mvaes -mvpclmulqdq -mvzeroupper -mwaitpkg -mwbnoinvd -mwidekl -mxop -mxsave -mxsavec
-mxsaveopt -mxsaves -mcet-switch -mindirect-branch-register -mharden-sls=all
-mrelax-cmpxchg-loop -mneeded -mdirect-extern-access -fcf-protection=full
""".split()

X86_MARCH = """
x86-64 x86-64-v2 x86-64-v3 x86-64-v4 nehalem westmere sandybridge ivybridge haswell broadwell
skylake skylake-avx512 cannonlake icelake-client icelake-server cascadelake cooperlake tigerlake
sapphirerapids emeraldrapids alderlake raptorlake meteorlake graniterapids graniterapids-d
arrowlake arrowlake-s lunarlake pantherlake wildcatlake novalake diamondrapids sierraforest
grandridge clearwaterforest gracemont tremont goldmont rocketlake knl knm znver1 znver2 znver3
znver4 znver5 znver6 lujiazui yongfeng shijidadao c86-4g-m4 c86-4g-m6 c86-4g-m7
""".split()

ARM64_MARCH = """
armv8-a armv8.1-a armv8.2-a armv8.3-a armv8.4-a armv8.5-a armv8.6-a armv8.7-a armv8.8-a armv8.9-a
armv9-a armv9.1-a armv9.2-a armv9.3-a armv9.4-a armv9.5-a armv9.6-a armv9.7-a
""".split()

ARM64_MCPU = """
a64fx ampere1 ampere1a ampere1b ampere1c cobalt-100 cortex-a72 cortex-a76 cortex-a78 cortex-a710
cortex-a715 cortex-a720 cortex-a725 cortex-x2 cortex-x3 cortex-x4 cortex-x925 gb10 grace
neoverse-512tvb neoverse-e1 neoverse-n1 neoverse-n2 neoverse-n3 neoverse-v1 neoverse-v2 neoverse-v3
neoverse-v3ae octeontx2 olympus thunderx2t99 thunderx3t110 tsv110 hip12 apple-m1 apple-m4 oryon-1
""".split()

ARM64_EXTENSIONS = """
aes bf16 brbe cmpbr cpa crc crypto cssc d128 dotprod f32mm f64mm faminmax fcma flagm flagm2 fp
fp16 fp16fml fp8 fp8dot2 fp8dot4 fp8fma fprcvt f8f16mm f8f32mm frintts gcs hbc i8mm ite jscvt ls64
lse lse128 lse2 lsfe lsui lut memtag mops mpamv2 mte mtetc occmo pauth pauth-lr pcdphint pops predres
predres2 profile ras rasv2 rcpc rcpc2 rcpc3 rdma rdm rng rcpc-immo sb sha2 sha3 simd sm4 sme sme2
sme2p1 sme2p2 sme2p3 sme-aes sme-b16b16 sme-f16f16 sme-f64f64 sme-f8f16 sme-f8f32 sme-fa64
sme-i16i64 sme-lutv2 sme-mop4 sme-tmop spe ssbs ssve-aes ssve-bitperm ssve-fexpa ssve-fp8dot2
ssve-fp8dot4 ssve-fp8fma sve sve2 sve2-aes sve2-bitperm sve2-sha3 sve2-sm4 sve2p1 sve2p2 sve2p3
sve-aes sve-aes2 sve-b16b16 sve-b16mm sve-bfscale sve-bitperm sve-f16f32mm sve-sha3 sve-sm4 the tlbid
tlbiw tme trbe wfxt xs
""".split()

RISCV_MARCH = """
rv64gc rv64gcv rva20u64 rva22u64 rva23u64 rva23s64 rvb23u64 rvb23s64 rva30u64
""".split()

RISCV_MCPU = """
sifive-u74 sifive-x280 sifive-p450 sifive-p550 sifive-p670 spacemit-x60 spacemit-x100 thead-c906
xt-c908 xt-c910 xt-c920 xt-c930 tt-ascalon-d8 tt-ascalon-x veyron-v1 xiangshan-nanhu
xiangshan-kunminghu syntacore-scr7 mips-p8700 andes-ax45 andes-ax45mpv rp2350-hazard3
""".split()

RISCV_EXTENSIONS = """
h v za128rs za64rs zaamo zabha zacas zalasr zalrsc zama16b zawrs zba zbb zbc zbkb zbkc zbkx zbs
zca zcb zcd zce zcf zcmop zcmp zcmt zfa zfbfmin zfh zfhmin zic64b zicbom zicbop zicboz ziccamoa
ziccif zicclsm ziccrse zicfilp zicfiss zicntr zicond zicsr zifencei zihintntl zihintpause zihpm
zilsd zclsd zimop zk zkn zknd zkne zknh zkr zks zksed zksh zkt zmmul ztso zvabd zvbb zvbc zvdot4a8i
zvfbfa zvfbfmin zvfbfwma zvfh zvfhmin zvkb zvkg zvkn zvknc zvkned zvkng zvknha zvknhb zvks zvksc
zvksed zvksg zvksh zvkt zvl128b zvl256b zvqdotq smaia ssaia smctr ssctr smepmp smmpm smnpm ssnpm
sspm supm smstateen ssstateen sscofpmf ssccptr sscounterenw ssdbltrp ssqosid sstc sstvala sstvecd
ssu64xl svade svadu svbare svinval svnapot svpbmt svrsw60t59b svvptc sha shcounterenw
""".split()

S390X_MARCH = "z10 z196 zEC12 z13 z14 z15 z16 z17 arch11 arch12 arch13 arch14 arch15".split()
PPC64_MCPU = "power8 power9 power10 power11 future".split()

#: Names that gas takes after ``.arch .`` on x86.
AS_X86 = """
adx aes amx_avx512 amx_bf16 amx_complex amx_fp16 amx_fp8 amx_int8 amx_movrs amx_tf32 amx_tile
amx_transpose apx_f avx avx2 avx10.1 avx10.2 avx10.3 avx512_bf16 avx512_bitalg avx512_bmm
avx512_fp16 avx512_vbmi2 avx512_vnni avx512_vp2intersect avx512_vpopcntdq avx512bw avx512cd
avx512dq avx512f avx512ifma avx512vbmi avx512vl avx_ifma avx_ne_convert avx_vnni avx_vnni_int16
avx_vnni_int8 bmi bmi2 cldemote clflushopt clwb clzero cmpccxadd enqcmd f16c fma fred fsgsbase gfni
gmi hreset ibt invlpgb kl lkgs lwp mcommit movbe movdir64b movdiri movrs msrlist mwaitx msr_imm
ospke padlock pclmul pconfig popcnt prefetchi ptwrite rao_int rdpid rdpru rdrnd rdseed rmpquery
rmpread rtm serialize sev_es sgx sha sha512 shstk sm3 sm4 smap snp sse4.2 sse4a svme tbm tdx
tlbsync tsx tsxldtrk uintr user_msr vaes vmx vpclmulqdq waitpkg wbnoinvd widekl wrmsrns xop xsave
xsavec xsaveopt xsaves
""".split()

# --------------------------------------------------------------------------------------------
# Silicon: numbers from the vendors' manuals and the kernel's user interface.

#: How far the subleaves of a CPUID leaf go: "count": subleaf 0's register holds the highest;
#: "until": the field is zero in the last one; "bits": a subleaf for each set bit of subleaf 0.
SUBLEAVES = {
    0x4: ("until", "eax", 0, 0x1F),
    0x7: ("count", "eax"),
    0xB: ("until", "ecx", 8, 0xFF),
    0xD: ("xsave",),
    0xF: ("bits", "edx"),
    0x10: ("bits", "ebx"),
    0x12: ("sgx",),
    0x14: ("count", "eax"),
    0x17: ("count", "eax"),
    0x18: ("count", "eax"),
    0x1A: ("count", "zero"),
    0x1B: ("until", "eax", 0, 0xFFF),
    0x1D: ("count", "eax"),
    0x1E: ("count", "eax"),
    0x1F: ("until", "ecx", 8, 0xFF),
    0x20: ("count", "eax"),
    0x21: ("count", "zero"),
    0x23: ("bits", "eax"),
    0x24: ("count", "eax"),
    0x27: ("bits", "edx"),
    0x28: ("bits", "ebx"),
    0x29: ("count", "eax"),
    0x8000001D: ("until", "eax", 0, 0x1F),
    0x80000020: ("bits", "ebx"),
    0x80000026: ("until", "ecx", 8, 0xFF),
}
REGISTERS = ("eax", "ebx", "ecx", "edx")

#: Leaves that tell kinds of core apart, with the bits of each register that are no CPU's own.
KIND_LEAVES = (
    (0x1, 0, (0xFFFFFFFF, 0, 0xF7FFFFFF, 0xFFFFFFFF)),
    (0x7, 0, (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFEF, 0xFFFFFFFF)),
    (0x7, 1, (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)),
    (0x1A, 0, (0xFFFFFFFF, 0, 0, 0)),
    (0x80000001, 0, (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)),
    (0x80000021, 0, (0xFFFFFFFF, 0, 0, 0)),
    (0x80000026, 0, (0xE0000000, 0xFF000000, 0, 0)),
)

#: void cpuid(eax, ecx, uint32_t out[4]), System V x86-64.
CODE_CPUID = bytes.fromhex("5389f889f14989d00fa241890041895804418948084189500c5bc3")
#: uint64_t xgetbv(ecx), System V x86-64.
CODE_XGETBV = bytes.fromhex("89f90f01d048c1e2204809d0c3")

#: EL0-readable by the kernel's emulation (HWCAP_CPUID): name, op1, CRm, op2 (op0 = 3, CRn = 0).
ARM64_REGISTERS = (
    ("MIDR_EL1", 0, 0, 0), ("MPIDR_EL1", 0, 0, 5), ("REVIDR_EL1", 0, 0, 6),
    ("ID_AA64PFR0_EL1", 0, 4, 0), ("ID_AA64PFR1_EL1", 0, 4, 1), ("ID_AA64PFR2_EL1", 0, 4, 2),
    ("ID_AA64ZFR0_EL1", 0, 4, 4), ("ID_AA64SMFR0_EL1", 0, 4, 5), ("ID_AA64FPFR0_EL1", 0, 4, 7),
    ("ID_AA64DFR0_EL1", 0, 5, 0), ("ID_AA64DFR1_EL1", 0, 5, 1), ("ID_AA64DFR2_EL1", 0, 5, 2),
    ("ID_AA64AFR0_EL1", 0, 5, 4), ("ID_AA64AFR1_EL1", 0, 5, 5),
    ("ID_AA64ISAR0_EL1", 0, 6, 0), ("ID_AA64ISAR1_EL1", 0, 6, 1), ("ID_AA64ISAR2_EL1", 0, 6, 2),
    ("ID_AA64ISAR3_EL1", 0, 6, 3),
    ("ID_AA64MMFR0_EL1", 0, 7, 0), ("ID_AA64MMFR1_EL1", 0, 7, 1), ("ID_AA64MMFR2_EL1", 0, 7, 2),
    ("ID_AA64MMFR3_EL1", 0, 7, 3), ("ID_AA64MMFR4_EL1", 0, 7, 4),
    ("CTR_EL0", 3, 0, 1), ("DCZID_EL0", 3, 0, 7),
)
HWCAP_CPUID = 1 << 11

AUXV = {
    6: "AT_PAGESZ", 15: "AT_PLATFORM", 16: "AT_HWCAP", 17: "AT_CLKTCK", 24: "AT_BASE_PLATFORM",
    26: "AT_HWCAP2", 27: "AT_RSEQ_FEATURE_SIZE", 28: "AT_RSEQ_ALIGN", 29: "AT_HWCAP3",
    30: "AT_HWCAP4", 40: "AT_L1I_CACHESIZE", 41: "AT_L1I_CACHEGEOMETRY", 42: "AT_L1D_CACHESIZE",
    43: "AT_L1D_CACHEGEOMETRY", 44: "AT_L2_CACHESIZE", 45: "AT_L2_CACHEGEOMETRY",
    46: "AT_L3_CACHESIZE", 47: "AT_L3_CACHEGEOMETRY", 51: "AT_MINSIGSTKSZ",
}
AUXV_STRINGS = (15, 24)

RISCV_HWPROBE = 258
RISCV_KEYS = 64

XCOMP = (("supp", 0x1021), ("perm", 0x1022), ("guest-supp", 0x1024))

#: Model-specific registers that say what firmware and microcode allow.
MSRS = """
0x1b 0x3a 0x3b 0x48 0x49 0x4e 0x6e 0x7a 0x87 0x8b 0xce 0xcf 0xe1 0x10a 0x10f 0x122 0x123 0x13c
0x140 0x17 0x1a0 0x1aa 0x2c6 0x345 0x480 0x48b 0x4d0 0x500 0x53a 0x6a0 0x770 0x771 0x774 0x981
0x982 0x985 0x9ff 0xa4 0xc81 0xc90 0xd90 0xda0 0x1400 0x1401 0xc0000080 0xc0000104 0xc0000108
0xc0010010 0xc0010015 0xc001001f 0xc0010061 0xc0010062 0xc0010114 0xc0010131 0xc0010132 0xc0010133
0xc0011004 0xc0011005 0xc0011020 0xc0011023 0xc0011029 0xc001102a 0xc001102c 0xc00102b0 0xc00102b1
""".split()

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_CHECK_EXTENSION = 0xAE03
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_GET_EMULATED_CPUID = 0xC008AE09
KVM_GET_MSR_FEATURE_INDEX_LIST = 0xC004AE0A
KVM_GET_MSRS = 0xC008AE88
KVM_ARM_PREFERRED_TARGET = 0x8020AEAF
KVM_ENTRIES = 256
# Of a guest that runs one instruction (Linux include/uapi/linux/kvm.h, x86 sizes).
KVM_GET_VCPU_MMAP_SIZE = 0xAE04
KVM_CREATE_VCPU = 0xAE41
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_RUN = 0xAE80
KVM_SET_REGS = 0x4090AE82
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84
KVM_RUN_SECONDS = 0.5
# Of a virtual processor that is made to be asked (arch/arm64 and arch/riscv, include/uapi/asm/kvm.h).
KVM_GET_ONE_REG = 0x4010AEAB
KVM_ARM_VCPU_INIT = 0x4020AEAE
KVM_ARM_VCPU_FINALIZE = 0x4004AEC2
KVM_ARM_REGISTER = 0x6030000000130000 | 3 << 14  # a 64-bit system register with op0 = 3
#: Of KVM_ARM_VCPU_INIT: name, bit, and the capability without which KVM refuses it.
KVM_ARM_FEATURES = (("psci-0.2", 2, 102), ("pmu-v3", 3, 126), ("sve", 4, 170),
                    ("ptrauth-address", 5, 171), ("ptrauth-generic", 6, 172))
KVM_ARM_SVE = 4
KVM_ENABLE_CAP = 0x4068AEA3
KVM_CAP_ARM_MTE = 205
KVM_RISCV_EXTENSION = 0x8030000007000000
KVM_RISCV_EXTENSIONS = 256

KVM_CAPS = """
IRQCHIP=0 HLT=1 USER_MEMORY=3 SET_TSS_ADDR=4 EXT_CPUID=7 NR_VCPUS=9 NR_MEMSLOTS=10 MP_STATE=14
SYNC_MMU=16 MCE=31 IRQFD=32 XEN_HVM=38 HYPERV=44 ENABLE_CAP=54 XSAVE=55 XCRS=56 ASYNC_PF=59
TSC_CONTROL=60 GET_TSC_KHZ=61 PPC_SMT=64 MAX_VCPUS=66 TSC_DEADLINE_TIMER=72 S390_UCONTROL=73
READONLY_MEM=81 ARM_PSCI=87 ARM_EL1_32BIT=93 EXT_EMUL_CPUID=95 ARM_PSCI_0_2=102
S390_VECTOR_REGISTERS=107 X86_SMM=117 GUEST_DEBUG_HW_BPS=119 GUEST_DEBUG_HW_WPS=120
SPLIT_IRQCHIP=121 HYPERV_SYNIC=123 S390_RI=124 ARM_PMU_V3=126 MAX_VCPU_ID=128 X2APIC_API=129
MSI_DEVID=131 PPC_HTM=132 PPC_MMU_RADIX=134 PPC_MMU_HASH_V3=135 S390_GS=140 S390_AIS=141
X86_DISABLE_EXITS=143 PPC_GET_CPU_CHAR=151 S390_BPB=152 GET_MSR_FEATURES=153 S390_HPAGE_1M=156
NESTED_STATE=157 PPC_NESTED_HV=160 HYPERV_ENLIGHTENED_VMCS=163 ARM_VM_IPA_SIZE=165
MANUAL_DIRTY_LOG_PROTECT2=168 ARM_SVE=170 ARM_PTRAUTH_ADDRESS=171 ARM_PTRAUTH_GENERIC=172
PMU_EVENT_FILTER=173 S390_PROTECTED=180 PPC_SECURE_GUEST=181 HALT_POLL=182
SMALLER_MAXPHYADDR=185 STEAL_TIME=187 X86_USER_SPACE_MSR=188 DIRTY_LOG_RING=192
X86_BUS_LOCK_EXIT=193 SGX_ATTRIBUTE=196 VM_COPY_ENC_CONTEXT_FROM=197 PTP_KVM=198 SREGS2=200
EXIT_HYPERCALL=201 ARM_MTE=205 VM_MOVE_ENC_CONTEXT_FROM=206 VM_GPA_BITS=207 XSAVE2=208
SYS_ATTRIBUTES=209 PMU_CAPABILITY=212 DISABLE_QUIRKS2=213 VM_TSC_CONTROL=214
S390_PROTECTED_DUMP=217 X86_TRIPLE_FAULT_EVENT=218 X86_NOTIFY_VMEXIT=219
VM_DISABLE_NX_HUGE_PAGES=220 S390_ZPCI_OP=221 S390_CPU_TOPOLOGY=222 PMU_EVENT_MASKED_EVENTS=226
COUNTER_OFFSET=227 ARM_EAGER_SPLIT_CHUNK_SIZE=228 ARM_SUPPORTED_BLOCK_SIZES=229 USER_MEMORY2=231
MEMORY_FAULT_INFO=232 MEMORY_ATTRIBUTES=233 GUEST_MEMFD=234 VM_TYPES=235 PRE_FAULT_MEMORY=236
X86_APIC_BUS_CYCLES_NS=237 X86_GUEST_MODE=238 ARM_WRITABLE_IMP_ID_REGS=239 ARM_EL2=240
ARM_EL2_E2H0=241
""".split()

#: QEMU's name of a machine.
QEMU_ARCH = {
    "x86_64": "x86_64", "i686": "x86_64", "aarch64": "aarch64", "riscv64": "riscv64",
    "s390x": "s390x", "ppc64le": "ppc64", "ppc64": "ppc64", "loongarch64": "loongarch64",
}
QEMU_QUICK_MODELS = ("host", "max")
QEMU_MAX_MODELS = 400

# --------------------------------------------------------------------------------------------
# Libraries: which shared objects to look for, and which call tells the version or the kernel
# chosen ("s": returns a string, "v": returns a pointer to {int major, minor, patch}).

LIBRARIES = re.compile(
    r"^lib(crypto|ssl|openblas\w*|blas|cblas|blis[\w-]*|flexiblas|mkl_rt|dnnl|z|z-ng|zstd|lz4|isal\w*"
    r"|IPSec_MB|qat|qatzip|usdm|qpl|accel-config|rte_eal|gmp|fftw3f?|numa|hwloc|ggml\w*|onnxruntime"
    r"|arm_compute|armpl\w*|sleef|cuda|cudart|cublas|cudnn|nvidia-ml|amdhip64|hsa-runtime64"
    r"|rocblas|rdmacm|ibverbs|mlx5|pmem|kmod|virt|c|m|mvec)\.so(\.[\w.]+)?$"
)
LIBRARY_CALLS = (
    ("libopenblas", "openblas_get_corename", "s"),
    ("libopenblas", "openblas_get_config", "s"),
    ("libblis", "bli_info_get_version_str", "s"),
    ("libdnnl", "dnnl_version", "v"),
    ("libdnnl", "dnnl_get_effective_cpu_isa", "i"),
    ("libz.so", "zlibVersion", "s"),
    ("libz-ng", "zlibng_version", "s"),
    ("libzstd", "ZSTD_versionString", "s"),
    ("libIPSec_MB", "imb_get_version_str", "s"),
    ("libqpl", "qpl_get_library_version", "s"),
    ("librte_eal", "rte_version", "s"),
    ("libnuma", "numa_available", "i"),
)

#: Directories of the system's Python where distributions register themselves.
PYTHON_DIRECTORIES = (
    "/usr/lib/python3/dist-packages /usr/lib/python3.*/site-packages"
    " /usr/local/lib/python3.*/dist-packages /usr/local/lib/python3.*/site-packages"
)
NUMERICS = re.compile(
    r"^(numpy|scipy|torch\w*|onnxruntime\w*|openvino\w*|tensorflow\w*|jax\w*|mkl\w*|numba|pandas"
    r"|scikit[_-]learn|intel[_-]\w+|vllm|transformers|xgboost|lightgbm|llama[_-]cpp\w*|nvidia[_-]\w+)$",
    re.IGNORECASE,
)

NUMERICS_PROGRAM = r"""
import json, sys
found = {}
def ask(name, question):
    try:
        found[name] = question()
    except ImportError:
        pass
    except Exception as error:
        found[name] = {"error": "%s: %s" % (type(error).__name__, str(error)[:300])}
def numpy():
    import numpy
    report = {"version": numpy.__version__}
    try:
        from numpy._core import _multiarray_umath as core
    except ImportError:
        from numpy.core import _multiarray_umath as core
    features = getattr(core, "__cpu_features__", {})
    report["cpu_features"] = dict(features)
    report["baseline"] = list(getattr(core, "__cpu_baseline__", ()))
    report["dispatch"] = list(getattr(core, "__cpu_dispatch__", ()))
    report["found"] = [n for n in report["dispatch"] if features.get(n)]
    try:
        report["config"] = numpy.show_config(mode="dicts")
    except TypeError:
        pass
    return report
def torch():
    import torch
    report = {"version": torch.__version__, "config": torch.__config__.show()}
    cpu = getattr(torch.backends, "cpu", None)
    if cpu is not None and hasattr(cpu, "get_cpu_capability"):
        report["cpu_capability"] = cpu.get_cpu_capability()
    report["mkldnn"] = bool(torch.backends.mkldnn.is_available())
    report["cuda"] = bool(torch.cuda.is_available())
    return report
def onnxruntime():
    import onnxruntime
    return {"version": onnxruntime.__version__, "build": onnxruntime.get_build_info(),
            "providers": list(onnxruntime.get_available_providers())}
def scipy():
    import scipy
    return {"version": scipy.__version__}
for question in (numpy, scipy, torch, onnxruntime):
    ask(question.__name__, question)
json.dump(found, sys.stdout, default=str, sort_keys=True)
"""

# --------------------------------------------------------------------------------------------
# Captures and statuses.


def capture(capture_id, status, data=b"", how="", detail="", notation=""):
    """Build a capture; text becomes UTF-8."""
    if not isinstance(data, bytes):
        data = data.encode("utf-8", "surrogateescape")
    return Capture(capture_id, status, data, how, detail, notation)


def status_of(error):
    """Say what an ``OSError`` means: nothing there, no right to it, or broken."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ENOSYS):
        return ABSENT
    if error.errno in (errno.EACCES, errno.EPERM):
        return DENIED
    return FAILED


def error_name(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def joined(argv):
    return " ".join(shlex.quote(word) for word in argv)


class Context(object):
    """What every recorder needs: options, limits, the clock and the children's environment."""

    def __init__(self, options):
        self.root = os.path.abspath(options.roots) if options.roots else ""
        self.software = options.software
        self.deep = options.deep or options.software
        self.max_bytes = options.max_bytes
        self.deadline = time.time() + options.budget
        self.command_seconds = DEEP_COMMAND if self.deep else QUICK_COMMAND
        self.machine = platform.machine()
        self.release = os.uname().release
        self.path = search_path()
        self.scratch = None
        self.lock = threading.Lock()
        self.children = set()
        self.bytes = 0
        self.daemons = None
        self.answers = {}

    def at(self, path):
        """Return where ``path`` lies: below the root under test, or where it says."""
        return self.root + path if self.root else path

    def expand(self, path):
        return path.replace("{release}", self.release).replace("{triplet}", self.triplet())

    def triplet(self):
        return {"ppc64le": "powerpc64le"}.get(self.machine, self.machine) + "-linux-gnu"

    def left(self):
        return self.deadline - time.time()

    def seconds(self, wanted=0.0):
        """Return how long the next command may take."""
        return max(0.05, min(wanted or self.command_seconds, self.left()))

    def scratch_directory(self):
        """Return a private directory that is removed at the end; children's TMPDIR and HOME."""
        with self.lock:
            if self.scratch is None:
                try:
                    self.scratch = tempfile.mkdtemp(prefix="uplift-collector-")
                except OSError:
                    self.scratch = ""
            return self.scratch

    def environment(self):
        kept = {k: v for k, v in os.environ.items() if ENVIRONMENT.match(k)}
        if self.software:
            kept = {}
        scratch = self.scratch_directory() or "/"
        kept.update(
            PATH=os.pathsep.join(self.path), LC_ALL="C", LANG="C", HOME=scratch, TMPDIR=scratch,
            PYTHONDONTWRITEBYTECODE="1", TERM="dumb", XDG_CACHE_HOME=scratch,
            XDG_RUNTIME_DIR=scratch, DEBUGINFOD_URLS="", LIBGUESTFS_PATH="",
        )
        return kept

    def running(self, daemon):
        """Whether a process of this name runs; what only a socket promises might start it."""
        with self.lock:
            if self.daemons is None:
                self.daemons = process_names()
            return daemon[:15] in self.daemons

    def close(self):
        for group in list(self.children):
            kill_group(group)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch = ""


def search_path():
    """Return the directories of PATH, then those that hold what an administrator runs."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    fixed = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    added = ["/usr/local/cuda/bin", "/opt/rocm/bin", "/usr/libexec"]
    directories = []
    for directory in own + fixed + added:
        if os.path.isabs(directory) and directory not in directories and "shims" not in directory:
            directories.append(directory)
    return directories


def process_names():
    names = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                names.add(read_bytes("/proc/%s/comm" % entry, 64)[0].decode("utf-8", "replace").strip())
            except OSError:
                continue
    return names


def which(context, program):
    """Return the path of ``program`` below PATH, None where there is none."""
    if os.path.isabs(program):
        return program if os.access(program, os.X_OK) else None
    for directory in context.path:
        path = os.path.join(directory, program)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


# --------------------------------------------------------------------------------------------
# Files, lists, trees.


def read_bytes(path, limit):
    """Read at most ``limit`` bytes of a regular file; return them and whether there is more.

    Never opens a device or a pipe: another root can hold anything.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        chunks, left = [], limit
        while left > 0:
            chunk = os.read(handle, min(left, 1 << 16))
            if not chunk:
                return b"".join(chunks), False
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks), bool(os.read(handle, 1))
    finally:
        os.close(handle)


def record_file(context, path):
    """Record one file."""
    capture_id = "file:" + path
    try:
        data, more = read_bytes(context.at(path), MAX_CAPTURE)
    except OSError as error:
        return capture(capture_id, status_of(error), how=path, detail=error_name(error))
    return capture(capture_id, TRUNCATED if more else OK, data, path)


def file_tasks(context):
    paths = [context.expand(path) for path in FILES]
    paths += ["/proc/sys/" + name for name in SYSCTLS]
    tasks = []
    for path in paths:
        for found in expanded(context, path):
            tasks.append(Task("file:" + found, record_file, (found,)))
    if not any(os.path.exists(context.at(context.expand(path))) for path in CONFIGS):
        for found in expanded(context, "/boot/config-*")[:3]:
            if "*" not in found:
                tasks.append(Task("file:" + found, record_file, (found,)))
    return tasks


CONFIGS = ("/proc/config.gz", "/boot/config-{release}", "/lib/modules/{release}/config")


def expanded(context, path):
    """Return the files that a path with one ``*`` stands for, the path itself if none."""
    if "*" not in path:
        return [path]
    top, pattern = path[: path.index("*")].rsplit("/", 1)[0], ""
    pattern = path[len(top) + 1 :]
    found = [top + "/" + name for name in matches(context.at(top), pattern, 1000)]
    return found or [path]


def record_list(context, path):
    """Record the names in one directory."""
    capture_id = "list:" + path
    try:
        names = sorted(os.listdir(context.at(path)))
    except OSError as error:
        return capture(capture_id, status_of(error), how=path, detail=error_name(error))
    text = "".join(name + "\n" for name in names)
    return limited(capture(capture_id, OK, text, path), MAX_LIST)


def limited(item, limit):
    if len(item.data) <= limit:
        return item
    return item._replace(status=TRUNCATED, data=item.data[:limit])


def matches(top, pattern, limit):
    """Yield paths below ``top`` that match a pattern of components, in order."""
    found = [""]
    parts = pattern.split("/")
    for part in parts:
        following = []
        for base in found:
            following.extend(step(top, base, part))
            if len(following) > limit:
                break
        found = following[:limit]
    return found


def step(top, base, part):
    """Return ``base`` joined with the names that one component of a pattern stands for."""
    if not any(sign in part for sign in "*?["):
        path = base + "/" + part if base else part
        return [path] if os.path.lexists(os.path.join(top, path)) else []
    try:
        names = os.listdir(os.path.join(top, base))
    except OSError:
        return []
    return [base + "/" + name if base else name for name in sorted(fnmatch.filter(names, part))]


def tree_entry(path):
    """Return what stands for one path in a tree: text, link or error; None for a directory."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode) and os.path.isdir(path):
            return {"link": os.readlink(path)}
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISLNK(mode) and not mode & 0o444:
            return None  # write-only
        data, more = read_bytes(path, MAX_TREE_FILE)
    except OSError as error:
        return {"error": error_name(error)}
    return data.decode("utf-8", "replace")


def tree(capture_id, top, paths, how):
    """Record many small files below one directory as one capture."""
    entries, deadline, status, size = {}, time.time() + TREE_SECONDS, OK, 0
    for path in paths:
        if len(entries) >= MAX_TREE_ENTRIES or time.time() > deadline or size > MAX_CAPTURE // 2:
            status = TRUNCATED
            break
        entry = tree_entry(os.path.join(top, path))
        if entry is not None:
            entries[path] = entry
            size += len(path) + len(entry)
    text = json.dumps(entries, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return capture(capture_id, status, text.encode("utf-8", "replace"), how)


def record_tree(context, directory, patterns):
    capture_id, top = "tree:" + directory, context.at(directory)
    try:
        os.listdir(top)
    except OSError as error:
        return capture(capture_id, status_of(error), how=directory, detail=error_name(error))
    paths = []
    for pattern in patterns.split():
        paths.extend(matches(top, pattern, MAX_TREE_ENTRIES))
    return tree(capture_id, top, unique(paths), "%s: %s" % (directory, patterns))


def unique(items):
    return list(dict.fromkeys(items))


# --------------------------------------------------------------------------------------------
# The CPUs' sysfs tree: everything for one CPU of each kind, little for each CPU.

CPU = "/sys/devices/system/cpu"
CPU_TOP = """
online possible present offline isolated nohz_full kernel_max modalias smt/control smt/active
cpufreq/boost cpuidle/current_driver cpuidle/current_governor cpuidle/available_governors
intel_pstate/status intel_pstate/no_turbo intel_pstate/max_perf_pct intel_pstate/min_perf_pct
intel_pstate/hwp_dynamic_boost intel_pstate/energy_efficiency amd_pstate/status
amd_pstate/prefcore aarch32_el0 dscr_default svm types/intel_core_0/cpulist
types/intel_atom_0/cpulist umwait_control/enable_c02 umwait_control/max_time hotplug/states
""".split()
CPU_EACH = """
topology/physical_package_id topology/die_id topology/cluster_id topology/core_id
topology/book_id topology/drawer_id topology/thread_siblings_list cpu_capacity
regs/identification/midr_el1 regs/identification/revidr_el1
""".split()
CPU_KIND = """
online topology/core_siblings_list topology/die_cpus_list topology/cluster_cpus_list
topology/package_cpus_list topology/core_cpus_list topology/book_siblings_list
topology/drawer_siblings_list topology/ppin cpufreq/scaling_driver cpufreq/scaling_governor
cpufreq/scaling_available_governors cpufreq/scaling_min_freq cpufreq/scaling_max_freq
cpufreq/cpuinfo_min_freq cpufreq/cpuinfo_max_freq cpufreq/base_frequency cpufreq/bios_limit
cpufreq/energy_performance_preference cpufreq/energy_performance_available_preferences
cpufreq/amd_pstate_* cpufreq/boost cpufreq/related_cpus cpuidle/state*/name cpuidle/state*/desc
cpuidle/state*/latency cpuidle/state*/residency cpuidle/state*/disable
cpuidle/state*/default_status microcode/version microcode/processor_flags acpi_cppc/highest_perf
acpi_cppc/nominal_perf acpi_cppc/lowest_perf acpi_cppc/lowest_nonlinear_perf
acpi_cppc/nominal_freq acpi_cppc/lowest_freq acpi_cppc/guaranteed_perf power/pm_qos_resume_latency_us
cache/index*/ways_of_associativity cache/index*/number_of_sets cache/index*/coherency_line_size
cache/index*/allocation_policy cache/index*/write_policy cache/index*/physical_line_partition
""".split()
CPU_CACHE = (
    "cache/index*/level cache/index*/type cache/index*/size cache/index*/shared_cpu_list"
    " cache/index*/id"
).split()


def record_cpu_tree(context):
    """Record topology ids of each CPU, caches once per core, the rest once per kind of core."""
    top = context.at(CPU)
    if not os.path.isdir(top):
        return capture("tree:" + CPU, ABSENT, how=CPU, detail="ENOENT")
    cpus = cpu_numbers(top)
    paths = [path for path in CPU_TOP if os.path.lexists(os.path.join(top, path))]
    for cpu in cpus:
        paths += ["cpu%d/%s" % (cpu, name) for name in CPU_EACH]
    for cpu in core_leaders(top, cpus):
        paths += cpu_paths(top, cpu, CPU_CACHE)
    leaders = kind_leaders(context, top, cpus)
    for cpu in leaders:
        paths += cpu_paths(top, cpu, CPU_KIND)
    present = [path for path in unique(paths) if os.path.lexists(os.path.join(top, path))]
    how = "%s: ids of %d CPUs, more of CPUs %s" % (CPU, len(cpus), ",".join(map(str, leaders[:32])))
    return tree("tree:" + CPU, top, present, how)


def cpu_numbers(top):
    names = [name[3:] for name in os.listdir(top) if re.match(r"cpu\d{1,5}$", name)]
    return sorted(int(name) for name in names)[:MAX_CPUS]


def cpu_paths(top, cpu, patterns):
    base = os.path.join(top, "cpu%d" % cpu)
    found = []
    for pattern in patterns:
        found += ["cpu%d/%s" % (cpu, path) for path in matches(base, pattern, 200)]
    return found


def small(path):
    try:
        return read_bytes(path, 4096)[0].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def core_leaders(top, cpus):
    """Return the first CPU of each core."""
    seen, leaders = set(), []
    for cpu in cpus:
        siblings = small("%s/cpu%d/topology/thread_siblings_list" % (top, cpu)) or str(cpu)
        if siblings not in seen:
            seen.add(siblings)
            leaders.append(cpu)
    return leaders


def kind_leaders(context, top, cpus):
    """Return one CPU for each kind of core and each socket, by what sysfs says of them."""
    hybrid = [small(context.at("/sys/devices/cpu_%s/cpus" % kind)) for kind in HYBRID]
    members = [set(cpu_list(text)) for text in hybrid]
    seen, leaders = set(), []
    for cpu in cpus:
        base = "%s/cpu%d/" % (top, cpu)
        key = [small(base + name) for name in KIND_FILES]
        key += [cpu in group for group in members]
        if tuple(key) not in seen:
            seen.add(tuple(key))
            leaders.append(cpu)
    return leaders[:64]


HYBRID = ("core", "atom", "lowpower")
KIND_FILES = (
    "topology/physical_package_id", "cpu_capacity", "regs/identification/midr_el1",
    "cpufreq/cpuinfo_max_freq", "cpufreq/scaling_governor",
)


def cpu_list(text):
    """Return the CPUs of a list such as ``0-3,8``; nothing of what is no list."""
    cpus = []
    for part in text.split(","):
        match = re.match(r"(\d{1,5})(?:-(\d{1,5}))?$", part.strip())
        if match:
            first = int(match.group(1))
            cpus.extend(range(first, int(match.group(2) or first) + 1))
    return cpus


# --------------------------------------------------------------------------------------------
# Devices, processes' own view.


def record_dev(context):
    """Record the names in /dev that matter, those of its directories as directory/name."""
    try:
        names = [name for name in os.listdir(context.at("/dev")) if not DEV_NOISE.match(name)]
    except OSError as error:
        return capture("list:/dev", status_of(error), how="/dev", detail=error_name(error))
    for directory in DEV_DIRECTORIES.split():
        names += ["%s/%s" % (directory, name) for name in listed(context, "/dev/" + directory)[:256]]
    return capture("list:/dev", OK, "".join(name + "\n" for name in sorted(set(names))), "/dev")


def listed(context, path):
    try:
        return sorted(os.listdir(context.at(path)))
    except OSError:
        return []


DEV_ACCESS = re.compile(
    r"^(kvm|sev|sev-guest|sgx.*|tdx.*|dsa|iax|vfio|nvidia.*|kfd|dri|tpm.*|qat.*|vhost.*|cpu|mshv|accel"
    r"|userfaultfd|crypto|z90crypt|infiniband|cxl|hugepages|kmsg|mem|uio\d+|nvme\d+)$"
)


def record_dev_access(context):
    """Record owner, mode and our own access to the devices that carry features."""
    lines = []
    for name in listed(context, "/dev"):
        if DEV_ACCESS.match(name):
            lines.append(access_line(context.at("/dev/" + name), "/dev/" + name))
    return capture("probe:dev-access", OK, "".join(lines), "stat and access")


def access_line(path, name):
    try:
        status = os.stat(path)
    except OSError as error:
        return "%s %s\n" % (name, error_name(error))
    rights = "r" if os.access(path, os.R_OK) else "-"
    rights += "w" if os.access(path, os.W_OK) else "-"
    mode = stat.filemode(status.st_mode)
    return "%s %s %d %d %s\n" % (name, mode, status.st_uid, status.st_gid, rights)


def record_hwcaps_directories(context):
    """Record which ISA levels have libraries of their own below glibc-hwcaps."""
    lines = []
    for directory in context.expand(LIBRARY_DIRECTORIES).split():
        for level in listed(context, directory + "/glibc-hwcaps"):
            top = "%s/glibc-hwcaps/%s" % (directory, level)
            lines += ["%s/%s\n" % (top, name) for name in listed(context, top)[:200]]
    return capture("list:glibc-hwcaps", OK, "".join(lines), context.expand(LIBRARY_DIRECTORIES))


def record_uname(context):
    fields = ("sysname", "nodename", "release", "version", "machine")
    system = os.uname()
    lines = ["%s %s\n" % (field, getattr(system, field)) for field in fields]
    return capture("probe:uname", OK, "".join(lines), "os.uname()")


def record_environment(context):
    found = sorted((k, v) for k, v in os.environ.items() if ENVIRONMENT.match(k))
    lines = ["%s=%s\n" % (name, value.replace("\n", " ")[:4096]) for name, value in found]
    return capture("probe:environment", OK, "".join(lines), "variables that steer dispatch")


def record_collector(context):
    """Record who looked, and with which rights: what root would add depends on it."""
    facts = (
        ("version", VERSION), ("uid", os.geteuid()), ("mode", "deep" if context.deep else "quick"),
        ("groups", ",".join(str(group) for group in sorted(os.getgroups()))),
        ("python", platform.python_version()), ("cpus", os.cpu_count()),
        ("affinity", ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:1024])),
        ("pointer-bits", struct.calcsize("P") * 8), ("byteorder", sys.byteorder),
    )
    lines = ["%s %s\n" % fact for fact in facts]
    return capture("probe:collector", OK, "".join(lines), "the collector itself")


def record_identity(context):
    """Record the names that a redaction has to find."""
    lines = [("hostname", name) for name in host_names(context)]
    lines += [("user", name) for name in user_names(context)]
    lines += [("machine-id", small(context.at(path))) for path in MACHINE_IDS]
    text = "".join("%s %s\n" % line for line in unique(lines) if line[1])
    return capture("probe:identity", OK, text, "uname, /etc/hostname, /etc/passwd, environment")


MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id")


def host_names(context):
    names = [] if context.root else [os.uname().nodename]
    names.append(small(context.at("/etc/hostname")))
    for line in small(context.at("/etc/hosts")).splitlines():
        words = line.split("#")[0].split()
        if len(words) > 1 and words[0].startswith("127.0.1."):
            names += words[1:]
    return unique(name for name in names if name)


def user_names(context):
    names = [os.environ.get(name, "") for name in ("SUDO_USER", "USER", "LOGNAME")]
    for line in small_lines(context.at("/etc/passwd")):
        fields = line.split(":")
        if len(fields) > 5 and fields[2].isdigit() and 1000 <= int(fields[2]) < 65000:
            names.append(fields[0])
    return unique(name for name in names if name)[:500]


def small_lines(path):
    try:
        return read_bytes(path, 1 << 20)[0].decode("utf-8", "replace").splitlines()
    except OSError:
        return []


# --------------------------------------------------------------------------------------------
# Children: commands.

Result = namedtuple("Result", "status code out err")


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass


def start(context, argv, stdin):
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=context.environment(),
        cwd="/",
        start_new_session=True,
        close_fds=True,
    )


def run(context, argv, seconds=0.0, stdin=b"", limit=MAX_CAPTURE):
    """Run a command in a process group of its own, within ``seconds`` and ``limit`` bytes.

    :return: the status that its output deserves, its exit code, output and error output.
    """
    deadline = time.time() + context.seconds(seconds)
    try:
        child = start(context, argv, stdin)
    except OSError as error:
        return Result(status_of(error), -1, b"", error_name(error).encode())
    context.children.add(child.pid)
    try:
        feed(child, stdin)
        out, err, ended = drain(child, deadline, limit)
        code = finish(child, ended, deadline)
    finally:
        context.children.discard(child.pid)
    if not ended or code is None:
        return Result(TRUNCATED if len(out) >= limit else TIMEOUT, -1, out, err)
    return Result(OK if code == 0 else failure(err), code, out, err)


def run_once(context, argv):
    """Run a command whose answer several captures need; the second asker waits for the first."""
    with context.lock:
        lock, answer = context.answers.setdefault(argv, (threading.Lock(), []))
    with lock:
        if not answer:
            answer.append(run(context, argv))
        return answer[0]


def feed(child, stdin):
    if stdin:
        try:
            child.stdin.write(stdin[: 1 << 16])  # fits a pipe, so this never waits
            child.stdin.close()
        except OSError:
            pass


def drain(child, deadline, limit):
    """Read both pipes until both end, time is up or ``limit`` is reached; say which."""
    chunks = {child.stdout.fileno(): [], child.stderr.fileno(): []}
    sizes = {child.stdout.fileno(): limit, child.stderr.fileno(): MAX_STDERR}
    poll = select.poll()
    for handle in chunks:
        poll.register(handle, select.POLLIN | select.POLLHUP)
    open_ends = set(chunks)
    while open_ends and sizes[child.stdout.fileno()] > 0 and time.time() < deadline:
        for handle, _ in poll.poll(max(1, (deadline - time.time()) * 1000)):
            data = os.read(handle, 1 << 16)
            if not data:
                poll.unregister(handle)
                open_ends.discard(handle)
            elif sizes[handle] > 0:
                chunks[handle].append(data[: sizes[handle]])
                sizes[handle] -= len(data)
    out, err = chunks[child.stdout.fileno()], chunks[child.stderr.fileno()]
    return b"".join(out), b"".join(err), not open_ends


def finish(child, ended, deadline):
    """Reap the child and whatever it left in its group; return its exit code, None if killed."""
    code = None
    if ended:
        while time.time() < deadline and not exited(child.pid):
            time.sleep(0.001)
        code = 0 if exited(child.pid) else None
    kill_group(child.pid)  # not reaped yet: the number is still the child's
    child.stdout.close()
    child.stderr.close()
    waited = child.wait()
    return waited if code is not None else None


def exited(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


REFUSED = re.compile(
    rb"permission denied|operation not permitted|must be (run as )?root|superuser|not authorized"
    rb"|requires root|access denied",
    re.IGNORECASE,
)


def failure(err):
    return DENIED if REFUSED.search(err) else FAILED


def detail_of(result, err=None):
    """Say how a command ended; with the start of its error output where it failed."""
    if result.status in (TIMEOUT, TRUNCATED):
        return "killed: out of time" if result.status == TIMEOUT else "killed: too much output"
    words = "exit %d" % result.code
    text = result.err if err is None else err
    if result.code != 0 and text:
        words += ": " + text.decode("utf-8", "replace").strip()[:300]
    return words


def record_command(context, row):
    """Record a command's output."""
    path = which(context, row.argv[0])
    if path is None:
        return capture(row.id, ABSENT, how=joined(row.argv), detail="not installed")
    if row.needs and not served(context, row.needs):
        socket_path = row.needs.split()[0]
        return capture(row.id, ABSENT, how=joined(row.argv), detail="nothing serves " + socket_path)
    return ran(context, row.id, (path,) + row.argv[1:], row.seconds, row.stream)


def served(context, needs):
    """Whether a socket is there and the daemon behind it runs already."""
    path, daemons = needs.split()
    return os.path.exists(path) and any(context.running(name) for name in daemons.split(","))


def ran(context, capture_id, argv, seconds=0.0, stream="stdout", stdin=b""):
    """Run ``argv`` and return its output as a capture."""
    result = run(context, argv, seconds, stdin)
    data = {"stdout": result.out, "stderr": result.err}.get(stream, result.out + result.err)
    return capture(capture_id, result.status, data, joined(argv), detail_of(result))


def record_ovs(context):
    path = which(context, "ovs-appctl")
    how = "ovs-appctl " + ", ".join(OVS_APPCTL)
    if path is None:
        return capture("cmd:ovs-appctl/impl", ABSENT, how=how, detail="not installed")
    if not context.running("ovs-vswitchd") or not os.path.isdir("/run/openvswitch"):
        return capture("cmd:ovs-appctl/impl", ABSENT, how=how, detail="ovs-vswitchd does not run")
    results = [(question, run(context, (path, "-T", "2", question), 3.0)) for question in OVS_APPCTL]
    text = b"".join(b"== " + q.encode() + b"\n" + r.out for q, r in results if r.status == OK)
    worst = OK if text else results[0][1].status
    details = ["%s: %s" % (q, detail_of(r)) for q, r in results if r.status != OK]
    return capture("cmd:ovs-appctl/impl", worst, text, how, "; ".join(details)[:1000])


def record_packages(context):
    """Record the packages; below another root from that root's own database."""
    fields = "${Package}\\t${Version}\\t${Architecture}\\t${Architecture-Variant}\\t${db:Status-Status}\\n"
    path = which(context, "dpkg-query")
    argv = [path or "dpkg-query", "-W", "-f", fields]
    if path is None:
        return capture("cmd:dpkg-query/packages", ABSENT, how=joined(argv), detail="not installed")
    if context.root:
        argv[1:1] = ["--admindir=" + context.at("/var/lib/dpkg")]
    return ran(context, "cmd:dpkg-query/packages", argv)


def record_log(context):
    """Record the kernel log's lines that name a feature."""
    path = which(context, "dmesg")
    argv = [path or "dmesg"]
    if path is None:
        return capture("cmd:dmesg/excerpt", ABSENT, how="dmesg", detail="not installed")
    result = run(context, argv)
    lines = [line for line in result.out.splitlines(True) if names_feature(line)]
    how = "dmesg, the %d of %d lines that name a feature" % (
        len(lines), result.out.count(b"\n"))
    return capture("cmd:dmesg/excerpt", result.status, b"".join(lines), how, detail_of(result))


def names_feature(line):
    """Whether a line of the kernel's log is about a feature."""
    text = line.decode("utf-8", "replace").lower()
    return not LOG_WORDS.isdisjoint(LOG_WORD.findall(text)) or any(part in text for part in LOG_PARTS)


def record_ethtool(context, interface):
    capture_id = "cmd:ethtool/" + interface
    path = which(context, "ethtool")
    if path is None:
        return capture(capture_id, ABSENT, how="ethtool -k " + interface, detail="not installed")
    return ran(context, capture_id, (path, "-k", interface))


def physical_interfaces(context):
    names = listed(context, "/sys/class/net")
    found = [n for n in names if os.path.exists(context.at("/sys/class/net/%s/device" % n))]
    return [name for name in found if re.match(r"[\w.@:-]{1,15}$", name)]


SIOCETHTOOL = 0x8946
ETHTOOL_GDRVINFO = 3


def record_drivers(context):
    """Ask each physical interface for its driver and firmware by ioctl."""
    lines, refused = [], ""
    for name in physical_interfaces(context)[:64]:
        try:
            lines.append(driver_line(name))
        except (OSError, ImportError) as error:
            refused = "%s: %s" % (name, error)
    status = OK if lines or not refused else FAILED
    return capture("probe:net-drivers", status, "".join(lines), "ETHTOOL_GDRVINFO", refused)


def driver_line(interface):
    import array
    import fcntl

    answer = array.array("B", struct.pack("I", ETHTOOL_GDRVINFO) + b"\0" * 192)
    request = struct.pack("16sP", interface.encode(), answer.buffer_info()[0])
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(asker.fileno(), SIOCETHTOOL, request.ljust(40, b"\0"))
    finally:
        asker.close()
    words = struct.unpack("4x32s32s32s32s", answer.tobytes()[:132])
    texts = [word.split(b"\0")[0].decode("utf-8", "replace") for word in words]
    return "%s driver=%s version=%s firmware=%s bus=%s\n" % tuple([interface] + texts)


# --------------------------------------------------------------------------------------------
# Toolchain.


def compilers(context):
    """Return name to path of each gcc and clang; a second name of the same program is left out."""
    found, real = {}, set()
    names = set()
    for directory in context.path:
        try:
            names.update(n for n in os.listdir(directory) if re.match(r"(gcc|clang)(-\d+)?$", n))
        except OSError:
            continue
    for name in sorted(names, key=lambda n: (len(n), n)):
        path = which(context, name)
        if path and os.path.realpath(path) not in real:
            real.add(os.path.realpath(path))
            found[name] = path
    return found


def record_compiler_names(context):
    lines = ["%s %s %s\n" % (n, p, os.path.realpath(p)) for n, p in sorted(compilers(context).items())]
    status = OK if lines else ABSENT
    return capture("probe:compilers", status, "".join(lines), "gcc*, clang* in PATH")


GCC_EMPTY = ("-fsyntax-only", "-x", "c", "/dev/null")
CLANG_EMPTY = ("-###", "-x", "c", "-c", "-o", "/dev/null", "/dev/null")
CLANG_BACKEND = ("-x", "c", "-S", "-o", "/dev/null", "/dev/null")


def native_option(context):
    return "-mcpu=native" if context.machine in ("ppc64le", "ppc64") else "-march=native"


def record_version(context, name, path):
    return ran(context, "cmd:%s/version" % name, (path, "--version"))


def record_gcc_help(context, name, path):
    return ran(context, "cmd:%s/target-help" % name, (path, "-Q", "--help=target"))


def record_gcc_native(context, name, path):
    argv = (path, native_option(context), "-Q", "--help=target")
    return ran(context, "cmd:%s/march-native" % name, argv)


def record_clang_help(context, name, path):
    argv = (path, "--print-supported-cpus")
    result = run_once(context, argv)
    data = result.out + result.err
    return capture("cmd:%s/target-help" % name, result.status, data, joined(argv), detail_of(result))


def record_clang_native(context, name, path):
    argv = (path, native_option(context)) + CLANG_EMPTY
    result = run_once(context, argv)
    return capture("cmd:%s/march-native" % name, result.status, result.err, joined(argv), detail_of(result))


def record_clang_version(context, name, path):
    """Record clang's version from the run that shows -march=native: it prints it first, always."""
    argv = (path, native_option(context)) + CLANG_EMPTY
    result = run_once(context, argv)
    head = re.search(rb"^.*clang version .*\n(?:(?:Target|Thread model): .*\n)*", result.err, re.M)
    if head is None:
        return record_version(context, name, path)
    return capture("cmd:%s/version" % name, OK, head.group(0), joined(argv) + " (its first lines)", "exit 0")


UNKNOWN_OPTION = re.compile(
    r"(?:unrecognized command[- ]line option|unknown argument:?|unsupported option)"
    r" ['\u2018\u201c\"](-[^'\u2019\u201d\"]+)"
)
VALID_ARGUMENTS = re.compile(r"valid arguments (?:to \S+ switch )?are: ([^;\n]*)")
QUOTED = re.compile(r"['\u2018\u201c\"]([^'\u2019\u201d\"\n]{1,80})['\u2019\u201d\"]")


class Asked(object):
    """Collects the answers to "do you take this?" and how they were had."""

    def __init__(self):
        self.lines, self.how, self.problems = [], [], []

    def add(self, words, taken):
        self.lines += ["%s %s\n" % (word, "yes" if taken(word) else "no") for word in words]

    def trouble(self, result):
        if result.status in (TIMEOUT, TRUNCATED, DENIED) or (result.code == 0 and result.err):
            self.problems.append(detail_of(result))

    def capture(self, capture_id):
        status = OK if self.lines else FAILED
        how, detail = "; ".join(self.how), "; ".join(self.problems)
        return capture(capture_id, status, "".join(self.lines), how[:16000], detail[:1000])


def complaints(context, asked, argv, stdin=b""):
    """Run a compiler on nothing and return what it complains of."""
    result = run(context, argv, stdin=stdin)
    asked.how.append(joined(argv))
    if result.status in (TIMEOUT, TRUNCATED, ABSENT, DENIED):
        asked.problems.append(detail_of(result))
        return None
    return result.err.decode("utf-8", "replace")


def valid_words(context, asked, path, option):
    """Ask GCC for a value that is not there; it answers with the list of those that are."""
    said = complaints(context, asked, (path,) + GCC_EMPTY + (option + "uplift-none",))
    if said is None:
        return None
    words = set()
    for line in VALID_ARGUMENTS.findall(said):
        words.update(line.split())
    return words or None


def ask_gcc_values(context, asked, path, option, wanted, shown=None):
    known = valid_words(context, asked, path, option)
    prefix = shown or option
    if known is not None:
        everything = unique(wanted + sorted(known - set(wanted)))
        asked.add([prefix + word for word in everything], lambda w: w[len(prefix):] in known)


def ask_options(context, asked, argv, options):
    said = complaints(context, asked, argv + tuple(options))
    if said is not None:
        unknown = set(UNKNOWN_OPTION.findall(said))
        asked.add(options, lambda option: option not in unknown)


def record_gcc_accepts(context, name, path):
    """Ask GCC which options and values it takes; a few runs on an empty file answer all."""
    asked = Asked()
    if context.machine in ("x86_64", "i686"):
        ask_options(context, asked, (path,) + GCC_EMPTY, X86_OPTIONS)
        ask_gcc_values(context, asked, path, "-march=", X86_MARCH)
    elif context.machine == "aarch64":
        ask_gcc_values(context, asked, path, "-march=", ARM64_MARCH)
        ask_gcc_values(context, asked, path, "-mcpu=", ARM64_MCPU)
        ask_gcc_values(context, asked, path, "-march=armv8-a+", ARM64_EXTENSIONS)
        ask_options(context, asked, (path,) + GCC_EMPTY, ["-mbranch-protection=standard"])
    elif context.machine == "riscv64":
        ask_gcc_riscv(context, asked, path)
    elif context.machine == "s390x":
        ask_gcc_values(context, asked, path, "-march=", S390X_MARCH)
    elif context.machine.startswith("ppc64"):
        ask_gcc_values(context, asked, path, "-mcpu=", PPC64_MCPU)
    return asked.capture("cmd:%s/accepts" % name)


def ask_gcc_riscv(context, asked, path):
    """GCC 14 lists the extensions it takes; an older one is asked for each group until it agrees."""
    result = run(context, (path, "-march=help") + GCC_EMPTY)
    listed_names = set(re.findall(r"^\t(\w+)\t", (result.out + result.err).decode("utf-8", "replace"), re.M))
    asked.how.append("-march=help")
    if listed_names:
        asked.add(["-march=rv64gc_" + e for e in RISCV_EXTENSIONS],
                  lambda word: word.split("_", 1)[1] in listed_names)
    else:
        ask_each(context, asked, path, GCC_EMPTY, ["-march=rv64gc_" + e for e in RISCV_EXTENSIONS])
    ask_each(context, asked, path, GCC_EMPTY, ["-march=" + m for m in RISCV_MARCH])
    ask_gcc_values(context, asked, path, "-mcpu=", RISCV_MCPU)


def ask_each(context, asked, path, argv, options):
    """Ask one option a run; in quick mode only the first few, for the time they cost."""
    limit = len(options) if context.deep else 12
    answers = {}
    for option in options[:limit]:
        if context.left() < 1:
            break
        result = run(context, (path,) + argv + (option,), 5.0)
        answers[option] = result.code == 0 and b"error:" not in result.err  # -### ends with 0 always
    asked.how.append("%s, one a run" % joined((path,) + argv + ("OPTION",)))
    asked.add(list(answers), answers.get)
    if len(answers) < len(options):
        asked.problems.append("%d more %s" % (len(options) - len(answers), LEFT_TO_DEEP))


def record_clang_accepts(context, name, path):
    """Ask clang which options it takes, and its backend which extensions it knows."""
    asked = Asked()
    if context.machine in ("x86_64", "i686"):
        ask_options(context, asked, (path,) + CLANG_EMPTY, X86_OPTIONS)
        ask_clang_cpus(context, asked, path, "-march=", X86_MARCH)
    elif context.machine == "aarch64":
        if not ask_clang_extensions(context, asked, path, ARM64_EXTENSIONS, "-march=armv8-a+"):
            ask_clang_features(context, asked, path, ARM64_EXTENSIONS, "-march=armv8-a+")
        ask_clang_cpus(context, asked, path, "-mcpu=", ARM64_MCPU)
        ask_each(context, asked, path, CLANG_EMPTY, ["-march=" + m for m in ARM64_MARCH[-8:]])
    elif context.machine == "riscv64":
        if not ask_clang_extensions(context, asked, path, RISCV_EXTENSIONS, "-march=rv64gc_"):
            options = ["-march=rv64gc_" + name for name in RISCV_EXTENSIONS]
            ask_each(context, asked, path, CLANG_EMPTY, options)
        ask_clang_cpus(context, asked, path, "-mcpu=", RISCV_MCPU)
        ask_each(context, asked, path, CLANG_EMPTY, ["-march=" + m for m in RISCV_MARCH])
    elif context.machine == "s390x":
        ask_clang_cpus(context, asked, path, "-march=", S390X_MARCH)
    elif context.machine.startswith("ppc64"):
        ask_clang_cpus(context, asked, path, "-mcpu=", [m.replace("power", "pwr") for m in PPC64_MCPU])
    return asked.capture("cmd:%s/accepts" % name)


def ask_clang_cpus(context, asked, path, option, wanted):
    argv = (path, "--print-supported-cpus")
    result = run_once(context, argv)
    asked.how.append(joined(argv))
    known = set(re.findall(r"^\t(\S+)$", (result.out + result.err).decode("utf-8", "replace"), re.M))
    if known:
        everything = unique(wanted + sorted(known - set(wanted)))
        asked.add([option + cpu for cpu in everything], lambda word: word[len(option):] in known)


def ask_clang_extensions(context, asked, path, names, prefix):
    """Take the list that clang 18 and later print; return whether there was one."""
    argv = (path, "--print-supported-extensions")
    result = run(context, argv)
    text = (result.out + result.err).decode("utf-8", "replace")
    known = set(re.findall(r"^\s+([a-z][a-z0-9.-]*)\s{2,}\S", text, re.M))
    if result.status != OK or not known:
        return False
    asked.how.append(joined(argv))
    everything = unique(names + sorted(known - set(names)))
    asked.add([prefix + name for name in everything], lambda word: word[len(prefix):] in known)
    return True


#: LLVM's name of a backend feature, where it is not the extension's.
LLVM_FEATURES = {
    "fp": "fp-armv8", "simd": "neon", "fp16": "fullfp16", "memtag": "mte", "flagm2": "altnzcv",
    "frintts": "fptoint", "jscvt": "jsconv", "fcma": "complxnum", "profile": "spe", "rdma": "rdm",
    "rng": "rand", "rcpc2": "rcpc-immo"
}


def ask_clang_features(context, asked, path, names, prefix):
    """Switch every extension on in the backend; it warns of each that it does not know."""
    argv = (path,) + CLANG_BACKEND
    for name in names:
        argv += ("-Xclang", "-target-feature", "-Xclang", "+" + LLVM_FEATURES.get(name, name))
    said = complaints(context, asked, argv)
    if said is not None:
        unknown = set(re.findall(r"'\+([\w.-]+)' is not a recognized feature", said))
        asked.add([prefix + name for name in names],
                  lambda word: LLVM_FEATURES.get(word[len(prefix):], word[len(prefix):]) not in unknown)


def record_as_accepts(context):
    """Ask the assembler for each extension; it names the line of each that it does not know."""
    path = which(context, "as")
    if path is None:
        return capture("cmd:as/accepts", ABSENT, how="as", detail="not installed")
    names, directive = assembler_questions(context.machine)
    if not names:
        return capture("cmd:as/accepts", ABSENT, how="as", detail="no list for this architecture")
    asked = Asked()
    text = "".join(directive % name + "\n" for name in names)
    said = complaints(context, asked, (path, "-o", "/dev/null", "-"), text.encode())
    if said is not None:
        refused = refused_names(said, names)
        asked.add(names, lambda name: name not in refused)
        asked.how.append("standard input: %s for each" % (directive % "NAME"))
    return asked.capture("cmd:as/accepts")


def refused_names(said, names):
    """Return the names that the assembler's errors quote; else those on the lines they give.

    The name comes first because gas counts ``.arch_extension`` lines wrong after the first error.
    """
    refused = set()
    for line, words in re.findall(r"^\{standard input\}:(\d+): Error: (.*)$", said, re.M):
        quoted = [name for name in re.findall(r"[`'\u2018]\.?([\w.-]+)['\u2019]", words) if name in names]
        if quoted:
            refused.update(quoted)
        elif 0 < int(line) <= len(names):
            refused.add(names[int(line) - 1])
    return refused


def assembler_questions(machine):
    if machine in ("x86_64", "i686"):
        return AS_X86, ".arch .%s"
    if machine == "aarch64":
        return ARM64_EXTENSIONS, ".arch_extension %s"
    if machine == "riscv64":
        return RISCV_EXTENSIONS, ".option arch, +%s"
    if machine == "s390x":
        return S390X_MARCH, ".machine %s"
    return [], ""


def compiler_tasks(context):
    tasks = [Task("probe:compilers", record_compiler_names, ())]
    for name, path in compilers(context).items():
        base = "cmd:%s/" % name
        clang = name.startswith("clang")
        cost = 40 if clang else 20
        recorders = [
            ("target-help", record_clang_help if clang else record_gcc_help),
            ("accepts", record_clang_accepts if clang else record_gcc_accepts),
        ]
        if context.software:
            recorders.append(("version", record_version))
        else:
            recorders += [("version", record_clang_version if clang else record_version),
                          ("march-native", record_clang_native if clang else record_gcc_native)]
        for topic, recorder in recorders:
            tasks.append(Task(base + topic, recorder, (name, path), cost=cost + 1))
    tasks.append(Task("cmd:as/version", record_command, (command("cmd:as/version", "as --version"),), cost=5))
    tasks.append(Task("cmd:as/accepts", record_as_accepts, (), cost=5))
    return tasks


# --------------------------------------------------------------------------------------------
# The C library's loader.

LOADERS = {
    "x86_64": ("/lib64/ld-linux-x86-64.so.2",),
    "i686": ("/lib/ld-linux.so.2",),
    "aarch64": ("/lib/ld-linux-aarch64.so.1",),
    "riscv64": ("/lib/ld-linux-riscv64-lp64d.so.1",),
    "s390x": ("/lib/ld64.so.1", "/lib64/ld64.so.1"),
    "ppc64le": ("/lib64/ld64.so.2", "/lib/ld64.so.2"),
    "loongarch64": ("/lib64/ld-linux-loongarch-lp64d.so.1",),
}


def loader_path():
    """Return the loader that this machine's programs use."""
    for path in LOADERS.get(platform.machine(), ()):
        if os.access(path, os.X_OK):
            return path
    return None


def record_loader(context, topic, option):
    capture_id, path = "cmd:ld.so/" + topic, loader_path()
    if path is None:
        return capture(capture_id, ABSENT, how="ld.so " + option, detail="no loader known here")
    return ran(context, capture_id, (path, option))


LOADER_TOPICS = (("diagnostics", "--list-diagnostics"), ("hwcaps", "--help"),
                 ("tunables", "--list-tunables"), ("version", "--version"))


# --------------------------------------------------------------------------------------------
# QEMU.


def qemu_path(context):
    arch = QEMU_ARCH.get(context.machine)
    if arch is None:
        return None
    for name in ("qemu-system-" + arch, "/usr/libexec/qemu-kvm", "kvm"):
        path = which(context, name)
        if path:
            return path
    return None


def qemu_id(context, topic):
    return "cmd:qemu-system-%s/%s" % (QEMU_ARCH.get(context.machine, context.machine), topic)


def record_qemu_version(context):
    path = qemu_path(context)
    if path is None:
        return capture(qemu_id(context, "version"), ABSENT, how="qemu-system", detail="not installed")
    return ran(context, qemu_id(context, "version"), (path, "--version"))


def qmp_line(execute, tag=None, **arguments):
    row = {"execute": execute, "id": tag or execute}
    if arguments:
        row["arguments"] = arguments
    return json.dumps(row)


def expansion_line(model):
    return qmp_line("query-cpu-model-expansion", "expansion-" + model,
                    type="full", model={"name": model})


def qmp(context, path, lines):
    """Put questions to a QEMU that has no machine and no guest; return its answers and its end."""
    accelerator = "tcg" if context.software else "kvm:tcg"
    argv = (path, "-S", "-machine", "none,accel=" + accelerator, "-nodefaults", "-no-user-config",
            "-display", "none", "-qmp", "stdio")
    text = "\n".join([qmp_line("qmp_capabilities")] + lines + [qmp_line("quit")]) + "\n"
    result = run(context, argv, stdin=text.encode())
    answers = {}
    for line in result.out.decode("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "id" in row:
            answers[row["id"]] = row["return"] if "return" in row else {"error": row.get("error")}
    return argv, result, answers


def record_qmp(context):
    """Record QEMU's own account of its CPU models: of host and max, of every model with --deep."""
    capture_id, path = qemu_id(context, "qmp"), qemu_path(context)
    if path is None:
        return capture(capture_id, ABSENT, how="qemu-system", detail="not installed")
    questions = [qmp_line("query-version", "version"), qmp_line("query-target", "target"),
                 qmp_line("query-cpu-definitions", "cpu-definitions"), expansion_line("max")]
    if not context.software:
        questions += [qmp_line("query-kvm", "kvm"), expansion_line("host")]
    argv, result, answers = qmp(context, path, questions)
    if context.deep:
        answers.update(every_model(context, path, answers.get("cpu-definitions")))
    if context.software:
        answers = without_host(answers)
    for tag in ("qmp_capabilities", "quit"):
        answers.pop(tag, None)
    status = OK if answers and result.status in (OK, FAILED) else result.status
    detail = detail_of(result)
    if not context.deep:
        detail += "; the other CPU models are " + LEFT_TO_DEEP
    data = json.dumps(answers, sort_keys=True, separators=(",", ":"))
    return capture(capture_id, status, data, joined(argv) + " (QMP)", detail)


def without_host(answers):
    """Leave out what of a model this host could not run."""
    definitions = answers.get("cpu-definitions")
    for row in definitions if isinstance(definitions, list) else []:
        if isinstance(row, dict):
            row.pop("unavailable-features", None)
    return answers


def every_model(context, path, definitions):
    names = []
    for row in definitions if isinstance(definitions, list) else []:
        name = row.get("name") if isinstance(row, dict) else None
        if isinstance(name, str) and name not in QEMU_QUICK_MODELS:
            names.append(name)
    answers = {}
    for first in range(0, min(len(names), QEMU_MAX_MODELS), 50):
        lines = [expansion_line(name) for name in names[first : first + 50]]
        answers.update(qmp(context, path, lines)[2])
    return answers


# --------------------------------------------------------------------------------------------
# Python distributions and what the numerical ones say of themselves.


def record_numerics(context):
    """Record which numerical packages are registered; with --deep, what each reports of itself."""
    if context.deep:
        return imported_numerics(context)
    directories = []
    for pattern in PYTHON_DIRECTORIES.split():
        directories += [d for d in expanded_directories(context, pattern)]
    found = {}
    for directory in directories + [path for path in sys.path if path.endswith("-packages")]:
        for name, version in registered(context, directory):
            found.setdefault(name, {"version": version, "directory": directory})
    data = json.dumps(found, sort_keys=True)
    detail = "what each says of the CPU is " + LEFT_TO_DEEP
    how = "*.dist-info and *.egg-info in " + " ".join(directories)
    return capture("cmd:python3/numerics", OK, data, how, detail)


def expanded_directories(context, pattern):
    base = pattern.split("*")[0].rsplit("/", 1)[0]
    rest = pattern[len(base) + 1 :]
    return [base + "/" + found for found in matches(context.at(base), rest, 100)]


def registered(context, directory):
    """Yield name and version of the numerical distributions in a directory."""
    for entry in listed(context, directory):
        match = re.match(r"([\w.]+?)-(\d[\w.+!]*?)(-py[\d.]+)?\.(dist|egg)-info$", entry)
        if match and NUMERICS.match(match.group(1)):
            yield match.group(1).lower().replace("_", "-"), match.group(2)


def interpreters(context):
    """Return the Python of the system, that of PATH and our own, each once."""
    paths = (which(context, "/usr/bin/python3"), which(context, "python3"), sys.executable)
    return unique(path for path in paths if path)


def imported_numerics(context):
    """Record what each package says of itself, by the first interpreter that has it."""
    found, results = {}, []
    for path in interpreters(context):
        result = run(context, (path, "-c", NUMERICS_PROGRAM))
        results.append(result)
        for name, report in json_object(result.out.decode("utf-8", "replace")).items():
            if isinstance(report, dict):
                found.setdefault(name, dict(report, python=path))
    how = "python -c 'import numpy, scipy, torch, onnxruntime' in " + joined(interpreters(context))
    worst = next((r for r in results if r.status != OK), results[0])
    status = OK if found else worst.status
    return capture("cmd:python3/numerics", status, json.dumps(found, sort_keys=True), how, detail_of(worst))


# --------------------------------------------------------------------------------------------
# Probes: code of ours that asks the machine. They run in forked children, because an instruction
# that the machine refuses, or a library that crashes when loaded, ends the process.


def libc_syscall():
    import ctypes

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    return syscall


class Page(object):
    """Machine code that can be called; never writable and executable at once if that can be had."""

    def __init__(self, code):
        import ctypes
        import mmap

        self.ctypes = ctypes
        problems = []
        for means in (self.from_memfd, self.from_anonymous):
            try:
                self.map = means(mmap, code)
                break
            except (OSError, ValueError, AttributeError) as error:
                problems.append("%s: %s" % (means.__name__, error))
        else:
            raise OSError(errno.EACCES, "; ".join(problems))
        self.address = self.start_of(code)

    def from_memfd(self, mmap, code):
        handle = memory_file()
        try:
            os.write(handle, code.ljust(4096, b"\0"))
            self.how = "executable page (memfd)"
            return self.raw_map(mmap, handle)
        finally:
            os.close(handle)

    def raw_map(self, mmap, handle):
        """Map a file readable and executable; through libc, since Python asks for a writable buffer."""
        libc = self.ctypes.CDLL(None, use_errno=True)
        call = libc.mmap
        call.restype = self.ctypes.c_void_p
        call.argtypes = [self.ctypes.c_void_p, self.ctypes.c_size_t] + [self.ctypes.c_int] * 3 + [
            self.ctypes.c_long]
        address = call(None, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, handle, 0)
        if address in (None, self.ctypes.c_void_p(-1).value):
            raise OSError(self.ctypes.get_errno(), "mmap")
        return address

    def from_anonymous(self, mmap, code):
        if platform.machine() == "aarch64":
            raise OSError(errno.ENOTSUP, "instruction cache")
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        self.how = "executable page (anonymous)"
        return page

    def start_of(self, code):
        if isinstance(self.map, int):
            return self.map
        return self.ctypes.addressof(self.ctypes.c_char.from_buffer(self.map))

    def function(self, result, *arguments):
        return self.ctypes.CFUNCTYPE(result, *arguments)(self.address)


def memory_file():
    """Return a file that lies in memory only."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("uplift", 0)
    import ctypes

    create = ctypes.CDLL(None, use_errno=True).memfd_create
    handle = create(b"uplift", 1)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "memfd_create")
    return handle


class PageReader(object):
    """Reads CPUID by executing it."""

    def __init__(self):
        import ctypes

        self.page = Page(CODE_CPUID)
        self.how = self.page.how
        self.out = (ctypes.c_uint32 * 4)()
        word = ctypes.c_uint32
        self.call = self.page.function(None, word, word, ctypes.c_void_p)
        self.place = ctypes.addressof(self.out)

    def read(self, leaf, subleaf):
        self.call(leaf, subleaf, self.place)
        return tuple(self.out)

    def move(self, cpu):
        os.sched_setaffinity(0, {cpu})


class DeviceReader(object):
    """Reads CPUID from /dev/cpu/N/cpuid, where the driver is loaded and lets us."""

    def __init__(self):
        self.how, self.handle = "/dev/cpu/N/cpuid", None
        self.move(min(os.sched_getaffinity(0)))

    def move(self, cpu):
        handle = os.open("/dev/cpu/%d/cpuid" % cpu, os.O_RDONLY | os.O_CLOEXEC)
        if self.handle is not None:
            os.close(self.handle)
        self.handle = handle

    def read(self, leaf, subleaf):
        return struct.unpack("4I", os.pread(self.handle, 16, leaf | subleaf << 32))


class DiagnosticsReader(object):
    """Reads CPUID from what the loader printed (glibc 2.41 and later print every leaf)."""

    LINE = re.compile(
        r"x86\.processor\[0x([0-9a-f]+)\]\.cpuid\.(?:subleaf_)?eax\[0x([0-9a-f]+)\]"
        r"(?:\.ecx\[0x([0-9a-f]+)\])?\.(e[abcd]x|until_ecx)=0x([0-9a-f]+)"
    )

    def __init__(self, text=None):
        self.how = "ld.so --list-diagnostics"
        self.leaves = {}
        for match in self.LINE.finditer(self.output() if text is None else text):
            self.take(*match.groups())
        if not self.leaves:
            raise OSError(errno.ENOENT, "the loader prints no CPUID")

    def output(self):
        path = loader_path()
        if path is None:
            raise OSError(errno.ENOENT, "no loader known here")
        result = subprocess.run([path, "--list-diagnostics"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=5)
        return result.stdout.decode("ascii", "replace")

    def take(self, processor, leaf, subleaf, register, value):
        """Keep the first processor's values; later ones are printed as differences from it."""
        if int(processor, 16) == 0 and register in REGISTERS:
            row = self.leaves.setdefault((int(leaf, 16), int(subleaf or "0", 16)), [0, 0, 0, 0])
            row[REGISTERS.index(register)] = int(value, 16)

    def move(self, cpu):
        if cpu != min(os.sched_getaffinity(0)):
            raise OSError(errno.ENOTSUP, "one processor only")

    def read(self, leaf, subleaf):
        return tuple(self.leaves.get((leaf, subleaf), (0, 0, 0, 0)))


def runs_x86_64():
    return platform.machine() == "x86_64" and struct.calcsize("P") == 8


def cpuid_reader():
    """Return the first means of reading CPUID that works here, with the others' troubles."""
    problems = []
    for kind in (PageReader, DeviceReader, DiagnosticsReader):
        if kind is PageReader and not runs_x86_64():
            problems.append("executable page: no code for this process")
            continue
        try:
            return kind(), problems
        except (OSError, ImportError, subprocess.SubprocessError) as error:
            problems.append("%s: %s" % (kind.__name__, error))
    return None, problems


def leaf_ranges(read):
    """Yield every leaf that the processor or the hypervisor claims, with loop caps."""
    for leaf in span(0, read(0, 0)[0]):
        yield leaf
    for base in (0x40000000, 0x40000100, 0x40000200):
        top = read(base, 0)
        if base <= top[0] <= base + 0xFF and any(top[1:]):
            for leaf in span(base, top[0]):
                yield leaf
        elif base == 0x40000000 and read(1, 0)[2] >> 31:
            yield base
    for base in (0x20000000, 0x80000000, 0x80860000, 0xC0000000):
        highest = read(base, 0)[0]
        if highest >> 16 == base >> 16:
            for leaf in span(base, highest):
                yield leaf


def span(base, highest):
    return range(base, min(highest, base + MAX_LEAVES - 1) + 1)


def subleaf_rows(read, leaf):
    """Return (subleaf, registers) of one leaf, as far as its rule says that they go."""
    first = read(leaf, 0)
    rule = SUBLEAVES.get(leaf)
    if rule is None or not any(first):
        return [(0, first)]
    if rule[0] == "until":
        return rows_until(read, leaf, REGISTERS.index(rule[1]), rule[2], rule[3])
    return [(0, first)] + [(sub, read(leaf, sub)) for sub in further(read, rule, first)]


def rows_until(read, leaf, register, shift, mask):
    rows = []
    for subleaf in range(MAX_SUBLEAVES):
        values = read(leaf, subleaf)
        rows.append((subleaf, values))
        if not values[register] >> shift & mask:
            break
    return rows


def further(read, rule, first):
    """Return the subleaves after the first."""
    if rule[0] == "count":
        highest = 0 if rule[1] == "zero" else first[REGISTERS.index(rule[1])]
        return range(1, min(highest, MAX_SUBLEAVES - 1) + 1)
    if rule[0] == "bits":
        return bits_from(1, first[REGISTERS.index(rule[1])])
    if rule[0] == "xsave":
        second = read(0xD, 1)
        held = first[0] | first[3] << 32 | second[2] | second[3] << 32
        return [1] + bits_from(2, held)
    return sgx_subleaves(read)


def bits_from(low, value):
    return [bit for bit in range(low, MAX_SUBLEAVES) if value >> bit & 1]


def sgx_subleaves(read):
    """Leaf 12: 1, then the sections of protected memory until one that is none."""
    found = [1]
    for subleaf in range(2, MAX_SUBLEAVES):
        found.append(subleaf)
        if not read(0x12, subleaf)[0] & 0xF:
            break
    return found


def kind_of_core(read):
    """Return what tells this core's kind from another's."""
    highest = {0: read(0, 0)[0], 0x80000000: read(0x80000000, 0)[0]}
    key = []
    for leaf, subleaf, masks in KIND_LEAVES:
        if leaf <= highest[leaf & 0x80000000]:
            key.append(tuple(v & m for v, m in zip(read(leaf, subleaf), masks)))
    return tuple(key)


def sweep_order(cpus):
    """Return the CPUs so that the first few already come from all over the machine."""
    cpus = sorted(cpus)
    step_size = max(1, len(cpus) // 16)
    return unique(cpus[::step_size] + cpus)


def core_kinds(reader):
    """Return one CPU of each kind of core, and what was compared."""
    allowed = sweep_order(os.sched_getaffinity(0))
    kinds, deadline, compared = {}, time.time() + CPU_SWEEP_SECONDS, 0
    for cpu in allowed:
        if compared and time.time() > deadline:
            break
        try:
            reader.move(cpu)
            kinds.setdefault(kind_of_core(reader.read), cpu)
        except OSError:
            continue
        compared += 1
    return sorted(kinds.values()), "%d of %d CPUs compared" % (compared, len(allowed))


def cpuid_text(reader, cpu):
    lines = ["CPU %d:\n" % cpu]
    for leaf in leaf_ranges(reader.read):
        for subleaf, values in subleaf_rows(reader.read, leaf):
            lines.append("   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n" % (
                (leaf, subleaf) + tuple(values)))
    return "".join(lines)


def probe_cpuid():
    """Record CPUID of each kind of core."""
    reader, problems = cpuid_reader()
    if reader is None:
        return capture("probe:cpuid", FAILED, detail="; ".join(problems))
    before, text = os.sched_getaffinity(0), ""
    try:
        kinds, compared = core_kinds(reader)
        for cpu in kinds:
            reader.move(cpu)
            text += cpuid_text(reader, cpu)
    finally:
        os.sched_setaffinity(0, before)
    detail = "; ".join(["%d kinds of core" % len(kinds), compared] + problems)
    return capture("probe:cpuid", OK if text else FAILED, text, reader.how, detail, "cpuid-r")


def probe_xcr0():
    """Record XCR0: which register state the system saves."""
    import ctypes

    if not runs_x86_64():
        return capture("probe:xcr0", ABSENT, how="XGETBV(0)", detail="no 64-bit x86 process")
    reader = PageReader()
    if not reader.read(1, 0)[2] >> 27 & 1:
        return capture("probe:xcr0", ABSENT, how=reader.how, detail="OSXSAVE is off")
    page = Page(CODE_XGETBV)
    value = page.function(ctypes.c_uint64, ctypes.c_uint32)(0)
    return capture("probe:xcr0", OK, "0x%x\n" % value, "XGETBV(0), " + page.how)


def probe_xcomp():
    """Record which dynamic register state the kernel offers."""
    import ctypes

    if not runs_x86_64():
        return capture("probe:xcomp", ABSENT, how="arch_prctl", detail="no 64-bit x86 process")
    syscall, lines = libc_syscall(), []
    for name, code in XCOMP:
        word = ctypes.c_uint64()
        ctypes.set_errno(0)
        if syscall(158, ctypes.c_long(code), ctypes.byref(word)) == 0:
            lines.append("%s 0x%x\n" % (name, word.value))
        else:
            lines.append("%s errno %s\n" % (name, errno.errorcode.get(ctypes.get_errno(), "?")))
    return capture("probe:xcomp", OK, "".join(lines), "arch_prctl(0x1021, 0x1022, 0x1024)")


def auxiliary_vector():
    size = struct.calcsize("P")
    data = read_bytes("/proc/self/auxv", 1 << 16)[0]
    words = struct.unpack("%dP" % (len(data) // size), data[: len(data) // size * size])
    return list(zip(words[::2], words[1::2]))


def probe_auxv():
    """Record the auxiliary vector's words on the hardware."""
    lines = []
    for key, value in auxiliary_vector():
        if key in AUXV_STRINGS:
            lines.append("%s %s\n" % (AUXV[key], string_at(value)))
        elif key in AUXV:
            lines.append("%s 0x%x\n" % (AUXV[key], value))
    return capture("probe:auxv", OK, "".join(lines), "/proc/self/auxv")


def string_at(address):
    import ctypes

    return ctypes.string_at(address).decode("utf-8", "replace") if address else ""


def mrs_code(op1, crm, op2):
    """Return the code of ``mrs x0, S3_<op1>_C0_C<crm>_<op2>; ret``."""
    return struct.pack("<II", 0xD5380000 | op1 << 16 | crm << 8 | op2 << 5, 0xD65F03C0)


def probe_arm64():
    """Record the ID registers that the kernel lets a process read."""
    import ctypes

    hwcap = dict(auxiliary_vector()).get(16, 0)
    if not hwcap & HWCAP_CPUID:
        return capture("probe:arm64-id-registers", ABSENT, how="mrs",
                       detail="the kernel does not emulate reads (HWCAP_CPUID is off)")
    code = b"".join(mrs_code(op1, crm, op2) for _, op1, crm, op2 in ARM64_REGISTERS)
    page, lines = Page(code), []
    for index, (name, _, _, _) in enumerate(ARM64_REGISTERS):
        call = ctypes.CFUNCTYPE(ctypes.c_uint64)(page.address + 8 * index)
        lines.append("%s 0x%016x\n" % (name, call()))
    return capture("probe:arm64-id-registers", OK, "".join(lines), "mrs, " + page.how)


def hwprobe(cpus):
    """Return key to value of ``riscv_hwprobe`` for a set of CPUs (all, if empty)."""
    import ctypes

    class Pair(ctypes.Structure):
        _fields_ = [("key", ctypes.c_int64), ("value", ctypes.c_uint64)]

    pairs = (Pair * RISCV_KEYS)(*[Pair(key, 0) for key in range(RISCV_KEYS)])
    mask = ctypes.create_string_buffer(MAX_CPUS // 8)
    for cpu in cpus:
        mask[cpu // 8] = bytes([mask.raw[cpu // 8] | 1 << cpu % 8])
    size = ctypes.c_size_t(len(mask) if cpus else 0)
    count = ctypes.c_size_t(RISCV_KEYS)
    if libc_syscall()(RISCV_HWPROBE, pairs, count, size, mask if cpus else None, ctypes.c_uint(0)):
        raise OSError(ctypes.get_errno(), "riscv_hwprobe")
    return {pair.key: pair.value for pair in pairs if pair.key >= 0}


def probe_riscv():
    """Record the kernel's account of the extensions that all harts have."""
    found = hwprobe(())
    lines = ["0x%x 0x%x\n" % pair for pair in sorted(found.items())]
    return capture("probe:riscv-hwprobe", OK, "".join(lines), "riscv_hwprobe, all CPUs")


def probe_riscv_cpus():
    """Record the same for each hart, harts that answer alike under the first of them."""
    kinds = {}
    for cpu in sorted(os.sched_getaffinity(0))[:MAX_CPUS]:
        answer = tuple(sorted(hwprobe((cpu,)).items()))
        kinds.setdefault(answer, []).append(cpu)
    lines = []
    for answer, cpus in kinds.items():
        lines.append("cpus %s\n" % ",".join(map(str, cpus)))
        lines += ["0x%x 0x%x\n" % pair for pair in answer]
    return capture("probe:riscv-hwprobe-cpus", OK, "".join(lines), "riscv_hwprobe, CPU by CPU")


def probe_msr():
    """Record model-specific registers where the driver is loaded and lets us."""
    how, lines = "/dev/cpu/0/msr", []
    handle = os.open(how, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for name in MSRS:
            try:
                value = struct.unpack("<Q", os.pread(handle, 8, int(name, 16)))[0]
                lines.append("%s 0x%x\n" % (name, value))
            except OSError as error:
                lines.append("%s errno %s\n" % (name, error_name(error)))
    finally:
        os.close(handle)
    return capture("probe:msr", OK, "".join(lines), how)


# --------------------------------------------------------------------------------------------
# KVM: asked for what it would give a guest, without one.


def probe_kvm():
    """Record KVM's capabilities and the CPUID that it would give a guest."""
    import fcntl

    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    lines, machine = [], None
    try:
        lines.append("api %d\n" % fcntl.ioctl(kvm, KVM_GET_API_VERSION, 0))
        try:
            machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
            lines.append("create-vm ok\n")
        except OSError as error:
            lines.append("create-vm errno %s\n" % error_name(error))
        lines += kvm_capabilities(fcntl, kvm if machine is None else machine)
        lines += preferred_target(fcntl, machine)
        lines += kvm_cpuid(fcntl, kvm)
    finally:
        for handle in (machine, kvm):
            if handle is not None:
                os.close(handle)
    return capture("probe:kvm", OK, "".join(lines), "ioctl on /dev/kvm")


def probe_kvm_run():
    """Record how a guest ends that runs one instruction, HLT: a VM that is made may still not run."""
    import fcntl
    import mmap

    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    handles = [kvm]
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    try:
        machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
        handles.append(machine)
        page = mmap.mmap(-1, mmap.PAGESIZE)
        processor = halting_processor(fcntl, machine, page)
        handles.append(processor)
        state = mmap.mmap(processor, fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0))
        signal.setitimer(signal.ITIMER_REAL, KVM_RUN_SECONDS)
        fcntl.ioctl(processor, KVM_RUN, 0)
        line = "run exit %d\n" % struct.unpack_from("I", state, 8)
    except OSError as error:
        line = "run errno %s\n" % error_name(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for handle in reversed(handles):
            os.close(handle)
    return capture("probe:kvm-run", OK, line, "HLT in a guest of one page, by ioctl on /dev/kvm")


def halting_processor(fcntl, machine, page):
    """Return a processor in real mode whose next instruction is HLT, in the memory of ``page``."""
    import ctypes

    page[:1] = b"\xf4"
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    region = struct.pack("IIQQQ", 0, 0, 0x1000, len(page), place)
    fcntl.ioctl(machine, KVM_SET_USER_MEMORY_REGION, region)
    processor = fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
    segments = bytearray(312)
    fcntl.ioctl(processor, KVM_GET_SREGS, segments)
    struct.pack_into("Q", segments, 0, 0)  # the code segment's base
    struct.pack_into("H", segments, 12, 0)  # and its selector
    fcntl.ioctl(processor, KVM_SET_SREGS, bytes(segments))
    registers = [0] * 16 + [0x1000, 2]  # RIP, RFLAGS
    fcntl.ioctl(processor, KVM_SET_REGS, struct.pack("18Q", *registers))
    return processor


def kvm_capabilities(fcntl, handle):
    lines = []
    for row in KVM_CAPS:
        name, number = row.split("=")
        try:
            lines.append("cap KVM_CAP_%s %d\n" % (name, fcntl.ioctl(handle, KVM_CHECK_EXTENSION, int(number))))
        except OSError as error:
            lines.append("cap KVM_CAP_%s errno %s\n" % (name, error_name(error)))
    return lines


def preferred_target(fcntl, machine):
    if machine is None or platform.machine() != "aarch64":
        return []
    answer = bytearray(32)
    try:
        fcntl.ioctl(machine, KVM_ARM_PREFERRED_TARGET, answer)
    except OSError as error:
        return ["preferred-target errno %s\n" % error_name(error)]
    words = struct.unpack("8I", answer)
    return ["preferred-target %s\n" % " ".join("0x%x" % word for word in words)]


def kvm_cpuid(fcntl, kvm):
    if platform.machine() not in ("x86_64", "i686"):
        return []
    lines = ["supported:\n"] + cpuid_entries(fcntl, kvm, KVM_GET_SUPPORTED_CPUID)
    lines += ["emulated:\n"] + cpuid_entries(fcntl, kvm, KVM_GET_EMULATED_CPUID)
    return lines


def cpuid_entries(fcntl, kvm, request):
    buffer = bytearray(struct.pack("II", KVM_ENTRIES, 0) + b"\0" * (40 * KVM_ENTRIES))
    try:
        fcntl.ioctl(kvm, request, buffer)
    except OSError as error:
        return ["errno %s\n" % error_name(error)]
    lines = []
    for index in range(min(struct.unpack_from("I", buffer)[0], KVM_ENTRIES)):
        leaf, subleaf, _, eax, ebx, ecx, edx = struct.unpack_from("7I", buffer, 8 + 40 * index)
        lines.append("   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n" % (
            leaf, subleaf, eax, ebx, ecx, edx))
    return lines


def probe_kvm_arm64():
    """Record the ID registers of a virtual processor that has what it gets unasked, and of one with MTE."""
    import fcntl

    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    try:
        lines = arm64_guest(fcntl, kvm, False)
        try:
            lines += arm64_guest(fcntl, kvm, True)
        except OSError:  # KVM has no MTE to give
            pass
    finally:
        os.close(kvm)
    return capture("probe:kvm-arm64-registers", OK, "".join(lines), "KVM_GET_ONE_REG on a virtual CPU")


def arm64_guest(fcntl, kvm, tagged):
    handles = [fcntl.ioctl(kvm, KVM_CREATE_VM, 0)]
    try:
        if tagged:
            fcntl.ioctl(handles[0], KVM_ENABLE_CAP, struct.pack("II96x", KVM_CAP_ARM_MTE, 0))
        handles.append(fcntl.ioctl(handles[0], KVM_CREATE_VCPU, 0))
        names = start_arm64(fcntl, *handles) + ["mte"] * tagged
        lines = ["features %s\n" % " ".join(names)]
        for name, op1, crm, op2 in ARM64_REGISTERS:
            value = one_register(fcntl, handles[1], KVM_ARM_REGISTER | op1 << 11 | crm << 3 | op2)
            if name.startswith("ID_AA64") and value is not None:
                lines.append("%s 0x%016x\n" % (name, value))
        return lines
    finally:
        for handle in reversed(handles):
            os.close(handle)


def start_arm64(fcntl, machine, processor):
    """Initialise a virtual processor with each feature that KVM has; return their names."""
    target = bytearray(32)
    fcntl.ioctl(machine, KVM_ARM_PREFERRED_TARGET, target)
    names, bits = [], 0
    for name, bit, capability in KVM_ARM_FEATURES:
        if fcntl.ioctl(machine, KVM_CHECK_EXTENSION, capability) > 0:
            names.append(name)
            bits |= 1 << bit
    struct.pack_into("I", target, 4, bits)
    fcntl.ioctl(processor, KVM_ARM_VCPU_INIT, target)
    if "sve" in names:
        fcntl.ioctl(processor, KVM_ARM_VCPU_FINALIZE, struct.pack("i", KVM_ARM_SVE))
    return names


def one_register(fcntl, processor, number):
    """Return a virtual processor's register; None where KVM does not know it."""
    import ctypes

    value = ctypes.c_uint64()
    try:
        fcntl.ioctl(processor, KVM_GET_ONE_REG, struct.pack("QQ", number, ctypes.addressof(value)))
    except OSError:
        return None
    return value.value


def probe_kvm_riscv():
    """Record which extensions a virtual hart has unless it is asked not to, by KVM's numbers."""
    import fcntl

    handles = [os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)]
    try:
        handles.append(fcntl.ioctl(handles[0], KVM_CREATE_VM, 0))
        handles.append(fcntl.ioctl(handles[1], KVM_CREATE_VCPU, 0))
        lines = []
        for number in range(KVM_RISCV_EXTENSIONS):
            value = one_register(fcntl, handles[2], KVM_RISCV_EXTENSION | number)
            if value is not None:
                lines.append("%d %d\n" % (number, value))
    finally:
        for handle in reversed(handles):
            os.close(handle)
    return capture("probe:kvm-riscv-isa", OK, "".join(lines), "KVM_GET_ONE_REG on a virtual hart")


def probe_kvm_msrs():
    """Record the feature registers that KVM offers guests (VMX, speculation, microcode)."""
    import fcntl

    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    try:
        lines = []
        for number in feature_msrs(fcntl, kvm):
            request = bytearray(struct.pack("IIIIQ", 1, 0, number, 0, 0))
            if fcntl.ioctl(kvm, KVM_GET_MSRS, request) == 1:
                lines.append("0x%x 0x%x\n" % (number, struct.unpack("IIIIQ", request)[4]))
    finally:
        os.close(kvm)
    return capture("probe:kvm-msrs", OK, "".join(lines), "KVM_GET_MSRS on /dev/kvm")


def feature_msrs(fcntl, kvm):
    buffer = bytearray(struct.pack("I", KVM_ENTRIES) + b"\0" * (4 * KVM_ENTRIES))
    fcntl.ioctl(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, buffer)
    count = struct.unpack_from("I", buffer)[0]
    return struct.unpack_from("%dI" % min(count, KVM_ENTRIES), buffer, 4)


# --------------------------------------------------------------------------------------------
# Shared libraries.


def library_cache():
    """Return (soname, path) of the libraries that the loader would find, as ldconfig lists them."""
    program = next((p for p in ("/sbin/ldconfig.real", "/sbin/ldconfig", "/usr/sbin/ldconfig")
                    if os.access(p, os.X_OK)), None)
    if program is None:
        raise OSError(errno.ENOENT, "ldconfig")
    result = subprocess.run([program, "-p"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, timeout=10, env={"LC_ALL": "C"})
    rows = re.findall(r"^\s+(\S+) \([^)]*\) => (\S+)$", result.stdout.decode("utf-8", "replace"), re.M)
    return unique((name, path) for name, path in rows if LIBRARIES.match(name))


def library_version(path):
    """Return the version in the name of the file that a library's links end at."""
    name = os.path.basename(os.path.realpath(path))
    match = re.search(r"\.so\.([\d.]+)$|-(?:r)?(\d[\d.]+)\.so$", name)
    return (match.group(1) or match.group(2)) if match else ""


def probe_libraries():
    """Record which libraries of interest are installed."""
    lines = ["%s %s %s\n" % (n, p, library_version(p)) for n, p in library_cache()]
    return capture("probe:libraries", OK, "".join(lines), "ldconfig -p, then the links' ends")


def probe_library_calls():
    """Ask libraries for their version and for the kernels that they chose."""
    lines = []
    for name, path in library_cache():
        for prefix, function, kind in LIBRARY_CALLS:
            if name.startswith(prefix):
                lines += library_answer(name, path, function, kind)
    return capture("probe:library-calls", OK, "".join(lines), "dlopen, then the call")


def library_answer(name, path, function, kind):
    import ctypes

    try:
        call = getattr(ctypes.CDLL(path), function)
    except (OSError, AttributeError):
        return []
    call.argtypes = []
    call.restype = {"s": ctypes.c_char_p, "i": ctypes.c_int}.get(kind, ctypes.c_void_p)
    answer = call()
    if kind == "s":
        answer = (answer or b"").decode("utf-8", "replace").replace("\n", " ")
    if kind == "v" and answer:
        answer = "%d.%d.%d" % tuple((ctypes.c_int * 3).from_address(answer))
    return ["%s %s %s\n" % (function, name, answer)]


# --------------------------------------------------------------------------------------------
# Forked children: each probe's capture comes back as soon as it is there, so that a crash in one
# costs only that one and those after it.

X86_PROBES = (("probe:cpuid", probe_cpuid), ("probe:xcr0", probe_xcr0), ("probe:xcomp", probe_xcomp))
ARM64_PROBES = (("probe:arm64-id-registers", probe_arm64),)
RISCV_PROBES = (("probe:riscv-hwprobe", probe_riscv), ("probe:riscv-hwprobe-cpus", probe_riscv_cpus))
COMMON_PROBES = (("probe:auxv", probe_auxv),)
KVM_PROBES = (("probe:kvm", probe_kvm), ("probe:kvm-msrs", probe_kvm_msrs), ("probe:kvm-run", probe_kvm_run))
KVM_PROBES_OF = {
    "x86_64": KVM_PROBES[1:],
    "i686": KVM_PROBES[1:],
    "aarch64": (("probe:kvm-arm64-registers", probe_kvm_arm64),),
    "riscv64": (("probe:kvm-riscv-isa", probe_kvm_riscv),),
}
LIBRARY_PROBES = (("probe:libraries", probe_libraries), ("probe:library-calls", probe_library_calls))


def probe_groups(machine, software=False):
    """Return the groups of probes that share a child."""
    if software:
        return ((("probe:libraries", probe_libraries), ("probe:library-calls", probe_library_versions),
                 ("cmd:dpdk/version", probe_dpdk_version)),)
    silicon = COMMON_PROBES
    if machine in ("x86_64", "i686"):
        silicon += X86_PROBES + (("probe:msr", probe_msr),)
    silicon += ARM64_PROBES if machine == "aarch64" else ()
    silicon += RISCV_PROBES if machine == "riscv64" else ()
    kvm = KVM_PROBES[:1] + KVM_PROBES_OF.get(machine, ())
    return silicon, kvm, LIBRARY_PROBES


def guarded(capture_id, probe):
    """Run a probe; whatever it raises becomes a status."""
    try:
        return probe()
    except OSError as error:
        return capture(capture_id, status_of(error), how=str(error.filename or ""),
                       detail="%s: %s" % (error_name(error), error.strerror or error))
    except Exception as error:  # a probe must never cost the others
        return capture(capture_id, FAILED, detail="%s: %s" % (type(error).__name__, error))


class Fork(object):
    """A child that runs probes and sends their captures through a pipe.

    Forked before any thread exists: a child of a process with threads may inherit a held lock.
    """

    def __init__(self, probes):
        self.ids = [name for name, _ in probes]
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.child(probes, writing)
        os.close(writing)

    def child(self, probes, writing):
        try:
            os.setsid()
            os.close(self.reading)
            quiet = os.open(os.devnull, os.O_RDWR)
            for handle in (0, 1, 2):
                os.dup2(quiet, handle)
            for name, probe in probes:
                began = time.time()
                row = guarded(name, probe)
                send(writing, tuple(row) + (time.time() - began,))
        finally:
            os._exit(0)

    def receive(self, context):
        """Yield (capture, seconds) for each probe, also for those that the child never answered."""
        deadline, data = time.time() + context.seconds(), b""
        context.children.add(self.pid)
        try:
            data = self.read_all(deadline)
        finally:
            if not exited(self.pid):
                kill_group(self.pid)
            status = os.waitpid(self.pid, 0)[1]
            context.children.discard(self.pid)
            os.close(self.reading)
        return self.completed(messages(data), status, time.time() > deadline)

    def read_all(self, deadline):
        chunks, poll = [], select.poll()
        poll.register(self.reading, select.POLLIN | select.POLLHUP)
        while time.time() < deadline:
            if poll.poll(max(1, (deadline - time.time()) * 1000)):
                chunk = os.read(self.reading, 1 << 16)
                if not chunk:
                    break
                chunks.append(chunk)
        return b"".join(chunks)

    def completed(self, rows, status, late):
        answered = [(Capture(*row[:6]), row[6]) for row in rows]
        for name in self.ids[len(answered) :]:
            if late:
                answered.append((capture(name, TIMEOUT, detail="killed: out of time"), 0.0))
            else:
                words = "the probe's process ended (%s)" % ended_by(status)
                answered.append((capture(name, FAILED, detail=words), 0.0))
        return answered


def ended_by(status):
    if os.WIFSIGNALED(status):
        return "signal %d" % os.WTERMSIG(status)
    return "exit %d" % os.WEXITSTATUS(status)


def send(handle, row):
    data = marshal.dumps(row)
    data = struct.pack("I", len(data)) + data
    while data:
        data = data[os.write(handle, data) :]


def messages(data):
    """Return the rows in what a child sent; a cut one at the end is dropped."""
    rows, place = [], 0
    while place + 4 <= len(data):
        size = struct.unpack_from("I", data, place)[0]
        if place + 4 + size > len(data):
            break
        rows.append(marshal.loads(data[place + 4 : place + 4 + size]))
        place += 4 + size
    return rows


# --------------------------------------------------------------------------------------------
# Redaction: what identifies a machine, its network or its people becomes a typed placeholder, the
# same one wherever the same thing stands.

MAC = re.compile(r"(?<![0-9A-Fa-f:.-])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4,18}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])")
MAC_NAME = re.compile(r"(?<![0-9A-Za-z])(enx|wlx|wwx|ibx|usbx)([0-9a-f]{12})(?![0-9A-Za-z])")
BOOT_MAC = re.compile(r"(BOOTIF=)([0-9A-Fa-f-]{12,24})")
UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
PART_UUID = re.compile(r"(PARTUUID=|UUID=)([0-9A-Fa-f]{4,32}(?:-[0-9A-Fa-f]{2,4})*)(?![0-9A-Fa-f-])")
GUID = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{4}:){3}[0-9A-Fa-f]{4}(?![\w:])")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])")
IPV4 = re.compile(r"(?<![\w.+~:-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w+~-]|\.\d)")
IPV4_TAIL = re.compile(r"(?<=[=@/,:-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w+~-]|\.\d)")
VERSION_BEFORE = re.compile(r"(?:version|release|firmware|vbios|bios|driver|\bfw|\bv|revision|build)\W{0,6}$", re.I)
WWN = re.compile(r"\b(?:naa|eui|wwn|nguid|t10)[.-](?:0x)?[0-9A-Fa-f]{12,32}\b|\bwwn-0x[0-9a-f]+|\biqn\.\d{4}-\d\d\.[\w.:-]+"
                 r"|\bnqn\.\d{4}-\d\d\.[\w.:-]+|(?<![0-9A-Za-z])0x[125-6][0-9a-f]{15}(?![0-9a-f])")
SSH_BANNER = re.compile(r"SSH-\d\.\d+-[^\r\n\"\\]*")
SSH_KEY = re.compile(r"\b(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\w+)\s+[A-Za-z0-9+/=]{20,}|\bSHA256:[A-Za-z0-9+/]{43}\b")
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9][\w.-]{0,250}(?![\w-])")
URL_SECRET = re.compile(r"(\w{2,12}://)([^/\s:@\"']{1,100}:[^/\s@\"']{1,200})(?=@)")
HOME = re.compile(r"(/home/|/Users/|/var/home/)([^/\s:\"'\\,;]+)")
SECRET_FIELD = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)|secret|token|api_?key|auth(?!entic)|credential|identitytoken)[\w-]*[\"']?\s*[=:]\s*[\"']?)"
    r"([^\s\"',;«]{3,})"
)
SERIAL_FIELD = re.compile(
    r"(?i)((?:serial[ _-]?(?:number|no\.?)?|\bs/n|asset[ _-]?tag|service[ _-]?tag|gpu[ _-]?pdi|board[ _-]?id number|chassis[ _-]?serial"
    r"|system_id|partition_name|serial_number|sku_serial|system-id)[\"']?\s*[:=]\s*[\"']?(?:IBM,)?)([^\s\"',;<«][^\r\n\"',;<«]*)"
)
HOST_FIELD = re.compile(
    r"(?i)((?:\bhost[ _-]?name|\bnode[ _-]?name|systemd\.hostname|\bfqdn|\bdomain_?name|local_hostname)[\"']?\s*[:= ]\s*[\"']?)"
    r"([A-Za-z0-9][\w.-]*)"
)
XML_FIELD = re.compile(
    r"<((?:\w*serial\w*|uuid|gpu_uuid|host|hostname|chassis_serial_number|pdi|guid|c2c_\w*id|\w*wwn\w*))>([^<]+)</\1>", re.I)
SERIAL_KEY = re.compile(
    r"(?:^|[/_.-])(?:serial(?:[_-]?number)?|sn|asset_?tag|ppin|vpd|product_serial|board_serial|unique_id|eui|nguid|"
    r"wwid|wwn|partition_name)$", re.I)
UUID_KEY = re.compile(r"(?:^|[/_.-])(?:uuid|guid|node_guid|sys_image_guid|port_guid|machine-id|boot_id|phys_switch_id|system-id)$", re.I)
HOST_KEY = re.compile(r"(?:^|[/_.-])(?:hostname|nodename|host|domainname|fqdn|local_hostname|name_of_host)$")
SECRET_KEY = re.compile(r"(?:^|[/_.-])(?:pass(?:word|wd)|secret|token|api_?key|credentials?|auth)$", re.I)
NO_VALUE = re.compile(
    r"^\W*(?:|n/?a|none|null|unknown|empty|default string|not (?:specified|available|applicable|present|provided)"
    r"|to be filled.*|system serial number|chassis serial number|asset tag|no asset (?:tag|information)|0+|false|true|yes|no"
    r"|enabled|disabled|localhost|supported|unsupported)\W*$", re.I)
COMMON_WORDS = frozenset("""
admin amd arm bench build builder cloud compute cpu data debian default desktop dev docker gcc gpu guest
host ibm intel kernel kvm linux localhost local localdomain machine memory name net network nobody node none
nvidia power qemu root security server silicon software storage system test ubuntu unknown user version
virtual vm vms work x86 x86_64 aarch64 arm64 riscv64 s390x ppc64le git python java clang openssl
""".split())
#: Says nothing of this machine; the last is EFI's own name space for its variables.
KEPT_ADDRESSES = frozenset((
    "0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "00:00:00:00:00:00",
    "ff:ff:ff:ff:ff:ff", "8be4df61-93ca-11d2-aa0d-00e098032b8c"))
#: Text without any of these holds no address and no field: only learned words are looked for.
SUSPECT = re.compile(r"[:@=.<-]|/home|/Users|0x[0-9a-f]{15}|[0-9a-f]{12}|host|node|serial|tag", re.I)
#: Columns of names and versions: a version such as 1.2.3.4 is no address there.
VERSION_CAPTURES = re.compile(r"cmd:(dpkg-query|snap|rpm|[\w.+-]+)/(packages|list|version)$|probe:(libraries|library-calls)$")
#: Numbers only: sixteen hexadecimal digits are no world-wide name there.
NUMBER_CAPTURES = re.compile(r"probe:(cpuid|xcr0|xcomp|auxv|arm64|riscv|kvm|msr)|cmd:ld\.so/")


def redact(captures):
    """Return ``captures`` with what identifies a machine or its people replaced.

    Pure: works on a snapshot that was taken at any time, on any machine.

    :param captures: values with id, status, data (bytes), how, detail and format.
    :return: :class:`Capture` values in the same order; JSON stays JSON.
    """
    captures = list(captures)
    redactor = Redactor()
    for item in sorted(captures, key=lambda item: item.id):
        redactor.learn(item)
    redactor.prepare()
    changed = {item.id: redactor.capture(item) for item in sorted(captures, key=lambda item: item.id)}
    return [changed[item.id] for item in captures]


class Redactor(object):
    """Knows the names to look for and which placeholder stands for which."""

    def __init__(self):
        self.placeholders = {}
        self.counts = {}
        self.words = {}
        self.pattern = None
        self.known = {}

    def token(self, kind, value):
        """Return the placeholder of one value, the same for each of its spellings."""
        if "\u00ab" in value:
            return value
        key = (kind, plain(kind, value))
        if key not in self.placeholders:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.placeholders[key] = "\u00ab%s-%d\u00bb" % (kind, self.counts[kind])
        return self.placeholders[key]

    # -- learning

    def learn(self, item):
        text = item.data.decode("utf-8", "replace")
        if item.id == "probe:identity":
            self.learn_identity(text)
        elif item.id == "probe:uname":
            for name in re.findall(r"^nodename (\S+)", text, re.M):
                self.learn_host(name)
        elif item.id.endswith(("kernel/hostname", "/etc/hostname")):
            self.learn_host(text.strip())
        elif item.id.startswith("tree:"):
            self.learn_tree(text)
        for match in SERIAL_FIELD.finditer(text):
            self.learn_word("serial", match.group(2).strip())
        for match in XML_FIELD.finditer(text):
            self.learn_word("uuid" if "uid" in match.group(1).lower() else "serial", match.group(2))
        for match in HOME.finditer(text):
            self.learn_word("user", match.group(2))

    def learn_identity(self, text):
        for line in text.splitlines():
            kind, _, name = line.partition(" ")
            if kind == "hostname":
                self.learn_host(name.strip())
            elif kind in ("user", "machine-id"):
                self.learn_word("user" if kind == "user" else "uuid", name.strip())

    def learn_host(self, name):
        self.learn_word("host", name)
        if "." in name:
            self.learn_word("host", name.split(".")[0])

    def learn_tree(self, text):
        for key, value in json_object(text).items():
            if isinstance(value, str):
                kind = key_kind(key)
                if kind in ("serial", "uuid"):
                    self.learn_word(kind, value.strip())
                elif key.endswith("address"):
                    for match in MAC.finditer(value):
                        self.learn_word("mac", re.sub("[:-]", "", match.group(0)))

    def learn_word(self, kind, word):
        """Keep a word to be replaced wherever it stands, unless it is too common to mean anything."""
        if len(word) < 4 or word.lower() in COMMON_WORDS or NO_VALUE.match(word) or "\u00ab" in word:
            return
        if kind in ("serial", "mac") and (len(word) < 5 or not re.search(r"\d", word)):
            return
        if kind == "mac" and not word.strip("0fF"):
            return
        self.words.setdefault(word.lower(), kind)

    def prepare(self):
        words = sorted(self.words, key=len, reverse=True)[:5000]
        if words:
            joined_words = "|".join(re.escape(word) for word in words)
            self.pattern = re.compile(r"(?<![A-Za-z0-9])(?:%s)(?![A-Za-z0-9])" % joined_words, re.I)

    # -- replacing

    def capture(self, item):
        how = self.text(item.how, item.id)
        detail = self.text(item.detail, item.id)
        status = getattr(item.status, "value", item.status)
        return Capture(self.name(item.id), status, self.data(item), how, detail, item.format)

    def name(self, capture_id):
        return self.text(capture_id, capture_id)

    def data(self, item):
        if item.data[:2] == b"\x1f\x8b":
            return self.packed(item)
        try:
            text = item.data.decode("utf-8")
        except UnicodeDecodeError:
            return self.text(item.data.decode("latin-1"), item.id).encode("latin-1", "replace")
        if item.id in ("probe:identity", "probe:uname"):
            text = self.identity(text)
        if item.id.endswith(("kernel/hostname", "/etc/hostname")) and text.strip():
            return self.token("host", text.strip()).encode("utf-8") + b"\n"
        if text[:1] in "{[":
            return self.json(text, item.id).encode("utf-8", "surrogateescape")
        return self.text(text, item.id).encode("utf-8", "surrogateescape")

    def packed(self, item):
        """Redact what is in gzip, such as /proc/config.gz; bytes without a find stay as they are."""
        try:
            text = zlib.decompressobj(31).decompress(item.data, MAX_TOTAL)
        except zlib.error:
            return item.data
        inner = self.data(item._replace(data=text) if hasattr(item, "_replace")
                          else Capture(item.id, "ok", text, "", "", ""))
        return item.data if inner == text else gzip_bytes(inner)

    def identity(self, text):
        """Replace every name of the captures that hold nothing else, common ones too."""
        lines = []
        for line in text.splitlines():
            field, _, value = line.partition(" ")
            kind = {"hostname": "host", "nodename": "host", "user": "user", "machine-id": "uuid"}.get(field)
            lines.append("%s %s" % (field, self.token(kind, value) if kind and value else value))
        return "\n".join(lines) + "\n" if lines else text

    def json(self, text, capture_id):
        """Redact JSON value by value; a stream of documents, or a broken one, as text."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text, capture_id)
        changed = self.value(document, "", capture_id)
        if changed == document:
            return text
        return json.dumps(changed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    def value(self, value, key, capture_id):
        if isinstance(value, dict):
            return {self.text(k, capture_id): self.value(v, k, capture_id) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(entry, key, capture_id) for entry in value]
        if not isinstance(value, str):
            return value
        kind = key_kind(key)
        if kind == "host" and capture_id.startswith("tree:"):
            kind = None
        if key == "Name" and capture_id.startswith(("cmd:docker/info", "cmd:podman/info")):
            kind = "host"
        if kind and not NO_VALUE.match(value.strip()) and "\u00ab" not in value:
            return self.token(kind, value.strip()) + ("\n" if value.endswith("\n") else "")
        return self.text(value, capture_id)

    def text(self, text, capture_id):
        """Replace in running text; short texts come again and again, so they are remembered."""
        if len(text) > 256:
            return self.replaced(text, capture_id)
        key = (text, bool(NUMBER_CAPTURES.match(capture_id)), bool(VERSION_CAPTURES.match(capture_id)))
        if key not in self.known:
            if len(self.known) > 100000:
                self.known.clear()
            self.known[key] = self.replaced(text, capture_id) if SUSPECT.search(text) else self.worded(text)
        return self.known[key]

    def worded(self, text):
        return self.pattern.sub(self.word, text) if self.pattern else text

    def replaced(self, text, capture_id):
        """Replace from the most particular notation to the plainest."""
        text = SSH_BANNER.sub(self.by("ssh-banner"), text)
        text = SSH_KEY.sub(self.by("ssh-key"), text)
        text = URL_SECRET.sub(self.second("secret"), text)
        text = SECRET_FIELD.sub(self.secret, text)
        text = XML_FIELD.sub(self.xml, text)
        text = SERIAL_FIELD.sub(self.second("serial"), text)
        text = HOME.sub(self.second("user"), text)
        text = UUID.sub(self.by("uuid"), text)
        text = PART_UUID.sub(self.second("uuid"), text)
        text = BOOT_MAC.sub(self.second("mac"), text)
        text = MAC.sub(self.by("mac"), text)
        text = MAC_NAME.sub(self.second("mac"), text)
        if not NUMBER_CAPTURES.match(capture_id):
            text = WWN.sub(self.by("wwn"), text)
            text = GUID.sub(self.by("guid"), text)
            text = IPV6.sub(self.ipv6, text)
        if not VERSION_CAPTURES.match(capture_id):
            text = IPV4.sub(self.ipv4, text)
            text = IPV4_TAIL.sub(self.ipv4, text)
        text = EMAIL.sub(self.by("email"), text)
        text = HOST_FIELD.sub(self.second("host"), text)
        return self.worded(text)

    def by(self, kind):
        def replaced(match):
            found = match.group(0)
            return found if found.lower() in KEPT_ADDRESSES else self.token(kind, found)

        return replaced

    def second(self, kind):
        """Replace a match's second group, unless it says that there is none."""

        def replaced(match):
            value = match.group(2).strip()
            after = match.string[match.end() : match.end() + 2]
            if NO_VALUE.match(value) or "\u00ab" in value + after:
                return match.group(0)  # says that there is none, or was replaced before
            if kind in ("user", "host") and value.lower() in COMMON_WORDS and kind != "host":
                return match.group(0)
            return match.group(1) + self.token(kind, value)

        return replaced

    def secret(self, match):
        value = match.group(2)
        if NO_VALUE.match(value) or re.match(r"(?:0x)?\d{1,10}$", value):
            return match.group(0)
        return match.group(1) + self.token("secret", value)

    def xml(self, match):
        name, value = match.group(1), match.group(2)
        if NO_VALUE.match(value.strip()):
            return match.group(0)
        lower = name.lower()
        kind = "host" if "host" in lower else "uuid" if "uid" in lower else "serial"
        return "<%s>%s</%s>" % (name, self.token(kind, value.strip()), name)

    def ipv6(self, match):
        found = match.group(0)
        digits = sum(sign in "0123456789abcdefABCDEF" for sign in found)
        if found in KEPT_ADDRESSES or digits < 4:
            return found
        try:
            socket.inet_pton(socket.AF_INET6, found)
        except (OSError, ValueError):
            return found
        return self.token("ipv6", found)

    def ipv4(self, match):
        found = match.group(0)
        before = match.string[max(0, match.start() - 24) : match.start()]
        if found in KEPT_ADDRESSES or found.startswith("255.") or VERSION_BEFORE.search(before):
            return found
        return self.token("ipv4", found)

    def word(self, match):
        found = match.group(0)
        return self.token(self.words[found.lower()], found)


def plain(kind, value):
    """Return one spelling for all of a value's."""
    value = value.strip().lower()
    return re.sub(r"[:-]", "", value) if kind in ("mac", "uuid", "guid") else value


def key_kind(key):
    """Say what the value of a JSON key, or of a file's name, identifies."""
    for kind, pattern in (("secret", SECRET_KEY), ("serial", SERIAL_KEY), ("uuid", UUID_KEY), ("host", HOST_KEY)):
        if pattern.search(key):
            return kind
    return None


def json_object(text):
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def gzip_bytes(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


# --------------------------------------------------------------------------------------------
# Software only (--software): what a release's programs and libraries can do on any CPU. What they
# chose on the CPU that ran them is left out: it is none of the release's.

OPENSSL_VERSION = "openssl version -v -b -o -p -f"
SUBDIRECTORY = re.compile(r"^ {2}(\S+)(?: \([^)]*\))?$", re.M)
TUNABLE = re.compile(r"^(glibc\.[\w.]+):", re.M)
X86_FEATURE = re.compile(r"^\s+x86_cpu_(\w+)\s*(?:=|,)", re.M)
HWCAP = re.compile(r"^#define\s+(HWCAP\d?_\w+)\s", re.M)
#: Headers of the C library that name the CPU features that it knows.
FEATURE_HEADERS = (
    ("/usr/include/{triplet}/bits/platform/x86.h", X86_FEATURE),
    ("/usr/include/{triplet}/bits/hwcap.h", HWCAP),
)
OPENBLAS_CORE = re.compile(rb"\0gotoblas_([A-Z0-9_]{2,40})(?=\0)")
OPENBLAS_VERSION = re.compile(rb"OpenBLAS \d+(?:\.\d+)+")
MAX_LIBRARY = 128 << 20
VERSION_CALLS = re.compile(r"[vV]ersion")
#: What a numerical package says of itself that does not depend on the CPU.
SOFTWARE_REPORT = "version baseline dispatch build providers mkldnn error python".split()
CPU_MAP = "/usr/share/libvirt/cpu_map"


def record_os_release(context):
    """Record who the release is, without the addresses of its web sites."""
    item = record_file(context, "/etc/os-release")
    lines = [line for line in item.data.splitlines(True) if b"_URL=" not in line]
    return item._replace(data=b"".join(lines), how=item.how + ", without URLs")


def record_openssl_version(context):
    """Ask for each part of ``version -a`` that does not tell of the CPU."""
    return record_command(context, command("cmd:openssl/version", OPENSSL_VERSION))


def record_loader_words(context, topic, option, pattern):
    """Record the names that the loader lists, without what it says of this CPU about each."""
    capture_id, path = "cmd:ld.so/" + topic, loader_path()
    if path is None:
        return capture(capture_id, ABSENT, how="ld.so " + option, detail="no loader known here")
    result = run(context, (path, option))
    text = result.out.decode("utf-8", "replace")
    if option == "--help":
        text = text.partition("Subdirectories of glibc-hwcaps directories")[2].partition("\n\n")[0]
    words = unique(pattern.findall(text))
    how = joined((path, option)) + ": the names only"
    return capture(capture_id, result.status, "".join(w + "\n" for w in words), how, detail_of(result))


def record_known_features(context):
    """Record the CPU features that the C library's headers name."""
    capture_id = "cmd:ld.so/known-features"
    for path, pattern in FEATURE_HEADERS:
        path = context.expand(path)
        text = "\n".join(small_lines(context.at(path)))
        names = [name for name in unique(pattern.findall(text)) if not name.startswith("index_")]
        if names:
            return capture(capture_id, OK, "".join(name.lower() + "\n" for name in names), path)
    return capture(capture_id, ABSENT, how=path, detail="no header of the C library names features")


def record_openblas(context):
    """Record the kernels that OpenBLAS holds, from its file: the program would name the one it chose."""
    lines = []
    for soname, path in library_cache():
        if soname.startswith("libopenblas"):
            data = read_bytes(os.path.realpath(path), MAX_LIBRARY)[0]
            cores = sorted(set(OPENBLAS_CORE.findall(data)))
            lines += ["%s %s\n" % (soname, core.decode("ascii")) for core in cores]
    status = OK if lines else ABSENT
    return capture("probe:openblas-kernels", status, "".join(lines), "symbols gotoblas_NAME in the library's file")


def probe_library_versions():
    """Ask libraries for their versions; OpenBLAS's file for its own: the call names the chosen kernel."""
    lines = []
    for name, path in library_cache():
        for prefix, function, kind in LIBRARY_CALLS:
            if name.startswith(prefix) and VERSION_CALLS.search(function):
                lines += library_answer(name, path, function, kind)
        if name.startswith("libopenblas"):
            found = OPENBLAS_VERSION.search(read_bytes(os.path.realpath(path), MAX_LIBRARY)[0])
            if found:
                lines.append("openblas_get_config %s %s\n" % (name, found.group(0).decode("ascii")))
    how = "dlopen, then the call; openblas_get_config: the version in the library's file"
    return capture("probe:library-calls", OK, "".join(lines), how, SOFTWARE_ONLY)


def software_report(report):
    """Leave of what a package says of itself what does not depend on the CPU."""
    kept = {key: report[key] for key in SOFTWARE_REPORT if key in report}
    config = report.get("config")
    if isinstance(config, dict):
        kept["config"] = {key: config[key] for key in ("Build Dependencies",) if key in config}
    return kept


def record_software_numerics(context):
    item = imported_numerics(context)
    found = json_object(item.data.decode("utf-8", "replace"))
    reports = {name: software_report(report) for name, report in found.items()}
    return item._replace(data=json.dumps(reports, sort_keys=True).encode("utf-8"))


def record_cpu_map(context):
    """Record libvirt's CPU map as lines: what it calls a feature, and what each model demands."""
    capture_id = "tree:" + CPU_MAP
    names = [name for name in listed(context, CPU_MAP) if name.endswith(".xml")]
    if not names:
        return capture(capture_id, ABSENT, how=CPU_MAP, detail="not installed")
    entries, problems = {}, []
    for name in names:
        try:
            lines = cpu_map_lines(read_bytes(context.at(CPU_MAP + "/" + name), MAX_CAPTURE)[0])
        except (OSError, ValueError, SyntaxError) as error:
            problems.append("%s: %s" % (name, error))
            continue
        if lines:
            entries[name] = "".join(line + "\n" for line in lines)
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    how = CPU_MAP + "/*.xml: the names of features and models, and the features of each model"
    return capture(capture_id, OK if entries else FAILED, text, how, "; ".join(problems)[:1000])


def cpu_map_lines(data):
    """Return the lines of one file of the map; of the features only their names."""
    from xml.etree import ElementTree

    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("it declares entities")
    root = ElementTree.fromstring(data)
    lines = ["feature %s" % row.get("name") for row in root.findall("feature")]
    for model in root.findall("model"):
        lines.append("model %s" % model.get("name"))
        lines += ["base %s" % row.get("name") for row in model.findall("model")]
        for row in model.findall("feature"):
            marks = [mark for mark in ("removed", "added") if row.get(mark) == "yes"]
            lines.append(" ".join(["needs %s" % row.get("name")] + marks))
    return lines


def software_tasks(context):
    """Return the tasks of --software: what reads files, and what starts processes."""
    reading = [Task("file:" + found, record_file, (found,))
               for path in SOFTWARE_FILES for found in expanded(context, context.expand(path))]
    reading += [Task("file:/etc/os-release", record_os_release),
                Task("list:glibc-hwcaps", record_hwcaps_directories),
                Task("cmd:ld.so/known-features", record_known_features),
                Task("probe:collector", record_software_collector),
                Task("tree:" + CPU_MAP, record_cpu_map)]
    commands = [Task(row.id, record_command, (row,), 10) for row in COMMANDS if row.id in SOFTWARE_COMMANDS]
    commands += [
        Task("cmd:dpkg-query/packages", record_packages, (), 30),
        Task("cmd:openssl/version", record_openssl_version, (), 15),
        Task("cmd:ld.so/version", record_loader, ("version", "--version"), 6),
        Task("cmd:ld.so/subdirectories", record_loader_words, ("subdirectories", "--help", SUBDIRECTORY), 6),
        Task("cmd:ld.so/tunable-names", record_loader_words, ("tunable-names", "--list-tunables", TUNABLE), 6),
        Task("probe:openblas-kernels", record_openblas, (), 20),
        Task("cmd:python3/numerics", record_software_numerics, (), 50),
        Task(qemu_id(context, "version"), record_qemu_version, (), 50),
        Task(qemu_id(context, "qmp"), record_qmp, (), 150),
    ]
    return reading, commands + compiler_tasks(context)


def probe_dpdk_version():
    """Record DPDK's version as its library states it: its programs want huge pages to start."""
    capture_id, how = "cmd:dpdk/version", "dlopen librte_eal, then rte_version()"
    for name, path in library_cache():
        if name.startswith("librte_eal"):
            lines = library_answer(name, path, "rte_version", "s")
            if lines:
                return capture(capture_id, OK, lines[0].split(" ", 2)[2], path + ": rte_version()")
    return capture(capture_id, ABSENT, how=how, detail="not installed")


def record_software_collector(context):
    facts = (("version", VERSION), ("mode", "software"), ("python", platform.python_version()),
             ("pointer-bits", struct.calcsize("P") * 8), ("byteorder", sys.byteorder))
    return capture("probe:collector", OK, "".join("%s %s\n" % fact for fact in facts), "the collector itself")


# --------------------------------------------------------------------------------------------
# The plan: what there is to record, and its execution.


class Task(object):
    """One capture to be had: a function of the context, and what it costs (milliseconds)."""

    def __init__(self, capture_id, function, arguments=(), cost=0, deep=False):
        self.id, self.function, self.arguments = capture_id, function, arguments
        self.cost, self.deep = cost, deep

    def run(self, context):
        if self.deep and not context.deep:
            return capture(self.id, ABSENT, detail=LEFT_TO_DEEP)
        if context.left() <= 0:
            return capture(self.id, TIMEOUT, detail="the time for all captures was spent before")
        try:
            return self.function(context, *self.arguments)
        except OSError as error:
            return capture(self.id, status_of(error), detail=str(error))
        except Exception as error:  # one capture must never cost the others
            return capture(self.id, FAILED, detail="%s: %s" % (type(error).__name__, error))


def tree_tasks(context):
    tasks = [Task("tree:" + CPU, record_cpu_tree)]
    tasks += [Task("tree:" + directory, record_tree, (directory, patterns)) for directory, patterns in TREES]
    for name in MODULES:
        directory = "/sys/module/" + name
        tasks.append(Task("tree:" + directory, record_tree, (directory, "parameters/* version")))
    return tasks


def list_tasks(context):
    tasks = [Task("list:" + path, record_list, (path,)) for path in LISTS]
    tasks.append(Task("list:/dev", record_dev))
    tasks.append(Task("list:glibc-hwcaps", record_hwcaps_directories))
    tasks.append(Task("probe:dev-access", record_dev_access))
    return tasks


def own_tasks(context):
    return [
        Task("probe:uname", record_uname),
        Task("probe:environment", record_environment),
        Task("probe:collector", record_collector),
        Task("probe:net-drivers", record_drivers),
    ]


#: Roughly what a command costs, so that the longest start first. Milliseconds, where above 10.
COSTS = {
    "cmd:nvidia-smi/query": 400, "cmd:rocminfo/agents": 300, "cmd:virsh/domcapabilities": 300,
    "cmd:java/version": 60, "cmd:postgres/version": 25, "cmd:virsh/version": 20,
    "cmd:openssl/version": 15, "cmd:docker/version": 25, "cmd:docker/info": 60,
    "cmd:systemd-detect-virt": 11, "cmd:ovs-vswitchd/version": 15, "cmd:snap/list": 50,
}


def command_tasks(context):
    tasks = [
        Task(row.id, record_command, (row,), COSTS.get(row.id, 10), row.deep) for row in COMMANDS
    ]
    for topic, option in LOADER_TOPICS:
        tasks.append(Task("cmd:ld.so/" + topic, record_loader, (topic, option), 6))
    for name in physical_interfaces(context)[: 64 if context.deep else 8]:
        tasks.append(Task("cmd:ethtool/" + name, record_ethtool, (name,), 5))
    tasks.append(Task(qemu_id(context, "version"), record_qemu_version, (), 50, qemu_path(context) is not None))
    tasks.append(Task(qemu_id(context, "qmp"), record_qmp, (), 150))
    tasks.append(Task("cmd:ovs-appctl/impl", record_ovs, (), 10))
    tasks.append(Task("cmd:dmesg/excerpt", record_log, (), 15))
    tasks.append(Task("cmd:python3/numerics", record_numerics, (), 1))
    return tasks + compiler_tasks(context)


def planned(context):
    """Return every task: what reads files, and what starts processes."""
    if context.software:
        return software_tasks(context)
    reading = file_tasks(context) + list_tasks(context) + tree_tasks(context)
    reading.append(Task("probe:identity", record_identity))
    packages = Task("cmd:dpkg-query/packages", record_packages, (), 30)
    if context.root:
        return reading, [packages]
    return reading + own_tasks(context), [packages] + command_tasks(context)


def wanted(capture_id, prefixes):
    return not prefixes or any(capture_id.startswith(prefix) for prefix in prefixes)


class Recorder(object):
    """Runs the tasks: files in one thread, commands in a few, probes in forked children."""

    def __init__(self, context, options):
        self.context, self.options = context, options
        self.captures, self.timing = {}, {}
        self.lock = threading.Lock()

    def record(self):
        """Return the captures, by id; whatever did not end in time is there as such."""
        forks = self.forks()
        reading, commands = [self.selected(tasks) for tasks in planned(self.context)]
        commands.sort(key=lambda task: -task.cost)
        self.pending = {task.id for task in reading + commands}
        self.pending.update(name for fork in forks for name in fork.ids)
        threads = [threading.Thread(target=self.receive, args=(fork,)) for fork in forks]
        threads += [threading.Thread(target=self.work, args=(commands,)) for _ in range(self.options.jobs)]
        threads.append(threading.Thread(target=self.work, args=(reading,)))
        for thread in threads:
            thread.daemon = True
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.context.left()) + 2.0)
        self.give_up()
        return self.captures

    def selected(self, tasks):
        return [task for task in tasks if wanted(task.id, self.options.only)]

    def forks(self):
        if self.context.root:
            return []
        groups = []
        for probes in probe_groups(self.context.machine, self.context.software):
            groups.append([p for p in probes if wanted(p[0], self.options.only)])
        return [Fork(probes) for probes in groups if probes]

    def work(self, tasks):
        while True:
            with self.lock:
                if not tasks:
                    return
                task = tasks.pop(0)
            began = time.time()
            self.keep(task.run(self.context), time.time() - began)

    def receive(self, fork):
        for row, seconds in fork.receive(self.context):
            self.keep(row, seconds)

    def keep(self, row, seconds):
        with self.lock:
            room = self.context.max_bytes - self.context.bytes
            if len(row.data) > room:
                row = row._replace(status=TRUNCATED, data=row.data[: max(0, room)],
                                   detail="the bytes for all captures were spent")
            self.context.bytes += len(row.data)
            self.captures[row.id] = row
            self.timing[row.id] = seconds
            self.pending.discard(row.id)

    def give_up(self):
        with self.lock:
            for name in self.pending:
                self.captures[name] = capture(name, TIMEOUT, detail="did not end in time")


# --------------------------------------------------------------------------------------------
# The snapshot.


def encoded(data):
    """Return how ``data`` stands in JSON: as it is, packed, or in base64."""
    if len(data) > COMPRESS_FROM:
        packed = zlib.compress(data, 1)
        if len(packed) * 2 < len(data):
            return "zlib+base64", base64.b64encode(packed).decode("ascii")
    try:
        return "utf-8", data.decode("utf-8")
    except UnicodeDecodeError:
        return "base64", base64.b64encode(data).decode("ascii")


def json_line(row):
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def capture_line(item):
    row = {"id": item.id, "status": item.status}
    if item.data:
        row["encoding"], row["data"] = encoded(item.data)
    for key in ("how", "detail", "format"):
        if getattr(item, key):
            row[key] = getattr(item, key)
    return json_line(row)


def header_line(machine, redacted, kind):
    return json_line({
        "schema": SCHEMA, "kind": kind, "origin": "collector " + VERSION,
        "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "arch": machine, "redacted": redacted,
    })


def write_snapshot(out, captures, machine, redacted, kind="machine"):
    out.write(header_line(machine, redacted, kind))
    for item in captures:
        out.write(capture_line(item))
    out.write(json_line({"end": True, "captures": len(captures)}))
    out.flush()


def show_timing(timing):
    for name, seconds in sorted(timing.items(), key=lambda row: -row[1])[:40]:
        sys.stderr.write("%7.1f ms  %s\n" % (seconds * 1000, name))


def show_plan(context, options):
    """Print the id of each capture that would be tried, one a line."""
    names = [task.id for tasks in planned(context) for task in tasks]
    if not context.root:
        names += [name for probes in probe_groups(context.machine, context.software) for name, _ in probes]
    left = {task.id for tasks in planned(context) for task in tasks if task.deep and not context.deep}
    for name in sorted(set(names)):
        if wanted(name, options.only):
            print(name + (" (%s)" % LEFT_TO_DEEP if name in left else ""))


def collect(options):
    """Record this machine and return its captures in order of id, redacted if asked for.

    To be called before the process has threads: the probes fork.
    """
    context = Context(options)
    recorder = Recorder(context, options)
    try:
        captures = recorder.record()
    finally:
        context.close()
    if options.timing:
        show_timing(recorder.timing)
    rows = [captures[name] for name in sorted(captures)]
    return redact(rows) if options.redact else rows


def positive(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def option_parser():
    parser = argparse.ArgumentParser(
        prog="collector", description="Record this machine; write an uplift snapshot to standard output.")
    add = parser.add_argument
    add("--deep", action="store_true", help="also record what takes seconds or minutes")
    add("--software", action="store_true",
        help="only what the installed software can do, nothing of this machine; includes --deep")
    add("--redact", action="store_true", help="replace serials, addresses and names by placeholders")
    add("--only", action="append", default=[], metavar="PREFIX", help="only captures whose id starts so")
    add("--budget", type=positive, metavar="SECONDS", help="for everything (60, with --deep 600)")
    add("--max-bytes", type=int, default=MAX_TOTAL, metavar="BYTES", help="of all captures")
    add("--jobs", type=int, default=4, metavar="N", help="commands at a time (4)")
    add("--roots", metavar="DIRECTORY", help="read files below another root; run no probe")
    add("--list", action="store_true", help="print what would be recorded, and end")
    add("--timing", action="store_true", help="print the slowest captures to standard error")
    return parser


def parsed_options(arguments=None):
    options = option_parser().parse_args(arguments)
    options.budget = options.budget or (DEEP_BUDGET if options.deep else QUICK_BUDGET)
    options.jobs = max(1, min(options.jobs, 32))
    return options


def stop(number, frame):
    raise KeyboardInterrupt


def main(arguments=None):
    options = parsed_options(arguments)
    if options.list:
        show_plan(Context(options), options)
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        rows = collect(options)
        kind = "release" if options.software else "machine"
        write_snapshot(sys.stdout.buffer, rows, platform.machine(), options.redact, kind)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())
