"""Dask's scheduler in this process and its workers, by kind; who talks to them needs the session's credentials.

Dask runs whatever Python code comes to its ports. So every connection is TLS, and both ends must have the session's
certificate, which is made for it and known to nobody else.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dask
from distributed import LocalCluster, Scheduler, Security, SpecCluster

from experiments.engine.departures import Departures
from experiments.engine.remote import Workers
from kubinet.errors import KubinetError, MissingCapabilityError, UsageError

CREDENTIALS: Final = (
    *("tls_ca_file", "tls_client_key", "tls_client_cert", "tls_scheduler_key", "tls_scheduler_cert"),
    *("tls_worker_key", "tls_worker_cert"),
)
"""The names in `Security` of what `Security.temporary` makes."""
JOBS: Final = "jobs"
"""In the results folder: what the processes of Slurm's jobs printed."""
_SECRETS: Final = ".credentials"
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 5.0
_LAST_WORDS_SECONDS: Final = 5.0
_SILENT: Final = 50
# Dask's own pages about its state are open to everyone. A worker's death is a failed run, not one that begins again
# elsewhere.
_SETTINGS: Final = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.allowed-failures": 0,
}
# Runs that no worker is left for fail, they do not wait for ever; but Slurm's next job may start in days.
_NO_WORKERS_TIMEOUT: Final = {"local": "30s", "ssh": "30s", "slurm": None}
_NO_PAGES: Final = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}

_NUMBERS: Final = frozenset({"cores", "processes", "job_cpu"})
"""Words of SLURMCluster that are numbers; others may look like one: an account is `0123`."""
_LISTS: Final = frozenset({"job_extra_directives", "job_script_prologue", "worker_extra_args", "job_directives_skip"})
"""Words of SLURMCluster that are lists; what is given is added to ours."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A running cluster."""

    cluster: Any
    security: Any
    gone: Departures = field(default_factory=Departures)
    """Workers that could not start or have died, and why."""
    explain: int = 0
    """How many workers say why they are gone: the scheduler may miss one before its last words are here."""
    wait: Callable[[], None] = lambda: None
    """Returns when a run can begin; KubinetError when none ever will."""
    restarts: bool = False
    """Whether a worker that dies comes back."""
    expects: Callable[[], bool] = lambda: False
    """Whether a worker may still come that has not been there."""

    def living(self) -> int:
        """How many workers there are."""
        return len(self.cluster.scheduler.workers)

    def why_none(self) -> str | None:
        """Why no worker is left; None while there is one, or one is to come."""
        if self.restarts or self.living() or self.expects():
            return None
        self.gone.wait_for(self.explain, _LAST_WORDS_SECONDS)
        return "; ".join(self.gone.values()) or "every worker has ended"


@contextmanager
def open_cluster(workers: Workers, folder: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    """The scheduler and what starts its workers, ended on leaving; KubinetError where workers cannot be had.

    `folder`: the session's results folder, into which the credentials of Slurm's jobs go for as long as it runs.
    """
    kinds = {"local": _local, "ssh": _ssh, "slurm": _slurm}
    settings = {**_SETTINGS, "distributed.scheduler.no-workers-timeout": _NO_WORKERS_TIMEOUT[workers.kind]}
    with dask.config.set(settings), kinds[workers.kind](workers, folder, say) as opened, opened.cluster:
        yield opened


@contextmanager
def _local(workers: Workers, _folder: Path, _say: Callable[[str], None]) -> Iterator[Opened]:
    security = Security.temporary()
    cluster = LocalCluster(
        n_workers=workers.count,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        silence_logs=_SILENT,
        security=security,
        dashboard_address=None,
        scheduler_kwargs=_NO_PAGES,
    )
    yield Opened(cluster, security, wait=lambda: cluster.wait_for_workers(1, _START_SECONDS), restarts=True)


@contextmanager
def _ssh(workers: Workers, _folder: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    try:
        from experiments.engine.ssh import SSHWorker  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingCapabilityError(
            f"--workers ssh needs asyncssh ({error}); install it: pip install 'kubinet[workers]'"
        ) from error
    security = Security.temporary()
    gone = Departures()
    options = {
        "python": workers.options.get("python", sys.executable),
        "credentials": {name: getattr(security, name) for name in CREDENTIALS},
        "gone": gone,
    }
    say(f"starting workers by SSH: {', '.join(workers.hosts)}")
    try:
        cluster = SpecCluster(
            {host: {"cls": SSHWorker, "options": options} for host in workers.hosts},
            {
                "cls": Scheduler,
                "options": {"protocol": "tls://", "host": "127.0.0.1", "port": 0, "security": security, **_NO_PAGES},
            },
            security=security,
            silence_logs=_SILENT,
        )
    except KubinetError:
        raise KubinetError("; ".join(gone.values())) from None
    yield Opened(
        cluster, security, gone, workers.count, lambda: cluster.wait_for_workers(workers.count, _START_SECONDS)
    )


@contextmanager
def _slurm(workers: Workers, folder: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    try:
        from experiments.engine.slurm import KubinetSLURMCluster  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingCapabilityError(
            f"--workers slurm needs dask-jobqueue ({error}); install it: pip install 'kubinet[workers]'"
        ) from error
    if shutil.which("sbatch") is None:
        raise MissingCapabilityError("--workers slurm: there is no sbatch here; run it on a machine that submits jobs")
    place = folder.absolute()
    if re.search(r"[^\w./+-]", str(place)):
        raise UsageError(
            f"results folder {place}: --workers slurm names it in job scripts; name a folder of letters, digits and "
            "./_+- with --output-dir"
        )
    with _credential_files(place / _SECRETS) as security:
        gone = Departures()
        cluster = KubinetSLURMCluster(gone, job_options(workers, place, security))

        def wait() -> None:
            say(f"waiting for Slurm to start one of {workers.count} jobs")
            while True:
                try:
                    cluster.wait_for_workers(1, _LOOK_SECONDS)
                except TimeoutError:
                    if cluster.expects_workers():
                        continue  # jobs may wait for days
                    words = f"every job has ended; what they printed is in {place / JOBS}"
                    raise KubinetError("; ".join(gone.values()) or words) from None
                return

        cluster.scale(jobs=workers.count)
        yield Opened(cluster, security, gone, wait=wait, expects=cluster.expects_workers)


def job_options(workers: Workers, folder: Path, security: Any) -> dict[str, Any]:
    """What `SLURMCluster` is told: a node for each run, this Python, the credentials' files, and the user's words."""
    words: dict[str, Any] = {
        name: int(word) if name in _NUMBERS and word.isdecimal() else word for name, word in workers.options.items()
    }
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": "4GB",
        "python": shlex.quote(sys.executable),
        # Two runs on one node would share its processors.
        "job_extra_directives": ["--exclusive"],
        "log_directory": str(folder / JOBS),
        "worker_extra_args": ["--dashboard-address", _NO_PAGES["dashboard_address"]],
        "job_script_prologue": ["export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'"],
        "scheduler_options": dict(_NO_PAGES),
    }
    for name in _LISTS & words.keys():
        words[name] = [*options.get(name, ()), words[name]]
    if words.get("processes", 1) != 1:
        raise UsageError("--workers slurm: processes must be 1, because a job has one run at a time; say jobs=N")
    # -P: a folder where the job begins that has a name of ours is none of ours.
    python = f"{words.get('python', options['python'])} -P"
    # A nanny would start a worker that died again, unseen.
    return {**options, **words, "python": python, "nanny": False, "security": security}


@contextmanager
def _credential_files(folder: Path) -> Iterator[Any]:
    """Credentials in files that only this user can read; they are gone on leaving.

    Slurm's jobs get paths on their command lines, which others can read; those tell nothing.
    """
    security = Security.temporary()
    shutil.rmtree(folder, ignore_errors=True)  # of a session that was killed
    folder.mkdir(mode=0o700)
    try:
        paths = {}
        for name in CREDENTIALS:
            path = folder / f"{name}.pem"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(getattr(security, name))
            paths[name] = str(path)
        yield Security(require_encryption=True, **paths)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
