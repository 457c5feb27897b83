"""report.html, report.md, figures and the summary of a results folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from experiments.records import Analysis, Figure, SummaryRow, Table
from experiments.results import layout
from experiments.results.analysing import Answer, Row, analyse
from experiments.results.circumstances import (
    design_blocks,
    event_blocks,
    excluded_blocks,
    link_blocks,
    machine_blocks,
)
from experiments.results.claims import ClaimResult, evaluate
from experiments.results.document import Block, Box, Grid, Heading, Paragraph, Picture, to_html, to_markdown
from experiments.results.figures import draw
from experiments.results.loading import Results
from experiments.results.sections import answer_blocks, claims_blocks, finding, meaning_blocks, own_blocks, verdict_box
from experiments.results.writing import put, put_csv, put_figure, put_json
from experiments.stats import Estimate
from kubinet.errors import InvalidInputError, KubinetError

_ESTIMATES: Final = ("difference", "ratio", "shift", "delta")


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what it says."""

    page: Path
    text: Path
    finding: str
    answers: tuple[Answer, ...]
    claims: tuple[ClaimResult, ...]
    tables: tuple[Table, ...]
    """Those that answer the question, each with its heading as the caption where it has none."""


def report(results: Results, own: Analysis | None = None) -> Report:
    """Write report.html, report.md, figures/, summary.csv and summary.json into the results' folder.

    `own`: what an experiment's own analysis found; it comes first.
    """
    # An analysis of its own says what matters; the generic one joins it where the design asks for something.
    answers = analyse(results) if own is None or results.design.analysis else ()
    claims = evaluate(results)
    pictures: dict[str, bytes] = {}

    def drawn(figure: Figure) -> Picture:
        pictures[figure.name] = put_figure(results.path, figure)
        return Picture(figure.name, figure.caption)

    found = own.finding if own is not None else finding(answers, claims)
    blocks: list[Block] = [
        Heading(results.design.name, 1),
        Paragraph(results.design.question),
        Box("finding", "Finding.", found),
        verdict_box(results),
        *claims_blocks(results, claims),
        Heading("Results"),
    ]
    answering: list[Block] = [] if own is None else [*own_blocks(own), *map(drawn, own.figures)]
    answering += _answers(results, answers, drawn)
    blocks += answering
    blocks += meaning_blocks(answers)
    blocks += [*excluded_blocks(results), *event_blocks(results), *design_blocks(results)]
    if (picture := topology_figure(results)) is not None:
        blocks.append(drawn(picture))
    blocks += [*link_blocks(results), *machine_blocks(results)]
    footer = (
        f"{results.path.resolve().name}: the files beside this page hold everything that was measured; README.md says "
        f"which. `kubinet report` makes this page again from them."
    )
    _summarise(results, found, answers, claims, own)
    return Report(
        put(results.path / layout.PAGE, to_html(f"{results.design.name} - Kubinet", blocks, pictures, footer)),
        put(results.path / layout.TEXT, to_markdown(blocks, footer)),
        found,
        answers,
        claims,
        tuple(_tables(answering)),
    )


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    heading = ""
    for block in blocks:
        if isinstance(block, Heading):
            heading = block.text
        elif isinstance(block, Grid):
            yield block.table if block.table.caption else replace(block.table, caption=heading)


def _answers(results: Results, answers: Sequence[Answer], drawn: Callable[[Figure], Picture]) -> Iterator[Block]:
    shown: set[tuple[object, ...]] = set()
    for number, answer in enumerate(answers, 1):
        yield from answer_blocks(answer, shown)
        if answer.rows:
            try:
                yield drawn(draw(results, answer.design, f"{number:02}-{_file_name(answer.design.metric)}"))
            except InvalidInputError as error:
                yield Paragraph(f"There is no figure: {error}.")


def _file_name(metric: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in metric.lower()).strip("-")


def topology_figure(results: Results) -> Figure | None:
    """The first run's network as a picture; None where the folder has no topology."""
    from topologies.graph import draw as draw_topology  # noqa: PLC0415 - loads the topologies' schema
    from topologies.resolve import load_topology  # noqa: PLC0415

    for record in results.records:
        path = record.folder / layout.TOPOLOGY
        if path.is_file():
            try:
                drawing = draw_topology(load_topology(path))
            except KubinetError:
                return None
            caption = f"The network of run {record.planned.index}; factors may have changed it in other runs."
            return Figure("topology", caption, drawing)
    return None


def _summarise(
    results: Results, found: str, answers: Sequence[Answer], claims: Sequence[ClaimResult], own: Analysis | None
) -> None:
    # A row that several analyses have is there once, with its comparison where one of them has it.
    every = sorted((row for answer in answers for row in answer.rows), key=lambda row: row.contrast is None)
    known = {_identity(row): row for row in reversed(every)}
    rows = [] if own is None else [_flat_own(row) for row in own.rows]
    rows += [_flat(known.pop(key)) for answer in answers for row in answer.rows if (key := _identity(row)) in known]
    names = [*(name for row in own.rows for name in row.levels)] if own is not None else []
    names += [name for answer in answers for name in answer.by]
    columns = (
        *dict.fromkeys((*names, *("source", "target") * (own is not None))),
        *(
            "metric",
            "statistic",
            "value",
            "low",
            "high",
            "unit",
            "runs",
            "samples",
            "verdict",
            "reasons",
            "declared",
            "runs_needed",
            "baseline",
        ),
        *(f"{name}{part}" for name in _ESTIMATES for part in ("", "_low", "_high")),
        *("p_value", "p_corrected"),
    )
    put_csv(results.path / layout.SUMMARY, columns, rows)
    runs = results.runs
    put_json(
        results.path / layout.SUMMARY_DOCUMENT,
        {
            "experiment": results.design.name,
            "question": results.design.question,
            "finding": found,
            "include_invalid": results.include_invalid,
            "runs": {
                "planned": results.planned,
                "made": len(runs),
                "used": int((runs["excluded"] == "").sum()),
                "verdicts": {str(name): int(count) for name, count in runs["verdict"].value_counts().items()},
                "excluded": {str(row["run"]): row["excluded"] for row in runs.to_dict("records") if row["excluded"]},
            },
            "claims": [claim_document(one) for one in claims],
            "rows": rows,
        },
    )


def claim_document(found: ClaimResult) -> dict[str, object]:
    """A claim's result as JSON has it."""
    measured = found.measured
    return {
        "id": found.claim.identity,
        "text": found.claim.text,
        "outcome": found.outcome.value,
        "measured": found.words,
        "value": None if measured is None else measured.value,
        "low": None if measured is None else measured.low,
        "high": None if measured is None else measured.high,
        "relation": found.claim.relation,
        "bound": found.bound,
        "tolerance": found.claim.tolerance,
        "unit": found.unit,
        "runs": found.verdict.value,
    }


def _flat_own(row: SummaryRow) -> dict[str, object]:
    return {
        **row.levels,
        "source": row.source,
        "target": row.target,
        "metric": row.metric,
        "statistic": row.statistic,
        "value": row.estimate.value,
        "low": row.estimate.low,
        "high": row.estimate.high,
        "unit": row.unit,
        "runs": row.estimate.repetitions,
        "samples": row.estimate.samples,
        "verdict": row.assessment.verdict.value,
        "reasons": "; ".join(row.assessment.reasons),
        "declared": row.declared,
    }


def _identity(row: Row) -> tuple[object, ...]:
    return (row.metric, row.statistic, *row.levels.items())


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {
        **row.levels,
        "metric": row.metric,
        "statistic": row.statistic,
        "value": row.found.value,
        "low": row.found.low,
        "high": row.found.high,
        "unit": row.unit,
        "runs": row.found.repetitions,
        "samples": row.found.samples,
        "verdict": row.verdict.value,
        "runs_needed": row.needed,
    }
    if row.contrast is not None:
        flat["baseline"] = ", ".join(f"{name}={level}" for name, level in (row.baseline or {}).items())
        for name in _ESTIMATES:
            found: Estimate | None = getattr(row.contrast, name)
            if found is not None:
                flat |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        flat |= {"p_value": row.contrast.p_value, "p_corrected": row.p_corrected}
    return flat
