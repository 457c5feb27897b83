"""The nftables baseline in a whole cluster: nodes' kernels follow Services and EndpointSlices."""

import time
from collections.abc import Callable, Iterator

import pytest

from kubinet.cluster import Cluster, HostHandle

pytestmark = pytest.mark.emulated

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: web, image: registry.k8s.io/e2e-test-images/agnhost:2.43, args: [netexec, --http-port=8080]}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: NodePort
  clusterIP: 10.96.0.50
  ports: [{port: 80, nodePort: 30080, protocol: TCP}]
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 8080, protocol: TCP}}]
endpoints: [{endpoints}]
"""


def _slice(cluster: Cluster, *pods: str) -> str:
    entries = ", ".join(
        f"{{addresses: [{cluster.pod(pod).address}], nodeName: {cluster.pod(pod).node}, conditions: {{ready: true}}}}"
        for pod in pods
    )
    return SLICE.format(endpoints=entries)


def _names(host: HostHandle, address: str) -> list[str]:
    """Who answers 16 connections."""
    script = f"for i in $(seq 16); do curl -s -m 2 http://{address}/hostname || echo -n refused; echo; done"
    return sorted(set(host.exec(["sh", "-c", script]).text.split()))


def _until(host: HostHandle, address: str, wanted: list[str]) -> list[str]:
    """Who answers, as soon as it is as wanted, or what it is after ten seconds."""
    deadline = time.monotonic() + 30
    while (found := _names(host, address)) != wanted and time.monotonic() < deadline:
        pass
    return found


@pytest.fixture
def cluster(start_cluster: Callable[..., Cluster]) -> Iterator[Cluster]:
    """Two nodes with a web server each."""
    started = start_cluster("star", nodes=2, settings={"network.services": "nftables", "network.dnsReplicas": 0})
    for name, node in (("one", "n1"), ("two", "n2")):
        started.apply(POD.format(name=name, node=node))
    for name in ("one", "two"):
        started.wait("Pod", name, "Ready", namespace="default")
    return started


def test_nodes_and_the_outside_reach_a_service_through_the_nodes_kernels(cluster: Cluster) -> None:
    """Both pods, then one, then none: by cluster IP from a node, by node port from outside and from a node."""
    own = str(cluster.node("n1").address)
    inside, outside = cluster.node("n1"), cluster.outside()
    cluster.apply(SERVICE)
    assert _until(inside, "10.96.0.50:80", ["refused"]) == ["refused"]
    cluster.apply(_slice(cluster, "one", "two"))
    assert _until(inside, "10.96.0.50:80", ["one", "two"]) == ["one", "two"]
    assert _names(outside, f"{own}:30080") == ["one", "two"]
    assert _names(inside, f"{own}:30080") == ["one", "two"]
    cluster.apply(_slice(cluster, "two"))
    assert _until(outside, f"{own}:30080", ["two"]) == ["two"]
    cluster.delete(SERVICE)
    rules = cluster.node("n2").exec(["nft", "list", "table", "ip", "kubinet"])
    deadline = time.monotonic() + 30
    while "default/web" in rules.text and time.monotonic() < deadline:
        rules = cluster.node("n2").exec(["nft", "list", "table", "ip", "kubinet"])
    assert "default/web" not in rules.text


@pytest.mark.logs_trouble("the agents are killed on purpose")
def test_rules_outlive_the_agents_and_follow_again(cluster: Cluster) -> None:
    """While the agents are dead the rules serve on; what changed meanwhile is in force when they are back."""
    own = str(cluster.node("n1").address)
    outside = cluster.outside()
    cluster.apply(SERVICE)
    cluster.apply(_slice(cluster, "one"))
    assert _until(outside, f"{own}:30080", ["one"]) == ["one"]
    cluster.run(["kill", "-9", str(cluster.services()["agents"]["pid"])])
    cluster.apply(_slice(cluster, "two"))
    assert set(_names(outside, f"{own}:30080")) <= {"one", "two"}
    assert _until(outside, f"{own}:30080", ["two"]) == ["two"]
