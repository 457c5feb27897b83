"""What combinations of levels have in common is checked once, by what it is and not by where it is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from designs import PING, accept_line

from experiments.design.applied import ManifestReader
from experiments.design.document import parse_text
from experiments.design.existing import Existing
from experiments.design.model import ExperimentDesign, PlannedRun, Settings
from experiments.design.networks import Networks
from experiments.design.plan import combinations
from experiments.design.runs import RunChecker
from experiments.design.specify import specify
from experiments.design.usedplugins import UsedPlugins
from experiments.scene import Workload
from topologies.resolve import resolve_topology

PODS = "apiVersion: v1\nkind: Pod\nmetadata: {name: p-$(i)}\nspec: {}\n"


def _design() -> ExperimentDesign:
    """Eight combinations: two networks, two numbers of pods, two numbers of packets."""
    factors = [
        {"name": "nodes", "sets": "topology.nodes", "levels": [2, 3]},
        {"name": "pods", "sets": "manifests.pods.repeat", "levels": [1, 2]},
        {"name": "packets", "sets": "workload.ping.count", "levels": [10, 20]},
    ]
    spec = {
        "question": "What is shared?",
        "topology": {"preset": "star"},
        "manifests": [{"name": "pods", "inline": PODS}],
        "workload": [{"kind": "ping", "from": "pod/p-0", "to": "node/n1"}],
        "timeline": ["at 1s: look at n1"],
        "factors": factors,
    }
    document = {"apiVersion": "kubinet.dev/v1", "kind": "Experiment", "metadata": {"name": "x"}, "spec": spec}
    return parse_text(yaml.safe_dump(document), "x.yaml", Path()).design


def _runs(design: ExperimentDesign) -> list[PlannedRun]:
    return [PlannedRun(index, 0, levels, 1) for index, levels in enumerate(combinations(design))]


class _Counting:
    """A plug-in like `designs.PING` that counts how often its settings are judged."""

    parameters, required, metrics, summary = PING.parameters, PING.required, PING.metrics, PING.summary
    programs, labels, makes_objects = PING.programs, PING.labels, False
    duration_s, offered, run = PING.duration_s, PING.offered, PING.run

    def __init__(self) -> None:
        self.judged: list[object] = []

    def check(self, settings: Settings) -> None:
        self.judged.append(settings["count"])


def test_each_cluster_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight runs: two networks are resolved, two settings judged, a line is compared with four clusters."""
    resolved: list[object] = []
    lines: list[tuple[int, int]] = []

    def resolve(*args: object, **kwargs: object) -> object:
        resolved.append(kwargs["nodes"])
        return resolve_topology(*args, **kwargs)  # type: ignore[arg-type]

    def look(line: str, existing: Existing) -> None:
        accept_line(line, existing)
        lines.append((len(existing.topology["spec"]["nodes"]), sum(len(names.pods) for names in existing.objects)))

    monkeypatch.setattr("experiments.design.networks.resolve_topology", resolve)
    plugin, design = _Counting(), _design()
    checker = RunChecker(design, {"ping": plugin}, {}, look, for_this_machine=False)
    for run in _runs(design):
        checker.check(run)
    assert resolved == [2, 3]
    assert plugin.judged == [10, 20]
    assert lines == [(2, 1), (2, 2), (3, 1), (3, 2)]


def test_equal_choices_are_one_network() -> None:
    """Networks are equal where the same was chosen, and not where a setting differs, be it only in type."""
    design = _design()
    [run, *_] = _runs(design)
    networks, again = Networks(design, for_this_machine=False), Networks(design, for_this_machine=False)
    choice = replace(design.topology, nodes=2, settings={"network.mtu": 1400})
    assert networks.of(choice, run) == again.of(replace(choice, settings={"network.mtu": 1400}), run)
    assert networks.of(choice, run) != again.of(replace(choice, settings={"network.mtu": "1400"}), run)


def test_equal_settings_are_one_use() -> None:
    """What a plug-in is used with is equal for equal settings, whoever completed them."""
    design = _design()
    first, second = (specify(design, run) for run in _runs(design)[:2])
    plugins: dict[str, Workload] = {"ping": PING}
    one, other = (UsedPlugins(design, plugins, {}) for _ in range(2))
    assert one.of(first) == other.of(first)
    assert one.of(first) != other.of(second)


def test_a_text_of_objects_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests that are equal in two runs are the same names."""
    design, reader = _design(), ManifestReader()
    first, second = (specify(design, run) for run in _runs(design)[:2])
    names = reader.manifests_of(first)
    monkeypatch.setattr("experiments.design.applied.parse_manifests", lambda *_: pytest.fail("read again"))
    assert reader.manifests_of(second) == names
    assert names[0].pods == {("default", "p-0")}
