"""Measuring drawn links one after the other, again where the monitor says that the machine was disturbed.

`python -m experiments.fidelity.measuring` runs inside throw-away namespaces: it reads links and a deadline from its
standard input and prints what it found.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from experiments.fidelity.links import DrawnLink
from experiments.records import MachineSecond, Verdict
from experiments.throwaway import run_inside
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor
from topologies.build import build
from topologies.links.measure import Check, LinkMeasurement, measure
from topologies.links.tools import detect_tools
from topologies.links.wires import LinkEnds
from topologies.resolve import load_topology

_PROBES: Final = 100
_SECONDS: Final = 1.0
_FRAMES_OF_LOSS: Final = 4000
"""A lossy link sends so many full frames where its time allows, so that chance is small."""
_LONGEST_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity of one direction, in the units of `LinkCheck`'s checks: seconds, bits per second, share."""

    direction: int
    """0: away from the first end; 1: towards it."""
    name: str
    declared: float
    measured: float | None
    low: float
    high: float

    @property
    def kept(self) -> bool:
        """Whether it is within what is declared and chance."""
        return self.measured is not None and self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One link as it was measured last."""

    link: DrawnLink
    wire: str
    quantities: tuple[Quantity, ...]
    spacing: tuple[tuple[float, float] | None, ...]
    """Of each direction: median and 90th percentile of the frames' spacing error."""
    problems: tuple[str, ...]
    attempts: int
    disturbances: tuple[str, ...]
    """What the monitor said about the machine during the last measurement; empty: it was quiet."""


def measure_links(links: Sequence[DrawnLink], *, attempts: int = 5, deadline_s: float | None = None) -> list[Fidelity]:
    """Measure in throw-away namespaces, as root or as an ordinary user.

    A link with problems is measured again up to `attempts` times, and no more after `deadline_s` seconds.
    """
    request = {"links": [asdict(link) for link in links], "attempts": attempts, "deadline_s": deadline_s}
    return [_from_json(one) for one in run_inside(__name__, request=request)]


def _from_json(said: dict[str, Any]) -> Fidelity:
    return Fidelity(
        link=DrawnLink(**said["link"]),
        wire=said["wire"],
        quantities=tuple(Quantity(**one) for one in said["quantities"]),
        spacing=tuple(None if one is None else (one[0], one[1]) for one in said["spacing"]),
        problems=tuple(said["problems"]),
        attempts=said["attempts"],
        disturbances=tuple(said["disturbances"]),
    )


def in_rounds(
    count: int, measured: Callable[[int], Fidelity], attempts: int, may_go_on: Callable[[], bool]
) -> list[Fidelity]:
    """Measure links 0 … `count` - 1, then those that were off again and again: other work comes and goes.

    A link is off for good when it was off twice in quiet moments. Each is measured `attempts` times at most,
    and once at least, however late it is.
    """
    found: dict[int, Fidelity] = {}
    quiet_failures: dict[int, int] = dict.fromkeys(range(count), 0)
    for attempt in range(1, attempts + 1):
        for number in range(count):
            before = found.get(number)
            if before is not None and (not before.problems or quiet_failures[number] == 2 or not may_go_on()):
                continue
            now = replace(measured(number), attempts=attempt)
            quiet_failures[number] += bool(now.problems and not now.disturbances)
            found[number] = now
    return [_judged(found[number], quiet_failures[number]) for number in range(count)]


def _judged(found: Fidelity, quiet_failures: int) -> Fidelity:
    if not found.problems or quiet_failures >= 2:
        return found
    return replace(found, disturbances=found.disturbances or ("it was measured in one quiet moment only",))


def _one(ends: LinkEnds, link: DrawnLink) -> Fidelity:
    found, disturbances = _watched(ends, link)
    return Fidelity(
        link=link,
        wire=str(ends.wire),
        quantities=tuple(_quantity(check, ends.link.a) for check in found.checks()),
        spacing=tuple(one.spacing for one in found.directions),
        problems=found.problems(),
        attempts=1,
        disturbances=disturbances,
    )


def _quantity(check: Check, first_end: str) -> Quantity:
    direction = int(check.source != first_end)
    return Quantity(direction, check.quantity, check.declared, check.measured, check.low, check.high)


def seconds_for(link: DrawnLink) -> float:
    """How long full frames are sent each way: longer where loss needs frames."""
    if not link.loss_percent:
        return _SECONDS
    return min(_LONGEST_S, max(_SECONDS, _FRAMES_OF_LOSS * 1514 * 8 / (link.rate_mbit * 1e6)))


def _watched(ends: LinkEnds, link: DrawnLink) -> tuple[LinkMeasurement, tuple[str, ...]]:
    seconds: list[MachineSecond] = []
    with MachineMonitor(seconds.append):
        found = measure(ends, seconds=seconds_for(link), probes=_PROBES)
    verdict = assess_machine(seconds)
    return found, () if verdict.verdict is Verdict.VALID else verdict.reasons


def _measured(links: Sequence[DrawnLink], attempts: int, deadline_s: float | None) -> list[Fidelity]:
    end = None if deadline_s is None else time.monotonic() + deadline_s
    settings: dict[str, object] = {"nodes": len(links)}
    for number, link in enumerate(links):
        settings |= {f"links.n{number + 1}-s1.{name}": value for name, value in link.settings.items()}
    with tempfile.TemporaryDirectory() as folder:
        underlay = build(load_topology("star", settings), Path(folder), detect_tools())
        try:
            return in_rounds(
                len(links),
                lambda number: _one(underlay.ends[f"n{number + 1}-s1"], links[number]),
                attempts,
                lambda: end is None or time.monotonic() < end,
            )
        finally:
            underlay.close()


def _main() -> None:
    request = json.loads(sys.stdin.read())
    links = [DrawnLink(**link) for link in request["links"]]
    with redirect_stdout(sys.stderr):  # Mininet writes where it likes
        found = [asdict(one) for one in _measured(links, request["attempts"], request["deadline_s"])]
    print(json.dumps(found))


if __name__ == "__main__":
    _main()
