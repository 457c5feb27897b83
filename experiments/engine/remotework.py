"""What a worker of Dask does: one run at a time, in a folder of its own, which it sends back."""

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from experiments.engine.archive import pack
from experiments.engine.values import from_data, to_data
from experiments.engine.worker import Job, Processes
from kubinet.errors import KubinetError

TOPIC: Final = "kubinet-run"
"""What workers tell of their runs comes to the session as events of this topic."""


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
