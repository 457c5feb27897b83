"""Node agents on hand-made nodes in throw-away namespaces: Open vSwitch, interfaces, pods, failures."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ordinaryuser import AS_USER, skip_where_closed

pytestmark = pytest.mark.emulated

_INSIDE = Path(__file__).with_name("agents_inside.py")
_NAMESPACES = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
_USER = ["--user", "--map-root-user"]


def _run(scenario: str, kind: str = "root" if os.geteuid() == 0 else "ordinary-user") -> dict[str, Any]:
    """What the scenario saw: as root, or as an ordinary user in a user namespace."""
    if shutil.which("ovs-vswitchd", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("Open vSwitch is not installed")
    user = kind == "ordinary-user"
    if kind == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    if os.geteuid() != 0 and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("/dev/net/tun is closed to this user")
    if user:
        skip_where_closed()
    prefix = [str(AS_USER), "unshare", *_USER] if user else ["unshare"]
    command = [*prefix, *_NAMESPACES, sys.executable, str(_INSIDE), scenario]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["root", "ordinary-user"])
def test_a_node_has_the_documented_bridges_ports_interfaces_and_routes(kind: str) -> None:
    """Bridges, OpenFlow ports, MTU, MAC addresses, offloads, routes and neighbours; a second set-up changes nothing."""
    seen = _run("set_up", kind)
    assert seen == {
        "same_daemons": True,
        "br-int": {"br-int": 65534, "tun0": 1, "gw0": 2, "int-to-phy": 4},
        "br-phy": {"br-phy": 65534, "n1-eth0": 1, "phy-to-int": 2},
        "datapath_ids": ["0000000100000001", "0000000200000001"],
        "fail_mode": "secure",
        "links": {
            "n1-eth0": [1500, "02:00:00:00:00:01", 1],
            "gw0": [1450, "0a:58:0a:f4:01:01", 1],
            "br-phy": [1500, "06:00:00:00:00:01", 1],
        },
        "offloads_on": [],
        "routes": [
            "10.244.0.0/16 via 169.254.1.1 dev gw0 proto static src 10.244.1.1 onlink",
            "10.96.0.0/16 via 169.254.1.1 dev gw0 proto static src 10.244.1.1 onlink",
            "169.254.1.1 dev gw0 proto static scope link src 10.244.1.1",
            "172.18.0.0/24 dev br-phy proto kernel scope link src 172.18.0.1",
            "172.31.0.0/24 via 169.254.1.1 dev gw0 proto static src 172.18.0.1 onlink",
        ],
        "forwarding": "1",
        "tunnel_neighbours": ["172.18.0.2", "172.18.0.3"],
        "kernel_neighbours": ["172.18.0.2", "172.18.0.3"],
        "ipv6": "",
        # Eight pods and one whose sandbox is gone: one transaction, one failure, eight interfaces.
        "transactions": 1,
        "failures": {"lost": "/proc/999999999/ns/net: No such file or directory: the sandbox is gone"},
        "pod": [1450, "0a:58:0a:f4:01:05", ["10.244.1.5"], ["tx-checksumming: off"]],
        "pod_routes": [
            "10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.5",
            "default via 10.244.1.1 dev eth0 proto static onlink",
        ],
        "pod_port": 105,
        "attached": 8,
        "again": {},
        "after_disconnect": ["br-int", "gw0", "int-to-phy", "tun0"],
    }


@pytest.mark.parametrize("kind", ["root", "ordinary-user"])
def test_pods_live_as_kubernetes_says(kind: str) -> None:
    """No container before its flows; init containers, failures, back-off, unknown images, host network, deletion."""
    seen = _run("pods", kind)
    assert seen == {
        "before_flows": ["10.244.1.2", "Pending", {"waiting": {"reason": "ContainerCreating"}}],
        "events": ["Created", "Pulled", "Started"],
        "job": [0, False],
        "broken": 3,
        "crash": ["Running", 1],
        "unknown": ["Failed"],
        "host": "172.18.0.2",
        # The next address after the last: a deleted pod's rests.
        "next": "10.244.1.5",
        "log": "",
    }


def test_a_full_pod_cidr_is_told_and_a_freed_address_is_used() -> None:
    """The sixth pod of a /29 waits with an event that names the remedy, and runs when another pod has gone."""
    seen = _run("exhaustion")
    assert seen == {
        "waiting": "Pending",
        "message": (
            "no free address in 10.244.1.0/29: 5 pods hold all of them; delete pods of this node, or give the nodes "
            "larger pod CIDRs in the topology's network section (nodeCIDRMaskSize)"
        ),
        "then": "10.244.1.4",
    }


def test_agents_and_switches_that_die_come_back_and_pods_stay() -> None:
    """After kill -9 of the agents pods are the same; killed daemons return; a stopped agent's node is Unknown."""
    seen = _run("failures")
    commands = "agents: a request is a JSON object with `command` one of list, reachability, start, stats, stop"
    assert seen == {
        "kept": True,
        # The pod that was deleted meanwhile had .3, which rests.
        "third": "10.244.1.4",
        "restarts": [[False, True], [True, False]],
        "events": ["OpenVSwitchEnded", "OpenVSwitchStarted"],
        "memory": ["pss", "rss"],
        "stopped": [{"node": "n1", "running": False}, True, None, "True"],
        "ready_again": "True",
        "wrong": [{"error": "agents: no node 'n9'; nodes: n1, n2"}, {"error": commands}, {"error": commands}],
        "unreachable": {"error": "no answer over the overlay within 0.3 s: n1→n2, n2→n1"},
    }
