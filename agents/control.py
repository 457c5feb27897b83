"""The agents' own socket, `agents.sock`: one JSON line asks, one answers, then the connection ends.

`{"command": "reachability", "timeout": 60}` probes all pairs of nodes, `{"command": "stop" | "start", "node": ...}`
stops or starts one node's agent, `{"command": "list"}` tells which run, `{"command": "stats"}` what each node's
Open vSwitch needs. An answer with `error` says in words what went wrong.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agents.reachability import Reachability, probe_all_pairs
from kubinet.errors import KubinetError
from kubinet.state import ClusterFacts

_LOG = logging.getLogger(__name__)
SOCKET: Final = "agents.sock"
_REQUEST_LIMIT: Final = 65536
_REQUEST_SECONDS: Final = 10.0
_PAIRS_NAMED: Final = 10
_DEFAULT_TIMEOUT: Final = 60.0

Object = dict[str, Any]
Handler = Callable[[Object], Object]


class ControlServer:
    """Answers requests, each in a thread of its own, until the process ends."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        """Listens at once; a socket file of an earlier process is replaced."""
        self._handlers = handlers
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._converse, args=(connection,), name="control-request", daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                with connection.makefile("rb") as lines:
                    answer = self._answer(lines.readline(_REQUEST_LIMIT))
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as error:
                _LOG.info("control connection: %s", error)

    def _answer(self, line: bytes) -> Object:
        try:
            request = json.loads(line)
            command = request["command"]
        except (ValueError, KeyError, TypeError):
            return {"error": f"agents: a request is a JSON object with a field 'command', not {line[:200]!r}"}
        handler = self._handlers.get(str(command))
        if handler is None:
            return {"error": f"agents: unknown command {command!r}; known: {', '.join(sorted(self._handlers))}"}
        try:
            return handler(request)
        except KubinetError as error:
            return {"error": str(error)}
        except Exception:
            _LOG.exception("request %s", request)
            return {"error": "the agents' service failed; see agents.log"}


def answer_reachability(facts: ClusterFacts, request: Object) -> Object:
    """Probe all pairs of nodes for at most `timeout` seconds (default 60)."""
    timeout = request.get("timeout", _DEFAULT_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise KubinetError(f"reachability: timeout must be a positive number of seconds, not {timeout!r}")
    return describe_reachability(probe_all_pairs(facts, float(timeout)))


def describe_reachability(found: Reachability) -> Object:
    """The answer for what a probe found; names at most ten silent pairs."""
    if found.missing:
        named = "; ".join(f"{one} -> {other}" for one, other in found.missing[:_PAIRS_NAMED])
        more = len(found.missing) - _PAIRS_NAMED
        rest = f" and {more} more pairs" if more > 0 else ""
        silent = f"{named}{rest} did not answer over the pod network in {found.seconds:.1f} s"
        return {"error": f"{silent}; {len(found.round_trips)} pairs did"}
    slowest = max(found.round_trips.values(), default=0.0)
    return {
        "pairs": len(found.round_trips),
        "seconds": round(found.seconds, 3),
        "slowest_ms": round(slowest * 1000, 3),
    }


def process_memory(pid: int) -> dict[str, int]:
    """A process's resident and proportional set size, bytes; empty when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    fields = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Rss:", "Pss:"))}
    return {name.lower(): int(kibibytes) * 1024 for name, kibibytes in fields.items()}
