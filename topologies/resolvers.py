"""Name servers on outside hosts, and the resolv.conf by which the underlay's hosts find theirs.

An outside host answers DNS when the Topology gives it `dns`, or names it as `network.dnsUpstream`. The program is
`agents.dns.resolver`; its sockets are made here, in the host's network namespace, and outlive it: what is asked while
it starts, or starts again, waits in them.
"""

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from agents.dns.server import sockets
from kubinet.netns import namespace, of_process
from kubinet.sandbox import bind
from topologies.model import Role, Topology
from topologies.plan import Plan

DOMAIN = "example"
"""An outside host's own name is `HOST.example` (RFC 2606)."""
_PORT = 53
_PAUSE_SECONDS = 1.0
_LOG = logging.getLogger(__name__)
Names = Mapping[str, tuple[IPv4Address, ...]]


def served_names(topology: Topology, plan: Plan) -> Mapping[str, Names]:
    """What each outside host with a name server answers: its own name, and what the Topology says."""
    return {
        host.name: {f"{host.name}.{DOMAIN}": (_address(plan, host.name),), **(host.dns or {})}
        for host in topology.of(Role.OUTSIDE)
        if host.dns is not None or host.name == topology.network.dns_upstream
    }


def resolv_conf(topology: Topology, plan: Plan) -> str:
    """The resolv.conf of nodes and outside hosts: the upstream, where there is one."""
    upstream = topology.network.dns_upstream
    head = "# Written by Kubinet: the outside host that the Topology's dnsUpstream names.\n"
    return head + (f"nameserver {_address(plan, upstream)}\n" if upstream is not None else "")


def publish_resolv_conf(text: str, run_dir: Path) -> None:
    """Show the text as /etc/resolv.conf in this mount namespace and those that are made from it later."""
    file = run_dir / "resolv.conf"
    file.write_text(text)
    target = Path("/etc/resolv.conf")
    if target.is_symlink() and not target.exists() and target.resolve().is_relative_to("/run"):
        # systemd-resolved's file lies in the machine's /run; ours is new and empty.
        target.resolve().parent.mkdir(parents=True, exist_ok=True)
        target.resolve().touch()
    if target.exists():
        bind(file, target.resolve())


class Resolvers:
    """The name servers' processes; one that dies is started again."""

    def __init__(self, served: Mapping[str, Names], pid_of: Callable[[str], int]) -> None:
        """`pid_of`: a process in the network namespace of a host. Returns when all can be asked."""
        self._closing = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = []
        for host, names in served.items():
            path = of_process(pid_of(host))
            with namespace(path):
                udp, tcp = sockets("0.0.0.0", _PORT)
            thread = threading.Thread(target=self._keep, args=(host, names, path, udp, tcp), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End them."""
        self._closing.set()
        for process in list(self._processes.values()):
            process.terminate()
        for thread in self._threads:
            thread.join(_PAUSE_SECONDS)

    def _keep(self, host: str, names: Names, path: str, udp: socket.socket, tcp: socket.socket) -> None:
        while not self._closing.is_set():
            with namespace(path):
                process = subprocess.Popen(_command(host, names, udp, tcp), pass_fds=(udp.fileno(), tcp.fileno()))
            self._processes[host] = process
            if self._closing.is_set():
                process.terminate()
            status = process.wait()
            if not self._closing.wait(_PAUSE_SECONDS):
                _LOG.error("outside host %s: its name server ended with status %d; starting it again", host, status)


def _command(host: str, names: Names, udp: socket.socket, tcp: socket.socket) -> list[str]:
    listed = json.dumps({name: list(map(str, addresses)) for name, addresses in names.items()})
    return [
        *(sys.executable, "-m", "agents.dns.resolver", "--host", f"{host}.{DOMAIN}", "--names", listed),
        *("--udp", str(udp.fileno()), "--tcp", str(tcp.fileno())),
    ]


def _address(plan: Plan, host: str) -> IPv4Address:
    address = plan.interfaces[host][0].address
    assert address is not None
    return address.ip
