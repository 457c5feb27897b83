"""Underlays as Mininet builds them: every preset forwards, equal-cost paths share flows, and it is quick."""

import socket
import subprocess
from collections import Counter
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from sandboxed import call_sandboxed

from kubinet import netlink
from kubinet.netns import namespace, of_process
from topologies.build import Underlay, build
from topologies.links.tools import detect_tools
from topologies.resolve import load_topology

pytestmark = pytest.mark.emulated

PRESETS = ["single", "star", "linear", "ring", "dumbbell", "leaf-spine", "fat-tree", "wan"]
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples" / "topologies").glob("*.yaml"))


def _built(preset: str, parameters: dict[str, object]) -> Underlay:
    return build(load_topology(preset, parameters), Path("/run"), detect_tools())


def _address_nodes(underlay: Underlay) -> dict[str, str]:
    """Do what the node's agent does later: give the node's interface its address and default route."""
    hosts = {}
    for node in underlay.facts("test").nodes:
        with namespace(of_process(node.pid)), netlink.Netlink() as channel:
            index = socket.if_nametoindex(node.interface)
            channel.run([netlink.add_address(index, node.underlay)])
            if node.gateway is not None:
                channel.run([netlink.add_route(IPv4Network("0.0.0.0/0"), index, gateway=node.gateway)])
        hosts[node.name] = str(node.underlay.ip)
    for host in underlay.facts("test").outside:
        hosts[host.name] = str(host.address)
    return hosts


def _silent_pairs(preset: str, parameters: dict[str, object]) -> list[str]:
    underlay = _built(preset, parameters)
    hosts = _address_nodes(underlay)
    running = {}
    for name in hosts:
        for other, address in hosts.items():
            if other != name:
                argv = ["nsenter", f"--net=/proc/{underlay.pid(name)}/ns/net", "ping", "-c1", "-i0.2", "-w20", address]
                running[f"{name}->{other}"] = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    silent = [pair for pair, process in running.items() if process.wait() != 0]
    underlay.close()
    return silent


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_carries_packets_between_all_hosts(preset: str) -> None:
    """All pairs of nodes and the outside host of a preset with 4 nodes answer pings."""
    parameters = {} if preset == "single" else {"nodes": 4}
    assert call_sandboxed(_silent_pairs, preset, parameters) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_carries_packets_between_all_hosts(example: Path) -> None:
    """All hosts of a file in examples/topologies answer each other, also over its lossy and late links."""
    assert call_sandboxed(_silent_pairs, str(example), {}) == []


def test_an_ordinary_user_builds_a_delayed_underlay() -> None:
    """Without any privilege on the machine, three nodes behind delayed links answer each other and the outside host."""
    assert call_sandboxed(_silent_pairs, "star", {"nodes": 3, "delay": "2ms"}, user=True) == []


def _spine_shares(ports: int) -> dict[str, int]:
    """How many UDP flows of n1 to n4, one per source port, each spine carries."""
    underlay = _built("leaf-spine", {"nodes": 4, "spines": 2, "rate": ""})
    hosts = _address_nodes(underlay)
    before = _received(underlay)
    with namespace(of_process(underlay.pid("n4"))):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("", 4789))
    receiver.settimeout(30)
    with namespace(of_process(underlay.pid("n1"))):
        for port in range(49152, 49152 + ports):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("", port))
                sender.sendto(b"x" * 1000, (hosts["n4"], 4789))
            receiver.recv(2000)  # what arrived was counted on its way
    receiver.close()
    shares = {name: count - before[name] for name, count in _received(underlay).items()}
    underlay.close()
    return {name: count // 1000 for name, count in shares.items()}


def _received(underlay: Underlay) -> dict[str, int]:
    """Bytes that each spine received on its link from leaf1."""
    found = {}
    for spine in ("spine1", "spine2"):
        interface = underlay.plan.interface(spine, f"leaf1-{spine}").name
        lines = Path(f"/proc/{underlay.pid(spine)}/net/dev").read_text().splitlines()
        counters = next(line for line in lines if line.strip().startswith(f"{interface}:"))
        found[spine] = int(counters.partition(":")[2].split()[0])
    return found


def test_equal_cost_paths_share_flows_by_udp_source_port() -> None:
    """Of 200 overlay flows that differ only in the outer UDP source port, each of two spines carries at least 60."""
    shares = call_sandboxed(_spine_shares, 200)
    assert sum(shares.values()) >= 200
    assert min(shares.values()) >= 60


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _namespace_state(name: str) -> dict[str, Any]:
    underlay = _built("leaf-spine", {})
    reads = {
        "forwarding": "net/ipv4/ip_forward",
        "hash": "net/ipv4/fib_multipath_hash_policy",
        "ipv6_off": "net/ipv6/conf/all/disable_ipv6",
        "filter": "net/ipv4/conf/all/rp_filter",
        "ports": "net/ipv4/ip_local_port_range",
    }
    interface = underlay.plan.interfaces[name][0]
    with namespace(of_process(underlay.pid(name))):
        state: dict[str, Any] = {key: Path("/proc/sys", path).read_text().split() for key, path in reads.items()}
        offloads = _output("ethtool", "-k", interface.name)
        shown = _output("ip", "-br", "link", "show", interface.name)
        addresses = _output("ip", "-br", "-4", "addr")
    # Not the sum "tcp-segmentation-offload": new kernels count kinds in it that no packet here can use.
    wanted = ("tx-checksumming", "tx-tcp-segmentation", "generic-segmentation-offload", "generic-receive-offload")
    state["offloads"] = Counter(
        line.split(": ")[1].split()[0] for line in offloads.splitlines() if line.strip().startswith(wanted)
    )
    state["mac"] = shown.split()[2] == interface.mac
    state["addresses"] = {line.split()[0].split("@")[0]: line.split()[2:] for line in addresses.splitlines()}
    underlay.close()
    return state


def test_a_nodes_namespace_is_furnished_for_its_agent() -> None:
    """A node forwards, is silent on IPv6, has offloads off, a known MAC, no underlay address yet, and its `mgmt`."""
    state = call_sandboxed(_namespace_state, "n1")
    assert state == {
        "forwarding": ["1"],
        "hash": ["1"],
        "ipv6_off": ["1"],
        "filter": ["0"],
        "ports": ["32768", "49151"],
        "offloads": {"off": 4},
        "mac": True,
        "addresses": {"lo": ["127.0.0.1/8"], "mgmt": ["172.30.0.2/16"]},
    }
