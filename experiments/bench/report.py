"""The benchmark's page: Markdown from measured numbers. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.bench.kubinet_bringup import BringUp
from experiments.records import NOTHING
from experiments.stats import percentile


@dataclass(frozen=True, slots=True)
class Scale:
    """A size of cluster."""

    nodes: int
    pods_per_node: int

    @property
    def pods(self) -> int:
        """Pods in all."""
        return self.nodes * self.pods_per_node

    def __str__(self) -> str:
        return f"{self.nodes} nodes x {self.pods_per_node} pods"


@dataclass(frozen=True, slots=True)
class Result:
    """All repetitions of one size."""

    scale: Scale
    kubinet: tuple[BringUp, ...]
    ovn: tuple[Mapping[str, Any], ...]
    """`experiments.bench.ovn_reference.OvnBringUp` as JSON; empty when the reference was not run."""
    ovn_failed: int = 0
    """Repetitions in which the reference did not come up."""
    without_dns: tuple[float, ...] = ()
    """Seconds until every pod had answered where the cluster has no DNS servers, which the reference has not either."""


def markdown(
    results: Sequence[Result],
    *,
    machine: Mapping[str, Any],
    versions: Mapping[str, Any],
    python_start_s: float | None,
    netlink: Mapping[str, float] | None,
) -> str:
    """The page: tables of medians with every repetition's range."""
    lines = [
        "# Performance",
        "",
        "Written by `make bench`; medians over the repetitions, smallest and largest in brackets.",
        "",
        f"Machine: {machine['cpu_model']}, {machine['cpus']} CPUs, {machine['memory_mib']} MiB, kernel "
        f"{machine['kernel']}; Open vSwitch: {versions['programs']['ovs-vswitchd']}; "
        f"commit {(versions['git'] or {}).get('commit', 'not known')}"
        f"{' (with changes)' if (versions['git'] or {}).get('dirty') else ''}.",
        "",
    ]
    if python_start_s is not None:
        lines += [
            f"Python's own start, with everything that the cluster's processes import: {python_start_s:.2f} s "
            "(once per cluster; part of every Kubinet time below).",
            "",
        ]
    if netlink is not None:
        lines += [
            f"Raw netlink on this machine: {netlink['namespaces_per_s']:,.0f} namespaces/s, "
            f"{netlink['veth_pairs_per_s']:,.0f} veth pairs/s.",
            "",
        ]
    lines += [
        "## Time until every pod answered from another node",
        "",
        "Kubinet: from the call until the cluster is observed ready, and until the last pod answered; a real API, "
        "scheduler, container runtime and agents included. OVN: databases, per-node Open vSwitch and bare namespaces. "
        "What both do: Kubinet's time in a cluster without DNS servers, and without Python's start.",
        "",
        "| size | cluster ready s | all pods answer s | the same without Python's start s | what both do s | OVN s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_times(result, python_start_s) for result in results),
        "",
        "## One pod more: from the request to its first answer from another node",
        "",
        "| size | pods measured | p50 ms | p95 ms |",
        "| --- | ---: | ---: | ---: |",
        *(_single(result) for result in results if any(run.single_pod_s for run in result.kubinet)),
        "",
        "## Memory and flows",
        "",
        "PSS, MiB. A node is its ovsdb-server and ovs-vswitchd (OVN: and ovn-controller). A pod is what all processes "
        "of the cluster grew by, without the containers' own; the kernel's share is slab and stacks.",
        "",
        "| size | node | node (RSS) | pod | pod, kernel | whole cluster | flows per node | OVN node | OVN central |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_memory(result) for result in results),
        "",
        "## Where the time goes",
        "",
        *(_phases(result) for result in results if result.kubinet),
        "",
    ]
    return "\n".join(lines)


def _times(result: Result, python_start_s: float | None) -> str:
    answers = [run.pods_answer_s for run in result.kubinet]
    start = python_start_s
    without, same = (
        [seconds - start for seconds in times] if start is not None else [] for times in (answers, result.without_dns)
    )
    return _row(
        str(result.scale),
        _range([run.cluster_ready_s for run in result.kubinet]),
        _range(answers),
        _range(without),
        _range(same),
        _range([run["pods_answer_s"] for run in result.ovn])
        + (f", {result.ovn_failed} not up in time" if result.ovn_failed else ""),
    )


def _single(result: Result) -> str:
    values = [1000 * seconds for run in result.kubinet for seconds in run.single_pod_s]
    return _row(str(result.scale), str(len(values)), f"{percentile(values, 50):.0f}", f"{percentile(values, 95):.0f}")


def _memory(result: Result) -> str:
    runs = result.kubinet
    return _row(
        str(result.scale),
        _range([run.ovs_per_node.pss_mib for run in runs], 1),
        _range([run.ovs_per_node.rss_mib for run in runs], 1),
        _range([run.per_pod.pss_mib for run in runs]),
        _range([run.kernel_per_pod_mib for run in runs]),
        _range([run.sandbox.pss_mib for run in runs], 0),
        _range([float(run.flows_per_node) for run in runs], 0),
        _range([run["per_node"]["pss_mib"] for run in result.ovn], 1),
        _range([run["central"]["pss_mib"] for run in result.ovn], 1),
    )


def _phases(result: Result) -> str:
    names = list(dict.fromkeys(name for run in result.kubinet for name in run.phases_s))
    medians = {
        name: statistics.median(run.phases_s[name] for run in result.kubinet if name in run.phases_s) for name in names
    }
    return f"- {result.scale}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())


def _range(values: Sequence[float], digits: int = 2) -> str:
    if not values:
        return NOTHING
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
