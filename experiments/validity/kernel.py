"""The kernel's own counters as values: CPU times, per-CPU backlogs, CPU quota. Pure: texts in, values out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from experiments.records import MachineSecond
from kubinet.errors import KubinetError


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """The first line of /proc/stat, clock ticks since boot."""

    total: int
    idle: int
    steal: int
    softirq: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the probe said at the end of a second; counters since boot."""

    time_s: float
    """Seconds since 1970."""
    span_s: float
    """How long this second was."""
    late_ms: float
    """99 % of the wake-ups were less late than this."""
    late_max_ms: float
    offset_s: float
    """CLOCK_REALTIME less CLOCK_MONOTONIC."""
    work_us: float
    """How long a fixed piece of work took."""
    cpu: CpuTimes
    backlog_drops: int
    throttled: int
    """Periods in which the control group or one around it used up its quota."""


def parse_reading(line: str) -> Reading:
    """Read a line of the probe; KubinetError when the kernel's files have an unknown form."""
    said = json.loads(line)
    stat, softnet = said["files"]
    return Reading(
        time_s=said["time_s"],
        span_s=said["span_s"],
        late_ms=said["late_s"][1] * 1000,
        late_max_ms=said["late_s"][2] * 1000,
        offset_s=said["offset_s"],
        work_us=said["work_s"] * 1e6,
        cpu=parse_cpu_times(stat),
        backlog_drops=parse_backlog_drops(softnet),
        throttled=parse_throttled(said["throttles"]),
    )


def parse_cpu_times(text: str) -> CpuTimes:
    """Read /proc/stat; idle includes waiting for disks (proc(5)). KubinetError when the line is missing."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "cpu":
            try:
                ticks = [int(field) for field in rest.split()]
            except ValueError:
                break
            if len(ticks) < 8:
                break
            # user nice system idle iowait irq softirq steal; guest times are part of user and nice.
            return CpuTimes(sum(ticks[:8]), ticks[3] + ticks[4], ticks[7], ticks[6])
    raise KubinetError("/proc/stat: no line 'cpu' with at least 8 numbers; this kernel cannot be watched")


def parse_backlog_drops(text: str) -> int:
    """Packets dropped at full per-CPU backlogs: the second hexadecimal column of /proc/net/softnet_stat."""
    try:
        return sum(int(line.split()[1], 16) for line in text.splitlines() if line.strip())
    except (IndexError, ValueError) as error:
        raise KubinetError(f"/proc/net/softnet_stat: {error}; this kernel cannot be watched") from error


def parse_throttled(texts: Iterable[str]) -> int:
    """The sum of `nr_throttled` in cpu.stat files; files without that line (a root group's) count nothing."""
    found = 0
    for text in texts:
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "nr_throttled":
                found += int(value)
    return found


def between(before: Reading, after: Reading) -> MachineSecond:
    """The second between two readings; a machine without any tick in between counts as idle."""
    total = after.cpu.total - before.cpu.total
    return MachineSecond(
        time_s=after.time_s,
        idle=_share(after.cpu.idle - before.cpu.idle, total) if total > 0 else 1.0,
        steal=_share(after.cpu.steal - before.cpu.steal, total) if total > 0 else 0.0,
        softirq=_share(after.cpu.softirq - before.cpu.softirq, total) if total > 0 else 0.0,
        late_ms=after.late_ms,
        late_max_ms=after.late_max_ms,
        throttled=max(0, after.throttled - before.throttled),
        dropped=max(0, after.backlog_drops - before.backlog_drops),
        clock_step_ms=(after.offset_s - before.offset_s) * 1000,
        work_us=after.work_us,
    )


def _share(part: int, total: int) -> float:
    return min(1.0, max(0.0, part / total))
