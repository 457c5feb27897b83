"""What the workloads of a run offer together, step by step, as far as it can be known before the run. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.design.model import WorkloadDesign
from experiments.offered import OfferedLoad
from experiments.underlay_path import Underlay, UnderlayLink
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
    """What TCP sends besides, as it fills its ways' slowest links, Mbit/s."""


SlowestLink = Callable[[str, str], UnderlayLink | None]
"""Of the way between two places; None where no link there has a rate, or where it is not known."""


def demands(loads: Sequence[tuple[WorkloadDesign, OfferedLoad]], slowest: SlowestLink) -> Iterator[Demand]:
    """One for each step; what no workload and no link limits is left out, as nobody knows how much it will be."""
    for step in sorted({one.step for one, _ in loads}):
        together = [(one.name, load) for one, load in loads if one.step == step]
        mbit, adapting = _rates([load for _, load in together], slowest)
        yield Demand(
            names=", ".join(name for name, _ in together),
            packets_per_s=sum(load.packets_per_s or 0.0 for _, load in together),
            mbit=mbit,
            adapting_mbit=adapting,
        )


def _rates(loads: Sequence[OfferedLoad], slowest: SlowestLink) -> tuple[float, float]:
    """Mbit/s that the workloads limit, and that links limit: streams that share a slowest link share its rate."""
    mbit = adapting = 0.0
    sharing: dict[str, list[float]] = defaultdict(list)
    rates: dict[str, float] = {}
    for load in loads:
        wanted = float("inf") if load.bits_per_s is None else load.bits_per_s / 1e6
        link = slowest(*load.way) if load.way is not None else None
        if link is not None and link.rate_mbit is not None:
            sharing[link.name].append(wanted)
            rates[link.name] = link.rate_mbit
        elif load.bits_per_s is not None:
            mbit += wanted
    for name, wanted_of in sharing.items():
        if sum(wanted_of) <= rates[name]:
            mbit += sum(wanted_of)
        else:
            adapting += rates[name]
    return mbit, adapting


def slowest_link(underlay: Underlay, nodes: Mapping[str, str]) -> SlowestLink:
    """Looks ways up in a resolved topology; `nodes`: pods' places to their nodes, as far as they are known."""

    def find(source: str, target: str) -> UnderlayLink | None:
        ends = [_vertex(place, nodes) for place in (source, target)]
        try:
            links = underlay.path(ends[0], ends[1]).links
        except InvalidInputError:
            return None
        rated = [link for link in links if link.rate_mbit is not None]
        return min(rated, key=lambda link: link.rate_mbit or 0.0, default=None)

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
