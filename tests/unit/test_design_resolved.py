"""The resolved document reads back to the same design, whatever the design is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from designs import GOOD, surroundings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.design.build import experiment, factor, level, write_experiment
from experiments.design.check import check
from experiments.design.document import parse_text, read_experiment
from experiments.design.factors import override
from experiments.design.model import (
    AnalysisDesign,
    Claim,
    ExperimentDesign,
    FactorDesign,
    Level,
    ManifestChoice,
    MeasurementDesign,
    Order,
    ParameterDesign,
    Precision,
    Published,
    QuickDesign,
    StopConditions,
    TopologyChoice,
    WorkloadDesign,
)
from experiments.design.places import spelled
from experiments.design.plan import plan
from experiments.design.resolved import experiment_yaml, to_document
from experiments.design.specify import specify
from experiments.design.yamltext import to_yaml
from kubinet.errors import InvalidInputError, KubinetError
from kubinet.yamldata import parse_documents
from topologies.resolve import resolve_topology

pytestmark = pytest.mark.slow

DESIGN = parse_text(GOOD, "lab.yaml", Path()).design

names = st.from_regex(r"[A-Za-z]([A-Za-z0-9_-]{0,6}[A-Za-z0-9])?", fullmatch=True).filter(lambda name: name != "i")
texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029\ufeff", exclude_categories=["Cc", "Cs", "Cn"]),
    max_size=12,
)
lines = texts.filter(bool)
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
values = texts.filter(lambda text: "$(" not in text) | numbers | st.booleans()
shares = st.floats(0, 1)
spans = st.floats(0, 1e6) | st.integers(0, 5000).map(lambda tenths: tenths / 10)
statistics = st.sampled_from(["p50", "p99.9", "mean", "count"])
level_maps = st.dictionaries(names, lines, max_size=2)


@st.composite
def _levels(draw: st.DrawFn) -> tuple[Level, ...]:
    if draw(st.booleans()):
        paths = draw(st.lists(lines, max_size=2, unique=True))
        chosen = draw(st.lists(values.filter(lambda value: value != ""), min_size=1, max_size=4, unique_by=spelled))
        return tuple(Level(spelled(value), dict.fromkeys(paths, value), value) for value in chosen)
    chosen_names = draw(st.lists(lines, min_size=1, max_size=3, unique=True))
    return tuple(Level(name, draw(st.dictionaries(lines, values, max_size=2)), draw(values)) for name in chosen_names)


def _plugin_settings() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names.filter(lambda name: name not in ("name", "kind", "together")), values, max_size=3)


@st.composite
def _workload(draw: st.DrawFn) -> tuple[WorkloadDesign, ...]:
    taken = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    step, found = 0, []
    for name in taken:
        found.append(WorkloadDesign(name, draw(lines), draw(_plugin_settings()), step))
        step += draw(st.integers(0, 1))
    return tuple(found)


@st.composite
def designs(draw: st.DrawFn) -> ExperimentDesign:
    """Any design that a file can say; nothing of it has to fit anything else."""
    taken = draw(st.lists(names, max_size=5, unique=True))
    parameters = {name: draw(values) for name in taken[:2]}
    declared = {
        name: ParameterDesign(draw(texts), draw(st.sampled_from([None, value])))
        for name, value in parameters.items()
        if draw(st.booleans())
    }
    factors = tuple(
        FactorDesign(name, draw(_levels()), draw(texts), draw(texts))
        for name in taken[2:]
        if name not in ("run", "value", "unit", "metric", "recorder", "source", "target")
    )
    against = draw(level_maps)
    claims = tuple(
        Claim(
            name, draw(lines), draw(texts), draw(statistics), draw(level_maps), against,
            draw(st.sampled_from("<>~")),
            draw(st.none() | st.floats(-1e9, 1e9)) if against else draw(st.floats(-1e9, 1e9)), draw(shares),
        )
        for name in draw(st.lists(lines, max_size=2, unique=True))
    )  # fmt: skip
    return ExperimentDesign(
        name=draw(st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,9}[a-z0-9])?", fullmatch=True)),
        question=draw(lines),
        summary=draw(texts),
        topology=TopologyChoice(
            "star", draw(st.none() | st.integers(1, 5000)), "netdev", draw(st.dictionaries(lines, values, max_size=2))
        ),
        manifests=tuple(
            ManifestChoice(name, f"# {draw(texts)}\n{POD}{draw(st.sampled_from(ENDS))}", draw(st.integers(0, 3)))
            for name in draw(st.lists(names, max_size=2, unique=True))
        ),
        ready=tuple(draw(st.lists(texts, max_size=2))),
        factors=factors,
        exclude=tuple(draw(st.lists(level_maps, max_size=2))),
        parameters=parameters,
        repetitions=draw(st.integers(1, 100)),
        seed=draw(st.integers(0, 2**63 - 1)),
        order=draw(st.sampled_from(Order)),
        warmup_s=draw(spans),
        workload=draw(_workload()),
        measurements=tuple(
            MeasurementDesign(name, draw(lines), draw(_plugin_settings()))
            for name in draw(st.lists(names, max_size=2, unique=True))
        ),
        timeline=tuple(draw(st.lists(lines, max_size=2))),
        stop=StopConditions(
            draw(st.none() | spans),
            draw(st.none() | shares),
            draw(st.none() | st.builds(Precision, texts, statistics, shares, st.integers(2, 9))),
        ),
        measures_speed=draw(st.booleans()),
        run_seconds=draw(st.floats(0, 1e6)),
        run_bytes=draw(st.integers(0, 10**12) | st.integers(0, 999).map(lambda size: size * 10**6)),
        analysis=tuple(
            draw(
                st.lists(
                    st.builds(
                        AnalysisDesign, texts, st.lists(statistics, min_size=1, max_size=2).map(tuple),
                        st.lists(texts, max_size=2).map(tuple), level_maps, st.sampled_from(["box", "line"]), texts,
                        st.booleans(), st.booleans(), texts, level_maps,
                    ),
                    max_size=2,
                )
            )
        ),
        claims=claims,
        published=tuple(
            draw(st.lists(st.builds(Published, lines, lines, st.lists(lines, max_size=1).map(tuple)), max_size=2))
        ),
        declared={name: known for name, known in declared.items() if known != ParameterDesign()},
        quick=QuickDesign(
            draw(st.integers(1, 9)), draw(st.dictionaries(names, st.lists(lines, max_size=2).map(tuple), max_size=2))
        ),
    )  # fmt: skip


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
ENDS = ("", "---", " ")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(designs())
def test_a_resolved_document_reads_back_to_an_equal_design(design: ExperimentDesign) -> None:
    """Whatever a design says, `experiment.yaml` says the same."""
    assert parse_text(experiment_yaml(design), "experiment.yaml", Path()).design == design


_json = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])) | numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(_json)
def test_what_is_written_as_yaml_is_read_as_it_was(data: object) -> None:
    """Any plain data, any text in it, is the same after it was written and read as manifests are."""
    [document] = parse_documents(to_yaml([data]), "text")
    assert document.value == [data]


def test_types_are_kept() -> None:
    """A text that looks like a number stays a text, a number that looks like truth a number."""
    levels = (
        Level("1", {"a": "1"}, "1"),
        Level("2", {"a": 2}, "2"),
        Level("true", {}, True),
        Level("3", {"a": 3.0}, 3),
    )
    design = replace(DESIGN, factors=(FactorDesign("f", levels, ""),))
    [read] = parse_text(experiment_yaml(design), "experiment.yaml", Path()).design.factors
    shown = [(one.name, type(one.value), [type(value) for value in one.sets.values()]) for one in read.levels]
    assert shown == [("1", str, [str]), ("2", str, [int]), ("true", bool, []), ("3", int, [float])]


def test_the_resolved_document_of_a_changed_design_gives_the_same_runs() -> None:
    """`experiment.yaml` of a quick run with options repeats it without the options: plan and runs are equal."""
    design = override(DESIGN, quick=True, seed=99, parameters={"seconds": 3})
    again = parse_text(experiment_yaml(design), "experiment.yaml", Path()).design
    assert again == design
    assert [specify(again, run) for run in plan(again)] == [specify(design, run) for run in plan(design)]


def test_a_topology_of_a_file_is_inside_the_resolved_document(tmp_path: Path) -> None:
    """A results folder repeats its experiment after the topology's file is gone."""
    (tmp_path / "net.yaml").write_text(
        "apiVersion: kubinet.dev/v1\nkind: Topology\nmetadata: {name: one}\n"
        "spec: {nodes: [{name: n1}], switches: [{name: s1}], links: [{endpoints: [n1, s1]}]}\n"
    )
    design = experiment(
        "one", "Is one enough?", topology={"file": "net.yaml"}, workload=[{"kind": "ping"}], folder=tmp_path
    )
    (tmp_path / "net.yaml").unlink()
    write_experiment(design, tmp_path / "experiment.yaml")
    again = read_experiment(tmp_path / "experiment.yaml")
    assert again == design
    assert resolve_topology(again.topology.source)["metadata"] == {"name": "one"}
    assert to_document(again)["spec"]["topology"]["inline"]["spec"]["nodes"] == [{"name": "n1"}]


def test_a_design_made_in_python_is_the_files() -> None:
    """The builder's arguments are the file's fields."""
    made = experiment(
        "overlay-cost",
        "What does the overlay cost?",
        topology={"preset": "leaf-spine", "nodes": 4, "set": {"network.overlay": "vxlan"}},
        manifests=[{"name": one.name, "inline": one.text, "repeat": one.repeat} for one in DESIGN.manifests],
        ready=("Pod/a",),
        parameters={"seconds": {"default": 5, "quick": 1, "meaning": "seconds of TCP", "minimum": 1}},
        factors=[
            factor(
                "overlay",
                ("vxlan", "geneve", "direct"),
                sets="topology.network.overlay",
                meaning="how packets between nodes are carried",
            ),
            factor(
                "load",
                (
                    level("idle", 0, {"manifests.policies.repeat": 0}),
                    level("full", 5, {"manifests.policies.repeat": 3, "workload.rtt.count": 50}),
                ),
            ),
        ],
        exclude=[{"overlay": "direct", "load": "full"}],
        repetitions=4,
        seed=7,
        warmup=0.5,
        workload=to_document(DESIGN)["spec"]["workload"],
        measurements=[{"name": "cpu", "kind": "processes", "every": "1s"}],
        timeline=DESIGN.timeline,
        expect={"runSeconds": 8, "runBytes": 100_000},
        stop={"maxDuration": 1200, "maxInvalid": 0.5, "precision": {"metric": "rtt", "halfWidth": 0.05}},
        quick={"repetitions": 2, "factors": {"overlay": ("vxlan", "direct")}},
        analysis=to_document(DESIGN)["spec"]["analysis"],
        claims=to_document(DESIGN)["spec"]["claims"],
        published=to_document(DESIGN)["spec"]["published"],
    )
    assert made == DESIGN
    check(made, surroundings())


def test_a_mistake_in_python_is_refused_with_the_field() -> None:
    """Without a file there is no line, but the field is named."""
    with pytest.raises(InvalidInputError) as caught:
        experiment("x", "Why?", topology={"preset": "star"}, workload=[], repetitions=2)
    assert str(caught.value) == "spec.workload: [] should be non-empty"


def test_a_design_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(KubinetError) as caught:
        write_experiment(DESIGN, tmp_path / "no" / "x.yaml")
    assert str(caught.value) == f"{tmp_path}/no/x.yaml: cannot be written: No such file or directory"
