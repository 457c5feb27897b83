"""Workload `incast`: many senders, one receiver, all at once (partition and aggregate)."""

from collections.abc import Iterator, Sequence
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import CONNECTION, FLOW, OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import Pair, Plugin, check_places, names, number, switch, text, whole
from experiments.workloads.flow_plan import PlannedFlow
from experiments.workloads.sending_flows import FinishedFlow, send
from kubinet.errors import InvalidInputError, KubinetError

FLOWS_PORT: Final = Parameter("port", 7300, 7300, "port of the receivers", 1, 65535)


class Incast(Plugin):
    """The workload."""

    summary = "Several senders send the same amount to one receiver at once: time of each, and until the last is done."
    parameters = (
        Parameter(
            "from",
            "",
            "",
            "senders: places with commas between; a place may be named several times",
            holds=Holds.PLACES,
        ),
        Parameter("to", "", "", "the receiver, a place", holds=Holds.PLACES),
        Parameter("size", 32_768, 32_768, "what each sends, bytes", 1, 1_000_000_000),
        Parameter("rounds", 10, 3, "how often", 1, 100_000),
        Parameter("interval_s", 0.5, 0.3, "seconds from round to round; longer than a round takes", 0.001, 3600),
        Parameter("prepared", True, True, "true: connections are open before; false: they open in the same moment"),
        Parameter("timeout_s", 10.0, 10.0, "seconds after which a sender has failed", 0.1, 600),
        Parameter("congestion", "", "", "TCP's congestion control, such as `reno`; empty: the machine's"),
        FLOWS_PORT,
    )
    required = ("from", "to")
    metrics: Final = {"completion": "ms", "flow completion": "ms", "goodput": "Mbit/s", "failed": "flows"}

    def check(self, settings: Settings) -> None:
        """Places; one receiver."""
        check_places(settings, "from", "to")
        if len(names(settings, "to")) != 1:
            raise InvalidInputError("parameter 'to': incast has one receiver")

    def duration_s(self, settings: Settings) -> float:
        """Rounds times interval."""
        return whole(settings, "rounds") * number(settings, "interval_s")

    def offered(self, settings: Settings) -> OfferedLoad:
        """`size` of each sender, on average over a round of `interval_s`."""
        flows = len(names(settings, "from")) / number(settings, "interval_s")
        packets = FLOW - CONNECTION if switch(settings, "prepared") else FLOW
        return OfferedLoad(flows * packets, flows * whole(settings, "size") * 8)

    def run(self, scene: Scene, settings: Settings) -> None:
        """All rounds; of each the time until the last sender is done."""
        senders, target, size = names(settings, "from"), text(settings, "to"), whole(settings, "size")
        interval = number(settings, "interval_s")
        flows = [
            PlannedFlow(index * len(senders) + number, index * interval, source, target, size)
            for index in range(whole(settings, "rounds"))
            for number, source in enumerate(senders)
        ]
        done = send(
            scene,
            flows,
            port=whole(settings, "port"),
            timeout_s=number(settings, "timeout_s"),
            prepared=switch(settings, "prepared"),
            seconds=self.duration_s(settings),
            congestion=text(settings, "congestion"),
        )
        if all(one.failure for one in done):
            raise KubinetError(
                f"{', '.join(senders)} to {target}: no sender was done within {settings['timeout_s']} s "
                f"({done[0].failure}); look with `kubinet trace` where connections end, or give `timeout_s` more"
            )
        scene.record(readings(done, len(senders), target, size))


def readings(done: Sequence[FinishedFlow], senders: int, target: str, size: int) -> Iterator[Reading]:
    """Of each sender its time; of each round in which all were done, the last one's end and the goodput."""
    together = Pair(f"{senders} senders", target)
    for start in range(0, len(done), senders):
        one_round, index = done[start : start + senders], start // senders
        for one in one_round:
            if not one.failure:
                pair = Pair(one.flow.source, target)
                yield pair.reading("flow completion", one.fct_ms, "ms", one.started_s, index)
        if not any(one.failure for one in one_round):
            began = min(one.started_s for one in one_round)
            took = max(one.started_s + one.fct_ms / 1e3 for one in one_round) - began
            yield together.reading("completion", took * 1e3, "ms", began, index)
            yield together.reading("goodput", senders * size * 8 / 1e6 / took, "Mbit/s", began, index)
    yield together.reading("failed", sum(bool(one.failure) for one in done), "flows", done[0].started_s)


INCAST: Final = Incast()
