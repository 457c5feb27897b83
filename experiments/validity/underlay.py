"""Asking a running cluster's underlay about its links: where their ends are, what they do."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from experiments.base import RunningCluster
from experiments.records import LinkCheck
from experiments.validity.counters import EndPlan

_CLIENT: Final = (sys.executable, "-m", "topologies.underlay_client")
_UNITS: Final = {"delay": ("ms", 1e3), "jitter": ("ms", 1e3), "rate": ("Mbit/s", 1e-6), "loss": ("%", 100.0)}
_PATIENCE_S: Final = 600.0


def link_ends(cluster: RunningCluster) -> tuple[EndPlan, ...]:
    """Both ends of every link of the cluster, as they are now."""
    return tuple(
        EndPlan(f"{link['name']} {end['vertex']}", int(end["pid"]), str(end["interface"]))
        for link in _ask(cluster, "links")
        for end in link["ends"]
    )


def measure(
    cluster: RunningCluster, names: Sequence[str], *, load: Collection[str], moment: str
) -> tuple[LinkCheck, ...]:
    """Measure these links now; those under `load` are loaded for a quarter of a second per direction, for their rates.

    `moment`: `before` or `after` the run, for the records.
    """
    if not names:
        return ()
    loaded = ",".join(name for name in names if name in load)
    found = _ask(cluster, "measure", "--load", loaded, *names)
    return tuple(link_check(link["name"], check, moment) for link in found for check in link["checks"])


def measure_again(
    cluster: RunningCluster, names: Sequence[str], *, load: Collection[str] = (), moment: str, attempts: int
) -> tuple[LinkCheck, ...]:
    """Measure; links that are off are measured again, as the machine's other work may have disturbed them.

    A link that keeps its word in one of `attempts` does; of others the last measurement counts.
    """
    left = list(names)
    found: dict[str, list[LinkCheck]] = {}
    for _ in range(attempts):
        for name in left:
            found[name] = []
        for check in measure(cluster, left, load=load, moment=moment):
            found[check.name].append(check)
        left = [name for name in left if not all(check.within_tolerance for check in found[name])]
        if not left:
            break
    return tuple(check for checks in found.values() for check in checks)


def link_check(name: str, check: Mapping[str, Any], moment: str) -> LinkCheck:
    """The record of one quantity, in the units that people read."""
    unit, factor = _UNITS[check["quantity"]]
    return LinkCheck(
        name=name,
        quantity=check["quantity"],
        declared=check["declared"] * factor,
        measured=None if check["measured"] is None else check["measured"] * factor,
        unit=unit,
        within_tolerance=check["kept"],
        direction=f"from {check['source']} to {check['target']}",
        moment=moment,
    )


def spread(names: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many of the names, evenly taken from all."""
    if len(names) <= most:
        return tuple(names)
    return tuple(names[index * len(names) // most] for index in range(most))


def _ask(cluster: RunningCluster, *words: str) -> Iterable[Mapping[str, Any]]:
    answer = cluster.run([*_CLIENT, *words], timeout=_PATIENCE_S).stdout
    links: list[Mapping[str, Any]] = json.loads(answer)
    return links
