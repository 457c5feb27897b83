"""Workload `flows`: flows of published or own sizes arrive at random; how long each takes."""

from collections.abc import Mapping
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import FLOW, OfferedLoad
from experiments.scene import Scene
from experiments.stats import derived_seed
from experiments.topology import underlay_of
from experiments.underlay_path import Underlay
from experiments.workloads.common import Pair, Plugin, check_places, names, number, rate, text, whole
from experiments.workloads.flow_plan import Sizes, matrix_of, plan, published, sizes_of
from experiments.workloads.incast import FLOWS_PORT
from experiments.workloads.sending_flows import FinishedFlow, send
from kubinet.errors import InvalidInputError, KubinetError

_CLASSES: Final = ((100_000, "small"), (10_000_000, "medium"))
"""Upper limits in bytes of the classes of sizes that pFabric (SIGCOMM 2013) reports; above: large."""


class Flows(Plugin):
    """The workload."""

    summary = "TCP flows with sizes of a distribution and Poisson arrivals: completion times, slowdown over the ideal."
    parameters = (
        Parameter(
            "places",
            "",
            "",
            "places that send to each other, with commas between; with `matrix` not needed",
            holds=Holds.PLACES,
        ),
        Parameter(
            "matrix",
            "",
            "",
            "traffic matrix `FROM>TO=WEIGHT, …`; empty: every pair of `places` alike",
            holds=Holds.PLACES_IN_WORDS,
        ),
        Parameter("sizes", "web-search", "web-search", f"{', '.join(published())}, one size, or `BYTES:SHARE, …`"),
        Parameter("scale", 1.0, 0.1, "sizes are multiplied by it", 1e-6, 1e6),
        Parameter("largest", 0, 1_000_000, "larger flows are cut to it, bytes; 0: none is", 0),
        Parameter("rate", "20mbit", "10mbit", "offered load of all flows together, before cutting"),
        Parameter("seconds", 10.0, 2.0, "how long flows arrive, seconds", 0.05, 3600),
        Parameter("ideal_rate", "", "", "rate that the ideal is computed with; empty: the way's slowest declared link"),
        Parameter(
            "base_ms", 0.0, 0.0, "time that even the smallest flow needs (handshake, delay); part of the ideal", 0
        ),
        Parameter("timeout_s", 60.0, 30.0, "seconds after which a flow has failed", 0.1, 3600),
        FLOWS_PORT,
    )
    metrics: Final = {
        "flow completion": "ms",
        "flow size": "bytes",
        "slowdown": "times the ideal",
        "goodput": "Mbit/s",
        "failed": "flows",
    }
    labels = ("size",)

    def check(self, settings: Settings) -> None:
        """Places or a matrix of them, sizes and rates that can be read."""
        matrix = matrix_of(text(settings, "matrix"), names(settings, "places"))
        if not matrix:
            raise InvalidInputError("parameter 'places': flows need at least two places, or a 'matrix'")
        check_places({"places": ", ".join(name for pair in matrix for name in pair)}, "places")
        sizes_of(text(settings, "sizes"))
        if rate(settings, "rate") is None:
            raise InvalidInputError("parameter 'rate': the offered load is missing, such as 20mbit")
        rate(settings, "ideal_rate")

    def duration_s(self, settings: Settings) -> float:
        """Arrivals; the last flows may take longer."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """`rate`, less what `largest` cuts from it; each flow is a connection of its own."""
        sizes = sizes_of(text(settings, "sizes")).scaled(number(settings, "scale"))
        flows = (rate(settings, "rate") or 0.0) / 8 / sizes.mean
        largest = whole(settings, "largest")
        size = sizes.mean_of_cut(largest) if largest else sizes.mean
        return OfferedLoad(flows * FLOW, flows * size * 8)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Plan, send, compare with the ideal."""
        sizes = sizes_of(text(settings, "sizes")).scaled(number(settings, "scale"))
        flows = plan(
            matrix_of(text(settings, "matrix"), names(settings, "places")),
            sizes,
            bits_per_s=rate(settings, "rate") or 0.0,
            seconds=number(settings, "seconds"),
            largest=whole(settings, "largest"),
            seed=derived_seed(scene.seed, "flows", text(settings, "places"), text(settings, "matrix")),
        )
        if not flows:
            raise KubinetError(too_few(sizes, settings))
        scene.tell(f"{len(flows)} flows, {sum(flow.size for flow in flows) / 1e6:.1f} MB")
        done = send(
            scene,
            flows,
            port=whole(settings, "port"),
            timeout_s=number(settings, "timeout_s"),
            prepared=False,
            seconds=number(settings, "seconds"),
        )
        ideals = Ideals(scene, rate(settings, "ideal_rate"), number(settings, "base_ms"))
        readings = []
        for one in done:
            if one.failure:
                continue
            pair, labels = Pair(one.flow.source, one.flow.target), {"size": size_class(one.flow.size)}
            at, index = one.started_s, one.flow.number
            readings.append(pair.reading("flow completion", one.fct_ms, "ms", at, index, **labels))
            readings.append(pair.reading("flow size", one.flow.size, "bytes", at, index, **labels))
            ideal_ms = ideals.of(one)
            if ideal_ms:
                slowdown = one.fct_ms / ideal_ms
                readings.append(pair.reading("slowdown", slowdown, "times the ideal", at, index, **labels))
        complete = [one for one in done if not one.failure]
        if not complete:
            raise KubinetError(
                f"none of {len(done)} flows was complete ({done[0].flow.source} to {done[0].flow.target}: "
                f"{done[0].failure}); look with `kubinet trace` where connections end"
            )
        everything = Pair("all", "all")
        began = min(one.started_s for one in complete)
        elapsed = max(one.started_s + one.fct_ms / 1e3 for one in complete) - began
        goodput = sum(one.flow.size for one in complete) * 8 / 1e6 / elapsed
        readings.append(everything.reading("goodput", goodput, "Mbit/s", began))
        readings.append(everything.reading("failed", len(done) - len(complete), "flows", began))
        scene.record(readings)


def size_class(size: int) -> str:
    """small, medium or large, as published results divide them."""
    return next((name for limit, name in _CLASSES if size <= limit), "large")


def too_few(sizes: Sizes, settings: Mapping[str, object]) -> str:
    """Why no flow arrives, with the remedy."""
    return (
        f"no flow arrives in {settings['seconds']} s: {settings['rate']} is too little for "
        f"flows of {sizes.mean / 1e6:.3g} MB (their mean); raise 'rate' or 'seconds', or lower 'scale'"
    )


class Ideals:
    """The time that a flow would take alone: its payload at the slowest declared rate of its way, and the way's delay.

    Headers and TCP's start are left out unless `base_ms` holds them: it is a lower limit, which flatters no slowdown.
    """

    def __init__(self, scene: Scene, bits_per_s: float | None, base_ms: float) -> None:
        self._scene = scene
        self._given = bits_per_s
        self._base_ms = base_ms
        self._underlay: Underlay = underlay_of(scene.topology)
        self._known: dict[tuple[str, str], tuple[float | None, float]] = {}

    def of(self, one: FinishedFlow) -> float | None:
        """Milliseconds; None where no rate is declared on the way."""
        pair = (one.flow.source, one.flow.target)
        if pair not in self._known:
            self._known[pair] = self._way(*pair)
        bits_per_s, delay_ms = self._known[pair]
        return None if bits_per_s is None else one.flow.size * 8e3 / bits_per_s + delay_ms + self._base_ms

    def _way(self, source: str, target: str) -> tuple[float | None, float]:
        ends = [self._node(name) for name in (source, target)]
        if not all(ends) or ends[0] == ends[1]:
            return self._given, 0.0
        path = self._underlay.path(ends[0], ends[1])
        slowest = path.bottleneck_mbit
        return self._given or (None if slowest is None else slowest * 1e6), path.rtt_ms / 2

    def _node(self, name: str) -> str:
        """The node that a place is on; an outside host is a vertex of its own."""
        kind, _, rest = name.partition("/")
        if kind != "pod":
            return rest
        namespace, _, pod = rest.rpartition("/")
        return self._scene.cluster.pod(pod, namespace or "default").node


FLOWS: Final = Flows()
