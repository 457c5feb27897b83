"""The reference: Open Virtual Network with one Open vSwitch per node, until every pod has answered another node.

A central part (northbound and southbound databases, ovn-northd) and, per node, a network namespace with its own
ovsdb-server, ovs-vswitchd (userspace datapath) and ovn-controller; one logical switch per node, one distributed router,
Geneve; pods are bare namespaces with a veth. The underlay is a Linux bridge without delay.

Run in namespaces of its own (`experiments.throwaway`): `python -m experiments.bench.ovn_reference NODES PODS`.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from experiments.bench.memory import Memory, memory_of, process_tree
from experiments.bench.reachability import Prober
from kubinet.errors import KubinetError, MissingCapabilityError
from kubinet.sandbox import search_path

SCHEMAS: Final = Path("/usr/share/ovn")
OVS_SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")
PROGRAMS: Final = ("ovn-northd", "ovn-controller", "ovn-nbctl", "ovsdb-server", "ovs-vswitchd", "ovsdb-tool")
RUN: Final = Path("/run/ovn-reference")
CENTRAL: Final = "172.31.0.1"
TIMEOUT_S: Final = 300.0
CENTRAL_PROGRAMS: Final = ("ovn-northd", "ovsdb-server")


@dataclass(frozen=True, slots=True)
class OvnBringUp:
    """One bring-up of the reference; times in seconds from its start, sizes in MiB."""

    version: str
    nodes: int
    pods: int
    links_s: float
    """Until namespaces, bridge and veth pairs were there."""
    switches_s: float
    """Until every ovs-vswitchd and ovn-controller ran."""
    pods_answer_s: float
    """Until the last pod had answered a probe from a pod of another node."""
    per_node: Memory
    """ovsdb-server, ovs-vswitchd and ovn-controller of one node."""
    central: Memory
    """Both databases and ovn-northd."""


@dataclass(frozen=True, slots=True)
class _Pod:
    node: int
    number: int

    @property
    def name(self) -> str:
        return f"p{self.node}-{self.number}"

    @property
    def address(self) -> str:
        return f"10.{64 + self.node // 256}.{self.node % 256}.{self.number + 2}"

    @property
    def gateway(self) -> str:
        return f"10.{64 + self.node // 256}.{self.node % 256}.1"

    @property
    def mac(self) -> str:
        return f"0a:58:00:{self.node // 256:02x}:{self.node % 256:02x}:{self.number + 2:02x}"


def missing_programs() -> tuple[str, ...]:
    """Which programs the reference lacks on this machine (Debian: ovn-central, ovn-host)."""
    return tuple(program for program in PROGRAMS if shutil.which(program, path=search_path()) is None)


def bring_up(nodes: int, pods_per_node: int) -> OvnBringUp:
    """Build it inside the present (fresh) namespaces; its processes end with the sandbox."""
    if missing := missing_programs():
        raise MissingCapabilityError(f"OVN reference: {', '.join(missing)} not found; install ovn-central and ovn-host")
    pods = [_Pod(node, number) for node in range(nodes) for number in range(pods_per_node)]
    RUN.mkdir()
    # `ip netns` keeps its namespaces under /run/netns, which is this sandbox's own.
    began = time.monotonic()
    _links(nodes, pods)
    links_s = time.monotonic() - began
    _central()
    _in_parallel([_node_command(node) for node in range(nodes)])
    switches_s = time.monotonic() - began
    _logical_network(nodes, pods)
    _in_parallel([_ports_command(node, [pod for pod in pods if pod.node == node]) for node in range(nodes)])
    answered = _reached(pods)
    # Detached daemons belong to the first process of the sandbox.
    programs = process_tree(1)
    central = [program for program in programs if program.pid in _central_pids()]
    node_programs = [
        program
        for program in programs
        if program.name in ("ovsdb-server", "ovs-vswitchd", "ovn-controller") and program not in central
    ]
    return OvnBringUp(
        version=run_program(["ovn-controller", "--version"]).splitlines()[0].split()[-1],
        nodes=nodes,
        pods=len(pods),
        links_s=links_s,
        switches_s=switches_s,
        pods_answer_s=answered - began,
        per_node=memory_of(node_programs) / nodes,
        central=memory_of(central),
    )


def _links(nodes: int, pods: Sequence[_Pod]) -> None:
    lines = ["link add fabric type bridge", f"addr add {CENTRAL}/16 dev fabric", "link set fabric up"]
    lines += [f"netns add n{node}" for node in range(nodes)]
    lines += [f"netns add {pod.name}" for pod in pods]
    for node in range(nodes):
        lines.append(f"link add u{node} type veth peer name eth0 netns n{node}")
        lines.append(f"link set u{node} master fabric up")
    _batch(lines)
    run_program(["ethtool", "-K", "fabric", "tx", "off"])
    _in_parallel([_inside_command(node, [pod for pod in pods if pod.node == node]) for node in range(nodes)])


def _inside_command(node: int, pods: Sequence[_Pod]) -> str:
    """Shell text: the node's interfaces and its pods' veths and addresses."""
    lines = [f"ip -n n{node} link set lo up", f"ip -n n{node} link set eth0 up"]
    lines.append(f"ip netns exec n{node} ethtool -K eth0 tx off >/dev/null")
    for pod in pods:
        lines += [
            f"ip -n n{node} link add {pod.name} type veth peer name eth0 netns {pod.name}",
            f"ip -n n{node} link set {pod.name} up",
            f"ip -n {pod.name} -batch - <<EOF\nlink set lo up\nlink set eth0 address {pod.mac} mtu 1400 up\n"
            f"addr add {pod.address}/24 dev eth0\nroute add default via {pod.gateway}\nEOF",
            # The userspace datapath does not compute the checksums that a veth leaves out.
            f"ip netns exec {pod.name} ethtool -K eth0 tx off >/dev/null",
        ]
    return "set -e\n" + "\n".join(lines)


def _central() -> None:
    script = ["set -e", f"cd {RUN}"]
    for name, port in (("nb", 6641), ("sb", 6642)):
        script += [
            f"ovsdb-tool create {name}.db {SCHEMAS}/ovn-{name}.ovsschema",
            f"ovsdb-server {name}.db --remote=punix:{RUN}/{name}.sock --remote=ptcp:{port}:{CENTRAL} "
            f"--unixctl={RUN}/{name}.ctl --pidfile={RUN}/{name}.pid --log-file={RUN}/{name}.log "
            "--detach --no-chdir -vconsole:off",
        ]
    script.append(
        f"ovn-northd --ovnnb-db=unix:{RUN}/nb.sock --ovnsb-db=unix:{RUN}/sb.sock --unixctl={RUN}/northd.ctl "
        f"--pidfile={RUN}/northd.pid --log-file={RUN}/northd.log --detach --no-chdir -vconsole:off"
    )
    _in_parallel(["\n".join(script)])


def _central_pids() -> frozenset[int]:
    return frozenset(int((RUN / f"{name}.pid").read_text()) for name in ("nb", "sb", "northd"))


def _node_command(node: int) -> str:
    """Shell text: the node's Open vSwitch and ovn-controller in its namespace."""
    home, address = RUN / f"n{node}", _underlay(node)
    return f"""set -e
mkdir {home}
export OVS_RUNDIR={home} OVN_RUNDIR={home} OVS_DBDIR={home}
ovsdb-tool create {home}/conf.db {OVS_SCHEMA}
exec ip netns exec n{node} sh -ec '
ovsdb-server {home}/conf.db --remote=punix:{home}/db.sock --unixctl={home}/db.ctl --pidfile={home}/db.pid \\
  --detach --no-chdir -vconsole:off
ovs-vsctl --db=unix:{home}/db.sock --no-wait init -- set Open_vSwitch . external-ids:system-id=n{node} \\
  external-ids:ovn-remote=tcp:{CENTRAL}:6642 external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip={address} \\
  external-ids:ovn-bridge-datapath-type=netdev \\
  -- add-br br-int -- set bridge br-int datapath_type=netdev fail_mode=secure \\
  -- add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy eth0
ovs-vswitchd unix:{home}/db.sock --unixctl={home}/vswitchd.ctl --pidfile={home}/vswitchd.pid \\
  --log-file={home}/vswitchd.log --detach --no-chdir -vconsole:off
ip addr add {address}/16 dev br-phy
ip link set br-phy up
ethtool -K br-phy tx off >/dev/null
ovn-controller unix:{home}/db.sock --pidfile={home}/controller.pid \\
  --log-file={home}/controller.log --detach --no-chdir -vconsole:off'
"""


def _underlay(node: int) -> str:
    return f"172.31.{1 + node // 250}.{1 + node % 250}"


def _logical_network(nodes: int, pods: Sequence[_Pod]) -> None:
    """Switches, router and ports in one transaction."""
    argv = ["ovn-nbctl", f"--db=unix:{RUN}/nb.sock", "lr-add", "r"]
    for node in range(nodes):
        first = _Pod(node, 0)
        mac = f"0a:58:01:{node // 256:02x}:{node % 256:02x}:01"
        argv += ["--", "ls-add", f"s{node}", "--", "lrp-add", "r", f"r{node}", mac, f"{first.gateway}/24"]
        argv += ["--", "lsp-add", f"s{node}", f"up{node}", "--", "lsp-set-type", f"up{node}", "router"]
        argv += ["--", "lsp-set-addresses", f"up{node}", "router"]
        argv += ["--", "lsp-set-options", f"up{node}", f"router-port=r{node}"]
    for pod in pods:
        argv += ["--", "lsp-add", f"s{pod.node}", pod.name]
        argv += ["--", "lsp-set-addresses", pod.name, f"{pod.mac} {pod.address}"]
    run_program(argv)


def _ports_command(node: int, pods: Sequence[_Pod]) -> str:
    """Shell text: all ports of the node's pods in one transaction."""
    ports = " ".join(
        f"-- add-port br-int {pod.name} -- set interface {pod.name} external-ids:iface-id={pod.name}" for pod in pods
    )
    return f"ovs-vsctl --no-wait --db=unix:{RUN}/n{node}/db.sock {ports}"


def _reached(pods: Sequence[_Pod]) -> float:
    """When the last pod had answered: the second node asks the first node's pods, the first node all others."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(Prober(_starter(f"p{node}-0"))) for node in (0, 1))
        mine = {first: [pod.address for pod in pods if pod.node != 0], second: [p.address for p in pods if p.node == 0]}
        for prober, addresses in mine.items():
            prober.ask(addresses)
        return max(at for prober, addresses in mine.items() for at in prober.wait(addresses, TIMEOUT_S).values())


def _starter(namespace: str) -> Any:
    def start(argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["ip", "netns", "exec", namespace, *argv], **options)

    return start


def _batch(lines: Sequence[str]) -> None:
    run_program(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")


def _in_parallel(scripts: Sequence[str]) -> None:
    running = [
        subprocess.Popen(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for script in scripts
    ]
    for process in running:
        _, words = process.communicate(timeout=TIMEOUT_S)
        if process.returncode != 0:
            raise KubinetError(f"OVN reference: a step ended with status {process.returncode}: {words.strip()[-600:]}")


def run_program(argv: Sequence[str], stdin: str | None = None) -> str:
    """A program's output; KubinetError with its last words when it failed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise KubinetError(
            f"OVN reference: {argv[0]} ended with status {done.returncode}: {done.stderr.strip()[-600:]}"
        )
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(asdict(bring_up(int(sys.argv[1]), int(sys.argv[2])))))
