"""Events about pods and nodes, written by a thread of their own: nobody's network waits for a message to people."""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from agents.node_object import timestamp
from kubinet.client import Client
from kubinet.errors import ApiError, KubinetError

_LOG = logging.getLogger(__name__)
_COMPONENT: Final = "kubinet-agent"
_REMEMBERED: Final = 10_000
_MESSAGE_LIMIT: Final = 1024
"""Kubernetes refuses longer ones."""
_QUIET_SECONDS: Final = 0.2
"""So long nothing more must have been told before ordinary events are written."""
_PATIENCE_SECONDS: Final = 30.0
"""After so long they are written even while more is told."""

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about."""

    kind: str
    name: str
    uid: str
    namespace: str | None = None
    field_path: str = ""
    """Which container, as in `spec.containers{web}`."""


@dataclass(frozen=True, slots=True)
class _Event:
    subject: Subject
    host: str
    severity: Severity
    reason: str
    message: str
    when: datetime
    told_at: float
    """time.monotonic()"""


class EventRecorder:
    """Writes events in the order told; the same event told again counts up instead of making a new one.

    Ordinary events wait for a quiet moment: while many pods start, what an event costs is better spent on the pods.
    A warning does not wait, and takes those before it along.
    """

    def __init__(self, client: Client) -> None:
        self._client = client.clone()
        self._changed = threading.Condition()
        self._told: deque[_Event] = deque()
        self._warnings = 0
        """How many of `_told`."""
        self._last_told = 0.0
        self._closing = False
        self._counts: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def tell(self, subject: Subject, host: str, severity: Severity, reason: str, message: str) -> None:
        """Queue an event; returns at once. `host`: the node that says it."""
        text = message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…"
        with self._changed:
            self._last_told = time.monotonic()
            self._told.append(_Event(subject, host, severity, reason, text, datetime.now(UTC), self._last_told))
            self._warnings += severity == "Warning"
            if self._warnings or len(self._told) == 1:  # else the thread waits already until it is quiet
                self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._write(event)
            except ApiError as error:
                # The namespace or the pod's namespace is going away: nobody will read this event.
                _LOG.debug("event %s about %s: %s", event.reason, event.subject.name, error)
            except KubinetError as error:
                _LOG.warning("event %s about %s is lost: %s", event.reason, event.subject.name, error)

    def _next(self) -> _Event | None:
        """The oldest event when its time has come; None at the end."""
        with self._changed:
            while True:
                if not self._told:
                    if self._closing:
                        return None
                    self._changed.wait()
                    continue
                left = 0.0
                if not (self._warnings or self._closing):
                    due = min(self._last_told + _QUIET_SECONDS, self._told[0].told_at + _PATIENCE_SECONDS)
                    left = due - time.monotonic()
                if left <= 0:
                    event = self._told.popleft()
                    self._warnings -= event.severity == "Warning"
                    return event
                self._changed.wait(left)

    def _write(self, event: _Event) -> None:
        name = event_name(event.subject, event.reason, event.message)
        namespace = event.subject.namespace or "default"
        count = self._counts.get(name, 0)
        if count:
            patch = {"count": count + 1, "lastTimestamp": timestamp(event.when)}
            try:
                self._client.patch("Event", name, patch, namespace)
                self._counts[name] = count + 1
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        self._client.create(event_object(event, name, namespace))
        if len(self._counts) >= _REMEMBERED:
            self._counts.clear()
        self._counts[name] = 1


def event_name(subject: Subject, reason: str, message: str) -> str:
    """The same for the same event: subject's name and a hash of what is said."""
    told = f"{subject.uid}/{subject.field_path}/{reason}/{message}"
    return f"{subject.name[:200]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def event_object(event: _Event, name: str, namespace: str) -> dict[str, Any]:
    """The wire object."""
    subject = event.subject
    involved: Mapping[str, str | None] = {
        "apiVersion": "v1",
        "kind": subject.kind,
        "name": subject.name,
        "uid": subject.uid,
        "namespace": subject.namespace,
        "fieldPath": subject.field_path or None,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {key: value for key, value in involved.items() if value is not None},
        "type": event.severity,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": _COMPONENT, "host": event.host},
        "reportingComponent": _COMPONENT,
        "reportingInstance": event.host,
        "firstTimestamp": timestamp(event.when),
        "lastTimestamp": timestamp(event.when),
        "count": 1,
    }
