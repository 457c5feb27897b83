"""The engine's pure parts: places, readiness, values in JSON, growing tables, worker archives, what is shown."""

import csv
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakeexperiments import FakeCluster, design

from experiments.design.model import ExperimentDesign, PlannedRun, RunSpec, WorkloadDesign
from experiments.design.plan import plan
from experiments.design.specify import specify
from experiments.engine.api import prepare
from experiments.engine.archive import pack, unpack
from experiments.engine.files import ReadingTable
from experiments.engine.readiness import awaited, is_ready
from experiments.engine.run import RunOutcome, together
from experiments.engine.scene import LiveScene
from experiments.engine.tools import Telling
from experiments.engine.values import from_data, to_data
from experiments.folder import write_json
from experiments.objectnames import ObjectName
from experiments.placenames import PlaceName, parse_place
from experiments.scene import Reading
from kubinet.cli.rundisplay import Course, described, summed
from kubinet.errors import InvalidInputError, KubinetError, UsageError

SILENT = Telling(step=lambda _: None, value=lambda _: None)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[LiveScene]:
    """A scene that writes into the test's folder."""
    (tmp_path / "raw").mkdir()
    cluster: Any = FakeCluster("played")
    made = LiveScene(cluster, 7, tmp_path, ReadingTable(tmp_path / "samples.csv"), SILENT)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("pod/a", PlaceName("pod", "a")),
        ("pod/shop/a", PlaceName("pod", "a", "shop")),
        ("node/n1", PlaceName("node", "n1")),
        ("outside/h1", PlaceName("outside", "h1")),
        ("service/web", PlaceName("service", "web")),
        ("service/shop/web:80", PlaceName("service", "web", "shop", 80)),
        ("10.1.2.3", PlaceName("address", "10.1.2.3")),
        ("10.1.2.3:53", PlaceName("address", "10.1.2.3", port=53)),
    ],
)
def test_places_by_their_words(text: str, place: PlaceName) -> None:
    """Pods and Services have namespaces, Services and addresses ports."""
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text", ["", "a", "pod/", "node/x/y", "pod/a:80", "vm/a", "10.1.2", "service/web:http", "pod/a/b/c"]
)
def test_place_that_means_nothing_is_refused_with_the_forms(text: str) -> None:
    """The error says what can be written."""
    with pytest.raises(UsageError, match=r"write pod/NAME, pod/NAMESPACE/NAME, node/NAME or outside/NAME"):
        parse_place(text)


def test_programs_run_in_no_service(scene: LiveScene) -> None:
    """A Service is an address, not a place."""
    with pytest.raises(UsageError, match="place 'service/web': programs run in pod/NAME"):
        scene.place("service/web")


def test_labels_that_come_later_become_columns(tmp_path: Path, scene: LiveScene) -> None:
    """Rows that were there stay, with the new column empty; no row is lost."""
    scene.record([Reading("rtt", 1.5, "ms", 10.0, 1, "pod/a", "pod/b")])
    scene.record([Reading("rtt", 2.5, "ms", 11.0, 2, "pod/a", "pod/b", {"way": "far"})])
    scene.record([Reading("loss", 0.0, "", 12.0, labels={"way": "near", "size": "56"})])
    with (tmp_path / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["way"], row["size"], row["metric"], row["value"]) for row in rows] == [
        ("", "", "rtt", "1.5"),
        ("far", "", "rtt", "2.5"),
        ("near", "56", "loss", "0.0"),
    ]


def test_readings_say_which_workload_they_come_from(tmp_path: Path, scene: LiveScene) -> None:
    """Two workloads of one kind record the same metric; the engine adds their names, whatever labels they set."""

    class Pings:
        def run(self, scene: Any, settings: Any) -> None:
            scene.record([Reading("rtt", settings["value"], "ms", 10.0, labels=settings["labels"])])

    wanted = {"near": (1.5, {}), "far": (9.5, {"way": "up"}), "liar": (2.5, {"recorder": "near"})}
    for name, (value, labels) in wanted.items():
        step: Any = [(WorkloadDesign(name, "ping", {"value": value, "labels": labels}, 0), Pings())]  # type: ignore[dict-item]
        together(step, scene)
    with (tmp_path / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["recorder"], row["way"], row["value"]) for row in rows] == [
        ("near", "", "1.5"),
        ("far", "up", "9.5"),
        ("liar", "", "2.5"),
    ]


def test_workload_that_goes_on_after_the_run_records_nothing(scene: LiveScene) -> None:
    """The run's end holds for every workload's and measurement's view of it."""
    view = scene.of("rtt")
    scene.close()
    with pytest.raises(KubinetError, match="this run is over"):
        view.record([Reading("x", 1.0, "", 0.0)])


def test_readings_of_several_threads_are_all_kept(tmp_path: Path, scene: LiveScene) -> None:
    """Each row whole, none lost."""

    def work(number: int) -> None:
        for sequence in range(20):
            scene.record([Reading("x", float(number), "", 0.0, sequence, labels={f"l{number}": "1"})])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with (tmp_path / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["value"], int(row["sequence"])) for row in rows) == [
        (f"{number}.0", sequence) for number in range(4) for sequence in range(20)
    ]


def test_run_that_is_over_records_nothing(scene: LiveScene) -> None:
    """A thread that is left over cannot write into a folder that is complete."""
    scene.close()
    with pytest.raises(KubinetError, match="this run is over"):
        scene.record([Reading("x", 1.0, "", 0.0)])


def test_raw_outputs_of_one_name_are_all_kept(tmp_path: Path, scene: LiveScene) -> None:
    """The second gets a number; names cannot leave the folder."""
    scene.raw("ping.txt", "first")
    scene.raw("ping.txt", "second")
    scene.raw("../../evil.txt", b"third")
    assert {path.name: path.read_text() for path in (tmp_path / "raw").iterdir()} == {
        "ping.txt": "first",
        "ping-2.txt": "second",
        "-..-evil.txt": "third",
    }


def test_what_a_run_waits_for() -> None:
    """Pods and workload objects of the manifests, then what `ready` names, each once."""
    manifests = {
        "a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        "b.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n",
    }
    assert awaited(manifests, ["Pod/a", "shop:StatefulSet/db"]) == (
        ObjectName("Pod", "a", "default"),
        ObjectName("Deployment", "web", "shop"),
        ObjectName("StatefulSet", "db", "shop"),
    )


def _object(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("obj", "ready"),
    [
        (None, False),
        (_object("Pod", {}, {"conditions": [{"type": "Ready", "status": "True"}]}), True),
        (_object("Pod", {}, {"conditions": [{"type": "Ready", "status": "False"}]}), False),
        (_object("Pod", {}, {"phase": "Succeeded"}), True),
        (_object("Deployment", {}, {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1}), True),
        (_object("Deployment", {}, {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}), False),
        (
            _object("Deployment", {"replicas": 2}, {"observedGeneration": 2, "updatedReplicas": 2}),
            False,
        ),
        (_object("Deployment", {"replicas": 0}, {"observedGeneration": 2}), True),
        (_object("StatefulSet", {"replicas": 2}, {"observedGeneration": 2, "readyReplicas": 2}), True),
        (_object("DaemonSet", {}, {"observedGeneration": 2}), False),
        (_object("DaemonSet", {}, {"observedGeneration": 2, "desiredNumberScheduled": 2, "numberReady": 2}), True),
        (_object("Job", {}, {"ready": 1}), True),
        (_object("Job", {}, {}), False),
        (_object("Node", {}, {"conditions": [{"type": "Ready", "status": "True"}]}), True),
    ],
)
def test_readiness_by_kind(obj: dict[str, Any] | None, ready: bool) -> None:
    """What the spec asks for is there, as the newest generation's status says."""
    assert is_ready(obj) is ready


def test_designs_and_runs_survive_json() -> None:
    """Every field of a design and of a run is the same after a journey to a worker."""
    made = design("  stop: {maxDuration: 20m, precision: {metric: eyes, statistic: p50, halfWidth: 5%, minimum: 5}}\n")
    assert from_data(ExperimentDesign, to_data(made)) == made
    spec = specify(made, plan(made)[0])
    assert from_data(RunSpec, to_data(spec)) == spec


@pytest.mark.parametrize("data", [{}, {"index": "1"}, {"index": 1, "other": 2}, []])
def test_data_of_another_kind_are_refused(data: object) -> None:
    """A folder that another version wrote is an error that says so."""
    with pytest.raises(InvalidInputError, match=r"this is no PlannedRun: .*another version of Kubinet wrote it"):
        from_data(PlannedRun, data)


def test_archive_of_a_run_is_the_same_folder(tmp_path: Path) -> None:
    """What a worker sends appears whole, with its folders."""
    source, target = tmp_path / "source", tmp_path / "runs" / "0003"
    (source / "raw").mkdir(parents=True)
    (source / "manifests").mkdir()
    (source / "raw" / "ping.txt").write_bytes(b"\x00ping")
    write_json(source / "run.json", {"index": 3, "state": "complete", "started_s": 1.0, "ended_s": 3.5})
    outcome = unpack(pack(source), target)
    assert (outcome.index, outcome.state, outcome.seconds) == (3, "complete", 2.5)
    assert (target / "raw" / "ping.txt").read_bytes() == b"\x00ping"
    assert [path.name for path in target.parent.iterdir()] == ["0003"]


def test_archive_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    """The run counts as not done."""
    with pytest.raises(KubinetError, match="the worker's archive cannot be read"):
        unpack(b"PK cut", tmp_path / "0003")
    assert not (tmp_path / "0003").exists()


def test_workloads_of_one_step_run_at_the_same_time(scene: LiveScene) -> None:
    """Each waits for the other; the error of one is raised when both have ended."""
    barrier = threading.Barrier(2, timeout=10)
    ended: list[str] = []

    class Meets:
        def run(self, scene: Any, settings: Any) -> None:
            barrier.wait()
            ended.append(settings["name"])
            if settings["name"] == "b":
                raise KubinetError("no answer")

    step: Any = [(WorkloadDesign(name, "x", {"name": name}, 0), Meets()) for name in ("a", "b")]
    with pytest.raises(KubinetError, match="workload b: no answer"):
        together(step, scene)
    assert sorted(ended) == ["a", "b"]


def test_time_that_is_left_is_what_runs_took_until_now() -> None:
    """Half of what is left when two go side by side; a run that goes on counts with what it has left."""
    course = Course(total=6, done=0, parallel=1, expected_s=30.0)
    assert course.left_s([]) == 180.0
    course.ended(RunOutcome(0, "complete", seconds=10.0))
    course.ended(RunOutcome(1, "complete", seconds=20.0))
    assert (course.done, course.left_s([5.0])) == (2, 55.0)
    course.parallel = 2
    assert course.left_s([]) == 30.0


def test_runs_in_words() -> None:
    """What ended, how, and why."""
    run = PlannedRun(3, 1, {"overlay": "vxlan", "load": "idle"}, 5)
    assert described(run) == "overlay=vxlan, load=idle, repetition 1"
    done = RunOutcome(3, "complete", seconds=19.6, verdict="suspect", reasons=("no idle CPU", "late"))
    assert summed(done) == "20 s, suspect: no idle CPU"
    assert summed(replace(done, state="failed", error="it broke\nat line 3")) == "failed after 20 s: it broke"


def test_path_that_no_factor_has_becomes_one(tmp_path: Path) -> None:
    """`--set topology.network.overlay=geneve` works for an experiment without such a factor."""
    prepared = prepare("pod_latency", levels={"topology.network.overlay": ["geneve"]}, output_dir=tmp_path)
    assert [(one.name, [level.name for level in one.levels]) for one in prepared.design.factors] == [
        ("overlay", ["geneve"])
    ]
    assert specify(prepared.design, plan(prepared.design)[0]).topology.settings["network.overlay"] == "geneve"


def test_experiment_that_compares_inside_its_runs_takes_one_level(tmp_path: Path) -> None:
    """Its analysis would mix the levels."""
    with pytest.raises(UsageError, match=r"compares inside its runs; give topology\.network\.overlay one level"):
        prepare("pod_latency", levels={"topology.network.overlay": ["geneve", "vxlan"]}, output_dir=tmp_path)


def test_words_of_parameters_have_their_types(tmp_path: Path) -> None:
    """`-p pings=50` is the number 50; others keep their quick value."""
    parameters = prepare("pod_latency", parameters=["pings=60"], quick=True, output_dir=tmp_path).design.parameters
    assert (parameters["pings"], parameters["tcp_seconds"], parameters["ping_interval_s"]) == (60, 1, 0.01)
