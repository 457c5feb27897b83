"""Measurement `links`: bytes and packets at both ends of the underlay's links."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, Final

from agents.watching.linkstats import link_ends
from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Growth, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import names, seconds

LINKS: Final = Parameter("links", "", "", "names of links, with commas between; empty: all", holds=Holds.LINKS)
_COUNTERS: Final = {
    "sent_bytes": ("sent", "bytes"),
    "sent_packets": ("sent packets", "packets"),
    "received_bytes": ("received", "bytes"),
    "received_packets": ("received packets", "packets"),
    "sent_dropped": ("dropped", "packets"),
}


class Links(Watching):
    """The measurement."""

    summary = "Bytes, packets and drops at both ends of each link of the underlay."
    parameters = (EVERY, LINKS)
    metrics: Final = {**dict(_COUNTERS.values()), "rate": "Mbit/s"}
    labels = ("link",)

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Counters are recorded as their growth since the look before; label `link` names the link."""
        return watching(scene, "linkstats", looking(scene, settings), interpreter())


def looking(scene: Scene, settings: Settings) -> dict[str, object]:
    """How often, and at which ends of which links; KubinetError for a link that does not exist."""
    listed = scene.cluster.run([sys.executable, "-m", "topologies.underlay_client", "links"]).stdout
    ends = link_ends(json.loads(listed), names(settings, "links"))
    return {"every": seconds(settings, "every"), "ends": [asdict(end) for end in ends]}


def interpreter() -> Callable[[Mapping[str, Any]], Iterable[Reading]]:
    """Makes readings of looks; the first one only sets where counting begins."""
    growth = Growth()
    times: list[float] = []

    def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
        at = float(look["time_s"])
        times.append(at)
        elapsed = at - times[-2] if len(times) > 1 else 0.0
        for link, vertex, counters, _ in look["found"]:
            for name, (metric, unit) in _COUNTERS.items():
                grown = growth.of((link, vertex, name), counters[name])
                if elapsed > 0:
                    yield Reading(metric, grown, unit, at, len(times) - 1, vertex, labels={"link": link})
                    if metric == "sent":
                        megabits = grown * 8 / 1e6 / elapsed
                        yield Reading("rate", megabits, "Mbit/s", at, len(times) - 1, vertex, labels={"link": link})

    return interpret


LINKS_MEASUREMENT: Final = Links()
