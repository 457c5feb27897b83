"""`python -m experiments.bench.service_data`: connections through a ClusterIP against direct ones, by Services present.

Client pods on one node and three server pods on another one. For each number of Services (of three
endpoints each) the direct and the Service's connection rate are measured in turn, with one connection at a time and
with 32, so that a drift of the machine's speed meets both. Which of the two is first alternates: what a measurement
leaves behind, connections that end and are remembered for a while, meets both as well. Every repetition has a client
pod of its own: a client that uses its ports again while their last connections are remembered is another measurement
(docs/performance.md, "A port used again").
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from experiments.bench.keeping import keep
from experiments.bench.objects import NAMESPACE, agnhost_pod, endpoint_slice, namespace, service
from experiments.runstats import estimate, statistic
from experiments.stats import Estimate
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

COUNTS: Final = (10, 100, 1000, 10000)
PROXIES: Final = ("sdn", "nftables")
PARALLEL: Final = (1, 32)
PORT: Final = 9100
_SETTLE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Connections per second of one proxy at one number of Services; one entry per repetition."""

    proxy: str
    services: int
    parallel: int
    direct: tuple[float, ...]
    service: tuple[float, ...]

    @property
    def ratio(self) -> Estimate:
        """Median of the ratios, repetition by repetition."""
        ratios = [np.array([one / other]) for one, other in zip(self.service, self.direct, strict=True)]
        return estimate(ratios, statistic("p50"), seed=1)


def measure(proxy: str, counts: Sequence[int], repetitions: int, seconds: float) -> Iterator[Rates]:
    """One cluster; the rates as they are measured."""
    settings = {"network.dnsReplicas": "0", "network.services": proxy, "links.rate": "1gbit"}
    with Cluster("star", nodes=2, settings=settings) as cluster:
        client = cluster.client
        client.create(namespace())
        clients = [f"client{index}" for index in range(repetitions + 1)]
        for name in clients:
            client.create(agnhost_pod(name, "n1", ["pause"]))
        # The one that is called directly is behind no Service: a client's port that it has just used towards an
        # endpoint cannot be used towards the same endpoint through a Service while the first connection is remembered.
        servers = ["direct", *(f"server{index}" for index in range(3))]
        for name in servers:
            client.create(agnhost_pod(name, "n2", ["load-server", f"--port={PORT}"]))
        for name in (*clients, *servers):
            cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
        straight, *addresses = [str(cluster.pod(name, NAMESPACE).address) for name in servers]
        present = 0
        for count in counts:
            for index in range(present, count):
                made = client.create(service(f"s{index}", "TCP", PORT))
                client.create(endpoint_slice(f"s{index}", "TCP", PORT, [(address, "n2") for address in addresses]))
                if index == 0:
                    virtual = str(made["spec"]["clusterIP"])
            present = count
            cluster.wait_realised(_SETTLE_S)
            for parallel in PARALLEL:
                direct: list[float] = []
                through: list[float] = []
                both = [(f"{straight}:{PORT}", direct), (f"{virtual}:80", through)]
                for target, _ in both:
                    rate(cluster, target, parallel, seconds, client=clients[repetitions])  # fills caches of flows
                for repetition, name in enumerate(clients[:repetitions]):
                    for target, found in reversed(both) if repetition % 2 else both:
                        found.append(rate(cluster, target, parallel, seconds, client=name))
                yield Rates(proxy, count, parallel, tuple(direct), tuple(through))


def rate(cluster: Cluster, target: str, parallel: int, seconds: float, *, client: str) -> float:
    """New connections per second from the client pod to `ADDRESS:PORT`; KubinetError when one failed."""
    argv = ["/agnhost", "load-client", "rate", target, f"--parallel={parallel}", f"--seconds={seconds:g}s"]
    found = json.loads(cluster.pod(client, NAMESPACE).exec(argv, timeout=seconds + 60).text)
    if found["failed"]:
        raise KubinetError(f"benchmark: {found['failed']} connections to {target} failed: {found['failures']}")
    return float(found["answered"] / found["seconds"])


def markdown(runs: Sequence[Rates]) -> str:
    """The page's section."""
    lines = [
        "## Connections through a ClusterIP",
        "",
        "Client and servers on two nodes, links of 1 Gbit/s; connections per second, medians over the repetitions.",
        "The ratio is the median of Service against direct, repetition by repetition, with its 95 % interval.",
        "",
        "| Services by | Services present | at a time | direct /s | ClusterIP /s | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {run.proxy} | {run.services} | {run.parallel} | {statistics.median(run.direct):.0f} | "
        f"{statistics.median(run.service):.0f} | {_said(run.ratio)} |"
        for run in runs
    ]
    return "\n".join(lines) + "\n"


def _said(ratio: Estimate) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.service_data", description=__doc__)
    parser.add_argument("--services", type=int, action="append", help=f"repeatable; default {COUNTS}")
    parser.add_argument("--proxy", choices=PROXIES, action="append", help="repeatable; default both")
    parser.add_argument("--reps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--output-dir", type=Path, default=Path("results"))
    options = parser.parse_args()
    counts, proxies = options.services or COUNTS, options.proxy or PROXIES
    return keep(
        "service-data",
        options.output_dir,
        (run for proxy in proxies for run in measure(proxy, counts, options.reps, options.seconds)),
        tell=lambda run: f"{run.proxy}, {run.services} Services, {run.parallel}: {_said(run.ratio)}",
        page=markdown,
    )


if __name__ == "__main__":
    sys.exit(main())
