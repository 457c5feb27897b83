"""A supervisor in a process of its own with services that only a test would write."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

_REPOSITORY = Path(__file__).resolve().parents[2]
_DEADLINE = 20.0
_PROGRAM = """
import json, socket, sys
from pathlib import Path
from topologies.supervisor import Service, Supervisor

folder, control, settings, plan = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
services = tuple(Service(**{**one, "after": tuple(one.get("after", ()))}) for one in plan)
settings |= {"name": "test", "token": "t", "api_fd": 0}
sys.exit(Supervisor(settings, folder, socket.socket(fileno=control), services, stop_seconds=1.0).run())
"""
# What every fake service can use: a line into the trace, and a wait for the test's word.
_PRELUDE = """
import os, signal, sys
from pathlib import Path

def say(context, text):
    with (context.state_dir / "trace").open("a") as trace:
        trace.write(text + "\\n")

def word(context, name):
    return (context.state_dir / name).read_text()

"""


class Supervised:
    """Starts the supervisor; `services` are Service's fields and `source`, the text of the service's module."""

    def __init__(self, folder: Path, *services: dict[str, Any], bound: bool = False, pipes: Sequence[str] = ()) -> None:
        self.folder = folder
        for name in pipes:  # a service waits on one by `word`
            os.mkfifo(folder / name)
        (folder / "logs").mkdir()
        plan = []
        for service in services:
            module = f"fake_{service['name']}"
            (folder / f"{module}.py").write_text(_PRELUDE + service.pop("source"))
            plan.append({**service, "module": module})
        self.control, theirs = socket.socketpair()
        self.control.settimeout(_DEADLINE)
        self._lines = self.control.makefile("r")
        argv = [str(folder), str(theirs.fileno()), json.dumps({"bound": bound}), json.dumps(plan)]
        with (folder / "logs" / "supervisor.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *argv],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": f"{_REPOSITORY}:{folder}"},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        theirs.close()

    def until(self, service: str, state: str) -> dict[str, Any]:
        """Read the supervisor's lines up to this one."""
        for line in self._lines:
            event: dict[str, Any] = json.loads(line)
            if (event["service"], event["state"]) == (service, state):
                return event
        raise AssertionError(f"no line about {service} {state}; log: {self.log()}")

    def log(self) -> str:
        """What the supervisor itself wrote."""
        return (self.folder / "logs" / "supervisor.log").read_text()

    def trace(self) -> list[str]:
        """What the services said, in order."""
        return (self.folder / "trace").read_text().splitlines()

    def services(self) -> dict[str, Any]:
        """services.json."""
        found: dict[str, Any] = json.loads((self.folder / "services.json").read_text())
        return found

    def ended(self) -> int:
        """Wait for the supervisor's end: its exit status."""
        return self.process.wait(_DEADLINE)

    def hang_up(self) -> None:
        """Close our end of the control socket."""
        self._lines.close()
        self.control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pids = [int(str(one["pid"])) for one in self.services().values() if one["pid"]]
        handles = [os.pidfd_open(pid) for pid in pids if Path(f"/proc/{pid}").exists()]
        self.process.kill()
        self.process.wait()
        for handle in handles:  # in a sandbox the kernel would do this
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            assert select.select([handle], [], [], _DEADLINE)[0]
            os.close(handle)
        self.hang_up()
