"""Dask's scheduler in this process and its workers, by kind; who talks to them needs the session's credentials.

Dask runs whatever Python code comes to its ports. So every connection is TLS, and both ends must have the session's
certificate, which is made for it and known to nobody else.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dask
from distributed import LocalCluster, Scheduler, Security, SpecCluster

from experiments.engine.credentials import CREDENTIALS
from experiments.engine.departures import Departures
from experiments.engine.opened import NO_PAGES, Opened
from experiments.engine.slurmjobs import slurm_workers
from experiments.engine.workerchoice import Workers
from kubinet.errors import KubinetError, MissingCapabilityError

_START_SECONDS: Final = 60.0
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


@contextmanager
def open_cluster(workers: Workers, folder: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    """The scheduler and what starts its workers, ended on leaving; KubinetError where workers cannot be had.

    `folder`: the session's results folder, into which the credentials of Slurm's jobs go for as long as it runs.
    """
    kinds = {"local": _local, "ssh": _ssh, "slurm": slurm_workers}
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
        scheduler_kwargs=NO_PAGES,
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
                "options": {"protocol": "tls://", "host": "127.0.0.1", "port": 0, "security": security, **NO_PAGES},
            },
            security=security,
            silence_logs=_SILENT,
        )
    except KubinetError:
        raise KubinetError("; ".join(gone.values())) from None
    yield Opened(
        cluster, security, gone, workers.count, lambda: cluster.wait_for_workers(workers.count, _START_SECONDS)
    )
