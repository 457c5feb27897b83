"""`kubinet calibrate`: climbs until the verdict is no longer valid, within a bounded time."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from experiments.calibration.machine import fingerprint
from experiments.calibration.search import highest
from experiments.calibration.trials import PodPath, nodes, pod_path
from experiments.calibration.values import Calibration, Capacity
from experiments.machine import load_average
from experiments.options import option
from experiments.records import Assessment, MachineSecond, Verdict
from experiments.validity.machine import assess_machine
from experiments.validity.monitor import MachineMonitor
from kubinet.errors import KubinetError

Tell = Callable[[str, str, float], None]
"""Called with phase, text and the share of the phase's time that is over."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how finely is tried."""

    seconds: int
    """Of each trial."""
    attempts: int
    """Of a level that fails."""
    budget_s: float
    """Of each kind of trial; one that runs may end later by its own length."""
    rates: tuple[float, ...]
    packets: tuple[float, ...]
    nodes: tuple[float, ...]
    links: tuple[float, ...]


FULL: Final = Effort(
    seconds=3,
    attempts=2,
    budget_s=50.0,
    rates=(5, 10, 20, 50, 75, 100, 150, 200, 250, 300, 400, 500, 650, 800, 1000, 2000, 4000),
    packets=(500, 1000, 2000, 5000, 7500, 10_000, 15_000, 20_000, 30_000, 40_000, 60_000, 80_000, 120_000),
    nodes=(2, 4, 8, 12, 16, 24, 32, 48, 64, 96),
    links=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96),
)
QUICK: Final = Effort(
    seconds=1,
    attempts=1,
    budget_s=7.0,
    rates=(10, 50, 100, 200, 400, 800),
    packets=(1000, 5000, 10_000, 20_000, 40_000),
    nodes=(2, 4, 8, 16),
    links=(1, 4, 8, 16, 32),
)
_QUIET_ATTEMPTS: Final = 5
_QUIET_S: Final = 2.0


def calibrate(effort: Effort = FULL, *, tell: Tell | None = None, demand_quiet: bool = True) -> Calibration:
    """Find what this machine emulates honestly, at present; under 5 minutes, under 1 with the effort `QUICK`.

    KubinetError when the machine has other work: it would be calibrated too low. `demand_quiet=False` measures anyway.
    """
    say = tell or _silent
    began, load = time.monotonic(), load_average()[0]
    if demand_quiet:
        say("machine", "looking whether it is quiet", 0.0)
        _demand_quiet()
    from experiments.calibration.delayed import delayed_links  # noqa: PLC0415 - Mininet is slow to import

    with ExitStack() as stack:
        say("cluster", "two nodes for rates and packets", 0.0)
        path = stack.enter_context(pod_path(effort.seconds))
        capacities = [*_of_path(path, effort, say)]
    found = highest(
        effort.links,
        _trying("delayed links", say, lambda n: delayed_links(int(n), effort.seconds)),
        _clock(effort),
        attempts=effort.attempts,
    )
    meaning = "links of 20 Mbit/s and 10 ms at once, each with 1.2 Mbit/s of traffic"
    capacities.append(Capacity("delayed links", "links", found.value, found.failed, found.reason, meaning))
    found = highest(
        effort.nodes,
        _trying("nodes", say, lambda n: nodes(int(n), effort.seconds)),
        _clock(effort),
        attempts=effort.attempts,
    )
    meaning = "nodes of one cluster that answer each other's pings"
    capacities.append(Capacity("nodes", "nodes", found.value, found.failed, found.reason, meaning))
    return Calibration(
        fingerprint=fingerprint(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        quick=effort != FULL,
        seconds=round(time.monotonic() - began, 1),
        load=load,
        capacities=tuple(capacities),
    )


def _of_path(path: PodPath, effort: Effort, say: Tell) -> Iterator[Capacity]:
    trials: Sequence[tuple[str, str, tuple[float, ...], Callable[[float], str], str]] = (
        ("rate", "Mbit/s", effort.rates, path.rate, "a link's rate that pods on two nodes can fill with TCP"),
        (
            "packets",
            "packets/s",
            effort.packets,
            path.packets,
            "64-byte UDP payloads from a pod to one on another node",
        ),
    )
    for name, unit, ladder, trial, meaning in trials:
        found = highest(ladder, _trying(name, say, trial), _clock(effort), attempts=effort.attempts)
        yield Capacity(name, unit, found.value, found.failed, found.reason, meaning)


def _trying(name: str, say: Tell, trial: Callable[[float], str]) -> Callable[[float], str]:
    """The trial with its level told; an error is a level that cannot be had."""

    def run(level: float) -> str:
        say(name, f"trying {level:g}", 0.0)
        try:
            said = trial(level)
        except KubinetError as error:
            said = str(error)
        say(name, f"{level:g}: {said or 'valid'}", 1.0)
        return said

    return run


def _clock(effort: Effort) -> Callable[[], bool]:
    end = time.monotonic() + effort.budget_s
    return lambda: time.monotonic() < end


def _demand_quiet() -> None:
    found = Assessment()
    for _ in range(_QUIET_ATTEMPTS):
        seconds: list[MachineSecond] = []
        with MachineMonitor(seconds.append):
            time.sleep(_QUIET_S)
        found = assess_machine(seconds)
        if found.verdict is Verdict.VALID:
            return
    raise KubinetError(
        f"this machine is busy with other work ({'; '.join(found.reasons)}): it would be calibrated too low; "
        f"end the other work, or calibrate all the same with {option('--busy', 'demand_quiet=False')}"
    )


def _silent(_phase: str, _text: str, _fraction: float) -> None:
    """Progress that nobody wants to see."""
