"""Complaints as Events of the Services, each told once."""

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from controller.complaints import Complaint
from kubinet.client import Client
from kubinet.errors import ApiError, KubinetError

_LOG = logging.getLogger(__name__)
_COMPONENT: Final = "kubinet-controller"


class ServiceWarnings:
    """Writes what is new. For one thread."""

    def __init__(self, client: Client) -> None:
        self._client = client.clone()
        self._told: set[Complaint] = set()

    def tell(self, complaints: Iterable[Complaint], services: Mapping[str, Mapping[str, Any]]) -> None:
        """Write an Event for each complaint that was not there before; `services`: the objects by key."""
        present = set(complaints)
        for one in sorted(present - self._told, key=lambda one: (one.service, one.message)):
            _LOG.warning("Service %s: %s", one.service, one.message)
            about = services.get(one.service)
            if about is None:
                continue
            try:
                self._client.create(event(one, about, time.gmtime()))
            except ApiError as error:
                if error.status != 409:  # told before this process began
                    _LOG.warning("Service %s: its event is lost: %s", one.service, error)
            except KubinetError as error:
                _LOG.warning("Service %s: its event is lost: %s", one.service, error)
        self._told = present


def event(complaint: Complaint, about: Mapping[str, Any], now: time.struct_time) -> dict[str, Any]:
    """The Event object; the same complaint always has the same name."""
    metadata = about["metadata"]
    told = hashlib.sha256(f"{metadata['uid']}/{complaint.reason}/{complaint.message}".encode()).hexdigest()[:16]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{told}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
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
