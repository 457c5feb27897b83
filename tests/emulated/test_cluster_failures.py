"""What runs goes on when a part of a cluster fails: a full disk, a stopped agent, a dead switch."""

import ipaddress
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pausepod import pause_pod
from pinging import Ping, start_ping
from sandboxed import call_sandboxed
from traces import kill_inside

from kubinet.cluster import Cluster
from kubinet.errors import ApiError
from kubinet.syscalls import mount, unmount

pytestmark = pytest.mark.emulated

_KUBINET = Path(__file__).resolve().parents[2] / "bin" / "kubinet"


def _two_pods(cluster: Cluster) -> str:
    """Pods `a` on n1 and `b` on n2 run; returns b's address."""
    for name, node in (("a", "n1"), ("b", "n2")):
        cluster.client.create(pause_pod(name, node))
    for name in ("a", "b"):
        cluster.wait("Pod", name, "Ready", namespace="default")
    return str(cluster.pod("b").address)


def _lost(ping: Ping) -> int:
    """Ends it; how many of its packets were lost."""
    words = ping.end().splitlines()[-2].split()
    sent, received = int(words[0]), int(words[3])
    assert sent >= 5, words
    return max(0, sent - received - 1)  # the last one may still be on its way


def _kubinet(cluster: Cluster, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(_KUBINET), *words, "--cluster", cluster.name], capture_output=True, text=True, timeout=60, check=False
    )


def _full_disk() -> dict[str, Any]:
    """A cluster whose state folder is a small file system that gets full, and has room again."""
    state = Path(tempfile.mkdtemp())
    mount("tmpfs", state, "tmpfs", options="size=24m")
    os.environ["XDG_STATE_HOME"] = str(state)
    seen: dict[str, Any] = {}
    big = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"x": "y" * 200_000}}
    with Cluster("star", nodes=2) as cluster:
        target = _two_pods(cluster)
        ping = start_ping(cluster, "a", target, 0.05)
        filler = state / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    seen["full"] = error.strerror
        try:
            cluster.client.create(big)
        except ApiError as error:
            seen["refused"] = [error.status, error.reason, str(error)]
        seen["reads"] = sorted(pod["metadata"]["name"] for pod in cluster.client.list("Pod", "default")["items"])
        names = [one["metadata"]["name"] for one in cluster.client.list("ConfigMap", "default")["items"]]
        seen["stored"] = "big" in names
        try:
            cluster.client.create(pause_pod("c", "n1"))
        except ApiError as error:
            seen["pod refused"] = error.status
        seen["restarts"] = sum(int(str(one["restarts"])) for one in cluster.services().values())
        filler.unlink()
        seen["written"] = cluster.client.create(big)["metadata"]["name"]
        cluster.client.create(pause_pod("d", "n1"))
        cluster.wait("Pod", "d", "Ready", namespace="default")
        seen["lost"] = _lost(ping)
    unmount(str(state))
    state.rmdir()
    return seen


@pytest.mark.parametrize("user", [False, True], ids=["root", "ordinary-user"])
def test_a_full_disk_refuses_writes_and_nothing_else(user: bool) -> None:
    """A write answers 507 and changes nothing; reads and packets go on; with room again writes and new pods work."""
    if os.geteuid() != 0 and not user:
        pytest.skip("needs root")
    seen = call_sandboxed(_full_disk, user=user)
    code, reason, message = seen.pop("refused")
    assert (code, reason) == (507, "InternalError")
    assert "free space" in message
    assert seen == {
        "full": "No space left on device",
        "reads": ["a", "b"],
        "stored": False,
        "pod refused": 507,
        "restarts": 0,
        "written": "big",
        "lost": 0,
    }


def test_a_nodes_agent_is_stopped_and_started_while_its_pods_talk(start_cluster: Callable[..., Cluster]) -> None:
    """`kubinet agent stop`: no packet is lost, the node's new pods wait; `start`: they run, the old are as before."""
    cluster = start_cluster("star", nodes=2)
    target = _two_pods(cluster)
    before = cluster.pod("a").object["status"]["containerStatuses"]
    ping = start_ping(cluster, "a", target, 0.05)
    stopped = _kubinet(cluster, "agent", "stop", "n1")
    assert (stopped.returncode, stopped.stdout) == (0, "agent of n1 stopped\n")
    assert _kubinet(cluster, "agent", "ls").stdout == "n1\tstopped\nn2\trunning\n"
    for name, node in (("c", "n1"), ("d", "n2")):
        cluster.client.create(pause_pod(name, node))
    cluster.wait("Pod", "d", "Ready", namespace="default")
    assert "podIP" not in cluster.pod("c").object["status"], "nobody looks after pods of n1"
    started = _kubinet(cluster, "agent", "start", "n1")
    assert (started.returncode, started.stdout) == (0, "agent of n1 started\n")
    cluster.wait("Pod", "c", "Ready", namespace="default")
    assert _lost(ping) == 0
    assert cluster.pod("a").object["status"]["containerStatuses"] == before
    unknown = _kubinet(cluster, "agent", "stop", "n9")
    message = f"Error: node 'n9' is not in cluster '{cluster.name}'; `kubinet get nodes` lists them\n"
    assert (unknown.returncode, unknown.stderr) == (2, message)


def test_a_dead_switch_comes_back_with_its_flows(start_cluster: Callable[..., Cluster]) -> None:
    """After the death of a node's ovs-vswitchd the agent starts another, events say so, and its pods talk again."""
    cluster = start_cluster("star", nodes=2)
    target = _two_pods(cluster)
    kill_inside(cluster, _switch(cluster, "n1")["switchPids"][1])
    told = set()
    for event in cluster.client.watch("Event", "default", timeout=60):
        if event.type != "BOOKMARK" and event.object["involvedObject"]["name"] == "n1":
            told.add(event.object["reason"])
        if told == {"OpenVSwitchEnded", "OpenVSwitchStarted"}:
            break
    assert told == {"OpenVSwitchEnded", "OpenVSwitchStarted"}
    cluster.pod("a").exec(["ping", "-n", "-c", "1", "-w", "20", target])
    cluster.client.create(pause_pod("c", "n1"))
    cluster.wait("Pod", "c", "Ready", namespace="default")
    cluster.pod("c").exec(["ping", "-n", "-c", "1", "-W", "20", target])
    assert _switch(cluster, "n1")["switchRestarts"] == 1
    described = _kubinet(cluster, "describe", "node", "n1").stdout
    assert "ovs-vswitchd of node n1 ended" in described
    assert "Open vSwitch of node n1 runs again" in described


def _switch(cluster: Cluster, node: str) -> dict[str, Any]:
    program = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/kubinet/agents.sock'); "
        's.sendall(b\'{"command": "stats"}\\n\'); print(s.makefile().readline())'
    )
    stats: dict[str, Any] = json.loads(cluster.run([sys.executable, "-c", program]).text)["nodes"][node]
    return stats


def test_an_orphan_in_a_pod_leaves_no_zombie(start_cluster: Callable[..., Cluster]) -> None:
    """The pause container reaps what is left to it, as Kubernetes' does."""
    cluster = start_cluster("single")
    cluster.client.create(pause_pod("a", "n1"))
    cluster.wait("Pod", "a", "Ready", namespace="default")
    # The exec's shell ends first; the pipe closes when the orphan does.
    cluster.pod("a").exec(["sh", "-c", "mkfifo /tmp/end; (true >/tmp/end) & exit 0"])
    cluster.pod("a").exec(["cat", "/tmp/end"])
    assert "<defunct>" not in cluster.pod("a").exec(["sh", "-c", "ps ax; ps ax"]).text.splitlines()[-1]


def test_connections_of_a_deleted_pod_are_forgotten_on_other_nodes(start_cluster: Callable[..., Cluster]) -> None:
    """Node n1 tracks connections with pods a and b of n2; after the deletion of b only a's is left."""
    cluster = start_cluster("star", nodes=2)
    for name in ("a", "b"):
        cluster.client.create(pause_pod(name, "n2"))
        cluster.wait("Pod", name, "Ready", namespace="default")
    addresses = {name: str(cluster.pod(name).address) for name in ("a", "b")}
    for address in addresses.values():
        _track(cluster, "n1", "192.0.2.1", address)
    assert _tracked(cluster, "n1") == set(addresses.values())
    cluster.client.delete("Pod", "b", "default")
    cluster.wait("Pod", "b", "delete", namespace="default")
    deadline = time.monotonic() + 30
    while addresses["b"] in (tracked := _tracked(cluster, "n1")):  # each look takes a program's start
        assert time.monotonic() < deadline
    assert tracked == {addresses["a"]}


def _track(cluster: Cluster, node: str, source: str, target: str) -> None:
    """Have the node's br-int commit a connection, by a packet that goes nowhere."""
    udp = struct.pack("!HHHH", 1000, 2000, 8, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0)
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed
    frame = bytes.fromhex("0a580af400010a580af400020800") + _with_checksum(head + ends) + udp
    bridge = f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"
    words = f"in_port=controller,packet={frame.hex()},actions=ct(commit,zone=77)"
    cluster.run(["ovs-ofctl", "-O", "OpenFlow15", "packet-out", bridge, words])


def _with_checksum(header: bytes) -> bytes:
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[12:]


def _tracked(cluster: Cluster, node: str) -> set[str]:
    """Destinations of the connections in zone 77."""
    folder = f"/run/kubinet/nodes/{node}"
    script = f"ovs-appctl -t {folder}/ovs-vswitchd.*.ctl dpctl/dump-conntrack zone=77"
    text = cluster.run(["sh", "-c", script]).text
    return set(re.findall(r"orig=\(src=192\.0\.2\.1,dst=([0-9.]+)", text))
