"""The underlay's routes to Services' external addresses follow the API, in a whole cluster."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from kubinet.cluster import Cluster
from kubinet.sandbox import inside

pytestmark = pytest.mark.emulated

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.50
  externalTrafficPolicy: {policy}
  externalIPs: [203.0.113.7]
  ports: [{{port: 80}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 80, protocol: TCP}}]
endpoints: [{{addresses: [10.244.2.9], nodeName: n2, conditions: {{ready: {ready}}}}}]
"""


def _hops(cluster: Cluster) -> list[str]:
    """The outside host's next hops for the address, from the kernel."""
    text = cluster.outside().exec(["ip", "route", "show", "203.0.113.7"]).text
    words = text.split()
    return sorted(words[index + 1] for index, word in enumerate(words) if word == "via")


def _wait(cluster: Cluster, wanted: list[str]) -> list[str]:
    """What the routes are as soon as they are as wanted, or what they are after ten seconds."""
    deadline = time.monotonic() + 30
    while (hops := _hops(cluster)) != wanted and time.monotonic() < deadline:
        pass
    return hops


@pytest.mark.logs_trouble("the API is killed on purpose")
def test_the_outside_host_follows_services_policies_and_endpoints(start_cluster: Callable[..., Cluster]) -> None:
    """All nodes with Cluster, the endpoint's node with Local, none without endpoint; also after API and link failed."""
    cluster = start_cluster("star", nodes=2, settings={"network.dnsReplicas": 0})
    one, two = (str(node.underlay.ip) for node in cluster.facts.nodes)
    cluster.apply(SERVICE.format(policy="Cluster", ready="true"))
    assert _wait(cluster, [one, two]) == [one, two]
    cluster.apply(SERVICE.format(policy="Local", ready="true"))
    assert _wait(cluster, [two]) == [two]
    cluster.apply(SERVICE.format(policy="Local", ready="false"))
    assert _wait(cluster, []) == []

    pid = cluster.services()["api"]["pid"]
    cluster.run(["kill", "-9", str(pid)])
    cluster._client = None  # its connection died with the API
    cluster.wait_until("Node", "n1", lambda obj: obj is not None, timeout=30)
    cluster.apply(SERVICE.format(policy="Cluster", ready="true"))
    assert _wait(cluster, [one, two]) == [one, two]

    host = cluster.outside().name
    call = [sys.executable, "-m", "topologies.underlay_client"]
    link = next(one for one in cluster.topology["spec"]["links"] if host in one["endpoints"])["name"]
    cluster.run([*call, "down", link])
    cluster.run([*call, "up", link])
    assert _wait(cluster, [one, two]) == [one, two]
    cluster.delete(SERVICE.format(policy="Cluster", ready="true"))
    assert _wait(cluster, []) == []


def _routes(cluster: Cluster) -> dict[str, list[str]]:
    """Every routing table of the underlay."""
    call = [sys.executable, "-m", "topologies.underlay_client", "links"]
    ends = [end for link in json.loads(cluster.run(call).text) for end in link["ends"]]
    return {
        end["vertex"]: sorted(
            subprocess.run(
                inside(cluster.info.pid, ["ip", "route"], namespaces_of=end["pid"]),
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
        )
        for end in ends
    }


def _without(address: str, routes: Mapping[str, Sequence[str]]) -> list[str]:
    """Whose tables do not have it: an outside host sends everything to its router."""
    return [name for name, table in routes.items() if address not in str(table)]


@pytest.mark.logs_trouble("Open vSwitch tells of links that are down on purpose")
def test_routes_come_back_with_their_links(start_cluster: Callable[..., Cluster]) -> None:
    """Leaf-spine: all links down and up again, one after the other and all at once: every table is as before."""
    cluster = start_cluster("leaf-spine", nodes=4, settings={"network.dnsReplicas": 0})
    cluster.apply(SERVICE.format(policy="Cluster", ready="true"))
    deadline = time.monotonic() + 30
    while _without("203.0.113.7", before := _routes(cluster)) != ["internet"] and time.monotonic() < deadline:
        pass
    assert "203.0.113.7 proto bgp" in str(before)
    call = [sys.executable, "-m", "topologies.underlay_client"]
    links = [link["name"] for link in cluster.topology["spec"]["links"]]
    for order in ([(state, link) for link in links for state in ("down", "up")],
                  [(state, link) for state in ("down", "up") for link in links]):  # fmt: skip
        for state, link in order:
            cluster.run([*call, state, link])
        deadline = time.monotonic() + 30
        while (after := _routes(cluster)) != before and time.monotonic() < deadline:
            pass
        assert after == before
