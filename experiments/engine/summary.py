"""summary.csv and summary.json of an experiment with an analysis of its own."""

from pathlib import Path
from typing import Final

from experiments.engine.files import GrowingTable
from experiments.folder import write_json
from experiments.records import Analysis, SummaryRow

COLUMNS: Final = (
    *("source", "target", "metric", "statistic", "value", "low", "high", "confidence", "unit", "samples"),
    *("repetitions", "declared", "verdict", "reasons"),
)


def write_summary(path: Path, analysis: Analysis) -> None:
    """Write both files into the results folder."""
    levels = dict.fromkeys(name for row in analysis.rows for name in row.levels)
    table = GrowingTable(path / "summary.csv", (*levels, *COLUMNS))
    table.add(_flat(row) for row in analysis.rows)
    table.close()
    write_json(
        path / "summary.json",
        {
            "finding": analysis.finding,
            "verdict": analysis.assessment.verdict,
            "reasons": analysis.assessment.reasons,
            "notes": analysis.notes,
            "rows": [_flat(row) for row in analysis.rows],
        },
    )


def _flat(row: SummaryRow) -> dict[str, object]:
    return {
        **row.levels,
        "source": row.source,
        "target": row.target,
        "metric": row.metric,
        "statistic": row.statistic,
        "value": row.estimate.value,
        "low": row.estimate.low,
        "high": row.estimate.high,
        "confidence": row.estimate.confidence,
        "unit": row.unit,
        "samples": row.estimate.samples,
        "repetitions": row.estimate.repetitions,
        "declared": row.declared,
        "verdict": row.assessment.verdict.value,
        "reasons": "; ".join(row.assessment.reasons),
    }
