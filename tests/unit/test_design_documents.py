"""Experiment files: what they say, their defaults, and what is refused with which line."""

from pathlib import Path

import pytest
from designs import GOOD, surroundings

from experiments.design.check import check
from experiments.design.document import parse_text, read_experiment
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
from experiments.design.yamltext import to_yaml
from kubinet.errors import InvalidInputError, KubinetError, MissingCapabilityError
from kubinet.manifests import parse_manifests

SMALL = """\
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: small}
spec:
  question: Does it run?
  topology: {preset: star}
  workload:
  - {kind: ping, from: node/n1, to: node/n2}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p-$(i)}\nspec: {podSelector: {}}\n"
TOPOLOGY = """\
apiVersion: kubinet.dev/v1
kind: Topology
metadata: {name: pair}
spec:
  nodes: [{name: n1}, {name: n2}]
  switches: [{name: s1}]
  links:
  - {endpoints: [n1, s1]}
  - {endpoints: [n2, s1], delay: 1ms}
"""


def _design(text: str, folder: Path = Path()) -> ExperimentDesign:
    return parse_text(text, "lab.yaml", folder).design


def _refusal(text: str, folder: Path = Path()) -> str:
    with pytest.raises(InvalidInputError) as caught:
        _design(text, folder)
    return str(caught.value)


def test_a_file_becomes_a_value() -> None:
    """Every section of a file becomes the values that it stands for."""
    assert _design(GOOD) == ExperimentDesign(
        name="overlay-cost",
        question="What does the overlay cost?",
        summary="What does the overlay cost?",
        topology=TopologyChoice("leaf-spine", 4, "auto", {"network.overlay": "vxlan"}),
        manifests=(ManifestChoice("pods", POD), ManifestChoice("policies", POLICY, 2)),
        ready=("Pod/a",),
        factors=(
            FactorDesign(
                "overlay",
                tuple(Level(name, {"topology.network.overlay": name}, name) for name in ("vxlan", "geneve", "direct")),
                "how packets between nodes are carried",
            ),
            FactorDesign(
                "load",
                (
                    Level("idle", {"manifests.policies.repeat": 0}, 0),
                    Level("full", {"manifests.policies.repeat": 3, "workload.rtt.count": 50}, 5),
                ),
                "",
            ),
        ),
        exclude=({"overlay": "direct", "load": "full"},),
        parameters={"seconds": 5},
        repetitions=4,
        seed=7,
        order=Order.BLOCKED,
        warmup_s=0.5,
        workload=(
            WorkloadDesign("rtt", "ping", {"from": "pod/a", "to": "node/n2", "count": 20}, 0),
            WorkloadDesign("bulk", "iperf3", {"from": "pod/a", "to": "node/n2", "seconds": "$(seconds)"}, 1),
            WorkloadDesign("back", "iperf3", {"from": "node/n2", "to": "pod/a", "seconds": "$(seconds)"}, 1),
        ),
        measurements=(MeasurementDesign("cpu", "processes", {"every": "1s"}),),
        timeline=("at $(load)s: partition [n1] [n2]",),
        stop=StopConditions(1200.0, 0.5, Precision("rtt", "p50", 0.05, 5)),
        measures_speed=True,
        run_seconds=8.0,
        run_bytes=100_000,
        analysis=(
            AnalysisDesign("rtt", ("p50", "p99"), ("overlay",), {"overlay": "direct"}, "ecdf"),
            AnalysisDesign("throughput", ("p50",), ("stream",), {}, "line", "overlay"),
        ),
        claims=(
            Claim(
                "C1",
                "VXLAN is slower than no overlay.",
                "rtt",
                "p50",
                {"overlay": "vxlan", "load": "idle"},
                {"overlay": "direct", "load": "idle"},
                ">",
                None,
                0.05,
            ),
        ),
        published=(Published("A. Author, A paper, 2020, figure 3", "the overlay costs 10 %", ("C1",)),),
        declared={"seconds": ParameterDesign("seconds of TCP", 1, 1)},
        quick=QuickDesign(2, {"overlay": ("vxlan", "direct")}),
    )


def test_the_defaults() -> None:
    """A file of a question, a topology and a workload is a whole experiment: ten repetitions of one combination."""
    assert _design(SMALL) == ExperimentDesign(
        name="small",
        question="Does it run?",
        summary="Does it run?",
        topology=TopologyChoice("star"),
        manifests=(),
        ready=(),
        factors=(),
        exclude=(),
        parameters={},
        repetitions=10,
        seed=1,
        order=Order.BLOCKED,
        warmup_s=1.0,
        workload=(WorkloadDesign("ping", "ping", {"from": "node/n1", "to": "node/n2"}, 0),),
        measurements=(),
        timeline=(),
        stop=StopConditions(),
        measures_speed=True,
        run_seconds=0.0,
        run_bytes=200_000,
        analysis=(),
        claims=(),
        published=(),
    )


def test_whole_numbers_may_be_written_with_a_point() -> None:
    """`repetitions: 2.0` is two repetitions, as JSON Schema has it, and not a number that nothing can count to."""
    design = _design(SMALL.replace("{preset: star}", "{preset: star, nodes: 3.0}\n  repetitions: 2.0\n  seed: 5.0"))
    shown = [(value, type(value)) for value in (design.repetitions, design.seed, design.topology.nodes)]
    assert shown == [(2, int), (5, int), (3, int)]


def test_files_beside_the_experiment_are_read_into_the_design(tmp_path: Path) -> None:
    """Topology and manifest files are found relative to the experiment's, and nothing of the design names them."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/pair.yaml").write_text(TOPOLOGY)
    (tmp_path / "parts/web.yaml").write_text(POD)
    text = SMALL.replace("{preset: star}", "{file: parts/pair.yaml}\n  manifests: [parts/web.yaml]")
    (tmp_path / "lab.yaml").write_text(text)
    design = read_experiment(tmp_path / "lab.yaml")
    [manifest] = parse_manifests(TOPOLOGY)
    assert design.topology == TopologyChoice(to_yaml(manifest.object))
    assert design.manifests == (ManifestChoice("web", POD),)


def test_an_inline_topology_is_the_same_as_its_file(tmp_path: Path) -> None:
    """A Topology document inside the experiment gives the design that its file gives."""
    (tmp_path / "pair.yaml").write_text(TOPOLOGY)
    indented = "".join(f"      {line}\n" for line in TOPOLOGY.splitlines())
    inline = SMALL.replace("{preset: star}", f"\n    inline:\n{indented}")
    assert _design(inline) == _design(SMALL.replace("preset: star", "file: pair.yaml"), tmp_path)


def test_a_wrong_topology_file_is_refused_with_its_own_line(tmp_path: Path) -> None:
    """The error is in the Topology file, so the message names that file and line."""
    (tmp_path / "pair.yaml").write_text(TOPOLOGY.replace("delay: 1ms", "dealy: 1ms"))
    assert _refusal(SMALL.replace("preset: star", "file: pair.yaml"), tmp_path) == (
        "pair.yaml:9: spec.links[1].dealy: unknown field 'dealy'; "
        "known: name, endpoints, rate, delay, jitter, loss, queue, mtu"
    )


def test_a_yaml_bomb_is_refused() -> None:
    """Aliases that expand to billions of values are refused before they cost memory."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert "more than 1,000,000 values after its aliases are expanded" in _refusal(bomb)


def test_a_folder_without_an_experiment_is_refused(tmp_path: Path) -> None:
    """A file of other kinds is no experiment, and the message says what it holds."""
    (tmp_path / "pod.yaml").write_text(POD)
    with pytest.raises(InvalidInputError) as caught:
        read_experiment(tmp_path / "pod.yaml")
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "pod.yaml: expected exactly one document of kind Experiment, found 0 (the file has: Pod)"
    )


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("  seed: 7", "  sead: 7", "lab.yaml:35: spec.sead: unknown field 'sead'; known: question, summary, topology, "
         "manifests, ready, parameters, factors, exclude, repetitions, seed, order, warmup, workload, measurements, "
         "timeline, files, measures, expect, stop, quick, analysis, claims, published"),
        ("question: What does the overlay cost?", "summary: x", "lab.yaml:4: spec: the field 'question' is missing"),
        ("repetitions: 4", "repetitions: 0", "lab.yaml:34: spec.repetitions: 0 is too small; it must be at least 1"),
        ("repetitions: 4", "repetitions: many", "lab.yaml:34: spec.repetitions: must be a whole number, not 'many'"),
        ("levels: [vxlan, geneve, direct]", "levels: []", "lab.yaml:27: spec.factors[0].levels: factor 'overlay' has "
         "no levels; write at least one, or remove the factor"),
        ("levels: [vxlan, geneve, direct]", "levels:", "lab.yaml:27: spec.factors[0].levels: must be a list, not "
         "nothing"),
        ("levels: [vxlan, geneve, direct]", "levels: [vxlan, vxlan]", "lab.yaml:27: spec.factors[0].levels[1]: "
         "factor 'overlay' has level 'vxlan' twice; keep one"),
        ("levels: [vxlan, geneve, direct]", "levels: [vxlan, [a]]", "lab.yaml:27: spec.factors[0].levels[1]: must be "
         "a text or a number or true or false or a mapping, not ['a']"),
        ("levels: [vxlan, geneve, direct]", 'levels: [vxlan, ""]', "lab.yaml:27: spec.factors[0].levels[1]: factor "
         "'overlay' has a level without a name; write {name: …, value: …}"),
        ("name: load\n", "name: overlay\n", "lab.yaml:28: spec.factors[1].name: factor 'overlay': the name is taken by "
         "another factor or parameter; rename one"),
        ("name: load\n", "name: seconds\n", "lab.yaml:28: spec.factors[1].name: factor 'seconds': the name is taken by "
         "another factor or parameter; rename one"),
        ("name: load\n", "name: source\n", "lab.yaml:28: spec.factors[1].name: factor 'source' would hide the results' "
         "column of that name; rename it"),
        ("name: load\n", "name: fault\n", "lab.yaml:28: spec.factors[1].name: factor 'fault' would hide the results' "
         "column of that name; rename it"),
        ("name: load\n", "name: i\n", "lab.yaml:28: spec.factors[1].name: factor 'i' would hide $(i), the number of a "
         "manifest's copy; rename it"),
        ("name: load\n", "name: lo ad\n", "lab.yaml:28: spec.factors[1].name: factor 'lo ad' is no name; it begins "
         "with a letter, then letters, digits, inner dashes and underscores"),
        ("preset: leaf-spine", "preset: leafspine", "lab.yaml:6: spec.topology.preset: there is no preset 'leafspine'; "
         "there are: single, star, linear, ring, dumbbell, leaf-spine, fat-tree, wan"),
        ("preset: leaf-spine, ", "", "lab.yaml:6: spec.topology: no topology given; give exactly one of preset, file "
         "and inline"),
        ("preset: leaf-spine, ", "preset: star, file: x.yaml, ", "lab.yaml:6: spec.topology: preset and file given; "
         "give exactly one of preset, file and inline"),
        ("preset: leaf-spine, nodes: 4", "file: none.yaml", "lab.yaml:6: spec.topology.file: none.yaml: cannot be "
         "read: No such file or directory; check the path"),
        ("nodes: 4", "nodes: 400000", "lab.yaml:6: spec.topology.nodes: 400000 is too large; it must be at most 5000"),
        ("nodes: 4", "nodes: four", "lab.yaml:6: spec.topology.nodes: must be a whole number, not 'four'"),
        ("statistics: [p50, p99]", "statistics: [median]", "lab.yaml:53: spec.analysis[0].statistics[0]: 'median' is "
         "not a statistic: p50 and other percentiles, mean, sum, min, max, count"),
        ("figure: ecdf", "figure: cdf", "lab.yaml:53: spec.analysis[0].figure: 'cdf' is not one of box, ecdf, line, "
         "series"),
        ('relation: ">"', 'relation: ">="', "lab.yaml:61: spec.claims[0].relation: '>=' is not one of <, >, ~"),
        ("tolerance: 5%", "tolerance: 5 apples", "lab.yaml:62: spec.claims[0].tolerance: '5 apples' is not a "
         "percentage such as 0.1%; known units: %"),
        ("tolerance: 5%", "tolerance: 5", "lab.yaml:62: spec.claims[0].tolerance: 5 is not a share, which goes from "
         "0 to 1; write 5% or 0.05"),
        ("    against: {overlay: direct, load: idle}\n", "", "lab.yaml:56: spec.claims[0]: claim 'C1' compares with "
         "nothing; give `against` (levels) or `value` (a number)"),
        ("count: 20", "count: [1]", "lab.yaml:38: spec.workload[0].count: a setting is a text, a number, true or "
         "false, not a list"),
        ("name: back", "name: bulk", "lab.yaml:41: spec.workload[1].together[1]: the name 'bulk' is taken; give this "
         "one a `name` of its own"),
        ("name: back", "name: b.ack", "lab.yaml:41: spec.workload[1].together[1].name: 'b.ack' is no name; it begins "
         "with a letter, then letters, digits, inner dashes and underscores"),
        ("  - together:\n", "  - kind: ping\n    together:\n", "lab.yaml:39: spec.workload[1].kind: a step with "
         "`together` has no other field; move it into the workloads"),
        ("kind: ping, ", "", "lab.yaml:38: spec.workload[0]: a step needs `kind`, or `together` with a list of "
         "workloads"),
        ("seconds: {default: 5", "seconds: {default: 0", "lab.yaml:22: spec.parameters.seconds: parameter 'seconds': 0 "
         "is below its minimum 1; raise it"),
        ("quick: 1,", "quick: one,", "lab.yaml:22: spec.parameters.seconds: parameter 'seconds': 'one' is not a "
         "number, as its default is"),
        ("warmup: 500ms", "warmup: 500 apples", "lab.yaml:36: spec.warmup: '500 apples' is not a time such as 500ms, "
         "30s or 20m; known units: ns, us, ms, s, m, min, h"),
        ("runBytes: 100kB", "runBytes: lots", "lab.yaml:46: spec.expect.runBytes: 'lots' is not a size such as 200kB "
         "or 1GiB"),
        ("maxInvalid: 50%", "maxInvalid: 150%", "lab.yaml:49: spec.stop.maxInvalid: '150%' is more than 100%"),
        ("      metadata: {name: a}\n", "", "lab.yaml:9: spec.manifests[0].inline:1 (document 1): Pod: field "
         "'metadata' is missing; every object has a name"),
        ("- name: policies", "- name: pods", "lab.yaml:13: spec.manifests[1]: the name 'pods' is taken by another "
         "manifest; give this one a `name`"),
        ("name: overlay-cost", "name: Overlay Cost", "lab.yaml:3: metadata.name: 'Overlay Cost' is no experiment's "
         "name; use lower-case letters, digits, inner dashes and underscores"),
        ("apiVersion: kubinet.dev/v1\nkind: Exp", "apiVersion: kubinet.dev/v2\nkind: Exp", "lab.yaml:1: apiVersion: "
         "must be 'kubinet.dev/v1', not 'kubinet.dev/v2'"),
        ("seed: 7", "seed: 7\n  seed: 8", 'lab.yaml:36: key "seed" is given twice in one mapping; keep one'),
        ("ready: [Pod/a]", "ready: [5]", "lab.yaml:20: spec.ready[0]: must be a text, not 5"),
        ("id: C1", "id: 1", "lab.yaml:56: spec.claims[0].id: must be a text, not 1"),
    ],
)  # fmt: skip
def test_mistakes_of_form_are_refused_with_line_field_and_remedy(good: str, bad: str, message: str) -> None:
    """A mistake in the file's form is refused when it is read."""
    assert good in GOOD
    assert _refusal(GOOD.replace(good, bad, 1)) == message


def _checked(text: str, **machine: object) -> str:
    file = parse_text(text, "lab.yaml", Path())
    with pytest.raises(KubinetError) as caught:
        check(file.design, surroundings(**machine), file.where)  # type: ignore[arg-type]
    return str(caught.value)


def test_the_good_file_passes_the_check() -> None:
    """Nothing of the example from which the tables of mistakes start is refused."""
    file = parse_text(GOOD, "lab.yaml", Path())
    check(file.design, surroundings(for_this_machine=True), file.where)


OVERLAY = "sets: topology.network.overlay"
LEVEL = "lab.yaml:27: spec.factors[0].levels[0]: "


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("levels: [vxlan, geneve, direct]", "levels: [vxlan, gnv, direct]", "lab.yaml:27: spec.factors[0].levels[1]: "
         "preset leaf-spine: spec.network.overlay: 'gnv' is not one of vxlan, geneve, direct (with overlay=gnv, "
         "load=idle)"),
        (OVERLAY, "sets: network.overlay", f"{LEVEL}path 'network.overlay' begins with none of topology, manifests, "
         "workload, measurement, warmup"),
        (OVERLAY, "sets: topology.network.ovelray", f"{LEVEL}preset leaf-spine: spec.network.ovelray: unknown field "
         "'ovelray'; known: overlay, datapath, podCIDR, nodeCIDRMaskSize, serviceCIDR, underlayCIDR, managementCIDR, "
         "loadBalancerCIDR, services, loadBalancer, established, dnsReplicas, dnsUpstream, mtu (with overlay=vxlan, "
         "load=idle)"),
        (OVERLAY, "sets: workload.rtt.overlay", f"{LEVEL}ping: unknown field 'overlay'; known: from, to, count (with "
         "overlay=vxlan, load=idle)"),
        (OVERLAY, "sets: workload.rt.overlay", f"{LEVEL}path 'workload.rt.overlay': there is no workload 'rt'; there "
         "are: rtt, bulk, back"),
        ("manifests.policies.repeat: 3", "topology.network.overlay: direct", "lab.yaml:31: spec.factors[1].levels[1]: "
         "path 'topology.network.overlay': factor 'overlay' sets it too; let one of them do it"),
        (OVERLAY, "sets: topology..x", f"{LEVEL}path 'topology..x' cannot be read at '..x'; write names with dots "
         'between, list items as [0], and keys that hold dots as ["kubinet.dev/x"]'),
        (OVERLAY, "sets: manifests.polices.repeat", f"{LEVEL}path 'manifests.polices.repeat': write "
         "manifests.<name>.repeat or manifests.<Kind>/<object>.<field>; the names of the experiment's manifests: "
         "pods, policies"),
        (OVERLAY, "sets: manifests.Pod/b.spec.x", f"{LEVEL}path 'manifests.Pod/b.spec.x': no manifest has Pod/b; "
         "there are: Pod/a"),
        (OVERLAY, "sets: manifests.Pod/a.spec.x[0]", f"{LEVEL}path 'manifests.Pod/a.spec.x[0]': there is no 'x' in "
         "the object"),
        (OVERLAY, "sets: warmup", f"{LEVEL}path 'warmup': 'vxlan' is not a time such as 500ms, 30s or 20m"),
        (f"    {OVERLAY}\n", "", "lab.yaml:24: spec.factors[0]: factor 'overlay' changes nothing: it sets no path and "
         "$(overlay) is used nowhere"),
        ("  - {overlay: direct", "  - {ovrlay: direct", "lab.yaml:33: spec.exclude[0].ovrlay: exclude: there is no "
         "factor 'ovrlay'; factors: overlay, load"),
        ("  - {overlay: direct", "  - {overlay: drect", "lab.yaml:33: spec.exclude[0].overlay: exclude: factor "
         "'overlay' has no level 'drect'; it has: vxlan, geneve, direct"),
        ("  - {overlay: direct, load: full}", "  - {}", "lab.yaml:33: spec.exclude[0]: the entry names no level; name "
         "those that are not to meet, or remove it"),
        ("  - {overlay: direct, load: full}", "  - {load: full}\n  - {load: idle}", "lab.yaml:32: spec.exclude: no "
         "combination of levels is left to run; exclude less, or give factors levels"),
        ("by: [overlay]", "by: [overly]", "lab.yaml:53: spec.analysis[0].by: analysis: there is no factor or label "
         "'overly'; factors: overlay, load; labels: recorder, source, stream, target"),
        ("baseline: {overlay: direct}", "baseline: {overly: direct}", "lab.yaml:53: spec.analysis[0].baseline.overly: "
         "baseline: there is no factor 'overly'; factors: overlay, load"),
        ("baseline: {overlay: direct}", "baseline: {overlay: none}", "lab.yaml:53: spec.analysis[0].baseline.overlay: "
         "baseline: factor 'overlay' has no level 'none'; it has: vxlan, geneve, direct"),
        ("metric: rtt, statistics", "metric: rt, statistics", "lab.yaml:53: spec.analysis[0].metric: nothing here "
         "records the metric 'rt'; workloads and measurements record: cpu, rtt, throughput"),
        ("precision: {metric: rtt", "precision: {metric: rt", "lab.yaml:50: spec.stop.precision.metric: nothing here "
         "records the metric 'rt'; workloads and measurements record: cpu, rtt, throughput"),
        ("x: overlay", "x: stream", "lab.yaml:54: spec.analysis[1].x: analysis: there is no factor 'stream'; factors: "
         "overlay, load"),
        (", x: overlay", "", "lab.yaml:54: spec.analysis[1].figure: a line needs `x`, the factor that it goes over"),
        ("figure: ecdf", "figure: ecdf, x: load", "lab.yaml:53: spec.analysis[0].x: a ecdf figure has no `x`"),
        ("by: [stream]", "by: [stream], where: {laod: idle}", "lab.yaml:54: spec.analysis[1].where.laod: analysis: "
         "there is no factor or label 'laod'; factors: overlay, load; labels: recorder, source, stream, target"),
        ("by: [stream]", "by: [stream], where: {load: idl}", "lab.yaml:54: spec.analysis[1].where.load: analysis: "
         "factor 'load' has no level 'idl'; it has: idle, full"),
        ("by: [stream]", "by: [stream], where: {recorder: bulks}", "lab.yaml:54: spec.analysis[1].where.recorder: "
         "analysis: no workload or measurement is called 'bulks'; there are: rtt, bulk, back, cpu"),
        ("by: [stream]", "by: [stream], where: {overlay: vxlan}", "lab.yaml:54: spec.analysis[1].where.overlay: "
         "`where` leaves one level of 'overlay'; take it out of `where` or of `x`"),
        ("figure: ecdf", "where: {overlay: vxlan}", "lab.yaml:53: spec.analysis[0].where.overlay: `where` leaves one "
         "level of 'overlay'; take it out of `where` or of `baseline`"),
        ("where: {overlay: vxlan", "where: {overlays: vxlan", "lab.yaml:59: spec.claims[0].where.overlays: claim "
         "'C1': there is no factor or label 'overlays'; factors: overlay, load; labels: recorder, source, stream, "
         "target"),
        ("where: {overlay: vxlan", "where: {overlay: vx", "lab.yaml:59: spec.claims[0].where.overlay: claim 'C1': "
         "factor 'overlay' has no level 'vx'; it has: vxlan, geneve, direct"),
        ("where: {overlay: vxlan, load: idle}", "where: {recorder: rt}", "lab.yaml:59: spec.claims[0].where.recorder: "
         "claim 'C1': no workload or measurement is called 'rt'; there are: rtt, bulk, back, cpu"),
        ("where: {overlay: vxlan, load: idle}", "where: {overlay: direct, load: full}", "lab.yaml:59: "
         "spec.claims[0].where: claim 'C1': no run has overlay=direct, load=full: `exclude` leaves those out; name "
         "levels that are run together, or exclude less"),
        ("against: {overlay: direct, load: idle}", "against: {overlay: direct, load: full, recorder: rtt}",
         "lab.yaml:60: spec.claims[0].against: claim 'C1': no run has overlay=direct, load=full: `exclude` leaves "
         "those out; name levels that are run together, or exclude less"),
        ("baseline: {overlay: direct}", "where: {overlay: direct, load: full}", "lab.yaml:53: spec.analysis[0].where: "
         "analysis: no run has overlay=direct, load=full: `exclude` leaves those out; name levels that are run "
         "together, or exclude less"),
        ("figure: ecdf", "where: {load: full}", "lab.yaml:53: spec.analysis[0].baseline: analysis: no run has "
         "load=full, overlay=direct: `exclude` leaves those out; name levels that are run together, or exclude less"),
        ("claims: [C1]", "claims: [C2]", "lab.yaml:64: spec.published[0].claims: there is no claim 'C2'; there are: "
         "C1"),
        ("kind: ping", "kind: pong", "lab.yaml:38: spec.workload[0].kind: there is no workload 'pong'; there are: "
         "iperf3, ping"),
        ("kind: processes", "kind: ping", "lab.yaml:43: spec.measurements[0].kind: there is no measurement 'ping'; "
         "there are: processes"),
        ("cpu, kind: processes, every: 1s", "cpu, kind: processes, evry: 1s", "lab.yaml:43: "
         "spec.measurements[0].evry: processes: unknown field 'evry'; known: every"),
        ("count: 20", "cuont: 20", "lab.yaml:38: spec.workload[0].cuont: ping: unknown field 'cuont'; known: from, "
         "to, count"),
        ("count: 20", "count: many", "lab.yaml:38: spec.workload[0].count: ping: parameter 'count': 'many' is not a "
         "whole number"),
        ("count: 20", "count: 0", "lab.yaml:38: spec.workload[0].count: ping: parameter 'count': 0 is below its "
         "minimum 1"),
        ("count: 20", "count: $(load)", "lab.yaml:38: spec.workload[0].count: ping: parameter 'count': 0 is below its "
         "minimum 1 (with overlay=vxlan, load=idle)"),
        ("workload.rtt.count: 50", "workload.rtt.count: 0", "lab.yaml:31: spec.factors[1].levels[1]: ping: parameter "
         "'count': 0 is below its minimum 1 (with overlay=vxlan, load=full)"),
        ("to: node/n2, count", "count", "lab.yaml:38: spec.workload[0].to: ping: field 'to' is missing: where it "
         "goes"),
        ("to: node/n2, count", "to: pod/a, count", "lab.yaml:38: spec.workload[0]: ping: from and to are both pod/a; "
         "choose two places"),
        ("count: 20", "count: $(secnds)", "lab.yaml:38: spec.workload[0].count: '$(secnds)': there is no factor or "
         "parameter 'secnds'; there are: seconds, overlay, load ($$(secnds) is the text itself)"),
        ("partition [n1] [n2]", "partition [n1] [n9]", "lab.yaml:45: spec.timeline[0]: there is no node 'n9'; there "
         "are: n1, n2, n3, n4 (with overlay=vxlan, load=idle)"),
        ('"at $(load)s', '"when 2s', "lab.yaml:45: spec.timeline[0]: 'when 2s: partition [n1] [n2]' does not begin "
         "with `at`"),
        ("$(load)s", "$(lod)s", "lab.yaml:45: spec.timeline[0]: 'at $(lod)s: partition [n1] [n2]': there is no factor "
         "or parameter 'lod'; there are: seconds, overlay, load ($$(lod) is the text itself)"),
        ("factors: {overlay: [vxlan, direct]}", "factors: {overlay: [vxlan, drct]}", "lab.yaml:51: "
         "spec.quick.factors.overlay: quick: factor 'overlay' has no level 'drct'; it has: vxlan, geneve, direct"),
        ("factors: {overlay: [vxlan, direct]}", "factors: {overlay: []}", "lab.yaml:51: spec.quick.factors.overlay: "
         "factor 'overlay' has no levels left; name at least one"),
        ("manifests.policies.repeat: 3", "manifests.policies.repeat: -1", "lab.yaml:31: spec.factors[1].levels[1]: "
         "path 'manifests.policies.repeat': -1 copies cannot be made; it must be at least 0"),
        ("manifests.policies.repeat: 3", "topology.nodes: 5001", "lab.yaml:31: spec.factors[1].levels[1]: path "
         "'topology.nodes': 5001 nodes cannot be made; it must be 1 to 5000"),
        ("manifests.policies.repeat: 3", "topology.nodes: 300", "lab.yaml:31: spec.factors[1].levels[1]: preset "
         "leaf-spine: network: podCIDR 10.244.0.0/16 holds 256 nodes of /24, the topology has 300; widen it (with "
         "overlay=vxlan, load=full)"),
        ("manifests.policies.repeat: 3", "manifests.policies.repeat: 1000000", "lab.yaml:13: spec.manifests[1]: "
         "1,000,000 copies of manifest 'policies' are more than 32 MiB; make fewer"),
        ("{name: p-$(i)}", "{name: p}", "lab.yaml:13: spec.manifests[1]: NetworkPolicy 'p' is there twice; with "
         "`repeat`, put $(i) into its name"),
        ("ready: [Pod/a]", "ready: [web]", "lab.yaml:20: spec.ready[0]: 'web' names no object; write Kind/NAME or "
         "NAMESPACE:Kind/NAME, such as Deployment/web"),
        ("manifests.policies.repeat: 3", "topology.preset: net.yaml", "lab.yaml:31: spec.factors[1].levels[1]: path "
         "'topology.preset': there is no preset 'net.yaml'; there are: single, star, linear, ring, dumbbell, "
         "leaf-spine, fat-tree, wan"),
        ("manifests.policies.repeat: 3", f"manifests.Pod/a{'.x' * 60}: 3", "lab.yaml:31: spec.factors[1].levels[1]: "
         "path 'manifests.Pod/a.x.x.x.x.x.x.x.x.x.x.x.x.'… has 62 parts, more than 50; shorten it"),
        ("network.overlay: vxlan}", "links.mtu: 1000}", "lab.yaml:27: spec.factors[0].levels[0]: preset leaf-spine: "
         "link 'n1-leaf1': mtu 1000 is less than the network's 1500; nodes would send frames that it cannot carry; "
         "lower network.mtu to 1000 too (with overlay=vxlan, load=idle)"),
        ("repetitions: 4", "repetitions: 1000000000", "lab.yaml:34: spec.repetitions: 6,000,000,000 runs are more "
         "than 100,000; take fewer levels or repetitions"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_line_field_and_remedy(good: str, bad: str, message: str) -> None:
    """A mistake that only shows when parts are put together is refused by the check, for any combination of levels."""
    assert good in GOOD
    assert _checked(GOOD.replace(good, bad, 1)) == message


def test_an_unused_parameter_is_refused() -> None:
    """A parameter that nothing substitutes is a slip of the pen."""
    assert _checked(GOOD.replace("seconds: $(seconds)", "seconds: 5")) == (
        "lab.yaml:22: spec.parameters.seconds: parameter 'seconds' changes nothing: "
        "$(seconds) is used nowhere; use it or remove it"
    )


def test_what_the_machine_lacks_is_refused_before_the_first_run() -> None:
    """Missing programs, a full disk and a topology that this machine cannot honour are refused with the line."""
    assert _checked(GOOD, missing=("iperf3",)) == (
        "lab.yaml:40: spec.workload[1].together[0].kind: iperf3 runs the program 'iperf3', which is not installed "
        "here; install it"
    )
    assert _checked(GOOD, free_bytes=10_000) == (
        "lab.yaml:46: spec.expect.runBytes: all runs need about 2.0 MB of disk and 0.0 MB are free; "
        "free some, or take fewer repetitions or levels"
    )
    file = parse_text(GOOD, "lab.yaml", Path())
    with pytest.raises(MissingCapabilityError):
        check(file.design, surroundings(missing=("ping",)), file.where)
    impossible = GOOD.replace("network.overlay: vxlan}", "network.datapath: afxdp}")
    assert _checked(impossible, for_this_machine=True).startswith(
        "lab.yaml:27: spec.factors[0].levels[0]: preset leaf-spine: link 'n1-leaf1': a rate at a node's own link "
        "cannot be kept with datapath afxdp"
    )
