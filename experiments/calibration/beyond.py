"""What an experiment asks of the machine beyond its calibration: warnings and refusals. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.calibration.demand import Demand
from experiments.calibration.values import Calibration, Fingerprint
from topologies.model import Topology

TOO_MUCH: Final = 2.0
"""More than this many times what was calibrated is refused: no run would be valid."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """What to tell before the first run."""

    warnings: tuple[str, ...] = ()
    """The run may be suspect."""
    refusals: tuple[str, ...] = ()
    """The run cannot be valid."""

    def merged(self, *others: "Beyond") -> "Beyond":
        """All of them, each once."""
        everything = (self, *others)
        return Beyond(
            tuple(dict.fromkeys(words for one in everything for words in one.warnings)),
            tuple(dict.fromkeys(words for one in everything for words in one.refusals)),
        )


def beyond(
    topology: Topology,
    demands: Sequence[Demand],
    calibration: Calibration,
    machine: Fingerprint,
) -> Beyond:
    """Compare a run's network and offered load with what this machine is known to emulate honestly.

    `demands`: one for each step of workloads. `machine`: this one; a calibration of another machine is not used.
    """
    if different := machine.differences(calibration.fingerprint):
        words = f"the calibration is of another machine (here: {', '.join(different)}); run `kubinet calibrate` again"
        return Beyond((words,))
    delayed = sum(link.impaired for link in topology.links)
    found = Beyond().merged(
        _amount(calibration, "nodes", len(topology.nodes), "the topology has {} nodes"),
        _amount(calibration, "delayed links", delayed, "{} links have delay, jitter or loss"),
        _fast_links(topology, calibration),
    )
    for one in demands:
        found = found.merged(
            _rate(calibration, one),
            _amount(calibration, "packets", one.packets_per_s, f"workload {one.names} offers {{}} packets/s"),
        )
    return found


def _rate(calibration: Calibration, one: Demand) -> Beyond:
    """What workloads send by themselves may be refused; TCP that fills what it finds is at most warned about."""
    offered = _amount(calibration, "rate", one.mbit, f"workload {one.names} offers {{}} Mbit/s")
    if offered != Beyond() or not one.adapting_mbit:
        return offered
    filled = one.mbit + one.adapting_mbit
    found = _amount(calibration, "rate", filled, f"workload {one.names} fills links with {{}} Mbit/s in all")
    return Beyond(found.warnings + found.refusals)


def _amount(calibration: Calibration, name: str, asked: float, words: str) -> Beyond:
    capacity = calibration.capacity(name)
    # A capacity of 0 says that nothing held: then nothing can be compared.
    if capacity is None or capacity.value <= 0 or asked <= capacity.value:
        return Beyond()
    if capacity.failed is None and asked <= TOO_MUCH * capacity.value:
        return Beyond(
            (f"{words.format(_number(asked))}; {capacity.value:g} {capacity.unit} is the most that was tried",)
        )
    text = (
        f"{words.format(_number(asked))}; this machine emulates {capacity.value:g} {capacity.unit} honestly"
        f"{f' ({capacity.reason})' if capacity.reason else ''}"
    )
    if asked > TOO_MUCH * capacity.value and capacity.failed is not None:
        return Beyond(refusals=(text,))
    return Beyond((text,))


def _fast_links(topology: Topology, calibration: Calibration) -> Beyond:
    """Links that are faster than what was carried; declaring them is fine as long as nothing fills them."""
    capacity = calibration.capacity("rate")
    if capacity is None or capacity.value <= 0:
        return Beyond()
    fast = [link for link in topology.links if link.rate is not None and link.rate / 1e6 > capacity.value]
    if not fast:
        return Beyond()
    fastest = max(link.rate or 0.0 for link in fast) / 1e6
    names = _some(link.name for link in fast)
    return Beyond(
        (
            f"links {names} declare up to {fastest:g} Mbit/s; this machine carries {capacity.value:g} {capacity.unit} "
            "honestly: a run that fills them will be suspect",
        )
    )


def _number(value: float) -> str:
    return f"{round(value, 1):.10g}"


def _some(names: Iterable[str], most: int = 3) -> str:
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
