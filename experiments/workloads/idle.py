"""Workload `idle`: nothing; gives timeline and measurements their time."""

import time
from typing import Final

from experiments.base import Parameter
from experiments.design.model import Settings
from experiments.offered import NOTHING, OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import Plugin, number


class Idle(Plugin):
    """The workload."""

    summary = "Sends nothing for some seconds: what the cluster does by itself, or what a timeline does to it."
    parameters = (Parameter("seconds", 5.0, 1.0, "how long, seconds", 0.0, 86400),)
    metrics: Final = {"idle time": "s"}

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """Nothing."""
        return NOTHING

    def run(self, scene: Scene, settings: Settings) -> None:
        """Wait: here time itself is the fact that is waited for."""
        began = time.time()
        time.sleep(number(settings, "seconds"))
        scene.record([Reading("idle time", time.time() - began, "s", began)])


IDLE: Final = Idle()
