"""Pods that are born under a policy, and connections that a cluster keeps."""

import json
from ipaddress import IPv4Address

import pytest
from conftest import ClusterUnderTest
from policywriting import labels, network_policy
from servicelab import Lab, Lines, To, pod
from serviceprograms import PYTHON

from kubinet.client import Object
from kubinet.streams import open_exec

pytestmark = pytest.mark.emulated

FLOOD = r"""
import json, select, socket, sys, time

socket_ = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
targets, sent, begin = [], 0, time.monotonic()
print("ready", flush=True)
while True:
    if select.select([sys.stdin], [], [], 0.001)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        print(json.dumps(sent), flush=True)
        targets, sent, begin = json.loads(line), 0, time.monotonic()
    due = int((time.monotonic() - begin) * RATE)
    for _ in range(min(due - sent, 50)):
        for target in targets:
            socket_.sendto(b"leak?", (target, 9))
        sent += 1
"""
"""Datagrams to every target, RATE times a second; a line of input names the targets and asks how many went to each."""

RATE = 1000
STARTS = 50
AT_ONCE = 5


class Flood(Lines):
    """The program in a pod."""

    def __init__(self, lab: Lab, name: str) -> None:
        argv = [PYTHON, "-c", FLOOD.replace("RATE", str(RATE // 2))]
        super().__init__(open_exec(lab.cluster.client, "default", name, argv, stdin=True))
        assert self.read() == "ready"

    def aim(self, targets: list[str]) -> int:
        """Other targets; returns how many datagrams the former ones got each."""
        self.write(json.dumps(targets))
        return int(self.read())


def born(name: str) -> Object:
    """A pod that does nothing, on n1."""
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    spec = {"nodeName": "n1", "terminationGracePeriodSeconds": 0, "containers": [container]}
    metadata = {"name": name, "labels": {"born": "yes"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def datagrams(lab: Lab, name: str) -> int:
    """How many UDP datagrams have arrived in a pod, whether or not somebody wanted them (RFC 4113)."""
    lines = lab.pod(name).exec(["/usr/bin/cat", "/proc/net/snmp"]).text.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    counters = dict(zip(names[1:], map(int, values[1:]), strict=True))
    return counters["InDatagrams"] + counters["NoPorts"]


def test_a_pod_that_is_born_isolated_gets_no_packet(start_cluster: ClusterUnderTest) -> None:
    """50 pods start under a default deny while their addresses-to-be get 1,000 datagrams a second, from a pod of their
    node and one of another: not one arrives. Without the policy they do arrive."""
    cluster = start_cluster("star", nodes=2, settings={"network.dnsReplicas": 0})
    lab = Lab(cluster, "sdn")
    lab.start(pod("near", "n1"), pod("far", "n2"))
    cluster.client.apply(network_policy("deny", labels(born="yes"), namespace="default", ingress=[]))
    cluster.wait_realised()
    leaked: dict[str, int] = {}
    sent = []
    with Flood(lab, "near") as near, Flood(lab, "far") as far:
        for first in range(0, STARTS, AT_ONCE):
            names = [f"born-{number}" for number in range(first, first + AT_ONCE)]
            # A node gives its addresses in turn; `near` has the one before the first.
            begin = lab.pod("near").address + 1 + first
            targets = [str(begin + number) for number in range(AT_ONCE)]
            for flood in (near, far):
                flood.aim(targets)
            lab.start(*(born(name) for name in names))
            assert sorted(lab.pod(name).address for name in names) == [IPv4Address(one) for one in targets]
            leaked |= {name: datagrams(lab, name) for name in names}
            sent += [flood.aim(targets) for flood in (near, far)]
        assert leaked == dict.fromkeys(leaked, 0)
        assert (len(leaked), min(sent) > 0) == (STARTS, True)
        cluster.client.delete("NetworkPolicy", "deny", "default")
        lab.until(True, lambda: all(datagrams(lab, name) > 0 for name in names))


def test_established_connections_may_be_kept(start_cluster: ClusterUnderTest) -> None:
    """`established: keep`: a policy that forbids a connection leaves it alone and denies new ones."""
    cluster = start_cluster("single", settings={"network.dnsReplicas": 0, "network.established": "keep"})
    lab = Lab(cluster, "sdn")
    lab.start(pod("client", "n1"), pod("server", "n1", {"app": "echo"}))
    ways = [To(str(lab.pod("server").address), 8080, kind, timeout=1) for kind in ("tcp", "udp")]
    held = [lab.hold("client", to) for to in ways]
    assert [one.again()[0].split()[0] for one in held] == ["same", "server"]
    cluster.client.apply(network_policy("deny", labels(app="echo"), namespace="default", ingress=[]))
    cluster.wait_realised()
    lab.until([["silence"]] * 2, lambda: lab.who(lab.pod("client"), *ways))
    assert [one.again()[0].split()[0] for one in held] == ["same", "server"]
    for one in held:
        one.close()
