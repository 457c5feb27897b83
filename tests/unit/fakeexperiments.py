"""An experiment's surroundings that only play: a cluster without a network, a workload without packets."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from experiments.base import Parameter
from experiments.design.document import parse_text
from experiments.design.model import ExperimentDesign, TopologyChoice
from experiments.engine.tools import TimelineEvent, Tools
from experiments.records import Assessment, LinkCheck, MachineSecond, Verdict
from experiments.scene import Reading
from kubinet.errors import KubinetError

DESIGN = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: dice}
spec:
  question: What do two dice show?
  topology: {preset: leaf-spine, nodes: 2}
  factors:
  - {name: sides, meaning: how many sides, sets: workload.throw.sides, levels: [6, 20]}
  parameters:
    throws: {default: 4, quick: 2, meaning: how many throws, minimum: 1}
  repetitions: 3
  seed: 5
  warmup: 0s
  workload:
  - {name: throw, kind: "fakeexperiments:DICE", throws: $(throws)}
  measures: behaviour
"""


def design(more: str = "", *, text: str = DESIGN) -> ExperimentDesign:
    """The dice experiment; `more` is appended to its spec."""
    return parse_text(text + more, "dice.yaml", Path()).design


class Dice:
    """Throws dice by the run's seed. Files of the folder that `obey` names tell it to fail, to wait or to be killed."""

    summary = "throws dice"
    parameters = (
        Parameter("sides", 6, 6, "sides"),
        Parameter("throws", 4, 4, "how often"),
    )
    required = ()
    metrics: ClassVar = {"eyes": ""}
    programs = ()

    def check(self, settings: Any) -> None:
        pass

    def duration_s(self, settings: Any) -> float:
        return 0.0

    def run(self, scene: Any, settings: Any) -> None:
        # A worker elsewhere has a folder of another name.
        obey(f"{int(scene.cluster.name.rpartition('-')[2]):04}")
        generator = random.Random(scene.seed)
        values = [generator.randint(1, int(settings["sides"])) for _ in range(int(settings["throws"]))]
        scene.record(
            Reading("eyes", float(value), "", 1000.0 + number, number, "pod/a", "pod/b", {"hand": "left"})
            for number, value in enumerate(values)
        )
        scene.raw("throws.txt", " ".join(map(str, values)))


def obey(run: str) -> None:
    """Do what `$FAKE_ORDERS/<run>` says: `fail` (once), `fail always`, `wait` until it is gone."""
    orders = Path(os.environ.get("FAKE_ORDERS", "/nonexistent")) / run
    while orders.exists():
        order = orders.read_text()
        if order == "fail":
            orders.unlink()
        if order.startswith("fail"):
            raise KubinetError(f"the dice of run {run} fell off the table")
        orders.with_suffix(".waits").touch()
        time.sleep(0.01)


DICE = Dice()


class FakeCluster:
    """Has a topology and timings; everything is ready at once."""

    topology: ClassVar = {"apiVersion": "kubinet.dev/v1", "kind": "Topology", "spec": {"nodes": [{"name": "n1"}]}}
    timings: ClassVar = {"cluster": 0.5}

    def __init__(self, name: str) -> None:
        self.name = name

    def wait_realised(self, timeout: float = 60.0) -> None:
        """At once."""


@contextmanager
def fake_cluster(topology: TopologyChoice, name: str, folder: Path, tell: Any) -> Iterator[Any]:
    """Leaves a mark in `$FAKE_ORDERS/up` while it is up."""
    mark = Path(os.environ.get("FAKE_ORDERS", "/nonexistent")) / "up" / name
    if mark.parent.parent.exists():
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
    tell("cluster: ready")
    try:
        yield FakeCluster(name)
    finally:
        mark.unlink(missing_ok=True)


class FakeWatch:
    """Sees one idle second."""

    def __init__(self, cluster: Any, record: Any) -> None:
        self._record = record
        self.links = (LinkCheck("n1-leaf1", "delay", 1.0, 1.0, "ms", True),)
        self.assessment = Assessment(Verdict.SUSPECT, ("it is only played",))

    def excuse(self, subject: str) -> None:
        pass

    def __enter__(self) -> "FakeWatch":
        self._record(MachineSecond(1000.0, 1.0, 0.0, 0.0, 0.0))
        return self

    def __exit__(self, *_: object) -> None:
        pass


class FakeTimeline:
    """Writes each line as an event."""

    def __init__(self, lines: Sequence[str], files: Any, write: Any, excuse: Any) -> None:
        self._lines, self._write = lines, write

    def start(self, scene: Any) -> None:
        for line in self._lines:
            self._write(TimelineEvent(scene.started_s, 0.0, "planned", line, ""))

    def stop(self) -> None:
        pass

    @property
    def assessment(self) -> Assessment:
        late = tuple(f"timeline: {line}" for line in self._lines if line.startswith("at 1h"))
        return Assessment(Verdict.SUSPECT if late else Verdict.VALID, late)


TOOLS = Tools(
    cluster=fake_cluster,
    workload=lambda kind: DICE,
    measurement=lambda kind: DICE,  # type: ignore[arg-type,return-value]
    watch=FakeWatch,
    timeline=FakeTimeline,
)
