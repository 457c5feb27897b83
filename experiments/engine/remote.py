"""Runs on other machines or processes by Dask distributed: `local:2`, `ssh:host1,host2`, `slurm:jobs=4,queue=debug`.

A worker has one run at a time, writes it into a folder of its own, and sends that folder back: machines need no common
file system, and the results folder is the same as without workers. Dask is an optional dependency (extra `workers`).
"""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from experiments.engine.run import RunOutcome, outcome_of
from experiments.engine.values import from_data, to_data
from experiments.engine.worker import Job, Processes, Watch
from kubinet.errors import InvalidInputError, KubinetError, MissingCapabilityError, UsageError

TOPIC: Final = "kubinet-run"
_FORMS: Final = "write local:2, ssh:host1,host2 or slurm:jobs=4,queue=debug,walltime=01:00:00"
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
    if kind == "local" and len(parts) == 1 and parts[0].isdigit() and int(parts[0]) > 0:
        return Workers(kind, int(parts[0]))
    if kind == "ssh" and parts:
        if len(set(parts)) < len(parts):
            raise UsageError(f"--workers {text}: a host is named twice; each has one run at a time")
        return Workers(kind, len(parts), hosts=parts)
    if kind == "slurm":
        options = dict(part.partition("=")[::2] for part in parts)
        jobs = options.pop("jobs", "1")
        if all(options.values()) and jobs.isdigit() and int(jobs) > 0:
            return Workers(kind, int(jobs), options=options)
    raise UsageError(f"--workers {text}: {_FORMS}")


@contextmanager
def dask_executor(workers: Workers, watch: Watch) -> Iterator[Executor]:
    """An executor on those workers while the block runs; MissingCapabilityError without Dask."""
    try:
        from distributed import Client  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingCapabilityError(
            f"--workers needs Dask distributed ({error}); install it: pip install 'kubinet[workers]'"
        ) from error
    with _cluster(workers) as cluster, Client(cluster, timeout=_START_SECONDS) as client:

        def heard(event: tuple[float, dict[str, Any]]) -> None:
            told = event[1]
            watch(told["index"], told["kind"], told["text"])

        client.wait_for_workers(1, timeout=_START_SECONDS)
        client.subscribe_topic(TOPIC, heard)
        yield client.get_executor(pure=False, retries=0)


def _cluster(workers: Workers) -> Any:
    if workers.kind == "local":
        from distributed import LocalCluster  # noqa: PLC0415

        return LocalCluster(
            n_workers=workers.count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            silence_logs=50,
        )
    if workers.kind == "ssh":
        from distributed import SSHCluster  # noqa: PLC0415

        # The first host is the scheduler's: this one.
        return SSHCluster(["localhost", *workers.hosts], worker_options={"nthreads": 1, "memory_limit": 0})
    try:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415
    except ImportError as error:
        raise MissingCapabilityError(
            f"--workers slurm needs dask-jobqueue ({error}); install it: pip install 'kubinet[workers]'"
        ) from error
    options: dict[str, Any] = {"cores": 1, "processes": 1, "memory": "4GB", **workers.options}
    # A node for each run: two of them on one would share its processors.
    cluster = SLURMCluster(job_extra_directives=["--exclusive"], **options)
    cluster.scale(jobs=workers.count)
    return cluster


def run_remotely(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    """On a worker: do the job in a folder of its own; returns the outcome and the folder as an archive."""
    from distributed import get_worker  # noqa: PLC0415 - a worker has it

    job = from_data(Job, dict(data))
    worker = get_worker()

    def watch(index: int, kind: str, text: str) -> None:
        worker.log_event(TOPIC, {"index": index, "kind": kind, "text": text})

    with tempfile.TemporaryDirectory(prefix="kubinet-run-") as folder:
        outcome = Processes(watch).run(replace(job, folder=folder))
        return to_data(outcome), pack(Path(folder))


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
