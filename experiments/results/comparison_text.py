"""A comparison as rows, JSON and JUnit. Pure."""

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as Xml

from experiments.records import NOTHING
from experiments.results.comparing import Change, Changed, Comparison
from experiments.results.wording import change, interval, levels_text, number, p_text, signed, with_unit

COLUMNS: Final = ("CHANGE", "METRIC", "LEVELS", "FIRST", "SECOND", "DIFFERENCE", "PERCENT", "P CORRECTED", "RUNS")


def rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each value, what became worse first."""
    order = [Change.WORSE, Change.CHANGED, Change.UNCLEAR, Change.BETTER, Change.SAME]
    return [_row(one) for one in sorted(found.changes, key=lambda one: order.index(one.change))]


def _row(one: Changed) -> tuple[str, ...]:
    effect = one.effect
    doubts = "" if one.verdict == "valid" else f" {one.verdict.value}"
    return (
        one.change.value,
        f"{one.metric} {one.statistic}",
        levels_text(one.levels),
        f"{with_unit(number(effect.baseline.value), one.unit)} {interval(effect.baseline)}",
        f"{with_unit(number(effect.condition.value), one.unit)} {interval(effect.condition)}",
        f"{signed(effect.difference.value)} [{signed(effect.difference.low)}, {signed(effect.difference.high)}]",
        NOTHING if effect.ratio is None else change(effect.ratio),
        p_text(one.p_corrected),
        f"{effect.baseline.repetitions}, {effect.condition.repetitions}{doubts}",
    )


def closing(found: Comparison, tolerance: float) -> str:
    """How many of each, whether medians agree, what could not be compared."""
    counts = {kind: sum(one.change is kind for one in found.changes) for kind in Change}
    said = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    lines = [f"{len(found.changes)} values: {said} (tolerance {100 * tolerance:.3g} %).", *_agreement(found)]
    unknown = sorted({one.metric for one in found.changes if one.change is Change.CHANGED})
    if unknown:
        lines.append(
            f"Which direction is better is not known of {', '.join(unknown)}: say --lower-is-better or "
            "--higher-is-better."
        )
    for name, words in found.only.items():
        if words:
            lines.append(f"Only in the {name}: {'; '.join(words)}.")
    return "\n".join(lines) + "\n"


def _agreement(found: Comparison) -> Iterator[str]:
    """How many medians agree, how many would by chance, and what speaks for more than chance."""
    outside = [one for one in found.changes if not one.inside]
    chance = sum(one.effect.difference.covers(0.0) for one in outside)
    inside = len(found.changes) - len(outside)
    yield (
        f"{inside} of {len(found.changes)} medians of the second are inside the first's 95 % interval; about "
        f"{100 * found.expected_inside:.0f} % would be if nothing had changed."
    )
    if outside:
        yield (
            f"Of the {len(outside)} outside, {chance} differ by no more than chance does (the interval of the "
            f"difference holds zero), {len(outside) - chance} by more."
        )
    if found.circumstances:
        yield f"What else differed, first and second: {'; '.join(found.circumstances)}."
    else:
        yield "No difference is recorded in machine, versions, code, load before, idle time and the processor's speed."


def document(found: Comparison, tolerance: float) -> dict[str, object]:
    """Everything for programs."""
    return {
        "tolerance": tolerance,
        "regressions": len(found.regressions),
        "insideFirstInterval": sum(one.inside for one in found.changes),
        "expectedInside": found.expected_inside,
        "circumstances": list(found.circumstances),
        "only": {name: list(words) for name, words in found.only.items()},
        "changes": [_document(one) for one in found.changes],
    }


def _document(one: Changed) -> dict[str, object]:
    effect = one.effect
    parts = {
        "first": effect.baseline,
        "second": effect.condition,
        "difference": effect.difference,
        "ratio": effect.ratio,
        "shift": effect.shift,
        "cliffsDelta": effect.delta,
    }
    return {
        "change": one.change.value,
        "metric": one.metric,
        "statistic": one.statistic,
        "unit": one.unit,
        "levels": dict(one.levels),
        "better": one.better.value,
        "insideFirstInterval": one.inside,
        "verdict": one.verdict.value,
        "pValue": effect.p_value,
        "pCorrected": one.p_corrected,
        "runs": [effect.baseline.repetitions, effect.condition.repetitions],
        **{
            name: None if part is None else {"value": part.value, "low": part.low, "high": part.high}
            for name, part in parts.items()
        },
    }


def junit(name: str, found: Comparison, seconds: float) -> str:
    """JUnit XML: a test case for each value, failed where it became worse. `seconds`: how long it took."""
    counts = {
        "tests": str(len(found.changes)),
        "failures": str(len(found.regressions)),
        "errors": "0",
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }
    root = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(root, "testsuite", {"name": name, **counts})
    for one in found.changes:
        title = f"{one.metric} {one.statistic} of {levels_text(one.levels)}"
        case = Xml.SubElement(suite, "testcase", {"classname": name, "name": title})
        words = ", ".join(f"{column.lower()} {cell}" for column, cell in zip(COLUMNS[3:], _row(one)[3:], strict=True))
        if one.change is Change.WORSE:
            message = f"{title} became worse: {words}"
            Xml.SubElement(case, "failure", {"message": message}).text = words
        else:
            Xml.SubElement(case, "system-out").text = f"{one.change.value}: {words}"
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
