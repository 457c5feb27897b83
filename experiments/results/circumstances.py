"""The parts of a report that say how it was measured: runs, order, links, machine, versions, events. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from experiments.design.model import ExperimentDesign
from experiments.records import NOTHING, Table, Verdict
from experiments.results.document import Block, Fold, Grid, Heading, Paragraph
from experiments.results.loading import Results
from experiments.results.wording import duration, levels_text, number, size

_MOST_EVENTS: Final = 60


def excluded_blocks(results: Results) -> Iterator[Block]:
    """What was left out and why, and what is suspect and why."""
    yield Heading("Runs that were left out, and doubts about others")
    table = _doubts(results)
    if not table.rows:
        yield Paragraph("No run was left out, and none is suspect.")
        return
    yield Grid(table)


def _doubts(results: Results) -> Table:
    rows = []
    for run in results.runs.to_dict("records"):
        why = run["excluded"] or (run["reasons"] if run["verdict"] != Verdict.VALID else "")
        if why:
            levels = {name: str(run[name]) for name in results.factors}
            kind = "left out" if run["excluded"] else run["verdict"]
            rows.append(
                (str(run["run"]), levels_text(levels) if levels else NOTHING, str(run["repetition"]), kind, why)
            )
    return Table(("run", "levels", "repetition", "what", "why"), tuple(rows))


def design_blocks(results: Results) -> Iterator[Block]:
    """Factors, workload, timeline, order, seed."""
    design = results.design
    yield Heading("How it was measured")
    if design.factors:
        rows = tuple((one.name, one.meaning, ", ".join(level.name for level in one.levels)) for one in design.factors)
        yield Grid(Table(("factor", "meaning", "levels"), rows))
    yield Grid(_facts(_design_facts(design, results)))
    steps = tuple((str(one.step + 1), one.name, one.kind, _settings(one.settings)) for one in design.workload)
    if steps:
        yield Grid(Table(("step", "workload", "kind", "settings"), steps, "Workloads of one step run side by side."))
    watched = tuple((one.name, one.kind, _settings(one.settings)) for one in design.measurements)
    if watched:
        yield Grid(Table(("measurement", "kind", "settings"), watched))
    order = [levels_text(run.planned.levels) + f" ({run.planned.repetition})" for run in results.records]
    yield Fold("Run order", (Paragraph("; ".join(order) or "No run was made."),))


def _design_facts(design: ExperimentDesign, results: Results) -> dict[str, Any]:
    spent = results.runs["seconds"].sum() if len(results.runs) else 0.0
    session = results.session
    return {
        "topology": design.topology.source if "\n" not in design.topology.source else "a Topology document",
        "nodes": design.topology.nodes,
        "datapath": design.topology.datapath,
        **{f"setting {name}": value for name, value in design.topology.settings.items()},
        "manifests": ", ".join(
            one.name + (f" ({one.repeat} times)" if one.repeat > 1 else "") for one in design.manifests
        )
        or None,
        **{f"parameter {name}": value for name, value in design.parameters.items()},
        "repetitions": design.repetitions,
        "seed": design.seed,
        "order": design.order.value,
        "warm-up": duration(design.warmup_s),
        "timeline": "; ".join(design.timeline) or None,
        "state": f"{session.get('state', 'not known')}{': ' if session.get('why') else ''}{session.get('why') or ''}",
        "runs": f"{len(results.runs)} of {results.planned} planned, each in a cluster of its own",
        "time": f"{duration(spent)} of runs"
        + (f"; {duration(design.run_seconds)} a run were expected without its cluster" if design.run_seconds else ""),
        "disk": f"{size(design.run_bytes)} a run were expected",
        "intervals": "95 %, percentile intervals of a two-level bootstrap (runs, then samples), 2,000 resamples",
    }


def link_blocks(results: Results) -> Iterator[Block]:
    """Links as measured against declared: a row for each link, quantity and value that runs declare for it."""
    yield Heading("Links: measured against declared")
    if results.links.empty:
        yield Paragraph("No link was measured apart.")
        return
    rows = []
    for (name, quantity, unit), link in results.links.groupby(["name", "quantity", "unit"], sort=False):
        for declared, part in link.groupby("declared", dropna=False):
            measured = part["measured"].dropna().astype(float)
            outside = int((~part["within_tolerance"].astype(bool)).sum())
            rows.append(
                (
                    str(name),
                    str(quantity),
                    NOTHING if pd.isna(declared) else f"{number(float(declared))} {unit}".strip(),
                    _range(measured, unit),
                    number(float(measured.median())) if len(measured) else NOTHING,
                    str(part["run"].nunique()),
                    f"{outside} of {len(part)}",
                )
            )
    columns = ("link", "quantity", "declared", "measured, lowest to highest", "median", "runs", "outside the tolerance")
    caption = "Over the runs that declare the value, before and after their workloads."
    grid = Grid(Table(columns, tuple(rows), caption))
    yield grid if len(rows) <= 12 else Fold(f"{len(rows)} links, quantities and declared values", (grid,))


def _range(values: "pd.Series[float]", unit: str) -> str:
    if values.empty:
        return NOTHING
    low, high = number(float(values.min())), number(float(values.max()))
    return f"{low} {unit}".strip() if low == high else f"{low} to {high} {unit}".strip()


def machine_blocks(results: Results) -> Iterator[Block]:
    """What the machine did while it measured, and what it is."""
    yield Heading("The machine")
    numeric = [
        name for name in results.machine.columns if name not in {"run", "repetition", "time_s", *results.factors}
    ]
    rows = []
    for name in numeric:
        values = pd.to_numeric(results.machine[name], errors="coerce").dropna()
        if len(values):
            rows.append(
                (
                    name.replace("_", " "),
                    *(
                        number(float(one))
                        for one in (values.min(), values.median(), values.quantile(0.99), values.max())
                    ),
                )
            )
    if rows:
        caption = "Every second of every run: shares of all CPUs' time from 0 to 1, delays of a watching thread in ms."
        yield Grid(Table(("each second", "lowest", "median", "p99", "highest"), tuple(rows), caption))
    yield Fold("What it is", (Grid(_facts(results.machine_facts)),))
    sessions = [
        {"started": one.get("started"), "ended": one.get("ended"), "command": " ".join(one.get("command_line", ()))}
        | {"load before": one.get("load_before"), "load after": one.get("load_after")}
        for one in results.session.get("sessions", ())
    ]
    yield Fold("Versions", (Grid(_facts(results.versions)), *(Grid(_facts(one)) for one in sessions)))


def event_blocks(results: Results) -> Iterator[Block]:
    """What happened on the timeline."""
    if results.events.empty:
        return
    yield Heading("Events")
    events = results.events
    counted = events.groupby(["fault", "event"], sort=False)
    rows = tuple(
        (
            str(fault),
            str(event),
            str(part["run"].nunique()),
            f"{number(float(part['seconds'].median()))} s",
            f"{number(float(part['seconds'].min()))} to {number(float(part['seconds'].max()))} s",
        )
        for (fault, event), part in counted
    )
    caption = "Seconds after the workload's start, over all runs; events.csv of each run has every single one."
    columns = ("fault", "event", "runs", "median time", "from, to")
    yield Grid(Table(columns, rows[:_MOST_EVENTS], caption))
    if len(rows) > _MOST_EVENTS:
        yield Paragraph(f"{len(rows) - _MOST_EVENTS} more kinds of events are in the runs' events.csv.")


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or NOTHING


def _facts(facts: Mapping[str, Any]) -> Table:
    rows = tuple((name.replace("_", " "), _value(value)) for name, value in facts.items() if value is not None)
    return Table(("what", "value"), rows)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_value(item)}" for key, item in value.items() if item is not None) or NOTHING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(f"{item:.2f}" if isinstance(item, float) else str(item) for item in value) or NOTHING
    return NOTHING if value is None else str(value)
