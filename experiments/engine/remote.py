"""Runs on other machines or processes by Dask distributed: `local:2`, `ssh:host1,host2`, `slurm:jobs=4,queue=debug`.

A worker has one run at a time, writes it into a folder of its own, and sends that folder back: machines need no common
file system, and the results folder is the same as without workers. Dask is an optional dependency (extra `workers`).
"""

import io
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from experiments.engine.run import RunOutcome, outcome_of
from experiments.engine.values import from_data, to_data
from experiments.engine.worker import Job, Processes, Watch
from kubinet.errors import InvalidInputError, KubinetError, MissingCapabilityError, UsageError

if TYPE_CHECKING:
    from experiments.engine.daskclusters import Opened

TOPIC: Final = "kubinet-run"
_FORMS: Final = (
    "write local:2, ssh:host1,host2, ssh:host1,python=/path/to/.venv/bin/python or "
    "slurm:jobs=4,queue=debug,walltime=01:00:00"
)
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Workers:
    """What `--workers` asks for."""

    kind: str
    """`local`, `ssh` or `slurm`."""
    count: int
    """Runs side by side."""
    hosts: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def shares_a_machine(self) -> bool:
        """Whether runs may be on one machine at the same time, and so disturb each other's speed."""
        return self.kind == "local" and self.count > 1


def parse_workers(text: str) -> Workers:
    """Read `--workers`; UsageError with the forms."""
    kind, _, rest = text.partition(":")
    parts = tuple(part.strip() for part in rest.split(",") if part.strip())
    options = dict(part.partition("=")[::2] for part in parts if "=" in part)
    plain = tuple(part for part in parts if "=" not in part)
    if all(options) and all(options.values()):
        if kind == "local" and not options and len(plain) == 1 and plain[0].isdecimal() and int(plain[0]) > 0:
            return Workers(kind, int(plain[0]))
        if kind == "ssh" and plain and options.keys() <= {"python"}:
            if len(set(plain)) < len(plain):
                raise UsageError(f"--workers {text}: a host is named twice; each has one run at a time")
            return Workers(kind, len(plain), plain, options)
        jobs = options.pop("jobs", "1")
        if kind == "slurm" and not plain and jobs.isdecimal() and int(jobs) > 0:
            return Workers(kind, int(jobs), options=options)
    raise UsageError(f"--workers {text}: {_FORMS}")


class RemoteRuns:
    """Submits runs to the workers, and tells a worker's death in a user's words."""

    def __init__(self, executor: Executor, opened: "Opened") -> None:
        self._executor = executor
        self._opened = opened
        self._gone = opened.gone

    def room(self, *, wait: bool) -> int:
        """How many workers live: a run more would wait, and be held for one that died with its worker.

        `wait`: until there is one. KubinetError when there is none and none will come.
        """
        if not self._opened.living():
            why = self._opened.why_none()
            if why is not None:
                raise KubinetError(f"no worker is left: {why}; `kubinet run --resume` goes on with what is missing")
            if wait:
                try:
                    self._opened.wait()
                except TimeoutError as error:
                    raise KubinetError(f"no worker is left: {error}") from error
        return self._opened.living()

    def submit(self, job: Job) -> "Future[Any]":
        """A run's outcome and folder, as `run_remotely` returns them."""
        told: Future[Any] = Future()
        index = job.spec.run.index
        self._executor.submit(run_remotely, to_data(job)).add_done_callback(partial(self._pass_on, index, told))
        return told

    def _pass_on(self, index: int, told: "Future[Any]", done: "Future[Any]") -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            told.set_exception(KubinetError(f"run {index}: the session ended before it"))
        elif error is not None:
            told.set_exception(self._in_words(index, error))
        else:
            told.set_result(done.result())

    def _in_words(self, index: int, error: BaseException) -> BaseException:
        from distributed.scheduler import KilledWorker, NoWorkerError  # noqa: PLC0415 - optional

        if isinstance(error, KilledWorker):
            name = str(error.last_worker.name)
            return KubinetError(f"run {index}: {self._gone.get(name, f'its worker {name} died')}")
        if isinstance(error, NoWorkerError):
            return KubinetError(f"run {index}: {'; '.join(self._gone.values()) or 'every worker has gone'}")
        return error


@contextmanager
def remote_runs(workers: Workers, folder: Path, watch: Watch, say: Callable[[str], None]) -> Iterator[RemoteRuns]:
    """Workers while the block runs; MissingCapabilityError without Dask, KubinetError where they cannot be had.

    `folder`: the session's, for what workers need in files; `say` is told what is waited for.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - optional

        from experiments.engine.daskclusters import open_cluster  # noqa: PLC0415
    except ImportError as error:
        raise MissingCapabilityError(
            f"--workers needs Dask distributed ({error}); install it: pip install 'kubinet[workers]'"
        ) from error

    def heard(event: tuple[float, dict[str, Any]]) -> None:
        told = event[1]
        watch(told["index"], told["kind"], told["text"])

    with (
        open_cluster(workers, folder, say) as opened,
        Client(opened.cluster, security=opened.security, timeout=_START_SECONDS) as client,
    ):
        opened.wait()
        client.subscribe_topic(TOPIC, heard)
        yield RemoteRuns(client.get_executor(pure=False, retries=0), opened)


class Going:
    """The runs that this worker does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: set[Processes] = set()
        self._over = False

    @contextmanager
    def one(self, index: int, processes: Processes) -> Iterator[None]:
        """A run while it goes on; KubinetError when no run is to begin any more."""
        with self._lock:
            if self._over:
                raise KubinetError(f"run {index}: the session is over")
            self._runs.add(processes)
        try:
            yield
        finally:
            with self._lock:
                self._runs.discard(processes)

    def end(self) -> None:
        """End the runs and wait for them; none begins after that."""
        with self._lock:
            self._over = True
            runs = tuple(self._runs)
        for processes in runs:
            processes.close()


_GOING: Final = Going()


def run_remotely(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    """On a worker: do the job in a folder of its own; returns the outcome and the folder as an archive."""
    from distributed import get_worker  # noqa: PLC0415 - a worker has it

    job = from_data(Job, dict(data))
    worker = get_worker()

    def watch(index: int, kind: str, text: str) -> None:
        worker.log_event(TOPIC, {"index": index, "kind": kind, "text": text})

    processes = Processes(watch)
    with (
        _GOING.one(job.spec.run.index, processes),
        tempfile.TemporaryDirectory(prefix="kubinet-run-") as folder,
    ):
        outcome = processes.run(replace(job, folder=folder))
        return to_data(outcome), pack(Path(folder))


def end_runs() -> None:
    """On a worker that is to end: end the run that it does, wait until its cluster is down, and begin no other."""
    _GOING.end()


def pack(folder: Path) -> bytes:
    """A folder's files as a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, str(path.relative_to(folder)))
    return stream.getvalue()


def unpack(archive: bytes, folder: Path) -> RunOutcome:
    """Put an archive's files at `folder`, which appears whole or not at all; returns what its run.json says."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(new)
    except zipfile.BadZipFile as error:
        raise KubinetError(f"run folder {folder}: the worker's archive cannot be read: {error}") from error
    if folder.exists():
        folder.rmdir()
    new.rename(folder)
    outcome = outcome_of(folder)
    if outcome is None:
        raise InvalidInputError(f"run folder {folder}: the worker sent no run.json")
    return outcome
