"""One node's Open vSwitch and interfaces, brought to what the facts say; safe to repeat at any time."""

import logging
import socket
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final

from agents.node_routes import node_routes, node_rules
from agents.ovsconfig import bridge_operations, node_bridges, port_problems, root_operations
from agents.ovsdaemons import Daemon, SwitchHome
from agents.ovsrpc import Appctl, Ovsdb, OvsError
from kubinet import netlink
from kubinet.addressing import (
    GATEWAY_INTERFACE,
    REJECT_ADDRESS,
    STACK_ROUTER,
    UPLINK_BRIDGE,
    VIRTUAL_MAC,
    gateway_address,
)
from kubinet.netlink import Netlink
from kubinet.netns import disable_offloads, namespace, of_process, set_sysctls
from kubinet.state import ClusterFacts, Datapath, NodeFacts, Overlay

_LOG = logging.getLogger(__name__)
NODE_SYSCTLS: Final = {
    "net.ipv4.ip_forward": "1",
    # Pods' packets come back over another interface than the route to their source names.
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    # Refusals (ICMP destination unreachable) are not rationed: a Service without endpoints refuses every connection.
    # These are the kernel's default types of limited messages (ip-sysctl: icmp_ratemask) without bit 3.
    "net.ipv4.icmp_ratemask": "6160",
    # IPv4 only: interfaces that speak IPv6 unasked would fill the bridges' drop counters.
    "net.ipv6.conf.default.disable_ipv6": "1",
}
# br-int gives the node's own connections to its node ports back with the node's own address as their replies' source.
_GATEWAY_SYSCTLS: Final = {f"net.ipv4.conf.{GATEWAY_INTERFACE}.accept_local": "1"}
_NEIGHBOUR_SECONDS: Final = "3600"
"""The longest that ovs-vswitchd keeps an idle tunnel neighbour (lib/tnl-neigh-cache.c)."""
_ADDRESS_SECONDS: Final = 30.0
_FRAGMENT_BYTES: Final = "400"
"""The least that ovs-vswitchd takes for the smallest fragment (lib/ipf.c); its default, 1200, drops honest ones."""


@dataclass(slots=True)
class NodeSwitch:
    """A node's running Open vSwitch."""

    facts: ClusterFacts
    node: NodeFacts
    home: SwitchHome
    database_server: Daemon
    switch: Daemon
    database: Ovsdb
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def daemons(self) -> tuple[Daemon, Daemon]:
        """Both daemons, for supervision."""
        return self.database_server, self.switch

    def appctl(self) -> Appctl:
        """A control connection to ovs-vswitchd."""
        return Appctl(self.home.control_socket(self.switch))

    def close(self) -> None:
        """Let go; the daemons run on."""
        self.database.close()
        for daemon in self.daemons:
            daemon.close()


def set_up_node(facts: ClusterFacts, node: NodeFacts, home: SwitchHome, empty_database: Path) -> NodeSwitch:
    """Bring the node up, or find out that it is up: daemons, bridges, addresses, routes, neighbours.

    OvsError, NetlinkError or DaemonError say what could not be done on which node.
    """
    clock = _Clock()
    home.prepare(empty_database)
    with namespace(home.namespace):
        set_sysctls(NODE_SYSCTLS)  # before the interfaces that inherit them are made
    database_server = home.ensure_database_server()
    clock.lap("ovsdb-server")
    database = Ovsdb(home.database_socket)
    bridges = node_bridges(facts, node)
    operations = root_operations(database.tables) + bridge_operations(bridges, database.tables)
    bump = {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}
    database.transact([*operations, bump])
    clock.lap("bridges declared")
    # The switch starts after its configuration: it then configures itself once, not once for each step.
    switch = home.ensure_switch()
    database.wait_configured()
    interfaces = [interface for bridge in bridges for interface in bridge.interfaces]
    problems = port_problems(interfaces, database.tables)
    if problems:
        raise OvsError(f"node {node.name}: {'; '.join(problems)}; see {home.log_dir}")
    clock.lap("ovs-vswitchd")
    running = NodeSwitch(facts, node, home, database_server, switch, database, clock.laps)
    admit_fragments(running)
    configure_interfaces(facts, node)
    clock.lap("interfaces")
    seed_tunnel(running)
    clock.lap("tunnel")
    return running


def configure_interfaces(facts: ClusterFacts, node: NodeFacts) -> None:
    """Addresses, routes, MTU and offloads of the node's own interfaces."""
    network = facts.network
    gateway = gateway_address(node.pod_cidr)
    owned = (UPLINK_BRIDGE, GATEWAY_INTERFACE, node.interface)
    with namespace(of_process(node.pid)):
        disable_offloads(owned)
        set_sysctls(_GATEWAY_SYSCTLS)
        uplink, inner, underlay = map(socket.if_nametoindex, owned)
        channel = Netlink()
    with channel:
        requests = [
            netlink.set_link_up(underlay),
            netlink.set_link_up(uplink, network.underlay_mtu),
            netlink.set_link_up(inner, network.pod_mtu),
            netlink.add_address(uplink, node.underlay),
            # /32: its own pods, too, are behind the one neighbour that is always known.
            netlink.add_address(inner, IPv4Interface((gateway, 32))),
            netlink.add_address(inner, IPv4Interface(REJECT_ADDRESS)),
            netlink.add_neighbour(inner, STACK_ROUTER, VIRTUAL_MAC, permanent=True),
            *node_routes(network, node, uplink=uplink, inner=inner),
            *node_rules(network, node),
        ]
        requests += [
            # Permanent: they are facts of the topology, and the kernel's limit of neighbours, which all network
            # namespaces of the machine share, does not count permanent ones.
            netlink.add_neighbour(uplink, neighbour.ip, mac, permanent=True)
            for neighbour, mac in segment_neighbours(facts, node)
        ]
        channel.run(requests)


def segment_neighbours(facts: ClusterFacts, node: NodeFacts) -> list[tuple[IPv4Interface, str]]:
    """Whom the node reaches on its own underlay segment: its router and the nodes of the same subnet."""
    found = [
        (other.underlay, other.mac)
        for other in facts.nodes
        if other.name != node.name and other.underlay.ip in node.underlay.network
    ]
    if node.gateway is not None and node.gateway_mac is not None:
        found.append((IPv4Interface((node.gateway, node.underlay.network.prefixlen)), node.gateway_mac))
    return found


def admit_fragments(running: NodeSwitch) -> None:
    """Have the userspace datapath track fragments as small as an underlay's MTU of 576 bytes makes them.

    It forgets this when it restarts. The kernel's datapath has no such limit.
    """
    if running.facts.network.datapath is Datapath.SYSTEM:
        return
    with running.appctl() as appctl:
        appctl("dpctl/ipf-set-min-frag", "v4", _FRAGMENT_BYTES)


def seed_tunnel(running: NodeSwitch) -> None:
    """Tell the userspace tunnel its routes and its neighbours.

    The switch does not read the kernel's routes (`SwitchHome.ensure_switch`). It would read them all again after every
    change of an interface in the node's namespace, such as a pod's that comes or goes, and know none meanwhile: flows
    that are revalidated then lose their tunnel, and with it a few packets between nodes.
    It drops the first packet to a neighbour that it does not know and asks by ARP.
    """
    network, node = running.facts.network, running.node
    if network.datapath is Datapath.SYSTEM or network.overlay is Overlay.DIRECT:
        return  # the kernel's own routes and neighbours are used
    with running.appctl() as appctl:
        _add_tunnel_route(appctl, node, str(node.underlay.network), UPLINK_BRIDGE)
        if node.gateway is not None:
            _add_tunnel_route(appctl, node, "0.0.0.0/0", UPLINK_BRIDGE, str(node.gateway))
        appctl("tnl/neigh/aging", _NEIGHBOUR_SECONDS)
        for neighbour, mac in segment_neighbours(running.facts, node):
            appctl("tnl/neigh/set", UPLINK_BRIDGE, str(neighbour.ip), mac)


def _add_tunnel_route(appctl: Appctl, node: NodeFacts, *route: str) -> None:
    """Repeated until the switch has heard from the kernel of the address that is the route's source."""
    deadline = time.monotonic() + _ADDRESS_SECONDS
    while True:
        try:
            appctl("ovs/route/add", *route)
            return
        except OvsError as error:
            if time.monotonic() > deadline:
                raise OvsError(f"node {node.name}: ovs/route/add {' '.join(route)}: {error}") from error
            time.sleep(0.01)


class _Clock:
    """Seconds of each step, for `stats`."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 4)
        self._last = now
