"""Runs in the guest: Services on the kernel datapath, from a pod, a node and the host outside; prints JSON."""

import json
import sys
from typing import Any

from kernel_cluster import PYTHON, READY_SECONDS, datapath, kernel_cluster

from kubinet.cluster import Cluster
from kubinet.errors import DeadlineError
from kubinet.informer import Informer
from kubinet.serviceobjects import service_key

NODE_PORT = 30080
_SERVER = """
import socket, sys, threading
name = sys.argv[1].encode()
tcp = socket.create_server(('', 8080), backlog=64); udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 8080))
def datagrams():
    while True:
        data, address = udp.recvfrom(100); udp.sendto(name + b' ' + address[0].encode(), address)
threading.Thread(target=datagrams, daemon=True).start()
while True:
    client, address = tcp.accept(); client.sendall(name + b' ' + address[0].encode()); client.close()
"""
_CLIENT = """
import json, socket, sys
found = []
for kind, address, port in json.loads(sys.argv[1]):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
    one.settimeout(10)
    try:
        one.connect((address, port))
        if kind == 'udp': one.send(b'?')
        found.append(one.recv(100).decode())
    except OSError as error:
        found.append(type(error).__name__)
    one.close()
print(json.dumps(found))
"""


def server(name: str, node: str) -> dict[str, Any]:
    """A pod that says its name and who asks, over TCP and UDP on port 8080."""
    container = {
        "name": "main",
        "image": "python:3.11",
        "command": ["python3", "-c", _SERVER, name],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name: str, **spec: Any) -> dict[str, Any]:
    """TCP and UDP port 80 in front of the servers."""
    ports = [{"name": kind, "port": 80, "targetPort": 8080, "protocol": kind.upper()} for kind in ("tcp", "udp")]
    whole = {"selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": whole}


def ask_from_pod(cluster: Cluster, questions: list[tuple[str, str, int]]) -> list[str]:
    """The answers that the client pod gets."""
    script = [PYTHON, "-c", _CLIENT, json.dumps(questions)]
    found: list[str] = json.loads(cluster.pod("client").exec(script, timeout=200).text)
    return found


def ask_from_outside(cluster: Cluster, questions: list[tuple[str, str, int]]) -> list[str]:
    """The answers that the host outside gets."""
    script = [sys.executable, "-c", _CLIENT, json.dumps(questions)]
    found: list[str] = json.loads(cluster.outside().exec(script, timeout=200).text)
    return found


def settle(cluster: Cluster) -> None:
    """Return when every Service has its EndpointSlice and every node has the flows of all."""
    services = [one["metadata"] for one in cluster.client.list("Service")["items"]]
    wanted = {f"{one['namespace']}/{one['name']}" for one in services}
    informer = Informer(cluster.info.client(), "EndpointSlice").start()
    try:
        if not informer.wait_for(lambda found: wanted <= {service_key(one) for one in found.values()}, READY_SECONDS):
            raise DeadlineError(f"not all of {wanted} have EndpointSlices")
    finally:
        informer.stop()
    cluster.wait_realised(READY_SECONDS)


def look(cluster: Cluster) -> dict[str, Any]:
    client = cluster.client
    for name, node in (("web1", "n1"), ("web2", "n2")):
        client.create(server(name, node))
    for name in ("web1", "web2"):
        cluster.wait("Pod", name, "Ready", namespace="default", timeout=READY_SECONDS)
    port = {"name": "tcp", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
    made = {
        "web": client.create(service("web")),
        "none": client.create(service("none", selector={"app": "nothing"})),
        "sticky": client.create(service("sticky", sessionAffinity="ClientIP")),
        "local": client.create(service("local", type="NodePort", externalTrafficPolicy="Local", ports=[port])),
    }
    client.create(service("outer", type="NodePort", ports=[{**port, "nodePort": NODE_PORT + 1}]))
    ip = {name: one["spec"]["clusterIP"] for name, one in made.items()}
    nodes = {node.name: str(node.underlay.ip) for node in cluster.facts.nodes}

    settle(cluster)
    return {
        "cluster_ip": ask_from_pod(cluster, [("tcp", ip["web"], 80)] * 16 + [("udp", ip["web"], 80)] * 8),
        "none": ask_from_pod(cluster, [("tcp", ip["none"], 80), ("udp", ip["none"], 80)]),
        "sticky": ask_from_pod(cluster, [("tcp", ip["sticky"], 80)] * 8),
        "outside": ask_from_outside(cluster, [("tcp", address, NODE_PORT + 1) for address in nodes.values()] * 4),
        "outside_local": ask_from_outside(cluster, [("tcp", nodes["n1"], NODE_PORT)]),
        "web": ip["web"],
        "client": str(cluster.pod("client").address),
        "outside_address": str(cluster.outside().address),
        "gateways": [str(node.pod_cidr.network_address + 1) for node in cluster.facts.nodes],
        "conntrack": datapath(cluster, "n1", "dpctl/dump-conntrack"),
    }


def main() -> None:
    with kernel_cluster("star", {"client": "n1"}, overlay=sys.argv[1]) as cluster:
        json.dump(look(cluster), sys.stdout)


if __name__ == "__main__":
    main()
