"""A design back as an Experiment document: every default written out, every file's text inside. Pure.

Reading the text gives an equal design, so a results folder repeats its experiment without any other file.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from experiments.design.document import KIND
from experiments.design.model import (
    AnalysisDesign,
    Claim,
    ExperimentDesign,
    FactorDesign,
    Level,
    ManifestChoice,
    MeasurementDesign,
    ParameterDesign,
    Published,
    QuickDesign,
    StopConditions,
    TopologyChoice,
    WorkloadDesign,
)
from experiments.design.places import spelled
from experiments.design.quantities import write_bytes, write_share, write_span
from experiments.design.yamltext import one_line, to_yaml
from experiments.records import Value
from kubinet.yamldata import parse_documents


def experiment_yaml(design: ExperimentDesign) -> str:
    """The text of `experiment.yaml` in a results folder."""
    return to_yaml(to_document(design))


def to_document(design: ExperimentDesign) -> dict[str, Any]:
    """The resolved document as plain data."""
    spec = {
        "question": design.question,
        "summary": design.summary,
        "topology": _topology(design.topology),
        "manifests": [_manifest(one) for one in design.manifests],
        "ready": list(design.ready),
        "parameters": {name: _parameter(value, design.declared.get(name)) for name, value in design.parameters.items()},
        "factors": [_factor(one) for one in design.factors],
        "exclude": [one_line(dict(levels)) for levels in design.exclude],
        "repetitions": design.repetitions,
        "seed": design.seed,
        "order": str(design.order),
        "warmup": write_span(design.warmup_s),
        "workload": _steps(design.workload),
        "measurements": [_plugin(one) for one in design.measurements],
        "timeline": list(design.timeline),
        "files": [{"name": name, "inline": text} for name, text in design.files.items()],
        "measures": "speed" if design.measures_speed else "behaviour",
        "expect": _given(runSeconds=design.run_seconds) | {"runBytes": write_bytes(design.run_bytes)},
        "stop": _stop(design.stop),
        "quick": _quick(design.quick),
        "analysis": [_analysis(one) for one in design.analysis],
        "claims": [_claim(one) for one in design.claims],
        "published": [_published(one) for one in design.published],
    }
    needed = ("question", "topology", "workload", "expect", "quick")
    return {
        "apiVersion": "kubinet.dev/v1",
        "kind": KIND,
        "metadata": {"name": design.name},
        "spec": {name: value for name, value in spec.items() if name in needed or value not in ({}, [])},
    }


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [], 0)}


def _topology(choice: TopologyChoice) -> dict[str, Any]:
    if "\n" in choice.source:
        source = {"inline": next(parse_documents(choice.source, "topology")).value}
    else:
        source = {"preset": choice.source}
    return source | _given(nodes=choice.nodes) | {"datapath": choice.datapath} | _given(set=dict(choice.settings))


def _manifest(choice: ManifestChoice) -> dict[str, Any]:
    return {"name": choice.name, "repeat": choice.repeat, "inline": choice.text}


def _parameter(value: Value, known: ParameterDesign | None) -> dict[str, Any]:
    written: dict[str, Any] = {"default": value}
    if known is not None:
        written |= _given(meaning=known.meaning)
        written |= {name: one for name in ("quick", "minimum") if (one := getattr(known, name)) is not None}
    return one_line(written)


def _factor(factor: FactorDesign) -> dict[str, Any]:
    paths = list(factor.levels[0].sets)
    plain = all(one == Level(spelled(one.value), dict.fromkeys(paths, one.value), one.value) for one in factor.levels)
    alike = plain and all(_same_types(one) for one in factor.levels)
    head = {"name": factor.name} | _given(meaning=factor.meaning, unit=factor.unit)
    if alike:
        return head | _given(sets=paths) | {"levels": [one.value for one in factor.levels]}
    return head | {"levels": [_level(one) for one in factor.levels]}


def _same_types(level: Level) -> bool:
    """Whether what it sets is its value, not only equal to it as 1, 1.0 and true are."""
    return all(type(value) is type(level.value) for value in level.sets.values())


def _level(level: Level) -> dict[str, Any]:
    return {"name": level.name, "value": level.value} | _given(set=dict(level.sets))


def _steps(workloads: tuple[WorkloadDesign, ...]) -> list[dict[str, Any]]:
    steps = [[_plugin(one) for one in step] for _, step in groupby(workloads, key=lambda one: one.step)]
    return [step[0] if len(step) == 1 else {"together": step} for step in steps]


def _plugin(one: WorkloadDesign | MeasurementDesign) -> dict[str, Any]:
    return one_line({"name": one.name, "kind": one.kind, **one.settings})


def _stop(stop: StopConditions) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if stop.max_duration_s is not None:
        written["maxDuration"] = write_span(stop.max_duration_s)
    if stop.max_invalid is not None:
        written["maxInvalid"] = write_share(stop.max_invalid)
    if stop.precision is not None:
        written["precision"] = {
            "metric": stop.precision.metric,
            "statistic": stop.precision.statistic,
            "halfWidth": write_share(stop.precision.half_width),
            "minimum": stop.precision.minimum,
        }
    return written


def _quick(quick: QuickDesign) -> dict[str, Any]:
    kept = {factor: list(levels) for factor, levels in quick.levels.items()}
    return {"repetitions": quick.repetitions} | _given(factors=kept)


def _analysis(one: AnalysisDesign) -> dict[str, Any]:
    return {"metric": one.metric, "statistics": list(one.statistics), "figure": one.figure} | _given(
        where=_levels(one.where),
        by=list(one.by),
        baseline=_levels(one.baseline),
        x=one.x,
        logX=one.log_x,
        logY=one.log_y,
        title=one.title,
    )


def _claim(one: Claim) -> dict[str, Any]:
    head = {"id": one.identity, "text": one.text, "metric": one.metric, "statistic": one.statistic}
    compared = _given(where=_levels(one.where), against=_levels(one.against)) | {"relation": one.relation}
    value = {} if one.value is None else {"value": one.value}
    return head | compared | value | {"tolerance": write_share(one.tolerance)}


def _published(one: Published) -> dict[str, Any]:
    return {"source": one.source, "says": one.says} | _given(claims=list(one.claims), whyNot=one.why_not)


def _levels(levels: Mapping[str, str]) -> dict[str, Any]:
    return one_line(dict(levels)) if levels else {}
