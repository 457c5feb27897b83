"""What the workloads of a run offer together, step by step, as far as it can be known before the run. Pure."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.calibration.fairness import max_min
from experiments.design.model import WorkloadDesign
from experiments.offered import OfferedLoad
from experiments.underlay_path import Underlay
from kubinet.errors import InvalidInputError
from kubinet.manifests import parse_manifests


@dataclass(frozen=True, slots=True)
class Demand:
    """What workloads that run side by side put on the network."""

    names: str
    """The workloads', with commas between."""
    packets_per_s: float = 0.0
    mbit: float = 0.0
    """What they themselves limit, payload, Mbit/s."""
    adapting_mbit: float = 0.0
    """What TCP sends besides, as it fills links on its ways, Mbit/s."""


Direction = tuple[str, str]
"""A link's name and the end that sends: links are full-duplex."""
RatedWay = Mapping[Direction, float]
"""The links with a rate between two places, Mbit/s."""
FindWay = Callable[[str, str], RatedWay]
"""From the first place to the second; empty where no link there has a rate, or where the way is not known."""


def demands(loads: Sequence[tuple[WorkloadDesign, OfferedLoad]], find: FindWay) -> Iterator[Demand]:
    """One for each step; what no workload and no link limits is left out, as nobody knows how much it will be."""
    for step in sorted({one.step for one, _ in loads}):
        together = [(one.name, load) for one, load in loads if one.step == step]
        mbit, adapting = _rates([load for _, load in together], find)
        yield Demand(
            names=", ".join(name for name, _ in together),
            packets_per_s=sum(load.packets_per_s or 0.0 for _, load in together),
            mbit=mbit,
            adapting_mbit=adapting,
        )


def _rates(loads: Sequence[OfferedLoad], find: FindWay) -> tuple[float, float]:
    """Mbit/s that the workloads limit, and that links limit: streams share every link of their ways fairly."""
    mbit = adapting = 0.0
    wanted: list[float] = []
    ways: list[RatedWay] = []
    for load in loads:
        rate = math.inf if load.bits_per_s is None else load.bits_per_s / 1e6
        if load.way is not None and (way := find(*load.way)):
            wanted.append(rate)
            ways.append(way)
        elif load.bits_per_s is not None:
            mbit += rate
    capacities = {direction: rate for way in ways for direction, rate in way.items()}
    for asked, granted in zip(wanted, max_min(wanted, ways, capacities), strict=True):
        if granted < asked:
            adapting += granted
        else:
            mbit += granted
    return mbit, adapting


def rated_ways(underlay: Underlay, nodes: Mapping[str, str]) -> FindWay:
    """Looks ways up in a resolved topology; `nodes`: pods' places to their nodes, as far as they are known."""

    def find(source: str, target: str) -> RatedWay:
        here, there = (_vertex(place, nodes) for place in (source, target))
        try:
            links = underlay.path(here, there).links
        except InvalidInputError:
            return {}
        found = {}
        for link in links:
            if link.rate_mbit is not None:
                found[link.name, here] = link.rate_mbit
            here = link.other(here)
        return found

    return find


def _vertex(place: str, nodes: Mapping[str, str]) -> str:
    kind, _, name = place.partition("/")
    return nodes.get(place, "") if kind == "pod" else name if kind in ("node", "outside") else ""


def nodes_of_pods(manifests: Mapping[str, str]) -> dict[str, str]:
    """`pod/NAME` and `pod/NAMESPACE/NAME` to the node that the pod's manifest names; the scheduler's are not known."""
    found: dict[str, str] = {}
    for file, text in manifests.items():
        if "nodeName" not in text:
            continue
        for one in parse_manifests(text, file):
            spec = one.object.get("spec")
            node = spec.get("nodeName") if isinstance(spec, dict) and one.object["kind"] == "Pod" else None
            if isinstance(node, str):
                name, namespace = one.object["metadata"].get("name", ""), one.namespace or "default"
                found[f"pod/{namespace}/{name}"] = node
                if namespace == "default":
                    found[f"pod/{name}"] = node
    return found
