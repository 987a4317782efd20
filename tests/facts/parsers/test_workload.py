"""Network, GPU and container stacks."""

from __future__ import annotations

import json

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, why_unknown
from uplift.facts.model import CaptureStatus, Facts
from uplift.facts.parsers import containers, dpdk, ethtool, nvidia, ovs, rocm
from uplift.facts.snapshot_file import load

OVS, OVN = ovs.PARSERS
NVIDIA, CUDA = nvidia.PARSERS


def _table(**columns: object) -> str:
    return json.dumps({"headings": list(columns), "data": [list(columns.values())]})


CONFIG = _table(
    ovs_version="3.5.0",
    dpdk_initialized=True,
    dpdk_version="DPDK 24.11.1",
    datapath_types=["set", ["netdev", "system"]],
    other_config=["map", [["hw-offload", "true"], ["dpdk-init", "true"]]],
)
IMPLEMENTATIONS = """\
== dpif-netdev/dpif-impl-get
Available DPIF implementations:
  dpif_scalar (pmds: none)
  dpif_avx512 (pmds: 1,2)
== dpif-netdev/miniflow-parser-get
Available Optimized Miniflow Extracts:
  scalar (available: True, pmds: 1,2)
  avx512_vbmi (available: False, pmds: none)
== dpif-netdev/subtable-lookup-info-get
Available dpcls implementations:
  autovalidator (Use count: 0, Priority: 0)
  avx512_gather (Use count: 5, Priority: 3)
"""


def test_the_switchs_configuration_and_what_nobody_set():
    facts = facts_of(OVS, {"cmd:ovs-vsctl/show-config": CONFIG})
    assert facts.value("ovs.config.hw-offload") == "true"
    assert facts.value("ovs.config.tc-policy") == ""
    assert facts.value("ovs.dpdk_initialized") is True
    assert facts.value("ovs.datapath_types") == {"netdev", "system"}


def test_implementations_that_are_there_and_those_in_use():
    facts = facts_of(OVS, {"cmd:ovs-appctl/impl": IMPLEMENTATIONS})
    assert facts.value("ovs.dpif") == {"dpif_scalar", "dpif_avx512"}
    assert facts.value("ovs.dpif_used") == {"dpif_avx512"}
    assert facts.value("ovs.miniflow") == {"scalar"}
    assert facts.value("ovs.lookup_used") == {"avx512_gather"}


def test_ovns_options_are_read_from_its_northbound_table():
    captures = {
        "cmd:ovn-nbctl/global": _table(options=["map", [["use_logical_dp_groups", "true"]]]),
        "cmd:ovn-nbctl/version": "ovn-nbctl 25.03.0\nOpen vSwitch Library 3.5.0\n",
    }
    facts = facts_of(OVN, captures)
    assert facts.value("ovn.option.use_logical_dp_groups") == "true"
    assert facts.value("ovn.version") == "25.03.0"


def test_an_offload_that_is_off_and_not_fixed_could_be_switched_on():
    text = (
        "Features for eth0:\nhw-tc-offload: off\n\ttx-tcp-segmentation: on\nrx-fcs: off [fixed]\n"
    )
    facts = facts_of(ethtool.PARSER, {"cmd:ethtool/eth0": text})
    assert facts.value("net.offload.eth0.hw-tc-offload") == "off"
    assert facts.value("net.offloads_on") == {"tx-tcp-segmentation"}
    assert facts.value("net.offloads_able") == {"hw-tc-offload", "tx-tcp-segmentation"}


def test_dpdks_version_is_told_by_its_program_or_its_pkgconfig_file():
    captures = {"cmd:dpdk/version": "EAL: RTE Version: 'DPDK 24.11.1'\n"}
    assert facts_of(dpdk.PARSER, captures).value("dpdk.version") == "24.11.1"
    file = {"file:/usr/lib/x86_64-linux-gnu/pkgconfig/libdpdk.pc": "Name: DPDK\nVersion: 22.11.5\n"}
    assert facts_of(dpdk.PARSER, file).value("dpdk.version") == "22.11.5"


QUERY = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><driver_version>580.95.05</driver_version><cuda_version>13.0</cuda_version>
<gpu id="0"><product_name>NVIDIA H200</product_name><addressing_mode>ATS</addressing_mode>
<mig_mode><current_mig>Disabled</current_mig></mig_mode><gsp_firmware_version>N/A</gsp_firmware_version>
</gpu></nvidia_smi_log>"""


def test_a_gpus_state_is_read_from_the_drivers_xml():
    facts = facts_of(NVIDIA, {"cmd:nvidia-smi/query": QUERY})
    assert facts.value("gpu.nvidia.driver") == "580.95.05"
    assert facts.value("gpu.nvidia.count") == 1
    assert facts.value("gpu.nvidia.product") == {"NVIDIA H200"}
    assert facts.value("gpu.nvidia.mig_mode") == {"Disabled"}
    assert facts.value("gpu.nvidia.gsp_firmware") is None


def test_the_kernels_open_module_is_told_from_the_closed_one():
    line = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"
    facts = facts_of(NVIDIA, {"file:/proc/driver/nvidia/version": line})
    assert facts.value("gpu.nvidia.open_module") is True
    assert facts.value("gpu.nvidia.module_version") == "580.95.05"


ROCMINFO = """\
ROCk module version 6.10.5 is loaded
=====================
HSA System Attributes
=====================
Runtime Version:         1.15
*******
Agent 1
*******
  Name:                    AMD EPYC 9575F
  Device Type:             CPU
*******
Agent 2
*******
  Name:                    gfx942
  Marketing Name:          AMD Instinct MI300X
  Device Type:             GPU
    Name:                    amdgcn-amd-amdhsa--gfx942
"""


def test_only_agents_that_are_gpus_count():
    facts = facts_of(rocm.PARSER, {"cmd:rocminfo/agents": ROCMINFO})
    assert facts.value("gpu.amd.count") == 1
    assert facts.value("gpu.amd.isa") == {"gfx942"}
    assert facts.value("gpu.amd.module_loaded") is True


def test_a_container_runtimes_devices_are_told_by_its_runtimes_and_cdi():
    captures = {
        "cmd:docker/info": json.dumps({"Runtimes": {"runc": {}, "nvidia": {}}, "CDISpecDirs": []}),
        "cmd:docker/version": "Docker version 28.2.2, build e6534b4\n",
        "list:/etc/cdi": "nvidia.yaml\n",
    }
    facts = facts_of(containers.PARSER, captures)
    assert facts.value("container.docker.runtimes") == {"runc", "nvidia"}
    assert facts.value("container.docker.version") == "28.2.2"
    assert facts.value("container.cdi.etc") == {"nvidia.yaml"}


@pytest.mark.parametrize(
    ("parser", "capture", "broken", "fact"),
    [
        (OVS, "cmd:ovs-vsctl/show-config", "{}", "ovs.config.hw-offload"),
        (OVS, "cmd:ovs-vsctl/show-config", '{"headings":[],"data":[]}', "ovs.config.x"),
        (OVS, "cmd:ovs-appctl/impl", "2026-01-01|ERR\n", "ovs.dpif"),
        (OVN, "cmd:ovn-nbctl/version", "?\n", "ovn.version"),
        (ethtool.PARSER, "cmd:ethtool/eth0", "no device\n", "net.offloads_on"),
        (dpdk.PARSER, "cmd:dpdk/version", "?\n", "dpdk.version"),
        (NVIDIA, "cmd:nvidia-smi/query", "<html/>", "gpu.nvidia.driver"),
        (NVIDIA, "cmd:nvidia-smi/query", "NVIDIA-SMI has failed", "gpu.nvidia.driver"),
        (
            NVIDIA,
            "cmd:nvidia-smi/query",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "gpu.nvidia.x",
        ),
        (CUDA, "file:/usr/local/cuda/version.json", "[]", "cuda.version"),
        (CUDA, "cmd:nvcc/version", "?\n", "cuda.compiler"),
        (rocm.PARSER, "cmd:rocminfo/agents", "?\n", "gpu.amd.count"),
        (containers.PARSER, "cmd:docker/info", "[]", "container.docker.runtimes"),
        (containers.PARSER, "cmd:runc/version", "?\n", "container.runc.version"),
    ],
)
def test_broken_answers_are_unknown(parser, capture, broken, fact):
    assert "could not be read" in why_unknown(parser, {capture: broken}, fact)


def test_a_machine_without_a_gpu_says_that_its_tool_was_absent():
    facts = facts_of(NVIDIA, {"cmd:nvidia-smi/query": CaptureStatus.ABSENT})
    assert facts.get("gpu.nvidia.driver").not_there


def test_a_real_machines_versions_are_read():
    milan = load(RECORDINGS / "software" / "milan.jsonl.gz")
    facts = Facts(milan, (*ovs.PARSERS, *nvidia.PARSERS, containers.PARSER))
    assert facts.value("ovs.version") == "3.1.0"
    assert facts.value("cuda.compiler") == "13.0.88"
    assert facts.value("container.docker.version") == "28.2.2"
    assert facts.get("ovn.version").not_there


def test_a_sosreports_texts_of_switch_and_docker_are_read():
    listed = (
        "_uuid               : 1\n"
        'other_config        : {dpdk-init="true", hw-offload="true"}\n'
        'ovs_version         : "2.17.9"\ndpdk_initialized    : true\n'
    )
    facts = facts_of(OVS, {"cmd:ovs-vsctl/list": listed})
    assert facts.value("ovs.config.hw-offload") == "true"
    assert facts.value("ovs.dpdk_initialized") is True
    assert facts.value("ovs.database_version") == "2.17.9"
    docker = " Server Version: 24.0\n Runtimes: io.containerd.runc.v2 nvidia\n"
    facts = facts_of(containers.PARSER, {"cmd:docker/info": docker})
    assert facts.value("container.docker.runtimes") == {"io.containerd.runc.v2", "nvidia"}
