"""`python -m experiments.bench.policy_compile`: what compiling policies costs, without a cluster.

Many policies over many pods: everything from nothing, then single changes; processor time of compiling all nodes'
flows, and of finding what differs; medians.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

from controller.compile import Compiler, Programs
from controller.openflow.encode import add_flow
from controller.program import differences
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policies import Direction, Operator, PodPeer, Policy, PortRange, Requirement, Rule, Selector, Tier
from kubinet.state import ClusterState, NetworkConfig, Node, Pod
from kubinet.transport import Protocol

GROUPS: Final = 100
"""Pods share as many labels as subjects, and three fewer as peers."""
FRIENDS: Final = GROUPS - 3
_NAMESPACE: Final = "bench"


@dataclass(frozen=True, slots=True)
class Measured:
    """Processor seconds, and how many flows were added, replaced or deleted on all nodes together."""

    what: str
    compile_s: float
    compare_s: float
    changes: int


def _selector(key: str, value: int) -> Selector:
    return Selector((Requirement(key, Operator.IN, frozenset({str(value)})),))


def _node(index: int) -> Node:
    return Node(
        name=f"n{index}",
        index=index,
        underlay=IPv4Interface(f"172.18.{index}.2/24"),
        underlay_mac=f"02:00:00:00:00:{index:02x}",
        pod_cidr=IPv4Network(f"10.244.{index}.0/24"),
    )


def _pod(number: int, nodes: int) -> Pod:
    node = 1 + number % nodes
    address = IPv4Address(f"10.244.{node}.{2 + number // nodes}")
    labels = {"group": str(number % GROUPS), "friend": str(number % FRIENDS)}
    return Pod(_NAMESPACE, f"p{number}", f"n{node}", address, labels)


def _policy(number: int) -> Policy:
    """Ingress for one group of pods from one group of friends, on a port of its own and on a range."""
    ports = (PortRange(Protocol.TCP, 1000 + number, 1000 + number), PortRange(Protocol.TCP, 80, 90))
    rule = Rule((PodPeer(None, _selector("friend", number % FRIENDS)),), ports)
    subject = PodPeer(None, _selector("group", number % GROUPS))
    ingress = frozenset({Direction.INGRESS})
    return Policy("NetworkPolicy", f"p{number}", _NAMESPACE, Tier.NAMESPACE, subject, ingress, (rule,))


def _with_pod(state: ClusterState, pod: Pod) -> ClusterState:
    return replace(state, pods={**state.pods, pod.key: pod})


def _compiled(compiler: Compiler, state: ClusterState) -> Mapping[str, Programs]:
    made: dict[str, Programs] = {}
    for name, programs in compiler.compile(state).items():
        if isinstance(programs, Exception):
            raise programs
        made[name] = programs
    return made


def _change(compiler: Compiler, what: str, before: ClusterState, after: ClusterState) -> Measured:
    old = dict(_compiled(compiler, before))
    began = time.process_time()
    new = dict(_compiled(compiler, after))
    compiled = time.process_time()
    changes = [differences(old[name][INTEGRATION_BRIDGE], new[name][INTEGRATION_BRIDGE]) for name in new]
    ended = time.process_time()
    count = sum(len(one.add) + len(one.delete) for one in changes)
    return Measured(what, compiled - began, ended - compiled, count)


def measure(policies: int, pods: int, nodes: int) -> Iterator[Measured]:
    """One repetition: a compiler of its own."""
    known = {f"n{index}": _node(index) for index in range(1, nodes + 1)}
    members = {pod.key: pod for pod in (_pod(number, nodes) for number in range(pods))}
    namespaces = {_NAMESPACE: {"kubernetes.io/metadata.name": _NAMESPACE}}
    empty = ClusterState(NetworkConfig(), known, members, namespaces=namespaces)
    full = replace(empty, policies={policy.key: policy for policy in map(_policy, range(policies))})
    compiler = Compiler()
    yield _change(compiler, f"{policies} policies from nothing", empty, full)
    moved = replace(members[f"{_NAMESPACE}/p5"], labels={"group": "5", "friend": "9"})
    yield _change(compiler, "a pod's label, which peers are selected by", full, _with_pod(full, moved))
    more = _policy(policies)
    yield _change(compiler, "one more policy", full, replace(full, policies={**full.policies, more.key: more}))
    yield _change(compiler, "one more pod", full, _with_pod(full, _pod(pods, nodes)))


def _encoding(policies: int, pods: int) -> float:
    """Processor seconds to write one node's flows as OpenFlow messages."""
    [programs] = _compiled(Compiler(), _state_of_one_node(policies, pods)).values()
    flows = list(programs[INTEGRATION_BRIDGE].flows())
    began = time.process_time()
    for number, flow in enumerate(flows):
        add_flow(flow, 1, number)
    return (time.process_time() - began) / len(flows)


def _state_of_one_node(policies: int, pods: int) -> ClusterState:
    members = [_pod(number, 1) for number in range(min(pods, 200))]
    return ClusterState(
        NetworkConfig(),
        {"n1": _node(1)},
        {pod.key: pod for pod in members},
        policies={policy.key: policy for policy in map(_policy, range(policies))},
    )


def _median(runs: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    return 1000 * statistics.median(map(of, runs))


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.policy_compile", description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--reps", type=int, default=5)
    options = parser.parse_args()
    runs = [list(measure(options.policies, options.pods, options.nodes)) for _ in range(options.reps)]
    print(f"## Compiling policies: {options.pods} pods, {options.nodes} nodes, processor time\n")
    print("| change | compile ms | compare ms | flows added or deleted |\n| --- | ---: | ---: | ---: |")
    for same in zip(*runs, strict=True):
        compiled, compared = _median(same, lambda one: one.compile_s), _median(same, lambda one: one.compare_s)
        print(f"| {same[0].what} | {compiled:.0f} | {compared:.0f} | {same[0].changes} |")
    microseconds = 1e6 * statistics.median(_encoding(options.policies, options.pods) for _ in range(options.reps))
    print(f"\nEncoding: {microseconds:.1f} µs a flow.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
