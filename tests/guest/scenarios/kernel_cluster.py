"""For scenarios in the guest: a cluster whose switches forward in the kernel, and what its datapath says.

A scenario imports this module (Python finds it beside the scenario's own file), does its work in `kernel_cluster`, and
prints one JSON object; docs/guest.md has an example.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kubinet.cluster import Cluster

READY_SECONDS = 240
"""An emulated processor is ten times slower than the host's."""
PYTHON = "/usr/bin/python3"
"""Containers see the machine's /usr, not this environment."""


def pod(name: str, node: str) -> dict[str, object]:
    """The manifest of a pod that only waits."""
    container = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


@contextmanager
def kernel_cluster(topology: str, pods: dict[str, str], *, nodes: int = 2, overlay: str = "vxlan") -> Iterator[Cluster]:
    """A cluster on the kernel datapath with `pods` (node by pod) ready.

    `auto` is asked for: the scenario fails where the kernel datapath is not what Kubinet chooses by itself.
    """
    settings = {"network.overlay": overlay, "network.dnsReplicas": "0"}
    with Cluster(topology, nodes=nodes, settings=settings) as cluster:
        shown = datapath(cluster, cluster.facts.nodes[0].name, "dpctl/show")
        if not shown.startswith("system@"):
            raise RuntimeError(f"datapath auto is not the kernel's: {shown}")
        for name, node in pods.items():
            cluster.client.create(pod(name, node))
        for name in pods:
            cluster.wait("Pod", name, "Ready", namespace="default", timeout=READY_SECONDS)
        yield cluster


def datapath(cluster: Cluster, node: str, *command: str) -> str:
    """What `ovs-appctl COMMAND` says at a node's switch, e.g. `dpctl/dump-flows` or `dpctl/dump-conntrack`."""
    switch = f"/run/kubinet/nodes/{node}"
    script = f"exec ovs-appctl --target=$(echo {switch}/ovs-vswitchd.*.ctl) {' '.join(command)}"
    return cluster.run(["sh", "-c", script]).text


_SERVER = """
import signal, socket
signal.alarm(60)  # ends by itself, whatever becomes of the scenario
tcp = socket.create_server(('', 9000)); udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 9000)); print('listening', flush=True)
client, address = tcp.accept(); client.sendall(address[0].encode()); client.close()
data, address = udp.recvfrom(100); udp.sendto(address[0].encode(), address)
"""
_CLIENT = """
import socket, sys
tcp = socket.create_connection((sys.argv[1], 9000), 10); print(tcp.recv(100).decode())
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(10)
udp.sendto(b'?', (sys.argv[1], 9000)); print(udp.recv(100).decode())
"""


def seen_outside(cluster: Cluster, name: str) -> list[str]:
    """The client's address as a server outside sees it when a pod connects by TCP and asks by UDP."""
    outside = cluster.outside()
    with outside.popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if server.stdout.readline() != b"listening\n":
            raise RuntimeError("the outside server ended early")
        return cluster.pod(name).exec([PYTHON, "-c", _CLIENT, str(outside.address)], timeout=60).text.split()
