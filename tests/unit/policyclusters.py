"""Clusters with namespaces, labels and policies, for tests of the policy compiler and the oracle."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import strategies as st

from kubinet.policies import (
    EVERYTHING,
    Action,
    BlockPeer,
    Direction,
    NamedPort,
    NodePeer,
    Operator,
    Peer,
    PodPeer,
    Policy,
    PortMatch,
    PortRange,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from kubinet.state import ClusterState, ContainerPort, NetworkConfig, Node, Overlay, Pod, ServiceProxy
from kubinet.transport import Protocol

NAMESPACES: Mapping[str, Mapping[str, str]] = {
    name: {"ns": name, "kubernetes.io/metadata.name": name} for name in ("x", "y", "z")
}
BOTH = frozenset(Direction)


def label(key: str, *values: str) -> Selector:
    """`key in (values)`."""
    return Selector((Requirement(key, Operator.IN, frozenset(values)),))


def node(index: int) -> Node:
    """n1, n2, …"""
    return Node(
        name=f"n{index}",
        index=index,
        underlay=IPv4Interface(f"172.18.{index}.2/24"),
        underlay_mac=f"02:00:00:00:00:{index:02x}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
        gateway=IPv4Address(f"172.18.{index}.1"),
        gateway_mac=f"02:ff:00:00:00:{index:02x}",
        labels={"role": "even" if index % 2 == 0 else "odd"},
    )


def pod(namespace: str, name: str, index: int, host: int, **labels: str) -> Pod:
    """A pod on node `index` that serves "web" on port 80 and, with an even host number, "dns" on 53/UDP."""
    named = [ContainerPort("web", 80 if host % 3 else 8080)]
    named += [ContainerPort("dns", 53, Protocol.UDP)] if host % 2 == 0 else []
    address = IPv4Address(f"10.244.{index}.{host}")
    return Pod(namespace, name, f"n{index}", address, {"pod": name, **labels}, named_ports=tuple(named))


def cluster(policies: Iterable[Policy] = (), pods: Iterable[Pod] | None = None, nodes: int = 2) -> ClusterState:
    """Pods a, b, c in x, y, z; a and c on n1, b on n2, unless others are given."""
    if pods is None:
        pods = (
            pod(namespace, name, 2 if name == "b" else 1, 2 + 3 * number + place)
            for number, namespace in enumerate(NAMESPACES)
            for place, name in enumerate("abc")
        )
    return ClusterState(
        NetworkConfig(overlay=Overlay.DIRECT),
        {f"n{index}": node(index) for index in range(1, nodes + 1)},
        {one.key: one for one in pods},
        namespaces=NAMESPACES,
        policies={one.key: one for one in policies},
    )


def netpol(
    name: str, subject: Selector = EVERYTHING, *, namespace: str = "x", directions: frozenset[Direction] = BOTH,
    ingress: Iterable[Rule] = (), egress: Iterable[Rule] = (),
) -> Policy:  # fmt: skip
    """A NetworkPolicy."""
    return Policy(
        "NetworkPolicy", name, namespace, Tier.NAMESPACE, PodPeer(None, subject), directions, tuple(ingress),
        tuple(egress),
    )  # fmt: skip


_SELECTORS = st.sampled_from(
    [
        EVERYTHING,
        label("pod", "a"),
        label("pod", "a", "b"),
        Selector((Requirement("pod", Operator.NOT_IN, frozenset("a")),)),
        Selector((Requirement("tier", Operator.EXISTS),)),
        Selector((Requirement("tier", Operator.DOES_NOT_EXIST), Requirement("pod", Operator.IN, frozenset("bc")))),
    ]
)
_NAMESPACE_SELECTORS = st.sampled_from(
    [
        EVERYTHING,
        label("ns", "x"),
        label("ns", "x", "y"),
        Selector((Requirement("ns", Operator.NOT_IN, frozenset("z")),)),
    ]
)
_BLOCKS = st.sampled_from(
    [
        BlockPeer(IPv4Network(cidr), tuple(map(IPv4Network, exceptions)))
        for cidr, exceptions in (
            ("0.0.0.0/0", ()),
            ("0.0.0.0/0", ("10.244.0.0/16",)),
            ("10.244.1.0/24", ()),
            ("10.244.1.0/28", ("10.244.1.4/31", "10.244.1.5/32")),
            ("10.244.2.3/32", ()),
            ("172.18.0.0/16", ("172.18.1.0/24",)),
            ("192.0.2.0/24", ()),
        )
    ]
)
_PORTS: st.SearchStrategy[PortMatch] = st.one_of(
    st.sampled_from(
        [
            PortRange(Protocol.TCP, 80, 80),
            PortRange(Protocol.TCP, 79, 90),
            PortRange(Protocol.UDP, 53, 53),
            PortRange(Protocol.TCP),
            PortRange(Protocol.SCTP, 80, 8080),
            PortRange(Protocol.UDP, 1, 65535),
        ]
    ),
    st.sampled_from([NamedPort("web", Protocol.TCP), NamedPort("dns", Protocol.UDP), NamedPort("none", Protocol.TCP)]),
    st.sampled_from([NamedPort("web", None), NamedPort("dns", None)]),
)


@st.composite
def rules(draw: st.DrawFn, tier: Tier, direction: Direction) -> Rule:
    """Any rule of a tier."""
    pods: st.SearchStrategy[Peer] = st.builds(PodPeer, _NAMESPACE_SELECTORS, _SELECTORS)
    peer: st.SearchStrategy[Peer] = st.one_of(pods, _BLOCKS)
    actions = st.just(Action.ACCEPT)
    if tier is Tier.NAMESPACE:
        peer = st.one_of(peer, st.builds(PodPeer, st.none(), _SELECTORS))
    else:
        actions = st.sampled_from(Action if tier is Tier.ADMIN else (Action.ACCEPT, Action.DENY))
        if direction is Direction.EGRESS:
            peer = st.one_of(peer, st.builds(NodePeer, st.sampled_from([EVERYTHING, label("role", "odd")])))
    peers = draw(st.one_of(st.none(), st.lists(peer, max_size=3).map(tuple)))
    if tier is not Tier.NAMESPACE and not peers:
        peers = (draw(peer),)
    ports = draw(st.one_of(st.none(), st.lists(_PORTS, min_size=1, max_size=3).map(tuple)))
    return Rule(peers, ports, draw(actions))


@st.composite
def policies(draw: st.DrawFn, number: int) -> Policy:
    """Any policy; `number` is its name."""
    tier = draw(st.sampled_from([Tier.NAMESPACE, Tier.NAMESPACE, Tier.ADMIN, Tier.BASELINE]))
    ingress, egress = (
        tuple(draw(st.lists(rules(tier, direction), max_size=3))) for direction in (Direction.INGRESS, Direction.EGRESS)
    )
    if tier is Tier.NAMESPACE:
        directions = frozenset(draw(st.sets(st.sampled_from(Direction), min_size=1)))
        subject = PodPeer(None, draw(_SELECTORS))
        return Policy(
            "NetworkPolicy", f"p{number}", draw(st.sampled_from("xyz")), tier, subject, directions, ingress, egress
        )
    directions = frozenset(
        direction for direction, own in ((Direction.INGRESS, ingress), (Direction.EGRESS, egress)) if own
    )
    subject = PodPeer(draw(_NAMESPACE_SELECTORS), draw(_SELECTORS))
    kind = "ClusterNetworkPolicy"
    return Policy(kind, f"p{number}", "", tier, subject, directions, ingress, egress, draw(st.integers(0, 3)))


@st.composite
def clusters(draw: st.DrawFn, most: int = 5) -> ClusterState:
    """Nine pods or fewer on two or three nodes, with labels drawn, and policies."""
    nodes = draw(st.integers(2, 3))
    pods = []
    for number, namespace in enumerate(NAMESPACES):
        for place, name in enumerate("abc"):
            if draw(st.integers(0, 9)):
                labels = {"tier": "1"} if draw(st.booleans()) else {}
                pods.append(pod(namespace, name, draw(st.integers(1, nodes)), 2 + 3 * number + place, **labels))
    count = draw(st.integers(0, most))
    found = [draw(policies(number)) for number in range(count)]
    network = NetworkConfig(
        overlay=draw(st.sampled_from([Overlay.DIRECT, Overlay.VXLAN])), services=draw(st.sampled_from(ServiceProxy))
    )
    return replace(cluster(found, pods, nodes), network=network)
