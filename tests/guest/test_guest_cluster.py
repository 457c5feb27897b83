"""Whole clusters whose switches forward in the guest's kernel; user-mode Linux, which cannot track connections."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from topologies.guest import Kernel

OVERLAYS = ("vxlan", "geneve", "direct")


@pytest.fixture(scope="module")
def clusters(run_scenario: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    # An emulated machine takes a minute for each cluster when the host is idle, several when it is not.
    return run_scenario(Kernel.QEMU, "cluster.py", *OVERLAYS, timeout=1200)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_cluster_on_the_kernel_datapath_connects_pods(clusters: dict[str, Any], overlay: str) -> None:
    """Two nodes on the kernel datapath, chosen by `auto`: their pods ping each other over the declared overlay."""
    found = clusters[overlay]
    assert "4 packets transmitted, 4 received, 0% packet loss" in found["ping"]
    assert found["inner"] in found["capture"]
    if overlay != "direct":
        assert found["outer"] in found["capture"]
        assert overlay in found["capture"].lower()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_cluster_on_the_kernel_datapath_sends_pods_outside_with_their_nodes_address(
    clusters: dict[str, Any], overlay: str
) -> None:
    """A server outside sees the node as the client, over TCP and UDP: the kernel tracked and translated, in a zone."""
    found = clusters[overlay]
    assert found["seen_outside"] == [found["node_address"]] * 2
    for protocol in ("tcp", "udp"):
        original = f"{protocol},orig=(src={found['pod_address']},dst={found['outside_address']},"
        translated = rf"reply=\(src={found['outside_address']},dst={found['node_address']},.*zone=[1-9]"
        lines = [line for line in found["conntrack"].splitlines() if line.startswith(original)]
        assert any(re.search(translated, line) for line in lines), found["conntrack"]


@pytest.fixture(scope="module")
def untracked(run_scenario: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_scenario(Kernel.UML, "untracked.py", timeout=300)


def test_cluster_on_a_kernel_datapath_that_cannot_track_is_refused_before_it_starts(untracked: dict[str, Any]) -> None:
    """`--datapath system` in user-mode Linux ends at once; the error names the lack and the remedies."""
    assert untracked["exit_code"] == 1
    assert "this kernel's openvswitch cannot track connections with zones and NAT" in untracked["error"]
    assert "use --datapath netdev" in untracked["error"]
    assert untracked["left"] == []


def test_cluster_chooses_userspace_where_the_kernel_cannot_track(untracked: dict[str, Any]) -> None:
    """`auto` in user-mode Linux is netdev, and `kubinet doctor` says why."""
    assert untracked["datapath"] == "netdev"
    assert untracked["doctor"]["kernel datapath"] is True
    assert untracked["doctor"]["kernel datapath's connection tracking"] is False
