"""`python -m experiments.bench.services`: how long Services take to be in force on all nodes, and what they cost.

For each number of Services present: all of them from nothing until every node has acknowledged their flows, and single
changes of one Service's endpoint until a new connection from every node reaches the new endpoint.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.bench.keeping import keep
from experiments.bench.memory import memory_of, process_tree
from experiments.bench.objects import NAMESPACE, agnhost_pod, endpoint_slice, namespace, service
from experiments.stats import percentile
from kubinet.client import Client, Object
from kubinet.cluster import Cluster
from kubinet.errors import DeadlineError
from kubinet.informer import Informer

TIMEOUT_S: Final = 120.0
COUNTS: Final = (10, 100, 1000)
CHANGES: Final = 20
WORKERS: Final = 4
"""Requests at a time while all is created; upstream's controller of EndpointSlices has five."""
PROBER: Final = Path(__file__).with_name("vip_prober.py")
UDP_PORT: Final = 8081
_SERVED: Final = "watched"


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of Services; times in seconds."""

    services: int
    realised_s: float
    """From the first request to create one until every node had acknowledged the flows of all."""
    created_s: float
    """From the first request until the API had stored the last EndpointSlice."""
    changes_s: tuple[float, ...]
    """From the request that moves a Service to another endpoint until the last node's new connections reach it."""
    flows_per_node: int
    groups_per_node: int
    controller_mib: float
    deleted_s: float


class _Watch:
    """A prober in a node and what it saw last."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="vip-prober", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, nanoseconds = line.decode().split()
            with self._changed:
                self._seen[name] = int(nanoseconds) / 1e9
                self._changed.notify_all()

    def tell(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n".encode())
        self._process.stdin.flush()

    def wait(self, name: str, since: float) -> float:
        """When the endpoint answered after `since` (time.monotonic)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._seen.get(name, 0.0) > since, TIMEOUT_S):
                raise DeadlineError(f"benchmark: endpoint {name} did not answer in {TIMEOUT_S:g} s")
            return self._seen[name]


@contextmanager
def _watches(cluster: Cluster) -> Iterator[list[_Watch]]:
    with ExitStack() as stack:
        found = []
        for node in cluster.facts.nodes:
            argv = [sys.executable, "-I", str(PROBER)]
            process = cluster.node(node.name).popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            found.append(_Watch(process))
        yield found


class _Dataplane:
    """What the nodes have acknowledged."""

    def __init__(self, client: Client) -> None:
        self._informer = Informer(client, "Dataplane")

    def __enter__(self) -> "_Dataplane":
        self._informer.start()
        self._informer.wait_synced(TIMEOUT_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._informer.stop()

    def wait(self, nodes: int, generation: int) -> Mapping[str, Any]:
        """Wait until all nodes realise EndpointSlices up to the generation; returns their entries."""
        found: dict[str, Any] = {}

        def all_have(objects: Mapping[str, Any]) -> bool:
            entries = objects.get("cluster", {}).get("status", {}).get("nodes", {})
            found.update(entries)
            return len(entries) == nodes and all(
                entry.get("endpointGeneration", 0) >= generation for entry in entries.values()
            )

        if not self._informer.wait_for(all_have, TIMEOUT_S):
            raise DeadlineError(f"benchmark: not all nodes realise version {generation} in {TIMEOUT_S:g} s")
        return found


def measure(nodes: int, counts: Sequence[int], changes: int) -> Iterator[Measured]:
    """One cluster for all counts; the numbers of Services as they are measured."""
    with Cluster("star", nodes=nodes, settings={"network.dnsReplicas": "0"}) as cluster:
        client = cluster.client
        client.create(namespace())
        names = [node.name for node in cluster.facts.nodes]
        for index in range(3):
            client.create(agnhost_pod(f"e{index}", names[index % nodes], ["netexec", f"--udp-port={UDP_PORT}"]))
        for index in range(3):
            cluster.wait("Pod", f"e{index}", "Ready", namespace=NAMESPACE)
        places = [(str(cluster.pod(f"e{i}", NAMESPACE).address), names[i % nodes]) for i in range(3)]
        with _Dataplane(cluster.info.client()) as dataplane, _watches(cluster) as watches:
            for count in counts:
                yield _measure(cluster, dataplane, watches, places, count, changes)


def _create(client: Client, objects: Sequence[Object]) -> int:
    """Create the objects, some requests at a time, as upstream's controllers do; returns the newest resourceVersion."""

    def some(start: int) -> int:
        own = client.clone()
        versions = [int(own.create(obj)["metadata"]["resourceVersion"]) for obj in objects[start::WORKERS]]
        own.close()
        return max(versions, default=0)

    with ThreadPoolExecutor(WORKERS) as pool:
        return max(pool.map(some, range(WORKERS)))


def _measure(
    cluster: Cluster,
    dataplane: _Dataplane,
    watches: Sequence[_Watch],
    places: Sequence[tuple[str, str]],
    count: int,
    changes: int,
) -> Measured:
    client, nodes = cluster.client, len(cluster.facts.nodes)
    began = time.monotonic()
    _create(client, [service(f"s{index}", "UDP", UDP_PORT) for index in range(count)])
    slices = [endpoint_slice(f"s{index}", "UDP", UDP_PORT, places) for index in range(count)]
    newest = _create(client, slices)
    created = time.monotonic()
    entries = dataplane.wait(nodes, newest)
    realised = time.monotonic()
    took = list(_changes(cluster, watches, places, changes))
    controller = next(one for one in process_tree(cluster.info.pid) if one.name == "kubinet-control")
    deleting = time.monotonic()
    for index in range(count):
        client.delete("Service", f"s{index}", NAMESPACE)
    for index in range(count):
        client.delete("EndpointSlice", f"s{index}", NAMESPACE)
    last = client.create(endpoint_slice("mark", "UDP", UDP_PORT, []))
    dataplane.wait(nodes, int(last["metadata"]["resourceVersion"]))
    ended = time.monotonic()
    client.delete("EndpointSlice", "mark", NAMESPACE)
    return Measured(
        services=count,
        realised_s=realised - began,
        created_s=created - began,
        changes_s=tuple(took),
        flows_per_node=int(statistics.median(entry["flows"] for entry in entries.values())),
        groups_per_node=int(statistics.median(entry["groups"] for entry in entries.values())),
        controller_mib=memory_of([controller]).pss_mib,
        deleted_s=ended - deleting,
    )


def _changes(
    cluster: Cluster, watches: Sequence[_Watch], places: Sequence[tuple[str, str]], changes: int
) -> Iterator[float]:
    """Move one Service between two endpoints, again and again."""
    client = cluster.client
    made = client.create(service(_SERVED, "UDP", UDP_PORT))
    client.create(endpoint_slice(_SERVED, "UDP", UDP_PORT, places[:1]))
    address = made["spec"]["clusterIP"]
    start = time.monotonic()
    for watch in watches:
        watch.tell(f"watch {address} 80")
    for watch in watches:
        watch.wait("e0", start)
    for turn in range(1, changes + 1):
        index = turn % 2
        asked = time.monotonic()
        client.patch(
            "EndpointSlice",
            _SERVED,
            {"endpoints": endpoint_slice(_SERVED, "UDP", UDP_PORT, [places[index]])["endpoints"]},
            NAMESPACE,
        )
        yield max(watch.wait(f"e{index}", asked) for watch in watches) - asked
    for watch in watches:
        watch.tell("stop")
    client.delete("Service", _SERVED, NAMESPACE)
    client.delete("EndpointSlice", _SERVED, NAMESPACE)


def markdown(runs: Sequence[Measured], nodes: int) -> str:
    """The page's section."""
    lines = [
        f"## Services: {nodes} nodes, 3 endpoints each",
        "",
        "From nothing: from the first request until every node has acknowledged the flows; meanwhile the API stores",
        f"one Service or EndpointSlice a request, {WORKERS} at a time. One change: from the request that moves",
        "a Service elsewhere until a new connection (UDP, 4 ms apart) from every node reaches it.",
        "",
        "| Services | from nothing s (API alone) | one change p50 ms | p95 ms | deleted s "
        "| flows | groups | controller MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        changes = [1000 * one for one in run.changes_s]
        lines.append(
            f"| {run.services} | {run.realised_s:.2f} ({run.created_s:.2f}) | {statistics.median(changes):.0f} | "
            f"{percentile(changes, 95):.0f} | {run.deleted_s:.2f} | "
            f"{run.flows_per_node} | {run.groups_per_node} | {run.controller_mib:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.services", description=__doc__)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--services", type=int, action="append", help=f"repeatable; default {COUNTS}")
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--output-dir", type=Path, default=Path("results"))
    options = parser.parse_args()
    return keep(
        "services",
        options.output_dir,
        measure(options.nodes, options.services or COUNTS, options.changes),
        tell=lambda run: f"{run.services} Services: from nothing {run.realised_s:.2f} s",
        page=lambda runs: markdown(runs, options.nodes),
        facts={"nodes": options.nodes},
    )


if __name__ == "__main__":
    sys.exit(main())
