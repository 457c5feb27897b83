"""Complaints as Events of the objects that they are about, each told once."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from controller.complaints import Complaint
from kubinet.client import Client
from kubinet.errors import ApiError, KubinetError

_LOG = logging.getLogger(__name__)
_COMPONENT: Final = "kubinet-controller"
_HOME: Final = "default"
"""The namespace of events about objects without one (as upstream)."""
Find: TypeAlias = Callable[[str], Mapping[str, Any] | None]
"""The object of an owner (`Kind/namespace/name`), None where there is none any more."""


class ObjectWarnings:
    """Writes what is new. For one thread."""

    def __init__(self, client: Client) -> None:
        self._client = client.clone()
        self._told: set[Complaint] = set()

    def tell(self, complaints: Iterable[Complaint], find: Find) -> None:
        """Write an Event for each complaint that was not there before."""
        present = set(complaints)
        for one in sorted(present - self._told, key=lambda one: (one.owner, one.message)):
            _LOG.warning("%s: %s", one.owner, one.message)
            about = find(one.owner)
            if about is None:
                continue
            try:
                self._client.create(event(one, about, time.gmtime()))
            except ApiError as error:
                if error.status != 409:  # told before this process began
                    _LOG.warning("%s: its event is lost: %s", one.owner, error)
            except KubinetError as error:
                _LOG.warning("%s: its event is lost: %s", one.owner, error)
        self._told = present


def event(complaint: Complaint, about: Mapping[str, Any], now: time.struct_time) -> dict[str, Any]:
    """The Event object; the same complaint always has the same name."""
    metadata = about["metadata"]
    told = hashlib.sha256(f"{metadata['uid']}/{complaint.reason}/{complaint.message}".encode()).hexdigest()[:16]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    involved = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
    involved |= {field: metadata[field] for field in ("name", "namespace", "uid") if metadata.get(field)}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{told}", "namespace": metadata.get("namespace") or _HOME},
        "involvedObject": involved,
        "type": "Warning",
        "reason": complaint.reason,
        "message": complaint.message,
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": "",
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
