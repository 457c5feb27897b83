"""A UDP client that keeps its port moves to another endpoint when its own goes away, whoever realises Services."""

import subprocess
import sys
import time
from collections.abc import Callable

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
  - {{name: web, image: registry.k8s.io/e2e-test-images/agnhost:2.43, args: [netexec, --udp-port=8081]}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: udp, namespace: default}
spec:
  type: NodePort
  clusterIP: 10.96.0.60
  ports: [{port: 53, nodePort: 30053, protocol: UDP}]
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: udp-1, namespace: default, labels: {{kubernetes.io/service-name: udp}}}}
addressType: IPv4
ports: [{{port: 8081, protocol: UDP}}]
endpoints: [{{addresses: [{address}], nodeName: {node}, conditions: {{ready: true}}}}]
"""
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
client.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin:
    try:
        client.send(b"hostname")
        print(client.recv(100).decode(), flush=True)
    except (TimeoutError, OSError) as error:
        print(type(error).__name__, flush=True)
"""


class Client:
    """One UDP socket in a host, asked again and again."""

    def __init__(self, host: HostHandle, address: str, port: int) -> None:
        argv = [sys.executable, "-c", CLIENT, address, str(port)]
        self._process = host.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().decode().strip()

    def until(self, wanted: str, seconds: float = 8.0) -> str:
        deadline = time.monotonic() + seconds
        while (found := self.ask()) != wanted and time.monotonic() < deadline:
            pass
        return found

    def close(self) -> None:
        self._process.communicate()


@pytest.mark.parametrize("services", ["sdn", "nftables"])
def test_udp_clients_follow_the_endpoints(start_cluster: Callable[..., Cluster], services: str) -> None:
    """From a node by cluster IP and from outside by node port, each with one socket: first pod, then the other."""
    cluster = start_cluster("star", nodes=2, settings={"network.services": services, "network.dnsReplicas": 0})
    for name, node in (("one", "n1"), ("two", "n2")):
        cluster.apply(POD.format(name=name, node=node))
    for name in ("one", "two"):
        cluster.wait("Pod", name, "Ready", namespace="default")
    cluster.apply(SERVICE)
    cluster.apply(SLICE.format(address=cluster.pod("one").address, node="n1"))
    clients = [
        Client(cluster.node("n1"), "10.96.0.60", 53),
        Client(cluster.node("n2"), "10.96.0.60", 53),
        Client(cluster.outside(), str(cluster.node("n1").address), 30053),
        Client(cluster.node("n1"), str(cluster.node("n1").address), 30053),
    ]
    try:
        assert [one.until("one") for one in clients] == ["one"] * 4
        cluster.apply(SLICE.format(address=cluster.pod("two").address, node="n2"))
        assert [one.until("two") for one in clients] == ["two"] * 4
    finally:
        for one in clients:
            one.close()
