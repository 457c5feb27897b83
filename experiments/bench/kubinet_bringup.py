"""Kubinet: from nothing until every pod has answered another node; then memory, flows and single pods."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from experiments.bench.memory import Memory, Program, kernel_mib, memory_of, process_tree
from experiments.bench.reachability import Prober
from kubinet.client import Client, Object
from kubinet.cluster import Cluster
from kubinet.errors import DeadlineError, KubinetError
from kubinet.informer import Informer

NAMESPACE: Final = "bench"
OVS_PROGRAMS: Final = ("ovs-vswitchd", "ovsdb-server")
TIMEOUT_S: Final = 300.0
START_UP_MODULES: Final = (
    *("topologies.supervisor", "topologies.underlay", "controller.api.server", "controller.app"),
    *("agents.runtime.daemon", "agents.node_agent", "kubinet.cluster"),
)
"""What the cluster's processes import before they do anything."""


@dataclass(frozen=True, slots=True)
class BringUp:
    """One bring-up; times in seconds since the call of `Cluster`, sizes in MiB."""

    nodes: int
    pods: int
    phases_s: Mapping[str, float]
    """The cluster's own account of its phases."""
    cluster_ready_s: float
    """Until `Cluster` returned: switches connected, every node pair answered."""
    pods_answer_s: float
    """Until the last pod had answered a probe from another node."""
    pod_start_s: tuple[float, ...]
    """Per pod: from its creation to its first answer, in the batch."""
    single_pod_s: tuple[float, ...]
    """Per single pod, created alone on the full cluster: from the request to its first answer from another node."""
    flows_per_node: int
    """Median over the nodes."""
    ovs_per_node: Memory
    """ovsdb-server and ovs-vswitchd of one node."""
    sandbox: Memory
    """Every process of the cluster except the pods' containers."""
    per_pod: Memory
    """What the processes grew by from no pod to all pods, per pod, without the containers' own processes."""
    kernel_per_pod_mib: float
    """What the machine's slab and kernel stacks grew by, per pod; includes what other programs did meanwhile."""


class _Pods:
    """The pods' addresses as the API shows them."""

    def __init__(self, client: Client) -> None:
        self._informer = Informer(client, "Pod")

    def __enter__(self) -> Self:
        self._informer.start()
        self._informer.wait_synced(TIMEOUT_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._informer.stop()

    def addresses(self, names: Set[str]) -> dict[str, str]:
        """The addresses of those pods that have one, at least one; DeadlineError otherwise."""
        found: dict[str, str] = {}

        def some_have(objects: Mapping[str, Object]) -> bool:
            for name in names:
                address = objects.get(f"{NAMESPACE}/{name}", {}).get("status", {}).get("podIP")
                if address:
                    found[name] = address
            return bool(found)

        if not self._informer.wait_for(some_have, TIMEOUT_S):
            raise DeadlineError(f"benchmark: none of {len(names)} pods got an address in {TIMEOUT_S:g} s")
        return found

    def wait_gone(self, name: str) -> None:
        """Return when the pod is deleted."""
        if not self._informer.wait_for(lambda objects: f"{NAMESPACE}/{name}" not in objects, TIMEOUT_S):
            raise DeadlineError(f"benchmark: pod '{name}' was not deleted in {TIMEOUT_S:g} s")


def python_start_s(repetitions: int = 3) -> float:
    """The time that Python needs to start and to import what the cluster's first process imports, median seconds."""
    program = f"import {', '.join(START_UP_MODULES)}"
    times = []
    for _ in range(repetitions):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        times.append(time.monotonic() - began)
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()[-1:]
            raise KubinetError(f"benchmark: the cluster's modules cannot be imported: {''.join(words)}")
    return statistics.median(times)


def bring_up(
    nodes: int,
    pods_per_node: int,
    *,
    single_pods: int,
    topology: str = "star",
    dns: bool = True,
) -> BringUp:
    """Start a cluster, its pods, single pods; measure; take it down. `dns`: with the servers that a cluster has."""
    began = time.monotonic()
    settings = {} if dns else {"network.dnsReplicas": 0}
    with Cluster(topology, nodes=nodes, settings=settings) as cluster:
        cluster_ready_s = time.monotonic() - began
        names = [node.name for node in cluster.facts.nodes]
        empty, kernel_before = _services(cluster), kernel_mib()
        cluster.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        with _Pods(cluster.info.client()) as pods, _probers(cluster, names) as probers:
            count = nodes * pods_per_node
            created_at: dict[str, float] = {}
            places = {f"pod-{index}": names[index % nodes] for index in range(count)}
            for name, node in places.items():
                created_at[name] = time.monotonic()
                cluster.client.create(_pod(name, node))
            answered_at = _answers(pods, probers, places)
            pods_answer_s = max(answered_at.values(), default=began + cluster_ready_s) - began
            full, kernel_after = _services(cluster), kernel_mib()
            single = [
                _single_pod(cluster.client, pods, probers, f"single-{index}", names[index % nodes])
                for index in range(single_pods)
            ]
        ovs = memory_of(program for program in full.programs if program.name in OVS_PROGRAMS)
        return BringUp(
            nodes=nodes,
            pods=count,
            phases_s=dict(cluster.timings),
            cluster_ready_s=cluster_ready_s,
            pods_answer_s=pods_answer_s,
            pod_start_s=tuple(answered_at[name] - created_at[name] for name in places),
            single_pod_s=tuple(single),
            flows_per_node=_flows(cluster.client),
            ovs_per_node=ovs / nodes,
            sandbox=full.memory,
            per_pod=(full.memory - empty.memory) / max(count, 1),
            kernel_per_pod_mib=(kernel_after - kernel_before) / max(count, 1),
        )


@dataclass(frozen=True, slots=True)
class _Services:
    programs: Sequence[Program]
    memory: Memory


def _services(cluster: Cluster) -> _Services:
    """The cluster's own processes: containers have pid namespaces of their own and are left out."""
    tree = process_tree(cluster.info.pid)
    own = next(program.pid_namespace for program in tree if program.pid == cluster.info.pid)
    programs = tuple(program for program in tree if program.pid_namespace == own)
    return _Services(programs, memory_of(programs))


def _pod(name: str, node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.9"}],
        },
    }


@contextmanager
def _probers(cluster: Cluster, names: Sequence[str]) -> Iterator[Mapping[str, Prober]]:
    """Node of a pod to the prober that asks it: the first node asks all others, the second asks the first."""
    with ExitStack() as stack:
        first = stack.enter_context(Prober(cluster.node(names[0]).popen))
        second = stack.enter_context(Prober(cluster.node(names[1]).popen))
        yield {name: second if name == names[0] else first for name in names}


def _answers(pods: _Pods, probers: Mapping[str, Prober], places: Mapping[str, str]) -> dict[str, float]:
    """When each pod answered first; its address goes to the prober as soon as the API shows it."""
    asked: dict[str, str] = {}
    while len(asked) < len(places):
        addresses = pods.addresses(places.keys() - asked.keys())
        for name, address in addresses.items():
            probers[places[name]].ask([address])
        asked |= addresses
    found: dict[str, float] = {}
    for prober in {id(prober): prober for prober in probers.values()}.values():
        mine = {asked[name]: name for name in asked if probers[places[name]] is prober}
        found |= {mine[address]: at for address, at in prober.wait(list(mine), TIMEOUT_S).items()}
    return found


def _single_pod(client: Client, pods: _Pods, probers: Mapping[str, Prober], name: str, node: str) -> float:
    began = time.monotonic()
    client.create(_pod(name, node))
    answered = _answers(pods, probers, {name: node})[name]
    address = pods.addresses({name})[name]
    client.delete("Pod", name, NAMESPACE, grace_period=0)
    pods.wait_gone(name)
    probers[node].forget(address)
    return answered - began


def _flows(client: Client) -> int:
    """The median number of flows per node, as the controller realised them."""
    nodes = client.get("Dataplane", "cluster")["status"]["nodes"]
    return int(statistics.median(node["flows"] for node in nodes.values()))
