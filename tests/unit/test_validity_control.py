"""When switches and controller did not keep up."""

import pytest

from experiments.validity.answers import Answer
from experiments.validity.control import PlaneState, assess_answers, assess_controller, assess_switches, longest_lag
from experiments.validity.counters import SwitchCounters, parse_switch


@pytest.mark.parametrize(
    ("after", "reasons"),
    [
        (SwitchCounters(7, hit=100_000, missed=50, lost=0), ()),
        (
            SwitchCounters(7, hit=100_000, missed=50, lost=4),
            ("node n1: Open vSwitch lost 4 packets on the slow path (upcalls)",),
        ),
        (
            SwitchCounters(7, hit=10_000, missed=30_000, lost=0),
            ("node n1: 75% of the packets took Open vSwitch's slow path, 3000 a second",),
        ),
        (SwitchCounters(7, hit=100, missed=5_000, lost=0), ()),
        (SwitchCounters(8, hit=0, missed=0, lost=0), ("node n1: its Open vSwitch was restarted during the run",)),
        (None, ("node n1: its Open vSwitch did not answer at the end",)),
    ],
)
def test_switches_are_judged_by_their_upcalls(after: SwitchCounters | None, reasons: tuple[str, ...]) -> None:
    """Lost upcalls, more slow than fast packets at over 1,000 a second, and a restart are named; in 10 s here."""
    before = {"n1": SwitchCounters(7, hit=0, missed=0, lost=0)}
    assert assess_switches(before, {"n1": after} if after else {}, 10.0).reasons == reasons


_SHOWN = """{datapath}:
  lookups: hit:242 missed:15 lost:200
  flows: 7
  port 0: ovs-netdev (internal)
"""
_COVERAGE = """\
Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=f88c1e8d:
datapath_drop_upcall_error   0.0/sec     0.050/sec        0.0008/sec   total: 3
datapath_drop_lock_error   0.0/sec     0.017/sec        0.0003/sec   total: 1
datapath_drop_userspace_action_error   0.0/sec     1.667/sec        0.0278/sec   total: 100
90 events never hit
"""


@pytest.mark.parametrize(
    ("datapath", "coverage", "lost"),
    [
        ("netdev@ovs-netdev", "90 events never hit\n", 0),
        ("netdev@ovs-netdev", _COVERAGE, 4),
        ("system@ovs-system", "90 events never hit\n", 200),
    ],
)
def test_only_what_was_dropped_is_lost(datapath: str, coverage: str, lost: int) -> None:
    """The userspace datapath calls lost what it keeps no flow for; what it dropped are two coverage counters."""
    assert parse_switch(7, _SHOWN.format(datapath=datapath), coverage) == SwitchCounters(7, 242, 15, lost)


def _states(*moments: tuple[float, int, int]) -> list[PlaneState]:
    return [
        PlaneState(at, {"generation": wanted}, {"n1": {"generation": realised}, "n2": {"generation": 9}})
        for at, wanted, realised in moments
    ]


@pytest.mark.parametrize(
    ("moments", "lag"),
    [
        ([(0, 5, 5), (1, 5, 5)], 0),
        ([(0, 5, 5), (1, 6, 5), (2, 7, 5), (3, 8, 7), (4, 8, 8)], 2),
        ([(0, 5, 5), (1, 6, 5), (9, 6, 5)], 8),
        ([(0, 5, 0), (7, 9, 5)], 7),
        ([], 0),
    ],
)
def test_lag_is_how_long_a_change_waited(moments: list[tuple[float, int, int]], lag: float) -> None:
    """From when a version was seen first until all nodes have it, or until the end."""
    assert longest_lag(_states(*moments)) == lag


def test_a_controller_that_is_six_seconds_behind_is_suspect() -> None:
    """Five seconds are allowed."""
    assert assess_controller(_states((0, 6, 5), (5, 6, 6))).reasons == ()
    reason = "the controller was behind: a change waited 6.0 s for the nodes' flows"
    assert assess_controller(_states((0, 6, 5), (6, 6, 6))).reasons == (reason,)


def test_a_node_that_is_cut_off_on_purpose_excuses_what_waits_for_it_alone() -> None:
    """Of a change that waits 20 s for n1 and 8 s for n2, n1 crashed: it waited 8 s; 20 s when n2 was; 0 when both."""
    states = [
        PlaneState(at, {"generation": 6}, {"n1": {"generation": 0}, "n2": {"generation": second}})
        for at, second in ((0.0, 5), (8.0, 6), (20.0, 6))
    ]
    assert [longest_lag(states, cut) for cut in ((), ("n1",), ("n2",), ("n1", "n2"))] == [20, 8, 20, 0]
    reason = "the controller was behind: a change waited 8.0 s for the nodes' flows"
    assert assess_controller(states, excused={"n1"}).reasons == (reason,)


def _echoes(*waits: tuple[float, float], pids: tuple[int, ...] = ()) -> list[Answer]:
    """Echoes that waited, and what the controller computed meanwhile, seconds."""
    numbers = pids or (7,) * len(waits)
    return [Answer(float(at), *wait, pid) for at, (wait, pid) in enumerate(zip(waits, numbers, strict=True))]


QUICK = (0.002, 0.0)


@pytest.mark.parametrize(
    ("answers", "reasons"),
    [
        ([], ("the controller's answers were not watched",)),
        ([Answer(0.0, 2.3, 0.5, 7, 1.7)], ()),
        (
            [Answer(0.0, 2.4, 0.1, 7, 0.9)],
            (
                "the controller stood still: it computed 0.1 s while an echo waited 1.5 s",
                "the controller was slow: 1 of 1 echoes waited more than 0.2 s",
            ),
        ),
        (_echoes(QUICK, (0.9, 0.0), QUICK, QUICK, QUICK), ()),
        (_echoes((8.0, 7.9), (3.0, 2.9)), ()),
        (
            _echoes(*[QUICK] * 9, (1.24, 0.04)),
            ("the controller stood still: it computed 0.0 s while an echo waited 1.2 s",),
        ),
        (
            _echoes(QUICK, QUICK, (0.3, 0.0), (0.25, 0.1), (0.4, 0.1)),
            ("the controller was slow: 2 of 5 echoes waited more than 0.2 s",),
        ),
        (
            _echoes((5.0, 0.5), QUICK, pids=(7, 8)),
            (
                "the controller stood still: it computed 0.5 s while an echo waited 5.0 s",
                "the controller was slow: 1 of 2 echoes waited more than 0.2 s",
                "the controller was started again during the run",
            ),
        ),
    ],
)
def test_the_controller_is_judged_by_its_answers(answers: list[Answer], reasons: tuple[str, ...]) -> None:
    """One wait of over a second, a fifth of over 0.2 s, another process, no answer at all.

    What it computed itself is no wait, nor that the asking program was late.
    """
    assert assess_answers(answers).reasons == reasons


def test_who_stopped_asking_the_controller_is_named() -> None:
    """The error that ended it is the reason, beside those of the answers until then."""
    reason = "the controller's answers were not watched: PermissionError: setns"
    assert assess_answers(_echoes(QUICK), unasked="PermissionError: setns").reasons == (reason,)
