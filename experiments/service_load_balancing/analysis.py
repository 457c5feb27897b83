"""From samples to the answer: what each algorithm did, with intervals and a verdict. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.records import Analysis, Assessment, Recording, Sample, Verdict
from experiments.service_load_balancing.bench import (
    CONNECTION,
    CONNECTION_AFTER,
    CONNECTION_RATE,
    CONNECTIONS_FAILED,
    LEFT,
    REQUEST_FAILED,
    REQUEST_LATE,
    REQUEST_TIME,
)
from experiments.service_load_balancing.plan import DIRECT, Design, design
from experiments.stats import Estimate, chi_square, derived_seed, mean, percentile, percentiles
from experiments.validity.machine import assess_machine, seconds_of
from kubinet.errors import KubinetError
from kubinet.state import Algorithm

PERCENTS: Final = (50.0, 95.0, 99.0)
EVEN_P: Final = 0.01
"""Below this p-value a distribution is not the ideal one."""
_LATE_MS: Final = 20.0
"""A load client that starts its requests later than this (95th percentile) is itself what is slow."""
_FAILED: Final = 0.01
"""More failures than this (share) make a measurement suspect."""

_AIM_ELSEWHERE: Final = (Algorithm.SOURCE_HASH, Algorithm.LEAST_CONNECTIONS)
"""source-hash places clients, not connections; least-connections makes open connections even, not new ones."""

Repetitions = dict[int, list[float]]


@dataclass(frozen=True, slots=True)
class Disruption:
    """What happened to the same source ports when an endpoint left; shares of connections."""

    moved: Estimate
    least: Estimate
    """The share that had to move: those on the endpoint that left."""
    needless: Estimate
    """The share that moved although its endpoint stayed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything known about one algorithm."""

    algorithm: str
    ideal: Mapping[str, float]
    """Endpoint to the share that it should get."""
    counts: Mapping[str, int]
    """Endpoint to connections, over all repetitions."""
    shares: Mapping[str, Estimate]
    p_value: float | None
    """Chi-square against the ideal; None for algorithms that do not aim at one (`_AIM_ELSEWHERE`)."""
    endpoints_per_client: int
    """The most endpoints that one client saw within one repetition."""
    disruption: Disruption | None
    times: tuple[Estimate, ...]
    """p50, p95, p99 of request times in ms; empty without requests."""
    work: Mapping[str, Estimate]
    """Endpoint to its share of the requests."""
    rate: Estimate | None
    """Connections per second."""
    assessment: Assessment

    @property
    def even(self) -> bool:
        """Whether the distribution is the ideal one."""
        return self.p_value is not None and self.p_value >= EVEN_P


def analyse(recording: Recording) -> Analysis:
    """The experiment's answer; KubinetError when no algorithm has samples of its connections."""
    from experiments.service_load_balancing.figures import figures  # noqa: PLC0415 - matplotlib is slow to import
    from experiments.service_load_balancing.summary import finding, rows, table  # noqa: PLC0415 - needs Outcome

    made = design(recording.parameters)
    found = tuple(one for name in made.algorithms if (one := outcome(recording, made, name)) is not None)
    if not found:
        raise KubinetError("service_load_balancing: no samples; the run stopped before its first measurements")
    direct = direct_rate(recording)
    assessment = Assessment().merged(
        *(
            Assessment(one.assessment.verdict, tuple(f"{one.algorithm}: {reason}" for reason in one.assessment.reasons))
            for one in found
        )
    )
    return Analysis(
        finding=finding(made, found),
        rows=tuple(rows(made, found)),
        table=table(made, found, direct),
        figures=figures(made, found, direct, request_times(recording)),
        assessment=assessment,
        notes=tuple(recording.notes),
    )


def request_times(recording: Recording) -> Mapping[str, Sequence[float]]:
    """Algorithm to all its request times, ms."""
    times: dict[str, list[float]] = defaultdict(list)
    for one in recording.samples:
        if one.metric == REQUEST_TIME:
            times[one.levels["algorithm"]].append(one.value)
    return times


def direct_rate(recording: Recording) -> Estimate | None:
    """Connections per second to the endpoints themselves."""
    values = _by_repetition(_of(recording.samples, DIRECT), CONNECTION_RATE)
    return mean(list(values.values()), seed=derived_seed(recording.seed, DIRECT)) if values else None


def outcome(recording: Recording, made: Design, algorithm: str) -> Outcome | None:
    """What the samples say about one algorithm; None without any of its connections."""
    samples = _of(recording.samples, algorithm)
    answered = [one for one in samples if one.metric == CONNECTION and one.value]
    if not answered:
        return None

    def seed(what: str) -> int:
        return derived_seed(recording.seed, algorithm, what)

    ideal = made.ideal(algorithm)
    counted = Counter(one.target for one in answered)
    counts = {name: counted[name] for name in made.backends}
    times = _by_repetition(samples, REQUEST_TIME)
    rates = _by_repetition(samples, CONNECTION_RATE)
    tested = algorithm not in _AIM_ELSEWHERE
    return Outcome(
        algorithm=algorithm,
        ideal=ideal,
        counts=counts,
        shares=_shares(answered, made.backends, seed("shares")),
        p_value=chi_square(list(counts.values()), list(ideal.values()), seed=seed("chi-square")) if tested else None,
        endpoints_per_client=_endpoints_per_client(answered),
        disruption=_disruption(samples, seed("disruption")),
        times=percentiles(list(times.values()), PERCENTS, seed=seed("times")) if times else (),
        work=_shares([one for one in samples if one.metric == REQUEST_TIME], made.backends, seed("work")),
        rate=mean(list(rates.values()), seed=seed("rate")) if rates else None,
        assessment=_assessment(recording, algorithm, samples),
    )


def _of(samples: Sequence[Sample], algorithm: str) -> list[Sample]:
    return [one for one in samples if one.levels["algorithm"] == algorithm]


def _by_repetition(samples: Sequence[Sample], metric: str) -> Repetitions:
    grouped: Repetitions = defaultdict(list)
    for one in samples:
        if one.metric == metric:
            grouped[one.repetition].append(one.value)
    return grouped


def _shares(samples: Sequence[Sample], backends: Sequence[str], seed: int) -> Mapping[str, Estimate]:
    targets: dict[int, list[str]] = defaultdict(list)
    for one in samples:
        targets[one.repetition].append(one.target)
    if not targets:
        return {}
    return {
        name: mean([[float(target == name) for target in group] for group in targets.values()], seed=seed)
        for name in backends
    }


def _endpoints_per_client(answered: Sequence[Sample]) -> int:
    seen: dict[tuple[int, str], set[str]] = defaultdict(set)
    for one in answered:
        seen[one.repetition, one.source].add(one.target)
    return max(len(targets) for targets in seen.values())


def _disruption(samples: Sequence[Sample], seed: int) -> Disruption | None:
    """Compares the ports that were answered both times."""
    left = {one.repetition: one.target for one in samples if one.metric == LEFT}
    before = {
        (one.repetition, one.source, one.sequence): one.target
        for one in samples
        if one.metric == CONNECTION and one.value
    }
    moved: Repetitions = defaultdict(list)
    forced: Repetitions = defaultdict(list)
    needless: Repetitions = defaultdict(list)
    for one in samples:
        server = before.get((one.repetition, one.source, one.sequence))
        if one.metric != CONNECTION_AFTER or not one.value or server is None:
            continue
        must = server == left[one.repetition]
        moved[one.repetition].append(float(one.target != server))
        forced[one.repetition].append(float(must))
        needless[one.repetition].append(float(one.target != server and not must))
    if not moved:
        return None
    # One seed: the three draw the same repetitions.
    return Disruption(*(mean(list(groups.values()), seed=seed) for groups in (moved, forced, needless)))


def _assessment(recording: Recording, algorithm: str, samples: Sequence[Sample]) -> Assessment:
    cells = [cell for cell in recording.cells if cell.levels["algorithm"] == algorithm]
    machine = [
        Assessment(found.verdict, tuple(f"{metric}: {reason}" for reason in found.reasons))
        for metric in dict.fromkeys(cell.metric for cell in cells)
        for found in [assess_machine(seconds_of([cell for cell in cells if cell.metric == metric], recording.machine))]
    ]
    return Assessment().merged(*machine, *_failures(samples), _lateness(samples))


def _failures(samples: Sequence[Sample]) -> list[Assessment]:
    def values(metric: str) -> list[float]:
        return [one.value for one in samples if one.metric == metric]

    tried = values(CONNECTION) + values(CONNECTION_AFTER)
    counted = {
        "connections were not answered": (tried.count(0.0), len(tried)),
        "requests were not answered": (len(values(REQUEST_FAILED)), len(values(REQUEST_LATE))),
    }
    found = [
        Assessment(Verdict.SUSPECT, (f"{failed} of {total} {what}",))
        for what, (failed, total) in counted.items()
        if total and failed / total > _FAILED
    ]
    if failed := sum(values(CONNECTIONS_FAILED)):
        found.append(Assessment(Verdict.SUSPECT, (f"rate: {failed:g} connections failed",)))
    return found


def _lateness(samples: Sequence[Sample]) -> Assessment:
    late = [one.value for one in samples if one.metric == REQUEST_LATE]
    if not late or percentile(late, 95) <= _LATE_MS:
        return Assessment()
    reason = f"requests: the clients started them {percentile(late, 95):.0f} ms late (p95), so the load was another"
    return Assessment(Verdict.SUSPECT, (reason,))
