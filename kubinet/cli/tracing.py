"""Asks the switches of a running cluster: one process in its sandbox passes questions on (`agents.tracing`)."""

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kubinet.errors import KubinetError
from kubinet.sandbox import inside

if TYPE_CHECKING:
    from kubinet.cluster import Cluster


class ClusterTracer:
    """A `controller.walk.tracer.Tracer` for a running cluster; a context manager. For one thread."""

    def __init__(self, cluster: "Cluster") -> None:
        argv = inside(cluster.info.pid, [sys.executable, "-m", "agents.tracing"])
        self._name = cluster.name
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def trace(self, node: str, words: Sequence[str]) -> str:
        """The node's answer; KubinetError where Open vSwitch refuses."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"node": node, "words": list(words)}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            said = self._process.communicate()[1].strip()
            raise KubinetError(f"cluster '{self._name}': its switches cannot be asked: {said[-400:] or 'it has ended'}")
        answer = json.loads(line)
        if "error" in answer:
            raise KubinetError(f"node '{node}': {answer['error']}")
        return str(answer["text"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()
