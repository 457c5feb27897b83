"""Workers that Slurm starts: dask-jobqueue's, except that a job that cannot be submitted is told."""

from typing import Any

from dask_jobqueue import SLURMCluster
from dask_jobqueue.slurm import SLURMJob
from distributed import Status

from kubinet.errors import UsageError


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


class KubinetSLURMCluster(SLURMCluster):  # type: ignore[misc]
    """`SLURMCluster` with `gone`: its jobs that could not be submitted, and why."""

    job_cls = _Job

    def __init__(self, gone: dict[str, str], options: dict[str, Any]) -> None:
        try:
            super().__init__(gone=gone, **options)
        except (ValueError, TypeError) as error:
            self.status = Status.closed  # nothing was started
            raise UsageError(f"--workers slurm: {error}; its words are those of dask_jobqueue.SLURMCluster") from error
