"""A process that does one run: `python -m experiments.engine.worker`, its job on standard input.

The first line is the job as JSON; then standard input stays open as long as the one who asked is there. When it ends,
or on SIGTERM, the run is given up and its cluster taken down. What goes on is told on standard output, one JSON object
a line.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from experiments.design.model import RunSpec
from experiments.engine.run import RunOutcome, carry_out
from experiments.engine.tools import Telling, load_tools
from experiments.engine.values import from_data, to_data
from kubinet import collector
from kubinet.errors import KubinetError

INTERRUPTED: Final = 130
REAL_TOOLS: Final = "experiments.engine.tools:REAL"
_END_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do."""

    spec: RunSpec
    folder: str
    """Where it is to be written; empty and there already."""
    cluster: str
    """The name of its cluster."""
    tools: str = REAL_TOOLS
    """`module:object` of its `Tools`."""

    def here(self, telling: Telling) -> RunOutcome:
        """Do it in this process."""
        return carry_out(self.spec, Path(self.folder), self.cluster, load_tools(self.tools), telling)


Watch = Callable[[int, str, str], None]
"""Called with the run's index, `step` or `value`, and the text."""


class Processes:
    """Runs jobs in processes of their own; `close` ends those that run."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._closed = False

    def run(self, job: Job) -> RunOutcome:
        """Do a job to its end; KubinetError when its process dies of something else than the run's failure."""
        index = job.spec.run.index
        argv = [sys.executable, "-m", "experiments.engine.worker"]
        with self._lock:
            if self._closed:
                raise KubinetError(f"run {index}: the session is over")
            # A session of its own: ctrl-C at the terminal reaches the one who asked, who then ends this one in order.
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
            self._running[index] = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = _Drain(process.stderr)
        try:
            process.stdin.write(json.dumps(to_data(job)).encode() + b"\n")
            process.stdin.flush()
            outcome: RunOutcome | None = None
            for line in process.stdout:
                told = json.loads(line)
                if "outcome" in told:
                    outcome = from_data(RunOutcome, told["outcome"])
                else:
                    self._watch(index, told["kind"], told["text"])
        except BrokenPipeError:
            outcome = None
        finally:
            with self._lock:
                self._running.pop(index, None)
            if not process.stdin.closed:
                _close(process)
            status = process.wait()
            process.stdout.close()
            words = errors.text()
        if outcome is None:
            raise KubinetError(f"run {index}: its process ended with status {status}: {words[-800:] or 'silently'}")
        return outcome

    def close(self) -> None:
        """End what still runs and wait until it has ended, so that no cluster is left."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for process in running:
            _close(process)
        for process in running:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class _Drain(threading.Thread):
    """Reads a stream to its end, so that the writer never blocks."""

    def __init__(self, stream: Any) -> None:
        super().__init__(name="worker-errors", daemon=True)
        self._stream = stream
        self._data = b""
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self._data = (self._data + line)[-65536:]

    def text(self) -> str:
        """All that was said."""
        self.join(5)
        self._stream.close()
        return self._data.decode(errors="replace").strip()


def _close(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
    except OSError:
        return  # it is gone already


def main() -> int:
    """Read the job, do it, tell; the exit status is 0 when the run has its folder, whether or not it failed."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what programs print is no message
    lock = threading.Lock()

    def tell(**told: object) -> None:
        with lock:
            print(json.dumps(told), file=output, flush=True)

    first = sys.stdin.buffer.readline()
    if not first.strip():
        return INTERRUPTED
    job = from_data(Job, json.loads(first))
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_input, name="parent-watch", daemon=True).start()
    collector.search_rarely()
    telling = Telling(
        step=lambda text: tell(kind="step", text=text),
        value=lambda text: tell(kind="value", text=text),
    )
    try:
        tell(outcome=asdict(job.here(telling)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"{error.filename or job.folder}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _watch_input() -> None:
    # Not sys.stdin: a thread that waits in it would hold its lock when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
