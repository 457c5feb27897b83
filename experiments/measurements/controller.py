"""Measurement `controller`: how quickly the SDN controller answers, and how far nodes are behind the API."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from agents.watching.controller import GENERATIONS
from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import seconds
from topologies.supervisor import API_ADDRESS


def behind(nodes: Mapping[str, Mapping[str, Any]], newest: Mapping[str, int]) -> dict[str, int]:
    """How many versions of the API each node is behind, the most of its kinds; 0 when all is realised."""
    return {
        name: max(max(0, newest.get(kind, 0) - int(entry.get(field, 0))) for kind, field in GENERATIONS.items())
        for name, entry in nodes.items()
    }


class Controller(Watching):
    """The measurement."""

    summary = "The SDN controller: round-trip time of an OpenFlow echo, versions that nodes are behind, flows, errors."
    parameters = (EVERY,)
    metrics: Final = {
        "echo": "ms",
        "unanswered echoes": "echoes",
        "versions behind": "versions",
        "flows": "flows",
        "groups": "groups",
        "errors": "errors",
    }

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """A look asks the controller for an echo, and the API for what the nodes have realised."""
        return watching(scene, "controller", {"every": seconds(settings, "every"), "api": API_ADDRESS}, interpret)


def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
    """Readings of one look; without an API (it was killed) only the echo."""
    at, found = float(look["time_s"]), look["found"]
    if found["echo_ms"] is not None:
        yield Reading("echo", found["echo_ms"], "ms", at, source="controller")
    yield Reading("unanswered echoes", int(found["echo_ms"] is None), "echoes", at, source="controller")
    late = behind(found["nodes"], found["newest"])
    for node, entry in found["nodes"].items():
        yield Reading("versions behind", late[node], "versions", at, source=node)
        for metric in ("flows", "groups", "errors"):
            yield Reading(metric, float(entry.get(metric, 0)), metric, at, source=node)


CONTROLLER: Final = Controller()
