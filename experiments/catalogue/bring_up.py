"""Workload of the experiment `scale`: how long the run's own cluster took to come up."""

from typing import Final

from experiments.design.model import Settings
from experiments.offered import NOTHING, OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import Plugin


class BringUp(Plugin):
    """Sends nothing; records what was measured before the workload began."""

    summary = "How long the run's cluster took to come up, by phase, counted from the beginning."
    parameters = ()
    metrics: Final = {"bring-up": "s"}
    labels = ("phase",)

    def duration_s(self, settings: Settings) -> float:  # noqa: ARG002
        """It is over already."""
        return 0.0

    def offered(self, settings: Settings) -> OfferedLoad:  # noqa: ARG002
        """Nothing."""
        return NOTHING

    def run(self, scene: Scene, settings: Settings) -> None:  # noqa: ARG002
        """When each phase was over; `cluster` is the whole."""
        scene.record(
            Reading("bring-up", seconds, "s", scene.started_s, index, "cluster", labels={"phase": phase})
            for index, (phase, seconds) in enumerate(scene.cluster.timings.items())
        )


BRING_UP: Final = BringUp()
