"""Kubinet's presets for Mininet alone, without Kubernetes: `mn --custom topologies/mininet_topos.py`.

With Kubinet's Python: `python $(command -v mn) --custom topologies/mininet_topos.py --controller none
--topo kubinet-leaf-spine,nodes=8 --test pingall`. Addresses and routes are those of a cluster; rates and delays are
made by Mininet's own TCLink, which needs the kernel's sch_netem for delays and puts both on one interface (Kubinet
does not). `mn` cleans up after itself by name (processes, files in /tmp): run it in namespaces of its own.
"""

from functools import partial
from typing import Any

from mininet.link import Link as PlainLink
from mininet.link import TCLink
from mininet.node import Node, Switch
from mininet.topo import Topo

from topologies.model import Link, Role
from topologies.plan import Interface, Plan, make_plan
from topologies.presets import PRESETS
from topologies.resolve import load_topology

_MININET_MAX_RATE = 1000e6
"""Mininet's TCIntf ignores a higher rate."""


class StaticRouter(Node):  # type: ignore[misc]
    """A host that forwards, with the routes of the plan; equal-cost paths are chosen by layer-4 hash."""

    def config(self, routes: tuple[str, ...] = (), **params: Any) -> dict[str, Any]:
        """Turn forwarding on; `routes` are added by `add_routes`, once all interfaces have addresses."""
        configured: dict[str, Any] = super().config(**params)
        self.cmd("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.fib_multipath_hash_policy=1")
        self.cmd("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        for interface in self.intfList():
            if interface.ip is not None:
                self.cmd(f"ip addr replace {interface.ip}/{interface.prefixLen} dev {interface.name}")
                self.cmd(f"ip link set {interface.name} up")
        for route in routes:
            problem = self.cmd(f"ip route replace {route}").strip()
            if problem:
                raise RuntimeError(f"{self.name}: ip route replace {route}: {problem}")
        return configured


class KernelBridge(Switch):  # type: ignore[misc]
    """A Linux bridge in Mininet's own namespace; needs neither Open vSwitch nor a controller."""

    def start(self, controllers: list[Any]) -> None:  # noqa: ARG002 - Mininet's signature
        """Make the bridge and give it its ports."""
        self.cmd(f"ip link add {self.name} type bridge")
        for interface in self.intfList():
            if interface.name != "lo":
                self.cmd(f"ip link set {interface.name} master {self.name} up")
        self.cmd(f"ip link set {self.name} up")

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803 - Mininet's signature
        """Remove the bridge."""
        self.cmd(f"ip link del {self.name}")
        super().stop(deleteIntfs)


class KubinetTopo(Topo):  # type: ignore[misc]
    """A preset as Mininet's own graph."""

    def build(self, preset: str, nodes: int | None = None, **parameters: Any) -> None:
        """Add hosts, switches, routers and links of the preset with these parameters."""
        given = parameters | ({"nodes": nodes} if nodes is not None else {})
        topology = load_topology(preset, given)
        plan = make_plan(topology)
        for vertex in topology.vertices:
            if vertex.role is Role.SWITCH:
                self.addSwitch(vertex.name, cls=KernelBridge)
            else:
                self.addHost(vertex.name, **_host(plan, vertex.name, vertex.role))
        for link in topology.links:
            a, b = plan.interface(link.a, link.name), plan.interface(link.b, link.name)
            self.addLink(
                link.a, link.b, addr1=a.mac, addr2=b.mac, params1=_end(a), params2=_end(b), **_quantities(link)
            )


def _host(plan: Plan, name: str, role: Role) -> dict[str, Any]:
    first = plan.interfaces[name][0]
    assert first.address is not None
    if role is Role.ROUTER:
        return {"cls": StaticRouter, "ip": str(first.address), "routes": _routes(plan, name)}
    gateway = plan.gateways.get(name)
    way = {"defaultRoute": f"via {gateway}"} if gateway is not None else {}
    return {"ip": str(first.address), **way}


def _routes(plan: Plan, router: str) -> tuple[str, ...]:
    """Arguments of `ip route replace`."""
    return tuple(
        f"{route.destination} " + " ".join(f"nexthop via {hop}" for hop in route.next_hops)
        for route in plan.routes[router]
    )


def _end(interface: Interface) -> dict[str, Any]:
    return {} if interface.address is None else {"ip": str(interface.address)}


def _quantities(link: Link) -> dict[str, Any]:
    """TCLink's parameters: Mbit/s, text with unit, percent, packets."""
    values: dict[str, Any] = {}
    if link.rate is not None and link.rate <= _MININET_MAX_RATE:
        values |= {"bw": link.rate / 1e6, "use_tbf": True}
    if link.delay:
        values["delay"] = f"{link.delay * 1e6:.0f}us"
    if link.jitter:
        values["jitter"] = f"{link.jitter * 1e6:.0f}us"
    if link.loss:
        values["loss"] = link.loss * 100
    if link.queue is not None and link.queue.packets is not None:
        values["max_queue_size"] = link.queue.packets
    return {"cls": TCLink if values else PlainLink, **values}


topos = {f"kubinet-{name}": partial(KubinetTopo, name) for name in PRESETS}
