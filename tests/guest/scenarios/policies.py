"""Runs in the guest: policies on the kernel datapath, with probes between pods of two nodes; prints JSON.

n1: friend, stranger, near      n2: far      near and far are servers; port 80/TCP has the name web
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kernel_cluster import PYTHON, READY_SECONDS, kernel_cluster

from kubinet.client import Object
from kubinet.cluster import Cluster
from kubinet.streams import STDOUT, open_exec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "emulated"))
from policyprobes import Probe, Prober, Timing

PODS = {"friend": "n1", "stranger": "n1", "near": "n1", "far": "n2"}
SERVERS = ("near", "far")
PORTS = ((80, "TCP"), (81, "TCP"), (80, "UDP"), (90, "SCTP"), (91, "SCTP"))
_SERVER = """
import socket, threading
tcp = socket.create_server(('', 8080))
def talk(client):
    while data := client.recv(1000): client.sendall(data)
while True:
    client, _ = tcp.accept(); threading.Thread(target=talk, args=(client,), daemon=True).start()
"""
_HOLD = """
import socket, sys
stream = socket.create_connection((sys.argv[1], 8080), 60)
for timeout in sys.stdin:
    stream.settimeout(float(timeout))
    try:
        stream.sendall(b'x')
        print('echo' if stream.recv(1) == b'x' else 'closed', flush=True)
    except TimeoutError:
        print('silence', flush=True)
"""


def pod(name: str, node: str) -> Object:
    """A server echoes on port 8080; others run a shell that waits."""
    server = name in SERVERS
    container: Object = {"name": "main", "image": "python:3.11", "command": [PYTHON, "-c", _SERVER]}
    container["ports"] = [{"name": "web", "containerPort": 80}]
    container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 10}
    metadata = {
        "name": name,
        "namespace": "default",
        "labels": {"name": name, "role": "server" if server else "client"},
    }
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def policy(selector: dict[str, str], **spec: Any) -> Object:
    """The NetworkPolicy of this scenario."""
    metadata = {"name": "policy", "namespace": "default"}
    types = [{"ingress": "Ingress", "egress": "Egress"}[direction] for direction in spec]
    whole = {"podSelector": {"matchLabels": selector}, "policyTypes": types, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": whole}


FRIEND = {"podSelector": {"matchLabels": {"name": "friend"}}}
INGRESS = policy(
    {"role": "server"}, ingress=[{"from": [FRIEND], "ports": [{"port": "web"}, {"port": 90, "protocol": "SCTP"}]}]
)
EGRESS = policy({"name": "friend"}, egress=[{"to": [{"podSelector": {}}], "ports": [{"port": 80, "protocol": "UDP"}]}])
DENY: Object = {
    "apiVersion": "policy.networking.k8s.io/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {
        "tier": "Admin",
        "priority": 10,
        "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "server"}}}},
        "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
    },
}


class Scenario:
    """The cluster, the prober and what was found."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.prober = cluster, Prober(cluster, Timing(longest=60, grace=5, again=3))
        self.addresses = {name: str(cluster.pod(name).address) for name in PODS}

    def reached(self, allowed: Sequence[str]) -> list[str]:
        """Which ports of which servers the clients reach, as `friend near 80/TCP`; `allowed` are waited for."""
        words = [
            (client, server, port, protocol)
            for client in ("friend", "stranger")
            for server in SERVERS
            for port, protocol in PORTS
        ]
        texts = [f"{client} {server} {port}/{protocol}" for client, server, port, protocol in words]
        probes = [
            Probe(self.addresses[client], self.addresses[server], port, protocol, text in allowed)
            for text, (client, server, port, protocol) in zip(texts, words, strict=True)
        ]
        for _ in range(2):  # what the kernel has cached is brought up to date a moment later
            said = self.prober.probe(probes)
            found = [text for text, one in zip(texts, said, strict=True) if one == "ok"]
            if sorted(found) == sorted(allowed):
                break
        return found

    def apply(self, document: Object) -> None:
        self.cluster.client.apply(document)
        self.cluster.wait_realised(READY_SECONDS)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        self.cluster.client.delete(kind, name, namespace)
        self.cluster.wait_realised(READY_SECONDS)


def look(cluster: Cluster) -> Iterator[tuple[str, Any]]:
    found = Scenario(cluster)
    both = [f"{client} {server} " for client in ("friend", "stranger") for server in SERVERS]
    everything = [f"{pair}{port}/{protocol}" for pair in both for port, protocol in PORTS]
    yield "everything", everything
    yield "before", found.reached(everything)
    held = open_exec(cluster.client, "default", "friend", [PYTHON, "-c", _HOLD, found.addresses["far"]], stdin=True)
    output = (data.decode().strip() for channel, data in held.output() if channel == STDOUT)

    def say(timeout: float) -> str:
        held.send(f"{timeout}\n".encode())
        return next(output)

    yield "held before", say(30)
    found.apply(INGRESS)
    yield "held under a policy", say(4)
    yield "ingress", found.reached([f"friend {server} {port}" for server in SERVERS for port in ("80/TCP", "90/SCTP")])
    found.apply(EGRESS)
    stranger = [text for text in everything if text.startswith("stranger")]
    yield "egress", found.reached([*stranger, "friend near 80/UDP", "friend far 80/UDP"])
    found.apply(DENY)
    yield "deny", found.reached([])
    found.delete("ClusterNetworkPolicy", "deny")
    found.delete("NetworkPolicy", "policy", "default")
    yield "after", found.reached(everything)
    yield "held after", say(60)
    held.close()
    found.prober.close()


def main() -> None:
    with kernel_cluster("star", {}) as cluster:
        for name, node in PODS.items():
            cluster.client.create(pod(name, node))
        for name in PODS:
            cluster.wait("Pod", name, "Ready", namespace="default", timeout=READY_SECONDS)
        json.dump(dict(look(cluster)), sys.stdout)


if __name__ == "__main__":
    main()
