"""Open vSwitch's kernel datapath in the guest: tunnels between the instances of two namespaces, and what it tracks."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from topologies.guest import Kernel


@pytest.fixture(scope="module")
def found(run_scenario: Callable[..., dict[str, Any]], kernel: Kernel) -> dict[str, Any]:
    return run_scenario(kernel, "datapath.py", timeout=300)


@pytest.mark.parametrize(("kind", "device"), [("vxlan", "vxlan_sys_4789"), ("geneve", "genev_sys_6081")])
def test_datapath_of_the_kernel_carries_tunnels_between_nodes(found: dict[str, Any], kind: str, device: str) -> None:
    """Two Open vSwitch instances on the kernel datapath exchange pings through their tunnel without a loss."""
    assert "5 packets transmitted, 5 received, 0% packet loss" in found[kind]["ping"]
    assert found[kind]["datapath"].startswith("system@ovs-system:")
    assert f"{device} ({kind}: " in found[kind]["datapath"]
    assert "tunnel(tun_id=0x5,src=172.18.0.2,dst=172.18.0.1" in found[kind]["flows"]


def _features(found: Mapping[str, Any]) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in found["features"].splitlines())


def test_datapath_of_user_mode_linux_refuses_connection_tracking(run_scenario: Callable[..., dict[str, Any]]) -> None:
    """User-mode Linux has no conntrack zones, and so its datapath refuses every ct action (docs/guest.md)."""
    found = run_scenario(Kernel.UML, "datapath.py", timeout=300)
    features = _features(found)
    assert (features["CT state"], features["CT zone"]) == ("Yes", "No")
    assert "NXBAC_CT_DATAPATH_SUPPORT" in found["tracking"]["zoned"]
    # Zone 0 passes Open vSwitch's own check; but it names the zone in every ct action, an attribute unknown here.
    assert "2 packets transmitted, 0 received" in found["tracking"]["ping"]
    assert "failed to put[create] (Invalid argument)" in found["tracking"]["log"]
    assert "netlink: Unknown conntrack attr (2)" in found["tracking"]["kernel"]
    assert found["tracking"]["probe"] == "Invalid argument"


def test_datapath_of_the_virtual_machine_tracks_connections(run_scenario: Callable[..., dict[str, Any]]) -> None:
    """Debian's stock kernel takes zone, mark, label and NAT, Kubinet's probe agrees, and tracked pings pass."""
    found = run_scenario(Kernel.QEMU, "datapath.py", timeout=300)
    features = _features(found)
    wanted = ("CT state", "CT zone", "CT mark", "CT label", "CT state NAT")
    assert {name: features[name] for name in wanted} == dict.fromkeys(wanted, "Yes")
    assert found["tracking"]["zoned"] == ""
    assert "2 packets transmitted, 2 received" in found["tracking"]["ping"]
    assert found["tracking"]["probe"] == ""
