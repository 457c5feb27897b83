"""`python -m experiments.bench.policy_data`: what policies cost the packets, by the number of policies on their path.

A client pod and a server pod on two nodes. Every policy selects both: egress of the client and ingress of the server
are looked up among all rules. For each number: the rate of new connections, one and 32 at a time, the round-trip time
over an established connection, and TCP throughput; each in turn with two pods that no policy selects.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.bench.keeping import keep
from experiments.bench.objects import NAMESPACE, agnhost_pod, namespace
from experiments.bench.service_data import PARALLEL, PORT, rate
from experiments.measure.iperf import PORT as IPERF_PORT
from experiments.measure.iperf import server_command, throughput
from kubinet.cluster import Cluster

COUNTS: Final = (0, 100, 1000)
ECHO_PORT: Final = 8090
ECHO: Final = Path(__file__).with_name("echo_client.py")
ROUND_TRIPS: Final = 1000
_PAIRS: Final = (("client", "server"), ("free-client", "free-server"))
_SETTLE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity, one entry per repetition."""

    policies: int
    quantity: str
    unit: str
    watched: tuple[float, ...]
    free: tuple[float, ...]
    """Of two pods that no policy selects, in turn with the others."""

    @property
    def ratio(self) -> float:
        """Median of watched against free, repetition by repetition."""
        return statistics.median(one / other for one, other in zip(self.watched, self.free, strict=True))


def _policy(index: int) -> dict[str, Any]:
    """The first one allows what is measured, the others a port each."""
    ports = [{"port": one} for one in ((PORT, ECHO_PORT, IPERF_PORT) if index == 0 else (10000 + index,))]
    selector = {"matchLabels": {"role": "watched"}}
    peer = [{"podSelector": selector}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"p{index}", "namespace": NAMESPACE},
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peer, "ports": ports}],
            "egress": [{"to": peer, "ports": ports}],
        },
    }


def _pods() -> Iterator[dict[str, Any]]:
    """Both pairs; a server is three programs."""
    for (client, server), labels in zip(_PAIRS, ({"role": "watched"}, {}), strict=True):
        caller = agnhost_pod(client, "n1", ["pause"])
        called = agnhost_pod(server, "n2", ["load-server", f"--port={PORT}"])
        program = _as_program(["serve", str(ECHO_PORT)])
        echo = {"name": "echo", "image": "python:3", "command": ["python3", "-c", program]}
        iperf = {"name": "iperf", "image": "networkstatic/iperf3", "command": server_command()}
        called["spec"]["containers"] += [echo, iperf]
        for pod in (caller, called):
            pod["metadata"]["labels"] = labels
            yield pod


def _as_program(arguments: Sequence[str]) -> str:
    """The echo program's text with its arguments inside, for `python3 -c`."""
    return f"import sys; sys.argv[1:] = {list(arguments)!r}\n" + ECHO.read_text()


def _quantities(seconds: float) -> dict[tuple[str, str], Callable[[Cluster, str, str], float]]:
    """Quantity and unit, to what measures it between two pods."""

    def connections(parallel: int) -> Callable[[Cluster, str, str], float]:
        return lambda cluster, client, server: rate(
            cluster, f"{cluster.pod(server, NAMESPACE).address}:{PORT}", parallel, seconds, client=client
        )

    def round_trip(cluster: Cluster, client: str, server: str) -> float:
        address = str(cluster.pod(server, NAMESPACE).address)
        program = _as_program([address, str(ECHO_PORT), str(ROUND_TRIPS), "100"])
        times = json.loads(cluster.pod(client, NAMESPACE).exec(["python3", "-c", program]).text)
        return float(statistics.median(times))

    def stream(cluster: Cluster, client: str, server: str) -> float:
        source, target = cluster.pod(client, NAMESPACE), cluster.pod(server, NAMESPACE)
        run, _ = throughput(source, target.address, seconds=max(1, round(seconds)), warmup_s=1)
        return run.received_mbit_per_s

    return {
        **{(f"connections, {parallel} at a time", "/s"): connections(parallel) for parallel in PARALLEL},
        ("round trip, p50", "ms"): round_trip,
        ("TCP throughput", "Mbit/s"): stream,
    }


def measure(counts: Sequence[int], repetitions: int, seconds: float) -> Iterator[Measured]:
    """One cluster; the quantities as they are measured."""
    with Cluster("star", nodes=2, settings={"network.dnsReplicas": "0", "links.rate": "1gbit"}) as cluster:
        client = cluster.client
        client.create(namespace())
        for pod in _pods():
            client.create(pod)
        for name in (name for pair in _PAIRS for name in pair):
            cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
        present = 0
        for count in counts:
            for index in range(present, count):
                client.create(_policy(index))
            present = count
            cluster.wait_realised(_SETTLE_S)
            for (quantity, unit), call in _quantities(seconds).items():
                found: dict[tuple[str, str], list[float]] = {pair: [] for pair in _PAIRS}
                for repetition in range(repetitions + 1):
                    # In turn, and the other one first in every second repetition.
                    for pair in _PAIRS if repetition % 2 else _PAIRS[::-1]:
                        found[pair].append(call(cluster, *pair))
                # The first of each fills caches.
                watched, free = (tuple(values[1:]) for values in found.values())
                yield Measured(count, quantity, unit, watched, free)


def markdown(runs: Sequence[Measured]) -> str:
    """The page's section."""
    lines = [
        "## Packets under policies",
        "",
        "Two nodes, links of 1 Gbit/s; medians. Ratio: against pods that no policy selects, repetition by repetition.",
        "",
        "| policies that select both | quantity | under policies | of free pods | ratio |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {run.policies} | {run.quantity} | {statistics.median(run.watched):.4g} {run.unit} | "
        f"{statistics.median(run.free):.4g} {run.unit} | {run.ratio:.2f} |"
        for run in runs
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.policy_data", description=__doc__)
    parser.add_argument("--policies", type=int, action="append", help=f"repeatable, rising; default {COUNTS}")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--output-dir", type=Path, default=Path("results"))
    options = parser.parse_args()
    return keep(
        "policy-data",
        options.output_dir,
        measure(options.policies or COUNTS, options.reps, options.seconds),
        tell=lambda run: f"{run.policies} policies, {run.quantity}: {statistics.median(run.watched):.4g} {run.unit}",
        page=markdown,
    )


if __name__ == "__main__":
    sys.exit(main())
