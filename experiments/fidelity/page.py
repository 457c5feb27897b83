"""The page docs/fidelity.md: every link, declared and measured, and a summary of the errors. Pure."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.fidelity.measuring import Fidelity, Quantity
from experiments.records import NOTHING


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and when the links were measured."""

    date: str
    machine: str
    """Processor, number of CPUs, kernel."""
    load: float
    """Load average over the last minute, at the start."""
    seed: int


def render(found: Sequence[Fidelity], where: Circumstances) -> str:
    """The whole page."""
    return "\n".join([*_introduction(found, where), "", *_summary(found), "", *_table(found), "", *_reading(), ""])


def _introduction(found: Sequence[Fidelity], where: Circumstances) -> list[str]:
    kept = sum(not one.problems for one in found)
    disturbed = sum(bool(one.problems and one.disturbances) for one in found)
    lines = [
        "# Fidelity of links",
        "",
        "<!-- Written by `python -m experiments.fidelity`; do not edit. -->",
        "",
        f"{len(found)} random links (seed {where.seed}: rate 1 to 500 Mbit/s, delay 0 to 100 ms, loss 0 to 5 %), each",
        "measured in both directions against its declaration: 100 short frames alone on the link for the delay, full",
        "frames for at least a second for rate and loss.",
        "",
        f"Measured on {where.date}; {where.machine}; load average {where.load:.1f} at the start.",
        f"**{kept} of {len(found)} links are as declared**"
        + (f"; {disturbed} were not, while the monitor said that the machine was disturbed." if disturbed else "."),
    ]
    if honest := [one for one in found if one.problems and not one.disturbances]:
        lines.append(f"{len(honest)} were off although the machine was quiet: these are errors of the emulation.")
    return lines


def _summary(everything: Sequence[Fidelity]) -> list[str]:
    found = [one for one in everything if not one.disturbances] or everything
    rows = [
        ("rate, % of the declared", [error for one in found for error in _rate_errors(one)], "{:.2f}"),
        ("delay, ms", [error for one in found for error in _delay_errors(one)], "{:.2f}"),
        ("loss, percentage points", [error for one in found for error in _loss_errors(one)], "{:.2f}"),
    ]
    which = "measured while the machine was quiet" if found is not everything else "of all links"
    lines = [f"Errors {which} ({len(found)} links, both directions):", ""]
    lines += ["| error of | median | 90 % below | largest | directions |", "| --- | --- | --- | --- | --- |"]
    for name, errors, form in rows:
        numbers = sorted(errors)
        if not numbers:
            continue
        high = numbers[min(len(numbers) - 1, int(0.9 * len(numbers)))]
        values = (form.format(value) for value in (statistics.median(numbers), high, numbers[-1]))
        lines.append(f"| {name} | {' | '.join(values)} | {len(numbers)} |")
    return [*lines, "", *_spacing(found)]


def _spacing(found: Sequence[Fidelity]) -> list[str]:
    lines = [
        "How evenly a saturated link delivers: |gap between neighbouring frames / their time at its rate - 1|.",
        "",
        "| wire | median | 90 % below | directions |",
        "| --- | --- | --- | --- |",
    ]
    for wire in sorted({one.wire for one in found}):
        pairs = [pair for one in found if one.wire == wire for pair in one.spacing if pair is not None]
        if pairs:
            middle, high = (statistics.median(values) for values in zip(*pairs, strict=True))
            lines.append(f"| {wire} | {middle:.3f} | {high:.3f} | {len(pairs)} |")
    return lines


def _table(found: Sequence[Fidelity]) -> list[str]:
    lines = [
        "| rate Mbit/s | measured | delay ms | measured | loss % | measured (within chance) | wire | as declared |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in sorted(found, key=lambda item: item.link.rate_mbit):
        cells = (
            f"{one.link.rate_mbit:g}",
            _both(_of(one, "rate"), 1e-6, "{:.4g}"),
            f"{one.link.delay_ms:g}",
            _both(_of(one, "delay"), 1e3, "{:.2f}"),
            f"{one.link.loss_percent:g}",
            f"{_both(_of(one, 'loss'), 100, '{:.2f}')} ({_range(_of(one, 'loss'))})",
            one.wire,
            _word(one),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _reading() -> list[str]:
    return [
        "Both directions are given, away from and towards the first end. A link keeps its word within 5 % of its rate",
        "and within 1 ms + 5 % of its delay; loss, and the rate of a lossy link, within four standard deviations of",
        "chance for the number of frames that were sent. A link that does not is measured again: it counts as off when",
        "it was off twice while the machine was quiet. `no (disturbed)`: it was off, but each time the machine had",
        "too much other work, and a run at that moment would have been suspect. Links above 200 Mbit/s have no delay",
        "and no loss here: without the kernel's netem they are refused, not slowed down (docs/topologies.md).",
    ]


def _of(one: Fidelity, name: str) -> list[Quantity]:
    return [quantity for quantity in one.quantities if quantity.name == name]


def _both(quantities: Iterable[Quantity], factor: float, form: str) -> str:
    words = [NOTHING if one.measured is None else form.format(one.measured * factor) for one in quantities]
    return ", ".join(words) or NOTHING


def _range(quantities: Sequence[Quantity]) -> str:
    if not quantities:
        return NOTHING
    return f"{max(0.0, quantities[0].low) * 100:.2f} to {quantities[0].high * 100:.2f}"


def _word(one: Fidelity) -> str:
    if not one.problems:
        return "yes"
    return "no (disturbed)" if one.disturbances else "no"


def _rate_errors(one: Fidelity) -> list[float]:
    """Against what a lossy link can deliver."""
    kept = 1 - one.link.loss_percent / 100
    return [
        abs(quantity.measured / (quantity.declared * kept) - 1) * 100
        for quantity in _of(one, "rate")
        if quantity.measured is not None
    ]


def _delay_errors(one: Fidelity) -> list[float]:
    return [
        abs(quantity.measured - quantity.declared) * 1e3
        for quantity in _of(one, "delay")
        if quantity.measured is not None
    ]


def _loss_errors(one: Fidelity) -> list[float]:
    return [
        abs(quantity.measured - quantity.declared) * 100
        for quantity in _of(one, "loss")
        if quantity.measured is not None
    ]
