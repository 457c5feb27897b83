"""Runs in the guest: makes one topology with a delayed, a jittery and a lossy link, measures them, prints JSON."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from experiments.measure.iperf import iperf_server, throughput
from experiments.measure.ping import ping
from kubinet.state import NetworkConfig
from topologies.build import Underlay, build
from topologies.links.measure import measure
from topologies.links.tools import detect_tools
from topologies.model import Link, Role, Topology, Vertex


@dataclass(frozen=True, slots=True)
class UnderlayHost:
    """A host of the underlay, as the measuring functions want it."""

    name: str
    address: IPv4Address
    pid: int

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> "Result":
        done = subprocess.run(self._command(argv), capture_output=True, timeout=timeout, check=check)
        return Result(done.returncode, done.stdout, done.stderr)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command(argv), **options)

    def _command(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def host(underlay: Underlay, name: str) -> UnderlayHost:
    address = underlay.plan.interfaces[name][0].address
    assert address is not None
    return UnderlayHost(name, address.ip, underlay.pid(name))


def main() -> None:
    links = (
        Link("delayed", "a1", "a2", rate=20e6, delay=0.010),
        Link("jittery", "b1", "b2", delay=0.020, jitter=0.002),
        Link("lossy", "c1", "c2", delay=0.001, loss=0.10),
    )
    names = [end for link in links for end in (link.a, link.b)]
    topology = Topology("links", NetworkConfig(), "auto", tuple(Vertex(name, Role.OUTSIDE) for name in names), links)
    tools = detect_tools()
    underlay = build(topology, Path(tempfile.mkdtemp()), tools)
    found: dict[str, Any] = {
        "netem": tools.netem,
        "wires": {name: str(one.wire) for name, one in underlay.ends.items()},
    }
    hosts = {name: host(underlay, name) for name in names}
    for link, count, interval in zip(links, (100, 500, 4000), (0.02, 0.01, 0.002), strict=True):
        run, _ = ping(hosts[link.a], hosts[link.b].address, count=count, interval_s=interval)
        rtts = [reply.rtt_ms for reply in run.after_warmup(5)]
        found[link.name] = {"rtt_ms": fmean(rtts), "stdev_ms": stdev(rtts), "loss": run.loss}
    with iperf_server(hosts["a2"]):
        measured, _ = throughput(hosts["a1"], hosts["a2"].address, seconds=6, warmup_s=2)
    found["delayed"]["goodput_mbit"] = measured.received_mbit_per_s
    found["delayed"]["mss"] = measured.mss_bytes
    measurements = {name: measure(ends, probes=200) for name, ends in underlay.ends.items()}
    found["problems"] = {name: list(one.problems()) for name, one in measurements.items()}
    found["ways"] = {name: [asdict(way) for way in one.directions] for name, one in measurements.items()}
    underlay.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
