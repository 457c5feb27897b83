"""The outcome in words and numbers: the table, the finding, the lines of summary.csv. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from experiments.records import NOTHING, SummaryRow, Table
from experiments.service_load_balancing.analysis import EVEN_P, PERCENTS, Outcome
from experiments.service_load_balancing.plan import Design
from experiments.stats import Estimate
from kubinet.state import Algorithm

_COLUMNS: Final = (
    *("algorithm", "connections per endpoint", "max/min", "χ² p", "moved [95 %]", "of it needless"),
    *("p50 ms", "p95 ms", "p99 ms [95 %]", "to the slow one", "connections/s", "validity"),
)

_NO_RIVALS: Final = (Algorithm.WEIGHTED, Algorithm.SOURCE_HASH)
"""Not compared in the finding by their p99: the weights say which endpoint is slow, and where source-hash places a few
clients is chance."""


def table(made: Design, found: Sequence[Outcome], direct: Estimate | None) -> Table:
    """One row an algorithm, as it is printed."""
    reference = (
        "" if direct is None else f" The endpoints in turn, without a Service: {direct.value:.0f} connections/s."
    )
    caption = (
        f"Moved: of the same clients and source ports, the share whose endpoint changed when 1 of {made.endpoints} "
        f"left; at least about 1/{made.endpoints} must. Request times under {made.requests_per_s:g} requests/s with "
        f"one endpoint {made.slow_factor:g} times slower ({made.service_ms * made.slow_factor:g} ms).{reference}"
    )
    return Table(_COLUMNS, tuple(_row(made, one) for one in found), caption)


def _row(made: Design, one: Outcome) -> tuple[str, ...]:
    least = min(one.counts.values())
    p50, p95, p99 = one.times or (None, None, None)
    moved, needless = (one.disruption.moved, one.disruption.needless) if one.disruption else (None, None)
    return (
        one.algorithm,
        " ".join(str(number) for number in one.counts.values()),
        f"{max(one.counts.values()) / least:.2f}" if least else "∞",
        NOTHING if one.p_value is None else f"{one.p_value:.3f}",
        NOTHING if moved is None else f"{moved.value:.1%} [{moved.low:.1%}, {moved.high:.1%}]",
        NOTHING if needless is None else f"{needless.value:.1%}",
        NOTHING if p50 is None else f"{p50.value:.1f}",
        NOTHING if p95 is None else f"{p95.value:.0f}",
        NOTHING if p99 is None else f"{p99.value:.0f} [{p99.low:.0f}, {p99.high:.0f}]",
        f"{one.work[made.slow].value:.1%}" if one.work else NOTHING,
        NOTHING if one.rate is None else f"{one.rate.value:.0f}",
        one.assessment.verdict.value,
    )


def finding(made: Design, found: Sequence[Outcome]) -> str:
    """The answer in words."""
    parts = []
    even = [one.algorithm for one in found if one.even]
    uneven = [one.algorithm for one in found if one.p_value is not None and not one.even]
    if even:
        parts.append(f"As evenly as they should (χ², p ≥ {EVEN_P:g}): {', '.join(even)}.")
    if uneven:
        parts.append(f"Not as evenly as they should: {', '.join(uneven)}.")
    moved = sorted(
        (one.disruption.needless.value, one.disruption.moved.value, one.algorithm) for one in found if one.disruption
    )
    if len(moved) > 1:
        few, many = moved[0], moved[-1]
        parts.append(
            f"When 1 of {made.endpoints} endpoints leaves, {few[2]} moves {few[1]:.1%} of the connections "
            f"({few[0]:.1%} needlessly), {many[2]} {many[1]:.1%} ({many[0]:.1%} needlessly)."
        )
    timed = sorted(
        (one.times[2].value, one.algorithm) for one in found if one.times and one.algorithm not in _NO_RIVALS
    )
    if len(timed) > 1:
        told = next((one for one in found if one.algorithm == Algorithm.WEIGHTED and one.times), None)
        parts.append(
            f"With one endpoint {made.slow_factor:g} times slower, {timed[0][1]} has the lowest p99 of those that must "
            f"find out which ({timed[0][0]:.0f} ms; the others {timed[1][0]:.0f} to {timed[-1][0]:.0f} ms)"
            + ("." if told is None else f"; weighted, which is told, has {told.times[2].value:.0f} ms.")
        )
    return " ".join(parts) or f"Only {found[0].algorithm} was measured."


def rows(made: Design, found: Sequence[Outcome]) -> Iterator[SummaryRow]:
    """Every statistic of every algorithm."""
    for one in found:
        yield from _rows(made, one)


def _rows(made: Design, one: Outcome) -> Iterator[SummaryRow]:
    def row(metric: str, statistic: str, estimate: Estimate, unit: str, *, target: str = "endpoints") -> SummaryRow:
        declared = None
        if metric == "connections":
            declared = one.ideal[target]
        elif statistic == "share moved":
            declared = 1 / made.endpoints
        elif statistic == "share moved needlessly":
            declared = 0.0
        return SummaryRow(
            levels={"algorithm": one.algorithm},
            source="clients",
            target=target,
            metric=metric,
            statistic=statistic,
            estimate=estimate,
            unit=unit,
            declared=declared,
            assessment=one.assessment,
        )

    for name, share in one.shares.items():
        yield row("connections", "share", share, "", target=name)
    if one.p_value is not None:
        total = sum(one.counts.values())
        exact = Estimate(one.p_value, one.p_value, one.p_value, total, one.shares[made.slow].repetitions)
        yield row("connections of all", "χ² p-value", exact, "")
    if one.disruption is not None:
        yield row("disruption", "share moved", one.disruption.moved, "")
        yield row("disruption", "share that had to move", one.disruption.least, "")
        yield row("disruption", "share moved needlessly", one.disruption.needless, "")
    for percent, estimate in zip(PERCENTS, one.times, strict=False):
        yield row("request time", f"p{percent:g}", estimate, "ms")
    for name, share in one.work.items():
        yield row("requests", "share", share, "", target=name)
    if one.rate is not None:
        yield row("connection rate", "mean", one.rate, "1/s")
