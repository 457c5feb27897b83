"""Put a full run's results into the catalogue's pages: `tools/publish_results.py RESULTS...`.

The report becomes `docs/experiments/results/NAME.md`, its figures `docs/images/experiments/NAME/`, and the page's part
between the two marks tells machine, runs, claims and the first figures. Run again to replace them.
"""

import json
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
BEGIN = "<!-- measured: written by tools/publish_results.py -->"
END = "<!-- measured: end -->"
_FIGURE = re.compile(r"!\[(?P<text>[^]]*)\]\(figures/(?P<file>[^)]+)\)")
_MOST_FIGURES = 3


def publish(folder: Path) -> None:
    """Copy report and figures of one results folder and rewrite its experiment's page."""
    summary, session, machine = (_json(folder / name) for name in ("summary.json", "session.json", "machine.json"))
    name = summary["experiment"]
    if session["state"] != "complete" or "--quick" in session["sessions"][0]["command_line"]:
        sys.exit(f"{folder}: state {session['state']}; only full, complete runs are published")
    report = (folder / "report.md").read_text(encoding="utf-8")
    images = DOCS / "images" / "experiments" / name
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    for match in _FIGURE.finditer(report):
        shutil.copy(folder / "figures" / match["file"], images)
    whole = _FIGURE.sub(rf"![\g<text>](../../images/experiments/{name}/\g<file>)", report)
    target = DOCS / "experiments" / "results" / f"{name}.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(whole, encoding="utf-8")
    figures = [one for one in _FIGURE.finditer(report) if not one["file"].startswith("topology")][:_MOST_FIGURES]
    lines = [
        BEGIN,
        "",
        "## Measured",
        "",
        _circumstances(summary, session, machine),
        "",
        *_claims(report),
        *(line for one in figures for line in (f"![{one['text']}](../images/experiments/{name}/{one['file']})", "")),
        f"All tables and figures, links and machine: [report](results/{name}.md).",
        "",
        END,
    ]
    page = DOCS / "experiments" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text:
        sys.exit(f"{page}: no line {BEGIN!r}; put it and {END!r} where the results are to stand")
    before, _, rest = text.partition(BEGIN)
    page.write_text(before + "\n".join(lines) + rest.partition(END)[2], encoding="utf-8")
    print(page)


def _circumstances(summary: dict[str, Any], session: dict[str, Any], machine: dict[str, Any]) -> str:
    seconds = sum(one["seconds"] for one in session["sessions"])
    began = datetime.fromisoformat(session["sessions"][0]["started"])
    load = max(one["load_before"][0] for one in session["sessions"])
    runs = summary["runs"]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in runs["verdicts"].items())
    return (
        f"`kubinet run {summary['experiment']}` on {began:%Y-%m-%d %H:%M} UTC: {runs['made']} runs in "
        f"{seconds / 60:.1f} minutes, {verdicts}; {machine['cpus_usable']} CPUs ({machine['cpu_model']}), Linux "
        f"{machine['kernel']}, load average {load:.1f} before. Intervals are 95 %."
    )


def _claims(report: str) -> list[str]:
    _, _, rest = report.partition("\n## Claims\n")
    rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [*rows, ""] if rows else []


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        publish(Path(argument))
