"""Whether measurements can be believed: pure rules over what the monitor and the link checks saw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.records import Assessment, Cell, LinkCheck, MachineSecond, Verdict


@dataclass(frozen=True, slots=True)
class Limits:
    """When a measurement becomes suspect."""

    idle: float = 0.01
    """A second with less idle time than this (share of all CPUs) counts as without any."""
    busy_share: float = 0.2
    """More of a cell's seconds than this without idle time: the machine was the bottleneck."""
    steal: float = 0.10
    """Mean share of CPU time that the hypervisor took away."""
    late_ms: float = 50.0
    """The watching thread woke up later than this in more than `busy_share` of the seconds."""


DEFAULT_LIMITS = Limits()


def assess_machine(seconds: Sequence[MachineSecond], limits: Limits = DEFAULT_LIMITS) -> Assessment:
    """Judge the machine during some seconds; suspect as well when nothing was recorded."""
    if not seconds:
        return Assessment(Verdict.SUSPECT, ("the machine was not watched during this measurement",))
    reasons = []
    busy = sum(second.idle < limits.idle for second in seconds)
    if busy > limits.busy_share * len(seconds):
        reasons.append(f"no idle CPU in {busy} of {len(seconds)} s: the machine limits, not the network")
    steal = sum(second.steal for second in seconds) / len(seconds)
    if steal > limits.steal:
        reasons.append(f"the hypervisor took {steal:.0%} of the CPU time")
    late = sum(second.late_ms > limits.late_ms for second in seconds)
    if late > limits.busy_share * len(seconds):
        reasons.append(f"programs woke up more than {limits.late_ms:g} ms late in {late} of {len(seconds)} s")
    return Assessment(Verdict.SUSPECT, tuple(reasons)) if reasons else Assessment()


def assess_links(checks: Iterable[LinkCheck]) -> Assessment:
    """Judge links as measured against declared; one suspect reason per link and quantity that is off."""
    reasons = tuple(
        f"link {check.name}: {check.quantity} {_amount(check.measured, check.unit)} measured, "
        f"{_amount(check.declared, check.unit)} declared"
        for check in checks
        if not check.within_tolerance
    )
    return Assessment(Verdict.SUSPECT, reasons) if reasons else Assessment()


def seconds_of(cells: Iterable[Cell], seconds: Sequence[MachineSecond]) -> tuple[MachineSecond, ...]:
    """The recorded seconds that overlap any of the cells' times; a second ends at its `time_s`."""
    spans = [(cell.started_s, cell.ended_s) for cell in cells]
    return tuple(
        second
        for second in seconds
        if any(second.time_s >= start and second.time_s - 1.0 <= end for start, end in spans)
    )


def _amount(value: float | None, unit: str) -> str:
    return "not" if value is None else f"{value:.4g} {unit}"
