"""Realising a topology: Mininet nodes, links, addresses, routes, the management network. Runs inside a sandbox."""

import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from mininet.net import Mininet

from kubinet import netlink
from kubinet.netlink import Netlink, Request, VethEnd
from kubinet.netns import disable_offloads, namespace, of_process, set_sysctls
from kubinet.netns import netlink as open_netlink
from kubinet.state import ClusterFacts, NodeFacts, OutsideFacts
from topologies.links.mechanism import LinkTools, Shaper, choose_wire, shaper
from topologies.links.wires import LinkEnds, WireMaker, shape
from topologies.mininet_classes import BridgeSwitch, KubeNode, OutsideHost, ReadyLink, Router, empty_network
from topologies.model import Role, Topology
from topologies.plan import Plan, make_plan

_IFF_UP = 1
MANAGEMENT_BRIDGE = "mgmt0"
MANAGEMENT = "mgmt"
"""The management interface's name in every node."""
_EVERYWHERE = IPv4Network("0.0.0.0/0")
_CLASSES = {Role.NODE: KubeNode, Role.OUTSIDE: OutsideHost, Role.ROUTER: Router, Role.SWITCH: BridgeSwitch}
_QUIET = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
_FORWARDING = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
# Layer-4 hash: the overlay's outer UDP source port spreads pods' flows over equal-cost paths, and an outside host's
# connections to a balancer's address spread over the nodes of its segment.
_SPREADING = {"net.ipv4.fib_multipath_hash_policy": "1"}
# The node's own connections and the pods' translated ones draw their ports from separate ranges.
_NODE = {
    "net.ipv4.ip_local_port_range": "32768 49151",
    # Ports of a userspace bridge are seen by the kernel too; it must not answer there for the node's other interfaces.
    "net.ipv4.conf.all.arp_ignore": "1",
}


@dataclass(slots=True)
class Underlay:
    """A realised topology."""

    topology: Topology
    plan: Plan
    net: Mininet
    wires: WireMaker
    tools: LinkTools
    ends: dict[str, LinkEnds]
    timings: dict[str, float] = field(default_factory=dict)

    def pid(self, vertex: str) -> int:
        """A process in the vertex's network namespace."""
        return int(self.net[vertex].pid)

    def facts(self, name: str) -> ClusterFacts:
        """What the other services need to know."""
        return ClusterFacts(
            name=name,
            network=self.topology.network,
            management_address=self.plan.management_address.ip,
            nodes=tuple(self._node(index, node.name) for index, node in enumerate(self.topology.nodes, start=1)),
            outside=tuple(self._outside(host.name) for host in self.topology.of(Role.OUTSIDE)),
        )

    def close(self) -> None:
        """End the shells and userspace wires; the sandbox's end does the rest."""
        self.wires.close()
        for vertex in (*self.net.hosts, *self.net.switches):
            vertex.terminate()

    def _node(self, index: int, name: str) -> NodeFacts:
        interface = self.plan.interfaces[name][0]
        assert interface.address is not None
        gateway = self.plan.gateways.get(name)
        return NodeFacts(
            name=name,
            index=index,
            pid=self.pid(name),
            interface=interface.name,
            mac=_uplink_mac(interface.mac),
            underlay=interface.address,
            gateway=gateway,
            gateway_mac=self.plan.owner(gateway).mac if gateway else None,
            management=self.plan.management[name],
            pod_cidr=self.plan.pod_cidrs[name],
            labels=next(node.labels for node in self.topology.nodes if node.name == name),
        )

    def _outside(self, name: str) -> OutsideFacts:
        address = self.plan.interfaces[name][0].address
        assert address is not None
        return OutsideFacts(name, self.pid(name), address.ip)


def build(topology: Topology, run_dir: Path, tools: LinkTools) -> Underlay:
    """Make everything; MissingCapabilityError before anything is made when a link cannot be honoured."""
    choices = {
        link.name: choose_wire(link, tools, link.mtu or topology.network.underlay_mtu) for link in topology.links
    }
    plan = make_plan(topology)
    began = time.monotonic()
    net = empty_network()
    for vertex in topology.vertices:
        made = net.addHost(vertex.name, cls=_CLASSES[vertex.role], ip=None)
        if vertex.role is Role.SWITCH:  # Mininet's `pingall` asks hosts only
            net.hosts.remove(made)
            net.switches.append(made)
    timings = {"hosts": time.monotonic() - began}
    root = Netlink()
    wires = WireMaker(root, run_dir)
    ends = {}
    for number, link in enumerate(topology.links):
        ends[link.name] = LinkEnds(
            link=link,
            wire=choices[link.name],
            a=plan.interface(link.a, link.name),
            b=plan.interface(link.b, link.name),
            pid_a=int(net[link.a].pid),
            pid_b=int(net[link.b].pid),
            mtu=link.mtu or topology.network.underlay_mtu,
            number=number,
        )
        wires.make(ends[link.name])
    _management(root, plan, {node.name: int(net[node.name].pid) for node in topology.nodes})
    timings["links"] = time.monotonic() - began
    shapers = {name: shaper(one.link, one.mtu) for name, one in ends.items()}
    for vertex in topology.vertices:
        _furnish(vertex.name, vertex.role, int(net[vertex.name].pid), plan, shapers)
    for one in ends.values():
        net.addLink(
            net[one.link.a],
            net[one.link.b],
            cls=ReadyLink,
            intfName1=one.a.name,
            intfName2=one.b.name,
            params1={"address": one.a.address, "hardware": one.a.mac},
            params2={"address": one.b.address, "hardware": one.b.mac},
        )
    timings["addresses"] = time.monotonic() - began
    return Underlay(topology, plan, net, wires, tools, ends, timings)


def _management(root: Netlink, plan: Plan, pids: Mapping[str, int]) -> None:
    """A bridge in the sandbox's own namespace with an interface `mgmt` in every node: OpenFlow and the API."""
    root.run([netlink.add_bridge(MANAGEMENT_BRIDGE)])
    bridge = socket.if_nametoindex(MANAGEMENT_BRIDGE)
    root.run(
        [
            netlink.add_address(bridge, plan.management_address),
            *(
                netlink.add_veth(VethEnd(f"mgmt-{number}", up=True, bridge=bridge), VethEnd(MANAGEMENT, pid=pid))
                for number, pid in enumerate(pids.values(), start=1)
            ),
            # What pods say to the API leaves over their node's interface `mgmt`; the answer goes back the same way.
            *(netlink.add_route(plan.pod_cidrs[name], bridge, gateway=plan.management[name].ip) for name in pids),
        ]
    )


def _furnish(vertex: str, role: Role, pid: int, plan: Plan, shapers: Mapping[str, Shaper | None]) -> None:
    """Sysctls, addresses, routes, shapers and offloads of one namespace."""
    interfaces = plan.interfaces[vertex]
    with namespace(of_process(pid)):
        set_sysctls(_QUIET)
        if role in (Role.NODE, Role.ROUTER):
            set_sysctls(_FORWARDING)
        if role is not Role.SWITCH:
            set_sysctls(_SPREADING)
        if role is Role.NODE:
            set_sysctls(_NODE)
        disable_offloads(interface.name for interface in interfaces)
        with Netlink() as channel:
            if role is Role.SWITCH:
                channel.run([netlink.add_bridge(vertex)])
            indexes = {name: index for index, name in socket.if_nameindex()}
            channel.run(_requests(vertex, role, plan, shapers, indexes))


def _requests(
    vertex: str, role: Role, plan: Plan, shapers: Mapping[str, Shaper | None], indexes: Mapping[str, int]
) -> Iterator[Request]:
    yield netlink.set_link(indexes["lo"], up=True)
    if role is Role.NODE:
        yield netlink.set_link(indexes[MANAGEMENT], up=True)
        yield netlink.add_address(indexes[MANAGEMENT], plan.management[vertex])
    for interface in plan.interfaces[vertex]:
        index = indexes[interface.name]
        if interface.address is not None and role is not Role.NODE:
            yield netlink.add_address(index, interface.address)
        yield netlink.set_link(index, up=True, bridge=indexes[vertex] if role is Role.SWITCH else None)
        bucket = shapers[interface.link]
        if bucket is not None:
            yield shape(index, bucket)
    yield from _routes(vertex, role, plan, indexes, {interface.name for interface in plan.interfaces[vertex]})


def restore_routes(pid: int, vertex: str, role: Role, plan: Plan) -> None:
    """The plan's routes of a router or outside host again, over those of its interfaces that are up.

    The kernel drops routes whose last interface goes down and does not bring them back.
    """
    with open_netlink(of_process(pid)) as connection:
        found = list(connection.get_links())
    names = {link.get_attr("IFLA_IFNAME"): link for link in found}
    up = {name for name, link in names.items() if link["flags"] & _IFF_UP}
    indexes = {name: link["index"] for name, link in names.items()}
    with Netlink(of_process(pid)) as channel:
        channel.run(_routes(vertex, role, plan, indexes, up))


def _routes(vertex: str, role: Role, plan: Plan, indexes: Mapping[str, int], up: Collection[str]) -> Iterator[Request]:
    routes = [(route.destination, route.next_hops) for route in plan.routes.get(vertex, ())]
    if role is Role.OUTSIDE and vertex in plan.gateways:
        routes.append((_EVERYWHERE, (plan.gateways[vertex],)))
    for destination, next_hops in routes:
        hops = plan.reachable(vertex, next_hops, up)
        if hops:
            yield _route(vertex, plan, indexes, destination, hops)


def _route(
    vertex: str,
    plan: Plan,
    indexes: Mapping[str, int],
    destination: IPv4Network,
    next_hops: Sequence[IPv4Address],
) -> Request:
    """A route over the interfaces whose subnets the next hops are in."""
    hops = {}
    for hop in next_hops:
        interface = next(one for one in plan.interfaces[vertex] if one.address and hop in one.address.network)
        hops[hop] = indexes[interface.name]
    if len(hops) > 1:
        return netlink.add_route_over(destination, hops)
    [(gateway, index)] = hops.items()
    return netlink.add_route(destination, index, gateway=gateway)


def _uplink_mac(mac: str) -> str:
    """The node's MAC address on the underlay, for br-phy: not that of the interface in the bridge.

    With the userspace datapath the kernel sees every frame too; it ignores those that are for another MAC address than
    the interface's, and so leaves them to Open vSwitch.
    """
    return f"06{mac[2:]}"
