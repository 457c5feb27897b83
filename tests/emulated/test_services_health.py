"""Nodes answer load balancers' health checks, in a whole cluster."""

import json
import time
from collections.abc import Callable

import pytest

from kubinet.cluster import Cluster, HostHandle

pytestmark = pytest.mark.emulated

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.50
  externalTrafficPolicy: Local
  healthCheckNodePort: 30900
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


def _get(host: HostHandle, url: str) -> tuple[int, str]:
    done = host.exec(["curl", "-s", "-m", "2", "-w", "\n%{http_code}", url], check=False)
    body, _, status = done.text.rpartition("\n")
    return int(status), body


def _wait(host: HostHandle, url: str, status: int) -> tuple[int, str]:
    """The answer as soon as it has the status, or what it is after ten seconds."""
    deadline = time.monotonic() + 30
    while (found := _get(host, url))[0] != status and time.monotonic() < deadline:
        pass
    return found


def test_health_check_node_ports_tell_where_endpoints_are(start_cluster: Callable[..., Cluster]) -> None:
    """The endpoint's node says 200 and 1, the other 503 and 0; nodes ask themselves too; the port closes at the end."""
    cluster = start_cluster("star", nodes=2, settings={"network.dnsReplicas": 0})
    outside = cluster.outside()
    one, two = (f"http://{node.underlay.ip}" for node in cluster.facts.nodes)
    assert [_wait(outside, f"{node}:10256/healthz", 200)[0] for node in (one, two)] == [200, 200]

    cluster.apply(SERVICE.format(ready="true"))
    status, body = _wait(outside, f"{two}:30900/", 200)
    assert (status, json.loads(body)) == (
        200,
        {"service": {"namespace": "default", "name": "web"}, "localEndpoints": 1, "serviceProxyHealthy": True},
    )
    status, body = _get(outside, f"{one}:30900/")
    assert (status, json.loads(body)["localEndpoints"]) == (503, 0)
    route = cluster.node("n1").exec(["ip", "route", "show", "203.0.113.7"]).text.split()
    assert route[:7] == ["203.0.113.7", "via", "169.254.1.1", "dev", "gw0", "proto", "static"]
    assert _get(cluster.node("n2"), f"{two}:30900/")[0] == 200
    assert _get(cluster.node("n1"), f"{two}:30900/")[0] == 200

    cluster.apply(SERVICE.format(ready="false"))
    assert _wait(outside, f"{two}:30900/", 503)[0] == 503
    cluster.delete(SERVICE.format(ready="false"))
    assert _wait(outside, f"{two}:30900/", 0)[0] == 0
    assert cluster.node("n1").exec(["ip", "route", "show", "203.0.113.7"]).text == ""
    rules = cluster.node("n2").exec(["ip", "rule"]).text
    assert "30900" not in rules
