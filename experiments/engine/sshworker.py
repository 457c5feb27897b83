"""A Dask worker at the other end of an SSH connection: `python -m experiments.engine.sshworker`.

It says who it is, reads its configuration from standard input, never from its command line, which others can read, and
works until that input ends: when the session ends or dies, the run is given up and its cluster taken down.
"""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final

from experiments.engine.fingerprint import fingerprint
from experiments.engine.remotework import end_runs
from experiments.engine.sshmessages import (
    MARK,
    Configuration,
    Contact,
    Hello,
    Listening,
    Ready,
    from_line,
    to_line,
)
from kubinet.version import __version__

_CLOSE_SECONDS: Final = 10.0

Tell = Callable[[object], None]


def main() -> int:
    """Work until standard input ends."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what programs print is no message

    def tell(message: object) -> None:
        output.write(MARK + to_line(message))
        output.flush()

    tell(Hello(__version__, fingerprint(), _dask_version(), time.time()))
    try:
        asyncio.run(_until_input_ends(tell))
    except BrokenPipeError:
        return 1
    return 0


def _dask_version() -> str:
    try:
        import distributed  # noqa: PLC0415 - optional
    except ImportError:
        return ""
    return str(distributed.__version__)


async def _until_input_ends(tell: Tell) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    working = asyncio.create_task(_work(lines, tell))

    def end() -> None:
        if not working.cancelling():  # a second time would break off what the first has begun: the clean-up
            working.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, end)

    async def read() -> None:
        while line := await reader.readline():
            lines.put_nowait(line)
        end()

    reading = asyncio.create_task(read())
    try:
        await working
    except asyncio.CancelledError:
        return  # that is how it is told to end
    finally:
        reading.cancel()


async def _work(lines: "asyncio.Queue[bytes]", tell: Tell) -> None:
    import dask  # noqa: PLC0415 - optional
    from distributed import Security, Worker  # noqa: PLC0415

    configuration = from_line(Configuration, await lines.get())
    security = Security(require_encryption=True, **configuration.credentials)
    with (
        dask.config.set({"distributed.worker.http.routes": []}),
        tempfile.TemporaryDirectory(prefix="kubinet-worker-") as scratch,
    ):
        worker = Worker(
            configuration.scheduler,
            name=configuration.name,
            nthreads=1,
            memory_limit=0,
            security=security,
            host="127.0.0.1",
            protocol="tls",
            local_directory=scratch,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
            plugins=(_contact_plugin(lines, tell),),
        )
        try:
            await worker
            tell(Ready(configuration.name))
            await worker.finished()
        finally:
            await asyncio.to_thread(end_runs)
            await worker.close(timeout=_CLOSE_SECONDS)


def _contact_plugin(lines: "asyncio.Queue[bytes]", tell: Tell) -> Any:
    """Between listening and registering: learns where the scheduler will reach this worker."""
    from distributed import WorkerPlugin  # noqa: PLC0415 - optional

    class TellPort(WorkerPlugin):  # type: ignore[misc]
        name = "kubinet-contact"

        async def setup(self, worker: Any) -> None:
            tell(Listening(worker.port))
            worker.contact_address = from_line(Contact, await lines.get()).address

    return TellPort()


if __name__ == "__main__":
    sys.exit(main())
