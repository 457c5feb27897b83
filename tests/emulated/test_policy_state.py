"""Policies on their way into the nodes' flows: what the controller publishes and warns of, and whom it lets start."""

import time

import pytest
from conftest import ClusterUnderTest

from kubinet.client import Object
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

DEADLINE = 30.0
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: default}
spec: {podSelector: {}, policyTypes: [Egress]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: registry.k8s.io/pause:3.9}]
"""


def policy_generation(cluster: Cluster) -> int:
    nodes = cluster.client.get("Dataplane", "cluster")["status"]["nodes"]
    return min(entry["policyGeneration"] for entry in nodes.values())


def start(cluster: Cluster, name: str) -> None:
    cluster.apply(POD.replace("NAME", name))
    cluster.wait("Pod", name, timeout=DEADLINE)


def test_policies_are_waited_for_and_warned_of(start_cluster: ClusterUnderTest) -> None:
    """A default-deny for egress is an event with the remedy; flows are current with it, and again without it."""
    cluster = start_cluster("single")
    start(cluster, "a")
    cluster.apply(DENY)
    cluster.wait_realised(DEADLINE)
    created = cluster.client.last_changes(["NetworkPolicy"])["NetworkPolicy"]
    assert policy_generation(cluster) == created
    told = cluster.client.watch("Event", "default", field_selector="reason=DNSBlocked", timeout=DEADLINE)
    event = next(one.object for one in told if one.type == "ADDED")
    assert (event["type"], event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (
        "Warning",
        "NetworkPolicy",
        "deny",
    )
    assert "add to spec.egress" in event["message"]
    cluster.client.delete("NetworkPolicy", "deny", "default")
    cluster.wait_realised(DEADLINE)
    deleted = cluster.client.last_changes(["NetworkPolicy"])["NetworkPolicy"]
    assert policy_generation(cluster) == deleted > created


@pytest.mark.logs_trouble("the API is killed")
def test_generations_go_on_when_the_api_comes_back(start_cluster: ClusterUnderTest) -> None:
    """Everything is listed anew: pods start, and policies of before and after are waited for."""
    cluster = start_cluster("single")
    cluster.apply(DENY)
    cluster.wait_realised(DEADLINE)
    before = cluster.services()["api"]["pid"]
    cluster.run(["kill", "-9", str(before)])
    wait_for_restart(cluster, "api", before)
    start(cluster, "a")
    cluster.client.delete("NetworkPolicy", "deny", "default")
    cluster.wait_realised(DEADLINE)
    deleted = cluster.client.last_changes(["NetworkPolicy"])["NetworkPolicy"]
    assert policy_generation(cluster) == deleted


APART = """
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: apart}
spec:
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: hearing}}}}
  ingress:
  - action: Deny
    from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: stranger}}}}]
"""
HEAR = """
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("", 7000))
print("hearing", flush=True)
while True:
    print("heard", s.recv(100).decode(), flush=True)
"""
SPEAK = """
import socket, sys, time
s = socket.socket(type=socket.SOCK_DGRAM)
for _ in range(100):
    s.sendto(sys.argv[1].encode(), (sys.argv[2], 7000))
    time.sleep(0.001)
print("spoken", flush=True)
time.sleep(1000)
"""


def talker(name: str, node: str, app: str, program: str, *arguments: str) -> Object:
    command = ["python3", "-c", program, *arguments]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "python:3.12", "command": command}],
        },
    }


def test_a_pod_that_other_nodes_must_know_starts_when_they_do(start_cluster: ClusterUnderTest) -> None:
    """Denied by a cluster-wide policy by their labels: not even the first datagram of a new pod's program arrives."""
    cluster = start_cluster("star", nodes=2, settings={"network.dnsReplicas": 0})
    cluster.apply(APART)
    cluster.client.create(talker("ears", "n1", "hearing", HEAR))
    cluster.wait("Pod", "ears", namespace="default", timeout=DEADLINE)
    cluster.pod("ears").wait_log("hearing")
    address = str(cluster.pod("ears").address)
    strangers = [f"stranger-{number}" for number in range(8)]
    for name in strangers:
        cluster.client.create(talker(name, "n2", "stranger", SPEAK, name, address))
    for name in strangers:
        cluster.wait("Pod", name, namespace="default", timeout=DEADLINE)
        cluster.pod(name).wait_log("spoken")
    cluster.client.create(talker("friend", "n2", "friend", SPEAK, "friend", address))
    cluster.pod("ears").wait_log("heard friend")
    assert "stranger" not in cluster.pod("ears").logs()


def wait_for_restart(cluster: Cluster, service: str, before: object) -> None:
    end = time.monotonic() + DEADLINE
    while (facts := cluster.services()[service])["pid"] == before or facts["state"] != "ready":
        assert time.monotonic() < end, facts
        time.sleep(0.05)  # the table of services is a file, which nobody announces
