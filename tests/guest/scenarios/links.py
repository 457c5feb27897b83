"""Runs in the guest: one topology with a delayed, a jittery and a lossy link, measured again and again; prints JSON.

Beside every sample stands how late the guest's own timers were meanwhile: it tells a link that breaks its word from a
host whose processors had other work. Samples are taken until enough are undisturbed, or the attempts are used up.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import quantiles
from typing import Any

from experiments.measure.iperf import iperf_server, throughput
from experiments.measure.ping import PingRun, ping
from kubinet.state import NetworkConfig
from topologies.build import Underlay, build
from topologies.links.measure import measure
from topologies.links.tools import detect_tools
from topologies.model import Link, Role, Topology, Vertex

UNDISTURBED = 5
ATTEMPTS = 8
LATENESS_MS = 1.0
"""A sample is undisturbed when 95 of 100 timers were late by less. The token bucket of a link of 20 Mbit/s holds what
passes in 1.2 ms: when the guest is not run for longer, the link's rate is lost, and netem's frames are late as much."""
_WARMUP = 5
_TICK = 0.002
_NORMAL_QUARTILES = 1.349
"""Distance of a normal distribution's quartiles in standard deviations."""


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


@contextmanager
def lateness() -> Iterator[list[float]]:
    """Milliseconds by which sleeps of 2 ms came late, filled while the body runs."""
    late: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            before = time.monotonic()
            time.sleep(_TICK)
            late.append((time.monotonic() - before - _TICK) * 1e3)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield late
    finally:
        stop.set()
        watcher.join()


def samples(take: Callable[[], dict[str, Any]], wanted: int = UNDISTURBED) -> list[dict[str, Any]]:
    """Samples until `wanted` are undisturbed, each with the 95th percentile of the lateness."""
    taken: list[dict[str, Any]] = []
    undisturbed = 0
    while undisturbed < wanted and len(taken) < ATTEMPTS:
        with lateness() as late:
            found = take()
        late_ms = quantiles(late, n=20)[-1]
        undisturbed += late_ms < LATENESS_MS
        taken.append({**found, "late_ms": late_ms, "undisturbed": late_ms < LATENESS_MS})
    return taken


def round_trips(run: PingRun) -> dict[str, float]:
    """Median, and the standard deviation of the normal distribution that has these quartiles (stalls do not count)."""
    first, middle, third = quantiles([reply.rtt_ms for reply in run.after_warmup(_WARMUP)])
    return {"rtt_ms": middle, "sigma_ms": (third - first) / _NORMAL_QUARTILES, "loss": run.loss}


def main() -> None:
    links = {
        "delayed": Link("delayed", "a1", "a2", rate=20e6, delay=0.010),
        "jittery": Link("jittery", "b1", "b2", delay=0.020, jitter=0.002),
        "lossy": Link("lossy", "c1", "c2", delay=0.001, loss=0.10),
    }
    names = [end for link in links.values() for end in (link.a, link.b)]
    vertices = tuple(Vertex(name, Role.OUTSIDE) for name in names)
    topology = Topology("links", NetworkConfig(), "auto", vertices, tuple(links.values()))
    underlay = build(topology, Path(tempfile.mkdtemp()), detect_tools())
    hosts = {name: host(underlay, name) for name in names}

    def pings(name: str, count: int, interval_s: float) -> dict[str, float]:
        ends = hosts[links[name].a], hosts[links[name].b].address
        return round_trips(ping(*ends, count=count, interval_s=interval_s)[0])

    def goodput() -> dict[str, float]:
        run, _ = throughput(hosts["a1"], hosts["a2"].address, seconds=3, warmup_s=1)
        return {"goodput_mbit": run.received_mbit_per_s, "mss": run.mss_bytes}

    def own(name: str) -> dict[str, Any]:
        found = measure(underlay.ends[name], probes=100)
        return {"problems": list(found.problems()), "rates": [way.rate for way in found.directions]}

    with iperf_server(hosts["a2"]):
        rates = samples(goodput)
    found = {
        "wires": {name: str(one.wire) for name, one in underlay.ends.items()},
        "rate": rates,
        "delayed": samples(lambda: pings("delayed", 105, 0.02)),
        "jittery": samples(lambda: pings("jittery", 505, 0.01)),
        "lossy": [pings("lossy", 4000, 0.002)],
        "own": {name: samples(lambda name=name: own(name), wanted=3) for name in links},  # type: ignore[misc]
    }
    underlay.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
