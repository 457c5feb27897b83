"""The controller as a process of its own, on os-ken or Ryu, that bridges connect to."""

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from private_ovs import OpenVSwitch

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
FRAMEWORKS = ["os_ken", pytest.param("ryu", marks=pytest.mark.ryu)]


class ControllerProcess:
    """One controller in a process of its own; it is given cluster states and says what is realised."""

    def __init__(self, framework: str, log: Path, audit_seconds: float) -> None:
        python = ROOT / (".venv-ryu" if framework == "ryu" else ".venv") / "bin" / "python"
        if framework == "ryu" and not python.exists():
            pytest.skip("Ryu is not installed; tools/ryu-venv.sh installs it")
        self._states, theirs = socket.socketpair()
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [python, ROOT / "tests/ovs/controller_process.py", str(audit_seconds)],
                env={**os.environ, "PYTHONPATH": str(ROOT), "KUBINET_FRAMEWORK": framework},
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        theirs.close()
        self._unread = b""
        self.port = int(self.next(lambda said: "port" in said)["port"])

    def tell(self, wire: Any) -> None:
        """The cluster's new state."""
        self._states.sendall(json.dumps(wire).encode() + b"\n")

    def next(self, condition: Callable[[Any], bool]) -> Any:
        """The next thing said for which the condition holds."""
        assert self.process.stdout is not None
        end = time.monotonic() + DEADLINE
        seen: Any = None
        while (left := end - time.monotonic()) > 0:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                seen = json.loads(line)
                if condition(seen):
                    return seen
            elif select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, f"the controller ended: {self.log.read_text()}"
                self._unread += data
        raise AssertionError(f"seen last: {seen}; {self.log.read_text()}")

    def realises(self, generation: int) -> Any:
        """Wait until n1 realises a generation."""
        return self.next(lambda said: said.get("n1", {}).get("generation") == generation)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self._states.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


def connect(ovs: OpenVSwitch, port: int) -> None:
    words: list[str] = []
    for bridge in ("br-int", "br-phy"):
        words += ["--", "set-controller", bridge, f"tcp:127.0.0.1:{port}"]
        words += ["--", "set", "controller", bridge, "max_backoff=1000"]
    ovs.vsctl(*words[1:])
