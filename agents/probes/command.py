"""`exec`: a command in the container, through the container runtime, for asyncio."""

import asyncio
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from agents.probes.target import OUTPUT_LIMIT, Result, Target, errored, failed, succeeded
from kubinet.cri import (
    RuntimeClient,
    UnawaitedExec,
)
from kubinet.crilink import ContainerRuntimeError

_PIPE_SIZE: Final = 65536
"""What a pipe holds (pipe(7))."""


async def exec_check(runtime: RuntimeClient, target: Target, command: Sequence[str], timeout: float) -> Result:
    """Run the command for at most `timeout` seconds; status 0 is success, and the output is the text."""
    reader, writer = os.pipe()
    output = _Output(reader)
    try:
        try:
            process = runtime.exec_unawaited(target.uid, target.container, command, output=writer)
        finally:
            os.close(writer)
        with process:
            async with asyncio.timeout(timeout):
                status = await _ended(process)
            output.drain()
    except TimeoutError:
        return failed(f'command "{shlex.join(command)}" timed out')
    except ContainerRuntimeError as error:
        return errored(str(error))
    finally:
        output.close()
    return succeeded(output.text) if status == 0 else failed(output.text or f"exit status {status}")


async def _ended(process: UnawaitedExec) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def poll() -> None:
        if ended.done():
            return
        try:
            status = process.poll()
        except Exception as error:
            ended.set_exception(error)
        else:
            if status is not None:
                ended.set_result(status)

    loop.add_reader(process.fileno(), poll)
    try:
        return await ended
    finally:
        loop.remove_reader(process.fileno())


class _Output:
    """What a command writes: kept up to the limit, and read on so that the command is not held up."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._data = b""
        os.set_blocking(reader, False)
        asyncio.get_running_loop().add_reader(reader, self.drain)

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")

    def drain(self) -> None:
        """Take what is there."""
        with suppress(BlockingIOError):
            piece = os.read(self._reader, _PIPE_SIZE)  # once: a command that never stops writing must not hold us
            self._data = (self._data + piece)[:OUTPUT_LIMIT]
            if not piece:
                asyncio.get_running_loop().remove_reader(self._reader)  # its end: readable for ever

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
