"""The self-contained HTML page of a run: no script, no other file, every text escaped."""

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.design.model import ExperimentDesign
from experiments.records import NOTHING, TIMES, Analysis, Assessment, Recording, SummaryRow, Table, Verdict

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1b1f24; }
body { margin: 0 auto; max-width: 1160px; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid #d0d7de; }
.question { font-size: 17px; color: #444; margin: 0 0 16px; }
.finding { background: #f2f7fc; border-left: 4px solid #0072B2; padding: 10px 16px; margin: 12px 0; }
.verdict { border-left: 4px solid; padding: 10px 16px; margin: 12px 0; }
.valid { border-color: #009E73; background: #eefaf5; } .suspect { border-color: #E69F00; background: #fff8e8; }
.invalid { border-color: #D55E00; background: #fdeee6; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; margin: 8px 0; }
caption { caption-side: bottom; text-align: left; color: #555; padding-top: 6px; }
th, td { padding: 5px 10px; border-bottom: 1px solid #d0d7de; text-align: right; vertical-align: top; }
th { background: #f6f8fa; vertical-align: bottom; } td { white-space: nowrap; } td.text { white-space: normal; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
td.text { text-align: left; }
figure { margin: 16px 0 28px; } figure img { width: 100%; max-width: 1000px; height: auto; }
figcaption { color: #444; font-size: 14px; max-width: 1000px; }
footer { color: #666; font-size: 13px; margin-top: 40px; border-top: 1px solid #d0d7de; padding-top: 8px; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that goes into the page."""

    caption: str
    data: bytes
    media_type: str


def page(
    directory: Path, design: ExperimentDesign, recording: Recording, analysis: Analysis, pictures: Sequence[Picture]
) -> str:
    """The whole document; reads session.json, machine.json, versions.json of the results folder and a run's timings."""
    session, machine, versions = (_load(directory / f"{name}.json") for name in ("session", "machine", "versions"))
    first, last = session["sessions"][0], session["sessions"][-1]
    runs = sorted((directory / "runs").glob("*/run.json"))
    timings = _load(runs[0]).get("timings") or {} if runs else {}
    body = [
        f"<h1>{_text(design.name)}</h1>",
        f'<p class="question">{_text(design.question)}</p>',
        f'<div class="finding"><strong>Finding.</strong> {_text(analysis.finding)}</div>',
        _verdict(analysis.assessment),
        "<h2>Result</h2>",
        html_table(analysis.table),
        _list(analysis.notes),
        *(_figure(number, picture) for number, picture in enumerate(pictures, 1)),
        "<h2>Every statistic</h2>",
        html_table(statistics_table(analysis.rows)),
        "<h2>Links: measured against declared</h2>",
        _links(recording),
        "<h2>Design</h2>",
        _facts(
            {
                **{
                    f"factor {factor.name}": f"{', '.join(level.name for level in factor.levels)}: {factor.meaning}"
                    for factor in design.factors
                },
                **{f"parameter {name}": value for name, value in recording.parameters.items()},
                "repetitions": f"{design.repetitions}, each in a cluster of its own",
                "seed": recording.seed,
                "run order": f"{design.order}; design.json has it in full",
                "intervals": "95 %, percentile intervals of a two-level bootstrap (repetitions, then samples), "
                "2000 resamples (Davison and Hinkley 1997, 3.8)",
                "started": first["started"],
            }
        ),
        "<h2>Machine</h2>",
        _facts({**machine, "load before": first["load_before"], "load after": last["load_after"]}),
        "<h2>Versions</h2>",
        _facts(versions),
        "<h2>Time to ready (first run)</h2>",
        _facts({name: f"{seconds:.2f} s" for name, seconds in timings.items()}) if timings else "<p>Not known.</p>",
        f"<footer>{_text(directory.name)} — runs.csv, runs/ and the other files beside this page hold everything "
        "that was measured.</footer>",
    ]
    title = f"{design.name} — Kubinet"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def html_table(table: Table) -> str:
    """A table; cells are text."""
    head = "".join(f"<th>{_text(column)}</th>" for column in table.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td{_alignment(cell)}>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def statistics_table(rows: Iterable[SummaryRow]) -> Table:
    """summary.csv for people."""
    cells = tuple(
        (
            ", ".join(row.levels.values()),
            f"{row.source} → {row.target}",
            row.metric,
            row.statistic,
            f"{row.estimate.value:.4g}",
            f"[{row.estimate.low:.4g}, {row.estimate.high:.4g}]",
            row.unit or TIMES,
            NOTHING if row.declared is None else f"{row.declared:.4g}",
            str(row.estimate.samples),
            row.assessment.verdict.value,
        )
        for row in rows
    )
    columns = (
        *("cell", "from → to", "metric", "statistic", "value", "95 % interval", "unit", "declared", "samples"),
        "verdict",
    )
    return Table(columns, cells)


def _verdict(assessment: Assessment) -> str:
    words = {
        Verdict.VALID: "The machine kept up and the links were as declared.",
        Verdict.SUSPECT: "Read these numbers with care:",
        Verdict.INVALID: "Do not use these numbers:",
    }[assessment.verdict]
    kind = assessment.verdict.value
    return f'<div class="verdict {kind}"><strong>Verdict: {kind}.</strong> {words}{_list(assessment.reasons)}</div>'


def _figure(number: int, picture: Picture) -> str:
    data = base64.b64encode(picture.data).decode("ascii")
    caption = _text(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:{picture.media_type};base64,{data}">'
        f"<figcaption><strong>Figure {number}.</strong> {caption}</figcaption></figure>"
    )


def _links(recording: Recording) -> str:
    if not recording.links:
        return "<p>Not measured apart; the bare underlay above is compared with the declared delays and rates.</p>"
    rows = tuple(
        (
            check.name,
            check.quantity,
            NOTHING if check.declared is None else f"{check.declared:.4g} {check.unit}",
            NOTHING if check.measured is None else f"{check.measured:.4g} {check.unit}",
            "yes" if check.within_tolerance else "no",
        )
        for check in recording.links
    )
    return html_table(Table(("link", "quantity", "declared", "measured", "within tolerance"), rows))


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f'<tr><td>{_text(name.replace("_", " "))}</td><td class="text">{_value(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f'<div class="scroll"><table><tbody>\n{rows}\n</tbody></table></div>'


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "<br>".join(f"{_text(str(key))}: {_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return _text(", ".join(f"{item:.2f}" if isinstance(item, float) else str(item) for item in value))
    return NOTHING if value is None else _text(str(value))


def _list(items: Iterable[str]) -> str:
    entries = "".join(f"<li>{_text(item)}</li>" for item in items)
    return f"<ul>{entries}</ul>" if entries else ""


def _alignment(cell: str) -> str:
    return "" if cell[:1].isdigit() or cell[:1] in (NOTHING, "+", "-", TIMES, "[") else ' class="text"'


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _load(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else {}
