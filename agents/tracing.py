"""Passes questions to the nodes' ovs-vswitchd: run inside a sandbox, a JSON object a line on standard input and output.

`{"node": "n1", "words": ["ofproto/trace", "br-int", "in_port=…"]}` is answered with `{"text": "…"}`, or with
`{"error": "…"}` where Open vSwitch refuses. Ends with its input.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TextIO

from agents.ovsrpc import Appctl, OvsError
from kubinet.errors import KubinetError

NODES: Final = Path("/run/kubinet/nodes")


class Switches:
    """Connections to the switches of nodes, opened when they are asked first."""

    def __init__(self, folder: Path = NODES) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._known: dict[str, Appctl] = {}

    def ask(self, node: str, words: Sequence[str]) -> str:
        """The answer of the node's ovs-vswitchd; KubinetError where it refuses or does not run."""
        if node not in self._known:
            self._known[node] = self._open.enter_context(Appctl(self._socket(node)))
        command, *arguments = words
        return self._known[node](command, *arguments)

    def close(self) -> None:
        """End the connections."""
        self._open.close()

    def _socket(self, node: str) -> Path:
        home = self._folder / node
        try:
            pid = int((home / "ovs-vswitchd.pid").read_text())
        except (OSError, ValueError):
            raise OvsError(
                f"node '{node}': its ovs-vswitchd does not run; `kubinet agent ls` shows its agent"
            ) from None
        return home / f"ovs-vswitchd.{pid}.ctl"


def serve(switches: Switches, questions: TextIO, answers: TextIO) -> None:
    """Answer every line."""
    for line in questions:
        question = json.loads(line)
        try:
            answer = {"text": switches.ask(question["node"], question["words"])}
        except KubinetError as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    served = Switches()
    try:
        serve(served, sys.stdin, sys.stdout)
    finally:
        served.close()
