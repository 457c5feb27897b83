"""A session: the runs of an experiment that are still to be done, one after the other or side by side."""

import csv
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from experiments.design.model import PlannedRun
from experiments.design.specify import specify
from experiments.engine.archive import unpack
from experiments.engine.folder import INTERRUPTED, RUNNING, STOPPED, ResultsFolder, check_disk
from experiments.engine.remote import remote_runs
from experiments.engine.run import COMPLETE, FAILED, RunOutcome, record_failure
from experiments.engine.stopping import Stop, by_metric, why_stop
from experiments.engine.telling import Follower
from experiments.engine.tools import Telling
from experiments.engine.worker import REAL_TOOLS, Job, Processes
from experiments.engine.workerchoice import Workers
from experiments.options import option
from kubinet.errors import UsageError

_LOOK_SECONDS: Final = 2.0
"""How often is asked whether workers have come or gone."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the runs are carried out."""

    jobs: int = 1
    workers: Workers | None = None
    tools: str = REAL_TOOLS

    @property
    def on_this_machine(self) -> bool:
        """Whether this machine's calibration speaks of the runs."""
        return self.workers is None or self.workers.kind == "local"


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended."""

    state: str
    """`complete`, `failed` (some runs failed twice) or `stopped`."""
    why: str
    failed: tuple[RunOutcome, ...]
    wanted: bool
    """Whether that is a success."""


def check_manner(manner: Manner, *, measures_speed: bool) -> None:
    """UsageError for runs side by side on one machine where they would disturb what they measure."""
    if manner.jobs < 1:
        raise UsageError(f"{option('--jobs')}: {manner.jobs} is too small; it must be at least 1")
    if manner.workers is not None and manner.jobs > 1:
        raise UsageError(
            f"{option('--jobs')} and {option('--workers')} exclude each other; workers `local:N` are N runs "
            "on this machine"
        )
    beside = manner.jobs > 1 or (manner.workers is not None and manner.workers.shares_a_machine)
    if beside and measures_speed:
        raise UsageError(
            "this experiment measures speed: runs side by side on one machine would disturb each other; leave "
            f"{option('--jobs')} away, use workers on machines of their own, or say `measures: behaviour` "
            "in its file if that is so"
        )


def carry_out_session(
    folder: ResultsFolder, manner: Manner, follower: Follower, command_line: Sequence[str]
) -> SessionEnd:
    """Do what is still to be done; ctrl-C and SIGTERM raise KeyboardInterrupt when everything is kept and ended."""
    check_manner(manner, measures_speed=folder.design.measures_speed)
    remove_dead_clusters(cluster_prefix(folder))
    session = _Session(folder, manner, follower)
    folder.begin_session(command_line)
    try:
        with terminable():
            return session.do()
    except BaseException as error:
        interrupted = not isinstance(error, Exception)
        why = "" if interrupted else str(error)
        folder.save(INTERRUPTED if interrupted else FAILED, why, seconds=session.seconds, ended=True)
        raise


class _Session:
    def __init__(self, folder: ResultsFolder, manner: Manner, follower: Follower) -> None:
        self._folder = folder
        self._manner = manner
        self._follower = follower
        self._began = time.monotonic()
        self._before = folder.seconds
        self._outcomes = dict(folder.outcomes())
        self._samples: dict[int, Sequence[float]] = {}
        self._stop: Stop | None = None
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """How long this session has gone on."""
        return time.monotonic() - self._began

    def do(self) -> SessionEnd:
        """All runs, then once more those that failed."""
        design, runs = self._folder.design, self._folder.runs
        done = [run for run in runs if self._is_complete(run)]
        for run in done:
            self._note_samples(run)
        rest = [run for run in runs if not self._is_complete(run)]
        check_disk(self._folder.path, design.run_bytes * len(rest))
        parallel = self._manner.workers.count if self._manner.workers else self._manner.jobs
        self._follower.planned(design, runs, len(done), parallel)
        with ExitStack() as stack:
            if rest:
                many = self._runner(stack)
                many(self._due(rest))
                again = [run for run in rest if self._has_failed(run)]
                if again and self._stop is None:
                    self._follower.said(f"{len(again)} of {len(runs)} runs failed; they are tried once more")
                    many(self._due(again))
        return self._end()

    def _end(self) -> SessionEnd:
        failed = tuple(one for one in self._outcomes.values() if one.state == FAILED)
        if self._stop is not None:
            state, why, wanted = STOPPED, self._stop.why, self._stop.reached and not failed
        elif failed:
            named = ", ".join(str(one.index) for one in failed[:5]) + (", …" if len(failed) > 5 else "")
            state, wanted = FAILED, False
            why = f"{len(failed)} of {len(self._folder.runs)} runs failed twice ({named}); the last: {failed[-1].error}"
        else:
            state, why, wanted = COMPLETE, "", True
        self._folder.save(state, why, seconds=self.seconds, ended=True)
        return SessionEnd(state, why, failed, wanted)

    def _due(self, runs: Sequence[PlannedRun]) -> Iterator[PlannedRun]:
        """The runs, as long as no stop condition holds."""
        for run in runs:
            if self._stop is None:
                self._stop = why_stop(
                    self._folder.design.stop,
                    self._folder.runs,
                    self._outcomes,
                    self._before + self.seconds,
                    self._samples,
                )
            if self._stop is not None:
                self._follower.said(f"stopped: {self._stop.why}")
                return
            yield run

    def _runner(self, stack: ExitStack) -> Callable[[Iterator[PlannedRun]], None]:
        """What carries out runs: here, in processes, or with Dask's workers."""
        workers, jobs = self._manner.workers, self._manner.jobs
        if workers is not None:
            remote = stack.enter_context(remote_runs(workers, self._folder.path, self._watch, self._follower.said))
            return lambda runs: self._side_by_side(runs, remote.submit, lambda idle: remote.room(wait=idle))
        if jobs > 1:
            pool = stack.enter_context(ThreadPoolExecutor(jobs))
            processes = Processes(self._watch)
            stack.callback(processes.close)
            return lambda runs: self._side_by_side(runs, lambda job: pool.submit(processes.run, job), lambda _: jobs)
        return self._one_by_one

    def _one_by_one(self, runs: Iterator[PlannedRun]) -> None:
        for run in runs:
            job = self._job(run)
            telling = Telling(
                step=lambda text, index=run.index: self._watch(index, "step", text),  # type: ignore[misc]
                value=lambda text, index=run.index: self._watch(index, "value", text),  # type: ignore[misc]
            )
            self._ended(run, job.here(telling))

    def _side_by_side(
        self, runs: Iterator[PlannedRun], submit: Callable[[Job], "Future[Any]"], room: Callable[[bool], int]
    ) -> None:
        """`room`: how many runs can go on at a time now; told True it waits until there is room for one."""
        going: dict[Future[Any], tuple[Job, float]] = {}
        more = True
        while more or going:
            free = room(not going) - len(going)
            while more and free > 0:
                free -= 1
                run = next(runs, None)
                more = run is not None
                if run is not None:
                    job = self._job(run)
                    going[submit(job)] = job, time.time()
            for future in wait(going, _LOOK_SECONDS, FIRST_COMPLETED).done:
                job, started_s = going.pop(future)
                self._ended(job.spec.run, _outcome(future, job, started_s))

    def _job(self, run: PlannedRun) -> Job:
        self._follower.started(run)
        place = self._folder.new_run_folder(run.index)
        self._outcomes.pop(run.index, None)
        name = f"{cluster_prefix(self._folder)}{run.index}"
        return Job(specify(self._folder.design, run), str(place), name, self._manner.tools)

    def _ended(self, run: PlannedRun, outcome: RunOutcome) -> None:
        self._outcomes[run.index] = outcome
        if outcome.state == COMPLETE:
            self._note_samples(run)
        self._folder.save(RUNNING, seconds=self.seconds)
        with self._lock:
            self._follower.ended(run, outcome)

    def _watch(self, index: int, kind: str, text: str) -> None:
        with self._lock:
            (self._follower.value if kind == "value" else self._follower.told)(index, text)

    def _note_samples(self, run: PlannedRun) -> None:
        precision = self._folder.design.stop.precision
        if precision is None:
            return
        with (self._folder.run_folder(run.index) / "samples.csv").open(encoding="utf-8", newline="") as file:
            self._samples[run.index] = by_metric(csv.DictReader(file), precision.metric)

    def _is_complete(self, run: PlannedRun) -> bool:
        outcome = self._outcomes.get(run.index)
        return outcome is not None and outcome.state == COMPLETE

    def _has_failed(self, run: PlannedRun) -> bool:
        outcome = self._outcomes.get(run.index)
        return outcome is not None and outcome.state == FAILED


def _outcome(future: "Future[Any]", job: Job, started_s: float) -> RunOutcome:
    """What came of a job that ended elsewhere; a process or worker that died is a failed run."""
    folder = Path(job.folder)
    try:
        result = future.result()
        return result if isinstance(result, RunOutcome) else unpack(result[1], folder)
    except Exception as error:
        return record_failure(job.spec.run, folder, started_s, error)


def cluster_prefix(folder: ResultsFolder) -> str:
    """What the names of this folder's clusters begin with."""
    return f"run-{folder.path.name[-4:]}-"


def remove_dead_clusters(prefix: str) -> None:
    """State folders of clusters that died with a session that was killed."""
    from kubinet import launcher  # noqa: PLC0415 - tests without clusters do not need it

    for info in launcher.list_clusters():
        if info.name.startswith(prefix) and not info.alive:
            launcher.stop(info.name)


@contextmanager
def terminable() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into KeyboardInterrupt and ignore others while things are put in order.

    Only in the main thread; elsewhere signals stay as they are.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Mapping[int, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
