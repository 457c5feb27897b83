"""Hypothesis strategies of clusters with pods and Services."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import strategies as st

from kubinet.state import (
    Algorithm,
    ClusterState,
    Endpoint,
    NetworkConfig,
    Node,
    Overlay,
    Pod,
    Service,
    ServicePort,
    ServiceProxy,
)
from kubinet.transport import Protocol


def node(index: int) -> Node:
    """A node on the underlay's subnet `index`; even ones have no router."""
    return Node(
        name=f"n{index}",
        index=index,
        underlay=IPv4Interface(f"172.18.{index // 2}.{index + 1}/24"),
        underlay_mac=f"02:00:00:00:00:{index:02x}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
        gateway=IPv4Address(f"172.18.{index // 2}.254"),
        gateway_mac=f"02:ff:00:00:00:{index:02x}",
        zone="ab"[index % 2],
    )


@st.composite
def states(draw: st.DrawFn) -> ClusterState:
    """Clusters of up to six nodes with some pods each."""
    nodes = {one.name: one for one in map(node, sorted(draw(st.sets(st.integers(1, 9), max_size=6))))}
    pods = {}
    for one in nodes.values():
        for host in draw(st.sets(st.integers(2, 20), max_size=6)):
            pod = Pod("default", f"p{host}-{one.name}", one.name, one.pod_cidr.network_address + host)
            pods[pod.key] = pod
    network = NetworkConfig(overlay=draw(st.sampled_from(Overlay)), services=draw(st.sampled_from(ServiceProxy)))
    found = {one.key: one for one in draw(st.lists(services(nodes, pods), max_size=5, unique_by=lambda one: one.name))}
    counts = {(pod.address, 80): draw(st.integers(0, 5)) for pod in pods.values()}
    return ClusterState(network, nodes, pods, found, connections=counts, generation=draw(st.integers(0, 99)))


_CONDITIONS = [(True, True, False), (False, False, False), (False, True, True)]
_ZONES = [frozenset(), frozenset({"a"}), frozenset({"b"})]
# Addresses of nobody, of nodes, and of other Services.
_EXTERNAL = [IPv4Address(text) for text in ("198.51.100.1", "198.51.100.2", "172.18.0.2", "172.18.1.4", "10.96.0.2")]
_EXTERNAL += [IPv4Address("172.31.0.3")]


@st.composite
def endpoints(draw: st.DrawFn, nodes: Mapping[str, Node], pods: Mapping[str, Pod]) -> Endpoint:
    """Pods, nodes' own addresses, and addresses of nobody, in all conditions."""
    places = [(pod.address, pod.node) for pod in pods.values()]
    places += [(one.underlay.ip, one.name) for one in nodes.values()]
    address, where = draw(st.sampled_from([*places, (IPv4Address("192.0.2.7"), "")]))
    conditions, zones = draw(st.sampled_from(_CONDITIONS)), draw(st.sampled_from(_ZONES))
    near, weight = draw(st.sampled_from([frozenset(), frozenset({where})])), draw(st.integers(0, 9))
    return Endpoint(address, draw(st.sampled_from([80, 8080])), where, *conditions, zones, near, weight)


@st.composite
def services(draw: st.DrawFn, nodes: Mapping[str, Node], pods: Mapping[str, Pod]) -> Service:
    """Any Service: few names, so that external addresses clash."""
    number = draw(st.integers(1, 8))
    some = st.lists(endpoints(nodes, pods), max_size=6, unique_by=lambda one: (one.address, one.port))
    ports = []
    for index, protocol in enumerate(draw(st.lists(st.sampled_from(Protocol), min_size=1, max_size=2))):
        behind = sorted(draw(some), key=lambda one: (one.address, one.port))
        own = 80 if (number, index) == (8, 1) else 30000 + 10 * number + index
        node_port = draw(st.sampled_from([None, own]))
        ports.append(ServicePort(f"p{index}", protocol, 80 + index, node_port, tuple(behind)))
    addresses = st.lists(st.sampled_from(_EXTERNAL), max_size=2, unique=True)
    return Service(
        "default",
        f"s{number}",
        IPv4Address(f"10.96.0.{number}"),
        tuple(ports),
        external_ips=tuple(draw(addresses)),
        load_balancer_ips=draw(st.sampled_from([(), (IPv4Address(f"172.31.0.{number}"),)])),
        source_ranges=draw(st.sampled_from([(), (IPv4Network("192.0.2.0/24"), IPv4Network("0.0.0.0/0"))])),
        affinity_seconds=draw(st.sampled_from([None, 60, 80000])),
        internal_local=draw(st.booleans()),
        external_local=draw(st.booleans()),
        algorithm=draw(st.sampled_from(Algorithm)),
    )
