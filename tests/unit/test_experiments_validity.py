"""Declared paths and the rules by which a measurement is believed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.links import delay_is_close
from experiments.records import Assessment, Cell, LinkCheck, MachineSecond, Verdict
from experiments.underlay_path import UnderlayLink, declared_path
from experiments.validity.kernel import (
    CpuTimes,
    Reading,
    between,
    parse_backlog_drops,
    parse_cpu_times,
    parse_reading,
    parse_throttled,
)
from experiments.validity.machine import assess_clock_source, assess_links, assess_machine, seconds_of
from experiments.validity.probe import throttle_files
from kubinet.errors import InvalidInputError, KubinetError

STAT = "cpu  100 5 50 800 20 3 12 10 0 0\ncpu0 50 2 25 400 10 1 6 5 0 0\nintr 5\n"


def second(
    time_s: float = 1.0, idle: float = 0.8, steal: float = 0.0, late_ms: float = 0.5, **more: float
) -> MachineSecond:
    return MachineSecond(time_s, idle, steal, 0.0, late_ms, **more)  # type: ignore[arg-type]


def cell(started_s: float, ended_s: float) -> Cell:
    return Cell(0, 0, {}, "a", "b", "rtt", started_s, ended_s)


def test_declared_path_takes_fewest_hops_and_then_least_delay() -> None:
    """Of two ways with two hops the quicker one is declared; a way with three hops is not, however quick."""
    links = [
        UnderlayLink("a-x", "a", "x", delay_ms=1),
        UnderlayLink("x-b", "x", "b", rate_mbit=10, delay_ms=5),
        UnderlayLink("a-y", "a", "y", rate_mbit=100, delay_ms=1),
        UnderlayLink("b-y", "b", "y", delay_ms=2, loss=0.1),
        UnderlayLink("a-z", "a", "z"),
        UnderlayLink("z-w", "z", "w"),
        UnderlayLink("w-b", "w", "b"),
    ]
    path = declared_path(links, "a", "b")
    assert [link.name for link in path.links] == ["a-y", "b-y"]
    assert (path.rtt_ms, path.bottleneck_mbit) == (6, 100)
    assert path.round_trip_loss == pytest.approx(1 - 0.9**2)
    assert declared_path(links, "a", "a").links == ()


def test_links_without_a_rate_have_no_bottleneck() -> None:
    """An unlimited path declares neither a rate nor a goodput."""
    path = declared_path([UnderlayLink("a-b", "a", "b")], "a", "b")
    assert (path.bottleneck_mbit, path.goodput_mbit(1500)) == (None, None)


def test_goodput_leaves_out_every_header() -> None:
    """100 Mbit/s of 1500-byte packets: 1448 payload bytes of 1514; with VXLAN 1398 of 1514."""
    path = declared_path([UnderlayLink("a-b", "a", "b", rate_mbit=100)], "a", "b")
    assert path.goodput_mbit(1500) == pytest.approx(95.64, abs=0.005)
    assert path.goodput_mbit(1450, 50) == pytest.approx(92.34, abs=0.005)


def test_nodes_that_no_links_join_are_named() -> None:
    """A partitioned underlay has no declared path."""
    with pytest.raises(InvalidInputError, match="no links join node 'a' and node 'c'"):
        declared_path([UnderlayLink("a-b", "a", "b")], "a", "c")


def test_cpu_times_are_the_first_line_of_proc_stat() -> None:
    """Idle includes waiting for disks; guest time is not counted twice."""
    assert parse_cpu_times(STAT) == CpuTimes(total=1000, idle=820, steal=10, softirq=12)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3", "cpu  a b c d e f g h", "cpu0 1 2 3 4 5 6 7 8"])
def test_proc_stat_of_an_unknown_form_is_refused(text: str) -> None:
    """A kernel that cannot be watched is an error, not a machine that is always idle."""
    with pytest.raises(KubinetError, match="/proc/stat"):
        parse_cpu_times(text)


@given(st.lists(st.integers(0, 10**6), min_size=8, max_size=8), st.lists(st.integers(0, 10**6), min_size=8, max_size=8))
def test_shares_of_a_second_are_between_zero_and_one(start: list[int], passed: list[int]) -> None:
    """Whatever the counters do, shares are shares."""
    texts = [
        "cpu  " + " ".join(map(str, ticks)) for ticks in (start, [a + b for a, b in zip(start, passed, strict=True)])
    ]
    found = between(*(Reading(5.0, 1.0, 1.0, 1.0, 0.0, 80.0, parse_cpu_times(text), 0, 0) for text in texts))
    for share in (found.idle, found.steal, found.softirq):
        assert 0 <= share <= 1 and not math.isnan(share)


def test_idle_machine_is_valid() -> None:
    """Enough idle time, no steal, no delay: valid without a reason."""
    assert assess_machine([second()] * 10) == Assessment(Verdict.VALID, ())


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ([second(idle=0.0)] * 3 + [second()] * 7, "no idle CPU in 3 of 10 s: the machine limits, not the network"),
        ([second(steal=0.11)] * 10, "the hypervisor took 11% of the CPU time"),
        ([second(late_ms=80)] * 3 + [second()] * 7, "programs woke up more than 10 ms late in 3 of 10 s"),
        ([second(late_max_ms=260)] + [second()] * 9, "nothing ran for 260 ms"),
        ([second(throttled=2)] + [second()] * 9, "the control group's CPU quota stopped the programs in 1 of 10 s"),
        ([second(dropped=5)] * 2, "the kernel dropped 10 packets because a CPU's backlog was full"),
        ([second(), second(clock_step_ms=-8)], "the wall clock was set by -8 ms during the measurement"),
        ([], "the machine was not watched during this measurement"),
    ],
)
def test_machine_that_could_not_keep_up_is_suspect(seconds: list[MachineSecond], reason: str) -> None:
    """Each rule gives its reason."""
    assert assess_machine(seconds) == Assessment(Verdict.SUSPECT, (reason,))


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ([second()] * 9 + [second(late_max_ms=1500)], "the machine stood still for 1.5 s"),
        ([second(throttled=9)] * 6 + [second()] * 4, "the control group's CPU quota stopped the programs in 6 of 10 s"),
        ([second(clock_step_ms=2000)], "the wall clock was set by +2000 ms during the measurement"),
    ],
)
def test_what_was_measured_on_a_machine_that_stood_still_is_invalid(seconds: list[MachineSecond], reason: str) -> None:
    """A gap of more than a second, a quota that stops most seconds, a clock that jumps: it means nothing."""
    assert assess_machine(seconds) == Assessment(Verdict.INVALID, (reason,))


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ("tsc", "tsc", ()),
        ("tsc", "hpet", ("the clock source changed from tsc to hpet during the run",)),
        ("hpet", "hpet", ("the clock source hpet is too slow or too coarse for times below a millisecond",)),
    ],
)
def test_clock_sources_that_cannot_time_a_packet_are_named(before: str, after: str, reasons: tuple[str, ...]) -> None:
    """A clock source that the kernel gave up, or one that is slow."""
    assert assess_clock_source(before, after).reasons == reasons


def test_the_probes_line_becomes_a_second() -> None:
    """Counters are differences of two lines, lateness is the second one's own."""
    line = (
        '{"time_s": %d, "span_s": 1.0, "late_s": [0, 0.002, 0.03], "offset_s": %s, "throttles": ["nr_throttled %d"],'
        ' "work_s": 8e-5, "files": ["cpu %d 0 0 %d 0 0 0 0\\n", "0a %s 0\\n0b 01 0\\n"]}'
    )
    first, last = (
        parse_reading(line % values) for values in ((10, "5.0", 3, 100, 100, "02"), (11, "5.5", 4, 150, 250, "12"))
    )
    assert between(first, last) == MachineSecond(
        11, 0.75, 0.0, 0.0, 2.0, late_max_ms=30.0, throttled=1, dropped=16, clock_step_ms=500.0, work_us=80.0
    )


def test_backlogs_and_quotas_are_read_from_the_kernels_files() -> None:
    """Drops are hexadecimal and add up over CPUs; a root group without a quota counts nothing."""
    assert parse_backlog_drops("00ff 0000000a 0\n00ff 00000001 0\n") == 11
    assert parse_throttled(["usage_usec 5\n", "nr_periods 9\nnr_throttled 4\n"]) == 4
    with pytest.raises(KubinetError, match="softnet_stat"):
        parse_backlog_drops("00ff\n")


def test_quotas_of_all_groups_around_are_looked_for() -> None:
    """Version 2's one hierarchy, version 1's hierarchy with the controller cpu, each up to its root."""
    assert throttle_files("3:cpuset:/x\n0::/a\n") == [
        "/sys/fs/cgroup/a/cpu.stat",
        "/sys/fs/cgroup/cpu.stat",
        "/sys/fs/cgroup/unified/a/cpu.stat",
        "/sys/fs/cgroup/unified/cpu.stat",
    ]
    assert throttle_files("1:cpu,cpuacct:/\n") == ["/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu,cpuacct/cpu.stat"]


def test_two_busy_seconds_of_ten_are_still_valid() -> None:
    """A short burst is not a verdict."""
    assert assess_machine([second(idle=0.0)] * 2 + [second()] * 8).verdict is Verdict.VALID


def test_cell_is_judged_by_the_seconds_that_it_touched() -> None:
    """A second from 4 to 5 belongs to a cell from 4.5 to 6.5, one from 7 to 8 does not."""
    seconds = [second(time_s) for time_s in (4.0, 5.0, 6.0, 7.0, 8.0)]
    assert [item.time_s for item in seconds_of([cell(4.5, 6.5)], seconds)] == [5.0, 6.0, 7.0]


def test_merged_verdict_is_the_worst_with_each_reason_once() -> None:
    """Valid, suspect and invalid together are invalid."""
    assert Assessment().merged(
        Assessment(Verdict.INVALID, ("a",)), Assessment(Verdict.SUSPECT, ("b", "a"))
    ) == Assessment(Verdict.INVALID, ("a", "b"))


def test_link_that_is_not_as_declared_is_suspect() -> None:
    """Only the link out of tolerance is named, with both values; one that did not answer at all is named too."""
    checks = [
        LinkCheck("n1-leaf1", "delay", 2.0, 4.0, "ms", within_tolerance=False),
        LinkCheck("n2-leaf1", "delay", 2.0, 2.1, "ms", within_tolerance=True),
        LinkCheck("n3-leaf1", "delay", 2.0, None, "ms", within_tolerance=False),
    ]
    assert assess_links(checks).reasons == (
        "link n1-leaf1: delay 4 ms measured, 2 ms declared",
        "link n3-leaf1: delay not measured, 2 ms declared",
    )


@pytest.mark.parametrize(
    ("quantity", "declared", "measured", "verdict"),
    [
        ("rate", 100.0, 80.0, Verdict.SUSPECT),
        ("rate", 100.0, 74.0, Verdict.INVALID),
        ("delay", 10.0, 17.0, Verdict.SUSPECT),
        ("delay", 10.0, 18.0, Verdict.INVALID),
        ("loss", 1.0, 9.0, Verdict.SUSPECT),
    ],
)
def test_a_rate_or_delay_a_quarter_off_is_another_link(
    quantity: str, declared: float, measured: float, verdict: Verdict
) -> None:
    """A quarter of the rate, a quarter and 5 ms of the delay: what was measured is not what was declared."""
    check = LinkCheck("l", quantity, declared, measured, "x", False, "from a to b", "after")
    reason = f"link l from a to b: {quantity} {measured:g} x measured after the run, {declared:g} x declared"
    assert assess_links([check]) == Assessment(verdict, (reason,))


@pytest.mark.parametrize(("measured", "close"), [(10.0, True), (11.5, True), (11.6, False), (8.5, True), (8.4, False)])
def test_delay_may_be_off_by_a_millisecond_and_five_percent(measured: float, close: bool) -> None:
    """10 ms declared: 8.5 to 11.5 ms are close."""
    assert delay_is_close(10.0, measured) is close
