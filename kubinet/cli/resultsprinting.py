"""What `kubinet report`, `compare` and `bundle` do and print."""

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubinet.cli.printers import to_json
from kubinet.cli.table import text_table
from kubinet.errors import UsageError
from kubinet.units import parse_percent

if TYPE_CHECKING:
    from experiments.results.claims import ClaimAgain
    from experiments.results.comparing import Comparison
    from experiments.results.reporting import Report


def make_report(folder: Path, include_invalid: bool) -> "Report":
    """Write the report, with the experiment's own analysis where it has one."""
    from experiments.results import load
    from experiments.results.own import own_analysis
    from experiments.results.reporting import report

    results = load(folder, include_invalid=include_invalid)
    return report(results, own_analysis(results))


def report_text(made: "Report") -> str:
    """The finding, the claims and where the pages are."""
    lines = [made.finding, ""]
    if made.claims:
        rows = [(one.claim.identity, one.outcome.value, one.claim.text) for one in made.claims]
        lines += [text_table(("CLAIM", "OUTCOME", "TEXT"), rows)]
    lines += [f"Report: {made.page}", f"Markdown: {made.text}", f"Figures: {made.page.parent / 'figures'}"]
    return "\n".join(lines) + "\n"


def report_json(made: "Report") -> str:
    """The same as JSON."""
    from experiments.results.reporting import claim_document

    return to_json(
        {
            "finding": made.finding,
            "report": str(made.page),
            "markdown": str(made.text),
            "claims": [claim_document(one) for one in made.claims],
        }
    )


def show(page: Path) -> None:
    """Show the page to whoever sits at a desktop; nobody does where output is not a terminal."""
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(page.resolve().as_uri())


@dataclass(frozen=True, slots=True)
class Judging:
    """How `kubinet compare` judges."""

    tolerance: float
    """Share, 0 to 1."""
    metrics: tuple[str, ...]
    lower: tuple[str, ...]
    higher: tuple[str, ...]
    include_invalid: bool


def share(text: str) -> float:
    """A share as `5%` or `0.05`; UsageError otherwise."""
    try:
        value = parse_percent(text) if text.strip().endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"--tolerance {text}: write a share such as 5% or 0.05")
    return value


def comparison(first: Path, second: Path, judging: Judging) -> "Comparison":
    """Load both folders and compare them."""
    from experiments.results import load
    from experiments.results.comparing import Better, compare

    if twice := sorted(set(judging.lower) & set(judging.higher)):
        raise UsageError(f"metric '{twice[0]}' cannot be better both lower and higher; leave one out")
    stated = dict.fromkeys(judging.lower, Better.LOWER) | dict.fromkeys(judging.higher, Better.HIGHER)
    results = [load(folder, include_invalid=judging.include_invalid) for folder in (first, second)]
    for name in stated:
        if not any(name in one.metrics for one in results):
            raise UsageError(f"metric '{name}' has no samples; there are: {', '.join(results[0].metrics)}")
    return compare(*results, tolerance=judging.tolerance, metrics=judging.metrics, better=stated)


def comparison_text(found: "Comparison", tolerance: float) -> str:
    """The table, then how many of each."""
    from experiments.results.comparison_text import COLUMNS, closing, rows

    return text_table(COLUMNS, rows(found)) + "\n" + closing(found, tolerance)


def comparison_json(found: "Comparison", tolerance: float) -> str:
    """The same as JSON."""
    from experiments.results.comparison_text import document

    return to_json(document(found, tolerance))


def claims_again(first: Path, second: Path, include_invalid: bool) -> "tuple[ClaimAgain, ...]":
    """The claims of the first on the samples of both; UsageError where there is none."""
    from experiments.results import load
    from experiments.results.claims import evaluate_again

    found = evaluate_again(*(load(folder, include_invalid=include_invalid) for folder in (first, second)))
    if not found:
        raise UsageError(f"{first}: its experiment states no claims; leave --claims out")
    return found


def claims_text(found: "tuple[ClaimAgain, ...]") -> str:
    """A row for each claim, then how many are shown again."""
    rows = [(one.first.claim.identity, one.first.outcome, one.second.outcome, one.second.words) for one in found]
    shown = [one for one in found if one.first.outcome == "shown"]
    kept = sum(not one.lost for one in shown)
    table = text_table(("CLAIM", "FIRST", "SECOND", "MEASURED IN THE SECOND"), rows)
    return f"{table}\n{kept} of {len(shown)} claims that the first shows are shown by the second.\n"


def claims_json(found: "tuple[ClaimAgain, ...]") -> str:
    """The same as JSON."""
    from experiments.results.reporting import claim_document

    return to_json(
        [
            {"id": one.first.claim.identity, "lost": one.lost}
            | {"first": claim_document(one.first), "second": claim_document(one.second)}
            for one in found
        ]
    )


def make_bundle(folder: Path, output: Path | None, licence: Path | None) -> str:
    """Write the archive; a folder without a report gets one first. Returns what to print."""
    from experiments.results import finish, load
    from experiments.results.bundling import bundle
    from experiments.results.wording import size

    results = load(folder)
    if not (folder / "report.html").is_file():
        finish(folder)
    made = bundle(results, output, licence=licence)
    return f"{made}  {size(made.stat().st_size)}\n"
