"""The other side of `topologies.underlay`: links of a running cluster and Mininet's prompt. Runs inside the sandbox.

`python -m topologies.underlay_client` with `links`, `up LINK`, `down LINK`, `set LINK KEY=VALUE...`, `measure [--load
LINK,...] [LINK...]` or `cli` is what the command line starts; `--load` loads only those links, for a quarter of a
second each way, to measure their rate; `--load ""` none.
"""

import array
import json
import socket
import sys
from pathlib import Path
from typing import Any

from kubinet.errors import KubinetError
from topologies.supervisor import RUN_DIR
from topologies.underlay_protocol import SOCKET


def call(request: dict[str, object], fds: tuple[int, ...] = (), socket_path: Path = RUN_DIR / SOCKET) -> dict[str, Any]:
    """Send a request; returns the answer, KubinetError with the service's words where it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(socket_path))
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        connection.sendmsg([json.dumps(request).encode() + b"\n"], ancillary)
        with connection.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    if "error" in answer:
        raise KubinetError(str(answer["error"]))
    return answer


def main(argv: list[str]) -> int:
    """The program; prints JSON except for `cli`."""
    match argv:
        case ["links"]:
            print(json.dumps(call({"command": "links"})["links"]))
        case ["up" | "down" as state, name]:
            print(json.dumps(call({"command": "link", "name": name, "up": state == "up"})))
        case ["set", name, *settings] if settings and all("=" in one for one in settings):
            values = dict(one.split("=", 1) for one in settings)
            print(json.dumps(call({"command": "set", "name": name, "values": values})))
        case ["measure", "--load", loaded, *names]:
            load = [name for name in loaded.split(",") if name]
            print(json.dumps(call({"command": "measure", "names": names, "load": load, "seconds": 0.25})["links"]))
        case ["measure", *names]:
            print(json.dumps(call({"command": "measure", "names": names})["links"]))
        case ["cli"]:
            return int(call({"command": "cli"}, fds=(0, 1, 2))["exit"])
        case _:
            words = "links|up LINK|down LINK|set LINK KEY=VALUE...|measure [--load LINK,...] [LINK...]|cli"
            print(f"usage: python -m topologies.underlay_client {words}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KubinetError as error:
        sys.exit(f"Error: {error}")
