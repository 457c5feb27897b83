"""A whole cluster in the guest, its nodes' Open vSwitch on the kernel datapath."""

import json
from pathlib import Path

import pytest

from topologies.guest import DEFAULT_MODULES, run_in_guest

SCENARIO = Path(__file__).parent / "scenarios" / "cluster.py"


@pytest.mark.parametrize("overlay", ["vxlan", "geneve"])
def test_cluster_on_the_kernel_datapath_connects_pods_over_the_overlay(overlay: str) -> None:
    """Two nodes on the kernel datapath: their pods ping each other, and the underlay shows the overlay."""
    argv = ["python", str(SCENARIO), "star", overlay]
    result = run_in_guest(argv, timeout=300, memory_mb=2048, modules=[*DEFAULT_MODULES, "bridge"])
    assert result.exit_code == 0, result.stderr.decode()
    found = json.loads(result.stdout)
    assert "4 packets transmitted, 4 received, 0% packet loss" in found["ping"]
    assert found["datapath"].startswith("system@ovs-system:")
    assert found["inner"] in found["capture"]
    assert found["outer"] in found["capture"]
    assert overlay in found["capture"].lower()
