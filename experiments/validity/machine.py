"""Whether the machine could keep up: pure rules over what the monitor saw second by second."""

from collections.abc import Iterable, Sequence
from typing import Final

from experiments.records import Assessment, Cell, LinkCheck, MachineSecond, Verdict
from experiments.validity.limits import DEFAULT_LIMITS, Limits

_SLOW_CLOCKS: Final = frozenset({"acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit"})
"""Clock sources that take microseconds to read or tick a few hundred times a second."""


def assess_machine(seconds: Sequence[MachineSecond], limits: Limits = DEFAULT_LIMITS) -> Assessment:
    """Judge the machine during some seconds; suspect as well when nothing was recorded."""
    if not seconds:
        return Assessment(Verdict.SUSPECT, ("the machine was not watched during this measurement",))
    found = (
        _processor(seconds, limits),
        _scheduling(seconds, limits),
        _throttling(seconds, limits),
        _drops(seconds),
        _clock(seconds, limits),
    )
    return Assessment().merged(*found)


def assess_clock_source(before: str, after: str) -> Assessment:
    """Judge the kernel's clock source (`tsc`, `kvm-clock`, …) at both ends of a run; empty where it cannot be read."""
    if before != after:
        return _suspect(f"the clock source changed from {before or 'unknown'} to {after or 'unknown'} during the run")
    if after in _SLOW_CLOCKS:
        return _suspect(f"the clock source {after} is too slow or too coarse for times below a millisecond")
    return Assessment()


def assess_links(checks: Iterable[LinkCheck], limits: Limits = DEFAULT_LIMITS) -> Assessment:
    """Judge links as measured against declared; one reason per link and quantity that is off."""
    return Assessment().merged(
        *(_link(check, limits) for check in checks if not check.within_tolerance),
    )


def seconds_of(cells: Iterable[Cell], seconds: Sequence[MachineSecond]) -> tuple[MachineSecond, ...]:
    """The recorded seconds that overlap any of the cells' times; a second ends at its `time_s`."""
    spans = [(cell.started_s, cell.ended_s) for cell in cells]
    return tuple(
        second
        for second in seconds
        if any(second.time_s >= start and second.time_s - 1.0 <= end for start, end in spans)
    )


def _processor(seconds: Sequence[MachineSecond], limits: Limits) -> Assessment:
    found = Assessment()
    busy = sum(second.idle < limits.idle for second in seconds)
    if busy > limits.busy_share * len(seconds):
        found = _suspect(f"no idle CPU in {busy} of {len(seconds)} s: the machine limits, not the network")
    steal = sum(second.steal for second in seconds) / len(seconds)
    if steal > limits.steal:
        found = found.merged(_suspect(f"the hypervisor took {steal:.0%} of the CPU time"))
    return found


def _scheduling(seconds: Sequence[MachineSecond], limits: Limits) -> Assessment:
    found = Assessment()
    late = sum(second.late_ms > limits.late_ms for second in seconds)
    if late > limits.busy_share * len(seconds):
        found = _suspect(f"programs woke up more than {limits.late_ms:g} ms late in {late} of {len(seconds)} s")
    longest = max(max(second.late_ms, second.late_max_ms) for second in seconds)
    if longest > limits.stopped_ms:
        stopped = f"the machine stood still for {longest / 1000:.1f} s"
        return found.merged(Assessment(Verdict.INVALID, (stopped,)))
    if longest > limits.pause_ms:
        return found.merged(_suspect(f"nothing ran for {longest:.0f} ms"))
    return found


def _throttling(seconds: Sequence[MachineSecond], limits: Limits) -> Assessment:
    throttled = sum(second.throttled > 0 for second in seconds)
    if throttled <= limits.throttled_share * len(seconds):
        return Assessment()
    reason = f"the control group's CPU quota stopped the programs in {throttled} of {len(seconds)} s"
    invalid = throttled > limits.throttled_invalid * len(seconds)
    return Assessment(Verdict.INVALID if invalid else Verdict.SUSPECT, (reason,))


def _drops(seconds: Sequence[MachineSecond]) -> Assessment:
    dropped = sum(second.dropped for second in seconds)
    if not dropped:
        return Assessment()
    return _suspect(f"the kernel dropped {dropped} packets because a CPU's backlog was full")


def _clock(seconds: Sequence[MachineSecond], limits: Limits) -> Assessment:
    step = max((second.clock_step_ms for second in seconds), key=abs)
    if abs(step) <= limits.clock_step_ms:
        return Assessment()
    verdict = Verdict.INVALID if abs(step) > limits.clock_jump_ms else Verdict.SUSPECT
    return Assessment(verdict, (f"the wall clock was set by {step:+.0f} ms during the measurement",))


def _link(check: LinkCheck, limits: Limits) -> Assessment:
    measured = _amount(check.measured, check.unit)
    where = f"link {check.name}{' ' + check.direction if check.direction else ''}"
    when = f" {check.moment} the run" if check.moment else ""
    reason = f"{where}: {check.quantity} {measured} measured{when}, {_amount(check.declared, check.unit)} declared"
    return Assessment(Verdict.INVALID if _is_far(check, limits) else Verdict.SUSPECT, (reason,))


def _is_far(check: LinkCheck, limits: Limits) -> bool:
    """Whether a rate or a delay is so far off that the link is another one."""
    if check.measured is None or check.declared is None or check.quantity not in ("rate", "delay"):
        return False
    allowed = limits.far * check.declared
    if check.quantity == "delay":
        allowed += limits.far_delay_ms
    return abs(check.measured - check.declared) > allowed


def _suspect(reason: str) -> Assessment:
    return Assessment(Verdict.SUSPECT, (reason,))


def _amount(value: float | None, unit: str) -> str:
    return "not" if value is None else f"{value:.4g} {unit}"
