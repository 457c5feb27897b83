"""Nodes' own routes to external addresses of Services that are of no network that the node routes to gw0 already."""

import logging
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from agents.node_routes import external_route
from kubinet.addressing import GATEWAY_INTERFACE, STACK_ROUTER
from kubinet.netlink import Netlink, NetlinkError, delete_route
from kubinet.netns import interface_indexes, netlink, of_process
from kubinet.services import floating_addresses
from kubinet.state import ClusterFacts, NetworkConfig, NodeFacts, Service

_LOG = logging.getLogger(__name__)


def routed_addresses(services: Iterable[Service], network: NetworkConfig) -> frozenset[IPv4Address]:
    """External addresses that need a route of their own.

    Not those of the balancers' pool, which has one, and not those that the cluster has for something else: a route to
    another node's address would cut that node off.
    """
    pool = network.load_balancer_cidr
    return frozenset(address for one in services for address in floating_addresses(one, network) if address not in pool)


class ExternalRoutes:
    """Keeps the routes of all nodes; for one thread. A node that refuses is tried again with the next change."""

    def __init__(self, facts: ClusterFacts) -> None:
        self._network = facts.network
        self._nodes = facts.nodes
        self._applied: dict[str, frozenset[IPv4Address]] = {}

    def update(self, services: Iterable[Service]) -> None:
        """Bring every node's routes to what the Services need."""
        wanted = routed_addresses(services, self._network)
        for node in self._nodes:
            if wanted == self._applied.get(node.name):
                continue
            try:
                self._change(node, wanted)
                self._applied[node.name] = wanted
            except (NetlinkError, OSError, KeyError) as error:
                _LOG.warning("node %s: routes to external addresses: %s", node.name, error)

    def _change(self, node: NodeFacts, wanted: frozenset[IPv4Address]) -> None:
        path = of_process(node.pid)
        before = self._applied.get(node.name)
        with netlink(path) as connection:
            inner = interface_indexes(connection)[GATEWAY_INTERFACE]
            if before is None:  # an earlier run may have left routes to addresses that are of no Service any more
                routes = connection.get_routes(family=socket.AF_INET, oif=inner)
                before = frozenset(
                    IPv4Address(route.get_attr("RTA_DST"))
                    for route in routes
                    if route["dst_len"] == 32 and route.get_attr("RTA_GATEWAY") == str(STACK_ROUTER)
                )
        with Netlink(path) as channel:
            channel.run(
                [
                    *(external_route(IPv4Network(one), node, inner) for one in wanted - before),
                    *(delete_route(IPv4Network(one)) for one in before - wanted),
                ]
            )
