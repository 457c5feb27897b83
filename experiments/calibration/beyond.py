"""What an experiment asks of the machine beyond its calibration: warnings and refusals. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.calibration.values import Calibration, Fingerprint
from experiments.design.model import WorkloadDesign
from kubinet.units import parse_rate
from topologies.model import Topology

TOO_MUCH: Final = 2.0
"""More than this many times what was calibrated is refused: no run would be valid."""
_PACKETS_PER_REQUEST: Final = 2


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
    workload: Sequence[WorkloadDesign],
    calibration: Calibration,
    machine: Fingerprint,
) -> Beyond:
    """Compare a run's network and offered load with what this machine is known to emulate honestly.

    `workload`: with everything substituted. `machine`: this one; a calibration of another machine is not used.
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
    for step in sorted({one.step for one in workload}):
        together = [one for one in workload if one.step == step]
        names = ", ".join(one.name for one in together)
        rate = sum(_offered_mbit(one) for one in together)
        packets = sum(_offered_packets(one) for one in together)
        found = found.merged(
            _amount(calibration, "rate", rate, f"workload {names} offers {{}} Mbit/s"),
            _amount(calibration, "packets", packets, f"workload {names} offers {{}} packets/s"),
        )
    return found


def _amount(calibration: Calibration, name: str, asked: float, words: str) -> Beyond:
    capacity = calibration.capacity(name)
    # A capacity of 0 says that nothing held: then nothing can be compared.
    if capacity is None or capacity.value <= 0 or asked <= capacity.value:
        return Beyond()
    if capacity.failed is None and asked <= TOO_MUCH * capacity.value:
        return Beyond((f"{words.format(f'{asked:g}')}; {capacity.value:g} {capacity.unit} is the most that was tried",))
    text = (
        f"{words.format(f'{asked:g}')}; this machine emulates {capacity.value:g} {capacity.unit} honestly"
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


def _some(names: Iterable[str], most: int = 3) -> str:
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _offered_mbit(one: WorkloadDesign) -> float:
    """What a workload's field `rate` (a text such as `20mbit`) says that it sends; per stream where it has streams."""
    rate = one.settings.get("rate")
    if not isinstance(rate, str) or not rate:
        return 0.0
    streams = one.settings.get("streams", 1)
    return parse_rate(rate) / 1e6 * (streams if isinstance(streams, int | float) else 1)


def _offered_packets(one: WorkloadDesign) -> float:
    """A workload's field `rate` that is a number is requests per second, a packet there and one back at least."""
    rate = one.settings.get("rate")
    return float(rate) * _PACKETS_PER_REQUEST if isinstance(rate, int | float) else 0.0
