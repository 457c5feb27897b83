"""The Node object that an agent registers, and the memory that it tells."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from agents.machine import memory_of, read_machine
from agents.node_object import Machine, conditions, node_object, pod_capacity, timestamp
from kubinet.kubernetes import node_from_object
from kubinet.state import Node, NodeFacts

NOW = datetime(2026, 1, 1, 12, 0, 0, 999999, tzinfo=UTC)
MACHINE = Machine(
    cpus=2, memory=8 * 1024**3, kernel="6.1.0", os_image="Debian 12", architecture="amd64", boot_id="boot"
)


def _node(prefix: int = 24, gateway: str | None = "172.18.1.254") -> NodeFacts:
    return NodeFacts(
        name="n1",
        index=1,
        pid=1,
        interface="n1-eth0",
        mac="02:00:00:00:00:01",
        underlay=IPv4Interface("172.18.1.1/24"),
        gateway=IPv4Address(gateway) if gateway else None,
        gateway_mac="02:00:00:00:00:fe" if gateway else None,
        management=IPv4Interface("172.30.0.1/16"),
        pod_cidr=IPv4Network(f"10.244.1.0/{prefix}"),
        labels={"topology.kubernetes.io/zone": "rack1"},
    )


def test_the_controller_reads_back_what_the_agent_registered() -> None:
    """The Node object gives the SDN controller the node's index, addresses, MACs, pod CIDR, zone and labels."""
    assert node_from_object(node_object(_node(), MACHINE, [])) == Node(
        name="n1",
        index=1,
        underlay=IPv4Interface("172.18.1.1/24"),
        underlay_mac="02:00:00:00:00:01",
        pod_cidr=IPv4Network("10.244.1.0/24"),
        gateway=IPv4Address("172.18.1.254"),
        gateway_mac="02:00:00:00:00:fe",
        zone="rack1",
        labels={
            "topology.kubernetes.io/zone": "rack1",
            "kubernetes.io/hostname": "n1",
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        },
    )


def test_a_node_without_router_has_no_gateway() -> None:
    """On a single segment the gateway's annotations are missing instead of empty."""
    obj = node_object(_node(gateway=None), MACHINE, [])
    assert {name for name in obj["metadata"]["annotations"] if name.startswith("kubinet.dev/gateway")} == set()
    read = node_from_object(obj)
    assert read is not None
    assert (read.gateway, read.gateway_mac) == (None, None)


def test_labels_are_the_topologys_and_kubernetes_own() -> None:
    """The topology's labels stay; host name, operating system and architecture are added."""
    assert node_object(_node(), MACHINE, [])["metadata"]["labels"] == {
        "topology.kubernetes.io/zone": "rack1",
        "kubernetes.io/hostname": "n1",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }


def test_addresses_capacity_and_version_are_where_clients_look() -> None:
    """InternalIP is the underlay address; capacity counts addresses, cores and KiB; the version is Kubernetes' form."""
    obj = node_object(_node(), MACHINE, [])
    status = obj["status"]
    assert obj["spec"] == {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "172.18.1.1"},
        {"type": "Hostname", "address": "n1"},
    ]
    assert status["capacity"] == {"cpu": "2", "memory": "8388608Ki", "pods": "253"}
    assert status["allocatable"] == status["capacity"]
    assert status["nodeInfo"]["kubeletVersion"] == "v1.32.0-kubinet"
    assert status["nodeInfo"]["containerRuntimeVersion"] == "kubinet://0.1.0"


@pytest.mark.parametrize(("prefix", "pods"), [(24, 253), (28, 13), (30, 1), (31, 0), (32, 0)])
def test_capacity_leaves_network_gateway_and_broadcast_addresses_out(prefix: int, pods: int) -> None:
    """A /24 has room for 253 pods, a /31 for none."""
    assert pod_capacity(_node(prefix)) == pods


def test_a_condition_keeps_its_transition_time_while_it_stays() -> None:
    """A heartbeat a minute later changes lastHeartbeatTime only; a change of the status moves both."""
    first = conditions(NOW, [], ready=True, reason="AgentReady", message="runs")
    later = conditions(NOW + timedelta(minutes=1), first, ready=True, reason="AgentReady", message="runs")
    ended = conditions(NOW + timedelta(minutes=2), later, ready=False, reason="OpenVSwitchEnded", message="ended")
    by_type = [{entry["type"]: entry for entry in entries} for entries in (first, later, ended)]
    assert [entries["Ready"]["status"] for entries in by_type] == ["True", "True", "False"]
    assert [entries["NetworkUnavailable"]["status"] for entries in by_type] == ["False", "False", "True"]
    assert [entries["Ready"]["lastTransitionTime"] for entries in by_type] == [
        *("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T12:02:00Z"),
    ]
    assert [entries["Ready"]["lastHeartbeatTime"] for entries in by_type] == [
        *("2026-01-01T12:00:00Z", "2026-01-01T12:01:00Z", "2026-01-01T12:02:00Z"),
    ]
    assert by_type[2]["Ready"]["message"] == "ended"


def test_times_are_whole_seconds() -> None:
    """Kubernetes' metav1.Time has no fraction of a second."""
    assert timestamp(NOW) == "2026-01-01T12:00:00Z"


def test_this_machine_is_read() -> None:
    """Cores, memory and kernel are those that the operating system tells."""
    machine = read_machine()
    assert machine.cpus == os.cpu_count()
    assert machine.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.kernel == os.uname().release


def test_memory_of_processes_adds_up_and_leaves_dead_ones_out() -> None:
    """Our own process has resident memory, at least as much as its proportional share; pid 2^22 + 1 cannot exist."""
    ours = memory_of([os.getpid()])
    assert ours["rss"] >= ours["pss"] > 1 << 20
    assert memory_of([(1 << 22) + 1]) == {"rss": 0, "pss": 0}
