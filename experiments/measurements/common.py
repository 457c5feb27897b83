"""What measurements share: a program in the sandbox that looks every so often, and a thread that records what it says.

One program for the whole measurement, because starting one for each look would cost more than what is looked at.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.programs.running import START_SECONDS, Running
from experiments.scene import Reading, Scene
from experiments.topology import underlay_of
from experiments.workloads.common import seconds
from kubinet.errors import InvalidInputError, KubinetError

EVERY: Final = Parameter("every", "1s", "500ms", "time between two looks, such as `500ms`")
_SHORTEST_SECONDS: Final = 0.02


class Watching:
    """Defaults of a measurement."""

    required: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Labels of its readings, which tables and claims may name."""
    makes_objects: bool = False
    """Whether it makes pods or Services that are not in the text of a parameter: then any may exist."""

    def check(self, settings: Settings) -> None:
        """Looks are not closer than what they cost."""
        if seconds(settings, "every") < _SHORTEST_SECONDS:
            raise InvalidInputError(f"parameter 'every': looks cost time; at least {_SHORTEST_SECONDS * 1e3:g}ms")


Interpret = Callable[[Mapping[str, Any]], Iterable[Reading]]
"""What one look says; it may remember the one before."""


@contextmanager
def watching(scene: Scene, module: str, settings: Mapping[str, object], interpret: Interpret) -> Iterator[None]:
    """Run `agents.watching.MODULE` in the sandbox; every document that it says is interpreted and recorded.

    It looks once before the block begins and once when it ends. KubinetError when it failed, at the end of the block.
    """
    node = sorted(underlay_of(scene.topology).racks)[0]
    # Into the sandbox by a node, and from there to the namespace of the sandbox's first process.
    argv = ["nsenter", "--net=/proc/1/ns/net", "--", sys.executable, "-m", "agents.watching", module]
    with Running(scene.cluster.node(node), "sandbox", f"measurement {module}", argv) as running:
        running.say(settings)
        failures: list[KubinetError] = []
        first = running.hear(START_SECONDS)
        scene.record(interpret(first))
        listener = threading.Thread(
            target=_listen, args=(scene, running, interpret, failures), name=f"measurement-{module}", daemon=True
        )
        listener.start()
        try:
            yield
        finally:
            running.finish_input()
            listener.join(START_SECONDS)
        if failures:
            raise failures[0]


def _listen(scene: Scene, running: Running, interpret: Interpret, failures: list[KubinetError]) -> None:
    try:
        while (document := running.hear_or_end()) is not None:
            scene.record(interpret(document))
    except KubinetError as error:
        failures.append(error)


class Growth:
    """How much counters grew since the look before; one that shrank began again (its program did)."""

    def __init__(self) -> None:
        self._before: dict[object, float] = {}

    def of(self, key: object, value: float) -> float:
        """Since the look before; zero the first time."""
        before = self._before.get(key, value)
        self._before[key] = value
        return value - before if value >= before else value
