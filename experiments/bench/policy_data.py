"""`python -m experiments.bench.policy_data`: connections under policies, by the number of policies on their path.

A client pod and a server pod on two nodes. Every policy selects both: egress of the client and ingress of the server
are looked up among all rules. For each number the rate of new connections is measured, one and 32 at a time.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.bench.keeping import keep
from experiments.bench.objects import NAMESPACE, agnhost_pod, namespace
from experiments.bench.service_data import PARALLEL, PORT, rate
from kubinet.cluster import Cluster

COUNTS: Final = (0, 100, 1000)
_SETTLE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Connections per second, one entry per repetition."""

    policies: int
    parallel: int
    rates: tuple[float, ...]
    free: tuple[float, ...]
    """Of two pods that no policy selects, in turn with the others."""


def _policy(index: int) -> dict[str, Any]:
    """The first one allows the connection, the others a port each."""
    ports = [{"port": PORT if index == 0 else 10000 + index}]
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


def measure(counts: Sequence[int], repetitions: int, seconds: float) -> Iterator[Rates]:
    """One cluster; the rates as they are measured."""
    with Cluster("star", nodes=2, settings={"network.dnsReplicas": "0", "links.rate": "1gbit"}) as cluster:
        client = cluster.client
        client.create(namespace())
        for name, node, arguments, labels in (
            ("client", "n1", ["pause"], {"role": "watched"}),
            ("server", "n2", ["load-server", f"--port={PORT}"], {"role": "watched"}),
            ("free-client", "n1", ["pause"], {}),
            ("free-server", "n2", ["load-server", f"--port={PORT}"], {}),
        ):
            pod = agnhost_pod(name, node, arguments)
            pod["metadata"]["labels"] = labels
            client.create(pod)
        for name in ("client", "server", "free-client", "free-server"):
            cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
        target, free = (f"{cluster.pod(name, NAMESPACE).address}:{PORT}" for name in ("server", "free-server"))
        present = 0
        for count in counts:
            for index in range(present, count):
                client.create(_policy(index))
            present = count
            cluster.wait_realised(_SETTLE_S)
            for parallel in PARALLEL:
                found, others = [], []
                for _ in range(repetitions + 1):
                    others.append(rate(cluster, free, parallel, seconds, client="free-client"))
                    found.append(rate(cluster, target, parallel, seconds))
                # The first of each fills caches.
                yield Rates(count, parallel, tuple(found[1:]), tuple(others[1:]))


def markdown(runs: Sequence[Rates]) -> str:
    """The page's section."""
    lines = [
        "## Connections under policies",
        "",
        "Two nodes, links of 1 Gbit/s; new connections per second, medians. Ratio: against pods that no policy",
        "selects, repetition by repetition.",
        "",
        "| policies that select both | at a time | connections /s | of free pods /s | ratio |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        ratio = statistics.median(one / other for one, other in zip(run.rates, run.free, strict=True))
        lines.append(
            f"| {run.policies} | {run.parallel} | {statistics.median(run.rates):.0f} | "
            f"{statistics.median(run.free):.0f} | {ratio:.2f} |"
        )
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
        tell=lambda run: f"{run.policies} policies, {run.parallel} at a time: {statistics.median(run.rates):.0f}/s",
        page=markdown,
    )


if __name__ == "__main__":
    sys.exit(main())
