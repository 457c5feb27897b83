"""The parts of a report that say what was found. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from experiments.records import NOTHING, TIMES, Analysis, Table, Verdict
from experiments.results.analysing import WANTED_HALF_WIDTH, Answer, Row
from experiments.results.claims import ClaimResult, Outcome
from experiments.results.document import Block, Box, Fold, Grid, Heading, Items, Paragraph
from experiments.results.loading import Results
from experiments.results.wording import change, interval, levels_text, number, p_text, signed, with_unit
from experiments.runstats import FEW_RUNS
from experiments.stats import Estimate

_SHOWN: Final = 5
"""Reasons in the box on top; the table of runs has all."""
_SAID: Final = 5
"""Comparisons in the finding; the tables have all."""
_MOST_RUNS: Final = 1000
"""Nobody makes more; the metric is not one that can be known so well."""


def verdict_box(results: Results) -> Box:
    """How many runs can be believed, and the most frequent reasons why others cannot."""
    used = results.runs[results.runs["excluded"] == ""]
    kinds = Counter(used["verdict"])
    left_out = len(results.runs) - len(used)
    worst = max((Verdict(kind) for kind in kinds), key=list(Verdict).index, default=Verdict.INVALID)
    title = f"{len(used)} of {results.planned} planned runs are used: " + (
        ", ".join(f"{kinds[verdict.value]} {verdict.value}" for verdict in Verdict if kinds[verdict.value]) or "none"
    )
    missing = results.planned - len(results.runs)
    words = [
        f"{left_out} failed or invalid ones are left out." if left_out else "",
        f"{missing} were not made." if missing > 0 else "",
        "Invalid runs are among them because that was asked for." if kinds[Verdict.INVALID.value] else "",
        "The machine kept up and the links were as declared." if worst is Verdict.VALID and used.size else "",
    ]
    reasons = Counter(results.verdicts[results.verdicts["reason"] != ""]["reason"])
    items = tuple(
        f"{reason} ({count} {'runs' if count > 1 else 'run'})" for reason, count in reasons.most_common(_SHOWN)
    )
    more = len(reasons) - len(items)
    return Box(
        worst.value,
        f"{title}.",
        " ".join(filter(None, words)),
        (*items, *([f"{more} more reasons"] if more > 0 else [])),
    )


def finding(answers: Sequence[Answer], claims: Sequence[ClaimResult]) -> str:
    """Which claims are shown and which are not; where none is either, what the first comparisons say.

    Without comparisons, each condition's first value.
    """
    if any(one.outcome in (Outcome.SHOWN, Outcome.NOT_SHOWN) for one in claims):
        return " ".join(_outcome_words(claims))
    compared = [row for answer in answers for row in answer.rows if row.contrast is not None]
    if compared:
        first = {(row.metric, tuple(row.levels.items())): row for row in reversed(compared)}
        rows = list(reversed(first.values()))
        more = len(rows) - _SAID
        rest = [f"The tables have {more} more comparison{'s' if more > 1 else ''}."] if more > 0 else []
        return " ".join([*map(_compared_words, rows[:_SAID]), *rest])
    for answer in answers:
        wanted = answer.design.statistics[0]
        if rows := [row for row in answer.rows if row.statistic == wanted]:
            values = "; ".join(
                f"{levels_text(row.levels)}: {with_unit(number(row.found.value), row.unit)} {interval(row.found)}"
                for row in rows
            )
            return f"{answer.design.metric}, {wanted}: {values}."
    return "There is no usable sample: nothing can be said."


def _outcome_words(claims: Sequence[ClaimResult]) -> Iterator[str]:
    """A sentence for each outcome; claims that are settled with their text."""
    for outcome in Outcome:
        of_it = [one.claim for one in claims if one.outcome is outcome]
        settled = outcome in (Outcome.SHOWN, Outcome.NOT_SHOWN)
        said = [f"{one.text.rstrip('.')} ({one.identity})" if settled else one.identity for one in of_it]
        if said:
            yield f"{outcome.value.capitalize()}: {('; ' if settled else ', ').join(said)}."


def _compared_words(row: Row) -> str:
    assert row.contrast is not None
    against = {name: level for name, level in (row.baseline or {}).items() if row.levels[name] != level}
    own = {name: row.levels[name] for name in against}
    rest = {name: level for name, level in row.levels.items() if name not in own}
    where = f" ({levels_text(rest)})" if rest else ""
    difference, ratio = row.contrast.difference, row.contrast.ratio
    share = f", {change(ratio)}" if ratio is not None else ""
    if row.found.repetitions == 1:
        return (
            f"{row.metric}, {row.statistic}: {levels_text(own)} against {levels_text(against)} was "
            f"{with_unit(signed(difference.value), row.unit)} in one run each{where}: the next may say otherwise."
        )
    clear = "" if difference.low > 0 or difference.high < 0 else "; the interval holds zero"
    return (
        f"{row.metric}, {row.statistic}: {levels_text(own)} differs from {levels_text(against)} by "
        f"{with_unit(signed(difference.value), row.unit)} [{signed(difference.low)}, {signed(difference.high)}]"
        f"{share}{where}{clear}."
    )


def claims_blocks(results: Results, claims: Sequence[ClaimResult]) -> Iterator[Block]:
    """Claims with what is measured, and published results beside them."""
    if claims:
        yield Heading("Claims")
        rows = tuple(
            (one.claim.identity, one.claim.text, one.outcome.value, one.words, one.verdict.value) for one in claims
        )
        caption = (
            "Shown: value and 95 % interval agree with the claim. Not shown: both contradict it. Unclear: the interval "
            "holds values of both kinds, or there is one run, which says nothing about the next. Differences up to the "
            "claim's tolerance count as none."
        )
        yield Grid(Table(("claim", "text", "outcome", "measured", "runs"), rows, caption))
    if results.design.published:
        outcomes = {one.claim.identity: one.outcome for one in claims}
        yield Heading("Published results beside it")
        beside = tuple(
            (
                one.source,
                one.says,
                ", ".join(f"{name} {outcomes.get(name, Outcome.NO_DATA).value}" for name in one.claims) or NOTHING,
                one.why_not or NOTHING,
            )
            for one in results.design.published
        )
        yield Grid(Table(("published", "says", "here", "why it differs"), beside))


def answer_blocks(answer: Answer, shown: set[tuple[object, ...]]) -> Iterator[Block]:
    """The tables of one analysis; values that stand above already (`shown`) are not said again."""
    free = [name for name in answer.by if name not in answer.design.where]
    by = f"by {' and '.join(free)}" if free else "of all runs"
    by += f" with {levels_text(answer.design.where)}" if answer.design.where else ""
    name = answer.design.title or f"{answer.design.metric} {by}"
    yield Heading(name, 3)
    rows = [row for row in answer.rows if _key(row) not in shown]
    compared = [row for row in answer.rows if row.contrast is not None and ("compared", *_key(row)) not in shown]
    shown.update(_key(row) for row in rows)
    shown.update(("compared", *_key(row)) for row in compared)
    if rows:
        yield Grid(_values(answer, rows))
    if compared:
        yield Grid(_comparisons(answer, compared))
    if answer.rows and not rows and not compared:
        yield Paragraph("Its values are in the table above.")
    notes = list(answer.notes)
    if rows and (few := min(row.found.repetitions for row in rows)) < FEW_RUNS:
        runs = f"{few} run{'s' if few > 1 else ''}"
        notes.append(f"With {runs} an interval says little more than the range: {FEW_RUNS} are the fewest for 95 %.")
    if notes:
        yield Items(tuple(notes))


def _key(row: Row) -> tuple[object, ...]:
    return (row.metric, row.statistic, *row.levels.items())


def _values(answer: Answer, rows: Sequence[Row]) -> Table:
    columns = (
        *answer.by,
        *("statistic", f"median of the runs{f', {answer.unit}' if answer.unit else ''}", "95 % interval"),
        *("runs", "samples", f"runs for ± {WANTED_HALF_WIDTH:.0%}", "verdict"),
    )
    cells = tuple(
        (
            *row.levels.values(),
            row.statistic,
            number(row.found.value),
            interval(row.found),
            str(row.found.repetitions),
            str(row.found.samples),
            _needed(row.needed),
            _verdict(row),
        )
        for row in rows
    )
    return Table(columns, cells)


def _needed(runs: int | None) -> str:
    if runs is None:
        return NOTHING
    return str(runs) if runs <= _MOST_RUNS else f"> {_MOST_RUNS}"


def _verdict(row: Row) -> str:
    if row.verdict is Verdict.VALID:
        return row.verdict.value
    return f"{row.verdict.value} ({row.verdicts[row.verdict.value]} of {row.found.repetitions})"


def _comparisons(answer: Answer, rows: Sequence[Row]) -> Table:
    unit = f", {answer.unit}" if answer.unit else ""
    columns = (
        *(f"{', '.join(answer.by)}", "against", "statistic", f"difference{unit}", "ratio"),
        *(f"shift (Hodges-Lehmann){unit}", "Cliff's delta", "p", "p corrected"),
    )
    cells = []
    for row in rows:
        effect = row.contrast
        assert effect is not None
        against = {name: level for name, level in (row.baseline or {}).items() if row.levels[name] != level}
        ratio = effect.ratio
        cells.append(
            (
                ", ".join(row.levels.values()),
                levels_text(against),
                row.statistic,
                _signed(effect.difference),
                NOTHING if ratio is None else f"{TIMES}{number(ratio.value)} {interval(ratio)}",
                _signed(effect.shift),
                f"{effect.delta.value:+.2f} [{effect.delta.low:+.2f}, {effect.delta.high:+.2f}]",
                p_text(effect.p_value),
                NOTHING if row.p_corrected is None else p_text(row.p_corrected),
            )
        )
    return Table(columns, tuple(cells))


def _signed(found: Estimate) -> str:
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"


def meaning_blocks(answers: Sequence[Answer]) -> Iterator[Block]:
    """What the numbers of the tables are, once."""
    rows = [row for answer in answers for row in answer.rows]
    if rows:
        texts = [
            "Median of the runs: the statistic of each run's samples, and its median over the runs. 95 % intervals are "
            "percentile intervals of a two-level bootstrap (runs, then samples).",
            f"Runs for ± {WANTED_HALF_WIDTH:.0%}: how many would narrow the interval to that; it narrows with the "
            "square root of their number.",
        ]
        contrasts = [row.contrast for row in rows if row.contrast is not None]
        if contrasts:
            paired = any(one.paired for one in contrasts)
            test = "Wilcoxon's signed-rank test on runs of one block" if paired else "Mann and Whitney's test"
            texts += [
                "Difference and ratio: of the medians. Shift: the median of the differences between runs. Cliff's "
                "delta: how much more often a run is above one of the baseline than below it.",
                f"p: {test}, two-sided, by permutation; corrected for all comparisons of this report by Holm's method.",
            ]
        yield Fold("What the numbers mean", (Items(tuple(texts)),))


def own_blocks(own: Analysis) -> Iterator[Block]:
    """The table and notes of an experiment's own analysis."""
    yield Grid(own.table)
    if own.notes:
        yield Items(own.notes)
