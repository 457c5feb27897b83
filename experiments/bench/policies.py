"""`python -m experiments.bench.policies`: how long network policies take to be in force on all nodes.

For each number of policies present: a policy that isolates a server pod on every node is created and deleted again and
again. Measured is from the request until the last node drops (create) or lets through (delete) what a probe sends:
new connections (UDP, another source port each time), and with `--kept` packets of an established one.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.bench.keeping import keep
from experiments.bench.memory import memory_of, process_tree
from experiments.bench.objects import NAMESPACE, agnhost_pod, namespace
from experiments.stats import percentile
from kubinet.cluster import Cluster
from kubinet.errors import DeadlineError

COUNTS: Final = (10, 100, 1000)
CHANGES: Final = 15
TIMEOUT_S: Final = 120.0
PROBER: Final = Path(__file__).with_name("policy_prober.py")
PORT: Final = 8081
_ON_ITS_WAY_S: Final = 0.1
GROUPS: Final = 20
"""Pods that the policies present select and name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of policies; times in seconds."""

    policies: int
    kind: str
    """Of what probes send: `new` connections or packets of one that is `kept`."""
    realised_s: float
    """From the first request to create the policies until every node had acknowledged their flows."""
    denied_s: tuple[float, ...]
    """From the request that creates the policy until the last node dropped the first packet."""
    allowed_s: tuple[float, ...]
    """From the request that deletes it until the last node let the first one through."""
    flows_per_node: int
    controller_mib: float


class _Watch:
    """A prober and what it saw last."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        assert process.stdin is not None and process.stdout is not None
        self._stdout = process.stdout
        threading.Thread(target=self._read, name="policy-prober", daemon=True).start()
        process.stdin.write(f"watch {address} {PORT}\n".encode())
        process.stdin.flush()

    def _read(self) -> None:
        for line in self._stdout:
            word, nanoseconds = line.decode().split()
            with self._changed:
                self._seen[word] = int(nanoseconds) / 1e9
                self._changed.notify_all()

    def wait(self, word: str, since: float) -> float:
        """When the server fell silent (DOWN) or answered again (UP), not before `since` (time.monotonic).

        The first question that was lost may have been on its way already.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._seen.get(word, -1.0) > since - _ON_ITS_WAY_S, TIMEOUT_S):
                raise DeadlineError(f"benchmark: a probe did not see {word} in {TIMEOUT_S:g} s")
            return max(self._seen[word], since)


@contextmanager
def _watches(cluster: Cluster, kind: str) -> Iterator[list[_Watch]]:
    """On each node one that asks the next node's server."""
    nodes = cluster.facts.nodes
    with ExitStack() as stack:
        found = []
        for index, node in enumerate(nodes):
            argv = [sys.executable, "-I", str(PROBER), kind]
            process = cluster.node(node.name).popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            server = cluster.pod(f"server{(index + 1) % len(nodes)}", NAMESPACE)
            found.append(_Watch(process, str(server.address)))
        yield found


def _policy(name: str, labels: dict[str, str], ingress: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": ingress}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _present(index: int) -> dict[str, Any]:
    """One of the policies that are only there: its own port, from one group of pods to another."""
    peer = {"podSelector": {"matchLabels": {"group": str((index * 7 + 1) % GROUPS)}}}
    rule = {"from": [peer], "ports": [{"port": 1000 + index}]}
    return _policy(f"p{index}", {"group": str(index % GROUPS)}, [rule])


def measure(nodes: int, counts: Sequence[int], changes: int, kinds: Sequence[str]) -> Iterator[Measured]:
    """One cluster for all; the numbers of policies as they are measured."""
    with Cluster("star", nodes=nodes, settings={"network.dnsReplicas": "0"}) as cluster:
        client = cluster.client
        client.create(namespace())
        names = [node.name for node in cluster.facts.nodes]
        pods = [agnhost_pod(f"server{i}", name, ["netexec", f"--udp-port={PORT}"]) for i, name in enumerate(names)]
        for pod in pods:
            pod["metadata"]["labels"] = {"role": "server"}
        for index in range(GROUPS):
            pod = agnhost_pod(f"g{index}", names[index % nodes], ["pause"])
            pod["metadata"]["labels"] = {"group": str(index)}
            pods.append(pod)
        for pod in pods:
            client.create(pod)
        for pod in pods:
            cluster.wait("Pod", pod["metadata"]["name"], "Ready", namespace=NAMESPACE)
        present = 0
        for count in counts:
            began = time.monotonic()
            for index in range(present, count):
                client.create(_present(index))
            present = count
            cluster.wait_realised(TIMEOUT_S)
            realised = time.monotonic() - began
            for kind in kinds:
                yield _measure(cluster, count, kind, realised, changes)


def _measure(cluster: Cluster, count: int, kind: str, realised: float, changes: int) -> Measured:
    client = cluster.client
    isolating = _policy("isolate", {"role": "server"}, [])
    denied, allowed = [], []
    with _watches(cluster, kind) as watches:
        for watch in watches:
            watch.wait("UP", 0.0)
        for _ in range(changes):
            asked = time.monotonic()
            client.create(isolating)
            denied.append(max(watch.wait("DOWN", asked) for watch in watches) - asked)
            asked = time.monotonic()
            client.delete("NetworkPolicy", "isolate", NAMESPACE)
            allowed.append(max(watch.wait("UP", asked) for watch in watches) - asked)
        entries = client.get("Dataplane", "cluster")["status"]["nodes"].values()
        controller = next(one for one in process_tree(cluster.info.pid) if one.name == "kubinet-control")
        return Measured(
            policies=count,
            kind=kind,
            realised_s=realised,
            denied_s=tuple(denied),
            allowed_s=tuple(allowed),
            flows_per_node=int(statistics.median(entry["flows"] for entry in entries)),
            controller_mib=memory_of([controller]).pss_mib,
        )


def markdown(runs: Sequence[Measured], nodes: int) -> str:
    """The page's section."""
    lines = [
        f"## Network policies: {nodes} nodes",
        "",
        "From the request that creates a policy until the last node drops the first packet, and from the one that",
        "deletes it until the last node lets one through (a packet each 5 ms).",
        "",
        "| policies | packets of | denied p50 ms | p95 ms | allowed p50 ms | p95 ms | flows a node | controller MiB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        denied, allowed = ([1000 * one for one in times] for times in (run.denied_s, run.allowed_s))
        lines.append(
            f"| {run.policies} | {run.kind} | {statistics.median(denied):.0f} | {percentile(denied, 95):.0f} | "
            f"{statistics.median(allowed):.0f} | {percentile(allowed, 95):.0f} | "
            f"{run.flows_per_node} | {run.controller_mib:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.policies", description=__doc__)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--policies", type=int, action="append", help=f"repeatable, rising; default {COUNTS}")
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--kept", action="store_true", help="packets of an established connection, too")
    parser.add_argument("--output-dir", type=Path, default=Path("results"))
    options = parser.parse_args()
    kinds = ("new", "kept") if options.kept else ("new",)
    return keep(
        "policies",
        options.output_dir,
        measure(options.nodes, options.policies or COUNTS, options.changes, kinds),
        tell=lambda run: f"{run.policies} policies, {run.kind}: denied {1000 * statistics.median(run.denied_s):.0f} ms",
        page=lambda runs: markdown(runs, options.nodes),
        facts={"nodes": options.nodes},
    )


if __name__ == "__main__":
    sys.exit(main())
