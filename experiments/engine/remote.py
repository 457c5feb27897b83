"""The session's side of runs on other machines or processes by Dask distributed.

A worker has one run at a time, writes it into a folder of its own, and sends that folder back: machines need no common
file system, and the results folder is the same as without workers. Dask is an optional dependency (extra `workers`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from experiments.engine.opened import Opened
from experiments.engine.remotework import TOPIC, run_remotely
from experiments.engine.values import to_data
from experiments.engine.worker import Job, Watch
from experiments.engine.workerchoice import Workers
from kubinet.errors import KubinetError, MissingCapabilityError

_START_SECONDS: Final = 60.0


class RemoteRuns:
    """Submits runs to the workers, and tells a worker's death in a user's words."""

    def __init__(self, executor: Executor, opened: Opened) -> None:
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
