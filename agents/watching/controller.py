"""The SDN controller's answers to OpenFlow echoes, and what the API knows of the nodes' flows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agents.watching.echo import TIMEOUT_S, Echo
from agents.watching.processes import services_file
from kubinet.client import Client
from kubinet.errors import KubinetError

GENERATIONS: Final = {"Pod": "generation", "EndpointSlice": "endpointGeneration", "Service": "serviceGeneration"}
"""Kinds, and the field of a node in Dataplane/cluster that says up to which change the node has realised them."""


def looker(settings: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
    """Keeps one connection to the controller and one to the API."""
    state = services_file(Path("/proc/1/cmdline").read_bytes()).parent
    table = json.loads((state / "services.json").read_text())
    echo = Echo(("127.0.0.1", int(table["controller"]["facts"]["port"])))
    token = json.loads((state / "settings.json").read_text())["token"]
    client = Client(settings["api"], token, timeout=TIMEOUT_S)

    def look() -> dict[str, Any]:
        took = echo.ask()
        try:
            newest = client.last_changes(tuple(GENERATIONS))
            plane = client.get("Dataplane", "cluster")
        except (KubinetError, OSError):
            return {"echo_ms": took, "nodes": {}, "newest": {}}
        return {"echo_ms": took, "nodes": plane["status"]["nodes"], "newest": newest}

    return look
