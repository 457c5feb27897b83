"""Pods reach each other on every preset, over the overlay that the topology declares."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from pausepod import pause_pod

from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

_PODS = 12
_PYTHON = "/usr/bin/python3"
"""Containers see the machine's /usr, not this environment."""
# Every preset once with VXLAN or another overlay, leaf-spine with all three.
_CASES = [
    ("single", "vxlan"),
    ("star", "geneve"),
    ("linear", "vxlan"),
    ("ring", "direct"),
    ("dumbbell", "vxlan"),
    ("leaf-spine", "vxlan"),
    ("leaf-spine", "geneve"),
    ("leaf-spine", "direct"),
    ("fat-tree", "vxlan"),
    ("wan", "vxlan"),
]


def _run_pods(cluster: Cluster, count: int) -> dict[str, IPv4Address]:
    """`count` pods spread over all nodes, ready; their addresses by name."""
    nodes = [node.name for node in cluster.facts.nodes]
    for index in range(count):
        cluster.client.create(pause_pod(f"p{index}", nodes[index % len(nodes)]))
    for index in range(count):
        cluster.wait("Pod", f"p{index}", "Ready", namespace="default", timeout=60)
    return {f"p{index}": cluster.pod(f"p{index}").address for index in range(count)}


@pytest.mark.parametrize(("preset", "overlay"), _CASES)
def test_all_pairs_of_pods_answer_and_the_underlay_carries_the_declared_overlay(
    start_cluster: Callable[..., Cluster], preset: str, overlay: str
) -> None:
    """12 pods on the preset's nodes all ping each other; a capture on the underlay shows the declared encapsulation."""
    nodes = None if preset == "single" else 4
    cluster = start_cluster(preset, nodes=nodes, settings={"network.overlay": overlay})
    pods = _run_pods(cluster, _PODS)

    script = 'for a in "$@"; do (ping -c 3 -i 0.2 -W 20 -q "$a" >/dev/null || echo "$a") & done; wait'
    silent = {
        name: cluster.pod(name).exec(["sh", "-c", script, "sh", *(str(a) for n, a in pods.items() if n != name)]).text
        for name in pods
    }
    assert silent == dict.fromkeys(pods, "")

    if preset != "single":
        _assert_underlay_carries(cluster, overlay, pods)


def _assert_underlay_carries(cluster: Cluster, overlay: str, pods: dict[str, IPv4Address]) -> None:
    """Capture a ping from p0 to p1 at its node's underlay interface: headers and addresses, outermost first."""
    first, second = cluster.facts.nodes[0], cluster.facts.nodes[1]
    source, target = pods["p0"], pods["p1"]
    outer = {"vxlan": "udp and dst port 4789", "geneve": "udp and dst port 6081", "direct": f"icmp and host {target}"}
    command = ["tshark", "-i", first.interface, "-f", outer[overlay], "-c", "2", "-l", "-T", "fields"]
    command += ["-e", "frame.protocols", "-e", "ip.src", "-e", "ip.dst"]
    with cluster.node(first.name).popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as capture:
        assert capture.stderr is not None
        while b"Capture started" not in (line := capture.stderr.readline()):
            assert line, f"tshark ended early: {capture.poll()}"
        cluster.pod("p0").exec(["ping", "-c", "2", "-i", "0.2", "-W", "20", str(target)])
        request = capture.communicate(timeout=20)[0].decode().splitlines()[0]
    inner = "eth:ethertype:ip:icmp:data"
    if overlay == "direct":
        assert request == f"{inner}\t{source}\t{target}"
    else:
        encapsulated = f"eth:ethertype:ip:udp:{overlay}:{inner}"
        assert request == f"{encapsulated}\t{first.underlay.ip},{source}\t{second.underlay.ip},{target}"


def _spoof_drops(cluster: Cluster, node: str) -> int:
    """Packets that the node's spoof guards dropped, by br-int's own counters."""
    from controller.flow_view import parse_dump  # noqa: PLC0415

    text = cluster.run(
        ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"]
    ).text
    rows = parse_dump(text, bridge=INTEGRATION_BRIDGE)
    return sum(row.packets for row in rows if "SpoofGuard" in row.table and "drop" in row.actions)


def test_a_pod_with_a_forged_source_address_is_dropped_and_counted(start_cluster: Callable[..., Cluster]) -> None:
    """IPv4 packets with another pod's source address never arrive, and the spoof guard's counter shows each one."""
    cluster = start_cluster("star", nodes=2)
    pods = _run_pods(cluster, 4)
    script = (
        "import json, socket, sys\n"
        "source, target = sys.argv[1:]\n"
        "raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n"
        "head = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0])\n"
        "udp = (4000).to_bytes(2, 'big') + (9).to_bytes(2, 'big') + (8).to_bytes(2, 'big') + bytes(2)\n"
        "packet = head + socket.inet_aton(source) + socket.inet_aton(target) + udp\n"
        "print(json.dumps([raw.sendto(packet, (target, 0)) for _ in range(5)]))\n"
    )
    node = cluster.pod("p0").node
    before = _spoof_drops(cluster, node)
    honest = [_PYTHON, "-c", script, str(pods["p0"]), str(pods["p1"])]
    cluster.pod("p0").exec(honest)
    argv = [_PYTHON, "-c", script, str(pods["p2"]), str(pods["p1"])]
    assert json.loads(cluster.pod("p0").exec(argv).text) == [28] * 5
    # The datapath reports its counters to the flows about once a second.
    deadline = time.monotonic() + 30
    while (dropped := _spoof_drops(cluster, node) - before) < 5 and time.monotonic() < deadline:
        select.select([], [], [], 0.1)
    assert dropped == 5


def test_a_pods_interface_has_no_ipv6_and_its_low_ports_are_free(start_cluster: Callable[..., Cluster]) -> None:
    """IPv6 is off on eth0 alone: the loopback interface and the default for the pod's own interfaces keep it."""
    cluster = start_cluster("single")
    _run_pods(cluster, 1)
    names = [f"ipv6/conf/{interface}/disable_ipv6" for interface in ("eth0", "lo", "default", "all")]
    paths = [f"/proc/sys/net/{name}" for name in (*names, "ipv4/ip_unprivileged_port_start")]
    assert cluster.pod("p0").exec(["cat", *paths]).text.split() == ["1", "0", "0", "0", "0"]


def test_a_pod_reaches_the_outside_host_with_its_nodes_address(start_cluster: Callable[..., Cluster]) -> None:
    """An outside server sees the node's underlay address as the client, over UDP, TCP and ICMP."""
    cluster = start_cluster("leaf-spine", nodes=2)
    pods = _run_pods(cluster, 2)
    outside = cluster.outside()
    server = (
        "import signal, socket\n"
        "signal.alarm(30)\n"  # ends by itself, whatever becomes of the test
        "tcp = socket.create_server(('', 9000)); udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "udp.bind(('', 9000)); print('listening', flush=True)\n"
        "client, address = tcp.accept(); client.sendall(address[0].encode()); client.close()\n"
        "data, address = udp.recvfrom(100); udp.sendto(address[0].encode(), address)\n"
    )
    client = (
        "import socket, sys\n"
        "tcp = socket.create_connection((sys.argv[1], 9000), 30); print(tcp.recv(100).decode())\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(30)\n"
        "udp.sendto(b'?', (sys.argv[1], 9000)); print(udp.recv(100).decode())\n"
    )
    with outside.popen([sys.executable, "-c", server], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        seen = cluster.pod("p0").exec([_PYTHON, "-c", client, str(outside.address)]).text.split()
    node = cluster.node(cluster.pod("p0").node)
    assert seen == [str(node.address)] * 2
    cluster.pod("p0").exec(["ping", "-c", "1", "-W", "20", str(outside.address)])
    assert outside.exec(["ping", "-c", "1", "-W", "1", str(pods["p0"])], check=False).exit_code == 1


def test_nodes_and_their_pods_reach_each_other(start_cluster: Callable[..., Cluster]) -> None:
    """A node's own processes reach pods here and on other nodes, and pods reach their node's address."""
    cluster = start_cluster("star", nodes=2)
    pods = _run_pods(cluster, 2)
    for node in cluster.facts.nodes:
        for address in pods.values():
            cluster.node(node.name).exec(["ping", "-c", "1", "-W", "20", str(address)])
        cluster.pod("p0").exec(["ping", "-c", "1", "-W", "20", str(node.underlay.ip)])


_ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 9000))
    while True:
        server.sendto(*server.recvfrom(65535))
"""
_ASK = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.connect((sys.argv[1], 9000))
    client.settimeout(1)
    end = time.monotonic() + 20
    for size in (10, 600, 4000):
        question = bytes(i % 251 for i in range(size))
        answer = b""
        while answer != question and time.monotonic() < end:
            try:
                client.send(question)
                answer = client.recv(65535)
            except OSError:
                pass
        print(len(answer))
"""


@pytest.mark.parametrize("overlay", ["vxlan", "direct"])
def test_datagrams_in_small_fragments_arrive(start_cluster: Callable[..., Cluster], overlay: str) -> None:
    """With an underlay MTU of 576 bytes datagrams of 600 and 4000 bytes come back from another node."""
    settings = {"network.mtu": 576, "network.overlay": overlay, "network.dnsReplicas": 0}
    cluster = start_cluster("star", nodes=2, settings=settings)
    pods = _run_pods(cluster, 2)
    cluster.pod("p1").exec(["sh", "-c", f"{_PYTHON} -c '{_ECHO}' >/dev/null 2>&1 &"])
    ask = [_PYTHON, "-c", _ASK, str(pods["p1"])]
    assert cluster.pod("p0").exec(ask).text.split() == ["10", "600", "4000"]
