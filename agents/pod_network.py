"""Interfaces of pods: veth pairs, addresses and routes by netlink, ports by OVSDB; many pods in few calls."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from errno import EEXIST
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from socket import if_nametoindex
from typing import Final

from agents import conntrack
from agents.node_setup import NodeSwitch
from agents.ovsconfig import Interface, add_ports, pod_interface_row, port_problems, remove_ports
from kubinet import netlink
from kubinet.addressing import (
    INTEGRATION_BRIDGE,
    UNDERLAY_INTERFACE,
    VIRTUAL_MAC,
    gateway_address,
    pod_mac,
    pod_port,
)
from kubinet.errors import KubinetError
from kubinet.netlink import Netlink, NetlinkError, VethEnd
from kubinet.netns import disable_offloads, namespace, of_process, set_sysctls

POD_INTERFACE: Final = UNDERLAY_INTERFACE
"""What every pod calls its interface: eth0."""
_EVERYWHERE: Final = IPv4Network("0.0.0.0/0")
_SYSCTLS: Final = {
    # As container runtimes do: a pod's low ports are its own.
    "net.ipv4.ip_unprivileged_port_start": "0",
}
_IPV6_SETTINGS: Final = "/proc/sys/net/ipv6/conf"


@dataclass(frozen=True, slots=True)
class PodLink:
    """One pod that shall have, or has, an interface."""

    uid: str
    interface: str
    """The name on the node's side."""
    address: IPv4Address
    namespace: Path


@dataclass(frozen=True, slots=True)
class Attached:
    """A pod's port as the database remembers it, across restarts of the agent."""

    interface: str
    address: IPv4Address


class PodNetwork:
    """Connects and disconnects the pods of one node. Not for two threads at once."""

    def __init__(self, switch: Callable[[], NodeSwitch]) -> None:
        """`switch`: gives the node's Open vSwitch, or raises while it is down."""
        self._switch = switch
        running = switch()
        self._node = running.node
        self._network = running.facts.network
        self._namespace = of_process(self._node.pid)
        self._netlink = Netlink(self._namespace)

    def attached(self) -> Mapping[str, Attached]:
        """The pods' ports in the database, by pod uid."""
        found = {}
        for row in self._switch().database.tables["Interface"].values():
            ids = dict(row["external_ids"][1])
            if "iface-id" in ids and "kubinet-address" in ids:
                found[ids["iface-id"]] = Attached(row["name"], IPv4Address(ids["kubinet-address"]))
        return found

    def connect(self, links: Sequence[PodLink]) -> Mapping[str, KubinetError]:
        """Give every pod its interface; returns the failures by pod uid, the others are connected."""
        failures: dict[str, KubinetError] = {}
        with ExitStack() as opened:
            namespaces: dict[str, int] = {}
            for link in links:
                try:
                    namespaces[link.uid] = os.open(link.namespace, os.O_RDONLY | os.O_CLOEXEC)
                    opened.callback(os.close, namespaces[link.uid])
                except OSError as error:
                    failures[link.uid] = NetlinkError(f"{link.namespace}: {error.strerror}: the sandbox is gone")
            present = [link for link in links if link.uid in namespaces]
            failures |= self._add_veths(present, namespaces)
            for link in present:
                if link.uid not in failures:
                    try:
                        self._configure(link)
                    except OSError as error:
                        failures[link.uid] = NetlinkError(f"pod interface {link.interface}: {error}")
                    except NetlinkError as error:
                        failures[link.uid] = error
        good = [link for link in links if link.uid not in failures]
        if good:
            with namespace(self._namespace):
                disable_offloads(link.interface for link in good)
            failures |= self._add_ports(good)
        return failures

    def disconnect(self, ports: Iterable[Attached]) -> None:
        """Take the pods' ports away, and whatever connection tracking knows of their addresses.

        The interfaces go with the pods' namespaces: the kernel removes many at once there, but one after the
        other when asked.
        """
        gone = list(ports)
        if not gone:
            return
        switch = self._switch()
        names = [port.interface for port in gone]
        operations = remove_ports(INTEGRATION_BRIDGE, names, switch.database.tables)
        if operations:
            switch.database.configure(operations)
        with switch.appctl() as appctl:
            # The next pod with this address must not inherit connections.
            conntrack.forget(appctl, {port.address for port in gone})

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def _add_veths(self, links: Sequence[PodLink], namespaces: Mapping[str, int]) -> Mapping[str, KubinetError]:
        mtu = self._network.pod_mtu
        requests = {}
        for link in links:
            inner = VethEnd(POD_INTERFACE, pod_mac(link.address), namespaces[link.uid])
            # Open vSwitch looks at all its ports for each interface that changes, so nothing is left for it to change.
            request = netlink.add_veth(VethEnd(link.interface, up=True, promiscuous=True), inner, mtu)
            requests[id(request)] = (link, request)
        refused = self._netlink.try_all(request for _, request in requests.values())
        # Left over when an agent died before it added the port, or by a namespace whose end still goes on.
        stale = [requests[id(request)] for request, number in refused if number == EEXIST]
        if stale:
            self._netlink.run(netlink.delete_link(link.interface) for link, _ in stale)
            again = self._netlink.try_all(request for _, request in stale)
            refused = [entry for entry in refused if entry[1] != EEXIST] + again
        return {requests[id(request)][0].uid: NetlinkError(request.refusal(number)) for request, number in refused}

    def _configure(self, link: PodLink) -> None:
        cidr = self._node.pod_cidr
        with namespace(link.namespace):
            _keep_ipv6_off()
            set_sysctls(_SYSCTLS)
            disable_offloads([POD_INTERFACE])
            index = if_nametoindex(POD_INTERFACE)
            channel = Netlink()
        with channel:
            channel.run(
                [
                    netlink.set_link_up(index),
                    netlink.add_address(index, IPv4Interface((link.address, cidr.prefixlen))),
                    netlink.add_route(_EVERYWHERE, index, gateway=gateway_address(cidr)),
                    # The kernel's limit of neighbours counts all namespaces of the machine, but no permanent ones.
                    netlink.add_neighbour(index, gateway_address(cidr), VIRTUAL_MAC, permanent=True),
                ]
            )

    def _port(self, link: PodLink) -> Interface:
        number = pod_port(link.address, self._node.pod_cidr)
        return pod_interface_row(link.interface, number, self._network.datapath, link.uid, link.address)

    def _add_ports(self, links: Sequence[PodLink]) -> Mapping[str, KubinetError]:
        database = self._switch().database
        ports = {link.uid: self._port(link) for link in links}
        database.configure(add_ports(INTEGRATION_BRIDGE, list(ports.values()), database.tables))
        failures: dict[str, KubinetError] = {}
        for uid, port in ports.items():
            problems = port_problems([port], database.tables)
            if problems:
                failures[uid] = NetlinkError("; ".join(problems))
        return failures


def _keep_ipv6_off() -> None:
    """Leave eth0 of the thread's network namespace without IPv6, before it is up: the cluster is IPv4 only.

    In a new sandbox eth0 was born so, by the default that the runtime set; interfaces of the pod's own are not. Writing
    the interface's own setting costs up to milliseconds: the kernel spins until it gets the lock of all interfaces.
    """
    default = os.open(f"{_IPV6_SETTINGS}/default/disable_ipv6", os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.pread(default, 1, 0) == b"1":
            os.pwrite(default, b"0", 0)
            return
    finally:
        os.close(default)
    set_sysctls({f"net.ipv6.conf.{POD_INTERFACE}.disable_ipv6": "1"})
