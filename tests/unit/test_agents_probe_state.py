"""What probes decide about a container, on a clock of the test's own."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.probes.spec import Exec, Kind, Probe, probes_of
from agents.probes.state import Before, Health, Outcome, ProbeState, first_state

STARTUP, LIVENESS, READINESS = (Probe(kind, Exec(("true",))) for kind in Kind)
GOOD, BAD, ERROR = Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR


def run(state: ProbeState, kind: Kind, outcome: Outcome, at: float) -> ProbeState:
    """One run that takes no time."""
    assert kind in [probe.kind for probe in state.due(at)], f"{kind} is not due at {at}"
    return state.begin(kind, at).conclude(kind, outcome, at)


def kinds(state: ProbeState, at: float) -> list[Kind]:
    return [probe.kind for probe in state.due(at)]


def test_the_wire_objects_values_and_defaults() -> None:
    """Numbers that are missing are Kubernetes' defaults: period 10, timeout 1, thresholds 1 and 3."""
    wire = {"readinessProbe": {"exec": {"command": ["true"]}}}
    assert probes_of(wire) == (Probe(Kind.READINESS, Exec(("true",)), 0.0, 10.0, 1.0, 1, 3, None),)
    wire["livenessProbe"] = {
        "exec": {"command": ["x"]}, "initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 3,
        "successThreshold": 1, "failureThreshold": 5, "terminationGracePeriodSeconds": 6,
    }  # fmt: skip
    assert probes_of(wire)[0] == Probe(Kind.LIVENESS, Exec(("x",)), 1.0, 2.0, 3.0, 1, 5, 6)


def test_without_a_run_readiness_has_failed_and_liveness_has_passed() -> None:
    """A container with a startup probe has not even started."""
    assert first_state([LIVENESS, READINESS], -1, 0).health == Health(started=True, ready=False)
    assert first_state([LIVENESS], -1, 0).health == Health(started=True, ready=True)
    assert first_state([STARTUP], -1, 0).health == Health(started=False, ready=False)


def test_the_first_run_comes_at_once_after_the_initial_delay_and_then_each_period() -> None:
    """Started at 100 with a delay of 5: due at 105; begun at 106, due again at 116, not before it has ended."""
    state = first_state([replace(LIVENESS, initial_delay=5.0)], 100, 101)
    assert (state.next_due, kinds(state, 104.9), kinds(state, 105)) == (105, [], [Kind.LIVENESS])
    state = state.begin(Kind.LIVENESS, 106)
    assert (state.next_due, kinds(state, 200)) == (None, [])
    state = state.conclude(Kind.LIVENESS, GOOD, 120)
    assert (state.next_due, kinds(state, 120)) == (116, [Kind.LIVENESS])


def test_a_program_that_has_just_started_is_not_asked_at_once() -> None:
    """The first run comes 0.2 s after the start at the earliest."""
    assert first_state([READINESS], 100, 100.05).next_due == 100.2
    assert first_state([READINESS], 100, 103).next_due == 103


def test_until_it_has_been_ready_once_a_container_is_asked_more_often() -> None:
    """After 1, 2, 4, 8 s and then each period of 10; once it has passed, whole periods, whatever follows."""
    state = first_state([READINESS], -1, 0)
    gaps, now = [], 0.0
    for outcome in [BAD] * 6 + [GOOD] + [BAD] * 5:
        state = run(state, Kind.READINESS, outcome, now)
        assert state.next_due is not None
        gaps.append(state.next_due - now)
        now = state.next_due
    assert gaps == [1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10, 10]
    short = first_state([replace(READINESS, period=1.0)], -1, 0)
    assert run(short, Kind.READINESS, BAD, 0).next_due == 1


def test_a_new_agent_spreads_the_first_runs_over_a_period_and_keeps_what_was_known() -> None:
    """A container found ready stays ready until its probe says otherwise; the run waits for the jitter."""
    state = first_state([STARTUP, READINESS], 0, 1000, Before(started=True, ready=True), jitter=0.25)
    assert state.health == Health(started=True, ready=True)
    assert (state.next_due, kinds(state, 1002.5)) == (1002.5, [Kind.READINESS])


def test_thresholds_count_equal_outcomes_in_a_row() -> None:
    """Readiness with thresholds 2 and 3: each change of outcome begins to count anew; errors count as nothing."""
    state = first_state([replace(READINESS, success_threshold=2)], -1, 0)
    seen = []
    for turn, outcome in enumerate([GOOD, BAD, GOOD, GOOD, BAD, BAD, GOOD, BAD, BAD, ERROR, BAD, GOOD]):
        state = run(state, Kind.READINESS, outcome, 10.0 * turn)
        seen.append(state.ready)
    assert seen == [False, False, False, True, True, True, True, True, True, True, False, False]


def test_a_failed_liveness_probe_stops_and_asks_for_the_containers_end() -> None:
    """After three failures; readiness goes on until the container has ended."""
    state = first_state([LIVENESS, READINESS], -1, 0)
    for turn in range(3):
        assert state.failed is None
        state = run(state, Kind.LIVENESS, BAD, 10.0 * turn)
    assert state.failed == LIVENESS
    assert kinds(state, 1000) == [Kind.READINESS]


def test_the_startup_probe_holds_the_others_back() -> None:
    """They begin when it has passed, at once, or after their own delay from the container's start; it runs no more."""
    state = first_state([STARTUP, replace(LIVENESS, initial_delay=100.0), READINESS], -1, 0)
    assert kinds(state, 1000) == [Kind.STARTUP]
    state = run(state, Kind.STARTUP, BAD, 0)
    state = run(state, Kind.STARTUP, GOOD, 10)
    assert state.health == Health(started=True, ready=False)
    assert (kinds(state, 10), kinds(state, 100)) == ([Kind.READINESS], [Kind.LIVENESS, Kind.READINESS])


def test_a_startup_probe_that_fails_asks_for_the_containers_end() -> None:
    """With failureThreshold 1 at the first failure; nothing is probed after that."""
    probe = replace(STARTUP, failure_threshold=1)
    state = run(first_state([probe, LIVENESS, READINESS], -1, 0), Kind.STARTUP, BAD, 0)
    assert state.health == Health(started=False, ready=False, failed=probe)
    assert state.next_due is None


def test_while_the_pod_is_being_deleted_only_readiness_goes_on() -> None:
    """A startup probe that has not passed counts as passed, so that readiness can be told at all."""
    state = first_state([STARTUP, LIVENESS, READINESS], -1, 0).begin(Kind.STARTUP, 0).terminate(3)
    assert state.health == Health(started=True, ready=False)
    assert kinds(state, 3) == [Kind.READINESS]
    assert state.conclude(Kind.STARTUP, BAD, 4).health == state.health, "an outcome on its way changes nothing"
    state = run(state, Kind.READINESS, GOOD, 3)
    assert state.ready
    for turn in range(1, 4):
        state = run(state, Kind.READINESS, BAD, 3 + 10.0 * turn)
    assert state.health == Health(started=True, ready=False)


_TURNS = st.lists(
    st.tuples(st.sampled_from([GOOD, BAD, ERROR]), st.floats(0, 20), st.sampled_from([False] * 9 + [True])), max_size=60
)


@settings(deadline=None)
@given(
    declared=st.sets(st.sampled_from([STARTUP, LIVENESS, READINESS])),
    thresholds=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    delay=st.floats(0, 30),
    turns=_TURNS,
)
def test_whatever_happens_the_verdicts_follow_from_the_last_outcomes(
    declared: set[Probe], thresholds: tuple[int, int], delay: float, turns: list[tuple[Outcome, float, bool]]
) -> None:
    """Against an oracle that keeps all outcomes: ready, failed and started are what the last ones in a row say; no
    probe runs before its delay, before the container has started, or twice at once."""
    success, failure = thresholds
    probes = [
        replace(
            probe,
            success_threshold=success if probe.kind is Kind.READINESS else 1,
            failure_threshold=failure,
            initial_delay=delay,
        )
        for probe in declared
    ]
    state = first_state(probes, -1, 0)
    outcomes: dict[Kind, list[bool]] = {probe.kind: [] for probe in probes}
    expected = {Kind.STARTUP: None, Kind.LIVENESS: True, Kind.READINESS: False}
    now = 0.0
    for outcome, pause, terminates in turns:
        now += pause
        if terminates:
            state = state.terminate(now)
            expected |= {Kind.STARTUP: True, Kind.LIVENESS: True}
        for probe in state.due(now):
            kind = probe.kind
            assert now >= delay - 1, "a second after the start at -1"
            assert (kind is Kind.STARTUP) is (not state.started), "startup alone, then the others"
            assert not (state.terminating and kind is not Kind.READINESS)
            state = state.begin(kind, now)
            assert kind not in kinds(state, now + 1000)
            state = state.conclude(kind, outcome, now)
            if outcome is not ERROR:
                outcomes[kind].append(outcome is GOOD)
            for verdict, threshold in ((True, probe.success_threshold), (False, failure)):
                row = outcomes[kind][-threshold:]
                if len(row) == threshold and set(row) == {verdict}:
                    expected[kind] = verdict
        started = Kind.STARTUP not in outcomes or expected[Kind.STARTUP] is True
        assert state.started is started
        assert state.ready is (started and (Kind.READINESS not in outcomes or expected[Kind.READINESS] is True))
        bad = [kind for kind in (Kind.STARTUP, Kind.LIVENESS) if kind in outcomes and expected[kind] is False]
        assert (state.failed.kind if state.failed else None) == (bad[0] if bad else None)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_probe_slower_than_its_period_runs_again_at_once_and_never_twice(kind: Kind) -> None:
    """Begun at 0 with period 10, ended at 25: due at 25; not due while it runs."""
    state = first_state([replace(STARTUP, kind=kind)], -1, 0).begin(kind, 0)
    assert state.due(24) == ()
    assert state.conclude(kind, BAD, 25).due(25) != ()
