"""The agents' control socket: a line asks, a line answers, both JSON objects; then it ends.

Requests: `{"command": "list"}`, `{"command": "stats"}`, `{"command": "stop", "node": "n1"}`, `{"command": "start",
"node": "n1"}`, `{"command": "reachability", "timeout": 60}`. A refused request is answered with `{"error": "…"}`.
"""

import contextlib
import json
import logging
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kubinet.errors import KubinetError, UsageError

_LOG = logging.getLogger(__name__)
_LINE_LIMIT: Final = 65536

Handler = Callable[[Mapping[str, Any]], Mapping[str, object]]


class ControlServer:
    """Listens on a unix socket and gives each request to the handler of its command."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        path.unlink(missing_ok=True)

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if line := self.rfile.readline(_LINE_LIMIT):
                    told = json.dumps(answer(line, handlers)).encode() + b"\n"
                    with contextlib.suppress(ConnectionError):  # whoever asked waits no more
                        self.wfile.write(told)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Connection)
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def answer(line: bytes, handlers: Mapping[str, Handler]) -> Mapping[str, object]:
    """The answer to one request; never an exception."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or request.get("command") not in handlers:
            raise UsageError(f"agents: a request is a JSON object with `command` one of {', '.join(sorted(handlers))}")
        return handlers[request["command"]](request)
    except ValueError as error:
        return {"error": f"agents: the request is not JSON: {error}"}
    except KubinetError as error:
        return {"error": str(error)}
    except Exception:
        _LOG.exception("request %s", line[:200])
        return {"error": "the agents service failed; see agents.log"}
