"""The runtime service: starts the runtime's own small process and ends with it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from kubinet.errors import MissingCapabilityError
from kubinet.service import ServiceContext


def serve(context: ServiceContext) -> None:
    """Run the container runtime on `context.runtime_socket` until SIGTERM; all containers end with it.

    Raises MissingCapabilityError when the runtime could not start, SystemExit with its status when it died.
    """
    reader, writer = os.pipe()
    # A program of its own rather than a fork: this process may have imported half of Kubinet, and every container
    # starts as a fork of the runtime.
    command = [
        sys.executable,
        "-S",
        "-E",
        "-m",
        "agents.runtime.main",
        context.cluster,
        str(context.run_dir),
        str(context.state_dir),
        str(context.runtime_socket),
        str(writer),
    ]
    previous = signal.getsignal(signal.SIGTERM)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=(writer,), cwd=Path(__file__).parents[2]
    ) as process:
        os.close(writer)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            with os.fdopen(reader) as pipe:
                facts = pipe.readline()
            if not facts:
                raise MissingCapabilityError(
                    f"the container runtime ended with status {process.wait()} before it was ready; "
                    f"its messages are in {context.log_dir()}"
                )
            context.ready(json.loads(facts))
            status = process.wait()
        finally:
            signal.signal(signal.SIGTERM, previous)
    if status != 0:
        raise SystemExit(status if status > 0 else 128 - status)
