"""Whether switches and controller kept up: pure rules over upcalls, over what waited for flows, over echoes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from experiments.records import Assessment, Verdict
from experiments.validity.answers import Answer
from experiments.validity.counters import SwitchCounters
from experiments.validity.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class PlaneState:
    """What the API holds and what each node's flows include, at one moment; fields of `Dataplane/cluster`."""

    time_s: float
    """CLOCK_MONOTONIC."""
    wanted: Mapping[str, int]
    realised: Mapping[str, Mapping[str, int]]
    """By node."""


def assess_switches(
    before: Mapping[str, SwitchCounters],
    after: Mapping[str, SwitchCounters],
    span_s: float,
    limits: Limits = DEFAULT_LIMITS,
) -> Assessment:
    """Judge each node's Open vSwitch by its counters at both ends of `span_s` seconds."""
    found = Assessment()
    for node, first in before.items():
        last = after.get(node)
        if last is None:
            found = found.merged(_suspect(f"node {node}: its Open vSwitch did not answer at the end"))
        elif last.pid != first.pid:
            found = found.merged(_suspect(f"node {node}: its Open vSwitch was restarted during the run"))
        else:
            found = found.merged(_upcalls(node, first, last, span_s, limits))
    return found


def _upcalls(node: str, first: SwitchCounters, last: SwitchCounters, span_s: float, limits: Limits) -> Assessment:
    lost, missed, hit = last.lost - first.lost, last.missed - first.missed, last.hit - first.hit
    found = Assessment()
    if lost > 0:
        found = _suspect(f"node {node}: Open vSwitch lost {lost} packets on the slow path (upcalls)")
    rate = missed / span_s if span_s > 0 else 0.0
    if rate > limits.upcall_rate and missed > limits.upcall_share * (hit + missed):
        share = missed / (hit + missed)
        found = found.merged(
            _suspect(f"node {node}: {share:.0%} of the packets took Open vSwitch's slow path, {rate:.0f} a second")
        )
    return found


def longest_lag(states: Sequence[PlaneState], excused: Collection[str] = ()) -> float:
    """The longest time, seconds, that a change in the API waited for the nodes' flows, as far as it was seen.

    Nobody waits for `excused` nodes; where there are no others, nothing waits.
    """
    longest = 0.0
    waiting: dict[str, list[tuple[int, float]]] = {}
    for state in states:
        judged = [fields for node, fields in state.realised.items() if node not in excused]
        if state.realised and not judged:
            continue
        for field, wanted in state.wanted.items():
            realised = min((fields.get(field, 0) for fields in judged), default=0)
            queue = waiting.setdefault(field, [])
            if not queue or queue[-1][0] < wanted:
                queue.append((wanted, state.time_s))
            while queue and queue[0][0] <= realised:
                longest = max(longest, state.time_s - queue.pop(0)[1])
            if queue:
                longest = max(longest, state.time_s - queue[0][1])
    return longest


def assess_controller(
    states: Sequence[PlaneState], limits: Limits = DEFAULT_LIMITS, *, excused: Collection[str] = ()
) -> Assessment:
    """Judge the controller by how long changes waited for nodes that are not `excused`."""
    lag = longest_lag(states, excused)
    if lag <= limits.controller_s:
        return Assessment()
    return _suspect(f"the controller was behind: a change waited {lag:.1f} s for the nodes' flows")


def assess_answers(answers: Sequence[Answer], limits: Limits = DEFAULT_LIMITS, *, unasked: str = "") -> Assessment:
    """Judge a cluster's controller by its answers to echoes.

    What it computed meanwhile is no delay, nor that the asking program did not run. `unasked`: why it was not asked
    until the end, if so.
    """
    if not answers or unasked:
        found = _suspect(f"the controller's answers were not watched{f': {unasked}' if unasked else ''}")
    else:
        found = Assessment()
    longest = max(answers, key=_idle_s, default=None)
    if longest is not None and _idle_s(longest) > limits.answer_s:
        waited = f"while an echo waited {longest.waited_s - longest.late_s:.1f} s"
        found = found.merged(_suspect(f"the controller stood still: it computed {longest.computed_s:.1f} s {waited}"))
    late = sum(_idle_s(one) > limits.late_answer_s for one in answers)
    if late > limits.busy_share * len(answers):
        found = found.merged(
            _suspect(
                f"the controller was slow: {late} of {len(answers)} echoes waited more than {limits.late_answer_s:g} s"
            )
        )
    if len({one.pid for one in answers}) > 1:
        found = found.merged(_suspect("the controller was started again during the run"))
    return found


def _idle_s(one: Answer) -> float:
    return one.waited_s - one.late_s - one.computed_s


def _suspect(reason: str) -> Assessment:
    return Assessment(Verdict.SUSPECT, (reason,))
