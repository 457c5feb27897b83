"""Policies on their way into the nodes' flows: what the controller publishes and warns of, on one node."""

import time

import pytest
from conftest import ClusterUnderTest

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


def wait_for_restart(cluster: Cluster, service: str, before: object) -> None:
    end = time.monotonic() + DEADLINE
    while (facts := cluster.services()[service])["pid"] == before or facts["state"] != "ready":
        assert time.monotonic() < end, facts
        time.sleep(0.05)  # the table of services is a file, which nobody announces
