"""The Kubernetes API as a pod finds it, and one kind followed by list and watch: a thread, on the standard library."""

import contextlib
import http.client
import json
import logging
import os
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ANSWER_SECONDS: Final = 10.0
_WATCH_SECONDS: Final = 300
_PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# A watch is silent for long; the kernel finds out whether the other end still lives.
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
_LOG = logging.getLogger(__name__)


class ApiUnavailableError(Exception):
    """The API did not answer as asked; says what it said."""


class ExpiredError(ApiUnavailableError):
    """A watch cannot go on where it was (410): list again."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is and how it knows us."""

    url: str
    token: str | Path
    """The bearer token, or the file that holds it, read again for each request: it is renewed while we run."""
    ca: Path | None = None

    def connect(self) -> http.client.HTTPConnection:
        """A new connection, not yet open."""
        parts = urllib.parse.urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        return http.client.HTTPSConnection(host, port, timeout=_ANSWER_SECONDS, context=context)

    def headers(self) -> dict[str, str]:
        """Of each request."""
        token = self.token if isinstance(self.token, str) else self.token.read_text().strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": "kubinet-dns"}


def in_cluster() -> Access:
    """What Kubernetes gives every pod: variables for the address, files for token and certificate authority.

    Raises ApiUnavailableError outside of a pod.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise ApiUnavailableError("KUBERNETES_SERVICE_HOST is not set: not in a pod? give --api-url and --token-file")
    return Access(f"https://{host}:{port}", ACCOUNT / "token", ACCOUNT / "ca.crt")


@dataclass(frozen=True, slots=True)
class Handlers:
    """Who is told; called in the watcher's thread."""

    listed: Callable[[list[dict[str, Any]]], None]
    changed: Callable[[str, dict[str, Any]], None]
    """Type of the event (ADDED, MODIFIED, DELETED) and the object."""


class Watcher(threading.Thread):
    """Follows one collection for ever: lists, watches, and lists again when that is needed."""

    def __init__(self, access: Access, path: str, handlers: Handlers) -> None:
        """`path`: of the collection, with a query or without (`/api/v1/services`)."""
        super().__init__(name=path, daemon=True)
        self._access = access
        self._path = path
        self._handlers = handlers
        self._version: str | None = None

    def run(self) -> None:
        """Until the process ends. A failure is logged and tried again after a pause that grows to 2 s."""
        failures = 0
        while True:
            try:
                if self._version is None:
                    self._list()
                failures = 0
                self._watch()
            except ExpiredError:
                self._version = None
            except (ApiUnavailableError, OSError, http.client.HTTPException, ValueError) as error:
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                if failures in (0, len(_PAUSES)):
                    _LOG.warning("%s%s: %s; trying again", self._access.url, self._path, error or type(error).__name__)
                failures += 1
                time.sleep(pause)

    def _list(self) -> None:
        with self._get({}) as response:
            document = json.load(response)
        self._handlers.listed(document.get("items") or [])
        self._version = document["metadata"]["resourceVersion"]

    def _watch(self) -> None:
        """Until the server ends it, which it does in good order after some minutes."""
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        with self._get(parameters, endless=True) as response:
            while line := response.readline():
                event = json.loads(line)
                obj = event["object"]
                if event["type"] == "ERROR":
                    kind = ExpiredError if obj.get("code") == 410 else ApiUnavailableError
                    raise kind(obj.get("message") or "error")
                if event["type"] != "BOOKMARK":
                    self._handlers.changed(event["type"], obj)
                self._version = obj["metadata"]["resourceVersion"]

    @contextlib.contextmanager
    def _get(self, parameters: dict[str, str], *, endless: bool = False) -> Iterator[http.client.HTTPResponse]:
        connection = self._access.connect()
        try:
            joint = "&" if "?" in self._path else "?"
            query = joint + urllib.parse.urlencode(parameters) if parameters else ""
            connection.request("GET", self._path + query, headers=self._access.headers())
            response = connection.getresponse()
            if response.status != 200:
                text = response.read(2000).decode(errors="replace")
                kind = ExpiredError if response.status == 410 else ApiUnavailableError
                raise kind(f"{response.status} {response.reason}: {text}")
            if endless and connection.sock is not None:
                connection.sock.settimeout(None)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, seconds in _KEEPALIVE.items():
                    connection.sock.setsockopt(socket.IPPROTO_TCP, option, seconds)
            yield response
        finally:
            connection.close()
