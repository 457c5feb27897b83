"""The algorithm least-connections: new connections avoid the endpoint that has many open ones."""

from collections import Counter
from collections.abc import Callable

import pytest
from stalls import running_time

from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

SINK = """
import socket
server = socket.create_server(("", 8080), backlog=64)
print("listening", flush=True)
kept = []
while True:
    kept.append(server.accept()[0])
    kept[-1].sendall(socket.gethostname().encode())
"""
HOLDER = """
import socket, time
kept = [socket.create_connection(("10.96.0.77", 80), 30) for _ in range(40)]
time.sleep(600)
"""
WAIT = "import time; time.sleep(600)"
ASK = """
import socket
for _ in range(20):
    with socket.create_connection(("10.96.0.77", 80), 30) as one:
        print(one.recv(64).decode().strip())
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {kubinet.dev/load-balancer: least-connections}}
spec:
  clusterIP: 10.96.0.77
  ports: [{port: 80}]
"""


def _pod(name: str, node: str, script: str) -> str:
    body = script.strip().replace("\n", "\n        ")
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - name: c
      image: python
      command: [python3, -c]
      args:
      - |
        {body}
"""


def _slice(*addresses: object) -> str:
    endpoints = ", ".join(f"{{addresses: [{address}], conditions: {{ready: true}}}}" for address in addresses)
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 8080, protocol: TCP}}]
endpoints: [{endpoints}]
"""


def test_new_connections_avoid_the_busy_endpoint(start_cluster: Callable[..., Cluster]) -> None:
    """With 40 open connections on one of two endpoints, within two seconds 20 new ones go mostly to the other."""
    cluster = start_cluster("star", nodes=2, settings={"network.dnsReplicas": 0})
    for name, node, script in (("one", "n1", SINK), ("two", "n2", SINK), ("client", "n1", WAIT)):
        cluster.apply(_pod(name, node, script))
    for name in ("one", "two", "client"):
        cluster.wait("Pod", name)
    one, two, client = (cluster.pod(name) for name in ("one", "two", "client"))
    for pod in (one, two):
        pod.wait_log("listening")
    cluster.apply(SERVICE + "---" + _slice(one.address))
    cluster.apply(_pod("holder", "n2", HOLDER))

    busy = f"{one.address}:8080"
    counted = cluster.wait_until(
        "ConnectionCount",
        "cluster",
        lambda obj: obj is not None and obj["status"]["endpoints"].get(busy) == 40,
        timeout=30,
        what="40 connections counted",
    )
    assert counted["status"]["endpoints"] == {busy: 40}

    cluster.apply(_slice(one.address, two.address))
    began = running_time()
    answers: Counter[str] = Counter()
    while answers["two"] < 16 and running_time() - began < 2:
        answers = Counter(client.exec(["python3", "-c", ASK]).text.split())
    assert answers.total() == 20
    assert answers["two"] >= 16

    cluster.delete(SERVICE)
    cluster.wait_until(
        "ConnectionCount",
        "cluster",
        lambda obj: obj is not None and obj["status"]["endpoints"] == {},
        timeout=30,
        what="no counts left without a Service that needs them",
    )
