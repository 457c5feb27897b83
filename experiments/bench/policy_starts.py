"""`python -m experiments.bench.policy_starts`: does a pod hear anything before its policy is in force?

Under a default-deny policy pods start one after the other on every node, each while another node's stack sends 1,000
datagrams per second to the address that it will get. The pod's own kernel counts what arrives, from the making of its
network namespace on. The same with fewer pods and without the policy shows that the measurement can find something.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from experiments.bench.objects import NAMESPACE, namespace
from experiments.folder import new_folder, write_json
from experiments.machine import machine_facts, versions
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

RATE: Final = 1000
SPRAY: Final = Path(__file__).with_name("datagram_spray.py")
NODES: Final = 4
_COUNT: Final = "cat /proc/net/snmp; sleep 0.2; echo; cat /proc/net/snmp; echo counted; sleep 1000"
_DENY: Final[dict[str, Any]] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": NAMESPACE},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


@dataclass(frozen=True, slots=True)
class Start:
    """One pod."""

    node: str
    address: str
    predicted: bool
    """Whether it got the address that datagrams were sent to."""
    heard: int
    """Datagrams that arrived in its network namespace."""


def datagrams(text: str) -> int:
    """The UDP datagrams that the last /proc/net/snmp in a text has counted: for a socket, for none, or in error."""
    rows = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    if len(rows) < 2:
        raise KubinetError("benchmark: the pod printed no /proc/net/snmp")
    names, numbers = rows[-2][1:], rows[-1][1:]
    counted = dict(zip(names, map(int, numbers), strict=True))
    return counted["InDatagrams"] + counted["NoPorts"] + counted["InErrors"]


def _pod(name: str, node: str) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", _COUNT]}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@contextmanager
def _sprays(cluster: Cluster) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """For each node one on the next node."""
    nodes = [node.name for node in cluster.facts.nodes]
    with ExitStack() as stack:
        found = []
        for index in range(len(nodes)):
            sender = cluster.node(nodes[(index + 1) % len(nodes)])
            process = sender.popen([sys.executable, "-I", str(SPRAY), str(RATE)], stdin=subprocess.PIPE)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            found.append(process)
        yield found


def _starts(cluster: Cluster, node: str, spray: "subprocess.Popen[bytes]", names: Sequence[str]) -> Iterator[Start]:
    """Pods on one node, one after the other; the first only tells which address comes next."""
    client = cluster.client
    expected: IPv4Address | None = None
    for name in names:
        if expected is not None:
            assert spray.stdin is not None
            spray.stdin.write(f"{expected}\n".encode())
            spray.stdin.flush()
        client.create(_pod(name, node))
        cluster.wait("Pod", name, "Ready", namespace=NAMESPACE)
        handle = cluster.pod(name, NAMESPACE)
        handle.wait_log("counted")
        address = handle.address
        if expected is not None:
            yield Start(node, str(address), address == expected, datagrams(handle.logs()))
        client.delete("Pod", name, NAMESPACE)
        last = next(one.pod_cidr for one in cluster.facts.nodes if one.name == node).broadcast_address - 1
        expected = address + 1 if address < last else None


def run(cluster: Cluster, each: int, prefix: str) -> list[Start]:
    """`each` pods on every node."""
    nodes = [node.name for node in cluster.facts.nodes]
    with _sprays(cluster) as sprays, ThreadPoolExecutor(len(nodes)) as pool:

        def on(index: int) -> list[Start]:
            names = [f"{prefix}-{nodes[index]}-{number}" for number in range(each + 1)]
            # A client is for one thread.
            return list(_starts(Cluster.connect(cluster.name), nodes[index], sprays[index], names))

        return [start for found in pool.map(on, range(len(nodes))) for start in found]


def _tell(what: str, starts: Sequence[Start]) -> str:
    aimed = [start for start in starts if start.predicted]
    heard = [start.heard for start in aimed if start.heard]
    return f"{what}: {len(aimed)} starts under {RATE} datagrams/s, {len(heard)} pods heard {sum(heard)} datagrams"


def main() -> int:
    """Measure and print; returns the exit status: 1 when something leaked, or the control heard nothing."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.policy_starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--output-dir", type=Path, default=Path("results"))
    options = parser.parse_args()
    folder = new_folder(options.output_dir, "bench-policy-starts")
    try:
        with Cluster("star", nodes=NODES, settings={"network.dnsReplicas": "0"}) as cluster:
            cluster.client.create(namespace())
            control = run(cluster, 3, "control")
            print(_tell("without a policy", control), flush=True)
            cluster.client.create(_DENY)
            cluster.wait_realised()
            starts = run(cluster, -(-options.starts // NODES), "pod")
            print(_tell("default deny", starts))
    except KubinetError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    facts = {"machine": machine_facts(), "versions": versions(), "rate": RATE}
    write_json(folder / "starts.json", {**facts, "control": [*map(asdict, control)], "starts": [*map(asdict, starts)]})
    aimed = [start for start in starts if start.predicted]
    proved = aimed and any(start.heard for start in control if start.predicted)
    return 0 if proved and not any(start.heard for start in aimed) else 1


if __name__ == "__main__":
    sys.exit(main())
