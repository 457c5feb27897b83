"""Put a full run's results into the catalogue's pages: `tools/publish_results.py RESULTS...`.

The report becomes `docs/experiments/results/NAME.md`, its figures `docs/images/experiments/NAME/`, and the page's part
between the two marks tells machine, runs, claims and the first figures. Run again to replace them.
"""

import json
import re
import shutil
import sys
from collections.abc import Sequence
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
    if session["state"] != "complete":
        sys.exit(f"{folder}: state {session['state']}; `kubinet run --resume {folder}` completes it")
    page = DOCS / "experiments" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page}: put the lines {BEGIN!r} and {END!r} where the results are to stand")
    report = (folder / "report.md").read_text(encoding="utf-8")
    images = DOCS / "images" / "experiments" / name
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    for match in _FIGURE.finditer(report):
        shutil.copy(folder / "figures" / match["file"], images)
    whole = _FIGURE.sub(rf"![\g<text>](../../images/experiments/{name}/\g<file>)", report)
    for one in session["sessions"]:
        whole = whole.replace(" ".join(one["command_line"]), _command(one["command_line"]))
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
        *_table(report, "Claims"),
        *_table(report, "Published results beside it"),
        *(line for one in figures for line in (f"![{one['text']}](../images/experiments/{name}/{one['file']})", "")),
        f"All tables and figures, links and machine: [report](results/{name}.md).",
        "",
        END,
    ]
    page.write_text(before + "\n".join(lines) + after, encoding="utf-8")
    print(page)


def _circumstances(summary: dict[str, Any], session: dict[str, Any], machine: dict[str, Any]) -> str:
    seconds = sum(one["seconds"] for one in session["sessions"])
    began = datetime.fromisoformat(session["sessions"][0]["started"])
    load = max(one["load_before"][0] for one in session["sessions"])
    runs = summary["runs"]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in runs["verdicts"].items())
    return (
        f"`{_command(session['sessions'][0]['command_line'])}` on {began:%Y-%m-%d %H:%M} UTC: {runs['made']} runs in "
        f"{seconds / 60:.1f} minutes, {verdicts}; {machine['cpus_usable']} CPUs ({machine['cpu_model']}), Linux "
        f"{machine['kernel']}, load average {load:.1f} before. Intervals are 95 %."
    )


def _command(words: Sequence[str]) -> str:
    """As it was typed, without the folder of the results."""
    typed = ["kubinet", *words[1:]]
    for option in ("-d", "--output-dir"):
        if option in typed:
            place = typed.index(option)
            del typed[place : place + 2]
    return " ".join(typed)


def _table(report: str, heading: str) -> list[str]:
    """The table under a heading of the report."""
    rest = report.partition(f"\n## {heading}\n")[2]
    rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [*rows, ""] if rows else []


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        publish(Path(argument))
