"""Tunnels between nodes while interfaces of the nodes change."""

import re
from collections.abc import Callable

import pytest
from pausepod import pause_pod
from pinging import start_ping

from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

ROUNDS = 16


def _start(cluster: Cluster, **pods: str) -> None:
    for name, node in pods.items():
        cluster.client.create(pause_pod(name, node))
    for name in pods:
        cluster.wait("Pod", name, "Ready", namespace="default")


@pytest.mark.parametrize("overlay", ["vxlan", "geneve"])
def test_pods_that_come_and_go_cost_no_packet_between_nodes(
    start_cluster: Callable[..., Cluster], overlay: str
) -> None:
    """200 packets a second from a pod of n1 to one of n2: none is lost while pods start and end on both nodes. The
    switches have the tunnels' routes from the agent alone, not from the kernel, whose routes they would read again."""
    cluster = start_cluster("star", nodes=2, settings={"network.overlay": overlay, "network.dnsReplicas": 0})
    _start(cluster, a="n1", b="n2")
    ping = start_ping(cluster, "a", str(cluster.pod("b").address), 0.005)
    for number in range(ROUNDS):
        names = {f"come-{number}": "n1", f"go-{number}": "n2"}
        _start(cluster, **names)
        for name in names:
            cluster.client.delete("Pod", name, "default", grace_period=0)
    answers = re.findall(r"icmp_seq=(\d+) ttl=", ping.end(least=101))
    answered = set(map(int, answers))
    assert len(answered) > 100
    # What was sent last may still be on its way.
    assert sorted(set(range(1, max(answered) + 1)) - answered) == []
    for node in ("n1", "n2"):
        command = f"ovs-appctl -t /run/kubinet/nodes/{node}/ovs-vswitchd.*.ctl ovs/route/show"
        routes = cluster.run(["sh", "-c", command]).text.splitlines()[1:]
        assert {line.split(":")[0] for line in routes} == {"User"}
