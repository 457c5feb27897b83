"""An SSH server at 127.0.0.1, in a thread, that runs commands as this user: hosts of a home of its own."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh


class _Doorman(asyncssh.SSHServer):
    def __init__(self, server: "SSHServer") -> None:
        self._server = server

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return self._server.forwards

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return self._server.forwards


class SSHServer:
    """`hosts` of the home's ~/.ssh/config are all this server; what it runs has this environment as it is now."""

    def __init__(self, home: Path, hosts: tuple[str, ...]) -> None:
        self.home = home
        self.forwards = True
        self.processes: list[asyncio.subprocess.Process] = []
        self.commands: list[str] = []
        self._environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home / "tmp")}
        self._hosts = hosts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-server")
        self.ssh = home / ".ssh"
        self.ssh.mkdir(parents=True)
        (home / "tmp").mkdir()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = self.key("id_user")

    def key(self, name: str) -> Any:
        """A new key pair of a user, in the home."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(self.ssh / name)
        return key

    def __enter__(self) -> Self:
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._acceptor.get_port()
        public = self._host_key.export_public_key().decode().strip()
        (self.ssh / "known").write_text(f"[127.0.0.1]:{self.port} {public}\n")
        self.configure("".join(self.host(name) for name in self._hosts))
        return self

    def configure(self, text: str) -> None:
        (self.ssh / "config").write_text(text)

    def host(self, name: str, *, port: int | None = None, identity: str = "id_user", known: str = "known") -> str:
        """A host's part of ~/.ssh/config."""
        return (
            f"Host {name}\n  HostName 127.0.0.1\n  Port {port or self.port}\n  User somebody\n"
            f"  IdentityFile {self.ssh / identity}\n  IdentityFile {self.ssh / 'there-is-none'}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.ssh / known} {self.ssh / 'none-either'}\n"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _listen(self) -> Any:
        (self.ssh / "authorized").write_bytes(self.user_key.export_public_key())
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Doorman(self),
            server_host_keys=[self._host_key],
            authorized_client_keys=str(self.ssh / "authorized"),
            process_factory=self._run,
            encoding=None,
        )

    async def _close(self) -> None:
        self._acceptor.close()
        await self._acceptor.wait_closed()
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _run(self, session: Any) -> None:
        self.commands.append(session.command)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", session.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=self.home,
        )
        self.processes.append(process)
        assert process.stdin is not None
        feeding = asyncio.create_task(self._feed(session, process.stdin))
        with contextlib.suppress(OSError, asyncssh.Error):
            await asyncio.gather(_copy(process.stdout, session.stdout), _copy(process.stderr, session.stderr))
        status = await process.wait()
        feeding.cancel()
        session.exit(status)

    @staticmethod
    async def _feed(session: Any, stdin: asyncio.StreamWriter) -> None:
        """The client's bytes until it ends its input or the connection breaks: then the process's input ends."""
        try:
            while data := await session.stdin.read(65536):
                stdin.write(data)
                await stdin.drain()
        except (OSError, asyncssh.Error):
            pass
        finally:
            stdin.close()


async def _copy(source: Any, target: Any) -> None:
    while data := await source.read(65536):
        target.write(data)
