"""Runs inside throw-away namespaces: builds an underlay of one Linux bridge, lets agents work on it, prints what is.

`python agents_inside.py SCENARIO`: one JSON object on standard output. Not a test; `test_agents_*.py` run it.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.node_setup import NodeSwitch, set_up_node
from agents.ovsdaemons import SwitchHome, create_database
from agents.pod_network import PodLink, PodNetwork
from kubinet.client import Client
from kubinet.errors import ApiError
from kubinet.facts import facts_to_json
from kubinet.informer import Informer
from kubinet.netns import namespace, of_process
from kubinet.service import ServiceContext
from kubinet.state import ClusterFacts, NetworkConfig, NodeFacts

RUN, STATE = Path("/run/kubinet"), Path("/run/state")
Facts = dict[str, Any]


def shell(command: str) -> str:
    path = (
        f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"  # Debian's ordinary users lack administrators' programs
    )
    environment = os.environ | {"PATH": path}
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True, env=environment).stdout


def until(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Poll an outside fact; the error says what did not come true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)
    return value


def empty_namespace() -> int:
    """A process in a network namespace of its own; ends with us."""
    child = subprocess.Popen(
        ["unshare", "--net", "--kill-child", "--fork", "sh", "-c", "echo ok; exec sleep 1000"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdout.readline() == b"ok\n"
    return int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())


def underlay(count: int, prefix: int = 24) -> ClusterFacts:
    """`count` nodes on one bridge, and a management bridge with our own address; pod CIDRs of this prefix length."""
    shell("ip link set lo up; ip link add ul type bridge; ip link set ul up; ip link add mg type bridge")
    shell("ip addr add 172.30.0.1/16 dev mg; ip link set mg up")
    nodes = []
    for index in range(1, count + 1):
        pid, name = empty_namespace(), f"n{index}"
        shell(f"ip link add u{index} type veth peer name {name}-eth0 address 02:00:00:00:00:0{index} netns {pid}")
        shell(f"ip link add m{index} type veth peer name mgmt netns {pid}")
        shell(f"ip link set u{index} master ul up; ip link set m{index} master mg up")
        shell(
            f"nsenter -t {pid} -n sh -c "
            f"'ip link set lo up; ip addr add 172.30.1.{index}/16 dev mgmt; ip link set mgmt up'"
        )
        nodes.append(
            NodeFacts(
                name=name,
                index=index,
                pid=pid,
                interface=f"{name}-eth0",
                mac=f"06:00:00:00:00:0{index}",
                underlay=IPv4Interface(f"172.18.0.{index}/24"),
                gateway=None,
                gateway_mac=None,
                management=IPv4Interface(f"172.30.1.{index}/16"),
                pod_cidr=IPv4Network(f"10.244.{index}.0/{prefix}"),
                labels={"topology.kubernetes.io/rack": "r1"},
            )
        )
    return ClusterFacts("test", NetworkConfig(), IPv4Address("172.30.0.1"), tuple(nodes))


def in_node(node: NodeFacts, command: str) -> str:
    return shell(f"nsenter -t {node.pid} -n {command}")


def ports_of(switch: NodeSwitch, bridge: str) -> dict[str, int]:
    """Names and OpenFlow numbers, as the switch itself tells."""
    listing = switch.appctl()("dpif/show").split(f"{bridge}:\n")[1].split(":\n")[0]
    rows = [line.split() for line in listing.splitlines() if "/" in line]
    return {row[0]: int(row[1].split("/")[0]) for row in rows if row[1].split("/")[0].isdigit()}


def offloads_on(node: NodeFacts, interface: str) -> list[str]:
    wanted = ("tx-checksumming", "generic-segmentation-offload", "generic-receive-offload")
    lines = in_node(node, f"ethtool -k {interface}").splitlines()
    return [line.split(":")[0] for line in lines if line.startswith(wanted) and ": on" in line]


def scenario_set_up() -> Facts:
    """Three nodes set up, then once more; then pods connected to one of them."""
    facts = underlay(3)
    RUN.mkdir()
    empty = RUN / "empty.db"
    create_database(empty)

    def set_up(node: NodeFacts) -> NodeSwitch:
        home = SwitchHome(node.name, RUN / "nodes" / node.name, STATE / "logs", of_process(node.pid))
        return set_up_node(facts, node, home, empty)

    with ThreadPoolExecutor() as pool:
        first = list(pool.map(set_up, facts.nodes))
        pids = [[daemon.pid for daemon in switch.daemons] for switch in first]
        second = list(pool.map(set_up, facts.nodes))
    node, switch = facts.nodes[0], second[0]
    links = {
        name: (entry["mtu"], entry["address"], entry["flags"].count("UP"))
        for entry in json.loads(in_node(node, "ip -j link"))
        if (name := entry["ifname"]) in ("br-phy", "gw0", "n1-eth0")
    }
    result: Facts = {
        "same_daemons": pids == [[daemon.pid for daemon in switch.daemons] for switch in second],
        "br-int": ports_of(switch, "br-int"),
        "br-phy": ports_of(switch, "br-phy"),
        "datapath_ids": [
            shell(f"ovs-vsctl --db=unix:{switch.home.database_socket} get bridge {bridge} datapath_id")
            .strip()
            .strip('"')
            for bridge in ("br-int", "br-phy")
        ],
        "fail_mode": shell(f"ovs-vsctl --db=unix:{switch.home.database_socket} get-fail-mode br-int").strip(),
        "links": links,
        "offloads_on": [name for interface in links for name in offloads_on(node, interface)],
        "routes": sorted(line.strip() for line in in_node(node, "ip route").splitlines() if "mgmt" not in line),
        "forwarding": in_node(node, "sysctl -n net.ipv4.ip_forward").strip(),
        "tunnel_neighbours": sorted(
            line.split()[0] for line in switch.appctl()("tnl/neigh/show").splitlines() if line.startswith("172.")
        ),
        "kernel_neighbours": sorted(line.split()[0] for line in in_node(node, "ip neigh show dev br-phy").splitlines()),
        "ipv6": in_node(node, "ip -6 -o addr show dev gw0"),
    }
    return result | _connect_pods(switch)


def _connect_pods(switch: NodeSwitch) -> Facts:
    network = PodNetwork(lambda: switch)
    holders = [empty_namespace() for _ in range(8)]
    links = [
        PodLink(f"u{number}", f"p-{number:010x}", IPv4Address("10.244.1.2") + number, Path(of_process(pid)))
        for number, pid in enumerate(holders)
    ]
    lost = PodLink("lost", "p-lost", IPv4Address("10.244.1.99"), Path("/proc/999999999/ns/net"))
    before = switch.database._root()["next_cfg"]
    failures = network.connect([*links, lost])
    after = switch.database._root()["next_cfg"]
    inside = f"nsenter -t {holders[3]} -n"
    entry = json.loads(shell(f"{inside} ip -j addr show eth0"))[0]
    with namespace(of_process(holders[3])):
        off = [line for line in shell("ethtool -k eth0").splitlines() if line.startswith("tx-checksumming")]
    numbers = ports_of(switch, "br-int")
    attached = network.attached()
    again = network.connect(links[:1])
    network.disconnect(attached.values())
    return {
        "transactions": after - before,
        "failures": {uid: str(error) for uid, error in failures.items()},
        "pod": [entry["mtu"], entry["address"], [a["local"] for a in entry["addr_info"]], off],
        "pod_routes": sorted(line.strip() for line in shell(f"{inside} ip route").splitlines()),
        "pod_port": numbers["p-0000000003"],
        "attached": len(attached),
        "again": {uid: str(error) for uid, error in again.items()},
        "after_disconnect": sorted(ports_of(switch, "br-int")),
    }


class Services:
    """API, runtime and agents as processes, and a stand-in for the controller that says: realised."""

    def __init__(self, facts: ClusterFacts) -> None:
        self.facts = facts
        RUN.mkdir()
        (STATE / "logs").mkdir(parents=True)
        (RUN / "facts.json").write_text(facts_to_json(facts))
        self._listener = socket.create_server(("127.0.0.1", 0))
        for module in ("controller.api.server", "agents.runtime.daemon"):
            self.start(module)
        self.client = Client("http://127.0.0.1:8080", "token")
        self.agents = self.start("agents.node_agent")

    def start(self, module: str) -> int:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                log = os.open(STATE / "logs" / f"{module}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                options = {"api": self._listener.fileno()}
                context = ServiceContext(
                    "test", RUN, STATE, "http://127.0.0.1:8080", "token",
                    lambda facts: (os.write(writer, b"ready"), None)[1], options,
                )  # fmt: skip
                importlib.import_module(module).serve(context)
            finally:
                os._exit(1)
        os.close(writer)
        if os.read(reader, 5) != b"ready":
            raise RuntimeError(f"{module}: {(STATE / 'logs' / f'{module}.log').read_text()}")
        return pid

    def realise(self) -> None:
        """From now on every generation is realised on every node at once."""
        client = self.client.clone()
        with contextlib.suppress(ApiError):
            client.create({"apiVersion": "kubinet.dev/v1", "kind": "Dataplane", "metadata": {"name": "cluster"}})
        changed = threading.Event()
        pods = Informer(client, "Pod", on_change=changed.set).start()

        def run() -> None:
            while True:
                changed.wait()
                changed.clear()
                nodes = {node.name: {"generation": pods.resource_version} for node in self.facts.nodes}
                client.patch("Dataplane", "cluster", {"status": {"nodes": nodes}}, subresource="status")

        threading.Thread(target=run, daemon=True).start()

    def pod(self, name: str, node: str, *command: str, **spec: Any) -> None:
        container = {"name": "main", "image": "busybox", "command": list(command or ("sleep", "1000"))}
        self.client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container | spec.pop("container", {})],
                    **spec,
                },
            }
        )

    def status(self, name: str) -> Facts:
        found: Facts = self.client.get("Pod", name)["status"]
        return found

    def phase(self, name: str, phase: str) -> Facts:
        return dict(
            until(
                lambda: status if (status := self.status(name)).get("phase") == phase else None,
                f"pod {name} to be {phase}",
            )
        )

    def events(self, name: str) -> list[str]:
        """Reasons of an object's events, in the order of their names' first times."""
        found = [e for e in self.client.list("Event")["items"] if e["involvedObject"]["name"] == name]
        return sorted({e["reason"] for e in found})

    def ready(self, node: str) -> str:
        conditions = self.client.get("Node", node)["status"]["conditions"]
        return str(next(entry["status"] for entry in conditions if entry["type"] == "Ready"))

    def ask(self, **request: object) -> Facts:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(RUN / "agents.sock"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: Facts = json.loads(connection.makefile().readline())
            return answer


def scenario_pods() -> Facts:
    """Pods of several kinds, from creation to their end."""
    services = Services(underlay(2))
    services.pod("early", "n1")
    until(lambda: services.status("early").get("podIP"), "the address of pod early")
    early = until(lambda: (s := services.status("early")).get("containerStatuses") and s, "its status")
    services.realise()
    services.phase("early", "Running")
    services.pod("job", "n1", "true", restartPolicy="Never", initContainers=[
        {"name": "first", "image": "busybox", "command": ["true"]}])  # fmt: skip
    services.pod("broken", "n1", "sh", "-c", "exit 3", restartPolicy="Never")
    services.pod("crash", "n2", "false")
    services.pod("unknown", "n2", container={"image": "example.com/none:1"})
    services.pod("host", "n2", hostNetwork=True)
    crash = until(lambda: "CrashLoopBackOff" in json.dumps(s := services.status("crash")) and s, "back-off")
    until(lambda: "ErrImagePull" in json.dumps(services.status("unknown")), "the image's error")
    job, broken, host = (
        services.phase("job", "Succeeded"),
        services.phase("broken", "Failed"),
        services.phase("host", "Running"),
    )
    until(lambda: "Started" in services.events("early"), "events of pod early")
    until(lambda: "Failed" in services.events("unknown"), "events of pod unknown")
    services.client.delete("Pod", "early")
    until(lambda: not [p for p in services.client.list("Pod")["items"] if p["metadata"]["name"] == "early"], "deletion")
    services.pod("next", "n1")
    after = services.phase("next", "Running")
    return {
        "before_flows": [early["podIP"], early["phase"], early["containerStatuses"][0]["state"]],
        "events": services.events("early"),
        "job": [
            job["initContainerStatuses"][0]["state"]["terminated"]["exitCode"],
            job["containerStatuses"][0]["ready"],
        ],
        "broken": broken["containerStatuses"][0]["state"]["terminated"]["exitCode"],
        "crash": [crash["phase"], crash["containerStatuses"][0]["lastState"]["terminated"]["exitCode"]],
        "unknown": services.events("unknown"),
        "host": host["podIP"],
        "next": after["podIP"],
        "log": (STATE / "logs" / "agents.node_agent.log").read_text(),
    }


def scenario_exhaustion() -> Facts:
    """A node with room for five pods gets six; then one goes."""
    services = Services(underlay(1, prefix=29))
    services.realise()
    for number in range(6):
        services.pod(f"p{number}", "n1")
        if number < 5:
            services.phase(f"p{number}", "Running")
    until(lambda: services.events("p5"), "an event about the sixth pod")
    waiting = services.status("p5")["phase"]
    message = next(
        event["message"] for event in services.client.list("Event")["items"] if event["involvedObject"]["name"] == "p5"
    )
    services.client.delete("Pod", "p2")
    return {"waiting": waiting, "message": message, "then": services.phase("p5", "Running")["podIP"]}


def scenario_failures() -> Facts:
    """The agents, Open vSwitch and one node's agent are taken away and come back."""
    services = Services(underlay(2))
    services.realise()
    for name in ("a", "b"):
        services.pod(name, "n1")
    before = {name: services.phase(name, "Running") for name in ("a", "b")}
    os.kill(services.agents, signal.SIGKILL)
    os.waitpid(services.agents, 0)
    services.client.delete("Pod", "b", grace_period=0)  # while nobody looks after it
    services.agents = services.start("agents.node_agent")
    services.pod("c", "n1")
    third = services.phase("c", "Running")
    kept = services.status("a")["containerStatuses"] == before["a"]["containerStatuses"]

    restarts = []
    for position in (1, 0):  # ovs-vswitchd, then ovsdb-server
        stats = services.ask(command="stats")["nodes"]["n1"]
        os.kill(stats["switchPids"][position], signal.SIGKILL)
        count = stats["switchRestarts"]
        now = until(
            lambda count=count: (s := services.ask(command="stats")["nodes"]["n1"])["switchRestarts"] > count and s,
            "Open vSwitch to come back",
        )
        restarts.append([new != old for new, old in zip(now["switchPids"], stats["switchPids"], strict=True)])
    services.pod("d", "n1")
    services.phase("d", "Running")
    until(lambda: len(services.events("n1")) == 2, "events of node n1")
    stats = services.ask(command="stats")["nodes"]["n1"]

    stopped = services.ask(command="stop", node="n1")
    services.pod("e", "n1")
    unknown = until(lambda: services.ready("n1") == "Unknown", "node n1 to be unknown", 40)
    waiting = services.status("e").get("podIP")
    others = services.ready("n2")
    services.ask(command="start", node="n1")
    services.phase("e", "Running")
    return {
        "kept": kept,
        "third": third["podIP"],
        "restarts": restarts,
        "events": services.events("n1"),
        "memory": sorted(stats["switchMemory"]) if stats["switchMemory"]["pss"] > 1 << 20 else stats,
        "stopped": [stopped, bool(unknown), waiting, others],
        "ready_again": services.ready("n1"),
        "wrong": [services.ask(command="stop", node="n9"), services.ask(command="none"), services.ask()],
        "unreachable": services.ask(command="reachability", timeout=0.3),
    }


def main() -> None:
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: daemons that detach are reaped with us
    shell("mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys")
    print(json.dumps(globals()[f"scenario_{sys.argv[1]}"]()), flush=True)
    os._exit(0)  # informers' threads have nothing to say any more


if __name__ == "__main__":
    main()
