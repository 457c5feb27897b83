"""Packets through the compiled flows: two nodes with userspace Open vSwitch, a router, an outside host; no API."""

import os
import platform
import subprocess
import sys
import threading
import time
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from sandboxed import call_sandboxed

from agents.runtime import oneuser
from controller import framework
from controller.flow_view import parse_dump
from controller.sdn_controller import Controller
from kubinet.addressing import datapath_id, pod_mac, pod_port
from kubinet.netns import disable_offloads, namespace
from kubinet.state import ClusterState, NetworkConfig, Node, Overlay, Pod
from kubinet.syscalls import filter_calls

pytestmark = pytest.mark.emulated

OUTSIDE = "192.0.2.9"
DEADLINE = 20.0


def _run(*argv: str, netns: str | None = None, environment: dict[str, str] | None = None) -> str:
    words = ["ip", "netns", "exec", netns, *argv] if netns else argv
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode != 0:
        raise AssertionError(f"{argv}: {done.stdout} {done.stderr}")
    return done.stdout


def _commands(text: str, netns: str | None = None) -> None:
    for line in text.strip().splitlines():
        _run(*line.split(), netns=netns)


def _node(index: int) -> Node:
    return Node(
        name=f"n{index}",
        index=index,
        underlay=IPv4Interface(f"172.18.{index}.2/24"),
        underlay_mac=f"02:00:00:00:00:0{index}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
        gateway=IPv4Address(f"172.18.{index}.1"),
        gateway_mac=f"02:ff:00:00:00:0{index}",
    )


def _state(overlay: str) -> ClusterState:
    pods = [
        Pod("default", f"{name}{index}", f"n{index}", IPv4Address(f"10.244.{index}.{host}"))
        for index in (1, 2)
        for name, host in (("a", 2), ("b", 3))
    ]
    nodes = {one.name: one for one in map(_node, (1, 2))}
    return ClusterState(NetworkConfig(overlay=Overlay(overlay)), nodes, {pod.key: pod for pod in pods}, generation=5)


def _build(state: ClusterState) -> None:
    """The sandbox's own namespace is the router and holds the controller; nodes, pods, outside host are others."""
    _commands(
        """
        sysctl -qw net.ipv4.ip_forward=1
        ip netns add out
        ip link add ro type veth peer name eth0 netns out
        ip addr add 192.0.2.1/24 dev ro
        ip link set ro up
        """
    )
    _commands(
        f"""
        ip addr add {OUTSIDE}/24 dev eth0
        ip link set eth0 up
        ip route add default via 192.0.2.1
        """,
        "out",
    )
    for node in state.nodes.values():
        _build_node(state, node)
        if state.network.overlay is Overlay.DIRECT:
            _run("ip", "route", "add", str(node.pod_cidr), "via", str(node.underlay.ip))


def _build_node(state: ClusterState, node: Node) -> None:
    name, index = node.name, node.index
    _commands(
        f"""
        ip netns add {name}
        ip link add r{index} address {node.gateway_mac} type veth peer name eth0 netns {name}
        ip addr add {node.gateway}/24 dev r{index}
        ip link set r{index} up
        ip link add m{index} type veth peer name mgmt netns {name}
        ip addr add 172.30.{index}.1/30 dev m{index}
        ip link set m{index} up
        """
    )
    _commands(
        f"""
        ip addr add 172.30.{index}.2/30 dev mgmt
        ip link set mgmt up
        ip link set lo up
        ip link set eth0 up
        sysctl -qw net.ipv4.ip_forward=1
        sysctl -qw net.ipv4.conf.all.arp_ignore=1
        """,
        name,
    )
    # arp_ignore: else the kernel answers pods' ARP on their veths too (packet sockets only copy), past Open vSwitch.
    disable_offloads([f"r{index}"])
    _start_switch(state, node)
    with namespace(f"/run/netns/{name}"):
        disable_offloads(["eth0", "gw0", "br-phy"])
    _commands(
        f"""
        ip addr add {node.underlay} dev br-phy
        ip link set br-phy up
        ip route add default via {node.gateway}
        ip addr add {node.pod_gateway}/24 dev gw0
        ip link set gw0 up
        ip route add {state.network.pod_cidr} dev gw0 src {node.pod_gateway}
        """,
        name,
    )


def _start_switch(state: ClusterState, node: Node) -> None:
    folder = Path("/run") / f"ovs-{node.name}"
    folder.mkdir()
    environment = {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder)}
    database = folder / "conf.db"
    _run("ovsdb-tool", "create", str(database), "/usr/share/openvswitch/vswitch.ovsschema")

    def spawn(*argv: str) -> None:
        command = ["ip", "netns", "exec", node.name, *argv]
        with (folder / "log").open("ab") as log:
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)

    spawn("ovsdb-server", str(database), f"--remote=punix:{folder}/db.sock", "--unixctl", str(folder / "db.ctl"))
    vsctl = ("ovs-vsctl", f"--db=unix:{folder}/db.sock", "--retry", "--timeout=20")
    _run(*vsctl, "--no-wait", "init", environment=environment)
    spawn("ovs-vswitchd", f"unix:{folder}/db.sock", "--unixctl", str(folder / "switch.ctl"))
    words: list[str] = []
    for bridge in ("br-int", "br-phy"):
        words += f"-- add-br {bridge} -- set bridge {bridge} datapath_type=netdev fail_mode=secure".split()
        words += [f"other_config:datapath-id={datapath_id(node.index, bridge):016x}", "protocols=OpenFlow15"]
        words += ["other_config:disable-in-band=true"]
        words += f"-- set-controller {bridge} tcp:172.30.{node.index}.1:6653".split()
    # br-phy alone has the node's MAC address. Packet sockets only copy: if eth0 had it too, the kernel would take the
    # same packets there, before they are translated back, and refuse the pods' connections.
    words += ["--", "set", "bridge", "br-phy", f'other_config:hwaddr="{node.underlay_mac}"']
    words += ["--", "add-port", "br-phy", "eth0", "--", "set", "interface", "eth0", "ofport_request=1"]
    words += ["--", "add-port", "br-int", "gw0", "--", "set", "interface", "gw0", "type=internal", "ofport_request=2"]
    words += [f'mac="{node.pod_gateway_mac}"']
    for bridge, port, peer, number in (("br-int", "to-phy", "to-int", 4), ("br-phy", "to-int", "to-phy", 2)):
        words += f"-- add-port {bridge} {port} -- set interface {port} type=patch options:peer={peer}".split()
        words += [f"ofport_request={number}"]
    if state.network.overlay is not Overlay.DIRECT:
        words += f"-- add-port br-int tun0 -- set interface tun0 type={state.network.overlay} ofport_request=1".split()
        words += ["options:remote_ip=flow", "options:key=flow"]
    for pod in state.pods.values():
        if pod.node == node.name:
            _build_pod(state, node, pod)
            words += f"-- add-port br-int {pod.name} -- set interface {pod.name}".split()
            words += [f"ofport_request={pod_port(pod.address, node.pod_cidr)}"]
    _run(*vsctl, *words[1:], environment=environment, netns=node.name)


def _build_pod(state: ClusterState, node: Node, pod: Pod) -> None:
    mac = pod_mac(pod.address)
    _commands(
        f"""
        ip netns add {pod.name}
        ip link add {pod.name} netns {node.name} type veth peer name eth0 address {mac} netns {pod.name}
        ip netns exec {node.name} ip link set {pod.name} up
        """
    )
    _commands(
        f"""
        ip addr add {pod.address}/24 dev eth0
        ip link set eth0 mtu {state.network.pod_mtu} up
        ip route add default via {node.pod_gateway}
        """,
        pod.name,
    )
    for netns, interface in ((pod.name, "eth0"), (node.name, pod.name)):
        with namespace(f"/run/netns/{netns}"):
            disable_offloads([interface])


def _ping(source: str, target: str) -> str:
    """The first answer within the deadline: the first packets of a tunnel wait for ARP."""
    end = time.monotonic() + DEADLINE
    while True:
        done = subprocess.run(
            ["ip", "netns", "exec", source, "ping", "-n", "-c", "1", "-W", "1", target],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return next(line for line in done.stdout.splitlines() if "ttl=" in line).split("ttl=")[1].split()[0]
        if time.monotonic() > end:
            raise AssertionError(f"{source} -> {target}: {done.stdout}")


_SERVER = """
import socket, sys
if sys.argv[1] == "tcp":
    listening = socket.create_server(("0.0.0.0", 8000))
    print("ready", flush=True)
    connection, peer = listening.accept()
    data = b""
    while len(data) < 200000:
        data += connection.recv(65536)
else:
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.bind(("0.0.0.0", 8000))
    print("ready", flush=True)
    _, peer = connection.recvfrom(100)
    connection.connect(peer)
connection.sendall(f"{peer[0]} {peer[1]}".encode())
"""
_CLIENT = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
connection = socket.socket(socket.AF_INET, kind)
connection.settimeout(30)
connection.connect((sys.argv[2], 8000))
connection.sendall(b"x" * (200000 if sys.argv[1] == "tcp" else 1))
print(connection.recv(100).decode())
"""


def _talk(kind: str, source: str, target: str, address: str) -> str:
    """What a server in `target` says that its client in `source` looks like: address and port."""
    server = subprocess.Popen(
        ["ip", "netns", "exec", target, sys.executable, "-c", _SERVER, kind], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        return _run(sys.executable, "-c", _CLIENT, kind, address, netns=source).strip()
    finally:
        server.kill()
        server.wait()


def _captured(interface: str, source: str, target: str) -> str:
    """What two pings look like on the router's interface."""
    argv = ["tcpdump", "-n", "-l", "-i", interface, "--immediate-mode", "-c", "4", "ip and not tcp"]
    dump = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert dump.stderr is not None
    while "listening on" not in (line := dump.stderr.readline()):
        assert line, "tcpdump ended before it listened"
    _run("ping", "-n", "-c", "2", "-i", "0.2", target, netns=source)
    return dump.communicate(timeout=20)[0]


def _dump(node: str) -> list[Any]:
    text = _run("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", f"unix:/run/ovs-{node}/br-int.mgmt")
    return parse_dump(text)


def observe(overlay: str) -> dict[str, Any]:
    """Build, program, and say what packets do."""
    if oneuser.alone():  # tcpdump insists on changing its user
        filter_calls(oneuser.filter_program(platform.machine()))
    state = _state(overlay)
    realised = threading.Event()
    controller = Controller(realised.set)
    framework.start(framework.choose("os_ken"), controller)
    controller.update(state)
    _build(state)
    end = time.monotonic() + DEADLINE
    while {one.generation for one in controller.realised().values()} != {5}:
        realised.wait(max(0.0, end - time.monotonic()))
        realised.clear()
        assert time.monotonic() < end, controller.realised()
    found: dict[str, Any] = {
        "ttl": {
            f"{source} {target}": _ping(source, target)
            for source, target in (
                ("a1", "10.244.1.3"),
                ("a1", "10.244.2.2"),
                ("a2", "10.244.1.3"),
                ("a1", "10.244.1.1"),
                ("a1", "172.18.1.2"),
                ("a1", "172.18.2.2"),
                ("n1", "10.244.1.2"),
                ("n1", "10.244.2.2"),
                ("n1", "172.18.2.2"),
                ("a1", OUTSIDE),
                ("n1", OUTSIDE),
            )
        },
        "tcp between pods": _talk("tcp", "a1", "a2", "10.244.2.2").split()[0],
        "tcp outside": _talk("tcp", "a1", "out", OUTSIDE).split(),
        "udp outside": _talk("udp", "a1", "out", OUTSIDE).split(),
        "wire": _captured("r1", "a1", "10.244.2.2"),
        "wire outside": _captured("ro", "a1", OUTSIDE),
    }
    _commands("ip addr add 10.244.1.77/24 dev eth0", "a1")
    subprocess.run(
        ["ip", "netns", "exec", "a1", "ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", "10.244.1.77", "10.244.2.2"],
        capture_output=True,
        check=False,
    )
    found["forged"] = sum(
        row.packets for row in _dump("n1") if row.table == "SpoofGuard" and row.match == "in_port=102"
    )
    found["errors"] = [one.last_error for one in controller.realised().values()]
    return found


@pytest.mark.parametrize("overlay", ["vxlan", "geneve", "direct"])
def test_packets_go_where_the_cluster_says(overlay: str) -> None:
    """Pods, nodes and the outside reach each other; the wire shows the overlay; the outside sees the node's address."""
    found = call_sandboxed(observe, overlay)
    assert found["errors"] == ["", ""]
    assert sorted(found["ttl"].items()) == sorted(
        {
            "a1 10.244.1.3": "63",
            "a1 10.244.2.2": "62" if overlay != "direct" else "61",
            "a2 10.244.1.3": "62" if overlay != "direct" else "61",
            "a1 10.244.1.1": "64",
            "a1 172.18.1.2": "64",
            "a1 172.18.2.2": "62",
            "n1 10.244.1.2": "63",
            "n1 10.244.2.2": "62" if overlay != "direct" else "61",
            "n1 172.18.2.2": "63",
            f"a1 {OUTSIDE}": "62",
            f"n1 {OUTSIDE}": "63",
        }.items()
    )
    assert found["tcp between pods"] == "10.244.1.2"
    for kind in ("tcp", "udp"):
        address, port = found[f"{kind} outside"]
        assert address == "172.18.1.2"
        assert 49152 <= int(port) <= 65535
    assert "IP 172.18.1.2 > 192.0.2.9: ICMP echo request" in found["wire outside"]
    wire = found["wire"]
    assert ("IP 172.18.1.2." in wire) == (overlay != "direct")
    assert "IP 10.244.1.2 > 10.244.2.2: ICMP echo request" in wire, wire
    assert ("VXLAN" in wire, "Geneve" in wire) == (overlay == "vxlan", overlay == "geneve")
    assert found["forged"] == 3
