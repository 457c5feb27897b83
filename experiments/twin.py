"""A twin of the underlay's way between two nodes, without Open vSwitch: what the links alone can do.

The same links and the same routers or switches, made by the code that makes the underlay, in network namespaces of
their own beside the cluster; plain hosts stand where the two nodes are. `python -m experiments.twin DOCUMENT` runs
inside the sandbox, prints where the two hosts are, and ends with its standard input.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from experiments.base import RunningCluster
from experiments.measure.target import ExecResult, Host
from experiments.topology import underlay_of
from kubinet.errors import KubinetError
from topologies.document import parse_topology
from topologies.model import Role, Topology


@dataclass(frozen=True, slots=True)
class TwinHost:
    """One end of the twin."""

    name: str
    address: IPv4Address
    pid: int
    """A process in its network namespace, in the sandbox's numbering."""
    beside: Host
    """A node of the cluster: programs get into the sandbox through it."""

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        """Run a program to its end; `timeout` in seconds."""
        return self.beside.exec([*self._enter(), *argv], timeout=timeout, check=check)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program; `options` are those of `subprocess.Popen`."""
        return self.beside.popen([*self._enter(), *argv], **options)

    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]


def twin_topology(document: Mapping[str, Any], source: str, target: str) -> Topology:
    """The way between two nodes as a topology of its own, its ends plain hosts."""
    whole = parse_topology(document, lambda _: "topology")
    names = {link.name for link in underlay_of(document).path(source, target).links}
    links = tuple(link for link in whole.links if link.name in names)
    on_the_way = {end for link in links for end in (link.a, link.b)}
    vertices = tuple(
        replace(vertex, role=Role.OUTSIDE) if vertex.name in (source, target) else vertex
        for vertex in whole.vertices
        if vertex.name in on_the_way
    )
    return replace(whole, name="twin", vertices=vertices, links=links)


@contextmanager
def twin(cluster: RunningCluster, source: str, target: str) -> Iterator[tuple[TwinHost, TwinHost]]:
    """The twin of the way from node `source` to node `target`; KubinetError when it cannot be made."""
    beside = cluster.node(source)
    argument = json.dumps([cluster.topology, source, target])
    argv = [sys.executable, "-m", "experiments.twin", argument]
    process = beside.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            words = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise KubinetError(f"the underlay's twin from {source} to {target} cannot be made: {words}")
        ends = json.loads(line)
        first, second = (
            TwinHost(f"{name} (twin)", IPv4Address(ends[name]["address"]), ends[name]["pid"], beside)
            for name in (source, target)
        )
        yield first, second
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()


def _main(argument: str) -> None:
    from kubinet.syscalls import CLONE_NEWNET, unshare  # noqa: PLC0415 - only what runs inside needs these
    from topologies.build import build  # noqa: PLC0415
    from topologies.links.tools import detect_tools  # noqa: PLC0415

    document, source, target = json.loads(argument)
    output = os.dup(1)
    os.dup2(2, 1)  # Mininet writes where it likes
    unshare(CLONE_NEWNET)
    with tempfile.TemporaryDirectory() as folder:
        underlay = build(twin_topology(document, source, target), Path(folder), detect_tools())
        try:
            hosts = {host.name: host for host in underlay.facts("twin").outside}
            ends = {name: {"address": str(hosts[name].address), "pid": hosts[name].pid} for name in (source, target)}
            os.write(output, json.dumps(ends).encode() + b"\n")
            sys.stdin.read()
        finally:
            underlay.close()


if __name__ == "__main__":
    _main(sys.argv[1])
