"""The nftables baseline with packets, without Open vSwitch: an outside host, a node's kernel, two pods behind it."""

import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from hosts import TCP, UDP, ask, client, new_host, node_setup, server, shell, talk
from sandboxed import call_sandboxed

from agents.nft.connections import KernelConnections
from agents.nft.proxy import NftNode, longest_transaction
from agents.node_routes import external_route, node_routes
from agents.services.stale import Front, Stale, step
from kubinet.netlink import Netlink
from kubinet.netns import interface_indexes, namespace, netlink, of_process, set_sysctls
from kubinet.state import Endpoint, NetworkConfig, Node, NodeFacts, Service, ServicePort, ServiceProxy
from kubinet.transport import Protocol

pytestmark = pytest.mark.emulated

OWN, OUTSIDE = "172.18.0.1", "172.18.0.100"
ONE, TWO, GATEWAY = "10.244.1.5", "10.244.1.6", "10.244.1.1"
VIP, BALANCER, FOREIGN = "10.96.0.10", "172.31.0.1", "203.0.113.7"
NETWORK = NetworkConfig(services=ServiceProxy.NFTABLES)
NODE = Node("n1", 1, IPv4Interface(f"{OWN}/24"), "06:00:00:00:00:01", IPv4Network("10.244.1.0/24"))


class World:
    """Pods with /32 addresses hang on gw0, a bridge here: all they send goes through the node's kernel."""

    def __init__(self) -> None:
        self.node, self.outside, self.one, self.two = (new_host() for _ in range(4))
        with namespace(of_process(self.node)):
            set_sysctls(node_setup().NODE_SYSCTLS)
        shell(
            f"ip link add br-phy type veth peer name eth0 netns {self.outside}; ip link add gw0 type bridge", self.node
        )
        # The bridge must not translate frames on its own account where the kernel has br_netfilter.
        shell("for f in /proc/sys/net/bridge/bridge-nf-call-iptables; do [ ! -e $f ] || echo 0 > $f; done", self.node)
        shell(f"ip addr add {OWN}/24 dev br-phy; ip link set br-phy up", self.node)
        shell(f"ip addr add {GATEWAY}/24 dev gw0; ip link set gw0 up", self.node)
        for name, pid, address in (("p1", self.one, ONE), ("p2", self.two, TWO)):
            shell(
                f"ip link add {name} type veth peer name eth0 netns {pid}; ip link set {name} master gw0 up", self.node
            )
            shell(f"ip addr add {address}/32 dev eth0; ip link set eth0 up", pid)
            shell(f"ip route add {GATEWAY} dev eth0; ip route add default via {GATEWAY}", pid)
        shell(f"ip addr add {OUTSIDE}/24 dev eth0; ip link set eth0 up; ip route add default via {OWN}", self.outside)
        facts = NodeFacts(
            "n1", 1, self.node, "n1-eth0", "", NODE.underlay, None, None, IPv4Interface("172.30.0.2/16"), NODE.pod_cidr
        )
        with netlink(of_process(self.node)) as connection:
            indexes = interface_indexes(connection)
        with Netlink(of_process(self.node)) as channel:
            channel.run(node_routes(NETWORK, facts, uplink=indexes["br-phy"], inner=indexes["gw0"]))
            channel.run([external_route(IPv4Network(FOREIGN), facts, indexes["gw0"])])
        self.kernel = NftNode(of_process(self.node), NETWORK, longest_transaction())
        self.servers = ExitStack()
        for pid, address, word in ((self.one, ONE, "one"), (self.two, TWO, "two")):
            for kind in (TCP, UDP):
                self.servers.enter_context(server(pid, address, 8080, kind, word))

    def update(self, *services: Service) -> dict[str, Service]:
        made = {service.key: service for service in services}
        self.kernel.update(NODE, made, {})
        return made

    def many(self, pid: int, address: str, port: int, kind: int = TCP, times: int = 24) -> list[str]:
        """The different answers to many new connections."""
        return sorted(Counter(ask(pid, address, port, kind, 1.0) for _ in range(times)))


def service(*addresses: str, name: str = "web", vip: str = VIP, elsewhere: str = "", **more: Any) -> Service:
    """TCP and UDP port 80, node ports 30080; endpoints on this node and, where asked for, one elsewhere."""
    endpoints = [Endpoint(IPv4Address(address), 8080, node="n1") for address in addresses]
    if elsewhere:
        endpoints.append(Endpoint(IPv4Address(elsewhere), 8080, node="n2"))
    ports = tuple(ServicePort(p.name, p, 80, 30080, tuple(endpoints)) for p in (Protocol.TCP, Protocol.UDP))
    return Service("default", name, IPv4Address(vip), ports, **more)


def addresses_and_ports() -> dict[str, Any]:
    world = World()
    world.update(service(ONE, TWO, load_balancer_ips=(IPv4Address(BALANCER),), external_ips=(IPv4Address(FOREIGN),)))
    return {
        "pod, cluster IP": world.many(world.one, VIP, 80),
        "pod, cluster IP, UDP": world.many(world.one, VIP, 80, UDP),
        "node, cluster IP": world.many(world.node, VIP, 80),
        "outside, cluster IP": world.many(world.outside, VIP, 80),
        "outside, node port": world.many(world.outside, OWN, 30080),
        "outside, node port, UDP": world.many(world.outside, OWN, 30080, UDP),
        "outside, balancer": world.many(world.outside, BALANCER, 80),
        "outside, external IP": world.many(world.outside, FOREIGN, 80),
        "pod, external IP": world.many(world.one, FOREIGN, 80),
        "pod, node port": world.many(world.one, OWN, 30080),
        "node, node port": world.many(world.node, OWN, 30080),
        "node, balancer": world.many(world.node, BALANCER, 80),
        "unknown port": world.many(world.one, VIP, 81, times=2),
        "unknown address": ask(world.one, "10.96.0.99", 80, timeout=0.5),
        "external IP's unknown port": ask(world.outside, FOREIGN, 81, timeout=0.5),
        "balancer's unknown port": ask(world.outside, BALANCER, 81, timeout=0.5),
    }


def test_every_address_of_a_service_leads_to_its_endpoints() -> None:
    """Both pods answer; pods' sources stay except to themselves; what comes from outside has the node's address."""
    assert call_sandboxed(addresses_and_ports) == {
        "pod, cluster IP": [f"one {GATEWAY}", f"two {ONE}"],
        "pod, cluster IP, UDP": [f"one {GATEWAY}", f"two {ONE}"],
        "node, cluster IP": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "outside, cluster IP": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "outside, node port": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "outside, node port, UDP": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "outside, balancer": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "outside, external IP": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "pod, external IP": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "pod, node port": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "node, node port": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "node, balancer": [f"one {GATEWAY}", f"two {GATEWAY}"],
        "unknown port": ["refused"],
        "unknown address": "silence",
        "external IP's unknown port": "silence",
        "balancer's unknown port": "silence",
    }


def without_endpoints() -> dict[str, str]:
    world = World()
    world.update(service())
    return {
        f"{who}, {what}, {kind}": ask(pid, address, port, number)
        for who, pid in (("pod", world.one), ("node", world.node), ("outside", world.outside))
        for what, address, port in (("cluster IP", VIP, 80), ("node port", OWN, 30080))
        for kind, number in (("TCP", TCP), ("UDP", UDP))
    }


def test_without_endpoints_connections_are_refused() -> None:
    """Pods, the node and the outside: TCP and UDP to cluster IP and node port are refused, not left waiting."""
    found = call_sandboxed(without_endpoints)
    assert len(found) == 12
    assert set(found.values()) == {"refused"}


def policies() -> dict[str, Any]:
    world = World()
    balancer = {"load_balancer_ips": (IPv4Address(BALANCER), IPv4Address(FOREIGN))}
    found: dict[str, Any] = {}
    world.update(service(ONE, elsewhere=TWO, external_local=True, **balancer))
    found["local, outside, node port"] = world.many(world.outside, OWN, 30080)
    found["local, outside, balancer"] = world.many(world.outside, BALANCER, 80)
    found["local, pod, balancer"] = world.many(world.one, BALANCER, 80)
    world.update(service(elsewhere=TWO, external_local=True, **balancer))
    found["local elsewhere, outside"] = ask(world.outside, BALANCER, 80, timeout=0.5)
    found["local elsewhere, pod"] = ask(world.one, BALANCER, 80)
    world.update(service(elsewhere=TWO, internal_local=True))
    found["internal elsewhere, pod"] = ask(world.one, VIP, 80, timeout=0.5)
    world.update(service(ONE, elsewhere=TWO, internal_local=True))
    found["internal, second pod"] = world.many(world.two, VIP, 80)
    many = tuple(IPv4Network((0x0A000000 + number * 512, 24)) for number in range(6000))
    for name, ranges in (
        ("own range", (IPv4Network("172.18.0.0/24"),)),
        ("other ranges", many),
        ("own range among many", (*many, IPv4Network("172.18.0.0/16"))),
        ("everybody", (IPv4Network("0.0.0.0/0"),)),
    ):
        world.update(service(ONE, source_ranges=ranges, **balancer))
        found[name] = ask(world.outside, BALANCER, 80, timeout=0.5)
        found[f"{name}, node port"] = ask(world.outside, OWN, 30080, timeout=0.5)
        found[f"{name}, node"] = ask(world.node, FOREIGN, 80, timeout=0.5)
    return found


def test_traffic_policies_and_source_ranges() -> None:
    """Local keeps the client's address and this node's endpoints, else silence; ranges guard balancers only."""
    assert call_sandboxed(policies) == {
        "local, outside, node port": [f"one {OUTSIDE}"],
        "local, outside, balancer": [f"one {OUTSIDE}"],
        "local, pod, balancer": [f"one {GATEWAY}", f"two {ONE}"],
        "local elsewhere, outside": "silence",
        "local elsewhere, pod": f"two {ONE}",
        "internal elsewhere, pod": "silence",
        "internal, second pod": [f"one {TWO}"],
        "own range": f"one {GATEWAY}",
        "own range, node port": f"one {GATEWAY}",
        "own range, node": f"one {GATEWAY}",
        "other ranges": "silence",
        "other ranges, node port": f"one {GATEWAY}",
        "other ranges, node": "silence",
        "own range among many": f"one {GATEWAY}",
        "own range among many, node port": f"one {GATEWAY}",
        "own range among many, node": f"one {GATEWAY}",
        "everybody": f"one {GATEWAY}",
        "everybody, node port": f"one {GATEWAY}",
        "everybody, node": f"one {GATEWAY}",
    }


def affinity() -> dict[str, Any]:
    world = World()
    made = world.update(service(ONE, TWO, affinity_seconds=100))
    tcp = world.many(world.outside, OWN, 30080)
    udp = world.many(world.outside, OWN, 30080, UDP)
    table = "nft -a list table ip kubinet | head -n 1"
    loaded = shell(table, world.node)
    world.kernel.update(replace(NODE, labels={"disk": "fast"}), made, {})
    same = shell(table, world.node) == loaded
    first = tcp[0].split()[0]
    other = TWO if first == "one" else ONE
    world.update(service(other, affinity_seconds=100))
    after = world.many(world.outside, OWN, 30080)
    moved = after == [f"{'two' if first == 'one' else 'one'} {GATEWAY}"]
    return {"answers": [len(tcp), len(udp)], "table stays": same, "moved": moved}


def test_clients_stay_with_their_endpoint() -> None:
    """24 connections have one answer, also UDP; a label of the node changes nothing; without the endpoint they move."""
    assert call_sandboxed(affinity) == {"answers": [1, 1], "table stays": True, "moved": True}


def life() -> dict[str, Any]:
    """A TCP connection and a UDP client that outlive their endpoint's time in the Service."""
    world = World()
    before = world.update(service(ONE))
    known, _ = step({}, {}, before)
    with client(world.two, TCP) as stream, client(world.two, UDP) as datagrams:
        stream.connect((VIP, 80))
        datagrams.connect((VIP, 80))
        found = [stream.recv(100).decode(), talk(datagrams)]
        after = world.update(service(TWO), service(ONE, name="second", vip="10.96.0.11"))
        found += [talk(stream), talk(datagrams)]
        _, stale = step(known, before, after)
        connections = KernelConnections(of_process(world.node), IPv4Address(OWN))
        connections.forget(stale, frozenset())
        found += [talk(stream), talk(datagrams)]
        connections.forget(frozenset({Stale(Front(None, 1), (IPv4Address(ONE), 1))}), frozenset())
        found += [talk(datagrams)]
        connections.forget(frozenset(), frozenset({IPv4Address(ONE)}))
        gone = shell("cat /proc/net/nf_conntrack 2>/dev/null | grep -c tcp.*dst=10.96.0.10 || true", world.node).strip()
    return {"answers": found, "tcp entries": gone}


def test_udp_clients_move_when_their_connections_are_forgotten() -> None:
    """TCP stays with the old endpoint; UDP too, until its connection is forgotten: then the new one answers."""
    assert call_sandboxed(life) == {
        "answers": [
            f"one {TWO}",
            f"one {TWO}",
            f"one {TWO}",
            f"one {TWO}",
            f"one {TWO}",
            f"two {GATEWAY}",
            f"two {GATEWAY}",
        ],
        "tcp entries": "0",
    }


def sweeping() -> list[str]:
    world = World()
    world.update(service(ONE))
    with client(world.two, UDP) as datagrams:
        datagrams.connect((VIP, 80))
        found = [talk(datagrams)]
        known, _ = step({}, {}, world.update(service(TWO)))
        KernelConnections(of_process(world.node), IPv4Address(OWN)).sweep(known)
        return [*found, talk(datagrams)]


def test_a_sweep_finds_udp_connections_to_endpoints_that_are_gone() -> None:
    """Without knowing what was before: the client's next datagram goes to the endpoint that serves now."""
    assert call_sandboxed(sweeping) == [f"one {TWO}", f"two {GATEWAY}"]


def refused_rules() -> list[str]:
    world = World()
    world.update(service(ONE))
    subprocess.run(["nsenter", "-t", str(world.node), "-n", "nft", "flush", "ruleset"], check=True)
    try:
        world.update(service(TWO))
    except Exception as error:
        first = type(error).__name__
    world.update(service(TWO))
    return [first, ask(world.one, VIP, 80)]


def test_after_a_refusal_everything_is_loaded_anew() -> None:
    """Somebody flushed the kernel's rules: the next change is refused, the one after it loads the whole ruleset."""
    assert call_sandboxed(refused_rules) == ["NftError", f"two {ONE}"]
