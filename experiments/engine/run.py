"""One run: a cluster of its own comes up, carries the workload while it is watched, and goes; a folder holds it all."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from experiments.base import RunningCluster
from experiments.design.model import MeasurementDesign, PlannedRun, RunSpec, WorkloadDesign
from experiments.engine.files import (
    MACHINE_COLUMNS,
    GrowingTable,
    ReadingTable,
    read_json,
)
from experiments.engine.readiness import awaited, is_ready
from experiments.engine.scene import LiveScene
from experiments.engine.tools import Telling, Timeline, TimelineEvent, Tools, Watch
from experiments.folder import write_json, write_text
from experiments.objectnames import ObjectName
from experiments.plugins import complete
from experiments.records import EVENT_COLUMNS, Assessment, MachineSecond, Verdict
from experiments.scene import Measurement, Workload
from kubinet.errors import InvalidInputError, KubinetError

COMPLETE: Final = "complete"
FAILED: Final = "failed"
RECORD: Final = "run.json"
READY_SECONDS: Final = 120.0
"""How long pods and workload objects may take to become ready."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended, as run.json says."""

    index: int
    state: str
    error: str = ""
    seconds: float = 0.0
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    bytes: int = 0


def outcome_of(folder: Path) -> RunOutcome | None:
    """What run.json says; None for a run that did not end."""
    document = read_json(folder / RECORD)
    if document is None:
        return None
    verdict = document.get("verdict") or {}
    return RunOutcome(
        index=int(document["index"]),
        state=str(document["state"]),
        error=str(document.get("error") or ""),
        seconds=float(document["ended_s"]) - float(document["started_s"]),
        verdict=str(verdict.get("verdict", "")),
        reasons=tuple(verdict.get("reasons", ())),
        bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    )


def carry_out(spec: RunSpec, folder: Path, cluster_name: str, tools: Tools, telling: Telling) -> RunOutcome:
    """Do one run and write its folder; run.json comes last, so a run without it did not happen.

    A run that fails (KubinetError or anything else but an interruption) is recorded as failed, with its error. What
    interrupts it, and a disk that is full, is raised: then there is no run.json.
    """
    for name in ("raw", "manifests"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {**asdict(spec.run), "cluster": cluster_name, "started_s": time.time()}
    phases: dict[str, float] = {}
    try:
        assessment = _Run(spec, folder, cluster_name, tools, telling, record, phases).do()
        record |= {"state": COMPLETE, "verdict": asdict(assessment), "error": None}
    except OSError as error:
        if error.errno is not None and _disk_is_full(error):
            raise
        record |= _failure(error)
    except Exception as error:
        record |= _failure(error)
    record |= {"ended_s": time.time(), "phases": phases}
    write_json(folder / RECORD, record)
    outcome = outcome_of(folder)
    assert outcome is not None
    return outcome


def record_failure(run: PlannedRun, folder: Path, started_s: float, error: Exception) -> RunOutcome:
    """Write the run.json of a run whose process or worker died."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {**asdict(run), "started_s": started_s, **_failure(error), "ended_s": time.time()}
    write_json(folder / RECORD, record)
    outcome = outcome_of(folder)
    assert outcome is not None
    return outcome


def _failure(error: Exception) -> dict[str, Any]:
    words = str(error) if isinstance(error, KubinetError) else f"{type(error).__name__}: {error}"
    failed = Assessment(Verdict.INVALID, (f"the run failed: {words}",))
    return {"state": FAILED, "verdict": asdict(failed), "error": words}


def _disk_is_full(error: OSError) -> bool:
    import errno  # noqa: PLC0415 - only after an error

    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class _Run:
    """The steps of one run, in order."""

    spec: RunSpec
    folder: Path
    cluster_name: str
    tools: Tools
    telling: Telling
    record: dict[str, Any]
    phases: dict[str, float]

    def do(self) -> Assessment:
        wanted = awaited(self.spec.manifests, self.spec.ready)
        for name, text in self.spec.manifests.items():
            write_text(self.folder / "manifests" / name, text)
        self.telling.step("cluster: coming up")
        with ExitStack() as stack:
            with self._phase("up"):
                cluster = stack.enter_context(
                    self.tools.cluster(self.spec.topology, self.cluster_name, self.folder, self.telling.step)
                )
            self.record["timings"] = dict(cluster.timings)
            _write_topology(self.folder / "topology.yaml", cluster.topology)
            with self._phase("ready"):
                self._make_ready(cluster, wanted)
            table = ReadingTable(self.folder / "samples.csv")
            scene = LiveScene(cluster, self.spec.run.seed, self.folder, table, self.telling)
            stack.callback(scene.close)
            assessment = self._measure(cluster, scene)
            self.telling.step("cluster: going down")
        return assessment

    def _make_ready(self, cluster: RunningCluster, wanted: Sequence[ObjectName]) -> None:
        for name, text in self.spec.manifests.items():
            self.telling.step(f"applying {name}")
            cluster.apply(text if "\n" in text else f"{text}\n")
        deadline = time.monotonic() + READY_SECONDS
        for one in wanted:
            self.telling.step(f"waiting for {one}")
            left = max(1.0, deadline - time.monotonic())
            cluster.wait_until(one.kind, one.name, is_ready, namespace=one.namespace, timeout=left, what="readiness")
        cluster.wait_realised(max(1.0, deadline - time.monotonic()))

    def _measure(self, cluster: RunningCluster, scene: LiveScene) -> Assessment:
        with ExitStack() as stack:
            machine = GrowingTable(self.folder / "machine.csv", MACHINE_COLUMNS)
            stack.callback(machine.close)
            events = GrowingTable(self.folder / "events.csv", EVENT_COLUMNS)
            stack.callback(events.close)
            watch = self.tools.watch(cluster, lambda second: machine.add([_rounded(second)]))
            self.telling.step("measuring links before the workload")
            began = time.monotonic()
            with watch:
                self.phases["links before"] = round(time.monotonic() - began, 3)
                with self._phase("warm-up"):
                    if self.spec.warmup_s:
                        self.telling.step(f"warm-up of {self.spec.warmup_s:g} s")
                        threading.Event().wait(self.spec.warmup_s)
                with self._phase("workload"):
                    played = self._workload(scene, events, watch)
                self.telling.step("measuring links after the workload")
                began = time.monotonic()
            self.phases["links after"] = round(time.monotonic() - began, 3)
        write_json(self.folder / "links.json", [asdict(check) for check in watch.links])
        return watch.assessment.merged(played)

    def _workload(self, scene: LiveScene, events: GrowingTable, watch: Watch) -> Assessment:
        """Returns what is to be said of the timeline."""
        lock = threading.Lock()

        def write(event: TimelineEvent) -> None:
            with lock:
                events.add([asdict(event)])

        # Plug-ins are found and asked before anything is sent.
        working = [_ready(one, self.tools.workload(one.kind)) for one in self.spec.workload]
        watching = [_ready(one, self.tools.measurement(one.kind)) for one in self.spec.measurements]
        timeline = None
        if self.spec.timeline:
            timeline = self.tools.timeline(self.spec.timeline, self.spec.files, write, watch.excuse)
        with ExitStack() as stack:
            scene.started_s = self.record["workload_started_s"] = time.time()
            for design, measurement in watching:
                stack.enter_context(measurement.watch(scene.of(design.name), design.settings))
            if timeline is not None:
                timeline.start(scene)
                stack.push(partial(_end_timeline, timeline))
            for number in sorted({one.step for one in self.spec.workload}):
                step = [one for one in working if one[0].step == number]
                self.telling.step(f"workload {', '.join(one.name for one, _ in step)}")
                together(step, scene)
        return timeline.assessment if timeline is not None else Assessment()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(time.monotonic() - began, 3)


def _end_timeline(timeline: Timeline, kind: type[BaseException] | None, *_: object) -> None:
    """Heal what is still there; on ctrl-C the cluster goes anyway, and nobody wants to wait for checks."""
    if kind is None or issubclass(kind, Exception):
        timeline.stop()


_Design = TypeVar("_Design", WorkloadDesign, MeasurementDesign)
_Plugin = TypeVar("_Plugin", Workload, Measurement)


def _ready(design: _Design, plugin: _Plugin) -> tuple[_Design, _Plugin]:
    """With every setting's default, checked by the plug-in."""
    try:
        settings = complete(plugin, design.settings)
        plugin.check(settings)
    except KubinetError as error:
        error.args = (f"{design.name}: {error}",)
        raise
    return replace(design, settings=settings), plugin


def _rounded(second: MachineSecond) -> dict[str, object]:
    return {key: f"{value:.6f}" if isinstance(value, float) else value for key, value in asdict(second).items()}


def together(step: Sequence[tuple[WorkloadDesign, Workload]], scene: LiveScene) -> None:
    """Run the workloads of one step side by side; returns when all have ended, raises the first one's error.

    A lone workload runs in this thread, where ctrl-C reaches it. The threads of others are not waited for on ctrl-C:
    their programs end with the cluster.
    """
    if len(step) == 1:
        design, plugin = step[0]
        _run_one(design, plugin, scene)
        return
    errors: list[BaseException] = []

    def run(design: WorkloadDesign, plugin: Workload) -> None:
        try:
            _run_one(design, plugin, scene)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=one, name=f"workload-{one[0].name}", daemon=True) for one in step]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _run_one(design: WorkloadDesign, plugin: Workload, scene: LiveScene) -> None:
    try:
        plugin.run(scene.of(design.name), design.settings)
    except KubinetError as error:
        error.args = (f"workload {design.name}: {error}",)
        raise


def _write_topology(path: Path, topology: Mapping[str, Any]) -> None:
    import io  # noqa: PLC0415

    from ruamel.yaml import YAML  # noqa: PLC0415 - only needed here

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(plain(topology), stream)
    write_text(path, stream.getvalue())


def plain(value: Any) -> Any:
    """Only what YAML and JSON know: dictionaries, lists, texts, numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    raise InvalidInputError(f"{value!r} has no YAML form")
