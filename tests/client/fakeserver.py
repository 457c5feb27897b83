"""The API server with a runtime that starts local processes: run by the client tests as a process of its own."""

import argparse
import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from controller.api.server import open_api, serve_alone, server_tls
from kubinet.crilink import ExecStartError


class LocalProcess:
    """A local child in the role of a container's process."""

    def __init__(self, child: subprocess.Popen[bytes], terminal: int | None) -> None:
        self._child = child
        self.terminal = terminal
        self._pidfd = os.pidfd_open(child.pid)

    def fileno(self) -> int:
        return self._pidfd

    def wait(self, timeout: float | None = None) -> int:
        code = self._child.wait(timeout)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        os.close(self._pidfd)


class LocalRuntime:
    """Starts a container's command on this machine."""

    def network_namespace(self, pod_uid: str) -> Path:
        return Path("/proc/self/ns/net")

    def exec(
        self,
        pod_uid: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
    ) -> LocalProcess:
        if tty:
            controlling, terminal = os.openpty()
            command = ["setsid", "--ctty", "--wait", *argv]
            child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
            os.close(terminal)
            return LocalProcess(child, controlling)
        streams = {
            name: fd if fd is not None else subprocess.DEVNULL
            for name, fd in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))
        }
        try:
            return LocalProcess(subprocess.Popen(argv, **streams), None)
        except OSError as error:
            raise ExecStartError(f"{argv[0]}: {error.strerror}") from error


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args()
    tls = server_tls(options.state_dir)
    api = open_api(options.state_dir, options.token, LocalRuntime())
    asyncio.run(serve_alone(api, 0, tls=tls))


if __name__ == "__main__":
    main()
