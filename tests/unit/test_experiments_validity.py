"""Declared paths and the rules by which a measurement is believed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.links import delay_is_close
from experiments.monitor import CpuTimes, between, parse_cpu_times
from experiments.records import Assessment, Cell, LinkCheck, MachineSecond, Verdict
from experiments.underlay_path import UnderlayLink, declared_path
from experiments.validity import assess_links, assess_machine, seconds_of
from kubinet.errors import InvalidInputError, KubinetError

STAT = "cpu  100 5 50 800 20 3 12 10 0 0\ncpu0 50 2 25 400 10 1 6 5 0 0\nintr 5\n"


def second(time_s: float = 1.0, idle: float = 0.8, steal: float = 0.0, late_ms: float = 0.5) -> MachineSecond:
    return MachineSecond(time_s, idle, steal, 0.0, late_ms)


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
    found = between(parse_cpu_times(texts[0]), parse_cpu_times(texts[1]), 5.0, 1.0)
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
        ([second(late_ms=80)] * 3 + [second()] * 7, "programs woke up more than 50 ms late in 3 of 10 s"),
        ([], "the machine was not watched during this measurement"),
    ],
)
def test_machine_that_could_not_keep_up_is_suspect(seconds: list[MachineSecond], reason: str) -> None:
    """Each rule gives its reason."""
    assert assess_machine(seconds) == Assessment(Verdict.SUSPECT, (reason,))


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


@pytest.mark.parametrize(("measured", "close"), [(10.0, True), (11.5, True), (11.6, False), (8.5, True), (8.4, False)])
def test_delay_may_be_off_by_a_millisecond_and_five_percent(measured: float, close: bool) -> None:
    """10 ms declared: 8.5 to 11.5 ms are close."""
    assert delay_is_close(10.0, measured) is close
