"""Workload of the experiment `ecmp-collisions`: bursts of flows, and how evenly each spreads over parallel links."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from agents.watching.linkstats import End, link_ends
from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.measurements.common import watching
from experiments.offered import OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import Pair, Plugin, names, number, text, whole
from experiments.workloads.flow_plan import PlannedFlow
from experiments.workloads.incast import INCAST, readings
from experiments.workloads.sending_flows import FinishedFlow, send
from kubinet.errors import InvalidInputError, KubinetError

_EVERY_SECONDS: Final = 0.05
_SETTLED_SECONDS: Final = 0.02
"""After the last byte: its frames have left the links by then."""
_USED: Final = 0.02
"""A link with less than this share of a round's bytes has none of its flows, but acknowledgements."""


@dataclass(frozen=True, slots=True)
class Look:
    """The links' counters at one moment."""

    time_s: float
    sent: Mapping[str, float]
    """Link to the bytes that the vertex which all of them share has sent."""


class Spreading(Plugin):
    """Rounds as those of `incast`: each flow of each round has a port of its own, so every round draws anew."""

    summary = "Flows begin at once, round by round: what each takes, how evenly a round spreads over parallel links."
    parameters = (
        *INCAST.parameters,
        Parameter(
            "links", "", "", "the parallel links, with commas between; one vertex has an end of each", holds=Holds.LINKS
        ),
    )
    required = (*INCAST.required, "links")
    metrics: Final = {**INCAST.metrics, "busiest share": "%", "links used": "links"}

    def check(self, settings: Settings) -> None:
        """Incast's settings, and at least two links."""
        INCAST.check(settings)
        if len(names(settings, "links")) < 2:
            raise InvalidInputError("parameter 'links': name at least two parallel links")

    def duration_s(self, settings: Settings) -> float:
        """Rounds times interval."""
        return INCAST.duration_s(settings)

    def offered(self, settings: Settings) -> OfferedLoad:
        """As `incast`."""
        return INCAST.offered(settings)

    def run(self, scene: Scene, settings: Settings) -> None:
        """All rounds while the links' counters are read; then what each round added to each link."""
        senders, target, size = names(settings, "from"), text(settings, "to"), whole(settings, "size")
        interval = number(settings, "interval_s")
        flows = [
            PlannedFlow(index * len(senders) + place, index * interval, source, target, size)
            for index in range(whole(settings, "rounds"))
            for place, source in enumerate(senders)
        ]
        listed = scene.cluster.run([sys.executable, "-m", "topologies.underlay_client", "links"]).stdout
        ends = near_ends(link_ends(json.loads(listed), names(settings, "links")))
        looks: list[Look] = []

        def look(document: Mapping[str, Any]) -> Iterable[Reading]:
            sent = {link: float(counters["sent_bytes"]) for link, _, counters, _ in document["found"]}
            looks.append(Look(float(document["time_s"]), sent))
            return ()

        with watching(scene, "linkstats", {"every": _EVERY_SECONDS, "ends": [asdict(end) for end in ends]}, look):
            done = send(
                scene,
                flows,
                port=whole(settings, "port"),
                timeout_s=number(settings, "timeout_s"),
                prepared=bool(settings["prepared"]),
                seconds=self.duration_s(settings),
                congestion=text(settings, "congestion"),
            )
        if all(one.failure for one in done):
            raise KubinetError(f"{senders[0]} to {target}: no flow was done ({done[0].failure}); see `kubinet trace`")
        scene.record(readings(done, len(senders), target, size))
        scene.record(spread(done, len(senders), target, looks))


def near_ends(ends: Sequence[End]) -> list[End]:
    """The ends of the links at the vertex that all of them share; InvalidInputError where there is none."""
    by_link: dict[str, set[str]] = {}
    for end in ends:
        by_link.setdefault(end.link, set()).add(end.vertex)
    shared = set.intersection(*by_link.values())
    if len(shared) != 1:
        raise InvalidInputError(f"parameter 'links': {', '.join(by_link)} do not begin at one vertex")
    return [end for end in ends if end.vertex in shared]


def spread(done: Sequence[FinishedFlow], senders: int, target: str, looks: Sequence[Look]) -> Iterator[Reading]:
    """Of each round in which all flows were done: the busiest link's share of the bytes, and how many links had any."""
    pair = Pair(f"{senders} senders", target)
    for start in range(0, len(done), senders):
        one_round = done[start : start + senders]
        if any(one.failure for one in one_round):
            continue
        began = min(one.started_s for one in one_round)
        ended = max(one.started_s + one.fct_ms / 1e3 for one in one_round) + _SETTLED_SECONDS
        before = max((look for look in looks if look.time_s <= began), key=lambda look: look.time_s, default=None)
        after = min((look for look in looks if look.time_s >= ended), key=lambda look: look.time_s, default=None)
        if before is None or after is None:
            continue
        grown = [after.sent[link] - before.sent[link] for link in before.sent]
        if sum(grown) > 0:
            index = start // senders
            yield pair.reading("busiest share", 100 * max(grown) / sum(grown), "%", began, index)
            used = sum(one / sum(grown) > _USED for one in grown)
            yield pair.reading("links used", used, "links", began, index)


SPREADING: Final = Spreading()
