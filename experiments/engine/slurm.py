"""Workers that Slurm starts: dask-jobqueue's, except that a job that cannot be submitted is told."""

import getpass
import subprocess
from typing import Any, Final

from dask_jobqueue import SLURMCluster
from dask_jobqueue.slurm import SLURMJob
from distributed import SchedulerPlugin, Status

from kubinet.errors import UsageError

_ASK_SECONDS: Final = 30.0


class _Job(SLURMJob):  # type: ignore[misc]
    def __init__(self, *arguments: Any, gone: dict[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gone = gone

    async def start(self) -> None:
        """Submit the job; what sbatch says against it is kept, because Dask only logs it."""
        try:
            await super().start()
        except (RuntimeError, ValueError, OSError) as error:
            words = " ".join(str(error).split())
            self.gone[str(self.name)] = f"Slurm does not take the job: {words}"
            self.status = Status.failed
            raise

    async def close(self) -> None:
        """Cancel the job."""
        await super().close()
        self.status = Status.closed


class _Arrivals(SchedulerPlugin):  # type: ignore[misc]
    """The names of all workers that ever came."""

    name = "kubinet-arrivals"

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self.names.add(str(scheduler.workers[worker].name))


class KubinetSLURMCluster(SLURMCluster):  # type: ignore[misc]
    """`SLURMCluster` with `gone`: its jobs that could not be submitted, and why."""

    job_cls = _Job

    def __init__(self, gone: dict[str, str], options: dict[str, Any]) -> None:
        self._gone = gone
        self._arrivals = _Arrivals()
        scheduler = {**options["scheduler_options"], "plugins": [self._arrivals]}
        try:
            super().__init__(gone=gone, **{**options, "scheduler_options": scheduler})
        except RuntimeError as error:  # the scheduler here cannot listen
            self.status = Status.closed
            network = f"interface={options['interface']}: " if "interface" in options else ""
            why = error.__cause__ or error
            raise UsageError(f"--workers slurm: {network}{why}") from error
        except (ValueError, TypeError) as error:
            self.status = Status.closed  # nothing was started
            raise UsageError(f"--workers slurm: {error}; its words are those of dask_jobqueue.SLURMCluster") from error

    def expects_workers(self) -> bool:
        """Whether a job whose worker has not come yet is with Slurm: it waits in the queue or starts."""
        names = set(self.worker_spec) - self._gone.keys() - self._arrivals.names
        if not names:
            return False
        jobs = {self.workers[name].job_id if name in self.workers else None for name in names}
        queue = _queue()
        return None in jobs or queue is None or not jobs.isdisjoint(queue)


def _queue() -> set[str] | None:
    """The numbers of this user's jobs that Slurm has; None when it does not say."""
    try:
        told = subprocess.run(
            ["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%A"],
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return set(told.stdout.split())
