"""Services for the small cluster of `states`: pods a (10.244.1.2) and b (10.244.1.3) on n1, c (10.244.2.2) on n2."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from frames import Frame
from states import state

from kubinet.state import ClusterState, Endpoint, Service, ServicePort
from kubinet.transport import Protocol

VIP = "10.96.0.10"
A, B, C = "10.244.1.2", "10.244.1.3", "10.244.2.2"
VIRTUAL = "aa:bb:cc:dd:ee:ff"
MAC = {A: "0a:58:0a:f4:01:02", B: "0a:58:0a:f4:01:03", C: "0a:58:0a:f4:02:02"}
PHY = {1: "02:00:00:00:00:01", 2: "02:00:00:00:00:02"}
ROUTER = {1: "02:ff:00:00:00:01", 2: "02:ff:00:00:00:02"}
NODE_1, NODE_2, OUTSIDE = "172.18.1.2", "172.18.2.2", "192.0.2.9"
NODES = {"1": "n1", "2": "n2"}


def endpoint(address: str, port: int = 8080, **options: Any) -> Endpoint:
    """An endpoint on the node that its pod address tells."""
    return Endpoint(IPv4Address(address), port, NODES.get(address.split(".")[2], ""), **options)


def service(
    endpoints: Sequence[Endpoint | str], *, name: str = "web", protocol: Protocol = Protocol.TCP, **options: Any
) -> Service:
    """A Service at `VIP`, port 80, of endpoints in the order of their addresses."""
    ends = [end if isinstance(end, Endpoint) else endpoint(end) for end in endpoints]
    ends.sort(key=lambda end: (end.address, end.port))
    port = ServicePort("web", protocol, 80, options.pop("node_port", None), tuple(ends))
    return Service("default", name, options.pop("address", IPv4Address(VIP)), (port,), **options)


def cluster(*services: Service, overlay: str = "direct") -> ClusterState:
    """The cluster with Services."""
    return replace(state(overlay), services={one.key: one for one in services})


def from_pod(pod: str, dst: str = VIP, dport: int = 80, sport: int = 40000, **options: int) -> Frame:
    """What a pod sends; a TCP SYN unless the options say otherwise."""
    return Frame(MAC[pod], VIRTUAL, pod, sport, dst, dport, **options)


def from_outside(node: int, dst: str, dport: int, sport: int = 50000, src: str = OUTSIDE, **options: int) -> Frame:
    """What arrives at a node from the underlay."""
    return Frame(ROUTER[node], PHY[node], src, sport, dst, dport, **options)
