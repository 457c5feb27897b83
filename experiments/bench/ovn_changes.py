"""The reference for Services and policies: Open Virtual Network, changed while as much is there as in our benchmarks.

After `ovn_reference`'s bring-up, for each number: so many load balancers of three backends in one transaction, then
single changes of one; so many ACLs in one transaction, then a deny rule added and removed. Times end when every
ovn-controller has acknowledged (`ovn-nbctl --wait=hv`), before any packet obeys: the reference's best case.

`python -m experiments.bench.ovn_changes [NODES]` runs it in namespaces of its own and prints tables.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from experiments.bench import ovn_reference
from experiments.bench.ovn_reference import RUN, run_program
from experiments.stats import percentile
from experiments.throwaway import run_inside
from kubinet.errors import KubinetError

COUNTS: Final = (10, 100, 1000)
CHANGES: Final = 15
PODS: Final = 3
_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of load balancers or ACLs; seconds."""

    what: str
    count: int
    from_nothing_s: float
    """All that were not there yet, until every chassis had acknowledged them."""
    changes_s: tuple[float, ...]


def _nbctl(words: Sequence[str]) -> float:
    """A transaction; how long until all chassis had it."""
    began = time.monotonic()
    run_program(["ovn-nbctl", f"--db=unix:{RUN}/nb.sock", "--wait=hv", "--timeout=300", *words])
    return time.monotonic() - began


def _backends(nodes: int, first: int) -> str:
    places = [(first + offset) % nodes for offset in range(3)]
    return ",".join(f"10.{64 + node // 256}.{node % 256}.2:8081" for node in places)


def _balancers(nodes: int, known: int, count: int, changes: int) -> Measured:
    words: list[str] = []
    for index in range(known, count):
        vip = f"10.96.{index // 250}.{1 + index % 250}:80"
        words += ["--", f"--id=@b{index}", "create", "load_balancer", f"name=b{index}", "protocol=udp"]
        words += [f'vips:"{vip}"="{_backends(nodes, index)}"']
        words += ["--", "add", "load_balancer_group", "everywhere", "load_balancer", f"@b{index}"]
    took = _nbctl(words[1:])
    times = [
        _nbctl(["set", "load_balancer", "b0", f'vips:"10.96.0.1:80"="{_backends(nodes, turn % 2)}"'])
        for turn in range(changes)
    ]
    return Measured("load balancers", count, took, tuple(times))


def _rules(known: int, count: int, changes: int) -> Measured:
    words: list[str] = []
    for index in range(known, count):
        match = f"outport == @servers && ip4.src == 10.65.{index // 250}.{1 + index % 250} && tcp.dst == {1000 + index}"
        words += ["--", "acl-add", "servers", "to-lport", "1000", match, "allow-related"]
    took = _nbctl(words[1:])
    times = []
    for _ in range(changes):
        times.append(_nbctl(["acl-add", "servers", "to-lport", "900", "outport == @servers && ip4", "drop"]))
        _nbctl(["acl-del", "servers", "to-lport", "900", "outport == @servers && ip4"])
    return Measured("ACLs", count, took, tuple(times))


def measure(nodes: int, counts: Sequence[int], changes: int) -> list[Measured]:
    """In the present, fresh namespaces."""
    ovn_reference.bring_up(nodes, PODS)
    make = ["create", "load_balancer_group", "name=everywhere"]
    group = run_program(["ovn-nbctl", f"--db=unix:{RUN}/nb.sock", *make]).strip()
    attach = [["set", "logical_switch", f"s{node}", f"load_balancer_group={group}"] for node in range(nodes)]
    _nbctl([word for one in attach for word in ("--", *one)][1:])
    found, known = [], 0
    for count in counts:
        found.append(_balancers(nodes, known, count, changes))
        known = count
    _nbctl([word for index in range(known) for word in ("--", "lb-del", f"b{index}")][1:])
    _nbctl(["pg-add", "servers", *(f"p{node}-0" for node in range(nodes))])
    known = 0
    for count in counts:
        found.append(_rules(known, count, changes))
        known = count
    return found


def main() -> int:
    """Measure and print; with `--inside` the sandbox's part, which prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.ovn_changes", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="?", default=10)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps({"runs": [asdict(one) for one in measure(options.nodes, COUNTS, CHANGES)]}))
        return 0
    try:
        if missing := ovn_reference.missing_programs():
            print(f"no OVN reference: {', '.join(missing)} not found; install ovn-central and ovn-host")
            return 0
        runs = run_inside("experiments.bench.ovn_changes", "--inside", str(options.nodes), timeout_s=_TIMEOUT_S)
    except KubinetError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"## Open Virtual Network, {options.nodes} nodes: until every chassis has acknowledged\n")
    print("| what | there | from nothing s | one change p50 ms | p95 ms |\n| --- | ---: | ---: | ---: | ---: |")
    for run in runs["runs"]:
        changes = [1000 * one for one in run["changes_s"]]
        middle, high = statistics.median(changes), percentile(changes, 95)
        print(f"| {run['what']} | {run['count']} | {run['from_nothing_s']:.2f} | {middle:.0f} | {high:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
