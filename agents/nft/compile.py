"""One Service to its part of a node's ruleset: pure. The rules are those of kube-proxy's nftables mode.

Per port: a chain `in/…` for the cluster IP and `ext/…` for what comes from outside or to outside addresses; `pick/…`
chooses among all endpoints of the cluster, `near/…` among the node's own; `ep/…` translates to one endpoint.
With affinity the chains that choose have a digest of their rules in their names, as sets of source ranges have.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import collapse_addresses
from zlib import crc32

from agents.nft.base import MASQUERADE, REJECT
from agents.nft.model import (
    CLUSTER_IPS,
    EMPTY,
    EXTERNAL,
    HAIRPIN,
    NODE_PORTS,
    REFUSED,
    REFUSED_NODE_PORTS,
    SERVICES,
    Collection,
    Fragment,
)
from kubinet.services import (
    Choice,
    Front,
    Frontend,
    FrontendKind,
    NoEndpoint,
    floating_addresses,
    frontends,
    refused_addresses,
)
from kubinet.state import Endpoint, NetworkConfig, Node, Service, ServicePort

_NUMBERS = "typeof numgen random mod 2 : verdict;"
"""The key's type has no name of its own."""


def fragment(
    service: Service,
    node: Node,
    network: NetworkConfig,
    previous: Fragment = EMPTY,
    lost: frozenset[Front] = frozenset(),
) -> Fragment:
    """The Service's rules on the node; endpoints keep the numbers that they have in `previous`, `lost` are others'."""
    draft = _Draft(service, node, network, previous, lost)
    draft.shared[CLUSTER_IPS, str(service.cluster_ip)] = ""
    draft.shared.update({(EXTERNAL, str(address)): "" for address in floating_addresses(service, network)})
    for port in service.ports:
        _port(draft, port)
    return Fragment(draft.chains, draft.collections, draft.shared, draft.slots)


@dataclass(slots=True)
class _Draft:
    service: Service
    node: Node
    network: NetworkConfig
    previous: Fragment
    lost: frozenset[Front]
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    shared: dict[tuple[str, str], str] = field(default_factory=dict)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    """The chains that choose, by what they choose from."""


def _port(draft: _Draft, port: ServicePort) -> None:
    service = draft.service
    name = f"{service.namespace}/{service.name}/{port.protocol.name.lower()}/{port.port}"
    foreign = refused_addresses(service, draft.network)
    for front in frontends(service, port, draft.node):
        external = front.kind in (FrontendKind.EXTERNAL_IP, FrontendKind.LOAD_BALANCER)
        if front.address in foreign or (external and (front.address, front.port, port.protocol) in draft.lost):
            continue
        verdict = _verdict(draft, port, name, front)
        kind = front.kind
        if kind is FrontendKind.NODE_PORT:
            served, refused = NODE_PORTS, REFUSED_NODE_PORTS
            key = f"{port.protocol.name.lower()} . {front.port}"
        else:
            served, refused = SERVICES, REFUSED
            key = f"{front.address} . {port.protocol.name.lower()} . {front.port}"
        if verdict is None:
            draft.shared[refused, key] = _refusal(draft, name, front)
        else:
            draft.shared[served, key] = verdict


def _verdict(draft: _Draft, port: ServicePort, name: str, front: Frontend) -> str | None:
    """Where new connections to the front go; None where nobody may serve them."""
    if front.kind is FrontendKind.CLUSTER_IP:
        if not front.internal.endpoints:
            return None
        chain = f"in/{name}"
        if chain not in draft.chains:
            draft.chains[chain] = (
                f"ip saddr != {draft.network.pod_cidr} jump {MASQUERADE}",
                _choose(draft, port, name, front.internal, near=draft.service.internal_local),
            )
        return f"goto {chain}"
    if not front.internal.endpoints:
        return None
    chain = f"ext/{name}"
    if chain not in draft.chains:
        draft.chains[chain] = tuple(_external(draft, port, name, front))
    return _guarded(draft, front, f"from/{name}", f"goto {chain}")


def _external(draft: _Draft, port: ServicePort, name: str, front: Frontend) -> Iterator[str]:
    if front.masquerade:
        yield f"jump {MASQUERADE}"
        yield _choose(draft, port, name, front.internal, near=False)
        return
    # externalTrafficPolicy Local is for the outside; pods and the node itself have the whole cluster.
    anyone = _choose(draft, port, name, front.internal, near=False)
    yield f"ip saddr {draft.network.pod_cidr} {anyone}"
    yield f"fib saddr type local jump {MASQUERADE}"
    yield f"fib saddr type local {anyone}"
    yield _choose(draft, port, name, front.external, near=True) if front.external.endpoints else "drop"


def _refusal(draft: _Draft, name: str, front: Frontend) -> str:
    verdict = f"goto {REJECT}"
    if front.kind is FrontendKind.CLUSTER_IP and front.internal.otherwise is NoEndpoint.DROP:
        verdict = "drop"
    return _guarded(draft, front, f"none/{name}", verdict)


def _guarded(draft: _Draft, front: Frontend, chain: str, verdict: str) -> str:
    """The verdict, behind a chain that lets only loadBalancerSourceRanges through where the front has them."""
    ranges = list(collapse_addresses(draft.service.source_ranges))
    if front.kind is not FrontendKind.LOAD_BALANCER or not ranges or ranges[0].prefixlen == 0:
        return verdict
    elements = {str(one): "" for one in ranges}
    allowed = f"ranges/{draft.service.namespace}/{draft.service.name}/{_digest(elements)}"
    draft.collections[allowed] = Collection("set", "type ipv4_addr; flags interval;", elements)
    draft.chains[chain] = (f"ip saddr @{allowed} {verdict}", "drop")
    return f"goto {chain}"


def _choose(draft: _Draft, port: ServicePort, name: str, choice: Choice, *, near: bool) -> str:
    """A verdict that leads to one of the choice's endpoints (`near`: only the node's own); makes what it needs."""
    choosing = f"{'near' if near else 'pick'}/{name}"
    if choosing in draft.chosen:
        return f"goto {draft.chosen[choosing]}"
    ends = [_endpoint(draft, port, name, endpoint) for endpoint in choice.endpoints]
    rules = []
    if draft.service.affinity_seconds is not None:
        rules = [f"ip saddr @{_clients(draft, end)} goto {end}" for end in ends]
    if len(ends) == 1:
        rules.append(f"goto {ends[0]}")
    else:
        slots = place(draft.previous.slots.get(choosing, ()), ends)
        draft.slots[choosing] = slots
        elements = {str(number): f"goto {end}" for number, end in enumerate(slots)}
        draft.collections[f"{choosing}/by-number"] = Collection("map", _NUMBERS, elements)
        rules.append(f"numgen random mod {len(slots)} vmap @{choosing}/by-number")
    # With affinity there is a rule per endpoint: too long for the place of another chain's rules.
    chain = choosing if draft.service.affinity_seconds is None else f"{choosing}/{_digest(rules)}"
    draft.chosen[choosing] = chain
    draft.chains[chain] = tuple(rules)
    return f"goto {chain}"


def _endpoint(draft: _Draft, port: ServicePort, name: str, endpoint: Endpoint) -> str:
    """The chain that translates to the endpoint."""
    address = endpoint.address
    chain = f"ep/{name}/{address}/{endpoint.port}"
    if chain in draft.chains:
        return chain
    rules = [f"meta l4proto {port.protocol.name.lower()} dnat to {address}:{endpoint.port}"]
    seconds = draft.service.affinity_seconds
    if seconds is not None:
        clients = _clients(draft, chain)
        draft.collections[clients] = Collection("set", f"type ipv4_addr; flags dynamic,timeout; timeout {seconds}s;")
        rules.insert(0, f"update @{clients} {{ ip saddr }}")
    draft.chains[chain] = tuple(rules)
    if address in draft.node.pod_cidr:
        draft.shared[HAIRPIN, f"{address} . {address}"] = ""
    return chain


def _clients(draft: _Draft, endpoint_chain: str) -> str:
    """The set of clients that stay with the endpoint; another timeout makes another set."""
    return f"clients-{draft.service.affinity_seconds}-{endpoint_chain}"


def _digest(texts: Iterable[str]) -> str:
    """A part of the name of what may be long: changed, it is another one, made in pieces while nothing leads to it.

    Under its old name connections would meet it half changed (`text.Commands`).
    """
    return f"{crc32(' '.join(texts).encode()):08x}"


def place(previous: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted ones in slots 0…n-1, as many as can be in the slots that they had: one change moves at most one more.

    Who had a slot that there is no more, and who is new, fills the holes in order.
    """
    left = dict.fromkeys(wanted)
    slots: list[str | None] = []
    for one in previous[: len(wanted)]:
        slots.append(one if one in left else None)
        left.pop(one, None)
    fillers = iter(left)
    filled = [next(fillers) if one is None else one for one in slots]
    return (*filled, *fillers)
