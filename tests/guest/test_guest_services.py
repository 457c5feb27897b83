"""Services on Open vSwitch's kernel datapath: the same flows, tracked and translated by the kernel."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from topologies.guest import Kernel


@pytest.fixture(scope="module")
def found(run_scenario: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_scenario(Kernel.QEMU, "services.py", "vxlan", timeout=1200)


def test_kernel_spreads_connections_to_a_cluster_ip_over_both_nodes(found: dict[str, Any]) -> None:
    """Both endpoints serve TCP and UDP connections of a pod, and see the pod's own address."""
    answers = Counter(found["cluster_ip"])
    assert set(answers) == {f"web1 {found['client']}", f"web2 {found['client']}"}
    assert sum(answers.values()) == 24


def test_kernel_refuses_what_no_endpoint_serves(found: dict[str, Any]) -> None:
    """Both protocols: refused, not timed out."""
    assert found["none"] == ["ConnectionRefusedError", "ConnectionRefusedError"]


def test_kernel_keeps_a_client_at_its_endpoint(found: dict[str, Any]) -> None:
    """Session affinity: eight connections, one endpoint."""
    assert len(set(found["sticky"])) == 1


def test_kernel_serves_clients_outside(found: dict[str, Any]) -> None:
    """By every node's address: masqueraded with policy Cluster, with its own address with policy Local."""
    assert {answer.split()[0] for answer in found["outside"]} == {"web1", "web2"}
    assert {answer.split()[1] for answer in found["outside"]} <= set(found["gateways"])
    assert found["outside_local"] == [f"web1 {found['outside_address']}"]


def test_kernel_tracks_in_the_declared_zone_with_marks(found: dict[str, Any]) -> None:
    """A Service's connection is in zone 1 with the mark that says so, and the set of endpoints in its label."""
    lines = [line for line in found["conntrack"].splitlines() if f"dst={found['web']}," in line]
    assert lines, found["conntrack"]
    assert all("zone=1" in line and "mark=" in line and "labels=0x" in line for line in lines), "\n".join(lines)
