"""Workers of Dask that Slurm starts: what its jobs are told, and the wait for the first of them."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from experiments.engine.credentials import credential_files
from experiments.engine.departures import Departures
from experiments.engine.opened import NO_PAGES, Opened
from experiments.engine.workerchoice import Workers
from kubinet.errors import KubinetError, MissingCapabilityError, UsageError

JOBS: Final = "jobs"
"""In the results folder: what the processes of Slurm's jobs printed."""
_SECRETS: Final = ".credentials"
_LOOK_SECONDS: Final = 5.0
_NUMBERS: Final = frozenset({"cores", "processes", "job_cpu"})
"""Words of SLURMCluster that are numbers; others may look like one: an account is `0123`."""
_LISTS: Final = frozenset({"job_extra_directives", "job_script_prologue", "worker_extra_args", "job_directives_skip"})
"""Words of SLURMCluster that are lists; what is given is added to ours."""


@contextmanager
def slurm_workers(workers: Workers, folder: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    """Jobs with a worker each, ended on leaving; `folder`: the session's, for credentials and what jobs print."""
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
    with credential_files(place / _SECRETS) as security:
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
        "worker_extra_args": ["--dashboard-address", NO_PAGES["dashboard_address"]],
        "job_script_prologue": ["export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'"],
        "scheduler_options": dict(NO_PAGES),
    }
    for name in _LISTS & words.keys():
        words[name] = [*options.get(name, ()), words[name]]
    if words.get("processes", 1) != 1:
        raise UsageError("--workers slurm: processes must be 1, because a job has one run at a time; say jobs=N")
    # -P: a folder where the job begins that has a name of ours is none of ours.
    python = f"{words.get('python', options['python'])} -P"
    # A nanny would start a worker that died again, unseen.
    return {**options, **words, "python": python, "nanny": False, "security": security}
