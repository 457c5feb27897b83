"""Tunnels between nodes while interfaces of the nodes change."""

import re
from collections.abc import Callable

import pytest
from pausepod import pause_pod

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
    ping = f"ping -n -i 0.005 {cluster.pod('b').address} >/tmp/ping 2>&1 & echo $!"
    pid = cluster.pod("a").exec(["sh", "-c", ping]).text.strip()
    for number in range(ROUNDS):
        names = {f"come-{number}": "n1", f"go-{number}": "n2"}
        _start(cluster, **names)
        for name in names:
            cluster.client.delete("Pod", name, "default", grace_period=0)
    # The rounds may have taken less time than a hundred packets.
    enough = "for i in $(seq 100); do test $(grep -c ttl= /tmp/ping) -gt 100 && break; sleep 0.05; done"
    # SIGINT makes ping print its summary; `tail` waits for its end.
    cluster.pod("a").exec(["sh", "-c", f"{enough}; kill -INT {pid}; tail --pid={pid} -s 0.05 -f /dev/null"])
    answers = re.findall(r"icmp_seq=(\d+) ttl=", cluster.pod("a").exec(["cat", "/tmp/ping"]).text)
    answered = set(map(int, answers))
    assert len(answered) > 100
    # What was sent last may still be on its way.
    assert sorted(set(range(1, max(answered) + 1)) - answered) == []
    for node in ("n1", "n2"):
        command = f"ovs-appctl -t /run/kubinet/nodes/{node}/ovs-vswitchd.*.ctl ovs/route/show"
        routes = cluster.run(["sh", "-c", command]).text.splitlines()[1:]
        assert {line.split(":")[0] for line in routes} == {"User"}
