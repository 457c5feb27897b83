"""The last step of coming up: every pair of nodes has answered over the overlay, as the agents observed it."""

import json
import socket

from kubinet.errors import DeadlineError
from kubinet.service import ServiceContext

DEADLINE_SECONDS = 60.0


def serve(context: ServiceContext) -> None:
    """Ask the agents to probe all pairs; ready when all answered, DeadlineError naming the silent ones otherwise."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(DEADLINE_SECONDS + 10)
        connection.connect(str(context.run_dir / "agents.sock"))
        request = {"command": "reachability", "timeout": DEADLINE_SECONDS}
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.readline())
    if "error" in answer:
        raise DeadlineError(f"cluster {context.cluster!r}: {answer['error']}; see {context.log_dir()}")
    context.ready(answer)
