"""Where a node's own packets go: to pods, to Services, to its own node ports, to the rest of the world. Pure.

Processes of the node and host-network pods reach Services by ordinary routes to gw0: br-int does the rest. To pods and
cluster IPs they have the gateway's address as their source; to external addresses of Services the node's own, which is
what `loadBalancerSourceRanges` name: nodes of other clusters route there as to any host.

A node's own address is different, because the kernel's local table comes before all others: a rule before it sends the
node's own connections to its node ports to gw0 too.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Final

from kubinet.addressing import FIRST_NODE_PORT, LAST_NODE_PORT, STACK_ROUTER, gateway_address
from kubinet.netlink import LOCAL_TABLE, Request, Rule, add_route, add_rule, delete_rule
from kubinet.state import NetworkConfig, NodeFacts, ServiceProxy
from kubinet.transport import Protocol

EVERYWHERE: Final = IPv4Network("0.0.0.0/0")
NODE_PORT_TABLE: Final = 100
"""The routing table with one route, to gw0, for connections to the node's own node ports."""
EXCEPTION_PRIORITY: Final = 5
"""Of rules for ports of the node port range that a process of the node itself serves."""
_NODE_PORT_PRIORITY: Final = 10
_LOCAL_PRIORITY: Final = 20


def node_routes(network: NetworkConfig, node: NodeFacts, *, uplink: int, inner: int) -> Iterator[Request]:
    """The node's routes; `uplink` and `inner` are the interface indexes of br-phy's local port and gw0."""
    source = gateway_address(node.pod_cidr)
    yield add_route(IPv4Network(STACK_ROUTER), inner, source=source)
    for destination in (network.pod_cidr, network.service_cidr):
        yield add_route(destination, inner, gateway=STACK_ROUTER, source=source)
    yield external_route(network.load_balancer_cidr, node, inner)
    if network.services is ServiceProxy.SDN:
        yield add_route(EVERYWHERE, inner, gateway=STACK_ROUTER, source=source, table=NODE_PORT_TABLE)
    if node.gateway is not None:
        yield add_route(EVERYWHERE, uplink, gateway=node.gateway)


def external_route(destination: IPv4Network, node: NodeFacts, inner: int) -> Request:
    """The node's route to external addresses of Services; `inner` is gw0's interface index."""
    return add_route(destination, inner, gateway=STACK_ROUTER, source=node.underlay.ip)


def node_rules(network: NetworkConfig, node: NodeFacts) -> Iterator[Request]:
    """The rules that lead the node's own connections to its node ports to br-int; none where its kernel serves them."""
    if network.services is not ServiceProxy.SDN:
        return
    for protocol in Protocol:
        yield add_rule(
            Rule(
                _NODE_PORT_PRIORITY,
                NODE_PORT_TABLE,
                destination=node.underlay.ip,
                protocol=protocol,
                ports=(FIRST_NODE_PORT, LAST_NODE_PORT),
                local=True,
            )
        )
    # In this order: without any rule for the local table the node would be deaf for a moment.
    yield add_rule(Rule(_LOCAL_PRIORITY, LOCAL_TABLE))
    yield delete_rule(Rule(0, LOCAL_TABLE))


def own_port_rule(node: NodeFacts, port: int) -> Rule:
    """The exception for a TCP port of the node port range that a process of the node serves: it stays local."""
    return Rule(
        EXCEPTION_PRIORITY,
        LOCAL_TABLE,
        destination=node.underlay.ip,
        protocol=Protocol.TCP,
        ports=(port, port),
        local=True,
    )
