"""From samples to the answer: effects with intervals, a verdict per way, the table and the finding. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.links import delay_is_close
from experiments.pod_latency.plan import BARE, MEANINGS, PATHS, POD, RTT, THROUGHPUT, WIRE, placements
from experiments.records import NOTHING, TIMES, Analysis, Assessment, Recording, Sample, SummaryRow, Table, Verdict
from experiments.stats import Effect, Estimate, derived_seed, effects, percentiles
from experiments.topology import network_of, underlay_of
from experiments.underlay_path import DeclaredPath
from experiments.validity.machine import assess_links, assess_machine, seconds_of
from kubinet.errors import KubinetError

PERCENTS: Final = (50.0, 95.0, 99.0)
_UNITS: Final = {RTT: "ms", THROUGHPUT: "Mbit/s"}
_LOSS_SLACK: Final = 0.01
"""Echo requests may be lost this much (share) above what the links declare before the row is suspect."""

Repetitions = dict[int, list[float]]


@dataclass(frozen=True, slots=True)
class Way:
    """Everything known about one way through the network."""

    path: str
    declared: DeclaredPath
    goodput_bare: float | None
    """The most TCP payload that the bottleneck can carry between nodes, Mbit/s."""
    goodput_pod: float | None
    """The same between pods: the overlay's headers take their share."""
    rtt: Mapping[str, tuple[Estimate, ...]]
    """Network to p50, p95, p99 in ms."""
    rtt_effects: tuple[Effect, ...]
    """Pod against bare at p50, p95, p99; empty within one node."""
    throughput: Mapping[str, Estimate]
    """Network to the median over repetitions, Mbit/s."""
    throughput_effect: Effect | None
    assessment: Mapping[str, Assessment]
    """Metric to verdict."""

    @property
    def verdict(self) -> Assessment:
        """Both metrics together, each reason with its metric."""
        named = [
            Assessment(item.verdict, tuple(f"{metric}: {reason}" for reason in item.reasons))
            for metric, item in self.assessment.items()
        ]
        return Assessment().merged(*named)


def analyse(recording: Recording) -> Analysis:
    """The experiment's answer; KubinetError when no way has samples of both metrics."""
    from experiments.pod_latency.figures import figures  # noqa: PLC0415 - matplotlib is slow to import

    ways = tuple(way for path in PATHS if (way := _way(recording, path)) is not None)
    if not ways:
        raise KubinetError("pod_latency: no way has samples; the run stopped before its first measurements")
    assessment = Assessment().merged(
        *(
            Assessment(way.verdict.verdict, tuple(f"{way.path}, {reason}" for reason in way.verdict.reasons))
            for way in ways
        )
    )
    _, left_out = placements(underlay_of(recording.topology), int(recording.parameters["placement"]))
    return Analysis(
        finding=finding(ways),
        rows=tuple(row for way in ways for row in _rows(way)),
        table=table(ways),
        figures=figures(ways, samples_by_network(recording.samples)),
        assessment=assessment,
        notes=(*left_out, *recording.notes, *_resolution_notes(recording.samples)),
    )


def samples_by_network(samples: Sequence[Sample]) -> dict[tuple[str, str, str], Repetitions]:
    """(path, network, metric) to the values of each repetition."""
    grouped: dict[tuple[str, str, str], Repetitions] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        grouped[sample.levels["path"], sample.levels["network"], sample.metric][sample.repetition].append(sample.value)
    return grouped


def _way(recording: Recording, path: str) -> Way | None:
    grouped = samples_by_network(recording.samples)
    if not grouped.get((path, POD, RTT)) or not grouped.get((path, POD, THROUGHPUT)):
        return None
    cells = [cell for cell in recording.cells if cell.levels["path"] == path]
    declared = underlay_of(recording.topology).path(cells[0].source, cells[0].target)
    network = network_of(recording.topology)
    rtt: dict[str, tuple[Estimate, ...]] = {}
    throughput: dict[str, Estimate] = {}
    rtt_effects: tuple[Effect, ...] = ()
    throughput_effect: Effect | None = None
    pod_rtt, bare_rtt = _paired(grouped[path, POD, RTT], grouped.get((path, BARE, RTT), {}))
    pod_rate, bare_rate = _paired(grouped[path, POD, THROUGHPUT], grouped.get((path, BARE, THROUGHPUT), {}))
    if bare_rtt and bare_rate:
        rtt_effects = effects(pod_rtt, bare_rtt, PERCENTS, seed=derived_seed(recording.seed, path, RTT))
        throughput_effect = effects(pod_rate, bare_rate, [50], seed=derived_seed(recording.seed, path, THROUGHPUT))[0]
        rtt = {
            BARE: tuple(effect.baseline for effect in rtt_effects),
            POD: tuple(effect.condition for effect in rtt_effects),
        }
        throughput = {BARE: throughput_effect.baseline, POD: throughput_effect.condition}
    else:
        rtt = {POD: percentiles(pod_rtt, PERCENTS, seed=derived_seed(recording.seed, path, RTT))}
        throughput = {POD: percentiles(pod_rate, [50], seed=derived_seed(recording.seed, path, THROUGHPUT))[0]}
    wire_rtt, wire_rate = grouped.get((path, WIRE, RTT)), grouped.get((path, WIRE, THROUGHPUT))
    if wire_rtt and wire_rate:
        seed = derived_seed(recording.seed, path, WIRE)
        rtt[WIRE] = percentiles(list(wire_rtt.values()), PERCENTS, seed=seed)
        throughput[WIRE] = percentiles(list(wire_rate.values()), [50], seed=seed)[0]
    links = assess_links(check for check in recording.links if check.name in {link.name for link in declared.links})
    machine = {
        metric: assess_machine(seconds_of([cell for cell in cells if cell.metric == metric], recording.machine))
        for metric in (RTT, THROUGHPUT)
    }
    return Way(
        path=path,
        declared=declared,
        goodput_bare=declared.goodput_mbit(network.underlay_mtu),
        goodput_pod=declared.goodput_mbit(network.pod_mtu, network.overlay.overhead),
        rtt=rtt,
        rtt_effects=rtt_effects,
        throughput=throughput,
        throughput_effect=throughput_effect,
        assessment={
            RTT: machine[RTT].merged(links, _against_delay(declared, rtt), _against_loss(declared, grouped, path)),
            THROUGHPUT: machine[THROUGHPUT].merged(links, _against_rate(declared, network.underlay_mtu, throughput)),
        },
    )


def _paired(condition: Repetitions, baseline: Repetitions) -> tuple[list[list[float]], list[list[float]]]:
    """The repetitions that both have; all of the condition's where there is no baseline."""
    if not baseline:
        return [condition[key] for key in sorted(condition)], []
    both = sorted(condition.keys() & baseline.keys())
    return [condition[key] for key in both], [baseline[key] for key in both]


def _against_delay(declared: DeclaredPath, rtt: Mapping[str, tuple[Estimate, ...]]) -> Assessment:
    if BARE not in rtt:
        return Assessment()
    measured = rtt[BARE][0].value
    if delay_is_close(declared.rtt_ms, measured):
        return Assessment()
    return Assessment(
        Verdict.SUSPECT, (f"the bare underlay's RTT is {measured:.3g} ms where {declared.rtt_ms:.3g} ms is declared",)
    )


def _against_rate(declared: DeclaredPath, packet_bytes: int, throughput: Mapping[str, Estimate]) -> Assessment:
    limit = declared.goodput_mbit(packet_bytes)
    if BARE not in throughput or limit is None:
        return Assessment()
    measured = throughput[BARE].value
    if 0.90 * limit <= measured <= 1.05 * limit:
        return Assessment()
    return Assessment(
        Verdict.SUSPECT,
        (f"the bare underlay carries {measured:.3g} Mbit/s where {limit:.3g} Mbit/s fit the declared rate",),
    )


def _against_loss(declared: DeclaredPath, grouped: Mapping[tuple[str, str, str], Repetitions], path: str) -> Assessment:
    reasons = []
    for network in (WIRE, BARE, POD):
        lost = sum(sum(values) for values in grouped.get((path, network, "echo requests lost"), {}).values())
        kept = sum(len(values) for values in grouped.get((path, network, RTT), {}).values())
        if kept and lost / (lost + kept) > declared.round_trip_loss + _LOSS_SLACK:
            reasons.append(
                f"{network}: {lost / (lost + kept):.1%} of the echo requests were lost where the links declare "
                f"{declared.round_trip_loss:.1%}"
            )
    return Assessment(Verdict.SUSPECT, tuple(reasons)) if reasons else Assessment()


def _rows(way: Way) -> list[SummaryRow]:
    rows: list[SummaryRow] = []

    def add(network: str, metric: str, statistic: str, estimate: Estimate, declared: float | None) -> None:
        rows.append(
            SummaryRow(
                levels={"path": way.path, "network": network},
                source=way.declared.source,
                target=way.declared.target,
                metric=metric,
                statistic=statistic,
                estimate=estimate,
                unit="" if statistic.endswith("ratio") else _UNITS[metric],
                declared=declared,
                assessment=way.assessment[metric],
            )
        )

    for network, estimates in way.rtt.items():
        for percent, estimate in zip(PERCENTS, estimates, strict=True):
            add(network, RTT, f"p{percent:g}", estimate, way.declared.rtt_ms)
    for network, estimate in way.throughput.items():
        limit = way.goodput_pod if network == POD else way.goodput_bare
        add(network, THROUGHPUT, "p50", estimate, limit)
    measured = [(RTT, percent, effect) for percent, effect in zip(PERCENTS, way.rtt_effects, strict=False)]
    if way.throughput_effect is not None:
        measured.append((THROUGHPUT, 50.0, way.throughput_effect))
    for metric, percent, effect in measured:
        add("pod - bare", metric, f"p{percent:g} difference", effect.difference, None)
        add("pod / bare", metric, f"p{percent:g} ratio", effect.ratio, None)
    return rows


def table(ways: Sequence[Way]) -> Table:
    """One row a way, as it is printed."""
    columns = (
        *("path", "declared RTT ms", "wire p50 ms", "bare p50 ms", "pod p50 ms [95 %]", "pod p95", "pod p99"),
        *("pod - bare at p50 [95 %]", "TCP wire Mbit/s", "TCP bare Mbit/s", "TCP pod Mbit/s", "declared Mbit/s"),
        "validity",
    )
    rows = []
    for way in ways:
        wire, bare, pod = way.rtt.get(WIRE), way.rtt.get(BARE), way.rtt[POD]
        rows.append(
            (
                *(way.path, f"{way.declared.rtt_ms:.2f}"),
                *(_value(base[0]) if base else NOTHING for base in (wire, bare)),
                *(_with_interval(pod[0]), _value(pod[1]), _value(pod[2]), _cost(way)),
                *(_rate(way.throughput.get(network)) for network in (WIRE, BARE)),
                _rate(way.throughput[POD]),
                NOTHING if way.declared.bottleneck_mbit is None else f"{way.declared.bottleneck_mbit:g}",
                way.verdict.verdict.value,
            )
        )
    caption = (
        "Medians with 95 % bootstrap intervals. Declared RTT: twice the links' delays. Declared Mbit/s: the slowest "
        "link's rate, headers included; TCP columns count payload only. "
        + " ".join(f"{name[0].upper()}{name[1:]}: {meaning}." for name, meaning in MEANINGS.items())
    )
    return Table(columns, tuple(rows), caption)


def _cost(way: Way) -> str:
    if not way.rtt_effects:
        return NOTHING
    effect = way.rtt_effects[0]
    difference = effect.difference
    return (
        f"{difference.value:+.3f} ms [{difference.low:+.3f}, {difference.high:+.3f}], {TIMES}{effect.ratio.value:.2f}"
    )


def _value(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}"


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _rate(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else f"{estimate.value:.1f}"


def finding(ways: Sequence[Way]) -> str:
    """The answer in words: the farthest way with a baseline, and the way within one node."""
    parts = []
    for way in reversed(ways):
        if way.rtt_effects and way.throughput_effect is not None:
            rtt, rate = way.rtt_effects[0], way.throughput_effect
            parts.append(
                f"{way.path[0].upper()}{way.path[1:]}: the overlay changes the median RTT by "
                f"{rtt.difference.value:+.3f} ms (95 % interval {rtt.difference.low:+.3f} to "
                f"{rtt.difference.high:+.3f} ms, {TIMES}{rtt.ratio.value:.2f}) and TCP throughput by "
                f"{rate.ratio.value - 1:+.1%} ({rate.ratio.low - 1:+.1%} to {rate.ratio.high - 1:+.1%})."
            )
        else:
            parts.append(
                f"{way.path[0].upper()}{way.path[1:]}: median RTT {way.rtt[POD][0].value:.3f} ms, "
                f"TCP {way.throughput[POD].value:.0f} Mbit/s between pods."
            )
    return " ".join(parts)


def _resolution_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    coarsest = max((sample.value for sample in samples if sample.metric == "ping resolution"), default=0.0)
    if coarsest < 0.1:
        return ()
    return (
        f"ping prints round-trip times of this size in steps of {coarsest:g} ms: differences below that are not seen",
    )
