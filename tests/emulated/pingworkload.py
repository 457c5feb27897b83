"""A workload for tests: pings from one place to another."""

from typing import Any, ClassVar

from experiments.base import Parameter
from experiments.measure.ping import ping
from experiments.scene import Reading


class Ping:
    """Round-trip times."""

    summary = "pings"
    parameters = (
        Parameter("from", "", "", "where pings start"),
        Parameter("to", "", "", "where they go"),
        Parameter("count", 20, 20, "how many", 1),
    )
    required = ("from", "to")
    metrics: ClassVar = {"rtt": "ms"}
    programs = ("ping",)

    def check(self, settings: Any) -> None:
        pass

    def duration_s(self, settings: Any) -> float:
        return float(settings["count"]) / 100

    def run(self, scene: Any, settings: Any) -> None:
        source, target = settings["from"], settings["to"]
        run, text = ping(scene.place(source), scene.address(target)[0], count=settings["count"])
        scene.record(Reading("rtt", one.rtt_ms, "ms", one.time_s, one.sequence, source, target) for one in run.replies)
        scene.raw("ping.txt", text)


PING = Ping()
