"""A Dask worker on another host, by SSH: started, told its secrets, connected and ended over one SSH connection.

Scheduler and worker listen at 127.0.0.1 of their machines and meet through ports that SSH forwards: no other way
between the machines is needed, and the network sees nothing but SSH. Dask's own `SSHCluster` gives its configuration on
command lines, which others can read, and leaves workers behind when it dies.
"""

import asyncio
import shlex
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import asyncssh
import distributed
from distributed import Status
from distributed.deploy.spec import ProcessInterface

from experiments.engine.fingerprint import fingerprint
from experiments.engine.sshconnect import connect
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
from kubinet.errors import DeadlineError, KubinetError
from kubinet.version import __version__

PROGRAM: Final = "experiments.engine.sshworker"
START_SECONDS: Final = 60.0
_END_SECONDS: Final = 40.0
_LOOPBACK: Final = "127.0.0.1"
_COMMAND_NOT_FOUND: Final = (126, 127)

Kind = TypeVar("Kind")


class SSHWorker(ProcessInterface):  # type: ignore[misc]
    """The worker of one host, for `distributed.SpecCluster`."""

    def __init__(
        self, scheduler: str, *, name: str, python: str, credentials: Mapping[str, str], gone: dict[str, str]
    ) -> None:
        super().__init__()
        self.name = name
        self._scheduler_port = int(scheduler.rpartition(":")[2])
        self._python = python
        self._credentials = credentials
        self._gone = gone
        self._made_s = time.time()
        self._connection: Any = None
        self._process: Any = None
        self._words: deque[str] = deque(maxlen=40)
        self._tasks: list[asyncio.Task[None]] = []
        self._waits_for = "SSH connection"

    async def start(self) -> None:
        """Return when the scheduler has the worker; KubinetError with the host and the remedy otherwise."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._begin()
        except BaseException as error:
            self.status = Status.failed
            told = self._in_words(error)
            self._gone[self.name] = str(told)
            await self._disconnect()
            if told is error:
                raise
            raise told from error
        await super().start()
        self._tasks.append(asyncio.create_task(self._watch()))

    async def close(self) -> None:
        """End the worker and wait for it, because a run's cluster has to be taken down."""
        if self.status is not Status.failed:
            self.status = Status.closing
        await self._disconnect()
        await super().close()

    def _in_words(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return DeadlineError(f"host {self.name}: no {self._waits_for} within {START_SECONDS:g} s{self._said()}")
        if isinstance(error, OSError | asyncssh.Error):
            return KubinetError(f"host {self.name}: the SSH connection broke ({error})")
        return error

    async def _begin(self) -> None:
        self._connection = await connect(self.name)
        self._waits_for = f"answer from {self._python}"
        # -P: a folder of the user's home that has a name of ours is none of ours.
        command = f"exec {shlex.quote(self._python)} -P -m {PROGRAM}"
        self._process = await self._connection.create_process(command, errors="replace")
        self._tasks.append(asyncio.create_task(self._listen()))
        refusal = refuse(await self._hear(Hello), self._made_s)
        if refusal is not None:
            raise KubinetError(f"host {self.name}: {refusal} (its program: {self._python})")
        self._waits_for = "worker there"
        there = await self._forward_to_here()
        self._tell(Configuration(self.name, f"tls://{_LOOPBACK}:{there}", self._credentials))
        here = await self._forward_to_there((await self._hear(Listening)).port)
        self._waits_for = "connection of the worker there to the scheduler here"
        self._tell(Contact(f"tls://{_LOOPBACK}:{here}"))
        await self._hear(Ready)

    async def _forward_to_here(self) -> int:
        """The port there by which the worker reaches the scheduler."""
        try:
            listener = await self._connection.forward_remote_port(_LOOPBACK, 0, _LOOPBACK, self._scheduler_port)
        except (asyncssh.Error, asyncssh.ChannelListenError) as error:
            raise self._no_forwarding(error) from error
        return int(listener.get_port())

    async def _forward_to_there(self, port: int) -> int:
        """The port here by which the scheduler reaches the worker."""
        try:
            _reader, writer = await self._connection.open_connection(_LOOPBACK, port)
        except asyncssh.Error as error:
            raise self._no_forwarding(error) from error
        writer.close()
        listener = await self._connection.forward_local_port(_LOOPBACK, 0, _LOOPBACK, port)
        return int(listener.get_port())

    def _no_forwarding(self, error: Exception) -> KubinetError:
        return KubinetError(
            f"host {self.name}: its SSH server forwards no ports ({error}); workers need AllowTcpForwarding yes in its "
            "sshd_config"
        )

    def _tell(self, message: object) -> None:
        self._process.stdin.write(to_line(message))

    async def _hear(self, kind: type[Kind]) -> Kind:
        """The worker's next message; what a login shell says before is passed over."""
        while line := await self._process.stdout.readline():
            if line.startswith(MARK):
                return from_line(kind, line.removeprefix(MARK))
        await self._process.wait_closed()
        raise KubinetError(
            f"host {self.name}: {why_ended(self._python, self._process.exit_status, ' '.join(self._words))}"
        )

    async def _listen(self) -> None:
        try:
            while line := await self._process.stderr.readline():
                self._words.append(line.strip())
        except (OSError, asyncssh.Error):
            return  # who reads the messages tells it

    async def _watch(self) -> None:
        why = "its worker ended"
        try:
            while await self._process.stdout.readline():
                pass
            await self._process.wait_closed()
        except (OSError, asyncssh.Error) as error:
            why = f"the SSH connection broke ({error})"
        if self.status is Status.running:
            self.status = Status.failed
            self._gone[self.name] = f"host {self.name}: {why}{self._said()}"

    def _said(self) -> str:
        return f": {' '.join(self._words)[-800:]}" if self._words else ""

    async def _disconnect(self) -> None:
        if self._process is not None and not self._process.is_closing():
            self._process.stdin.write_eof()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._process.wait_closed()
            except (TimeoutError, OSError, asyncssh.Error):
                self._process.close()
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()
        await asyncio.gather(*self._tasks)


def refuse(hello: Hello, made_s: float) -> str | None:
    """Why a worker that says this cannot be used; None where it can. `made_s`: when the certificate was made."""
    ours = fingerprint()
    if (hello.version, hello.fingerprint) != (__version__, ours):
        return (
            f"another Kubinet is there: {hello.version}, files {hello.fingerprint}; here {__version__}, files {ours}; "
            "bring both to one commit with the same changes"
        )
    if not hello.dask:
        return "Kubinet there has no Dask; in its environment: pip install 'kubinet[workers]'"
    if hello.dask != distributed.__version__:
        return f"Dask distributed {hello.dask} is there, {distributed.__version__} here; install the same"
    if hello.time_s < made_s:
        return (
            f"its clock is {made_s - hello.time_s:.1f} s behind, so that the session's certificate is not valid there "
            "yet; set both clocks (NTP)"
        )
    return None


def why_ended(python: str, status: int | None, words: str) -> str:
    """What it means that the program ended before it said who it is."""
    if status in _COMMAND_NOT_FOUND or "No module named" in words:
        return (
            f"no Kubinet there: {python} -m {PROGRAM} does not run ({words or f'status {status}'}); install the same "
            "Kubinet at the same path, or name its Python: --workers ssh:HOST,…,python=/path/to/.venv/bin/python"
        )
    return f"its worker ended with status {status}: {words or 'silently'}"
