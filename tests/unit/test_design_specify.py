"""What one run does: levels applied, `$(name)` substituted."""

from dataclasses import replace
from pathlib import Path

import pytest
from designs import GOOD

from experiments.design.document import parse_text
from experiments.design.model import (
    ExperimentDesign,
    FactorDesign,
    Level,
    ManifestChoice,
    MeasurementDesign,
    PlannedRun,
    RunSpec,
    TopologyChoice,
    WorkloadDesign,
)
from experiments.design.specify import specify
from experiments.design.substitution import substitute, substitute_manifest
from experiments.records import Value
from kubinet.errors import InvalidInputError
from kubinet.manifests import parse_manifests

DESIGN = parse_text(GOOD, "lab.yaml", Path()).design
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - {name: web, image: agnhost, args: [netexec]}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"


def _policy(number: int) -> str:
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: p-{number}}}\nspec: {{podSelector: {{}}}}\n"
    )


def _run(**levels: str) -> PlannedRun:
    return PlannedRun(0, 0, levels, 1)


def _with(path: str, value: Value, *, design: ExperimentDesign = DESIGN) -> RunSpec:
    """The run of a design with one factor, whose level sets the path."""
    design = replace(design, factors=(FactorDesign("f", (Level("l", {path: value}, "l"),), ""),), timeline=())
    return specify(design, _run(f="l"))


def test_a_run_has_every_level_applied_and_every_name_substituted() -> None:
    """Topology settings, copies of manifests, workload fields and timeline lines are the run's own."""
    run = _run(overlay="geneve", load="full")
    assert specify(DESIGN, run) == RunSpec(
        run=run,
        topology=TopologyChoice("leaf-spine", 4, "auto", {"network.overlay": "geneve"}),
        manifests={"pods.yaml": POD, "policies.yaml": "---\n".join(map(_policy, range(3)))},
        ready=("Pod/a",),
        warmup_s=0.5,
        workload=(
            WorkloadDesign("rtt", "ping", {"from": "pod/a", "to": "node/n2", "count": 50}, 0),
            WorkloadDesign("bulk", "iperf3", {"from": "pod/a", "to": "node/n2", "seconds": 5}, 1),
            WorkloadDesign("back", "iperf3", {"from": "node/n2", "to": "pod/a", "seconds": 5}, 1),
        ),
        measurements=(MeasurementDesign("cpu", "processes", {"every": "1s"}),),
        timeline=("at 5s: partition [n1] [n2]",),
    )


def test_no_copies_no_file() -> None:
    """A manifest that is repeated zero times is not applied."""
    assert specify(DESIGN, _run(overlay="vxlan", load="idle")).manifests == {"pods.yaml": POD}


@pytest.mark.parametrize(
    ("path", "value", "topology"),
    [
        ("topology.nodes", 8, TopologyChoice("leaf-spine", 8, "auto", {"network.overlay": "vxlan"})),
        ("topology.preset", "star", TopologyChoice("star", 4, "auto", {"network.overlay": "vxlan"})),
        ("topology.datapath", "netdev", TopologyChoice("leaf-spine", 4, "netdev", {"network.overlay": "vxlan"})),
        ("topology.spines", 3, TopologyChoice("leaf-spine", 4, "auto", {"network.overlay": "vxlan", "spines": 3})),
        (
            "topology.links.n1-leaf1.delay",
            "2ms",
            TopologyChoice("leaf-spine", 4, "auto", {"network.overlay": "vxlan", "links.n1-leaf1.delay": "2ms"}),
        ),
    ],
)
def test_levels_change_the_topology(path: str, value: Value, topology: TopologyChoice) -> None:
    """Number of nodes, preset, datapath and whatever `--set` takes can be levels."""
    assert _with(path, value).topology == topology


def test_levels_change_warm_up_and_measurements() -> None:
    """The warm-up is a time with a unit; a measurement's field is set like a workload's."""
    assert _with("warmup", "2s").warmup_s == 2.0
    assert _with("measurement.cpu.every", "5s").measurements == (
        MeasurementDesign("cpu", "processes", {"every": "5s"}),
    )


@pytest.mark.parametrize(
    ("path", "value", "where", "expected"),
    [
        ("manifests.Deployment/web.spec.replicas", 7, ("spec", "replicas"), 7),
        ("manifests.shop:Deployment/web.spec.replicas", 7, ("spec", "replicas"), 7),
        ("manifests.Deployment/*.spec.paused", True, ("spec", "paused"), True),
        (
            'manifests.Deployment/web.metadata.annotations["kubinet.dev/x"]',
            "y",
            ("metadata", "annotations"),
            {"kubinet.dev/x": "y"},
        ),
        (
            "manifests.Deployment/web.spec.template.spec.containers[0].args[0]",
            "serve",
            ("spec", "template", "spec", "containers"),
            [{"name": "web", "image": "agnhost", "args": ["serve"]}],
        ),
    ],
)
def test_levels_change_fields_of_objects(path: str, value: Value, where: tuple[str, ...], expected: object) -> None:
    """A field of an object in the manifests is set, or made; other manifests stay as they were written."""
    design = replace(DESIGN, manifests=(ManifestChoice("web", WEB), ManifestChoice("service", SERVICE)))
    spec = _with(path, value, design=design)
    [found] = [one.object for one in parse_manifests(spec.manifests["web.yaml"])]
    for part in where:
        found = found[part]
    assert found == expected
    assert spec.manifests["service.yaml"] == SERVICE


def test_every_copy_of_an_object_is_changed() -> None:
    """A path names what it means in each copy, and the copies' own names can be meant one by one."""
    design = replace(DESIGN, manifests=(ManifestChoice("s", SERVICE.replace("web", "web-$(i)"), 3),))
    every = _with("manifests.Service/*.spec.type", "NodePort", design=design)
    one = _with("manifests.Service/web-1.spec.type", "NodePort", design=design)
    assert [o.object["spec"].get("type") for o in parse_manifests(every.manifests["s.yaml"])] == ["NodePort"] * 3
    assert [o.object["spec"].get("type") for o in parse_manifests(one.manifests["s.yaml"])] == [None, "NodePort", None]


def test_what_yaml_aliases_share_is_changed_only_where_the_path_leads() -> None:
    """A part that two fields of an object share by an alias is set in one of them."""
    shared = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: &l {a: x}, annotations: *l}\n"
    design = replace(DESIGN, manifests=(ManifestChoice("c", shared),))
    spec = _with("manifests.ConfigMap/c.metadata.labels.a", "y", design=design)
    [found] = parse_manifests(spec.manifests["c.yaml"])
    assert found.object["metadata"] == {"name": "c", "labels": {"a": "y"}, "annotations": {"a": "x"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$(n)", 5),
        ("$(n)s", "5s"),
        ("a $(n) b $(text) $(yes)", "a 5 b x true"),
        ("$$(n)", "$(n)"),
        ("$n (n) $", "$n (n) $"),
        (7, 7),
    ],
)
def test_substitution(value: Value, expected: Value) -> None:
    """A text that is one name becomes the value with its type, inside a text it is text; `$$` is for `$` itself."""
    assert substitute(value, {"n": 5, "text": "x", "yes": True}) == expected


def test_kubernetes_own_names_stay_in_manifests() -> None:
    """A container's `$(VAR)` is not the experiment's, and neither is what Kubernetes' own `$$` protects."""
    text = "args: [$(n), $(HOSTNAME), $$(n)]"
    assert substitute_manifest(text, {"n": 5}) == "args: [5, $(HOSTNAME), $$(n)]"


def test_a_level_may_be_given_by_a_parameter() -> None:
    """`$(parameter)` in a level's value is the parameter, wherever the level's value goes."""
    factor = FactorDesign("f", (Level("l", {"workload.rtt.count": "$(seconds)"}, "$(seconds)s"),), "")
    spec = specify(replace(DESIGN, factors=(factor,), timeline=("at $(f): x",)), _run(f="l"))
    assert (spec.workload[0].settings["count"], spec.timeline) == (5, ("at 5s: x",))


def test_two_factors_that_set_one_path_are_refused() -> None:
    """Which of them wins would be chance."""
    factors = tuple(FactorDesign(name, (Level("l", {"warmup": "1s"}, "l"),), "") for name in ("f", "g"))
    with pytest.raises(InvalidInputError) as caught:
        specify(replace(DESIGN, factors=factors, timeline=()), _run(f="l", g="l"))
    assert str(caught.value) == "path 'warmup': factor 'f' sets it too; let one of them do it"
